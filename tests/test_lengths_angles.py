import numpy as np
import pytest

from joints import lengths_angles
from joints.hand import HAND, MEAN_SHAPE, NAMES, RAYS
from joints.lengths_angles import lengths_and_angles


def circles(radii: np.ndarray) -> np.ndarray:
    return np.eye(2) * np.asarray(radii)[:, None, None] ** 2


def test_lengths_and_angles_by_hand():
    points = np.zeros((37, 2))
    for number, ray in enumerate(RAYS.values()):  # upright, the thumb on the right
        points[list(ray)] = [(100 - 20 * number, 200 - 30 * k) for k in range(len(ray))]
    points[24] += (30, 0)  # the index finger's tip bends by 45 degrees to the right, the thumb's side
    measures = {measure.name: measure.value for measure in lengths_and_angles(HAND, points, circles(np.ones(37)))}
    assert len(measures) == 5 * 3 + 4 + 4 * 3 + 2
    assert measures["middle metacarpal"] == 30 and measures["thumb distal phalanx"] == 30
    assert measures["index distal phalanx"] == pytest.approx(30 * 2**0.5)
    assert measures["index DIP"] == pytest.approx(45) and measures["index PIP"] == 0
    mirrored = {measure.name: measure.value for measure in lengths_and_angles(HAND, points * (-1, 1), circles(np.ones(37)))}
    assert mirrored == pytest.approx(measures)


@pytest.mark.slow
def test_no_landmark_within_its_ellipse_makes_more_than_plus_minus():
    """Landmarks anywhere within their ellipses and on their rims: lengths and angles stay within, and lengths get there."""
    rng = np.random.default_rng(0)
    points = MEAN_SHAPE * 100
    stretch = np.eye(2) * rng.uniform(0.5, 6, (37, 1, 2)) @ np.linalg.qr(rng.normal(size=(37, 2, 2)))[0]  # of a circle of 1
    ellipses = stretch.swapaxes(1, 2) @ stretch
    before = lengths_and_angles(HAND, points, ellipses)
    worst = np.zeros(len(before))
    for k in range(6000):
        way = rng.uniform(0, 2 * np.pi, 37)
        far = 1 if k % 2 else rng.uniform(0, 1, 37)
        step = (far * np.stack([np.cos(way), np.sin(way)])).T
        after = lengths_and_angles_alone(points + np.einsum("li,lij->lj", step, stretch))
        change = np.array([b - a.value for a, b in zip(before, after)])
        angles = np.array([a.kind == "angle" for a in before])
        worst = np.maximum(worst, np.abs(np.where(angles, (change + 180) % 360 - 180, change)))
    share = worst / [a.plus_minus for a in before]
    assert share.max() <= 1
    assert share[~angles].min() > 0.9 and share[angles].min() > 0.5


def lengths_and_angles_alone(points: np.ndarray) -> list[float]:
    """The values without their bounds, which take most of the time."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("largest_change", "largest_turn"):
            patch.setattr(lengths_angles, name, lambda *_: 0.0)
        return [measure.value for measure in lengths_and_angles(HAND, points, np.zeros((37, 2, 2)))]


def test_an_ellipse_along_a_bone_changes_its_length_and_one_across_its_angle():
    points = np.zeros((37, 2))
    points[list(RAYS["index"])] = [(0, 30 * k) for k in range(5)]
    ellipses = np.zeros((37, 2, 2))
    ellipses[22] = np.diag([0, 4.0**2])
    ellipses[23] = np.diag([6.0**2, 0])
    by_name = {measure.name: measure for measure in lengths_and_angles(HAND, points, ellipses)}
    assert by_name["index proximal phalanx"].plus_minus == pytest.approx(4)
    assert by_name["index MCP"].plus_minus == pytest.approx(0, abs=0.06)
    assert by_name["index distal phalanx"].plus_minus == pytest.approx((30**2 + 6**2) ** 0.5 - 30, abs=1e-3)
    assert by_name["index DIP"].plus_minus == pytest.approx(np.degrees(np.arctan2(6, 26) + np.arctan2(6, 30)), abs=0.2)


def test_plus_minus_by_hand():
    """Bones of 30 px in a row: lengths are off by two radii, angles by the turns of their two bones."""
    points = np.zeros((37, 2))
    points[list(RAYS["index"])] = [(0, 30 * k) for k in range(5)]
    radii = np.zeros(37)
    radii[[21, 22, 23]] = 5, 10, 25
    by_name = {measure.name: measure for measure in lengths_and_angles(HAND, points, circles(radii))}
    proximal, mcp = by_name["index proximal phalanx"], by_name["index MCP"]
    assert proximal.plus_minus == pytest.approx(15) and proximal.landmarks == (21, 22)
    first, second = np.degrees(np.arcsin(5 / 30)), 30  # of the metacarpal and of the proximal phalanx
    assert mcp.plus_minus == pytest.approx(first + second, abs=0.2) and mcp.landmarks == (16, 21, 22)
    assert by_name["index PIP"].plus_minus == 180  # the middle phalanx may point anywhere
    assert by_name["thumb IP"].plus_minus == 180  # of bones without a length
    assert [NAMES[ray[-1]] for ray in RAYS.values()] == [f"{finger} tip" for finger in RAYS] and len(NAMES) == 37
