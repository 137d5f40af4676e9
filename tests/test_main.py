"""The user's own two commands, end to end, on eight small made radiographs: what a run leaves, from where it starts."""

import importlib
import json
import os
import shutil
import socket
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
import torch
from conftest import LANDMARKS, SMALL_RUN, SPLITS, as_process, fewer_landmarks, preprocess, rows_of, spawn, train, weights_of

from dataloader import RadiographDataset
from main import main, read_settings
from runtime import distributed
from runtime.files import write_csv
from training.sets import load_splits
from training.settings import read


@dataclass
class Silent:
    explained: int = 3  # what it is
    silent: int = 3


def test_a_setting_without_its_help_is_an_error():
    with pytest.raises(TypeError, match=r"Silent\.silent: expected a line that ends with a comment"):
        read(Silent, None, [])


@pytest.mark.slow
def test_train_validate_and_test(data, drawn, tmp_path):
    result = tmp_path / "result"
    ran = train(data, result, "--debug")
    assert ran.returncode == 0, ran.stderr
    epochs = rows_of(result / "metrics.csv")
    assert [(row["epoch"], row["size"]) for row in epochs] == [("1", "32"), ("2", "32"), ("3", "64"), ("4", "64")]
    columns = [f"{split}_{key}" for split in ("train", "valid") for key in ("loss", "ipe_px", "or_10px")]
    assert all(float(row[column]) >= 0 for row in epochs for column in columns)
    for name in ("curves", "test_worst", "test_median", "test_errors", "debug/epoch_0004"):
        assert (result / f"{name}.png").read_bytes().startswith(b"\x89PNG"), name

    figures = json.loads((result / "test.json").read_text())
    landmarks = rows_of(result / "test_landmarks.csv")
    assert [(row["image"], row["landmark"]) for row in landmarks] == [
        (id, str(i)) for id in SPLITS["test"] for i in range(LANDMARKS)
    ]
    errors = np.array([float(row["error_px"]) for row in landmarks]).reshape(2, LANDMARKS)
    by_hand = [
        np.hypot(float(row["x_px"]) - float(row["true_x_px"]), float(row["y_px"]) - float(row["true_y_px"])) for row in landmarks
    ]
    assert errors.ravel() == pytest.approx(by_hand, abs=1e-4)
    assert figures["ipe_px"] == pytest.approx(errors.mean(), abs=1e-4)
    assert figures["or_px"]["10"] == pytest.approx((errors > 10).sum(1).mean(), abs=1e-4)
    assert figures["pe_mm"] is None and figures["mm_from"] == "unknown for 2 of 2"
    assert (figures["images"], figures["landmarks"]) == (2, 2 * LANDMARKS)
    assert f"ipe_px {figures['ipe_px']}" in ran.stdout

    (result / "test.json").rename(tmp_path / "first.json")
    again = train(data, result, "--mode", "test", "--checkpoint", result / "best.pt")
    assert again.returncode == 0, again.stderr
    assert (result / "test.json").read_text() == (tmp_path / "first.json").read_text()
    least = min(float(row["valid_ipe_px"]) for row in epochs)
    assert torch.load(result / "best.pt", weights_only=True)["valid_ipe_px"] == pytest.approx(least)

    assert train(data, result, "--mode", "test", "--test_on", "valid").returncode == 0  # any split is measured; the test's stays
    assert json.loads((result / "test.json").read_text())["split"] == "test"
    figures = json.loads((result / "valid.json").read_text())
    assert figures["split"] == "valid" and figures["ipe_px"] == pytest.approx(least, abs=1e-5)

    refused = train(data, result)
    assert refused.returncode == 1 and "an earlier run is there; go on with --resume" in refused.stderr


def test_learns_the_made_landmarks(trained):
    assert json.loads((trained / "test.json").read_text())["ipe_px"] < 1


def test_training_starts_from_the_weights_of_another_run(data, tmp_path, capsys):
    still = ("--stages", "64x1", "--learning_rate", "1e-12", "--ridge", "0")
    assert train(data, tmp_path / "first", "--stages", "64x1").returncode == 0
    init = ("--init", tmp_path / "first" / "best.pt")
    ran = train(data, tmp_path / "second", *still, *init)
    assert ran.returncode == 0 and "too small" not in ran.stdout
    first, second = weights_of(tmp_path / "first" / "best.pt"), weights_of(tmp_path / "second" / "best.pt")
    assert all(torch.allclose(first[name], second[name], atol=1e-6) for name in first)

    state = torch.load(tmp_path / "first" / "best.pt", weights_only=True)
    torch.save(state | {"seen": {"train": RadiographDataset(data, "valid").marks()}}, tmp_path / "of_valid.pt")
    ran = train(data, tmp_path / "known", *still, "--init", tmp_path / "of_valid.pt")
    known = "of_valid.pt was trained on 2 of 2 radiographs (b1, b2), so that validation errors are too small"
    assert ran.returncode == 0 and known in ran.stdout

    other = fewer_landmarks(data, tmp_path / "other")
    assert main([str(a) for a in ("--data", other, "--result", tmp_path / "third", *SMALL_RUN, *still, *init)]) == 0
    assert "random, because their shapes differ: local_appearance.head.bias, local_app" in capsys.readouterr().out
    third = weights_of(tmp_path / "third" / "best.pt")
    same = {
        name for name in first if first[name].shape == third[name].shape and torch.allclose(first[name], third[name], atol=1e-6)
    }
    assert len(first) - len(same) == 5  # both heads, and the kernels that see the local heatmaps

    ran = train(data, tmp_path / "fourth", *still, *init, "--channels", "4")
    assert ran.returncode == 1 and "is another network than the model settings ask for" in ran.stderr


