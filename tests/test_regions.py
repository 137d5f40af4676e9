"""Ellipses by hand, and the share of truths that they hold."""

import math

import numpy as np
import pytest
import torch

from experiments.common import mahalanobis
from export import coverage_line
from heatmap import fit_peaks
from prediction.calibration import Calibration
from prediction.held_out import HeldOut, calibration_of
from prediction.regions import CLEAR, Regions, calibrate_regions, conformal_quantile, conjugate, promised, semi_axes
from runtime.files import DataError

TARGET = 4.0  # px²


def turn(degrees: float) -> np.ndarray:
    """From the x axis towards the y axis."""
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[cos, -sin], [sin, cos]])


def test_conformal_quantile_by_hand():
    """Of 21 scores the 95 % quantile is the ceil(22 * 0.95) = 21st, of 39 the 38th; of 5 there is none, so the largest.

    95 % are promised from 19 radiographs on; before, what the largest of n errors can promise.
    """
    for count, expected in ((21, 21), (39, 38), (5, 5)):
        assert conformal_quantile(np.arange(count, 0, -1.0), 0.95) == expected
    assert [promised(count) for count in (0, 1, 2, 18)] == [0, 1 / 2, 2 / 3, 18 / 19]
    assert promised(19) == promised(1000) == 0.95


def test_covariances_of_heatmaps():
    """Those that were drawn, whatever their tilt; a heatmap without a peak is as wide as any is believed to be."""
    drawn = np.stack([conjugate(turn(30), np.diag([9.0, 2.0])), np.diag([1.0, 5.0])])
    pixels = np.stack(np.meshgrid(np.arange(48), np.arange(40)), -1)
    steps = pixels - np.array([[20.3, 17.6], [9.0, 31.5]])[:, None, None]
    maps = torch.tensor(np.exp(-0.5 * np.einsum("nhwi,nij,nhwj->nhw", steps, np.linalg.inv(drawn), steps)), dtype=torch.float32)
    _, _, covariances = fit_peaks(torch.cat([maps, torch.zeros(1, 40, 48)]))
    assert covariances[:2].numpy() == pytest.approx(drawn, rel=1e-3, abs=1e-3)
    assert covariances[2].numpy() == pytest.approx(25 * np.eye(2))


def test_a_region_by_hand():
    """A heatmap of 3 by 1 px for targets of 2 px: 9 less 0.6 of the target's 4 along it, 0.1 of it across."""
    ellipse = Regions(np.eye(2)[None], TARGET).of(conjugate(turn(20), np.diag([9.0, 1.0]))[None], np.array([0.5]))
    assert ellipse[0] == pytest.approx(conjugate(turn(20), np.diag([9 - 2.4, 0.4])) / 0.5**2)


def test_semi_axes_by_hand():
    """A circle of 2 px, and ellipses of 5 by 3 px along x, at 30 degrees towards y (down), along y; and an unknown one."""
    ellipses = [4 * np.eye(2), *(conjugate(turn(degrees), np.diag([25.0, 9.0])) for degrees in (0, 30, 90, -30))]
    long, short, degrees = semi_axes(np.array([*ellipses, np.full((2, 2), np.nan)]))
    assert long[:5] == pytest.approx([2, 5, 5, 5, 5]) and short[:5] == pytest.approx([2, 3, 3, 3, 3])
    assert degrees[1:5] == pytest.approx([0, 30, 90, -30], abs=1e-6)
    assert np.isnan([long[5], short[5], degrees[5]]).all()


def made(count: int, rng: np.random.Generator, kind: str = "as the heatmap says") -> tuple[np.ndarray, np.ndarray]:
    """Residuals (count, 3, 2) and covariances (count, 3, 2, 2) of landmarks on edges at 0, 40 and 90 degrees."""
    along = rng.uniform(0.3, 3, (count, 3, 1, 1))
    rotations = np.stack([turn(0), turn(40), turn(90)])
    spread = rotations @ (np.concatenate([along**2, 0.2 * np.ones_like(along)], -1) * np.eye(2)) @ rotations.swapaxes(1, 2)
    draws = rng.normal(size=(count, 3, 2)) if kind != "heavy tails" else rng.standard_t(2, size=(count, 3, 2))
    residuals = np.einsum("nlij,nlj->nli", np.linalg.cholesky(spread), draws)
    covariances = spread + CLEAR * TARGET * np.eye(2)
    return residuals, covariances if kind != "heatmaps say nothing" else np.broadcast_to(TARGET * np.eye(2), covariances.shape)


@pytest.mark.parametrize("kind", ["as the heatmap says", "heatmaps say nothing", "heavy tails"])
@pytest.mark.parametrize("count", [8, 40])
def test_regions_cover_what_they_promise(kind, count):
    """Over many calibrations, of each landmark of a further radiograph: 8 of 9 with eight of them, 39 of 41 with 40."""
    rng, trials = np.random.default_rng(count), 400
    share = math.ceil((count + 1) * 0.95) / (count + 1) if count > 18 else count / (count + 1)
    within = []
    for _ in range(trials):
        residuals, covariances = made(count + 5, rng, kind)
        regions = calibrate_regions(residuals[:count], covariances[:count], np.ones((count, 3)), TARGET)
        within.append(mahalanobis(residuals[count:], regions.of(covariances[count:], np.ones((5, 3)))) <= 1)
    covered, spread = np.mean(within, (0, 1)), (share * (1 - share) / trials) ** 0.5  # of 5 with one calibration, as if one
    assert (covered > share - 3 * spread).all() and (covered < share + 0.025 + 3 * spread).all()


