"""One synthetic radiograph of a left hand with 37 exact landmarks: a shape, its pose and frame, bones, soft tissue, film."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter

from phantom import shape as shapes
from phantom.anatomy import ChildsHand
from phantom.bones import TEXTURE_SIDE, Maps
from phantom.film import absorption, add_markers, expose
from phantom.framing import ROWS, place
from phantom.hand import Hand
from phantom.hardware import wear
from phantom.pose import pose
from phantom.soft_tissue import soft_tissue

SHAPE = Path(__file__).with_name("shape.npz")


@cache
def shape_model(path: Path = SHAPE) -> shapes.ShapeModel:
    return shapes.load(path)


def maturity_of(shape: np.ndarray, rng: np.random.Generator) -> float:
    """How grown up a hand looks, 0 to 1: in children the scaphoid still keeps its distance from the radius's other side."""
    radial, ulnar, wrist = (np.hypot(*(shape[a] - shape[b])) for a, b in ((8, 5), (8, 1), (1, 5)))
    return float(np.clip(1.26 + 1.36 * (radial - ulnar) / wrist + rng.normal(0, 0.1), 0.05, 1))


@dataclass(frozen=True)
class Steps:
    """What a radiograph is made by; a kind of radiograph gives another function of the same form."""

    shape_model: Callable = shape_model
    sample_shape: Callable = shapes.sample
    maturity_of: Callable = maturity_of
    pose: Callable = pose
    place: Callable = place
    hand: type[Hand] = ChildsHand
    soft_tissue: Callable = soft_tissue
    wear: Callable = wear
    process: Callable | None = None  # the film as it was scanned


STEPS = Steps()


def draw_hand(seed, masks: dict[str, np.ndarray] | None = None, steps: Steps = STEPS) -> tuple[np.ndarray, np.ndarray]:
    """One radiograph: picture (1024, columns) uint8 and points (37, 2) as (x, y) px, the same for the same seed.

    `seed` is anything `numpy.random.default_rng` takes. An empty dictionary as `masks` is filled with name: (rows, columns)
    bool, where each bone is.
    """
    rng = np.random.default_rng(seed)
    shape = steps.sample_shape(steps.shape_model(), rng)
    maturity = steps.maturity_of(shape, rng)
    body = np.column_stack([shape, np.zeros(len(shape))])
    steps.pose(body, rng)
    points, columns = steps.place(body[:, :2], rng)
    enlarged = np.hypot(*(points[16] - points[13])) / np.hypot(*(body[16] - body[13])[:2])
    body = np.column_stack([points, enlarged * body[:, 2]])
    noise = rng.standard_normal((TEXTURE_SIDE, TEXTURE_SIDE)).astype(np.float32)
    texture = gaussian_filter(noise, rng.uniform(0.7, 1.2), mode="wrap")
    texture *= rng.uniform(0.9, 2.0) / texture.std()
    maps = Maps(*np.zeros((2, ROWS, columns), np.float32), texture, masks)
    hand = steps.hand(maps, body, maturity, rng)
    hand.draw()
    soft, depth = steps.soft_tissue(body, (ROWS, columns), rng)
    bone = rng.uniform(0.95, 1.35)
    soft = soft + steps.wear(points, soft, hand.scale, rng)
    grey = expose(absorption(maps, soft, bone, hand.scale, rng), depth, rng)
    add_markers(grey, depth, rng)
    if steps.process:
        grey = steps.process(grey, depth, points, rng)
    return np.rint(grey.clip(0, 255)).astype(np.uint8), points
