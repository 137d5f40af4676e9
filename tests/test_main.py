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

import imageio.v3 as iio
import numpy as np
import pytest
import torch
from conftest import LANDMARKS, ROOT, SMALL_RUN, SPLITS, command, preprocess, train

from files import write_csv
from main import main, read_settings


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
        float(row[f"{split}_{key}"]) >= 0
        for row in epochs
        for split in ("train", "valid")
        for key in ("loss", "ipe_px", "or_10px")
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
    again = command("main.py", "--mode", "test", "--data", data, "--result", result, "--checkpoint", result / "best.pt")
    assert again.returncode == 0, again.stderr
    assert (result / "test.json").read_text() == (tmp_path / "first.json").read_text()
    assert torch.load(result / "best.pt", weights_only=True)["valid_ipe_px"] == pytest.approx(
        min(float(row["valid_ipe_px"]) for row in epochs)
    )

    refused = train(data, result)
    assert refused.returncode == 1 and "an earlier run is there; go on with --resume" in refused.stderr


def test_learns_the_made_landmarks(data, tmp_path, capsys):
    result = tmp_path / "result"
    stages = ("--stages", "32x30 64x10", "--channels", 16, "--learning_rate", 3e-3, "--warmup", 10, "--dropout", 0)
    status, said = in_process(capsys, data, result, *stages)
    assert status == 0, said
    assert json.loads((result / "test.json").read_text())["ipe_px"] < 1


