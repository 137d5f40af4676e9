"""Killed, starved and misled: nothing whole is lost, nothing half is taken for whole. KILLS=50 kills more often."""

import hashlib
import os
import random
import shutil
import signal
import subprocess
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import pytest
import torch
import torch._dynamo  # which every training imports: two seconds less for each that is forked from here
from conftest import DRAWN, LANDMARKS, SMALL_RUN, rows_of, spawn

from runtime.command import exit_status

resource = pytest.importorskip("resource", reason="Windows has no SIGKILL, and no limit on the size of files")
KILLS = int(os.environ.get("KILLS", 1))


def contents(folder: Path) -> dict[str, str]:
    """A digest of each file but those of a journal, whose lines come in any order; of checkpoints of their weights, of
    metrics.csv without its seconds."""
    found = {}
    for path in (path for path in sorted(folder.rglob("*")) if path.is_file() and path.parent.name != "journal"):
        content = path.read_bytes()
        if path.suffix == ".pt":
            weights = torch.load(path, weights_only=True)["weights"]
            content = torch.cat([weight.ravel() for weight in weights.values()]).numpy().tobytes()
        if path.name == "metrics.csv":
            content = b"\n".join(line.rpartition(b",")[0] for line in content.splitlines())
        found[str(path.relative_to(folder))] = hashlib.sha256(content).hexdigest()
    return found


def finish(process: subprocess.Popen, status: int = 0) -> str:
    _, said = process.communicate()
    assert process.returncode == status, said
    return said


def kill_now_and_then(start, out: Path, whole: Path, done, seed: int, status: int = 0) -> None:
    """Kill a command and its children KILLS times at random moments of a run; `whole` is what an uninterrupted one makes.

    What is `done` never gets less from kill to kill, and whenever the command comes to its end, it has made the same.
    """
    rng, kills = random.Random(seed), 0
    began = time.perf_counter()
    finish(start(whole), status)
    seconds = time.perf_counter() - began
    before: list = []
    while kills < KILLS:
        process = start(out)
        try:
            process.wait(rng.uniform(0, seconds))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            kills += 1
            now = done(out)
            assert now[: len(before)] == before
            before = now
        else:
            finish(process, status)
            assert contents(out) == contents(whole)
            shutil.rmtree(out)
            before = []
    finish(start(out), status)
    assert contents(out) == contents(whole)


def test_killed_preparation_ends_as_an_uninterrupted_one(raw, tmp_path):
    def start(out: Path) -> subprocess.Popen:
        return spawn("data_preprocessing.py", "--raw", raw, "--out", out, "--size", 64, "--reference", "a1")

    kill_now_and_then(start, tmp_path / "killed", tmp_path / "whole", lambda out: [True for _ in out.rglob("*.npz")], seed=1)


@pytest.mark.slow
def test_killed_training_ends_as_an_uninterrupted_one(prepared, tmp_path):
    def start(out: Path) -> subprocess.Popen:
        resume = ["--resume"] if done(out) else []  # or it was killed before its first epoch was whole
        return spawn("main.py", "--data", prepared, "--result", out, *SMALL_RUN, "--stages", "32x2 64x4", *resume)

    def done(out: Path) -> list[int]:
        states = [path for path in (out / "last.pt", out / "previous.pt") if path.exists()]
        return [*range(max((torch.load(path, weights_only=True)["epoch"] for path in states), default=0))]

    kill_now_and_then(start, tmp_path / "killed", tmp_path / "whole", done, seed=2)


@pytest.mark.slow
def test_killed_prediction_goes_on_and_ends_as_an_uninterrupted_one(raw, tiny, tmp_path):
    """No line of the journal is lost, and none is there twice but that of the broken file, which is tried once more."""
    many, killed = tmp_path / "many", tmp_path / "killed"
    for copy in range(6):
        shutil.copytree(raw, many / str(copy))
    (many / "0" / "broken.png").write_text("no picture")

    def start(out: Path) -> subprocess.Popen:
        return spawn("predict.py", many, "--weights", tiny, "--out", out, "--format", "coco")

    def lines(out: Path) -> list[list[str]]:
        path = out / "journal" / "1-of-1.jsonl"
        return [line.split()[1:6:4] for line in path.read_text().splitlines()] if path.exists() else []

    kill_now_and_then(start, killed, tmp_path / "whole", lambda out: lines(out)[:-1], seed=3, status=1)  # the last may be cut
    found = [key for key, kind in lines(killed) if kind == "+"]
    assert len(found) == len(set(found)) == 6 * 8
    assert len(rows_of(killed / "landmarks.csv")) == 6 * 8 * LANDMARKS


