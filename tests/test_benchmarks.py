"""Every benchmark in small, on made radiographs: what it prints, and that the work it measures is the work it says."""

import re

import pytest
import torch
from conftest import LANDMARKS, ROOT, make_raw

from benchmarks import inference, machine, step
from experiments import common
from prediction.predictor import Predictor
from runtime.checkpoint import read_checkpoint, write_checkpoint


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    return make_raw(tmp_path_factory.mktemp("made") / "raw")


@pytest.fixture(scope="module")
def prepared_small(raw, tmp_path_factory):
    folder = tmp_path_factory.mktemp("prepared")
    common.prepare(raw, folder, size=64)
    return folder


def run(module, capsys, *arguments: object) -> str:
    """What a benchmark prints."""
    module.main([str(argument) for argument in arguments])
    return capsys.readouterr().out


def numbers(line: str) -> list[float]:
    """Those that stand for themselves in a line, not in a word."""
    return [float(number) for number in re.findall(r"(?<![\w.])\d+(?:\.\d+)?(?!\w)", line)]


def test_pieces_of_work_take_turns():
    order = []
    assert len(machine.seconds(lambda: order.append("a"), lambda: order.append("b"), repeats=3)) == 2
    assert "".join(order) == "abababab"  # the first turn is to warm up


def test_step(capsys):
    *_, header, forward, training = run(step, capsys, "--sizes", 32, "--batch", 1, "--channels", 8, "--repeats", 1).splitlines()
    assert header.split()[:3] == ["size", "pass", "GFLOP"]
    local = 25 * (1024 * (1 * 8 + 2 * 8 * 8 + 8 * 37) + (256 + 64 + 16) * 3 * 8 * 8)  # multiplications, by hand
    spatial = 225 * 1024 * (2 * 37 * 8 + 2 * 8 * 8)
    assert numbers(forward)[:2] == [32, round(2 * (local + spatial) / 1e9, 1)]
    assert numbers(training)[:2] == [32, round(6 * (local + spatial) / 1e9, 1)]
    assert [len(numbers(line)) for line in (forward, training)] == [6, 6]


@pytest.mark.slow
def test_inference(tmp_path, capsys):
    state = read_checkpoint(ROOT / "weights" / "scn_hand.pt")
    del state["known_answer"]  # which is that of whole pictures
    write_checkpoint(tmp_path / "small.pt", state | {"size": 64})  # the shipped network on smaller pictures
    said = run(inference, capsys, "--weights", tmp_path / "small.pt", "--batches", 1, 2, "--repeats", 1)
    rows = [numbers(line) for line in said.splitlines()[2:]]
    assert [row[:2] for row in rows] == [[1, 9.0], [2, 9.0]]  # GFLOP as in docs/lab/performance.md
    assert all(network > 0 and whole > 0 for _, _, network, whole, _ in rows)
    rate = float(re.search(r"convolution (\d+) GFLOP/s", said)[1])
    assert rows[0][4] == pytest.approx(100 * 9.0 / rate / rows[0][2], rel=0.1)


def test_engines(prepared_small, weights, capsys, monkeypatch):
    """The errors of each engine are those of its own heatmaps: one that sees nothing is far off."""
    predictor = Predictor(weights)
    blank = torch.zeros(1, LANDMARKS, predictor.size, predictor.size)
    made = {
        "by torch": lambda picture: predictor.model(picture, predictor.spatial_factor)[0].detach(),
        "blind": lambda picture: blank,
    }
    monkeypatch.setattr(inference, "engines_of", lambda *_: made)
    lines = run(inference, capsys, "--data", prepared_small, "--weights", weights).splitlines()
    (_, sees, _, still), (_, blind, _, moved) = (numbers(line) for line in lines[-2:])
    assert still == 0 and sees < blind / 3 and moved > 5
