"""How far a prediction can be believed: regions that hold the truth, plausible shapes, and whether there is a hand at all.

All of it is measured once by `export.py`, on training annotations and held-out radiographs, and stored with the weights.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from joints.shape import normalise
from prediction.regions import Regions
from runtime import arrays
from runtime.files import DataError

NEIGHBOURS = 3  # nearest landmarks that each one's distances are watched to
LENGTH_LIMIT = 5.0  # standard deviations of a log length from which on it is implausible
LEAST_SD = 0.01  # of a log length: few training radiographs may agree by chance
# A landmark is doubtful below LOW_SHARE of the LOW_QUANTILE of its confidences in validation: of the lowest one, a single failed
# heatmap would switch its flag off for good. Where there are so few radiographs that one is the quantile, the floor holds.
# Chosen out of fold under stress. At 0.48, 9 % of the radiographs without a wrong landmark are flagged; at 0.6, 18 %. As many
# wrong landmarks pass either way.
LOW_SHARE, LOW_QUANTILE = 0.48, 0.1
FLOOR_SHARE = 0.2  # of the median confidence of all landmarks in validation
AT_EDGE = 1.25  # times the confidence below which landmarks are doubtful: below that, one at the edge is taken to be cut off
EDGE = 0.01  # of the picture's size: a doubtful landmark this near its edge is taken to lie outside
OUTSIDE, DOUBTFUL, MISPLACED = "outside the picture", "doubtful", "misplaced"  # flags of landmarks
NO_BONE = "no bone seen"  # of landmarks of late bones where FEWEST_LATE of them are doubtful: no reason to look at the radiograph
FEWEST_LATE = 2
OF_LANDMARKS = OUTSIDE, NO_BONE, DOUBTFUL, MISPLACED
OF_RADIOGRAPHS = ("joints outside the picture", "doubtful joints", "implausible shape")  # that have some landmark with one
NO_OUTLINE = "outline not found"  # of a radiograph whose whole histogram had to be matched, with all that lies beside the hand
OTHER_SIDE = "side other than the header's"  # of a radiograph whose file says that it shows the other hand
NO_HAND, UNLIKE_TRAINING = "not a hand", "unlike the training radiographs"  # of which no landmark can be trusted
ALIEN_SHARE = 0.25  # of the landmarks doubtful or of the lengths implausible: not what the network was trained on


@dataclass
class Calibration:
    """What is known of a network's landmarks (L)."""

    regions: Regions  # that hold the truth
    doubtful: np.ndarray  # (L,) confidence below which a landmark is doubtful
    pairs: np.ndarray  # (P, 2) landmarks whose distance is watched
    log_mean: np.ndarray  # (P,) of the logarithm of their distance over the hand's size
    log_sd: np.ndarray  # (P,)
    least_evidence: float = 0.0  # of the joint, below which a picture shows none
    outlined: bool = True  # most held-out radiographs have an outline inside which the histogram is matched

    @classmethod
    def unknown(cls, landmarks: int) -> "Calibration":
        """That of a network of which nothing is known yet."""
        none = np.zeros((0, 2), int), np.zeros(0), np.zeros(0)
        return cls(Regions(np.full((landmarks, 2, 2), np.nan), 1.0), np.zeros(landmarks), *none)

    @classmethod
    def from_file(cls, stored: dict[str, np.ndarray]) -> "Calibration":
        """From what a weights file holds under "trust"."""
        if "region_shape" not in stored:
            raise DataError("weights: expected ellipses for regions, found an earlier version's circles; run export.py again")
        regions = Regions(stored["region_shape"], float(stored["region_target_px2"]))
        return cls(regions, **{name: stored[name] for name in cls.__annotations__ if name in stored})

    def to_file(self) -> dict[str, np.ndarray]:
        """What a weights file holds under "trust"."""
        regions = {"region_shape": self.regions.shape, "region_target_px2": np.asarray(self.regions.target_px2)}
        return regions | {name: np.asarray(value) for name, value in vars(self).items() if name != "regions"}

    def flags(
        self, points_px: np.ndarray, confidence: np.ndarray, extent: tuple[int, int], frame_px: float, late: Sequence[int] = ()
    ) -> tuple[list[str], list[str]]:
        """What is wrong with a radiograph and with each of its landmarks, as `signs` tells; "" where nothing is."""
        signs, is_alien = self.signs(points_px, confidence, extent, frame_px, late)
        landmarks = ["; ".join(word for word, holds in zip(OF_LANDMARKS, truths) if holds) for truths in signs]
        if is_alien:
            return [UNLIKE_TRAINING], landmarks
        some = signs.any(0)[[0, 2, 3]]  # but for bones that young patients do not have yet
        return [name for name, holds in zip(OF_RADIOGRAPHS, some) if holds], landmarks

    def signs(
        self, points_px: np.ndarray, confidence: np.ndarray, extent: np.ndarray, frame_px: float, late: Sequence[int] = ()
    ) -> tuple[np.ndarray, bool]:
        """Which of OF_LANDMARKS is wrong with each landmark (L, 4), and whether the radiograph is unlike those of training.

        points_px (L, 2) and extent (width, height) of the radiograph in one isotropic frame, confidence (L,); `frame_px` is the
        side there of the frame that the network saw. A landmark is OUTSIDE if its point is, or if it is unsure and at the
        edge: where the network finds no more of it than that, the edge has most likely cut it off, and its point is no position.
        `late`: landmarks of bones that young patients do not have yet.
        """
        xp, numbers, extent = arrays.of(points_px), np.arange(len(points_px)), arrays.like(points_px, extent)
        doubtful, known = confidence < self.doubtful, xp.isfinite(self.doubtful)  # nothing is known of what is always missing
        beyond = ((points_px < -0.5) | (points_px > extent - 0.5)).any(1)
        margin = EDGE * frame_px
        at_edge = ((points_px < margin) | (points_px > extent - 1 - margin)).any(1)
        outside = (at_edge & known & (confidence < AT_EDGE * self.doubtful)) | beyond
        doubtful_inside = doubtful & ~outside
        no_bone = arrays.like(points_px, np.isin(numbers, late), bool) & doubtful_inside
        no_bone = no_bone & (no_bone.sum() >= FEWEST_LATE)
        far = abs(log_lengths(points_px, self.pairs) - self.log_mean) / self.log_sd > LENGTH_LIMIT
        ends = (self.pairs[..., None] == arrays.like(points_px, numbers, int)).any(1)
        misplaced = (ends & far[:, None]).sum(0) >= 2
        is_alien = (doubtful & known).sum() > ALIEN_SHARE * known.sum()
        is_alien = is_alien | (far.sum() > ALIEN_SHARE * len(far))
        return xp.stack([outside, no_bone, doubtful_inside & ~no_bone, misplaced], 1), is_alien