def test_killed_in_mid_epoch_and_resumed_ends_where_an_uninterrupted_run_ends(data, tmp_path):
    stages = ("--stages", "32x3 64x12")
    assert train(data, tmp_path / "whole", *stages).returncode == 0
    arguments = ["main.py", "--data", data, "--result", tmp_path / "killed", *SMALL_RUN, *stages]
    process = subprocess.Popen([sys.executable, *map(str, arguments)], cwd=ROOT, stdout=subprocess.DEVNULL)
    while not (tmp_path / "killed" / "metrics.csv").exists() or len(rows_of(tmp_path / "killed" / "metrics.csv")) < 3:
        assert process.poll() is None
        time.sleep(0.02)
    process.kill()  # at the rise of the resolution, or soon after
    process.wait()
    assert len(rows_of(tmp_path / "killed" / "metrics.csv")) < 15
    ran = train(data, tmp_path / "killed", *stages, "--resume")
    assert ran.returncode == 0 and "going on after epoch" in ran.stdout, ran.stderr
    for checkpoint in ("last.pt", "best.pt"):
        whole, killed = weights_of(tmp_path / "whole" / checkpoint), weights_of(tmp_path / "killed" / checkpoint)
        assert all(torch.equal(whole[name], killed[name]) for name in whole)
    assert (tmp_path / "whole" / "test.json").read_text() == (tmp_path / "killed" / "test.json").read_text()
    for one, other in zip(rows_of(tmp_path / "whole" / "metrics.csv"), rows_of(tmp_path / "killed" / "metrics.csv"), strict=True):
        del one["seconds"], other["seconds"]
        assert one == other


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT to send")
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_by_the_user_or_a_scheduler_and_alone_in_its_folder(data, tmp_path, capsys, sent):
    arguments = ["main.py", "--data", data, "--result", tmp_path / "run", *SMALL_RUN, "--stages", "64x500"]
    process = subprocess.Popen(
        [sys.executable, *map(str, arguments)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    while not (tmp_path / "run" / "last.pt").exists():
        assert process.poll() is None
        time.sleep(0.02)
    status, said = in_process(capsys, data, tmp_path / "run", "--stages", "64x500", "--resume")
    assert status == 1 and "run: another run is writing there" in said
    process.send_signal(sent)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130 and "--resume" in stderr and "Traceback" not in stderr
    assert torch.load(tmp_path / "run" / "last.pt", weights_only=True)["history"]


def test_a_damaged_last_state_falls_back_to_the_one_before(data, tmp_path, capsys):
    for result in ("whole", "damaged"):
        assert in_process(capsys, data, tmp_path / result, "--stages", "32x4")[0] == 0
    last = tmp_path / "damaged" / "last.pt"
    content = bytearray(last.read_bytes())
    content[len(content) // 2] ^= 255
    for broken in (bytes(content), content[: len(content) // 3], b""):
        last.write_bytes(broken)
        arguments = ["--data", data, "--result", tmp_path / "damaged", *SMALL_RUN, "--stages", "32x4", "--resume"]
        assert main([str(argument) for argument in arguments]) == 0
        said = capsys.readouterr().out
        assert "last.pt: cannot be read as a checkpoint" in said and "going on after epoch 3 of 4" in said
        whole, again = weights_of(tmp_path / "whole" / "last.pt"), weights_of(last)
        assert all(torch.equal(whole[name], again[name]) for name in whole)


def test_a_checkpoint_that_carries_code_is_refused_without_running_it(data, tmp_path, capsys):
    class Hostile:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'ran'}",)

    torch.save({"weights": Hostile()}, tmp_path / "hostile.pt")
    for flags in (("--mode", "test", "--checkpoint"), ("--init",)):
        status, said = in_process(capsys, data, tmp_path / "run", *flags, tmp_path / "hostile.pt")
        assert status == 1 and "hostile.pt: cannot be read as a checkpoint" in said
    assert not (tmp_path / "ran").exists()


def test_two_processes_are_as_one(data, tmp_path):
    """With two processes (by torchrun) the same numbers as with one, and either goes on where the other stopped."""
    settings = [*SMALL_RUN, "--stages", "32x4", "--dropout", "0", "--batch_size", "3"]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "main.py"]
    arguments = ["--data", data, *settings, "--result"]
    assert command("main.py", *arguments, tmp_path / "one").returncode == 0
    ran = subprocess.run([*torchrun, *map(str, [*arguments, tmp_path / "two"])], cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count("test of") == 1  # only one process speaks
    for one, two in zip(rows_of(tmp_path / "one" / "metrics.csv"), rows_of(tmp_path / "two" / "metrics.csv"), strict=True):
        assert {key: float(value) for key, value in two.items() if key != "seconds"} == pytest.approx(
            {key: float(value) for key, value in one.items() if key != "seconds"}, rel=1e-3, abs=1e-3
        )
    shutil.copytree(tmp_path / "two", tmp_path / "on")
    for name in ("previous.pt", "test.json"):
        (tmp_path / "on" / name).rename(tmp_path / "on" / ("last.pt" if name == "previous.pt" else "old.json"))
    ran = command("main.py", *arguments, tmp_path / "on", "--resume")
    assert ran.returncode == 0 and "going on after epoch 3 of 4" in ran.stdout, ran.stderr
    one, on = (json.loads((tmp_path / name / "test.json").read_text())["ipe_px"] for name in ("one", "on"))
    assert on == pytest.approx(one, rel=1e-3)


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
        "train/a3: 5 of 5 landmarks lie beside the hand",
    ):
        assert expected in said, said
    assert said.count("check: ") == 4


def in_process(capsys, data, result, *more) -> tuple[int, str]:
    """Exit status and standard error of main.py, without the seconds that a process of its own takes to start."""
    status = main([str(argument) for argument in ("--data", data, "--result", result, *SMALL_RUN, *more)])
    return status, capsys.readouterr().err


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


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (lambda data: (data / "settings.json").write_text("{"), "not as data_preprocessing.py writes it"),
        (lambda data: (data / "settings.json").write_text('{"format": 0}'), "format 0 instead of"),
        (lambda data: (data / "landmarks.csv").write_text("id,split\na1,train\n"), "missing columns or cells"),
        (lambda data: (data / "landmarks.csv").write_text(""), "not as data_preprocessing.py writes it"),
        (lambda data: (data / "landmarks.csv").unlink(), "landmarks.csv: not found"),
        (lambda data: (data / "valid" / "b1.npz").write_bytes(b""), "b1.npz: cannot be read"),
        (lambda data: iio.imwrite(data / "train" / "a1.png", np.zeros((9, 9), np.uint8)), "a1.png: expected the shape (64, 64)"),
        (lambda data: drop_split(data, "test"), "expected radiographs of test, found none"),
    ],
)
def test_damaged_data_is_named(data, tmp_path, capsys, damage, expected):
    damage(data)
    status, said = in_process(capsys, data, tmp_path / "run", "--stages", "32x1")
    assert status == 1 and expected in said, said


def drop_split(data: Path, split: str) -> None:
    write_csv(data / "landmarks.csv", [row for row in rows_of(data / "landmarks.csv") if row["split"] != split])


def test_mistakes_get_one_line(data, tmp_path, capsys):
    assert in_process(capsys, data, tmp_path / "run", "--stages", "32x1")[0] == 0
    (tmp_path / "broken.pt").write_bytes(b"no checkpoint")
    torch.save({"weights": {}}, tmp_path / "strange.pt")
    other = fewer_landmarks(data, tmp_path / "other")
    cases = [
        (("--resume", "--stages", "32x1", "--learning_rate", "0.5"), "learning_rate 0.0006 -> 0.5"),
        (("--stages", "30x1", "--result", tmp_path / "new"), "stages: expected SIZExEPOCHS"),
        (("--mode", "test", "--checkpoint", tmp_path / "none.pt"), "none.pt: no such checkpoint"),
        (("--mode", "test", "--checkpoint", tmp_path / "strange.pt"), "strange.pt: expected a checkpoint of this program"),
        (("--mode", "test", "--checkpoint", tmp_path / "broken.pt"), "broken.pt: cannot be read as a checkpoint"),
        (("--mode", "test", "--data", other), "does not fit the landmarks of the data"),
        (
            ("--resume", "--stages", "32x1", "--checkpoint", "x", "--channels", "4"),
            "does not fit the landmarks of the data or the model settings",
        ),
        (("--stages", "32x1", "--result", tmp_path / "broken.pt"), "broken.pt"),
        (("--stages", "64x1", "--levels", "8", "--result", tmp_path / "new"), "stages: expected SIZExEPOCHS"),
        (("--elastic", "0.2", "--result", tmp_path / "new"), "elastic must lie in [0, 0.0625]"),
        (("--data", tmp_path / "nowhere", "--result", tmp_path / "new"), "landmarks.csv: not found; run data_preprocessing.py"),
        (
            ("--learning_rate", "1e30", "--gradient_clip", "0", "--warmup", "0", "--result", tmp_path / "inf"),
            "the loss is not finite (heatmaps",
        ),
    ]
    for arguments, expected in cases:
        status, said = in_process(capsys, data, tmp_path / "run", *arguments)
        assert status == 1 and expected in said, (arguments, said)


def test_training_starts_from_the_weights_of_another_run(data, tmp_path, capsys):
    still = ("--stages", "64x1", "--learning_rate", "1e-12", "--ridge", "0")
    assert in_process(capsys, data, tmp_path / "first", "--stages", "64x1")[0] == 0
    init = ("--init", tmp_path / "first" / "best.pt")
    assert in_process(capsys, data, tmp_path / "second", *still, *init)[0] == 0
    first, second = weights_of(tmp_path / "first" / "best.pt"), weights_of(tmp_path / "second" / "best.pt")
    assert all(torch.allclose(first[name], second[name], atol=1e-6) for name in first)

    other = fewer_landmarks(data, tmp_path / "other")
    assert main([str(a) for a in ("--data", other, "--result", tmp_path / "third", *SMALL_RUN, *still, *init)]) == 0
    assert "random, because their shapes differ: local_appearance.head.bias, local_app" in capsys.readouterr().out
    third = weights_of(tmp_path / "third" / "best.pt")
    same = {
        name for name in first if first[name].shape == third[name].shape and torch.allclose(first[name], third[name], atol=1e-6)
    }
    assert len(first) - len(same) == 5  # both heads, and the kernels that see the local heatmaps

    status, said = in_process(capsys, data, tmp_path / "fourth", *still, *init, "--channels", "4")
    assert status == 1 and "is another network than the model settings ask for" in said


def test_a_list_of_ids_replaces_the_folders_splits(data, tmp_path, capsys):
    """Radiographs of every folder, in the roles that the lists give them: the first and every tenth of train validate."""
    (tmp_path / "one_train.txt").write_text("c1\na1\nb1\n a2\nelsewhere\n")
    (tmp_path / "one_test.txt").write_text("a3\nb2\n")
    arguments = ["--data", data, "--result", tmp_path / "run", *SMALL_RUN, "--stages", "32x1", "--split", tmp_path / "one_"]
    assert main([str(argument) for argument in arguments]) == 0
    said = capsys.readouterr().out
    assert "train 3 of 4 listed radiographs" in said and "valid 1 of 1 listed" in said and "test  2 of 2 listed" in said
    assert {row["image"] for row in rows_of(tmp_path / "run" / "test_landmarks.csv")} == {"a3", "b2"}
    (tmp_path / "one_test.txt").write_text("a1\n")
    for split, expected in (
        ("one_", "a1 is in train and in test"),
        ("two_", "two_train.txt: expected a text file with one ID a line"),
    ):
        status, said = in_process(capsys, data, tmp_path / "other", "--split", tmp_path / split)
        assert status == 1 and expected in said


def test_any_split_is_measured(data, tmp_path, capsys):
    assert in_process(capsys, data, tmp_path / "run", "--stages", "32x1")[0] == 0
    assert in_process(capsys, data, tmp_path / "run", "--mode", "test", "--test_on", "valid")[0] == 0
    figures = json.loads((tmp_path / "run" / "test.json").read_text())
    assert figures["split"] == "valid"
    assert figures["ipe_px"] == pytest.approx(float(rows_of(tmp_path / "run" / "metrics.csv")[0]["valid_ipe_px"]), abs=1e-5)


def test_settings_out_of_range_are_named():
    for arguments, expected in (
        (("--batch_size", 0), "--batch_size: expected a number above 0, found 0"),
        (("--dropout", 1), "--dropout: expected a number from 0 to below 1, found 1.0"),
        (("--rotation", "nan"), "--rotation: expected a number from 0, found nan"),
        (("--spatial_kernel", 4), "--spatial_kernel: expected an odd number, found 4"),
        (("--schedule", "steps"), "invalid choice: 'steps'"),
        (("--learning_rate", "fast"), "invalid float value: 'fast'"),
        (("--learning", "0.1"), "unrecognized arguments: --learning 0.1"),
    ):
        with pytest.raises(SystemExit) as stopped, contextlib.redirect_stderr(io.StringIO()) as said:
            read_settings([str(argument) for argument in arguments])
        assert stopped.value.code == 2 and expected in said.getvalue()


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
