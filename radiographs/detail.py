"""Pictures for the second look: radiographs shrunk, not stretched, until their longer side has a given number of px.

These are called *detail px*. Training and prediction must see the same picture, so this is the one place that makes it.
"""

import numpy as np
import torch
from torch import Tensor

from radiographs.network_frame import Frame

USUAL = 1, 99  # percentiles of the intensities that are brought to -1 and 1
BEYOND = 0.25  # of their distance, that brighter and darker px may lie beyond: the range of a byte


def detail_frame(height: float, width: float, longer: int) -> Frame:
    """(height, width) detail px of a radiograph, or of a view, whose longer side is to have `longer`."""
    rows, columns = (max(1, round(side * longer / max(height, width))) for side in (height, width))
    return rows, columns


def to_detail(pixels: np.ndarray) -> np.ndarray:
    """Intensities (height, width) of a detail picture -> uint8, as it is kept on disk."""
    low, high = np.percentile(pixels, USUAL)
    grey = (pixels - low) / (high - low if high > low else 1.0)
    return ((grey + BEYOND) * (255 / (1 + 2 * BEYOND))).round().clip(0, 255).astype(np.uint8)


def to_grey(detail: np.ndarray) -> Tensor:
    """A detail picture, uint8 -> (1, height, width) about in [-1, 1], as the network sees it."""
    grey = detail.astype(np.float32) * ((1 + 2 * BEYOND) / 255) - BEYOND
    return torch.from_numpy(2 * grey - 1)[None]