def test_a_list_of_ids_replaces_the_folders_splits(data, tmp_path, capsys):
    """Radiographs of every folder, in the roles that the lists give them: the first and every tenth of train validate."""
    (tmp_path / "one_train.txt").write_text("c1\na1\nb1\n a2\nelsewhere\n")
    (tmp_path / "one_test.txt").write_text("a3\nb2\n")
    arguments = ["--data", data, "--result", tmp_path / "run", *SMALL_RUN, "--stages", "32x1", "--split", tmp_path / "one_"]
    assert main([str(argument) for argument in arguments]) == 1
    assert "1 of 4 listed radiographs of train are not prepared (elsewhere)" in capsys.readouterr().err
    assert main([*(str(argument) for argument in arguments), "--allow_missing"]) == 0
    said = capsys.readouterr().out
    assert "train 3 of 4 listed radiographs" in said and "valid 1 of 1 listed" in said and "test  2 of 2 listed" in said
    assert {row["image"] for row in rows_of(tmp_path / "run" / "test_landmarks.csv")} == {"a3", "b2"}
    (tmp_path / "one_train.txt").write_text("a1\n")  # the only one trains and validates
    found = load_splits(read_settings([str(argument) for argument in arguments]))
    assert found["train"].ids == found["valid"].ids == ["a1"] and found["test"].ids == ["a3", "b2"]
    (tmp_path / "one_train.txt").write_text("a1\na2\n")
    (tmp_path / "one_valid.txt").write_text("c2\n")
    found = load_splits(read_settings([str(argument) for argument in arguments]))
    assert (found["train"].ids, found["valid"].ids, found["test"].ids) == (["a1", "a2"], ["c2"], ["a3", "b2"])
    (tmp_path / "one_valid.txt").unlink()
    (tmp_path / "one_test.txt").write_text("a1\n")
    for split, expected in (
        ("one_", "a1 is in train and in test"),
        ("two_", "two_train.txt: expected a text file with one ID a line"),
    ):
        ran = train(data, tmp_path / "other", "--split", tmp_path / split)
        assert ran.returncode == 1 and expected in ran.stderr


def test_landmarks_missing_in_every_split_are_lived_with(raw, tmp_path, capsys):
    table = raw / "all_coordinates.csv"
    lines = [line.split(",") for line in table.read_text().splitlines()]
    for cells in lines:
        cells[3:5] = ["", ""]
    lines[4][1:] = [""] * len(lines[4][1:])  # one validation radiograph without any
    table.write_text("\n".join(",".join(cells) for cells in lines))
    assert preprocess(raw, tmp_path / "data").returncode == 0
    ran = train(tmp_path / "data", tmp_path / "run", "--stages", "32x1")
    assert ran.returncode == 0, ran.stderr
    assert json.loads((tmp_path / "run" / "test.json").read_text())["landmarks"] == 2 * (LANDMARKS - 1)
    rows = rows_of(tmp_path / "run" / "test_landmarks.csv")
    assert [row["error_px"] == "" for row in rows] == [i == 1 for _ in SPLITS["test"] for i in range(LANDMARKS)]