def log_lengths(points: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Logarithms of the distances of pairs (P, 2) of points (..., L, 2), over their root mean square distance from the centre."""
    xp, shape = arrays.of(points), normalise(points)
    length = xp.linalg.norm(shape[..., pairs[:, 0], :] - shape[..., pairs[:, 1], :], None, -1)
    return xp.log(length.clip(min=1e-6))


def nearest_pairs(points: np.ndarray) -> np.ndarray:
    """Pairs (P, 2) of each landmark and its nearest ones, by the median distance in shapes (N, L, 2) of any size and place."""
    shapes = normalise(points)
    pairs = set()
    for i in range(shapes.shape[1]):
        distances = np.linalg.norm(shapes - shapes[:, i : i + 1], axis=-1)
        others = np.flatnonzero(np.isfinite(distances).any(0) & (np.arange(shapes.shape[1]) != i))
        nearest = np.argsort(np.nanmedian(distances[:, others], 0), kind="stable")[:NEIGHBOURS]
        pairs |= {(min(i, j), max(i, j)) for j in others[nearest].tolist()}
    return np.array(sorted(pairs), int).reshape(-1, 2)


def calibrate(annotations: np.ndarray, residuals: np.ndarray, confidence: np.ndarray, regions: Regions) -> Calibration:
    """Learn from training annotations (N, L, 2), isotropic, and from held-out residuals (M, L, 2) and confidence (M, L)."""
    pairs = nearest_pairs(annotations)
    lengths = log_lengths(annotations, pairs)
    doubtful = doubtful_below(np.where(np.isnan(residuals).any(-1), np.nan, confidence))
    return Calibration(regions, doubtful, pairs, np.nanmean(lengths, 0), np.maximum(np.nanstd(lengths, 0), LEAST_SD))


def doubtful_below(confidence: np.ndarray) -> np.ndarray:
    """The least confidence (L) at which landmarks are not doubtful, from confidences (M, L) in validation, NaN where missing."""
    limit = np.full(confidence.shape[1], np.inf)  # one that is always missing stays doubtful
    seen = np.isfinite(confidence).any(0)
    low = np.nanquantile(confidence[:, seen], LOW_QUANTILE, axis=0)
    limit[seen] = np.maximum(LOW_SHARE * low, FLOOR_SHARE * np.nanmedian(confidence))
    return limit
