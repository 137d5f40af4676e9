"""Interrupted and damaged trainings go on and end where uninterrupted ones end; those that are killed: test_faults.py."""

import os
import signal
import time
from dataclasses import replace
from multiprocessing import active_children
from pathlib import Path

import imageio.v3 as iio
import pytest
import torch
from conftest import LANDMARKS, SMALL_RUN, preprocess, rows_of, spawn, train, weights_of

import solver
from dataloader import RadiographDataset, batches_of, make_loader
from main import Settings, main, read_settings
from runtime.files import DataError, write_csv
from training.recipe import choose
from training.runs import STATES
from training.state import refuse_other


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT to send")
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_by_the_user_or_a_scheduler_and_alone_in_its_folder(data, tmp_path, capsys, sent):
    arguments = ["main.py", "--data", data, "--result", tmp_path / "run", *SMALL_RUN, "--stages", "64x5000"]

    def as_at_a_terminal() -> None:  # a test run in the background ignores Ctrl-C, and what it starts inherits that
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})

    process = spawn(*arguments, preexec_fn=as_at_a_terminal)
    while not (tmp_path / "run" / "last.pt").exists():
        assert process.poll() is None
        time.sleep(0.02)
    ran = train(data, tmp_path / "run", "--stages", "64x5000", "--resume")
    assert ran.returncode == 1 and "run: another run is writing there" in ran.stderr
    process.send_signal(sent)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130 and "--resume" in stderr and "Traceback" not in stderr
    left = next(
        path for name in STATES if (path := tmp_path / "run" / name).exists()
    )  # between two writes there is the one before
    assert torch.load(left, weights_only=True)["history"]


def test_dropout_goes_on_alike_with_any_number_of_loading_processes(prepared):
    """In the first epoch of a resumed run as in a later one of an uninterrupted run, whose processes are there already."""
    data, expected = RadiographDataset(prepared, "train"), []
    for workers in (0, 0, 2):
        loader = make_loader(data, 2, workers)
        for _ in range(2):
            torch.manual_seed(0)
            assert len([*batches_of(loader)]) == 2
            expected.append(torch.rand(4).tolist())
    assert expected == 6 * expected[:1]


def test_the_processes_that_prepare_batches_end_with_the_training(prepared, tmp_path):
    settings = read_settings([*map(str, SMALL_RUN), "--stages", "32x1", "--data", str(prepared), "--workers", "2"])
    data, before = [RadiographDataset(prepared, split) for split in ("train", "valid")], set(active_children())
    trained = solver.train(choose(settings, data[0])[0], tmp_path / "run", *data)
    assert trained.first_look.loader.num_workers == 2 and set(active_children()) == before


def test_of_a_resumed_run_the_difference_is_said_before_what_follows_from_it(data, raw, tmp_path, capsys):
    assert train(data, tmp_path / "run", "--stages", "32x1").returncode == 0
    assert preprocess(raw, tmp_path / "larger", "--size", 96).returncode == 0
    ran = train(tmp_path / "larger", tmp_path / "run", "--stages", "32x1", "--resume")
    assert ran.returncode == 1 and "last.pt: made with other settings (size 64 -> 96" in ran.stderr


def test_other_data_are_refused(data, tmp_path, capsys):
    assert train(data, tmp_path / "run", "--stages", "32x2").returncode == 0
    (tmp_path / "run" / "previous.pt").replace(tmp_path / "run" / "last.pt")
    rows = rows_of(data / "landmarks.csv")
    rows[0]["x0"] = str(float(rows[0]["x0"]) + 1)
    write_csv(data / "landmarks.csv", rows)
    iio.imwrite(data / "valid" / "b1.png", iio.imread(data / "valid" / "b2.png"))
    ran = train(data, tmp_path / "run", "--stages", "32x2", "--resume")
    assert (
        ran.returncode == 1 and "other radiographs or landmarks in train, other radiographs or landmarks in valid" in ran.stderr
    )


def test_a_setting_that_is_newer_than_the_state_counts_as_its_default(data):
    state = {"settings": {"stages": "32x2"}, "data": {}, "network": {"num_landmarks": LANDMARKS}, "digests": {}}
    train_data, settings = RadiographDataset(data, "train"), replace(Settings(), stages="32x2")
    refuse_other(Path("last.pt"), state, settings, train_data, {})
    with pytest.raises(DataError, match=r"rotation 10\.0 -> 20"):
        refuse_other(Path("last.pt"), state, replace(settings, rotation=20), train_data, {})


def test_a_crop_of_the_second_look_is_not_taken_for_that_of_the_preparation(data):
    train_data = RadiographDataset(data, "train")
    state = {"settings": {}, "data": train_data.settings, "network": {"num_landmarks": LANDMARKS}, "digests": {}}
    refuse_other(Path("last.pt"), state, Settings(), train_data, {})
    with pytest.raises(DataError, match="crop 40 -> 48"):
        refuse_other(Path("last.pt"), state, Settings(crop=48), train_data, {})


@pytest.mark.slow
def test_a_damaged_last_state_falls_back_to_the_one_before(data, tmp_path, capsys):
    for result in ("whole", "damaged"):
        assert train(data, tmp_path / result, "--stages", "32x4").returncode == 0
    last = tmp_path / "damaged" / "last.pt"
    content = bytearray(last.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 200] = bytes(255 - value for value in content[middle : middle + 200])  # more than mere padding
    for broken in (bytes(content), content[: len(content) // 3], b""):
        last.write_bytes(broken)
        arguments = ["--data", data, "--result", tmp_path / "damaged", *SMALL_RUN, "--stages", "32x4", "--resume"]
        assert main([str(argument) for argument in arguments]) == 0
        said = capsys.readouterr().out
        assert "last.pt: cannot be read as a checkpoint" in said and "going on after epoch 3 of 4" in said
        whole, again = weights_of(tmp_path / "whole" / "last.pt"), weights_of(last)
        assert all(torch.equal(whole[name], again[name]) for name in whole)


def test_learnt_widths_go_on_too(data, tmp_path, capsys):
    flags = ("--stages", "32x3", "--learn_sigma", 1, "--warmup", 0, "--learning_rate", 1e-3)
    assert train(data, tmp_path / "run", *flags).returncode == 0
    state = torch.load(tmp_path / "run" / "last.pt", weights_only=True)
    whole, prepared = state["sigmas_px"], state["data"]["sigma"]
    assert len(whole) == LANDMARKS and all(abs(value / prepared - 1) > 1e-3 for value in whole)
    (tmp_path / "run" / "previous.pt").replace(tmp_path / "run" / "last.pt")
    assert train(data, tmp_path / "run", *flags, "--resume").returncode == 0
    assert torch.load(tmp_path / "run" / "last.pt", weights_only=True)["sigmas_px"] == whole