def starve(limit: int) -> None:
    """No file may grow beyond a limit, as on a full disk."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))


@pytest.mark.parametrize("limit", [3_000, 300_000])
def test_a_full_disk_stops_training_and_loses_nothing(prepared, tmp_path, limit):
    """The table, the best or the last state cannot be written, and what was there stays."""
    result = tmp_path / "run"
    run = ("main.py", "--data", prepared, "--result", result, *SMALL_RUN, "--stages", "32x300")
    first = spawn(*run)
    while not (result / "last.pt").exists():
        time.sleep(0.02)
        assert first.poll() is None
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    before = torch.load(result / "last.pt", weights_only=True)["epoch"]
    starved = spawn(*run, "--resume", preexec_fn=lambda: starve(limit))
    _, said = starved.communicate()
    assert starved.returncode == 1 and said.strip().count("\n") == 0 and str(result) in said, said
    states = [path for path in (result / "last.pt", result / "previous.pt") if path.exists()]
    assert any(torch.load(path, weights_only=True)["epoch"] >= before for path in states)


@pytest.mark.slow
def test_a_full_disk_stops_preparation_and_prediction_which_go_on_later(raw, tiny, tmp_path):
    prepare = ("data_preprocessing.py", "--raw", raw, "--size", 64, "--reference", "a1", "--out")
    predict = ("predict.py", raw, "--weights", tiny, "--overwrite", "--out")
    for command in (prepare, predict):
        out = tmp_path / command[0]
        starved = spawn(*command, out, preexec_fn=lambda: starve(2_000))
        _, said = starved.communicate()
        assert starved.returncode == 1 and said.strip().count("\n") == 0 and str(out) in said, said
        assert not (out / "landmarks.csv").exists()
        finish(spawn(*command, out))
        finish(spawn(*command, tmp_path / "whole"))
        assert contents(out) == contents(tmp_path / "whole")
        shutil.rmtree(tmp_path / "whole")


def die() -> None:
    os._exit(1)


def fail() -> None:
    raise MemoryError


def test_want_of_memory_is_one_line(capsys):
    def in_a_worker(job) -> None:
        with ProcessPoolExecutor(1) as pool:
            pool.submit(job).result()

    for work in (partial(in_a_worker, die), partial(in_a_worker, fail), lambda: torch.empty(1 << 50), lambda: bytearray(1 << 50)):
        assert exit_status(work, less_memory="ask for less") == 1
        said = capsys.readouterr().err
        assert said.endswith("not enough memory; ask for less\n") and said.count("\n") == 1
    with pytest.raises(RuntimeError, match="a mistake of the program"):
        exit_status(lambda: (_ for _ in ()).throw(RuntimeError("a mistake of the program")))


@pytest.mark.slow
def test_two_runs_give_the_same_bytes_and_another_seed_gives_others(raw, tmp_path):
    """From the radiographs on, with other numbers of workers and other hash seeds; with --deterministic also on a GPU."""
    settings = (*SMALL_RUN, "--stages", "32x2", "--second_look", 2, "--crop", 24, "--deterministic")

    def calls(name: str, workers: int) -> tuple[list[str], list[str]]:
        prepare = ("--raw", raw, "--out", tmp_path / f"data {name}", "--size", 64, "--reference", "a1", "--workers", workers)
        learn = ("--data", tmp_path / f"data {name}", "--result", tmp_path / name, *settings)
        return [str(word) for word in prepare], [str(word) for word in learn]

    prepare, learn = calls("one", 1)
    finish(spawn("data_preprocessing.py", *prepare))
    finish(spawn("main.py", *learn))
    finish(spawn("main.py", *learn, "--result", tmp_path / "other", "--seed", 1))
    both = "import sys, data_preprocessing, main, training.figures as figures\n"
    both += f"for name in {list(DRAWN)}: setattr(figures, name, lambda *given: given[-1].write_bytes(b''))\n"
    both += "prepare, learn = {!r}\nsys.exit(data_preprocessing.main(prepare) or main.main(learn))"
    finish(spawn("-c", both.format(calls("two", 3)), env=os.environ | {"PYTHONHASHSEED": "2"}))  # no fork of this process
    assert contents(tmp_path / "data one") == contents(tmp_path / "data two")
    one, two, other = (contents(tmp_path / name) for name in ("one", "two", "other"))
    assert one == two
    for name in ("best.pt", "last.pt", "metrics.csv", "test.json", "test_landmarks.csv"):
        assert one[name] != other[name], name
