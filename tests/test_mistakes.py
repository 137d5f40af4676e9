"""A user's mistakes in settings and data: one line each, and what the check finds."""

import contextlib
import io
import os
import re
import shutil
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace

import imageio.v3 as iio
import numpy as np
import pytest
import torch
from conftest import LANDMARKS, fewer_landmarks, rows_of, train

from main import Settings, main, read_settings
from runtime.files import write_csv
from training.check import annotators_apart


def test_a_checkpoint_that_carries_code_is_refused_without_running_it(data, tmp_path, capsys):
    class Hostile:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'ran'}",)

    torch.save({"weights": Hostile()}, tmp_path / "hostile.pt")
    for flags in (("--mode", "test", "--checkpoint"), ("--init",)):
        ran = train(data, tmp_path / "run", *flags, tmp_path / "hostile.pt")
        assert ran.returncode == 1 and "hostile.pt: cannot be read as a checkpoint" in ran.stderr
    assert not (tmp_path / "ran").exists()


def test_the_check_names_what_is_suspicious(data, tmp_path, capsys):
    assert main(["--data", str(data), "--mode", "check", "--result", str(tmp_path / "run")]) == 0
    assert "check: nothing found" in capsys.readouterr().out
    rows = rows_of(data / "landmarks.csv")
    for row in rows:
        for i in range(LANDMARKS):
            if row["id"] == "a2":
                row[f"x{i}"], row[f"y{i}"] = row[f"y{i}"], row[f"x{i}"]
            if row["id"] == "a3":
                row[f"x{i}"] = str(90 - float(row[f"x{i}"]))
                row[f"network_x{i}"] = row[f"network_y{i}"] = "1"
    write_csv(data / "landmarks.csv", rows)
    shutil.copy(data / "train" / "a1.png", data / "valid" / "b2.png")
    assert main(["--data", str(data), "--mode", "check", "--result", str(tmp_path / "run")]) == 1
    said = capsys.readouterr().out
    for expected in (
        "train/a1 and valid/b2: nearly the same picture in two splits",
        "train/a2: x and y may be swapped",
        "train/a3: may be mirrored",
        "train/a3: 5 of 5 landmarks lie beside the body part",
        "train/a3: its points span 0.00 times what they do in others",
    ):
        assert expected in said, said
    assert said.count("check: ") == 5


def test_a_landmark_that_this_run_learns_nothing_of_is_named(data, tmp_path, capsys):
    """It is shown by one radiograph, which the lists leave out and a fold holds out."""
    rows = rows_of(data / "landmarks.csv")
    for row in rows:
        if row["id"] != "a3":
            row |= dict.fromkeys(("x2", "y2", "network_x2", "network_y2"), "")
    write_csv(data / "landmarks.csv", rows)
    lists = tmp_path / "lists"
    lists.mkdir()
    for name, ids in (("train", "a1 a2 a4"), ("test", "c1 c2"), ("valid", "b1 b2")):
        (lists / f"{name}.txt").write_text(ids.replace(" ", "\n"))
    learnt = "so nothing can be learnt of it; annotate it, or leave it out of the table"
    for flags, found in ((("--split", str(lists)), f"check: train shows no 2, {learnt}"), ((), "nothing found")):
        status = main(["--data", str(data), "--mode", "check", "--result", str(tmp_path / "run"), *flags])
        assert (status, found in capsys.readouterr().out) == ("train" in found, True)
    ran = train(data, tmp_path / "run", "--folds", 2, "--stages", "32x1", "--schedule", "fall")
    assert re.findall(r"fold \d: train shows no (\S+),", ran.stdout) == ["2"], ran.stdout + ran.stderr


def test_the_check_names_readings_that_do_not_go_together():
    """Of four radiographs of 200 x 100 px in a frame of 64 px: a smaller copy, two landmarks exchanged, one missing."""
    points = np.random.default_rng(0).permutation(np.mgrid[20:180:40, 10:90:20].reshape(2, -1).T)[:8].astype(float)
    anna = np.stack([points] * 4)
    ben = anna + 1
    ben[1] /= 2
    ben[2, [3, 5]] = ben[2, [5, 3]]
    ben[3, 3] = np.nan
    data = SimpleNamespace(
        split="train", ids=[*"abcd"], annotators=["anna", "ben"], readings_px=np.stack([anna, ben], 1), size=64, frame=(64, 64),
        sizes_px=np.array([[200, 100]] * 4), joint=SimpleNamespace(names=[*"stuvwxyz"]),
    )  # fmt: skip
    copy, order = annotators_apart([data])
    assert copy == "train/b: readers anna and ben lie 30% of the frame apart; are both of this picture?"
    assert order == "train/c: readers anna and ben may have exchanged landmarks v, x"


