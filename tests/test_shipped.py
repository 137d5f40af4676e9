"""The shipped weights on real radiographs, where HAND_ATLAS names them: some of the validation ones, never the test ones."""

import numpy as np
import pytest
from conftest import ROOT

from metrics import point_errors
from prediction.predictor import Predictor
from radiographs.raw_folder import COORDINATES, read_points
from radiographs.reading import read_radiograph

IPE_PX = 0.882  # of every third validation radiograph, in the 256 x 256 frame


def test_the_shipped_network_finds_the_landmarks_of_real_radiographs(atlas):
    predictor = Predictor(ROOT / "weights" / "scn_hand.pt", "cpu", precision="float32")
    table = read_points(atlas / COORDINATES)
    errors, within = [], []
    for path in sorted((atlas / "valid").iterdir())[::3]:
        pixels = read_radiograph(path).pixels
        points, _, radius = predictor(pixels)
        errors.append(point_errors(points, table[path.stem], 256 / np.array(pixels.shape[::-1])))
        within.append(point_errors(points, table[path.stem]) <= radius)
    assert np.mean(errors) == pytest.approx(IPE_PX, abs=0.005)
    assert np.max(errors) < 10 and np.mean(within) >= 0.95  # they are what it was calibrated on
