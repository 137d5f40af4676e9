"""The shipped weights on real radiographs, where HAND_ATLAS names them: some of the validation ones, never the test ones."""

import json

import numpy as np
import pytest
import torch
from conftest import ROOT

from experiments.common import mahalanobis
from metrics import point_errors
from phantom.drawing import draw_hand
from prediction.predictor import Predictor
from radiographs.raw_folder import COORDINATES, read_points
from radiographs.reading import read_radiograph
from runtime.device import native_precision

SAID = ROOT / "tests" / "synthetic_hands.json"  # landmarks, px of the drawn pictures, by seed
IPE_PX = 0.622  # of every third validation radiograph, in the 256 x 256 frame; it has learnt from them


@pytest.mark.slow
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


@pytest.mark.parametrize("precision", sorted({"float32", native_precision(torch.device("cpu"))}))
def test_the_shipped_network_says_the_same_of_synthetic_hands_on_every_machine(precision):
    """Three hands drawn by their seeds, through all of prediction; what float32 said of them where the weights were made."""
    predictor = Predictor(ROOT / "weights" / "scn_hand.pt", "cpu", precision=precision, check=False)
    for seed, expected in json.loads(SAID.read_text()).items():
        pixels, _ = draw_hand([77, int(seed)])
        (hands,) = predictor.predict([pixels])
        moved = np.linalg.norm(max(hands, key=lambda hand: hand.evidence).points_px - expected, axis=1) * 256 / max(pixels.shape)
        assert np.median(moved) < 0.1 and moved.max() < 1.0, seed
