"""Sets of landmarks as shapes: what is left of them without their place and size."""

import numpy as np


def normalise(points: np.ndarray) -> np.ndarray:
    """Points (..., L, 2), in any unit -> the same around their centroid, with a root mean square distance of 1 from it.

    Missing points are NaN, count for nothing, and stay NaN.
    """
    centred = points - np.nanmean(points, -2, keepdims=True)
    return centred / np.sqrt(np.nanmean((centred**2).sum(-1), -1))[..., None, None]
