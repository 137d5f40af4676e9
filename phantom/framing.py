"""Where a hand lies in its picture: as the atlas frames its hands, or small, off its centre and tilted."""

import numpy as np

from phantom.shape import rotate

ROWS = 1024  # of every picture
COLUMNS = 500, 950
MARGINS = {"left": (0.069, 0.027), "right": (0.063, 0.026), "top": (0.041, 0.021), "bottom": (0.037, 0.024)}  # of the picture's
# width or height, between its edge and the outermost landmark: mean and standard deviation in the atlas
TILT_DEGREES = 0.8, 4.4  # of the middle metacarpal against the picture: mean and standard deviation
SIDE_PX = 20  # between the outermost landmark and the side of other pictures, at least


def upright(shape: np.ndarray, degrees: float) -> tuple[np.ndarray, np.ndarray]:
    """A shape (37, 2), turned and moved to the picture's corner, and its extent (2,)."""
    turned = rotate(shape[None], np.radians([degrees]))[0]
    return turned - turned.min(0), np.ptp(turned, axis=0)


def place(shape: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, int]:
    """A shape (37, 2) -> (points px, the picture's columns): turned, enlarged and framed as the atlas frames its hands."""
    shape, extent = upright(shape, rng.normal(*TILT_DEGREES))
    margin = {side: max(mean + spread * np.clip(rng.normal(), -1.6, 2.5), 0.004) for side, (mean, spread) in MARGINS.items()}
    across = 1 - margin["left"] - margin["right"]
    # a hand may be spread so wide that the picture's columns limit it
    scale = min(ROWS * (1 - margin["top"] - margin["bottom"]) / extent[1], COLUMNS[1] * across / extent[0])
    width = extent[0] * scale
    columns = int(np.clip(np.ceil(width / across), *COLUMNS))
    left = (columns - width) * margin["left"] / (margin["left"] + margin["right"])
    return shape * scale + (left, margin["top"] * ROWS), columns


def frame(shape: np.ndarray, rng: np.random.Generator, heights: tuple[float, float], tilt: float) -> tuple[np.ndarray, int]:
    """A shape (37, 2) -> (points px, the picture's columns): the hand fills a part of the rows, most often the upper.

    `heights`: the least and the largest part of the rows; `tilt`: standard deviation of the hand's angle in degrees, cut at 30.
    """
    shape, extent = upright(shape, np.clip(rng.normal(0, tilt), -30, 30))
    scale = min(rng.uniform(*heights) * ROWS / extent[1], (COLUMNS[1] - 2 * SIDE_PX) / extent[0])
    width, height = extent * scale
    columns = int(rng.integers(max(COLUMNS[0], int(width) + 2 * SIDE_PX), COLUMNS[1] + 1))
    left = SIDE_PX + (columns - width - 2 * SIDE_PX) * rng.beta(2, 2)
    spare = ROWS - height
    top = min(rng.uniform(0.02, 0.1) * ROWS, 0.6 * spare) if rng.random() < 0.8 else spare * rng.uniform(0.1, 0.85)
    return shape * scale + (left, top), columns
