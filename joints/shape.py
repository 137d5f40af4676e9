"""Sets of landmarks as shapes: what is left of them without their place and size, and how far two are from each other."""

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


def procrustes_distance(points: np.ndarray, reference: np.ndarray) -> float:
    """Root mean square distance of points (L, 2) from a reference (L, 2), moved, turned, mirrored and sized to fit it best.

    In units of the reference's own root mean square distance from its centre: 0 for the same shape, at most 1. Missing points are
    NaN and count in neither.
    """
    present = np.isfinite(points).all(-1)
    points, reference = points[present], reference[present]
    if not len(points) or not np.ptp(points, 0).any() or not np.ptp(reference, 0).any():
        return 1.0
    overlap = np.linalg.svd(normalise(points).T @ normalise(reference) / len(points), compute_uv=False).sum()
    return float(np.sqrt(max(0.0, 1 - overlap**2)))
