"""Every benchmark in small, on made radiographs: what it prints, and that the work it measures is the work it says."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import LANDMARKS, ROOT, SMALL_RUN, SPLITS, make_raw

import model
from benchmarks import (
    archive,
    compiled,
    drawing,
    engines,
    growth,
    inference,
    loader,
    machine,
    preprocessing,
    step,
    time_to_accuracy,
)
from benchmarks.step import make_step
from dataloader import RadiographDataset
from experiments import common
from main import read_settings
from model import SCN
from prediction.predictor import Predictor
from radiographs.raw_folder import find_radiographs, read_points
from runtime.checkpoint import read_checkpoint, write_checkpoint
from runtime.command import cores


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


def test_a_command_is_measured_with_its_children():
    child = "import time; x = b'x' * (150 << 20); time.sleep(0.5)"
    taken = machine.measure_command(
        "-c", f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}]); print('yes')"
    )
    assert taken.output == "yes\n" and 0.5 < taken.seconds < 60 and 150 < taken.peak_mb < 250
    with pytest.raises(SystemExit, match="ValueError: mine"):
        machine.measure_command("-c", "raise ValueError('mine')")


def test_pieces_of_work_take_turns():
    order = []
    assert len(machine.seconds(lambda: order.append("a"), lambda: order.append("b"), repeats=3)) == 2
    assert "".join(order) == "abababab"  # the first turn is to warm up


def test_the_untuned_network_is_the_same_function_by_other_means(monkeypatch):
    torch.manual_seed(0)
    tuned, untuned = SCN(num_landmarks=5, channels=4).eval(), step.UntunedSCN(num_landmarks=5, channels=4).eval()
    untuned.load_state_dict(tuned.state_dict())
    image = torch.randn(2, 1, 64, 64)
    expected = tuned(image, 2)
    expected[0].sum().backward()

    def refuse(*_):
        raise AssertionError("the untuned network must do without")

    monkeypatch.setattr(model.ConvolveLarge, "apply", refuse)
    monkeypatch.setattr(model, "upsample_bicubic", refuse)
    given = untuned(image, 2)
    given[0].sum().backward()
    gradients = [[weight.grad for weight in network.parameters()] for network in (tuned, untuned)]
    for one, other in zip([*expected, *gradients[0]], [*given, *gradients[1]], strict=True):
        assert torch.allclose(one, other, rtol=1e-3, atol=1e-4 * one.detach().abs().max().item())


def test_step(capsys):
    *_, header, forward, training = run(step, capsys, "--sizes", 32, "--batch", 1, "--channels", 8, "--repeats", 1).splitlines()
    assert header.split()[:3] == ["size", "pass", "GFLOP"]
    local = 25 * (1024 * (1 * 8 + 2 * 8 * 8 + 8 * 37) + (256 + 64 + 16) * 3 * 8 * 8)  # multiplications, by hand
    spatial = 225 * 1024 * (2 * 37 * 8 + 2 * 8 * 8)
    assert numbers(forward)[:2] == [32, round(2 * (local + spatial) / 1e9, 1)]
    assert numbers(training)[:2] == [32, round(6 * (local + spatial) / 1e9, 1)]
    assert [len(numbers(line)) for line in (forward, training)] == [7, 7]


@pytest.mark.slow
def test_inference(tmp_path, capsys):
    state = read_checkpoint(ROOT / "weights" / "scn_hand.pt")
    del state["known_answer"]  # which is that of whole pictures
    write_checkpoint(tmp_path / "small.pt", state | {"size": 64})  # the shipped network on smaller pictures
    said = run(inference, capsys, "--weights", tmp_path / "small.pt", "--batches", "1,2", "--repeats", 1)
    rows = [numbers(line) for line in said.splitlines()[2:]]
    assert [row[:2] for row in rows] == [[1, 9.0], [2, 9.0]]  # GFLOP as in docs/performance.md
    assert all(network > 0 and whole > 0 for _, _, network, whole, _ in rows)
    rate = float(re.search(r"convolution (\d+) GFLOP/s", said)[1])
    assert rows[0][4] == pytest.approx(100 * 9.0 / rate / rows[0][2], rel=0.1)


def test_loader(prepared_small, monkeypatch, capsys):
    steps = []
    monkeypatch.setattr(loader, "make_step", lambda *where, **what: steps.append((*where, what)) or make_step(*where, **what))
    said = run(loader, capsys, "--data", prepared_small, "--sizes", "32,64", "--batch", 2, "--channels", 8, "--repeats", 1)
    rows = [numbers(line) for line in said.splitlines()[2:]]
    shape = {"batch": 2, "channels": 8, "landmarks": LANDMARKS}
    assert [row[0] for row in rows] == [32, 64]
    assert [(size, frame, what | shape == what) for size, frame, what in steps] == [(32, 64, True), (64, 64, True)]
    for _, read, warp, draw, whole, share in rows:
        assert share == pytest.approx(100 * (read + warp + draw) / (read + warp + whole), rel=0.1) and 0 < share < 100


def test_preprocessing(raw, capsys):
    threads = torch.get_num_threads()
    said = run(preprocessing, capsys, "--raw", raw, "--size", 64, "--repeats", 1)
    assert torch.get_num_threads() == threads
    assert "90 x 120 px\n" in said
    stages = re.findall(r"^(\w[\w ]+?) +([\d.]+) ms$", said, re.MULTILINE)
    assert len(stages) == 6 and stages[0][0] == "read the file"
    count, processes, seconds, rate = numbers(said.splitlines()[-1].replace(" s,", ","))
    assert (count, processes) == (8, cores()) and 8 / rate == pytest.approx(seconds, abs=0.06)


@pytest.mark.slow
def test_drawing(capsys):
    said = run(drawing, capsys, "--counts", "2")
    count, seconds, rate, peak = numbers(said.splitlines()[-1])
    assert count == 2 and 2 / rate == pytest.approx(seconds, rel=0.05) and 100 < peak < 5000


def test_repeated_radiographs_all_differ(raw, tmp_path):
    growth.repeat_radiographs(raw, tmp_path, 6)
    radiographs, errors = find_radiographs(tmp_path)
    assert not errors and len({path.read_bytes() for _, path in radiographs.values()}) == 6 + growth.HELD_OUT
    splits = [split for split, _ in radiographs.values()]
    assert [splits.count(split) for split in SPLITS] == [6, 4, 4]
    points, originals = (read_points(folder / "all_coordinates.csv") for folder in (tmp_path, raw))
    assert points.keys() == radiographs.keys()
    for number in range(6):
        original = SPLITS["train"][number % len(SPLITS["train"])]
        assert np.array_equal(points[f"{number:06d}"], originals[original])


def test_growth(raw, tmp_path, monkeypatch, capsys):
    """What it does with commands' times; the commands themselves are run by the next test."""
    commands = []

    def measured(*command) -> machine.Measured:
        if command[0] == "data_preprocessing.py":
            radiographs, _ = find_radiographs(command[command.index("--raw") + 1])
            commands.append(len(radiographs))
        commands.append([str(part) for part in command])
        return machine.Measured(len(commands), 300 + len(commands), "")

    monkeypatch.setattr(growth, "measure_command", measured)
    said = run(growth, capsys, "--raw", raw, "--weights", tmp_path / "own.pt", "--counts", "4,5", "--predict", 4)
    few, many = (numbers(line) for line in said.splitlines()[2:])
    assert few == [4, 2, 500, 302, 3, 750, 303, 4, 1000, 304]  # seconds, milliseconds each, MB of each command
    assert many == [5, 6, 1200, 306, 7, 1400, 307]
    assert commands[0] == 4 + growth.HELD_OUT and commands[4] == 5 + growth.HELD_OUT
    prepare, train, predict = commands[1:4]
    settings = read_settings(train[1:])
    assert (settings.channels, settings.stages, settings.init) == (16, "128x1", "")
    assert train[0] == "main.py" and settings.data == prepare[prepare.index("--out") + 1]
    assert predict[0] == "predict.py" and predict[1] == prepare[prepare.index("--raw") + 1] + "/train"
    assert predict[predict.index("--weights") + 1] == str(tmp_path / "own.pt")


