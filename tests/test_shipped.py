"""The shipped weights on real radiographs, where HAND_ATLAS names them: some of the validation ones, never the test ones."""

import numpy as np
import pytest
from conftest import ROOT

from metrics import point_errors
from prediction.predictor import Predictor
from prediction.regions import mahalanobis
from radiographs.raw_folder import COORDINATES, read_points
from radiographs.reading import read_radiograph

IPE_PX = 0.724  # of every third validation radiograph, in the 256 x 256 frame; it has learnt from them


def test_the_shipped_network_finds_the_landmarks_of_real_radiographs(atlas):
    predictor = Predictor(ROOT / "weights" / "scn_hand.pt", "cpu", precision="float32")
    table = read_points(atlas / COORDINATES)
    errors, within = [], []
    for path in sorted((atlas / "valid").iterdir())[::3]:
        pixels = read_radiograph(path).pixels
        (hands,) = predictor.predict([pixels])
        best = max(hands, key=lambda hand: hand.evidence)
        errors.append(point_errors(best.points_px, table[path.stem], 256 / np.array(pixels.shape[::-1])))
        within.append(mahalanobis(table[path.stem] - best.points_px, best.ellipse_px2) <= 1)
    assert np.mean(errors) == pytest.approx(IPE_PX, abs=0.005)
    assert np.max(errors) < 10 and np.mean(within) >= 0.95  # they are what it was calibrated on
