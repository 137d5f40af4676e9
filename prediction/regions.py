"""Ellipses that hold the truth: how they are shaped, and the conformal guarantee on how often they do.

Landmarks are uncertain along the edge that they lie on more than across it. A heatmap says so itself, by being longer than its
target where training radiographs disagreed; and a landmark's errors on radiographs that the network has not seen say what the
heatmap leaves out. A region takes its shape from both, and its size from the ranks of these errors alone.

Everything is in pixels of the network's view of the joint, upright, unless another frame is named.
"""

import math
from dataclasses import dataclass

import numpy as np

from runtime import arrays

COVERAGE = 0.95  # of the regions
CLEAR, FLOOR = 0.6, 0.1  # of the target's variance: what of a heatmap's is left out as its own, and what is kept at least
LEAST_CONFIDENCE = 1e-3  # that regions are computed with: an empty heatmap has none
FAR = 3.0  # times the median square of a landmark's errors: one that is further off shapes the region as if it were as far
PRIOR = 4.0  # radiographs that the errors of all landmarks together, taken as round, count for in the shape of each one's


@dataclass
class Regions:
    """shape (L, 2, 2), in the `units` that a heatmap gives; NaN for landmarks of which no error is known."""

    shape: np.ndarray
    target_px2: float  # variance of the Gaussians that the network was trained for

    def of(self, covariances: np.ndarray, confidence: np.ndarray) -> np.ndarray:
        """Ellipses (..., L, 2, 2) px²: the truth t of a point p is held to have (t - p)ᵀ ellipse⁻¹ (t - p) <= 1.

        covariances (..., L, 2, 2) px² and confidence (..., L) are those of the Gaussians fitted to the heatmaps.

        What they promise, for each landmark by itself: if a radiograph and the n held-out radiographs that show the landmark are
        exchangeable, the truth lies within with a probability of at least `promised(n)`, on average over radiographs and over
        sets of n; not for every group of patients, or for all landmarks of a radiograph at once. It is approximate in two
        points. The shape is fitted to the same n, each time without the one that is ranked (a jackknife). And where the n were
        predicted by the networks of a cross-validation, the network that predicts the new one must err as these do: without that
        Barber et al. (Annals of Statistics 49(1), 2021) guarantee 2 COVERAGE - 1, for regions made of all these networks.
        """
        return conjugate(units(covariances, confidence, self.target_px2), self.shape)


def calibrate_regions(
    residuals: np.ndarray, covariances: np.ndarray, confidence: np.ndarray, target_px2: float, coverage: float = COVERAGE
) -> Regions:
    """From held-out residuals (M, L, 2), NaN where missing, covariances (M, L, 2, 2) and confidence (M, L) of heatmaps."""
    errors = (np.linalg.inv(units(covariances, confidence, target_px2)) @ residuals[..., None])[..., 0]
    present = np.isfinite(errors).all(-1)
    squares = np.where(present, (errors**2).sum(-1), np.nan)
    usual = np.array([np.median(column[seen]) if seen.any() else np.nan for column, seen in zip(squares.T, present.T)])
    share = np.minimum(1, FAR * usual / np.maximum(squares, 1e-12))
    products = np.where(present[..., None, None], share[..., None, None] * errors[..., :, None] * errors[..., None, :], 0)
    moments = products.sum(0) + PRIOR * np.nanmean(share * squares) / 2 * np.eye(2)
    count = present.sum(0)
    left_out = (moments - products) / (PRIOR + count - 1)[:, None, None].clip(1)  # without the radiograph that is ranked
    scores = np.sqrt(np.einsum("mli,mlij,mlj->ml", errors, np.linalg.inv(left_out), errors))
    quantiles = np.array([conformal_quantile(column[np.isfinite(column)], coverage) for column in scores.T])
    return Regions(quantiles[:, None, None] ** 2 * moments / (PRIOR + count)[:, None, None], target_px2)


def units(covariances: np.ndarray, confidence: np.ndarray, target_px2: float) -> np.ndarray:
    """What errors are measured in, (..., 2, 2) px: the root of the heatmap's excess variance, larger the lower the heatmap."""
    xp, unit = arrays.of(covariances), arrays.like(covariances, np.eye(2))
    middle, apart, (long, short) = variances(covariances)
    along = (covariances - middle[..., None, None] * unit) / xp.where(apart > 0, apart, 1.0)[..., None, None]
    long, short = (  # what they are wider than their targets
        xp.sqrt((one - CLEAR * target_px2).clip(min=FLOOR * target_px2))[..., None, None] for one in (long, short)
    )
    root = (long + short) / 2 * unit + (long - short) / 2 * along
    return root / confidence.clip(min=LEAST_CONFIDENCE)[..., None, None]


def variances(covariances: np.ndarray) -> tuple[np.ndarray, np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """Of the eigenvalues of symmetric matrices (..., 2, 2) the mean, half of what they differ by, and both, the larger first."""
    a, b, d = covariances[..., 0, 0], covariances[..., 0, 1], covariances[..., 1, 1]
    middle, apart = (a + d) / 2, arrays.of(a).sqrt(((a - d) / 2) ** 2 + b * b)
    return middle, apart, (middle + apart, middle - apart)


def conjugate(matrix: np.ndarray, ellipses: np.ndarray) -> np.ndarray:
    """Ellipses (..., 2, 2) where a matrix (..., 2, 2) takes their points."""
    return matrix @ ellipses @ matrix.swapaxes(-1, -2)


def semi_axes(ellipses: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ellipses (..., 2, 2) -> long and short semi-axis, and the long one's angle from x towards y, in (-90, 90] degrees."""
    _, _, (long, short) = variances(ellipses)
    degrees = arrays.degrees(ellipses[..., 0, 0] - ellipses[..., 1, 1], 2 * ellipses[..., 0, 1] + 0.0) / 2  # -0.0 would say -90
    return long**0.5, short.clip(min=0) ** 0.5, degrees


def promised(count: int) -> float:
    """The coverage that `count` held-out radiographs can promise: COVERAGE from 19 on, count / (count + 1) with fewer."""
    return min(COVERAGE, count / (count + 1))


def conformal_quantile(scores: np.ndarray, coverage: float = COVERAGE) -> float:
    """The split-conformal quantile: a further score, exchangeable with these, lies at or below it with probability `coverage`.

    That is the ceil((n + 1) coverage)-th smallest of n scores. With too few of them it is the largest, and the probability
    n / (n + 1). Both are lower bounds, and averages over draws of all n + 1 scores. Of none it is NaN.
    """
    n = len(scores)
    return float(np.sort(scores)[min(math.ceil((n + 1) * coverage), n) - 1]) if n else math.nan
