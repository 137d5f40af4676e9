"""Peaks chosen together: worked out by hand, and on ladders whose rungs look alike."""

import numpy as np
import pytest
import torch

from heatmap import draw_heatmaps, fit_peaks
from joints.tree import ShapeTree, loses, mistaken

RUNGS = np.stack([np.full(8, 30.0), 6 + 7.0 * np.arange(8)], 1)  # eight, 7 px apart


def ladders(count: int, seed: int = 0) -> np.ndarray:
    """Ladders that lie anywhere, each rung a little beside its place."""
    rng = np.random.default_rng(seed)
    return RUNGS + rng.uniform(-4, 4, (count, 1, 2)) + rng.normal(0, 0.4, (count, 8, 2))


def test_each_hangs_on_the_one_it_moves_least_against():
    """Landmark 2 goes with 0, landmark 1 with 2."""
    rng = np.random.default_rng(0)
    first = rng.normal(0, 10, (50, 2))
    third = first + rng.normal((5, 0), 1, (50, 2))
    second = third + rng.normal((0, 3), 0.1, (50, 2))
    tree = ShapeTree.of(np.stack([first, second, third], 1))
    assert tree.parents.tolist() == [-1, 2, 0] and tree.from_root() == [0, 2, 1]
    assert tree.offsets[1] == pytest.approx([0, 3], abs=0.1) and tree.offsets[2] == pytest.approx([5, 0], abs=0.5)
    assert np.linalg.inv(tree.precisions[2]) == pytest.approx(np.eye(2) * 1.49, abs=0.5)


def test_a_rung_that_took_its_neighbours_place_is_put_right():
    """The fourth and fifth rungs see the next one higher than themselves; the others are sure."""
    tree, truth = ShapeTree.of(ladders(60)), ladders(1, seed=1)[0]
    heatmaps = draw_heatmaps(torch.from_numpy(truth), 72, 64, 1.5)
    for i in (3, 4):
        heatmaps[i] = torch.maximum(0.6 * heatmaps[i], 0.9 * draw_heatmaps(torch.from_numpy(truth[i + 1]), 72, 64, 1.5))
    alone = fit_peaks(heatmaps)[0].numpy()
    assert np.linalg.norm(alone - truth, axis=1).argsort()[-2:].tolist() in ([3, 4], [4, 3])
    together = fit_peaks(tree.only_chosen(heatmaps[None], 1.0)[0])[0].numpy()
    assert np.linalg.norm(together - truth, axis=1).max() < 0.02


def test_unambiguous_heatmaps_keep_their_peaks_at_any_size():
    points = ladders(3, seed=2)
    tree = ShapeTree.of(2 * ladders(60))  # trained in a frame of twice the heatmaps' size
    heatmaps = draw_heatmaps(torch.from_numpy(points), 72, 64, 1.5)
    assert (fit_peaks(tree.only_chosen(heatmaps, 2.0))[0] - fit_peaks(heatmaps)[0]).abs().max() < 1e-3


@pytest.mark.parametrize(
    ("losses", "sure"),
    [
        ([0.1] * 9, True),
        ([0.1] * 9 + [np.nan], True),  # of which no landmark is known
        ([0.009] * 9, False),  # below a hundredth
        ([0.5], False),  # a single radiograph
        ([0.05, 0.05, 0.05, -0.05], False),  # 0.025 with a standard error of 0.025
        ([0.05, 0.05, 0.05, 0.0], True),  # 0.0375 with one of 0.0125
        ([-0.1] * 9, False),
        ([np.nan] * 3, False),
    ],
)
def test_only_a_sure_loss_speaks_against_it(losses, sure):
    alone = np.tile([0.5, np.nan, 1.5], (len(losses), 1)) + 0 * np.array(losses)[:, None]
    assert loses(alone, alone + np.array(losses)[:, None]) == sure