def blank_landmarks(data: Path) -> None:
    rows = rows_of(data / "landmarks.csv")
    points = [name for name in rows[0] if re.fullmatch(r"(network_)?[xy]\d+", name)]
    write_csv(data / "landmarks.csv", [row | dict.fromkeys(points, "") for row in rows])


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (lambda data: (data / "settings.json").write_text("{"), "not as data_preprocessing.py writes it"),
        (lambda data: (data / "settings.json").write_text('{"format": 0}'), "format 0 instead of"),
        (lambda data: (data / "landmarks.csv").write_text("id,split\na1,train\n"), "missing columns or cells"),
        (lambda data: change_table(data, "network_x1", "left"), "could not convert string to float: 'left'"),
        (lambda data: change_table(data, "network_y3", None), "'network_y3'"),
        (lambda data: (data / "landmarks.csv").write_text(""), "not as data_preprocessing.py writes it"),
        (lambda data: (data / "landmarks.csv").unlink(), "landmarks.csv: not found"),
        (lambda data: (data / "valid" / "b1.png").write_bytes(b""), "b1.png: cannot be read"),
        (lambda data: iio.imwrite(data / "train" / "a1.png", np.zeros((9, 9), np.uint8)), "a1.png: expected the shape (64, 64)"),
        (lambda data: drop_split(data, "train"), "expected radiographs of train, found none"),
        (blank_landmarks, "expected landmarks of train, found none; annotate them, and prepare again"),
    ],
)
def test_damaged_data_is_named(data, tmp_path, capsys, damage, expected):
    damage(data)
    ran = train(data, tmp_path / "run", "--stages", "32x1")
    assert ran.returncode == 1 and expected in ran.stderr, ran.stderr


def change_table(data: Path, column: str, value: str | None) -> None:
    rows = rows_of(data / "landmarks.csv")
    for row in rows:
        del row[column]
        if value:
            row[column] = value
    write_csv(data / "landmarks.csv", rows)


def drop_split(data: Path, split: str) -> None:
    write_csv(data / "landmarks.csv", [row for row in rows_of(data / "landmarks.csv") if row["split"] != split])


@pytest.mark.slow
def test_mistakes_get_one_line(data, tmp_path, capsys):
    assert train(data, tmp_path / "run", "--stages", "32x1").returncode == 0
    (tmp_path / "broken.pt").write_bytes(b"no checkpoint")
    torch.save({"weights": {}}, tmp_path / "strange.pt")
    other, listed = fewer_landmarks(data, tmp_path / "other"), tmp_path / "listed"
    listed.mkdir()
    for split, ids in (("train", "a1"), ("test", "c1")):
        (listed / f"{split}.txt").write_text(f"{ids}\n")
    cases = [
        (("--resume", "--stages", "32x1", "--learning_rate", "0.5"), "learning_rate 0.0006 -> 0.5"),
        (("--stages", "30x1", "--result", tmp_path / "new"), "stages: expected SIZExEPOCHS"),
        (("--mode", "test", "--checkpoint", tmp_path / "none.pt"), "none.pt: no such checkpoint"),
        (("--mode", "test", "--checkpoint", tmp_path / "strange.pt"), "strange.pt: expected a checkpoint of this program"),
        (("--mode", "test", "--checkpoint", tmp_path / "broken.pt"), "broken.pt: cannot be read as a checkpoint"),
        (("--mode", "test", "--split", listed, "--test_on", "valid"), "expected radiographs of valid, found none in its lists"),
        (("--mode", "test", "--data", other), f"expected 5 landmarks, found 4 landmarks in {other}"),
        (("--resume", "--stages", "32x1", "--checkpoint", "x", "--channels", "4"), "channels 8 -> 4"),
        (("--stages", "32x1", "--result", tmp_path / "broken.pt"), "broken.pt"),
        (("--stages", "64x1", "--levels", "8", "--result", tmp_path / "new"), "stages: expected SIZExEPOCHS"),
        (("--elastic", "0.2", "--result", tmp_path / "new"), "elastic must lie in [0, 0.0625]"),
        (("--data", tmp_path / "nowhere", "--result", tmp_path / "new"), "landmarks.csv: not found; run data_preprocessing.py"),
        (
            ("--learning_rate", "1e30", "--gradient_clip", "0", "--warmup", "0", "--result", tmp_path / "inf"),
            "the loss is not finite",
        ),
    ]
    for arguments, expected in cases:
        ran = train(data, tmp_path / "run", *arguments)
        assert ran.returncode == 1 and expected in ran.stderr, (arguments, ran.stderr)


def test_settings_out_of_range_are_named():
    for arguments, expected in (
        (("--batch_size", 0), "--batch_size: expected a number above 0, found 0"),
        (("--dropout", 1), "--dropout: expected a number from 0 to below 1, found 1.0"),
        (("--rotation", "nan"), "--rotation: expected a number from 0 to below 2^32, found nan"),
        (("--seed", 1 << 63), f"--seed: expected a number from 0 to below 2^32, found {1 << 63}"),
        (("--spatial_kernel", 4), "--spatial_kernel: expected an odd number, found 4"),
        (("--schedule", "steps"), "invalid choice: 'steps'"),
        (("--learning_rate", "fast"), "invalid float value: 'fast'"),
        (("--learning", "0.1"), "unrecognized arguments: --learning 0.1"),
    ):
        with pytest.raises(SystemExit) as stopped, contextlib.redirect_stderr(io.StringIO()) as said:
            read_settings([str(argument) for argument in arguments])
        assert stopped.value.code == 2 and expected in said.getvalue()


def test_help_explains_every_setting_by_its_comment(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    with pytest.raises(SystemExit):
        read_settings(["--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert "--folds FOLDS 5: five networks, each without a fifth of train and valid, then one of them all; 0: valid" in said
    assert "+- this fraction of the picture; more would leave few landmarks near its real border (default: 0.03)" in said
    assert len(re.findall(r"\S \(default: ", said)) == len(fields(Settings)) - 1
