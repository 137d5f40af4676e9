"""The network's frame and intensities: every radiograph as a square of one size, its histogram matched inside the hand outline.

Training and prediction must see the same picture, so this is the one place that makes it.
"""

import numpy as np
from scipy.ndimage import binary_fill_holes
from skimage.filters import threshold_otsu
from skimage.measure import label
from skimage.transform import resize, resize_local_mean

QUANTILES = np.linspace(0, 1, 257)  # of the hand's intensities, that histogram matching makes equal


def resize_square(pixels: np.ndarray, size: int) -> np.ndarray:
    """(rows, columns) -> (size, size) float32 without aliasing, each axis by its own factor.

    The picture's edges stay its edges: `heatmap.rescale` by (size / columns, size / rows) moves its points along.
    """
    shape = (size, size)
    if min(pixels.shape) >= size:
        return resize_local_mean(pixels, shape, preserve_range=True).astype(np.float32)
    return resize(pixels, shape, order=1, anti_aliasing=True, preserve_range=True).astype(np.float32)


def hand_outline(picture: np.ndarray) -> np.ndarray:
    """The largest region brighter than Otsu's threshold, its holes filled: (rows, columns) bool; all of an even grey."""
    if picture.max() - picture.min() <= 1e-5 * np.abs(picture).max():
        return np.ones(picture.shape, bool)
    regions = label(picture > threshold_otsu(picture))
    largest = 1 + np.argmax(np.bincount(regions.ravel())[1:])
    return binary_fill_holes(regions == largest)


def intensity_profile(picture: np.ndarray) -> np.ndarray:
    """What histogram matching keeps of a picture: its minimum, the quantiles of the hand, its maximum; increasing."""
    hand = picture[hand_outline(picture)]
    return np.concatenate([[picture.min()], np.quantile(hand, QUANTILES), [picture.max()]])


def to_8_bit(picture: np.ndarray, reference: np.ndarray | None) -> np.ndarray:
    """Intensities with the histogram of the reference inside the hand outline -> uint8.

    `reference` is the `intensity_profile` of the reference radiograph; None leaves the histogram as it is. The curve that
    matches the hand is carried on by straight lines to the darkest and the brightest pixel, so the outline leaves no step.
    """
    own = np.array([picture.min(), picture.max()]) if reference is None else intensity_profile(picture)
    target = own if reference is None else reference
    own, first = np.unique(own, return_index=True)
    matched = np.interp(picture, own, target[first])
    low, high = target[0], target[-1]
    return np.rint((matched - low) / ((high - low) or 1) * 255).astype(np.uint8)