def test_growth_of_made_pictures(monkeypatch, capsys):
    """The folder that it makes is one that training takes; the time is a made one."""
    seen = []

    def measured(script, *arguments) -> machine.Measured:
        settings = read_settings([str(part) for part in arguments])
        seen.append({split: len(RadiographDataset(Path(settings.data), split)) for split in SPLITS} | {"stages": settings.stages})
        return machine.Measured(2.0, 300, "")

    monkeypatch.setattr(growth, "measure_command", measured)
    *_, row = run(growth, capsys, "--made", "5").splitlines()
    assert seen == [{"train": 5, "valid": 4, "test": 4, "stages": "64x1"}] and numbers(row) == [5, 2, 400, 300]


@pytest.mark.slow
def test_time_to_accuracy(raw, capsys):
    flags = ("--", *SMALL_RUN, "--stages", "128x1", "--second_look", 0)
    lines = run(time_to_accuracy, capsys, "--raw", raw, "--target", 1000, *flags).splitlines()
    prepared, trained = numbers(lines[1])[0], numbers(lines[2])[0]
    reached = re.match(r"validation IPE ([\d.]+) px after epoch 1: (\d+) s of preparation and (\d+) s of training", lines[3])
    assert float(reached[2]) == pytest.approx(prepared, abs=0.6) and float(reached[3]) < trained
    whole = re.match(r"in all (\d+) s; test of .*ipe_px ([\d.]+).*landmarks (\d+)", lines[4])
    assert float(whole[1]) == pytest.approx(prepared + trained, abs=0.7)
    assert float(whole[2]) > 1 and int(whole[3]) == 2 * LANDMARKS


