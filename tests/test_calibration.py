import warnings
from dataclasses import replace

import numpy as np
import pytest

from prediction import calibration as of_calibration
from prediction.calibration import LENGTH_LIMIT, Calibration, log_lengths, nearest_pairs
from prediction.regions import Regions


def calibrate(shapes: np.ndarray, errors: np.ndarray, confidence: np.ndarray) -> Calibration:
    """With errors (M, L), of any direction, and regions that do not matter here."""
    landmarks = errors.shape[1]
    return of_calibration.calibrate(
        shapes, np.stack([errors, 0 * errors], -1), confidence, Regions(np.ones((landmarks, 2, 2)), 1)
    )


def test_log_lengths_know_no_size_and_no_place():
    triangle, pair = np.array([[0, 0], [2, 0], [1, 3.0]]), np.array([[0, 1]])  # from its centre: squared distances 2, 2, 4
    for points in (triangle, 3 * triangle + (5, -2)):
        assert np.exp(log_lengths(points, pair)) == pytest.approx(2 / np.sqrt(8 / 3))


@pytest.fixture
def hands():
    base = np.array([[x, y] for y in range(3) for x in range(4)]) * 100.0 + 50
    return base + np.random.default_rng(2).normal(0, 2, (40, 12, 2))


def test_flags(hands):
    calibration = calibrate(hands, np.ones((21, 12)), np.full((21, 12), 0.8))
    sure, extent = np.full(12, 0.8), (420, 320)
    assert calibration.flags(hands[0], sure, extent, 420) == ([], [""] * 12)

    doubtful = np.where(np.arange(12) == 5, 0.3, 0.8)
    assert calibration.flags(hands[0], doubtful, extent, 420)[0] == ["doubtful joints"]
    assert calibration.flags(hands[0], doubtful, extent, 420)[1][5] == "doubtful"
    cut = hands[0] - (hands[0][5, 0] - 3, 0)  # landmark 5 lies 3 px from the left edge, landmarks 0, 4 and 8 are beyond it
    flags, landmarks = calibration.flags(cut, doubtful, extent, 420)
    assert flags == ["joints outside the picture"] and landmarks[5] == landmarks[0] == "outside the picture"
    assert [i for i, words in enumerate(landmarks) if words] == [0, 4, 5, 8]
    assert calibration.flags(cut, sure, extent, 420)[1][5] == ""  # sure, and just inside
    unsure = np.where(np.arange(12) == 5, 0.45, 0.8)  # not doubtful, but at the edge
    assert calibration.flags(hands[0], unsure, extent, 420)[1][5] == ""
    assert calibration.flags(cut, unsure, extent, 420)[1][5] == "outside the picture"

    moved = hands[0].copy()
    moved[0] += (70, 60)
    flags, landmarks = calibration.flags(moved, sure, extent, 420)
    assert flags == ["implausible shape"] and landmarks[0] == "misplaced"

    scattered = np.random.default_rng(3).uniform(0, 300, (12, 2))
    assert calibration.flags(scattered, sure, extent, 420)[0] == ["unlike the training radiographs"]
    assert calibration.flags(hands[0], np.full(12, 0.1), extent, 420)[0] == ["unlike the training radiographs"]


def test_bones_that_young_patients_lack(hands):
    """From two doubtful landmarks of late bones on; others are doubtful all the same."""
    calibration = calibrate(hands, np.ones((21, 12)), np.full((21, 12), 0.8))
    for unsure, late, expected, words in (
        ((5,), (5, 6, 7), ["doubtful joints"], {5: "doubtful"}),
        ((5, 6, 7), (5, 6, 7), [], dict.fromkeys((5, 6, 7), "no bone seen")),
        ((5, 6, 7), (5, 6), ["doubtful joints"], {5: "no bone seen", 6: "no bone seen", 7: "doubtful"}),
        ((2, 5, 6), (2, 5, 6, 7), [], dict.fromkeys((2, 5, 6), "no bone seen")),
        ((5, 6, 7, 8), (5, 6, 7, 8), ["unlike the training radiographs"], dict.fromkeys((5, 6, 7, 8), "no bone seen")),
    ):
        confidence = np.where(np.isin(np.arange(12), unsure), 0.3, 0.8)
        flags, landmarks = calibration.flags(hands[0], confidence, (420, 320), 420, late)
        assert flags == expected and {i: word for i, word in enumerate(landmarks) if word} == words


