"""Small made radiographs: bright discs on a hand-like blob, one disc a landmark."""

import contextlib
import csv
import importlib
import io
import os
import runpy
import shutil
import subprocess
import sys
import traceback
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: the tests of several files run side by side

import torch

import export
from model import SCN
from prediction import onnx_export
from prediction.calibration import Calibration
from runtime.checkpoint import digest_of, write_checkpoint
from runtime.files import write_csv
from training import figures

ROOT = Path(__file__).resolve().parents[1]
LANDMARKS = 5
SPLITS = {"train": ["a1", "a2", "a3", "a4"], "valid": ["b1", "b2"], "test": ["c1", "c2"]}


DRAWN = {name: getattr(figures, name) for name in ("draw_curves", "draw_cumulative_errors", "draw_overlay", "draw_heatmaps")}


@pytest.fixture(scope="session", autouse=True)
def not_drawn():
    """The pictures of a training, which take six sevenths of a small one's time, stay empty; `drawn` is without this."""
    with pytest.MonkeyPatch.context() as patch:
        for name in DRAWN:
            patch.setattr(figures, name, lambda *given: given[-1].write_bytes(b""))
        yield


@pytest.fixture
def drawn(monkeypatch) -> None:
    for name, draw in DRAWN.items():
        monkeypatch.setattr(figures, name, draw)


@pytest.fixture
def exported_once(monkeypatch) -> None:
    """The seconds of torch.onnx once a network: its file in 8 bits is made of the same export."""
    export, made = onnx_export.float_network, {}

    def once(module, inputs):
        name = digest_of(module.state_dict())
        made[name] = made.get(name) or export(module, inputs)
        return made[name]

    monkeypatch.setattr(onnx_export, "float_network", once)


def write_weights(path: Path) -> None:
    """A tiny network of random weights, in a file as export.py writes it."""
    torch.manual_seed(0)
    network = {"num_landmarks": LANDMARKS, "channels": 8, "levels": 3, "spatial_kernel": 5}
    trust = {name: torch.as_tensor(value) for name, value in Calibration.unknown(LANDMARKS).to_file().items()}
    write_checkpoint(
        path,
        {
            "weights": SCN(**network).state_dict(), "network": network, "size": 32, "network_size": 32,
            "precision": "float32", "settings": {}, "data": {"size": 32, "profile": None}, "trust": trust,
            "names": [str(i) for i in range(LANDMARKS)],
        },
    )  # fmt: skip


def made_radiograph(seed: int, width: int = 90, height: int = 120) -> tuple[np.ndarray, np.ndarray]:
    """An 8-bit picture and its landmarks (LANDMARKS, 2) as (x, y) px."""
    random = np.random.default_rng(seed)
    base = np.array([[0.3, 0.25], [0.5, 0.15], [0.7, 0.3], [0.4, 0.75], [0.65, 0.7]])
    points = (base + random.uniform(-0.05, 0.05, base.shape)) * (width, height)
    y, x = np.mgrid[:height, :width]
    picture = 20 + 60 * (((x - width / 2) / (0.4 * width)) ** 2 + ((y - height / 2) / (0.45 * height)) ** 2 < 1)
    for px, py in points:
        picture = picture + 120 * np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * 3.0**2))
    noise = random.normal(0, 3, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8), points


def row(id: str, points: np.ndarray) -> str:
    return ",".join([id, *(f"{value:.3f}" for value in points.ravel())])