@pytest.mark.slow
def test_archive(capsys, monkeypatch):
    """The memory of a real run; killing it and sharing it are tests of their own."""
    monkeypatch.setattr(archive, "LOOK_EVERY_S", 0.001)
    said = run(archive, capsys, "--memory", 40)
    assert said.startswith("40 files in ") and " bytes each; " in said
    count, _, first, last, *_, highest = numbers(said)
    assert count == 40 and 100 < first <= last <= highest < 2000


def test_a_kill_that_costs_a_line_is_seen(tmp_path, monkeypatch):
    """What the benchmark says is not said of anything: a process that loses or repeats lines makes it stop."""
    lines = [b"%08x %016x +\n" % (0, number) for number in range(3)]
    (tmp_path / "out" / "journal").mkdir(parents=True)
    (tmp_path / "out" / "journal" / "1-of-1.jsonl").write_bytes(b"".join([*lines, lines[0][:12]]))
    assert archive.keys(tmp_path / "out") == [b"%016x" % number for number in range(3)]


def test_compiled(capsys, monkeypatch):
    tried = []
    monkeypatch.setattr(torch, "compile", lambda network, mode: tried.append(mode) or network)
    monkeypatch.setattr(compiled, "DEVICE", torch.device("cpu"))
    lines = run(compiled, capsys, "--sizes", 64, "--batches", "1,2", "--channels", 4, "--repeats", 1).splitlines()
    assert [line.split()[:3] for line in lines[2:]] == [["64", b, kind] for b in "12" for kind in ("forward", "training")]
    assert all(len(line.split()) == 5 for line in lines[2:]) and tried == ["default"] * 4


def test_engines(prepared_small, weights, capsys, monkeypatch):
    """The errors of each engine are those of its own heatmaps: one that sees nothing is far off."""
    predictor = Predictor(weights)
    blank = torch.zeros(1, LANDMARKS, predictor.size, predictor.size)
    made = {
        "by torch": lambda picture: predictor.model(picture, predictor.spatial_factor)[0].detach(),
        "blind": lambda picture: blank,
    }
    monkeypatch.setattr(engines, "engines_of", lambda *_: made)
    lines = run(engines, capsys, "--data", prepared_small, "--weights", weights).splitlines()
    (_, sees, _, still), (_, blind, _, moved) = (numbers(line) for line in lines[-2:])
    assert still == 0 and sees < blind / 3 and moved > 5
