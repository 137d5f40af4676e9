"""Frames unlike the atlas's: a hand that is small in its picture, off its centre and tilted, with the forearm below it."""

import numpy as np

from phantom import shape as shapes
from phantom.anatomy import forearm_direction, hand_scale
from phantom.soft_tissue import PARTS, cones_of, soft_tissue

SIDE_PX = 20  # between the outermost landmark and the picture's side, at least


def frame(
    shape: np.ndarray, rng: np.random.Generator, rows: int, columns: tuple[int, int], heights: tuple[float, float], tilt: float
) -> tuple[np.ndarray, int]:
    """A shape (37, 2) -> (points px, the picture's columns): the hand fills a part of the rows, most often the upper.

    `heights`: the least and the largest part of the rows; `tilt`: standard deviation of the hand's angle in degrees, cut at 30.
    """
    angle = np.clip(rng.normal(0, tilt), -30, 30)
    turned = shapes.rotate(shape[None], np.radians([angle]))[0]
    low, high = turned.min(0), turned.max(0)
    scale = rng.uniform(*heights) * rows / (high[1] - low[1])
    scale = min(scale, (columns[1] - 2 * SIDE_PX) / (high[0] - low[0]))
    width, height = (high - low) * scale
    count = int(rng.integers(min(max(columns[0], int(width) + 2 * SIDE_PX), columns[1]), columns[1] + 1))
    left = SIDE_PX + (count - width - 2 * SIDE_PX) * rng.beta(2, 2)
    spare = rows - height
    top = min(rng.uniform(0.02, 0.1) * rows, 0.6 * spare) if rng.random() < 0.8 else spare * rng.uniform(0.1, 0.85)
    return (turned - low) * scale + (left, top), count


def forearm_tissue(points: np.ndarray, shape: tuple[int, int], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """As `soft_tissue`, with a forearm that grows thicker towards the elbow, where its muscles are."""
    elbow_px = 1.1 * 732 * hand_scale(points)  # from the wrist

    def cones(*arguments) -> np.ndarray:
        drawn = cones_of(*arguments)
        start, end = drawn[PARTS == "forearm", :2], drawn[PARTS == "forearm", 2:4]
        reach = np.hypot(*(end - start).T)
        drawn[PARTS == "forearm", 2:4] = start + reach * forearm_direction(points[:, :2])
        muscle = 1 + rng.uniform(0.25, 0.6) * np.minimum(reach / elbow_px, 1.4)
        drawn[PARTS == "forearm", 5] *= muscle
        drawn[PARTS == "forearm", 7] *= muscle**0.7
        return drawn

    return soft_tissue(points, shape, rng, cones)
