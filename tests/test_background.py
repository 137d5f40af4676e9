"""Radiographs with a bright background: masks, light boxes."""

import numpy as np
import pytest
from conftest import ROOT

from phantom.data_set import write_data_set
from prediction.background import bright_background, darken_background
from prediction.predictor import Predictor
from radiographs.processing import skin_outline
from radiographs.reading import read_radiograph


def masked(side: int = 20) -> np.ndarray:
    """A limb of 8 px width and intensities 10 to 90 in a background of 100, with a bright spot in its middle."""
    picture = np.full((side, side), 100.0, np.float32)
    picture[:, 6:14] = np.linspace(10, 90, side)[:, None]
    picture[9:11, 9:11] = 100
    return picture


def test_a_bright_background_becomes_as_dark_as_the_darkest_beside_it():
    picture = masked()
    background = bright_background(picture)
    assert background[:, :8].all() and background[:, 12:].all()  # with a rim of 2 px
    assert not background[:, 8:12].any()  # the bright spot does not reach the border
    dark = darken_background(picture, background)
    assert (dark[:, :8] == dark[0, 0]).all() and 10 <= dark[0, 0] < 12
    assert (dark[:, 8:12] == picture[:, 8:12]).all() and dark.dtype == np.float32


@pytest.mark.parametrize("case", ["dark background", "label at the border", "one grey"])
def test_other_pictures_stay_as_they_are(case):
    picture = 100 - masked()
    if case == "label at the border":
        picture[:4, :6] = 1000
    if case == "one grey":
        picture[:] = 7
    assert darken_background(picture, bright_background(picture)) is picture


@pytest.mark.slow
def test_a_hand_on_white_is_found_as_on_its_own_ground(tmp_path):
    """A synthetic radiograph, and the same as a segmentation leaves it."""
    write_data_set(tmp_path, {"train": 0, "valid": 0, "test": 1}, seed=3, workers=1)
    (path,) = (tmp_path / "test").iterdir()
    picture = read_radiograph(path).pixels
    white = np.where(skin_outline(picture, 0.3), picture, picture.max())
    predictor = Predictor(ROOT / "weights" / "scn_hand.pt", "cpu", precision="float32")
    ((own,), (found,)) = predictor.predict([picture, white])
    moved = np.linalg.norm(own.points_px - found.points_px, axis=1) * 256 / max(picture.shape)
    assert moved.mean() < 0.4 and moved.max() < 2
    assert found.flags == own.flags == [] and found.orientation == "upright"
    assert found.confidence.mean() > 0.9 * own.confidence.mean()
