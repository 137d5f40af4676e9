"""The training: one batch for several processes, rates, the mean of the weights, what is the best, what is refused."""

import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import LANDMARKS

import evaluation
import metrics
import solver as solver_module
from dataloader import RadiographDataset, make_training_loader
from heatmap import decode_heatmaps, draw_heatmaps, rescale
from main import read_settings
from runtime import distributed
from runtime.files import DataError
from solver import Solver
from training import first_look, report
from training.plan import Epoch
from training.schedule import progress_after_epochs, read_stages, schedule_factor


@pytest.fixture
def solver(prepared, tmp_path):
    """A small one with its made radiographs, at 32 and 64 px of a frame of 64."""
    flags = "--channels 4 --levels 3 --spatial_kernel 5 --spatial_factor 8 --warmup 9 --learning_rate 0.01 --precision float32"
    settings = read_settings([*flags.split(), "--stages", "32x1 64x1"])
    return Solver(settings, tmp_path, {split: RadiographDataset(Path(prepared), split) for split in ("train", "valid")})


@pytest.mark.parametrize("size", [16, 32, 64])
def test_a_network_that_knows_is_measured_without_error_at_every_resolution(solver, size, monkeypatch):
    """Heatmaps drawn at the true points and decoded again: no shift between the frames of 16, 32 and 64 px."""
    truth = solver.sets["valid"].points_network_px
    drawn = draw_heatmaps(rescale(torch.from_numpy(truth), size / 64), size, size, 1.5).float()
    batches = iter(drawn.split(2))
    monkeypatch.setattr(evaluation, "forward", lambda *_: (next(batches), None, None))
    result = evaluation.evaluate(solver.first_look.average, solver.valid_loader, size, "float32")
    assert metrics.point_errors(result.points_network_px, truth).max() < 0.01
    assert result.peaks == pytest.approx(1, abs=0.02 if size < 64 else 1e-3)
    points = torch.tensor([[[20.3, 30.8], [41.5, 12.0], [33.0, 50.2]]])  # and pictures shrink as points do
    shrunk, _ = decode_heatmaps(evaluation.shrink(draw_heatmaps(points, 64, 64, 5.0), size))
    assert (shrunk - rescale(points, size / 64)).abs().max() < 0.02


@pytest.mark.slow
def test_a_resolution_begins_with_small_steps_and_without_moments(solver):
    solver.train()
    look = solver.first_look
    assert look.optimizer.state and look.steps_at_size == 2  # two batches of two, one epoch
    look.start_resolution()
    assert not look.optimizer.state and look.steps_at_size == 0
    rates = []
    for step in range(12):
        look.steps_at_size = step
        rates.append(look.set_learning_rate(0.5))
    assert rates == pytest.approx([0.005 * min(1, (1 + step) / 10) for step in range(12)])
    assert look.optimizer.param_groups[0]["lr"] == rates[-1]


def test_average_by_hand(solver):
    """After n steps of a resolution the average keeps (1 + n) / (10 + n) of itself, at most the setting."""
    look = solver.first_look
    before = [parameter.clone() for parameter in look.average.parameters()]
    with torch.no_grad():
        for parameter in look.model.parameters():
            parameter += 1
    look.steps_at_size = 8
    look.update_average()
    for old, new in zip(before, look.average.parameters(), strict=True):
        assert torch.allclose(new, old + 0.5, atol=1e-6)


def test_best_is_the_least_validation_ipe(solver, tmp_path):
    row = {f"{split}_{key}": 1.0 for split in ("train", "valid") for key in ("loss", "ipe_px", "or_10px")}
    kept = []
    for epoch, (size, ipe) in enumerate([(32, math.nan), (32, 3.0), (64, 5.0), (64, 2.0), (64, 2.5), (64, math.nan)], 1):
        solver.history.append(row | {"epoch": epoch, "look": 1, "size": size, "valid_ipe_px": ipe})
        solver.keep()
        kept.append(torch.load(tmp_path / "best.pt", weights_only=True)["epoch"])
    assert kept == [1, 2, 2, 4, 4, 4]
    assert torch.load(tmp_path / "last.pt", weights_only=True)["epoch"] == 6


def test_schedules_by_hand():
    """With a frame of 16 px an epoch at 16 costs 256 + 32, one at 8 costs 64 + 32."""
    assert [schedule_factor("linear", p) for p in (0, 0.25, 1)] == [1, 0.75, 0]
    assert [schedule_factor("cosine", p) for p in (0, 0.5, 1)] == pytest.approx([1, 0.5, 0])
    assert schedule_factor("constant", 0.7) == 1
    assert np.allclose(progress_after_epochs([8, 8, 16], 16), [0, 0.2, 0.4, 1])


