"""Which landmarks are a hand's: by their shape, not by their number."""

import numpy as np
import pytest
from conftest import ROOT

from joints.hand import MEAN_SHAPE, is_hand
from joints.shape import normalise, procrustes_distance
from phantom.shape import load, sample
from radiographs.raw_folder import read_points

FROM_LITTLE = [*range(13), 16, 15, 14, 13, *range(33, 37), *range(29, 33), *range(25, 29), *range(21, 25), *range(17, 21)]
MODEL = load(ROOT / "phantom" / "shape.npz")


def hands(count: int) -> np.ndarray:
    """Sampled hands (count, 37, 2) in pixels, of any size and at any place."""
    rng = np.random.default_rng(count)
    shapes = np.array([sample(MODEL, rng) for _ in range(count)])
    return shapes * rng.uniform(500, 5000, (count, 1, 1)) + rng.uniform(0, 2000, (count, 1, 2))


def turned(points: np.ndarray, degrees: float) -> np.ndarray:
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return points @ np.array([[cos, sin], [-sin, cos]])


def test_the_mean_shape_is_that_of_the_shape_model():
    assert MEAN_SHAPE == pytest.approx(normalise(MODEL.mean), abs=0.006)


def test_procrustes_distance_by_hand():
    triangle = np.array([[0, 0], [2, 0], [1, 3.0]])
    for same in (triangle, 5 * triangle - 3, turned(triangle, 70), triangle * (-1, 1), triangle[[1, 0, 2]]):
        assert procrustes_distance(same, triangle) == pytest.approx(0, abs=1e-6)
    # a segment's two ends and its middle, against the same in another order: sizes 1, overlap 1/2
    line = np.array([[-1, 0], [0, 0], [1.0, 0]])
    assert procrustes_distance(line[[1, 0, 2]], line) == pytest.approx((1 - 0.5**2) ** 0.5)
    assert procrustes_distance(np.array([[-1, 0], [np.nan, np.nan], [1, 0]]), line) == pytest.approx(0, abs=1e-6)
    assert procrustes_distance(np.ones((3, 2)), line) == 1


@pytest.mark.parametrize("count", [1, 2, 40])
def test_hands_are_hands(count):
    """Few of them, mirrored, turned, and with landmarks missing."""
    points = hands(count)
    assert is_hand(points) and is_hand(points * (-1, 1)) and is_hand(turned(points, 200))
    points[1::2] *= (-1, 1)
    rng = np.random.default_rng(0)
    points[rng.random((count, 37)) < 0.4] = np.nan
    assert is_hand(points)
    points[:, 13:17] = np.nan  # never annotated
    assert is_hand(points)
    points[count // 2 + 1 :] = np.nan  # half of the radiographs without any
    assert is_hand(points)


def test_a_slip_makes_no_other_joint():
    points = hands(9)
    points[0] = points[0, ::-1]
    points[1] = 0
    points[2, 5] += 1e5
    assert is_hand(points)


def test_other_landmarks_are_no_hand():
    rng = np.random.default_rng(1)
    points = hands(30)
    angle = np.linspace(0, 2 * np.pi, 37, endpoint=False)
    others = {
        "points anywhere": rng.normal(size=(30, 37, 2)),
        "many of them, that a mean of aligned shapes would take for a hand": rng.normal(size=(2000, 37, 2)),
        "hands in any order": np.array([one[rng.permutation(37)] for one in points]),
        "hands in one other order": points[:, rng.permutation(37)],
        "from the last landmark to the first": points[:, ::-1],
        "fingers from the little one on": points[:, FROM_LITTLE],
        "a contour": np.stack([np.cos(angle), np.sin(angle)], 1)[None] + rng.normal(0, 0.05, (30, 37, 2)),
        "a spine": np.stack([0 * angle, angle], 1)[None] + rng.normal(0, 0.05, (30, 37, 2)),
        "one point": np.ones((30, 37, 2)),
        "nothing": np.full((30, 37, 2), np.nan),
        "three landmarks of each, which fit anything": np.where(np.arange(37)[:, None] < 3, points, np.nan),
        "36 landmarks": points[:, :36],
        "38 landmarks": np.concatenate([points, points[:, :1]], 1),
        "no radiograph": points[:0],
    }
    for name, shapes in others.items():
        assert not is_hand(shapes), name


def test_the_atlas_is_of_hands(atlas):
    points = np.array(list(read_points(atlas / "all_coordinates.csv").values()))
    assert all(is_hand(one[None]) for one in points) and is_hand(points)