@pytest.mark.parametrize("gap", [3.0, 3.5, 4.0])
def test_a_higher_peak_close_by_is_left_out(gap):
    tree, truth = ShapeTree.of(ladders(60)), ladders(1, seed=1)[0].round()
    heatmaps = draw_heatmaps(torch.from_numpy(truth), 72, 64, 1.0)
    beside = draw_heatmaps(torch.from_numpy(truth[3] + (gap, 0)), 72, 64, 1.0)
    heatmaps[3] = torch.maximum(0.6 * heatmaps[3], 0.65 * beside)
    assert np.linalg.norm(fit_peaks(tree.only_chosen(heatmaps[None], 1.0)[0])[0][3].numpy() - truth[3]) < 0.5


@pytest.mark.parametrize(("far", "height", "chosen"), [(2.9, 0.51, 1), (3.2, 0.51, 0), (3.2, 0.95, 1), (6, 1.0, 0)])
def test_a_peak_is_only_given_up_for_a_likelier_place(far, height, chosen):
    """By hand: within three standard deviations the higher peak of 0.5 counts; beyond, at 3.2, it must be higher by e^0.62."""
    tree = ShapeTree(np.array([-1, 0]), np.array([[0.0, 0], [10, 0]]), np.array([np.zeros((2, 2)), np.eye(2)]))
    points = torch.tensor([[[0.0, 0], [90, 90]], [[10, 0], [10 + far, 0]]]).double()
    heights = torch.tensor([[1, 0.01], [0.5, height]]).double()
    assert tree.choose(points[None], heights[None])[0].tolist() == [0, chosen]


@pytest.mark.parametrize(("height", "chosen"), [(0.1, False), (0.3, True)])
def test_a_far_peak_that_stands_alone_is_kept(height, chosen):
    """Far off all annotations, beside one where they say, which is too faint to be an alternative, or is one."""
    tree, truth = ShapeTree.of(ladders(60)), ladders(1, seed=1)[0]
    heatmaps = draw_heatmaps(torch.from_numpy(truth), 72, 64, 1.5)
    heatmaps[3] = torch.maximum(height * heatmaps[3], draw_heatmaps(torch.from_numpy(truth[3] + (20, 0)), 72, 64, 1.5))
    found = fit_peaks(tree.only_chosen(heatmaps[None], 1.0)[0])[0][3].numpy()
    assert found == pytest.approx(truth[3] + (0 if chosen else 20, 0), abs=0.1)


def test_empty_heatmaps_and_landmarks_that_nobody_annotated():
    points = ladders(20)
    points[:, 5] = np.nan
    tree = ShapeTree.of(points)
    assert sorted(tree.from_root()) == list(range(8)) and not tree.precisions[5].any()
    assert not fit_peaks(tree.only_chosen(torch.zeros(1, 8, 72, 64), 1.0))[1].any()
    truth = ladders(1, seed=1)[0]
    heatmaps = draw_heatmaps(torch.from_numpy(truth), 72, 64, 1.5) - 2  # none is above 0: the highest stays
    assert fit_peaks(tree.only_chosen(heatmaps[None], 1.0)[0])[0].numpy() == pytest.approx(truth, abs=1)


def test_it_survives_its_file():
    tree = ShapeTree.of(ladders(20))
    again = ShapeTree.from_file(tree.to_file())
    assert all((getattr(tree, name) == getattr(again, name)).all() for name in vars(tree)) and ShapeTree.from_file(None) is None


def test_annotations_in_another_order_are_told():
    """As in some spines of AASCE 2019. Few radiographs say nothing, and missing points are no mistake."""
    points = ladders(60)
    assert mistaken(points) == {}
    points[7], points[9, 2], points[11, 5] = np.roll(points[7], -1, 0), np.nan, points[11, 5] + (0, 40)
    assert set(mistaken(points)) == {7, 11} and mistaken(points)[11] == 5
    assert mistaken(points[:19]) == {}
    points = ladders(60)
    points[3:, 7] = np.nan  # three that show the top, two of which agree by chance
    points[1, 7] = points[1, 6] + points[0, 7] - points[0, 6]
    assert mistaken(points) == {} and mistaken(points[:, :1]) == {}
