"""Sets of landmarks as shapes: what is left of them without their place and size, and how far two are from each other."""

import warnings

import numpy as np

from runtime import arrays

OTHER_SIDE = 0.5  # of its distance from the others, below which a shape's mirror image must get to be of the other side
ROUNDS = 3  # of comparing each with the mean of all
SYMMETRIC = 1.5  # times what landmarks usually lie off their means: so near to its mirror image is a symmetric mean shape


def normalise(points: np.ndarray) -> np.ndarray:
    """Points (..., L, 2), in any unit -> the same around their centroid, with a root mean square distance of 1 from it.

    Missing points are NaN, count for nothing, and stay NaN; sets without extent become NaN.
    """
    xp = arrays.of(points)
    present = xp.isfinite(points).all(-1)[..., None]
    with np.errstate(invalid="ignore"):
        count = present.sum(-2)[..., None, :]
        centred = points - xp.where(present, points, 0).sum(-2)[..., None, :] / count
        squares = xp.where(present, centred**2, 0).sum(-1)[..., None]
        return centred / xp.sqrt(squares.sum(-2)[..., None, :] / count)


def of_the_other_side(shapes: np.ndarray) -> np.ndarray:
    """Which upright shapes (N, L, 2) are far more like the mirror images of most others than like these: (N,) bool."""
    shapes = normalise(shapes)
    flip = np.array([-1.0, 1.0])
    reference = shapes[np.isfinite(shapes).all(-1).sum(1).argmax()]
    mirrored = np.zeros(len(shapes), bool)
    with warnings.catch_warnings(action="ignore", category=RuntimeWarning):  # landmarks always missing, shapes without any
        for _ in range(ROUNDS):
            alike = normalise(np.where(np.isfinite(shapes), reference, np.nan))  # with the same landmarks missing
            as_is, turned = (np.nanmean(((shapes * way - alike) ** 2).sum(-1), 1) for way in (1, flip))
            mirrored = turned < OTHER_SIDE**2 * as_is
            reference = np.nanmean(np.where(mirrored[:, None, None], shapes * flip, shapes), 0)
    return mirrored if mirrored.mean() <= 0.5 else ~mirrored


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


def mirror_order(points: np.ndarray, most: float = SYMMETRIC) -> np.ndarray | None:
    """Which landmark takes the place of each, (L,), when radiographs with points (N, L, 2) are mirrored left to right.

    So a left corner becomes a right one. None where the mean shape is not symmetric, as that of a hand: where it lies farther
    from its mirror image than `most` times what is usual between radiographs.
    """
    from scipy.optimize import linear_sum_assignment  # takes 0.3 s to load, which label.py does without

    centred = points - np.nanmean(points, 1, keepdims=True)
    with warnings.catch_warnings(action="ignore", category=RuntimeWarning):  # landmarks that no radiograph shows
        usual = np.nanmedian(centred, 0)
        spread = np.nanmedian(np.linalg.norm(centred - usual, axis=-1))
    if not np.isfinite(usual).all():
        return None
    far = np.linalg.norm((usual * (-1, 1))[:, None] - usual, axis=-1)
    here, there = linear_sum_assignment(far)
    near = np.isinf(most) or np.sqrt((far[here, there] ** 2).mean()) <= most * spread  # the spread of one radiograph is 0
    return there if near and (there[there] == here).all() else None
