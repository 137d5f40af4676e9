import json
import math

import numpy as np
import pytest

import metrics
from joints.hand import HAND, MEAN_SHAPE
from joints.known import joint_of

NAN = math.nan
ERRORS = np.array([[0.0, 3.0, 5.0, 12.0], [1.0, NAN, 2.0, 4.0]])  # two radiographs, four landmarks, one missing


def test_errors_by_hand():
    truth = np.array([[[10.0, 10.0], [0.0, 0.0], [NAN, NAN]]])
    predicted = np.array([[[13.0, 14.0], [0.0, -2.0], [5.0, 5.0]]])
    assert metrics.point_errors(predicted, truth)[0, :2].tolist() == [5, 2]
    assert np.isnan(metrics.point_errors(predicted, truth)[0, 2])
    unit = np.array([[[2.0, 0.5]]])  # mm per px along x and y
    assert metrics.point_errors(predicted, truth, unit)[0, :2].tolist() == [math.hypot(6, 2), 1]


def test_summary_by_hand():
    summary = metrics.summary(ERRORS, ERRORS / 2)
    first, second = 20 / 4, 7 / 3
    assert summary["ipe_px"] == pytest.approx((first + second) / 2, abs=1e-6)
    assert summary["ipe_px_sd"] == pytest.approx((first - second) / 2, abs=1e-6)
    assert summary["median_px"] == 3
    assert summary["or_px"] == {"4": 1.0, "10": 0.5}  # 4.0 lies on the radius, so inside
    assert summary["or_percent"] == {"4": pytest.approx(200 / 7, abs=1e-5), "10": pytest.approx(100 / 7, abs=1e-5)}
    assert summary["pe_mm"] == pytest.approx(27 / 7 / 2, abs=1e-6)
    assert summary["sdr_mm"]["2"] == pytest.approx(500 / 7, abs=1e-5)
    assert summary["sdr_mm"]["10"] == 100
    assert (summary["images"], summary["landmarks"]) == (2, 7)
    with_blank = metrics.summary(*[np.vstack([errors, [[NAN] * 4]]) for errors in (ERRORS, ERRORS / 2)])
    assert with_blank == summary  # a radiograph without landmarks counts nowhere
    json.dumps(summary, allow_nan=False)


def test_what_nothing_can_be_said_of_is_none():
    summary = metrics.summary(ERRORS, np.full_like(ERRORS, NAN))
    assert summary["pe_mm"] is None and summary["sdr_mm"]["2"] is None
    assert metrics.ipe(np.array([[NAN, NAN], [1.0, 3.0]])).tolist()[1] == 2
    assert np.isnan(metrics.ipe(np.array([[NAN, NAN]])))[0]


def test_landmark_table_by_hand():
    table = metrics.landmark_table(ERRORS, ERRORS, ["head", "neck", "shaft", "base"])
    assert [(row["landmark"], row["name"]) for row in table] == [(0, "head"), (1, "neck"), (2, "shaft"), (3, "base")]
    assert [row["radiographs"] for row in table] == [2, 1, 2, 2]
    assert [row["mean_px"] for row in table] == [0.5, 3, 3.5, 8]
    assert table[3]["sd_px"] == 4 and table[3]["max_px"] == 12 and table[2]["sdr_2mm_percent"] == 50


def test_cumulative_curve_by_hand():
    curve = metrics.cumulative_errors(ERRORS, np.array([0, 2, 4, 12]))
    assert curve == pytest.approx(np.array([1, 3, 5, 7]) / 7 * 100)


def test_millimetres_from_the_file_from_the_wrist_or_not_at_all():
    points = np.tile(MEAN_SHAPE * 500 / np.hypot(*(MEAN_SHAPE[5] - MEAN_SHAPE[1])), (3, 1, 1))  # points 1 and 5 are 500 px apart
    sizes = np.array([[512.0, 1024.0]] * 3)
    spacing = np.array([[0.2, 0.1], [NAN, NAN], [NAN, NAN]])
    unit, source = metrics.millimetres_per_pixel(sizes, spacing, points, (256, 256), scale=HAND.scale)
    assert unit.shape == (3, 1, 2)
    assert unit[0, 0] == pytest.approx([0.2 * 2, 0.1 * 4])
    assert unit[1, 0] == pytest.approx([0.1 * 2, 0.1 * 4])  # 50 mm over 500 px
    assert source == "spacing of the file for 1 of 3, wrist = 50 mm (points 1 and 5) for 2 of 3"
    points_without, unknown = np.where(np.arange(37)[:, None] == 5, NAN, points), np.full((3, 2), NAN)
    unit, source = metrics.millimetres_per_pixel(sizes, unknown, points_without, (256, 256), scale=HAND.scale)
    assert np.isnan(unit).all() and source == "unknown for 3 of 3"
    for others in (points[:, :20], points[:, ::-1]):  # 37 landmarks that are no hand's have no wrist
        unit, source = metrics.millimetres_per_pixel(sizes, spacing, others, (256, 256), scale=joint_of(others, None).scale)
        assert np.isfinite(unit[0]).all() and np.isnan(unit[1:]).all()
        assert source == "spacing of the file for 1 of 3, unknown for 2 of 3"


def test_means_of_float32_keep_all_their_digits():
    """As metrics.csv has had them: a sum of float32, divided in float64."""
    mean = metrics.mean_of_present(np.array([1, 2, NAN, 4], np.float32))
    assert mean.dtype == np.float64 and mean == 7 / 3
