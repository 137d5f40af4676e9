import numpy as np
import pytest
import torch
from conftest import ROOT

from prediction.calibration import LENGTH_LIMIT, Calibration, calibrate, conformal_quantile, log_lengths, nearest_pairs


def test_conformal_quantile_by_hand():
    """Of 21 scores the 95 % quantile is the ceil(22 * 0.95) = 21st, of 39 the 38th; of 5 there is none, so the largest."""
    assert conformal_quantile(np.arange(1, 22.0), 0.95) == 21
    assert conformal_quantile(np.arange(39, 0, -1.0), 0.95) == 38
    assert conformal_quantile(np.arange(5.0), 0.95) == 4


def test_radii_cover_what_they_promise():
    """Over many calibrations with 21 radiographs, further errors fall within the radii in 21 of 22 cases."""
    rng = np.random.default_rng(0)
    covered = []
    for _ in range(300):
        confidence = rng.uniform(0.3, 1, (22, 6))
        errors = rng.rayleigh(1, (22, 6)) / confidence
        calibration = calibrate(rng.normal(size=(9, 6, 2)), errors[:21], confidence[:21])
        covered.append(errors[21] <= calibration.radii_px(confidence[21]))
    assert np.mean(covered) == pytest.approx(21 / 22, abs=0.015)


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
    assert calibration.flags(hands[0], sure, extent, "not a hand") == ([], [""] * 12)

    doubtful = np.where(np.arange(12) == 5, 0.3, 0.8)
    assert calibration.flags(hands[0], doubtful, extent, "not a hand")[0] == ["doubtful joints"]
    assert calibration.flags(hands[0], doubtful, extent, "not a hand")[1][5] == "doubtful"
    assert calibration.flags(hands[0] - (hands[0][5, 0], 0), doubtful, extent, "not a hand")[1][5] == "cropped"

    moved = hands[0].copy()
    moved[0] += (70, 60)
    flags, landmarks = calibration.flags(moved, sure, extent, "not a hand")
    assert flags == ["implausible shape"] and landmarks[0] == "misplaced"

    scattered = np.random.default_rng(3).uniform(0, 300, (12, 2))
    assert calibration.flags(scattered, sure, extent, "not a hand")[0] == ["not a hand"]
    assert calibration.flags(hands[0], np.full(12, 0.1), extent, "not a hand")[0] == ["not a hand"]
    assert LENGTH_LIMIT > 3


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
    assert calibration.to_file().keys() == stored.keys() == {"radius", "doubtful", "pairs", "log_mean", "log_sd"}
    assert calibration.radii_px(np.full(37, 0.5)) == pytest.approx(2 * stored["radius"])
