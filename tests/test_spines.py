from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

from experiments import spines
from heatmap import rescale
from runtime.files import write_csv


def spine_of(turned: np.ndarray, middles_x: np.ndarray) -> np.ndarray:
    """Landmarks of vertebrae of 20 x 10 px, one every 20 px from above, each turned by degrees about its middle."""
    corners = np.array([(-10, -5), (10, -5), (-10, 5), (10, 5)], float)
    cos, sin = np.cos(np.radians(turned)), np.sin(np.radians(turned))
    turns = np.stack([cos, sin, -sin, cos], -1).reshape(-1, 2, 2)
    return (corners @ turns + np.stack([middles_x, 20 * np.arange(len(turned)) + 20], -1)[:, None]).reshape(-1, 2)


TURNED = np.array([-4.0, -12, -3, 0, 5, 9, 30, 20, 23])  # the main angle: 42 degrees between the second and the seventh
ALONG = np.linspace(0, np.pi, 9)


def test_cobb_angles_by_hand():
    bow, s = (spine_of(TURNED, 100 + 40 * np.sin(times * ALONG)) for times in (1, 2))
    assert spines.cobb_angles(bow, 200) == pytest.approx([42, 8, 7])  # to the first one and to the last
    assert spines.cobb_angles(s, 400) == pytest.approx([42, 8, 10])  # to the first one; 30 to 20
    assert spines.cobb_angles(s, 150) == pytest.approx([42, 8, 0])  # low in the film: nothing lies above the first one
    assert spines.cobb_angles(s, 180) == pytest.approx([42, 8, 0])  # by the lower plates, whose heights sum up to 190
    crossing = np.array([-5.0, -12, 10, 0, 0, 0, 0, 0, -30])  # whose last plate but one alone lies beyond the line of the ends
    assert spines.cobb_angles(spine_of(crossing, 100 + 40 * np.sin(ALONG)), 400) == pytest.approx([40, 15, 0])
    assert spines.smape(np.array([[10.0, 0, 0], [30, 10, 10]]), np.array([[20.0, 0, 10], [30, 10, 10]])) == pytest.approx(25)


def test_the_figures_of_a_run_by_hand(tmp_path, monkeypatch, capsys):
    """Two films of 200 x 400 px in a frame of 100 x 50: one found as it is, the other 20 px too low."""
    points = np.array([spine_of(TURNED, np.full(9, 100.0))] * 2)
    data = SimpleNamespace(ids=["a", "b"], points_px=points, sizes_px=np.array([[200, 400]] * 2), frame=np.array([100, 50]))
    data.in_radiographs = partial(spines.RadiographDataset.in_radiographs, data)
    monkeypatch.setattr(spines, "RadiographDataset", lambda *_: data)
    found = rescale(points + np.array([0, 20])[None] * np.array([0, 1])[:, None, None], np.array([0.25, 0.25]))
    at = [(id, i, *point) for id, points in zip("ab", found) for i, point in enumerate(points)]
    rows = [dict(zip(("image", "landmark", "x_px", "y_px", "peak"), (*one, 1))) for one in at]
    write_csv(tmp_path / "valid_landmarks.csv", rows[::-1])
    spines.main([str(tmp_path), "--data", str(tmp_path), "--split", "valid"])
    cells = [float(cell) for cell in capsys.readouterr().out.splitlines()[-1].strip("| ").split("|")]
    # 20 px lower lies the next vertebra, turned otherwise: its corners are sqrt(125) px from its middle
    beside = 2 * np.sin(np.radians(np.abs(np.diff(TURNED)) / 2)).mean() * np.sqrt(125) / 4
    assert cells == pytest.approx([2, 2.5, 2.5, 50, beside / 2, 0, 0], abs=1e-3)
