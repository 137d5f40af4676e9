"""Look-alike neighbours told apart: of each heatmap's peaks the ones that together lie as the training annotations do.

A pictorial structure (Felzenszwalb and Huttenlocher, International Journal of Computer Vision 61, 2005): each landmark hangs on
the one that it moves least against, so the best choice of all is found exactly, from the leaves to the root and back.
"""

import warnings
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

PEAKS = 6  # of each heatmap, that are considered
APART = 2  # px, that are next to a peak: what is higher there is the peak, and around the chosen one they remain
NONE = 1e6  # what a peak costs that there is not
LEAST = (
    0.2  # of the highest peak's height, that others must have: few annotations' shape does not outweigh a peak that stands alone
)
FAINT = 0.05  # height, below which a peak is no less likely
FREE = 3.0  # standard deviations that a landmark may lie off at no cost: the shape tells a mistake, not which peak is the better
BLUR = 0.7  # network-frame px, standard deviation that is added to that of every offset, along each axis
COST = 0.01  # share by which the tree may raise the validation error, since it mends gross mistakes elsewhere
SURE = 2.0  # standard errors over radiographs that a loss must have beside that: a few radiographs cannot speak against the tree

FAR = 20.0  # standard deviations of an offset beyond which a point is a mistake; hands, heads and spines vary by 5 to 10
MEANT_FROM = 20  # radiographs with an offset, from which on most of them are sure to be right


@dataclass
class ShapeTree:
    """Where each of L landmarks lies against the one it hangs on, in px of the network frame."""

    parents: np.ndarray  # (L,) numbers of landmarks, -1 for the root
    offsets: np.ndarray  # (L, 2) mean of landmark minus parent
    precisions: np.ndarray  # (L, 2, 2) inverse covariances of it

    @classmethod
    def of(cls, points: np.ndarray) -> "ShapeTree":
        """From training annotations (N, L, 2), NaN where missing: the tree with the smallest sum of variances (Prim)."""
        count = points.shape[1]
        variances = np.array([spread(points - points[:, i : i + 1]) for i in range(count)])
        parents, nearest = np.full(count, -1), variances[0].copy()
        nearest_to = np.zeros(count, int)
        left = list(range(1, count))
        while left:
            new = min(left, key=lambda i: nearest[i])
            left.remove(new)
            parents[new] = nearest_to[new]
            closer = variances[new] < nearest
            nearest[closer], nearest_to[closer] = variances[new][closer], new
        offsets, precisions = np.zeros((count, 2)), np.zeros((count, 2, 2))
        for i in np.flatnonzero(parents >= 0):
            steps = points[:, i] - points[:, parents[i]]
            steps = steps[np.isfinite(steps).all(1)]
            if len(steps) > 2:  # else anything may be
                offsets[i] = steps.mean(0)
                precisions[i] = np.linalg.inv(np.cov(steps.T) + BLUR**2 * np.eye(2))
        return cls(parents, offsets, precisions)

    @classmethod
    def from_file(cls, stored: dict[str, Tensor] | None) -> "ShapeTree | None":
        return stored and cls(**{name: value.cpu().numpy() for name, value in stored.items()})

    def to_file(self) -> dict[str, Tensor]:
        return {name: torch.from_numpy(value) for name, value in vars(self).items()}

    def only_chosen(self, heatmaps: Tensor, to_network: float) -> Tensor:
        """Heatmaps (B, L, H, W), a px of which is `to_network` px of the network frame, without all peaks but the chosen ones."""
        height, width = heatmaps.shape[-2:]
        window = 2 * APART + 1
        peaks = heatmaps == F.max_pool2d(heatmaps, window, 1, APART)
        heights, at = heatmaps.masked_fill(~peaks, -torch.inf).flatten(2).float().topk(min(PEAKS, height * width))
        highest = heights[..., :1]
        heights = heights.masked_fill((highest > 0) & (heights < LEAST * highest), -torch.inf)
        x, y = at % width, at // width
        points = torch.stack([x, y], -1).cpu().double() * to_network
        chosen = self.choose(points, heights.cpu().double()).to(at.device)[..., None]
        beside = (torch.arange(width, device=at.device) - x.gather(2, chosen)).abs() > APART
        below = (torch.arange(height, device=at.device) - y.gather(2, chosen)).abs() > APART
        return heatmaps.masked_fill(below[..., :, None] | beside[..., None, :], torch.finfo(heatmaps.dtype).min)

    def choose(self, points: Tensor, heights: Tensor) -> Tensor:
        """Which of K peaks each landmark has, (B, L), from points (B, L, K, 2) network-frame px and heights (B, L, K)."""
        costs = [*torch.where(heights.isfinite(), -heights.clamp_min(FAINT).log(), NONE).unbind(1)]
        order, best = self.from_root(), {}  # best: of a landmark, for each peak of its parent
        for i in order[:0:-1]:
            parent, (offset, precision) = self.parents[i], (torch.from_numpy(one[i]) for one in (self.offsets, self.precisions))
            off = points[:, i, :, None] - points[:, parent, None] - offset  # (B, own, parent's, 2)
            beyond = (((off @ precision) * off).sum(-1) - FREE**2).clamp_min(0)
            least, best[i] = (costs[i][..., None] + 0.5 * beyond).min(1)
            costs[parent] = costs[parent] + least
        chosen = {order[0]: costs[order[0]].argmin(1)}
        for i in order[1:]:
            chosen[i] = best[i].gather(1, chosen[self.parents[i]][:, None])[:, 0]
        return torch.stack([chosen[i] for i in range(len(order))], 1)

    def from_root(self) -> list[int]:
        """All landmarks, each after the one it hangs on."""
        order = np.flatnonzero(self.parents < 0).tolist()
        for i in order:
            order += np.flatnonzero(self.parents == i).tolist()
        return order


