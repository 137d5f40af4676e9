"""The user's own two commands, end to end, on eight small made radiographs."""

import contextlib
import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import LANDMARKS, ROOT, SMALL_RUN, SPLITS, make_raw, preprocess, train

from main import main, read_settings


@pytest.fixture(scope="session")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("prepared")
    assert preprocess(make_raw(folder / "raw"), folder / "processed").returncode == 0
    return folder / "processed"


@pytest.fixture
def data(prepared, tmp_path):
    return Path(shutil.copytree(prepared, tmp_path / "processed"))


def rows_of(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def weights_of(path):
    return torch.load(path, weights_only=True)["weights"]


def test_train_validate_and_test(data, tmp_path):
    result = tmp_path / "result"
    ran = train(data, result, "--debug")
    assert ran.returncode == 0, ran.stderr
    epochs = rows_of(result / "metrics.csv")
    assert [(row["epoch"], row["size"]) for row in epochs] == [("1", "32"), ("2", "32"), ("3", "64"), ("4", "64")]
    assert all(
        float(row[f"{split}_{key}"]) >= 0 for row in epochs for split in ("train", "valid") for key in ("loss", "ipe_px", "or_px")
    )
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

    refused = train(data, result)
    assert refused.returncode == 1 and "an earlier run is there; go on with --resume" in refused.stderr


def test_learns_the_made_landmarks(data, tmp_path, capsys):
    result = tmp_path / "result"
    stages = ("--stages", "32x30 64x10", "--channels", 16, "--learning_rate", 3e-3, "--warmup", 10, "--dropout", 0)
    status, said = in_process(capsys, data, result, *stages)
    assert status == 0, said
    assert json.loads((result / "test.json").read_text())["ipe_px"] < 3


def test_killed_in_mid_epoch_and_resumed_ends_where_an_uninterrupted_run_ends(data, tmp_path):
    stages = ("--stages", "32x3 64x12")
    assert train(data, tmp_path / "whole", *stages).returncode == 0
    arguments = ["main.py", "--data", data, "--result", tmp_path / "killed", *SMALL_RUN, *stages]
    process = subprocess.Popen([sys.executable, *map(str, arguments)], cwd=ROOT, stdout=subprocess.DEVNULL)
    while not (tmp_path / "killed" / "metrics.csv").exists() or len(rows_of(tmp_path / "killed" / "metrics.csv")) < 4:
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert len(rows_of(tmp_path / "killed" / "metrics.csv")) < 15
    ran = train(data, tmp_path / "killed", *stages, "--resume")
    assert ran.returncode == 0 and "going on after epoch" in ran.stdout, ran.stderr
    whole, killed = weights_of(tmp_path / "whole" / "last.pt"), weights_of(tmp_path / "killed" / "last.pt")
    assert all(torch.equal(whole[name], killed[name]) for name in whole)
    for one, other in zip(rows_of(tmp_path / "whole" / "metrics.csv"), rows_of(tmp_path / "killed" / "metrics.csv"), strict=True):
        del one["seconds"], other["seconds"]
        assert one == other


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT to send")
def test_interrupted_by_the_user(data, tmp_path):
    arguments = ["main.py", "--data", data, "--result", tmp_path / "run", *SMALL_RUN, "--stages", "64x500"]
    process = subprocess.Popen(
        [sys.executable, *map(str, arguments)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    while not (tmp_path / "run" / "last.pt").exists():
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130 and "--resume" in stderr and "Traceback" not in stderr
    assert torch.load(tmp_path / "run" / "last.pt", weights_only=True)["history"]


def in_process(capsys, data, result, *more) -> tuple[int, str]:
    """Exit status and standard error of main.py, without the seconds that a process of its own takes to start."""
    status = main([str(argument) for argument in ("--data", data, "--result", result, *SMALL_RUN, *more)])
    return status, capsys.readouterr().err


def test_mistakes_get_one_line(data, tmp_path, capsys):
    assert in_process(capsys, data, tmp_path / "run", "--stages", "32x1")[0] == 0
    (tmp_path / "broken.pt").write_bytes(b"no checkpoint")
    cases = [
        (("--resume", "--stages", "32x1", "--learning_rate", "0.5"), "learning_rate 0.0008 -> 0.5"),
        (("--stages", "30x1"), "stages: expected SIZExEPOCHS"),
        (("--mode", "test", "--checkpoint", tmp_path / "none.pt"), "none.pt: no such checkpoint"),
        (("--mode", "test", "--checkpoint", tmp_path / "broken.pt"), "broken.pt: cannot be read as a checkpoint"),
        (("--mode", "test", "--channels", "4"), "does not fit the landmarks of the data or the model settings"),
        (("--elastic", "0.2", "--result", tmp_path / "new"), "elastic must lie in [0, 0.0625]"),
        (("--data", tmp_path / "nowhere"), "landmarks.csv: not found; run data_preprocessing.py"),
        (
            ("--learning_rate", "1e30", "--gradient_clip", "0", "--warmup", "0", "--result", tmp_path / "inf"),
            "the loss is not finite (heatmaps",
        ),
    ]
    for arguments, expected in cases:
        status, said = in_process(capsys, data, tmp_path / "run", *arguments)
        assert status == 1 and expected in said, (arguments, said)


def test_settings_out_of_range_are_named():
    for arguments, expected in (
        (("--batch_size", 0), "--batch_size: expected a number above 0, found 0"),
        (("--dropout", 1), "--dropout: expected a number from 0 to below 1, found 1.0"),
        (("--rotation", "nan"), "--rotation: expected a number from 0, found nan"),
        (("--spatial_kernel", 4), "--spatial_kernel: expected an odd number, found 4"),
        (("--schedule", "steps"), "invalid choice: 'steps'"),
        (("--learning_rat", "fast"), "invalid float value: 'fast'"),
    ):
        with pytest.raises(SystemExit) as stopped, contextlib.redirect_stderr(io.StringIO()) as said:
            read_settings([str(argument) for argument in arguments])
        assert stopped.value.code == 2 and expected in said.getvalue()


def test_damaged_picture_is_named(data, tmp_path, capsys):
    (data / "train" / "a2.png").write_bytes(b"")
    status, said = in_process(capsys, data, tmp_path / "run")
    assert status == 1 and "a2.png: cannot be read" in said


def test_landmarks_missing_in_every_split_are_lived_with(raw, tmp_path, capsys):
    table = raw / "all_coordinates.csv"
    lines = [line.split(",") for line in table.read_text().splitlines()]
    for cells in lines:
        cells[3:5] = ["", ""]
    lines[4][1:] = [""] * len(lines[4][1:])  # one validation radiograph without any
    table.write_text("\n".join(",".join(cells) for cells in lines))
    assert preprocess(raw, tmp_path / "data").returncode == 0
    status, said = in_process(capsys, tmp_path / "data", tmp_path / "run", "--stages", "32x1")
    assert status == 0, said
    assert json.loads((tmp_path / "run" / "test.json").read_text())["landmarks"] == 2 * (LANDMARKS - 1)
    rows = rows_of(tmp_path / "run" / "test_landmarks.csv")
    assert [row["error_px"] == "" for row in rows] == [i == 1 for _ in SPLITS["test"] for i in range(LANDMARKS)]
