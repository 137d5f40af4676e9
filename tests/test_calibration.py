import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import ROOT

from export import coverage_line
from prediction.calibration import LENGTH_LIMIT, Calibration, calibrate, conformal_quantile, log_lengths, nearest_pairs, promised


def test_conformal_quantile_by_hand():
    """Of 21 scores the 95 % quantile is the ceil(22 * 0.95) = 21st, of 39 the 38th; of 5 there is none, so the largest."""
    assert conformal_quantile(np.arange(1, 22.0), 0.95) == 21
    assert conformal_quantile(np.arange(39, 0, -1.0), 0.95) == 38
    assert conformal_quantile(np.arange(5.0), 0.95) == 4


def make(kind: str, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Errors (count, 6) px and confidence (count, 6) of validation radiographs of some kind."""
    confidence = rng.uniform(0.3, 1, (count, 6))
    errors = rng.rayleigh(1, (count, 6))
    if kind == "as assumed":
        return errors / confidence, confidence
    if kind == "confidence misleads":
        return errors * confidence**3, confidence
    if kind == "heavy tails":
        return np.abs(rng.standard_cauchy((count, 6))), confidence
    if kind == "missing landmarks":
        return np.where(rng.random((count, 6)) < 0.3, np.nan, errors), confidence
    if kind == "failed heatmaps":  # nothing in them, of a network that is off by a tenth of a pixel elsewhere
        failed = np.arange(6) + 1, np.arange(6)
        errors *= 0.03
        errors[failed], confidence[failed] = rng.uniform(150, 250, 6), (0, 0, -0.01, -0.01, 1e-6, 1e-4)
    return errors, confidence


KINDS = ("as assumed", "confidence says nothing", "confidence misleads", "heavy tails", "missing landmarks", "failed heatmaps")
SHAPES = np.random.default_rng(0).normal(size=(9, 6, 2))


@pytest.mark.parametrize("count", [8, 22, 40, 60])
@pytest.mark.parametrize("kind", KINDS)
def test_each_radiograph_in_turn_against_the_others(kind, count):
    """Exactly as many errors as promised lie within radii that the other radiographs give, for every landmark.

    This is the split-conformal guarantee itself: a further radiograph is as likely to be any of these, whatever the errors
    and confidences are. Of n, those up to rank ceil(0.95 n) lie within, but never the largest.
    """
    errors, confidence = make(kind, count, np.random.default_rng(count))
    within = np.zeros(errors.shape, bool)
    for i in range(count):
        others = np.arange(count) != i
        within[i] = errors[i] <= calibrate(SHAPES, errors[others], confidence[others]).radii_px(confidence[i])
    for column, inside in zip(errors.T, within.T):
        seen = np.isfinite(column).sum()
        assert inside[np.isfinite(column)].sum() == min(-(-95 * seen // 100), seen - 1)


@pytest.mark.parametrize("kind", ["as assumed", "confidence says nothing", "heavy tails"])
def test_radii_cover_what_they_promise(kind):
    """Over many calibrations with 21 radiographs, errors of a further one lie within in 21 of 22 cases, for every landmark."""
    rng = np.random.default_rng(0)
    within = []
    for _ in range(1500):
        errors, confidence = make(kind, 22, rng)
        calibration = calibrate(SHAPES, errors[:21], confidence[:21])
        within.append(errors[21] <= calibration.radii_px(confidence[21]))
    assert np.mean(within, 0) == pytest.approx(21 / 22, abs=4 * (21 / 22 / 22 / 1500) ** 0.5)


def test_promised_coverage():
    """95 % from 19 radiographs on; before, what the largest of n errors can promise."""
    assert [promised(count) for count in (0, 1, 2, 18)] == [0, 1 / 2, 2 / 3, 18 / 19]
    assert promised(19) == promised(1000) == 0.95


def test_export_says_what_radii_promise():
    seen = np.array([21, 21, 19])
    said = coverage_line(np.array([1.0, 2.0, 4.0]), seen)
    assert "median 2.00 px" in said and "exchangeable with the 21 of validation" in said and "at least 95 %" in said
    assert "at least 2/3 " in coverage_line(np.ones(3), np.full(3, 2))
    said = coverage_line(np.array([1.0, 2.0, np.nan]), np.array([21, 5, 0]))
    assert "at least 5/6 " in said and "1 landmarks that none of them shows have none" in said


def test_log_lengths_know_no_size_and_no_place():
    points = np.random.default_rng(1).normal(size=(4, 7, 2))
    pairs = nearest_pairs(points)
    assert (pairs[:, 0] < pairs[:, 1]).all() and len(np.unique(pairs, axis=0)) == len(pairs)
    assert np.allclose(log_lengths(points, pairs), log_lengths(3 * points + (5, -2), pairs))
    triangle = np.array([[0, 0], [2, 0], [1, 3.0]])  # from the centre (1, 1): squared distances 2, 2, 4
    assert np.exp(log_lengths(triangle, np.array([[0, 1]]))) == pytest.approx(2 / np.sqrt(8 / 3))


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

    moved = hands[0].copy()
    moved[0] += (70, 60)
    flags, landmarks = calibration.flags(moved, sure, extent, 420)
    assert flags == ["implausible shape"] and landmarks[0] == "misplaced"

    scattered = np.random.default_rng(3).uniform(0, 300, (12, 2))
    assert calibration.flags(scattered, sure, extent, 420)[0] == ["unlike the training radiographs"]
    assert calibration.flags(hands[0], np.full(12, 0.1), extent, 420)[0] == ["unlike the training radiographs"]


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
def test_one_failed_heatmap_leaves_the_flag_on(hands, count):
    """What is doubtful for its neighbours stays doubtful for a landmark that failed once in validation."""
    confidence = np.full((count, 12), 0.8)
    confidence[0, 5] = 0.01
    calibration = calibrate(hands, np.ones((count, 12)), confidence)
    _, landmarks = calibration.flags(hands[0], np.where(np.arange(12) == 5, 0.15, 0.8), (420, 320), 420)
    assert landmarks == [""] * 5 + ["doubtful"] + [""] * 6
    assert calibration.flags(hands[0], np.full(12, 0.6), (420, 320), 420)[0] == []


def test_a_landmark_of_low_confidence_everywhere_is_not_doubtful(hands):
    """Each landmark is compared with itself: some are never as sharp as others."""
    usual = np.where(np.arange(12) == 5, 0.4, 0.8)
    calibration = calibrate(hands, np.ones((21, 12)), np.tile(usual, (21, 1)))
    assert calibration.flags(hands[0], usual, (420, 320), 420) == ([], [""] * 12)
    _, landmarks = calibration.flags(hands[0], np.full(12, 0.4), (420, 320), 420)
    assert landmarks == ["doubtful"] * 5 + [""] + ["doubtful"] * 6


def test_a_landmark_never_seen_in_validation_is_always_doubtful(hands):
    errors, confidence = np.ones((21, 12)), np.full((21, 12), 0.8)
    errors[:, 5] = np.nan
    _, landmarks = calibrate(hands, errors, confidence).flags(hands[0], np.ones(12), (420, 320), 420)
    assert landmarks == [""] * 5 + ["doubtful"] + [""] * 6


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


def test_a_landmark_never_seen_in_validation_has_no_radius():
    errors = np.ones((21, 6))
    errors[:, 2] = np.nan
    radii_px = calibrate(np.random.default_rng(0).normal(size=(9, 6, 2)), errors, np.ones((21, 6))).radii_px(np.ones(6))
    assert np.isnan(radii_px[2]) and np.isfinite(np.delete(radii_px, 2)).all()


@pytest.mark.parametrize("path", sorted((ROOT / "weights").glob("*.pt")), ids=lambda path: path.name)
def test_weights_files_are_read_and_written_under_their_first_names(path):
    stored = {name: value.numpy() for name, value in torch.load(path, weights_only=True)["trust"].items()}
    calibration = Calibration.from_file(stored)
    assert np.array_equal(calibration.score_px, stored["radius"])
    assert calibration.to_file().keys() == {"radius", "doubtful", "pairs", "log_mean", "log_sd", "least_evidence"}
    assert calibration.to_file().keys() - stored.keys() <= {"least_evidence"}  # which older files lack
    assert calibration.radii_px(np.full(37, 0.5)) == pytest.approx(2 * stored["radius"])
