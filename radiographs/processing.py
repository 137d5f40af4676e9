"""What other places' equipment makes of a radiograph: tone curves, sharp edges, noise, masks, collimation, labels, cut edges.

Training changes radiographs so at random, and matches their histograms again as preparation does: the network learns what it
will see. Pictures are (rows, columns) float32 in [0, 1], bone bright; lengths are parts of the picture's rows, so the same
changes fit any size. No landmark moves.
"""

from collections.abc import Callable

import numpy as np
from scipy.ndimage import binary_dilation, gaussian_filter
from skimage.exposure import equalize_adapthist
from skimage.filters import threshold_otsu

from radiographs.network_frame import largest_region, to_8_bit
from radiographs.view import border_grey

Picture = np.ndarray
Process = Callable[[Picture, np.random.Generator], Picture]
CLIP = 0.002, 0.04  # of CLAHE
MAX_CUT = 0.18  # of the picture, that lies beyond a cut edge


def tone_curve(picture: Picture, rng: np.random.Generator) -> Picture:
    """A gamma, or a steep curve around some grey."""
    if rng.random() < 0.5:
        return picture ** float(np.exp(rng.uniform(-1.1, 1.1)))
    return 1 / (1 + np.exp(-rng.uniform(3, 14) * (picture - np.quantile(picture, rng.uniform(0.2, 0.8)))))


def edge_enhancement(picture: Picture, rng: np.random.Generator) -> Picture:
    """Unsharp masking of fine or coarse detail."""
    radius = np.exp(rng.uniform(np.log(0.003), np.log(0.03))) * len(picture)
    return picture + rng.uniform(0.5, 4) * (picture - gaussian_filter(picture, radius))


def local_contrast(picture: Picture, rng: np.random.Generator) -> Picture:
    """CLAHE."""
    tile, clip = max(2, round(len(picture) * rng.uniform(0.08, 0.25))), np.exp(rng.uniform(*np.log(CLIP)))
    return equalize_adapthist(picture.clip(0, 1), kernel_size=tile, clip_limit=clip).astype(np.float32)


def noise(picture: Picture, rng: np.random.Generator) -> Picture:
    """Grain of some size, as of a low dose."""
    grain = rng.standard_normal(picture.shape, dtype=np.float32)
    if rng.random() < 0.5:
        grain = gaussian_filter(grain, rng.uniform(0.4, 1.2))
        grain /= grain.std()
    return picture + grain * rng.uniform(0.01, 0.06)


def blur(picture: Picture, rng: np.random.Generator) -> Picture:
    return gaussian_filter(picture, rng.uniform(0.001, 0.007) * len(picture))


def skin_outline(picture: Picture, share: float) -> np.ndarray:
    """The largest region brighter than a share of the way from the border's grey to Otsu's threshold, and a little around it."""
    smooth = gaussian_filter(picture, 0.002 * len(picture))
    beside = border_grey(smooth)
    outline = largest_region(smooth > beside + share * (threshold_otsu(smooth) - beside))
    return binary_dilation(outline, iterations=1 + len(picture) // 200)


def some_grey(rng: np.random.Generator) -> float:
    return rng.choice([0.0, 0.0, 1.0, rng.random()])  # most often black


def mask(picture: Picture, rng: np.random.Generator) -> Picture:
    """One grey beside the hand, as a segmentation leaves it."""
    if np.ptp(picture) == 0:
        return picture
    outline = skin_outline(picture, rng.uniform(0.2, 0.9))
    return np.where(outline, picture, some_grey(rng)).astype(np.float32)


def collimation(picture: Picture, rng: np.random.Generator) -> Picture:
    """Strips of one grey along some edges, a little slanted."""
    covered = picture.copy()
    shade = some_grey(rng)
    for turns in range(4):
        if rng.random() < 0.6:
            side = np.rot90(covered, turns)  # a view
            edge = rng.uniform(0, 0.09) * len(side) + rng.normal(0, 0.04) * (np.arange(side.shape[1]) - side.shape[1] / 2)
            side[np.arange(len(side))[:, None] < edge] = shade
    return covered


def labels(picture: Picture, rng: np.random.Generator) -> Picture:
    """Rectangles of one grey, over the hand too."""
    covered = picture.copy()
    rows, columns = picture.shape
    for _ in range(rng.integers(1, 4)):
        height, width = (1 + rng.uniform(0.03, 0.14, 2) * (rows, columns)).astype(int)
        y, x = rng.integers(0, rows - height), rng.integers(0, columns - width)
        covered[y : y + height, x : x + width] = some_grey(rng)
    return covered


def cut(picture: Picture, rng: np.random.Generator) -> Picture:
    """Nothing beyond one or two edges, where a crop repeats the last row or column that there is."""
    kept = picture.copy()
    for turns in rng.choice(4, rng.integers(1, 3), replace=False):
        side = np.rot90(kept, turns)  # a view
        lost = int(rng.uniform(0.01, MAX_CUT) * len(side))
        side[:lost] = side[lost]
    return kept


CHANCES: dict[Process, float] = {  # of each to be among what a radiograph goes through, in this order
    tone_curve: 0.4,
    blur: 0.15,
    noise: 0.3,
    edge_enhancement: 0.25,
    local_contrast: 0.25,
    mask: 0.2,
    labels: 0.2,
    collimation: 0.15,
    cut: 0.25,
}


def processed(picture: np.ndarray, reference: np.ndarray | None, rng: np.random.Generator) -> np.ndarray:
    """A prepared picture uint8 as it would have been, had other equipment made it: uint8, its histogram matched again."""
    return to_8_bit(by_other_equipment(picture, rng), reference)


def by_other_equipment(picture: np.ndarray, rng: np.random.Generator) -> Picture:
    """The same of any picture uint8, its histogram as it comes out."""
    grey = picture.astype(np.float32) / 255
    for process, chance in CHANCES.items():
        if rng.random() < chance:
            grey = process(grey, rng).clip(0, 1)
    return grey
