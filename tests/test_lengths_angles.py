import numpy as np
import pytest

from joints.hand import NAMES, RAYS
from joints.lengths_angles import lengths_and_angles


def test_lengths_and_angles_by_hand():
    points = np.zeros((37, 2))
    for number, ray in enumerate(RAYS.values()):  # upright, the thumb on the right
        points[list(ray)] = [(100 - 20 * number, 200 - 30 * k) for k in range(len(ray))]
    points[24] += (30, 0)  # the index finger's tip bends by 45 degrees to the right, the thumb's side
    measures = {name: value for name, _, value in lengths_and_angles(points)}
    assert len(measures) == 5 * 3 + 4 + 4 * 3 + 2
    assert measures["middle metacarpal"] == 30 and measures["thumb distal phalanx"] == 30
    assert measures["index distal phalanx"] == pytest.approx(30 * 2**0.5)
    assert measures["index DIP"] == pytest.approx(45) and measures["index PIP"] == 0
    mirrored = {name: value for name, _, value in lengths_and_angles(points * (-1, 1))}
    assert mirrored == pytest.approx(measures)


def test_names():
    assert len(NAMES) == 37 and NAMES[20] == "thumb tip" and NAMES[15] == "middle metacarpal base"
    assert [NAMES[ray[-1]] for ray in RAYS.values()] == [f"{finger} tip" for finger in RAYS]