def as_rank(rank: int, port: int):
    """What torchrun tells a process; one that is forked has read it before."""

    def tell() -> None:
        told = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        os.environ.update({name: str(value) for name, value in told.items()})
        importlib.reload(distributed)

    return tell


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no fork")
def test_two_processes_are_as_one(raw, tmp_path):
    """With two processes (by torchrun) the same numbers as with one, and they go on where one stopped."""
    data = tmp_path / "detailed"
    assert preprocess(raw, data, "--detail", 96).returncode == 0
    flags = ("--stages", "32x3", "--dropout", "0", "--batch_size", "3", "--crop", "32", "--second_look", "1")
    arguments = ["--data", data, *SMALL_RUN, *flags, "--result"]
    assert train(data, tmp_path / "one", *flags).returncode == 0
    ran = as_process("-m", "torch.distributed.run", "--nproc-per-node=2", "main.py", *arguments, tmp_path / "two")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count("test of") == 1  # only one process speaks
    for one, two in zip(rows_of(tmp_path / "one" / "metrics.csv"), rows_of(tmp_path / "two" / "metrics.csv"), strict=True):
        assert {key: float(value or "nan") for key, value in two.items() if key != "seconds"} == pytest.approx(
            {key: float(value or "nan") for key, value in one.items() if key != "seconds"}, rel=1e-3, abs=1e-3, nan_ok=True
        )
    shutil.copytree(tmp_path / "one", tmp_path / "on")
    (tmp_path / "on" / "previous.pt").rename(tmp_path / "on" / "last.pt")
    (tmp_path / "on" / "test.json").unlink()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    call = ("main.py", *arguments, tmp_path / "on", "--resume")
    ranks = [spawn(*call, stdout=subprocess.PIPE, preexec_fn=as_rank(rank, port)) for rank in range(2)]
    (said, errors), (nothing, _) = (process.communicate(timeout=600) for process in ranks)
    assert [process.returncode for process in ranks] == [0, 0] and not nothing, errors
    assert "going on after epoch 3 of 4" in said
    one, on = (json.loads((tmp_path / name / "test.json").read_text())["ipe_px"] for name in ("one", "on"))
    assert on == pytest.approx(one, rel=1e-3)


def test_processes_that_trained_together_end(tmp_path):
    """Without the pause of `stop` PyTorch locks itself up within some dozens of rounds."""
    code = """
        import sys
        import torch
        import torch.distributed as dist
        from runtime import distributed

        torch.set_num_threads(1)
        distributed.SETTLING = 0.05
        for i in range(40):
            dist.init_process_group("gloo", init_method=f"file://{sys.argv[1]}_{i}", rank=distributed.RANK, world_size=2)
            model = distributed.wrap(torch.nn.Linear(4, 4))
            model(torch.ones(2, 4)).sum().backward()
            assert distributed.gather([distributed.RANK]) == [0, 1]
            distributed.wait()
            distributed.stop()
            del model
    """
    call = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path / "store")]
    ranks = [subprocess.Popen(call, env=os.environ | {"RANK": str(rank), "WORLD_SIZE": "2"}) for rank in range(2)]
    try:
        assert [process.wait(timeout=90) for process in ranks] == [0, 0]
    finally:
        for process in ranks:
            process.kill()


def test_radiographs_of_another_folder_are_learnt_from_too(data, raw, tmp_path, capsys):
    """Those of its train alone; and only where they were prepared in the same way."""
    for path in sorted((raw / "train").iterdir()):  # other pictures, matched to the same reference
        picture = iio.imread(path)
        iio.imwrite(path, picture if path.stem == "a1" else picture // 2 + 40)
    more = tmp_path / "more"
    assert preprocess(raw, more).returncode == 0
    ran = train(data, tmp_path / "result", "--stages", "32x1", "--also", more)
    assert ran.returncode == 0, ran.stderr
    seen = torch.load(tmp_path / "result" / "best.pt", weights_only=True)["seen"]
    assert len(seen["train"]) == 3 * 2 * len(SPLITS["train"]) and len(seen["valid"]) == 3 * len(SPLITS["valid"])  # marks

    for other, expected in (
        (fewer_landmarks(more, tmp_path / "fewer"), "has 4 landmarks"),
        (tmp_path / "none", "not found"),
    ):
        ran = train(data, tmp_path / "x", "--stages", "32x1", "--also", other)
        assert ran.returncode == 1 and expected in ran.stderr and str(other) in ran.stderr
    assert preprocess(raw, tmp_path / "otherwise", "--sigma", 3).returncode == 0
    ran = train(data, tmp_path / "x", "--stages", "32x1", "--also", tmp_path / "otherwise")
    assert ran.returncode == 1 and "another --size, --sigma or --detail" in ran.stderr
    assert preprocess(raw, tmp_path / "unmatched", "--reference", "none").returncode == 0
    ran = train(data, tmp_path / "x", "--stages", "32x1", "--also", tmp_path / "unmatched")
    assert ran.returncode == 1 and "another reference" in ran.stderr

    tested = Path(shutil.copytree(data, tmp_path / "tested"))
    shutil.rmtree(tested / "train")
    (tested / "test").rename(tested / "train")
    rows = [row | {"split": "train"} for row in rows_of(data / "landmarks.csv") if row["split"] == "test"]
    write_csv(tested / "landmarks.csv", rows)
    for folds in (0, 2):
        ran = train(data, tmp_path / "x", "--folds", folds, "--also", tested)
        assert ran.returncode == 1 and "tested: has 2 radiographs that are measured on (c1, c2 of" in ran.stderr
        assert not (tmp_path / "x").exists()  # before anything is learnt
    ran = train(data, tmp_path / "seen", "--stages", "32x1", "--also", tested, "--allow_seen")
    assert ran.returncode == 0 and "seen {'train': 2}" in ran.stdout, ran.stderr
