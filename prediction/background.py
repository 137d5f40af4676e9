"""A bright background beside the joint, as masks and light boxes leave it, and the same picture with a dark one.

Histogram matching counts with the dark background of most training radiographs; a white one moves all of the joint's intensities.
"""

import numpy as np
from scipy.ndimage import binary_dilation
from skimage.measure import label

BRIGHT = 0.02  # of the range of intensities, that a bright background lies within below the brightest
BORDER = 0.2  # of the picture's border, that is at least so bright
RIM = 2  # px around it that resizing mixes with it
DARK = 0.01  # quantile of what lies beside it, that it becomes as dark as


def bright_background(picture: np.ndarray) -> np.ndarray:
    """Where a picture is as bright as it can be from its border on, if much of that is: (rows, columns) bool, with a rim."""
    low, high = float(picture.min()), float(picture.max())
    bright = picture > high - BRIGHT * (high - low)
    if np.concatenate([bright[0], bright[-1], bright[:, 0], bright[:, -1]]).mean() < BORDER:
        return np.zeros(picture.shape, bool)
    regions = label(bright)
    at_border = np.unique(np.concatenate([regions[0], regions[-1], regions[:, 0], regions[:, -1]]))
    return binary_dilation(np.isin(regions, at_border[at_border > 0]), iterations=RIM)


def darken_background(picture: np.ndarray, background: np.ndarray) -> np.ndarray:
    """A picture whose `bright_background` is as dark as the darkest beside it."""
    if background.all() or not background.any():
        return picture
    return np.where(background, np.quantile(picture[~background], DARK), picture).astype(picture.dtype)