@pytest.mark.parametrize(("deviations", "pairs", "expected"), [(0.98, 3, ""), (1.02, 3, "misplaced"), (1.02, 1, "")])
def test_misplaced_from_the_limit_on_and_by_two_distances(hands, deviations, pairs, expected):
    """A landmark is misplaced if two or more of its distances are LENGTH_LIMIT standard deviations off the usual ones."""
    calibration = calibrate(hands, np.ones((21, 12)), np.full((21, 12), 0.8))
    usual = log_lengths(hands[0], calibration.pairs)
    of_it = np.flatnonzero((calibration.pairs == 5).any(1))[:pairs]
    usual[of_it] += deviations * LENGTH_LIMIT * calibration.log_sd[of_it]
    calibration = replace(calibration, log_mean=usual)
    assert calibration.flags(hands[0], np.full(12, 0.8), (420, 320), 420)[1][5] == expected


@pytest.mark.parametrize("count", [2, 5, 21])
@pytest.mark.parametrize(
    ("seen", "now", "expected"),
    [
        ({0: 0.01}, {5: 0.15}, {5: "doubtful"}),  # one failed heatmap in validation leaves the flag on
        (dict.fromkeys(range(21), 0.4), {5: 0.4}, {}),  # each is compared with itself: some are never as sharp as others
        (dict.fromkeys(range(21), 0.4), dict.fromkeys(range(12), 0.38), dict.fromkeys({*range(12)} - {5}, "doubtful")),
        ({}, dict.fromkeys(range(12), 0.6), {}),
    ],
)
def test_a_landmark_is_doubtful_by_its_own_confidence_in_validation(hands, count, seen, now, expected):
    """`seen` is the confidence of landmark 5 in some of the radiographs, `now` that of some landmarks; all others have 0.8."""
    confidence, found = np.full((count, 12), 0.8), np.full(12, 0.8)
    for i, value in seen.items():
        confidence[i : i + 1, 5] = value
    for i, value in now.items():
        found[i] = value
    _, landmarks = calibrate(hands, np.ones((count, 12)), confidence).flags(hands[0], found, (420, 320), 420)
    assert {i: word for i, word in enumerate(landmarks) if word} == expected


def test_landmarks_never_seen_in_validation_are_doubtful_and_make_no_radiograph_an_alien(hands):
    """Four of twelve, one at the picture's edge: they are doubtful, and nothing more is known of them."""
    errors = np.ones((21, 12))
    errors[:, 8:] = np.nan
    flags, landmarks = calibrate(hands, errors, np.full((21, 12), 0.8)).flags(hands[0], np.full(12, 0.95), (420, 253), 420)
    assert flags == ["doubtful joints"] and landmarks == [""] * 8 + ["doubtful"] * 4


def test_neighbours_are_those_of_the_shape():
    """However large, wherever, turned or mirrored the radiographs are, and with whatever landmarks missing."""
    rng = np.random.default_rng(4)
    corners = np.array([[0, 0], [10, 0], [0, 10], [10, 12]])
    base = (corners[:, None] + rng.uniform(-1.5, 1.5, (4, 4, 2))).reshape(16, 2)  # four groups of four, each other's nearest
    angle, scale = rng.uniform(0, 2 * np.pi, 20), np.exp(rng.uniform(-2, 2, (20, 1, 1)))
    turn = np.stack([np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)], 1).reshape(-1, 2, 2)
    turn[::2, 0] *= -1
    shapes = scale * (base @ turn) + rng.normal(0, 50, (20, 1, 2))
    shapes[rng.random((20, 16)) < 0.2] = np.nan
    assert nearest_pairs(shapes).tolist() == [[i, j] for i in range(16) for j in range(i + 1, 16) if i // 4 == j // 4]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_landmarks(count):
    """Fewer landmarks than each has neighbours, and one that no radiograph shows."""
    points = np.random.default_rng(5).normal(size=(9, count, 2)) * 50 + 100
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        calibration = calibrate(points, np.ones((4, count)), np.ones((4, count)))
        assert calibration.flags(points[0], np.ones(count), (300, 300), 300) == ([], [""] * count)
        assert len(calibration.pairs) == count * (count - 1) / 2
        points[:, 0] = np.nan
        assert not (calibrate(points, np.ones((4, count)), np.ones((4, count))).pairs == 0).any()


def test_a_calibration_comes_back_from_its_file():
    rng = np.random.default_rng(0)
    regions = Regions(rng.normal(size=(6, 2, 2)), 4.0)
    first = of_calibration.calibrate(rng.normal(size=(9, 6, 2)), rng.normal(size=(21, 6, 2)), rng.random((21, 6)), regions)
    again = Calibration.from_file(first.to_file())
    assert np.array_equal(again.regions.shape, regions.shape) and again.regions.target_px2 == 4
    for name in ("doubtful", "pairs", "log_mean", "log_sd", "least_evidence"):
        assert np.array_equal(getattr(again, name), getattr(first, name)), name
