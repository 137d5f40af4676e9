"""Whether a network has learnt, by hand; and the user's own commands with a training that was stopped too early."""

from types import SimpleNamespace

import numpy as np
import pytest
from conftest import SMALL_RUN, command

from training.judgement import judge


def data(count: int) -> SimpleNamespace:
    """Radiographs of one landmark, at x = 0, 20, 40 and so on: 50 px from the mean of 50 on average, or somewhat less."""
    truth = np.stack([np.linspace(0, 100, count), np.zeros(count)], 1)[:, None]
    return SimpleNamespace(points_network_px=truth, size=200, annotators=[])


def test_one_that_has_learnt():
    """One of ten is lost: off by 7 px, where 3 % of 200 px are 6."""
    held_out = data(10)
    off = np.r_[np.full(9, 2.0), 7][:, None, None] * (1, 0)
    found = judge(held_out, held_out.points_network_px + off, held_out.points_network_px)
    assert found.learnt
    assert found.words == (
        "learnt: 2.50 px on 10 held-out radiographs, half of them below 2.00 px, where the mean of all annotations has 27.78 px; "
        "1 lost, by more than 6.0 px on average"
    )


@pytest.mark.parametrize(
    ("off", "unfinished", "why"),
    [
        (np.r_[np.full(7, 2.0), 7, 7, 7], "", "too many are lost"),
        (np.full(10, 5.9), "it was late", "training ended too early: it was late"),
        (np.full(10, 15), "", "too many are lost; little better than the mean of all annotations"),
    ],
)
def test_ones_that_have_not(off, unfinished, why):
    held_out = data(10)
    found = judge(held_out, held_out.points_network_px + off[:, None, None] * (1, 0), held_out.points_network_px, unfinished)
    assert not found.learnt and found.words.startswith(f"NOT LEARNT ({why}): ") and "train longer (--hours 2" in found.words


def test_without_a_landmark_nothing_is_known():
    held_out = data(2)
    held_out.points_network_px = np.full((2, 1, 2), np.nan)
    assert "nothing says whether" in judge(held_out, np.zeros((2, 1, 2)), np.zeros((2, 1, 2))).words


@pytest.mark.slow
def test_a_training_that_was_stopped_too_early_is_called_so(prepared, tmp_path):
    """A second's time, where several epochs at each size are needed; export.py says it again."""
    flags = ("--stages", "32 64", "--hours", 1e-4, "--shape_tree", "auto")
    ran = command("main.py", "--data", prepared, "--result", tmp_path, *SMALL_RUN, *flags)
    assert ran.returncode == 0 and "0 minutes are left: the learning rate falls over" in ran.stdout
    assert "shape tree: o" in ran.stdout
    assert "NOT LEARNT (" in ran.stdout and "training ended too early: 0 minutes are left" in ran.stdout
    ran = command("export.py", "--checkpoint", tmp_path / "best.pt", "--data", prepared, "--finder_steps", 0)
    assert ran.returncode == 0 and "training ended too early: 0 minutes are left" in ran.stdout
