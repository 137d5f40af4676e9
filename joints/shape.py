"""Sets of landmarks as shapes: what is left of them without their place and size."""

import numpy as np


def normalise(points: np.ndarray) -> np.ndarray:
    """Points (..., L, 2), in any unit -> the same around their centroid, with a root mean square distance of 1 from it.

    Missing points are NaN, count for nothing, and stay NaN; sets without extent become NaN.
    """
    present = np.isfinite(points).all(-1, keepdims=True)
    with np.errstate(invalid="ignore"):
        count = present.sum(-2, keepdims=True)
        centred = points - np.where(present, points, 0).sum(-2, keepdims=True) / count
        squares = np.where(present, centred**2, 0).sum(-1, keepdims=True)
        return centred / np.sqrt(squares.sum(-2, keepdims=True) / count)