def loses(alone: np.ndarray, together: np.ndarray) -> bool:
    """Whether peaks chosen together are surely worse than each alone, from errors (N, L) px of validation, NaN where missing."""
    one, both = (np.nanmean(errors[np.isfinite(alone).any(1)], 1) for errors in (alone, together))
    loss = both - one
    return len(loss) > 1 and bool(loss.mean() > max(COST * one.mean(), SURE * loss.std(ddof=1) / len(loss) ** 0.5))


def mistaken(points: np.ndarray) -> dict[int, int]:
    """Radiographs whose annotations contradict all others', such as points in another order: number -> the landmark farthest off.

    points (N, L, 2), NaN where missing. Offsets are held against their medians, which a few mistakes do not move, in standard
    deviations by the median absolute deviation (Hampel, Journal of the American Statistical Association 69, 1974).
    """
    parents = ShapeTree.of(points).parents
    steps = (points - points[:, parents])[:, parents >= 0]
    enough = np.isfinite(steps).all(-1).sum(0) >= MEANT_FROM
    if not enough.any():
        return {}
    with warnings.catch_warnings(action="ignore", category=RuntimeWarning):  # landmarks that no radiograph shows
        middle = np.nanmedian(steps, 0)
        deviations = 1.4826 * np.nanmedian(np.abs(steps - middle), 0) + BLUR
    off = enough * np.nan_to_num(np.linalg.norm((steps - middle) / deviations, axis=-1))
    farthest = np.flatnonzero(parents >= 0)[off.argmax(1)]
    return {int(i): int(farthest[i]) for i in np.flatnonzero(off.max(1) > FAR)}


def spread(steps: np.ndarray) -> np.ndarray:
    """Sum of the variances along both axes of steps (N, L, 2): (L,), infinite where fewer than three are known."""
    known = np.isfinite(steps).all(-1, keepdims=True)
    count = known.sum(0)
    mean = np.where(known, steps, 0).sum(0) / np.maximum(count, 1)
    squares = np.where(known, steps - mean, 0) ** 2
    return np.where(count[:, 0] > 2, squares.sum((0, 2)) / np.maximum(count[:, 0], 1), np.inf)