def make_raw(folder: Path) -> Path:
    """A raw folder of eight made radiographs."""
    rows = []
    for split, ids in SPLITS.items():
        (folder / split).mkdir(parents=True)
        for id in ids:
            picture, points = made_radiograph(seed=len(rows))
            iio.imwrite(folder / split / f"{id}.png", picture)
            rows.append(row(id, points))
    (folder / "all_coordinates.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    return make_raw(tmp_path / "raw")


@pytest.fixture(scope="session")
def prepared(tmp_path_factory) -> Path:
    """Their processed folder, to read only."""
    folder = tmp_path_factory.mktemp("prepared")
    assert preprocess(make_raw(folder / "raw"), folder / "processed").returncode == 0
    return folder / "processed"


@pytest.fixture
def data(prepared: Path, tmp_path: Path) -> Path:
    """A copy of it, to damage."""
    return Path(shutil.copytree(prepared, tmp_path / "processed"))


@pytest.fixture(scope="session")
def atlas() -> Path:
    """The folder of real radiographs that HAND_ATLAS names."""
    folder = os.environ.get("HAND_ATLAS")
    if not folder:
        pytest.skip("HAND_ATLAS does not name a folder with the hand radiographs")
    return Path(folder)


class Forked(subprocess.Popen):
    """A script of the project as a process of its own, which starts with what this one has imported: two seconds sooner."""

    def _execute_child(self, arguments, executable, before, *more):
        pipes = more[7:13]  # to and from the child, three pairs of reading and writing ends
        self.pid = os.fork()
        if self.pid == 0:
            self.be_the_script(arguments, before, pipes[0], pipes[3], pipes[5])
        self._child_created = True
        self._close_pipe_fds(*pipes)

    @staticmethod
    def be_the_script(arguments, before, *streams) -> None:
        os.setsid()
        for number, stream in enumerate(streams):
            if stream != -1:
                os.dup2(stream, number)
        os.closerange(3, 256)
        if before:
            before()
        sys.stdout, sys.stderr, sys.argv = open(1, "w", closefd=False), open(2, "w", closefd=False), arguments
        os.chdir(ROOT)
        torch.set_num_threads(torch.get_num_threads())  # PyTorch's pool of threads anew, before two threads do so at once
        status = 1
        try:
            runpy.run_path(arguments[0], run_name="__main__")
        except SystemExit as stopped:
            status = stopped.code or 0
        except BaseException:
            traceback.print_exc()
        finally:
            for stream in (sys.stdout, sys.stderr):
                with contextlib.suppress(BrokenPipeError):
                    stream.flush()
            os._exit(status)


def spawn(*arguments: object, **more) -> subprocess.Popen:
    """One of the project's scripts as a process of its own, in a session of its own; its errors are to be read."""
    kind = Forked if hasattr(os, "fork") and "env" not in more else subprocess.Popen
    command = [str(argument) for argument in arguments]
    if kind is subprocess.Popen:
        command, more = [sys.executable, *command], {"cwd": ROOT, "start_new_session": True} | more
    return kind(command, **{"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True} | more)


def as_process(*arguments: object) -> subprocess.CompletedProcess:
    """Run one of the project's scripts as a user would."""
    return subprocess.run([sys.executable, *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, timeout=600)


def command(script: str, *arguments: object) -> subprocess.CompletedProcess:
    """The same in this process, without the two seconds that a process of its own takes to start."""
    out, err = io.StringIO(), io.StringIO()
    main_of = importlib.import_module(Path(script).stem).main
    with contextlib.chdir(ROOT), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = main_of([str(argument) for argument in arguments])
        except SystemExit as stopped:  # of argparse
            status = stopped.code
    return subprocess.CompletedProcess([script, *arguments], status, out.getvalue(), err.getvalue())


def preprocess(raw: Path, out: Path, *more: object) -> subprocess.CompletedProcess:
    return command(
        "data_preprocessing.py", "--raw", raw, "--out", out, "--size", 64, "--sigma", 2, "--reference", "a1", "--detail", 0, *more
    )


SMALL_RUN = (
    *"--init= --learning_rate 6e-4 --channels 8 --levels 3 --spatial_kernel 5 --shape_tree off --precision float32".split(),
    *("--stages", "32x2 64x2"),
)


def train(data: Path, result: Path, *more: object) -> subprocess.CompletedProcess:
    return command("main.py", "--data", data, "--result", result, *SMALL_RUN, *more)


def rows_of(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def fewer_landmarks(data: Path, folder: Path) -> Path:
    """The same data with its last landmark dropped everywhere."""
    shutil.copytree(data, folder)
    rows = rows_of(data / "landmarks.csv")
    dropped = {f"{frame}{axis}{LANDMARKS - 1}" for frame in ("", "network_") for axis in "xy"}
    write_csv(folder / "landmarks.csv", [{key: value for key, value in row.items() if key not in dropped} for row in rows])
    for path in folder.rglob("*.npz"):
        with np.load(path) as archive:
            heatmaps, row = archive["heatmaps"][:-1], archive["row"]
        np.savez_compressed(path, heatmaps=heatmaps, row=row)
    return folder


def weights_of(path: Path) -> dict[str, torch.Tensor]:
    return torch.load(path, weights_only=True)["weights"]


@pytest.fixture(scope="session")
def trained(prepared, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    ran = train(prepared, folder / "result", "--stages", "32x30 64x10", "--channels", 16, "--learning_rate", 3e-3, "--warmup", 10)
    assert ran.returncode == 0, ran.stderr
    return folder / "result"


@pytest.fixture(scope="session")
def weights(trained, prepared, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "small.pt"
    export.export(trained / "best.pt", prepared, path, seed=0, steps=2)  # too few for a finder, which is left out
    return path


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> Path:
    """Random weights of a small network: for tests where it does not matter what is found."""
    path = tmp_path_factory.mktemp("weights") / "tiny.pt"
    write_weights(path)
    return path