def test_regions_lie_along_edges_and_are_smaller_than_circles():
    residuals, covariances = made(112, np.random.default_rng(0))
    regions = calibrate_regions(residuals, covariances, np.ones(residuals.shape[:2]), TARGET)
    ellipses = regions.of(covariances, np.ones((112, 3)))
    long, short, degrees = semi_axes(ellipses)
    told = long > 2 * short
    assert told.mean() > 0.5
    for column, expected in zip(range(3), (0, 40, 90)):
        off = (degrees[:, column][told[:, column]] - expected + 90) % 180 - 90
        assert np.abs(off).max() < 5
    radii = np.quantile(np.linalg.norm(residuals, axis=-1), 0.95, axis=0)
    assert np.median(long * short) < 0.5 * np.median(radii**2)


def test_landmarks_missing_and_never_seen():
    residuals, covariances = made(30, np.random.default_rng(1))
    residuals[::2, 0], residuals[:, 2] = np.nan, np.nan
    whole = calibrate_regions(residuals, covariances, np.ones(residuals.shape[:2]), TARGET)
    alone = calibrate_regions(residuals[1::2, :1], covariances[1::2, :1], np.ones((15, 1)), TARGET)
    assert np.isnan(whole.shape[2]).all() and np.isfinite(whole.shape[:2]).all()
    assert np.isfinite(alone.shape).all()
    assert np.isnan(whole.of(covariances, np.ones((30, 3)))[:, 2]).all()


def test_regions_grow_as_heatmaps_fall_and_an_outlier_shapes_none():
    """Half the confidence, twice the size; one of fifty that is a hundred times as far off changes the region but little."""
    residuals, covariances = made(50, np.random.default_rng(3))
    regions = calibrate_regions(residuals, covariances, np.full((50, 3), 0.8), TARGET)
    first, second = (regions.of(covariances, np.full((50, 3), confidence)) for confidence in (0.8, 0.4))
    assert second == pytest.approx(4 * first)
    unscaled = calibrate_regions(residuals, covariances, np.ones((50, 3)), TARGET).of(covariances, np.ones((50, 3)))
    assert first == pytest.approx(unscaled)
    residuals[7] *= 100
    slipped = calibrate_regions(residuals, covariances, np.full((50, 3), 0.8), TARGET)
    areas = [np.sqrt(np.linalg.det(one.shape)) for one in (regions, slipped)]
    assert (areas[1] < 2 * areas[0]).all()


def test_regions_of_an_earlier_version_are_told():
    with pytest.raises(DataError, match="an earlier version's circles; run export"):
        Calibration.from_file({"radius": np.ones(2)})


def test_export_says_what_regions_promise():
    """Two landmarks with ellipses of 2 by 1 px, a third that no held-out radiograph shows."""
    residuals = np.zeros((24, 3, 2))
    residuals[:, 2], residuals[:2, 0] = np.nan, np.nan
    covariances = np.broadcast_to(np.eye(2) * (CLEAR * TARGET + 1), (24, 3, 2, 2))
    regions = Regions(np.stack([np.diag([4.0, 1.0])] * 2 + [np.full((2, 2), np.nan)]), TARGET)
    calibration = Calibration.unknown(3)
    calibration.regions = regions
    fine = np.zeros(24, bool)
    held_out = HeldOut(residuals, covariances, np.ones((24, 3)), np.ones(24), fine, fine, ~fine, ~fine)
    said = coverage_line(calibration, held_out)
    assert "median area 6.28 px²" in said and "exchangeable with the 24 held-out ones" in said and "at least 95 %" in said
    assert "1 landmarks that none of them shows have none" in said
    few = HeldOut(*(part[2:5] for part in (residuals, covariances, np.ones((24, 3)), np.ones(24), fine, fine, ~fine, ~fine)))
    assert "at least 3/4 (few show it)" in coverage_line(calibration, few)


def test_where_most_held_out_radiographs_have_no_outline_its_lack_is_no_flag():
    """Of two radiographs and two changed copies of each only the first ones count."""
    residuals, shape = np.ones((6, 3, 2)), np.array([[[0.0, 0.0], [4.0, 0.0], [0.0, 3.0]]] * 3)
    came = np.arange(6) < 2
    for outlined, expected in (([1, 1, 0, 0, 0, 0], True), ([0, 0, 1, 1, 1, 1], False)):
        of_all = np.broadcast_to(np.eye(2), (6, 3, 2, 2)), np.ones((6, 3)), np.ones(6), ~came, ~came
        held_out = HeldOut(residuals, *of_all, came, np.array(outlined, bool))
        assert calibration_of(shape, held_out, 4.0).outlined is expected