def test_stages_by_hand():
    """Heatmaps of 3 px of a frame of 256 are 0.75 px at 64 px; those of 2 px are 0.5 px, too narrow to be learnt."""
    assert read_stages("64x2 256x1", (256, 256), 8, 8, 3.0) == ([64, 64, 256], True)
    assert read_stages("64 256", (256, 256), 8, 8, 3.0) == ([64, 256], False)
    for wrong in ("", *"64x 60x2 96x2 512x1 0x3 16x3 64x2,128x1 x3 64x0 64x² 60".split(), "64 128x2", "64 64"):
        with pytest.raises(DataError, match="stages"):
            read_stages(wrong, (256, 256), 8, 8, 8.0)
    with pytest.raises(DataError, match="a size of 64, 128, 256; found '32x1'"):
        read_stages("32x1", (256, 256), 8, 64, 8.0)
    with pytest.raises(DataError, match=r"heatmaps of at least 0\.7 px, found 0\.5 px at 64 px; .* --sigma 2\.8 or more"):
        read_stages("128x1 64x1", (256, 256), 8, 8, 2.0)


def test_processes_share_the_batches_of_one_and_draw_their_own_dropout(solver, monkeypatch):
    """Four radiographs, batches of three: of the second batch a process has nothing, and its loss no weight."""
    look = solver.first_look
    look.loader = make_training_loader(look.loader.dataset, 3)
    seen, weights, drawn = {}, {}, {}
    for number, world in ((0, 1), (0, 2), (1, 2)):
        monkeypatch.setattr(distributed, "RANK", number)
        monkeypatch.setattr(distributed, "WORLD", world)
        seen[number, world], weights[number, world], drawn[number, world] = [], [], []

        def step(epoch, size, batch, check, key=(number, world)):
            seen[key].append(batch["image"])
            weights[key].append(batch["weight"])
            drawn[key].append(torch.rand(1).item())
            return torch.tensor(0.0), torch.zeros(len(batch["points"]), LANDMARKS)

        monkeypatch.setattr(look, "step", step)
        look.train_epoch(1, Epoch(32, lambda i, n: 1.0), lambda share: None)
    (first, second), (a, b), (c, d) = seen[0, 1], seen[0, 2], seen[1, 2]
    assert torch.equal(first[0::2], a) and torch.equal(first[1::2], c) and torch.equal(second, b) and torch.equal(second, d)
    assert weights == {(0, 1): [1, 1], (0, 2): [4 / 3, 2], (1, 2): [2 / 3, 0]}
    assert not set(drawn[0, 2]) & set(drawn[1, 2])


def test_a_loss_that_is_not_finite_stops_before_anything_is_kept(solver, monkeypatch, tmp_path):
    """Looked for every ten steps and at the end of an epoch, which here has two."""
    monkeypatch.setattr(first_look, "CHECK_EVERY", 1000)
    with torch.no_grad():
        next(solver.first_look.model.parameters()).fill_(torch.nan)
    with pytest.raises(DataError, match=r"epoch 1: the loss is not finite \(heatmaps nan"):
        solver.train()
    assert not (tmp_path / "last.pt").exists()


def test_a_second_look_is_held_against_itself_where_both_looks_have_one_size(solver, monkeypatch, capsys):
    monkeypatch.setattr(solver, "keep", lambda: None)
    monkeypatch.setattr(report, "TELLING", 1)
    row = {f"{split}_{key}": 1.0 for split in ("train", "valid") for key in ("loss", "ipe_px", "or_10px")}
    for look, error_px in ((1, 1.0), (2, 3.0), (2, 6.3)):
        more = {"epoch": 1, "look": look, "size": 64, "learning_rate": 1e-3, "seconds": 1.0, "train_ipe_px": error_px}
        solver.end_epoch(row | more)
    said = [line for line in capsys.readouterr().out.splitlines() if "the least so far" in line]
    assert len(said) == 1 and "6.30 px, is 2.1 times" in said[0]


def test_the_second_look_is_judged_by_what_it_can_mend(solver, monkeypatch):
    """A landmark that the first look found elsewhere stays where it is, and says nothing of whether to go on."""
    data = solver.sets["valid"]
    data.detail, solver.settings.crop, solver.look = 96, 32, SimpleNamespace(average=None, precision="float32")
    found, refined = data.points_network_px + 3.0, data.points_network_px + np.array([0.5, 0])
    found[0, 0], refined[0, 0] = data.points_network_px[0, 0] + 20, data.points_network_px[0, 0] + 20
    monkeypatch.setattr(solver_module, "refine_all", lambda *_: (refined, None))
    row = solver.validate_second(found)
    assert row["valid_near_px"] == pytest.approx(0.5) and row["valid_ipe_px"] > 1
