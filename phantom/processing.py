"""What digital systems do to a radiograph: sharpening, contrast, tone, segmentation, collimation, grid lines, noise, resolution.

Each takes a radiograph: grey values (rows, columns) float32 in [0, 1], the depth px below the skin (negative beside the hand) and
the points (37, 2) px; and returns grey values.
"""

import io
from collections.abc import Callable

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

from phantom.bones import enlarge
from radiographs.processing import edge_enhancement, local_contrast, noise, tone_curve

LEAST_MARGIN = 5.0  # px, between a landmark and a collimator's blade


def everywhere(change: Callable) -> Callable:
    """A change of the picture that asks neither for the skin nor for the landmarks."""
    return lambda grey, depth, points, rng: change(grey, rng)


def segment(grey: np.ndarray, depth: np.ndarray, points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Everything beside the hand blacked out, now and then whitened, along an outline that is a little off the skin's."""
    ragged = gaussian_filter(rng.standard_normal([side // 16 + 2 for side in grey.shape]).astype(np.float32), rng.uniform(0.5, 2))
    ragged = enlarge(ragged / ragged.std(), 16, grey.shape) * rng.uniform(0, 4)
    hand = depth + ragged > -rng.uniform(-1, 14)
    return np.where(hand, grey, rng.choice([0.0, 1.0, rng.uniform(0, 0.25)], p=(0.7, 0.15, 0.15)))


def collimate(grey: np.ndarray, depth: np.ndarray, points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Blades of lead on two to four sides, at an angle, clear of every landmark; black or white beyond them."""
    y, x = np.ogrid[: grey.shape[0], : grey.shape[1]]
    beyond = np.zeros(grey.shape, np.float32)
    soft, angle = rng.uniform(0.4, 4), np.radians(rng.normal(0, 7))
    for side in rng.permutation(4)[: rng.integers(2, 5)]:
        turned = angle + side * np.pi / 2 + np.radians(rng.normal(0, 4) * (rng.random() < 0.3))
        normal = np.array([np.cos(turned), np.sin(turned)])
        edge = (points @ normal).max() + LEAST_MARGIN + 3 * soft + rng.exponential(45)
        beyond = np.maximum(beyond, 1 / (1 + np.exp(np.clip((edge - x * normal[0] - y * normal[1]) / soft, -30, 30))))
    shade = rng.choice([rng.uniform(0, 0.05), rng.uniform(0.92, 1), rng.uniform(0.08, 0.35)], p=(0.6, 0.25, 0.15))
    return grey + beyond * (shade - grey)


def grid_lines(grey: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The lines of an anti-scatter grid, of several pitches px and angles."""
    angle = rng.choice([0, np.pi / 2]) + rng.normal(0, 0.03)
    y, x = np.ogrid[: grey.shape[0], : grey.shape[1]]
    phase = 2 * np.pi / rng.uniform(2.3, 12) * (x * np.cos(angle) + y * np.sin(angle))
    return grey + rng.uniform(0.002, 0.016) * np.sin(phase) * (0.3 + 0.7 * np.clip(1.6 * grey, 0, 1))


def coarsen(grey: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A coarse resolution and a strongly compressed JPEG."""
    rows, columns = grey.shape
    factor = rng.uniform(1.2, 3.6)
    picture = Image.fromarray(np.rint(255 * grey.clip(0, 1)).astype(np.uint8))
    picture = picture.resize((round(columns / factor), round(rows / factor)), Image.Resampling.BOX)
    if rng.random() < 0.7:
        file = io.BytesIO()
        picture.save(file, "jpeg", quality=int(rng.integers(12, 60)))
        picture = Image.open(file)
    again = rng.choice([Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.NEAREST], p=(0.5, 0.4, 0.1))
    return np.asarray(picture.resize((columns, rows), Image.Resampling(again)), np.float32) / 255


def border(grey: np.ndarray, depth: np.ndarray, points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A bright or a dark frame along the picture's sides."""
    rows, columns = grey.shape
    widths = rng.uniform(0, 26, 4) * (rng.random(4) < 0.8)
    room = np.clip([*(points.min(0) - 3), *((columns, rows) - points.max(0) - 3)], 0, None)
    left, top, right, bottom = np.minimum(widths, room).astype(int)
    framed = np.full_like(grey, rng.choice([rng.uniform(0, 0.08), rng.uniform(0.86, 1)]))
    inside = np.s_[top : rows - bottom, left : columns - right]
    framed[inside] = grey[inside]
    return framed


# In the order in which they follow each other, with how often each is drawn
PROCESSES = {
    everywhere(grid_lines): 0.15, everywhere(noise): 0.25, everywhere(tone_curve): 0.4, everywhere(edge_enhancement): 0.4,
    everywhere(local_contrast): 0.3, everywhere(coarsen): 0.25, collimate: 0.25, segment: 0.25, border: 0.15,
}  # fmt: skip


def process(grey: np.ndarray, depth: np.ndarray, points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Some of PROCESSES, at least one: (rows, columns) grey values in about [0, 255] -> the same, processed."""
    drawn = rng.random(len(PROCESSES)) < list(PROCESSES.values())
    drawn[rng.integers(len(PROCESSES))] |= not drawn.any()
    for step, wanted in zip(PROCESSES, drawn):
        if wanted:
            grey = 255 * step((grey / 255).clip(0, 1).astype(np.float32), depth, points, rng)
    return grey
