"""What predictions say in files and pictures, from predictions made up."""

import numpy as np
import pytest

from joints.hand import MEAN_SHAPE, NAMES
from prediction.orientation import Orientation
from prediction.overlay import COLOURS, base_picture, draw
from prediction.predictor import Prediction

EXTENT = 400, 500  # width, height px
HAND = MEAN_SHAPE * 120 + (200, 260)


def made(points_px: np.ndarray = HAND, flags: dict[int, str] | None = None, of_radiograph: list[str] | None = None) -> Prediction:
    """A prediction of confidence 0.5 and radii of 3 px, with flags of some landmarks."""
    count = len(points_px)
    landmark_flags = [(flags or {}).get(i, "") for i in range(count)]
    return Prediction(
        points_px, np.full(count, 0.5), np.full(count, 3.0), Orientation(), of_radiograph or [], landmark_flags
    )


@pytest.mark.parametrize(("names", "bones"), [(list(NAMES), True), ([str(i) for i in range(37)], False)])
def test_bones_are_drawn_between_a_hands_landmarks_alone(names, bones):
    """The names in the weights decide, not the number of landmarks."""
    base = base_picture(np.random.default_rng(0).integers(0, 255, EXTENT[::-1]).astype(np.float32))
    picture = np.array(draw(base, made(), EXTENT, names, with_names=False).convert("RGB"))
    assert (picture == COLOURS[2]).all(-1).any() == bones
