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


FACTS = (
    "learnt: 2.50 px on 10 held-out radiographs, half of them below 2.00 px, where the mean of all annotations has 27.78 px; "
    "1 lost, by more than 6.0 px on average"
)


@pytest.mark.parametrize(
    ("off", "unfinished", "words"),
    [
        (np.r_[np.full(9, 2.0), 7], "", FACTS),  # one of ten is lost: off by 7 px, where 3 % of 200 px are 6
        (np.r_[np.full(7, 2.0), 7, 7, 7], "", "NOT LEARNT (too many are lost): "),
        (np.full(10, 5.9), "it was late", "NOT LEARNT (training ended too early: it was late): "),
        (np.full(10, 15), "", "NOT LEARNT (too many are lost; little better than the mean of all annotations): "),
        (np.full(10, np.nan), "", "held-out radiographs show no landmark, so nothing says whether the network has learnt"),
    ],
)
def test_by_hand(off, unfinished, words):
    held_out = data(10)
    truth, held_out.points_network_px = held_out.points_network_px, held_out.points_network_px + 0 * off[:, None, None]
    said = judge(held_out, truth + off[:, None, None] * (1, 0), truth, unfinished)
    assert said.startswith(words) and ("train longer (--hours 2" in said) == words.startswith("NOT")


def test_a_single_radiograph_that_was_learnt_from_says_nothing():
    one = data(1)
    assert judge(one, one.points_network_px, one.points_network_px).startswith("the only radiograph was learnt from, so nothing")


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
