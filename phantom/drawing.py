"""One synthetic radiograph of a left hand with 37 exact landmarks: a shape, its pose and frame, bones, soft tissue, film."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter

from phantom import shape as shapes
from phantom.anatomy import draw_bones, draw_wrist
from phantom.bones import TEXTURE_SIDE, Maps
from phantom.film import absorption, add_markers, expose, wear
from phantom.soft_tissue import soft_tissue

SHAPE = Path(__file__).with_name("shape.npz")
ROWS = 1024  # of every picture
MARGINS = {"left": (0.069, 0.027), "right": (0.063, 0.026), "top": (0.041, 0.021), "bottom": (0.037, 0.024)}  # of the picture's
# width or height, between its edge and the outermost landmark: mean and standard deviation in the atlas
TILT_DEGREES = 0.8, 4.4  # of the middle metacarpal against the picture: mean and standard deviation
COLUMNS = 500, 950


@cache
def shape_model(path: Path = SHAPE) -> shapes.ShapeModel:
    return shapes.load(path)


def maturity_of(shape: np.ndarray, rng: np.random.Generator) -> float:
    """How grown up a hand looks, 0 to 1: in children the scaphoid still keeps its distance from the radius's other side."""
    radial, ulnar, wrist = (np.hypot(*(shape[a] - shape[b])) for a, b in ((8, 5), (8, 1), (1, 5)))
    return float(np.clip(1.26 + 1.36 * (radial - ulnar) / wrist + rng.normal(0, 0.1), 0.05, 1))


def pose(shape: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Fingers spread a little differently: each finger turned about its knuckle, the thumb about its base."""
    shape = shape.copy()
    for first, last, degrees in ((21, 24, 2.0), (25, 28, 1.5), (29, 32, 1.5), (33, 36, 2.5), (17, 20, 2.5)):
        turned = shapes.rotate(shape[None, first : last + 1] - shape[first], np.radians(rng.normal(0, degrees, 1)))
        shape[first : last + 1] = turned[0] + shape[first]
    return shape


def place(shape: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, int]:
    """A shape (37, 2) -> (points px, the picture's columns): turned, enlarged and framed as the atlas frames its hands."""
    turned = shapes.rotate(shape[None], np.radians(rng.normal(*TILT_DEGREES, 1)))[0]
    margin = {side: max(mean + spread * np.clip(rng.normal(), -1.6, 2.5), 0.004) for side, (mean, spread) in MARGINS.items()}
    low, high = turned.min(0), turned.max(0)
    across = 1 - margin["left"] - margin["right"]
    scale = min(
        ROWS * (1 - margin["top"] - margin["bottom"]) / (high[1] - low[1]),
        COLUMNS[1] * across / (high[0] - low[0]),  # a hand spread so wide that the picture's columns limit it
    )
    width = (high[0] - low[0]) * scale
    columns = int(np.clip(np.ceil(width / across), *COLUMNS))
    spare = columns - width
    left = spare * margin["left"] / (margin["left"] + margin["right"])
    return (turned - low) * scale + (left, margin["top"] * ROWS), columns


def unprocessed(grey: np.ndarray, depth: np.ndarray, points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The film as it was scanned: grey values (rows, columns), returned as they are."""
    return grey


@dataclass(frozen=True)
class Steps:
    """What a radiograph is made by; a kind of radiograph, or an experiment, gives another function of the same form."""

    shape_model: Callable = shape_model
    sample_shape: Callable = shapes.sample
    maturity_of: Callable = maturity_of
    pose: Callable = pose
    place: Callable = place
    draw_bones: Callable = draw_bones
    draw_wrist: Callable = draw_wrist
    soft_tissue: Callable = soft_tissue
    wear: Callable = wear
    expose: Callable = expose
    add_markers: Callable = add_markers
    process: Callable = unprocessed


STEPS = Steps()


def with_heights(points: np.ndarray, posed: np.ndarray) -> np.ndarray:
    """Points (37, 2) px, and the pose (37, 2 or 3) they were placed from -> points (37, 2 or 3) px."""
    if posed.shape[1] == 2:
        return points
    enlarged = np.hypot(*(points[16] - points[13])) / np.hypot(*(posed[16] - posed[13])[:2])
    return np.column_stack([points, enlarged * posed[:, 2]])


def draw_hand(seed, masks: dict[str, np.ndarray] | None = None, steps: Steps = STEPS) -> tuple[np.ndarray, np.ndarray]:
    """One radiograph: picture (1024, columns) uint8 and points (37, 2) as (x, y) px, the same for the same seed.

    `seed` is anything `numpy.random.default_rng` takes. An empty dictionary as `masks` is filled with name: (rows, columns)
    bool, where each bone is.
    """
    rng = np.random.default_rng(seed)
    shape = steps.sample_shape(steps.shape_model(), rng)
    maturity = steps.maturity_of(shape, rng)
    posed = steps.pose(shape, rng)
    points, columns = steps.place(posed[:, :2], rng)
    body = with_heights(points, posed)
    noise = rng.standard_normal((TEXTURE_SIDE, TEXTURE_SIDE)).astype(np.float32)
    texture = gaussian_filter(noise, rng.uniform(0.7, 1.2), mode="wrap")
    texture *= rng.uniform(0.9, 2.0) / texture.std()
    empty = np.zeros((2, ROWS, columns), np.float32)
    maps = Maps(empty[0], empty[1], texture, masks)
    steps.draw_bones(maps, body, maturity, rng, steps.draw_wrist)
    soft, depth = steps.soft_tissue(body, (ROWS, columns), rng)
    grey = steps.expose(absorption(maps, soft, body, rng, steps.wear), depth, rng)
    steps.add_markers(grey, depth, rng)
    grey = steps.process(grey, depth, points, rng)
    return np.rint(grey.clip(0, 255)).astype(np.uint8), points
