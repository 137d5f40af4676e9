"""Runs that are told no folder: every training gets its own, and what comes after takes the newest."""

import json

import imageio.v3 as iio
import pytest
import torch
from conftest import LANDMARKS, SMALL_RUN, made_radiograph, rows_of

import export
import predict
from main import main, read_settings
from runtime.files import DataError
from training.runs import new_run, newest_run, numbered
from training.settings import show

SHORT = (*SMALL_RUN, "--stages", "32x1")


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


@pytest.mark.slow
def test_each_command_takes_the_right_run(prepared, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    iio.imwrite("a.png", made_radiograph(0)[0])
    assert run("--data", prepared, *SHORT) == 0
    assert run("--data", prepared, *SHORT, "--seed", 1) == 0
    assert [path.name for path in numbered()] == ["001", "002"]

    # a run that was interrupted after its first epoch of two
    assert run("--data", prepared, *SMALL_RUN, "--stages", "32x2") == 0
    third = tmp_path / "result" / "003"
    (third / "previous.pt").replace(third / "last.pt")
    (third / "test.json").unlink()
    capsys.readouterr()
    assert run("--data", prepared, *SMALL_RUN, "--stages", "32x2", "--resume") == 0
    said = capsys.readouterr().out
    assert "going on after epoch 1 of 2" in said and "test of result/003/best.pt" in said
    assert len(rows_of(third / "metrics.csv")) == 2 and (third / "test.json").exists()

    for folder in ("001", "003"):
        (tmp_path / "result" / folder / "test.json").unlink()
    assert run("--mode", "test", "--data", prepared) == 0
    assert (third / "test.json").exists() and not (tmp_path / "result" / "001" / "test.json").exists()
    assert export.main(["--finder_steps", "2"]) == 0  # its data too are those that the run was trained on
    assert predict.main(["a.png", "--out", "found"]) == 0
    assert "weights: result/003/weights.pt" in capsys.readouterr().out
    exported, best = (torch.load(third / name, weights_only=True)["weights"] for name in ("weights.pt", "best.pt"))
    assert all(torch.equal(exported[name], best[name].half()) for name in best)
    assert len(rows_of(tmp_path / "found" / "landmarks.csv")) == LANDMARKS

    assert run("--mode", "runs") == 0
    _, *lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["001", "002", "003"]
    assert "--seed 1" in lines[1] and "--seed" not in lines[0] and "--channels 8" in lines[0]
    best = min(float(row["valid_ipe_px"]) for row in rows_of(third / "metrics.csv"))
    test = json.loads((third / "test.json").read_text())["ipe_px"]
    assert f"{best:.3f}" in lines[2] and f"{test:.3f}" in lines[2]


def test_a_mistake_costs_no_number(prepared, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run("--data", prepared, *SMALL_RUN, "--stages", "31x1") == 1
    assert run("--data", tmp_path / "nowhere", *SHORT) == 1
    assert not numbered()


def test_without_a_run_the_mistake_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for mode in (["--mode", "test"], ["--resume"]):
        assert main(mode) == 1
    assert export.main([]) == 1
    said = capsys.readouterr().err
    assert said.count("train first, or name a folder") + said.count("run data_preprocessing.py") == 3


def test_runs_that_start_together_get_two_folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert [new_run().name for _ in range(2)] == ["001", "002"]
    (tmp_path / "result" / "099").mkdir()
    (tmp_path / "result" / "notes").mkdir()
    assert new_run().name == "100"
    with pytest.raises(DataError, match=r"expected a run with best\.pt"):
        newest_run("best.pt")
    (tmp_path / "result" / "002" / "best.pt").write_text("")
    assert newest_run("best.pt").name == "002"


def test_settings_other_than_the_default_are_marked(capsys):
    show(read_settings(["--learning_rate", "0.5"]))
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith("*")] == ["* learning_rate      0.5"]
