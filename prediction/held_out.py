"""Held-out radiographs through all of prediction, as they came and changed: what regions, flags and finding are judged by.

They come as they were prepared. Their copies are changed as other places' radiographs differ: turned, smaller, mirrored,
processed by other equipment.
"""

from dataclasses import dataclass, fields, replace

import numpy as np

from dataloader import RadiographDataset
from prediction.calibration import NO_OUTLINE, Calibration, calibrate
from prediction.predictor import Predictor
from prediction.regions import calibrate_regions
from radiographs.processing import processed
from radiographs.view import View, sample

COPIES = 4  # changed ones of each radiograph
SIZES = 0.4, 1.0  # of the hand in them
CANVAS = 1.25  # times the picture's longer side: the side of the square that they lie in
EVIDENCE_SHARE, EVIDENCE_QUANTILE = 0.7, 0.05  # of the evidence in validation: where there is less, a picture shows no joint
LOST = 0.1  # of the network's frame: where half of the landmarks are further off, the finder looked elsewhere


@dataclass
class HeldOut:
    """What was predicted of M pictures with L landmarks: all radiographs as they came, then all changed, COPIES times."""

    residuals_px: np.ndarray  # (M, L, 2) px of the network's view, NaN where a landmark is missing or beside the picture
    covariances_px2: np.ndarray  # (M, L, 2, 2) of the heatmaps
    confidence: np.ndarray  # (M, L)
    evidence: np.ndarray  # (M,)
    swapped: np.ndarray  # (M,) bool: taken for mirrored though it was not, or the other way round
    lost: np.ndarray  # (M,) bool: looked for at a wrong place
    original: np.ndarray  # (M,) bool: as it came
    outlined: np.ndarray  # (M,) bool: with an outline inside which the histogram is matched


def own_proportions(square: np.ndarray, points: np.ndarray, extent: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A prepared picture (height, width) of a radiograph of `extent` (width, height), not stretched, and its points (L, 2)."""
    rows, width = square.shape
    columns = max(1, round(rows * extent[0] / extent[1]))
    corners = np.array([[0, 0], [width, 0], [0, rows]]) - 0.5
    picture = sample(square.astype(np.float32), View.of_corners(corners, (columns, rows)))
    return picture, (points + 0.5) * (columns / width, 1) - 0.5


def as_it_was(
    data: RadiographDataset, i: int, profile: np.ndarray | None, rng: np.random.Generator | None
) -> tuple[np.ndarray, np.ndarray]:
    """A radiograph, as far as it was prepared, and its points; with `rng` as other equipment would have made it."""
    kept = data.detail_picture(i) if data.detail else data.picture(i)
    kept = processed(kept, profile, rng) if rng else kept
    if data.detail:
        return kept.astype(np.float32), data.points_detail_px[i]
    return own_proportions(kept, data.points_network_px[i], data.sizes_px[i])


def changed(picture: np.ndarray, points: np.ndarray, mirrored: bool, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A picture turned by any angle, smaller, somewhere in a square of one grey, maybe mirrored; and its points (L, 2)."""
    rows, columns = picture.shape
    side = round(CANVAS * max(rows, columns))
    angle, size = rng.uniform(-np.pi, np.pi), rng.uniform(*SIZES)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * size
    matrix = turn @ np.diag([-1 if mirrored else 1, 1])
    room = (side - size * max(rows, columns)) / 4
    middle, new_middle = (np.array([columns, rows]) - 1) / 2, (side - 1) / 2 + rng.uniform(-room, room, 2)
    inverse = np.linalg.inv(matrix)
    view = View(inverse, middle - inverse @ new_middle, (side, side))
    return sample(picture, view, "median"), (points - middle) @ matrix.T + new_middle


def hold_out(predictor: Predictor, data: RadiographDataset, seed: int, copies: int = COPIES) -> HeldOut:
    """Predict all radiographs of a data set, each with a landmark, and where there is a finder changed copies of them."""
    rng = np.random.default_rng(seed)
    columns = []
    for copy in range(1 + copies if predictor.finder else 1):
        for i in range(len(data)):
            picture, points = as_it_was(data, i, predictor.profile, rng if copy else None)
            mirrored = bool(copy) and len(predictor.finder.template.reflections) > 1 and rng.random() < 0.5
            if copy:
                picture, points = changed(picture, points, mirrored, rng)
            hand = predictor.surest(picture)
            inside = ((points >= -0.5) & (points <= np.array(picture.shape[::-1]) - 0.5)).all(1)
            residuals = (points - hand.points_px) @ np.linalg.inv(hand.matrix).T
            residuals[~inside] = np.nan
            lost = bool(np.nanmedian(np.linalg.norm(residuals, axis=1)) > LOST * predictor.network_size)
            of_hand = hand.covariances_view_px2, hand.confidence, hand.evidence, hand.mirrored != mirrored
            columns.append((residuals, *of_hand, lost, not copy, NO_OUTLINE not in hand.flags))
    return HeldOut(*(np.array(column) for column in zip(*columns)))


def together(parts: list[HeldOut]) -> HeldOut:
    """What the networks of a cross-validation predicted, each of its own held-out radiographs."""
    return HeldOut(*(np.concatenate([getattr(part, entry.name) for part in parts]) for entry in fields(HeldOut)))


def calibration_of(annotations: np.ndarray, held_out: HeldOut, target_px2: float) -> Calibration:
    """What training annotations (N, L, 2), isotropic, and held-out pictures say of a network's landmarks.

    Regions, shapes and flags are those that radiographs as they came call for; their changed copies count for what is no joint
    at all. `target_px2` is the variance of the heatmaps that the network was trained for.
    """
    original = held_out.original
    residuals, confidence = held_out.residuals_px[original], held_out.confidence[original]
    regions = calibrate_regions(residuals, held_out.covariances_px2[original], confidence, target_px2)
    least = EVIDENCE_SHARE * float(np.quantile(held_out.evidence, EVIDENCE_QUANTILE))
    calibration = calibrate(annotations, residuals, confidence, regions)
    return replace(calibration, least_evidence=least, outlined=bool(held_out.outlined[original].mean() > 0.5))
