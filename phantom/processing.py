"""What digital systems do to a radiograph: sharpening, contrast, tone, segmentation, collimation, grid lines, noise, resolution.

Each takes a radiograph: grey values (rows, columns) float32 in about [0, 255], the depth px below the skin (negative beside the
hand), the points (37, 2) px; and returns grey values.
"""

import io
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter
from skimage.exposure import equalize_adapthist

from phantom.bones import enlarge

OFTEN = 0.35  # of the radiographs of the other kinds that are processed
LEAST_MARGIN = 5.0  # px, between a landmark and a collimator's blade


def blurred(grey: np.ndarray, radius: float) -> np.ndarray:
    """A Gaussian blur of any radius px, on a coarser picture where it is wide."""
    step = max(int(radius // 4), 1)
    coarse = gaussian_filter(grey[::step, ::step], radius / step, mode="nearest")
    return enlarge(coarse, step, grey.shape) if step > 1 else coarse


def sharpen(grey, depth, points, rng) -> np.ndarray:
    """Unsharp masking at one or two radii."""
    for _ in range(rng.integers(1, 3)):
        radius = np.exp(rng.uniform(np.log(1.5), np.log(70)))
        grey = grey + rng.uniform(0.3, 2.2) * (grey - blurred(grey, radius))
    return grey


def equalise(grey, depth, points, rng) -> np.ndarray:
    """Contrast-limited adaptive histogram equalisation (CLAHE)."""
    parts = rng.integers(3, 12)
    kernel = [max(side // parts, 8) for side in grey.shape]
    relative = np.clip(grey / 255, 0, 1)
    limit = np.exp(rng.uniform(np.log(0.004), np.log(0.05)))
    return 255 * equalize_adapthist(relative, kernel, limit).astype(np.float32)


def tone(grey, depth, points, rng) -> np.ndarray:
    """A gamma, a steep or a flat straight curve, or an S."""
    relative = np.clip(grey / 255, 0, 1)
    curve = rng.integers(3)
    if curve == 0:
        return 255 * relative ** np.float32(np.exp(rng.uniform(np.log(0.45), np.log(2.4))))
    if curve == 1:
        low, high = np.percentile(grey[depth > 0][::16], [rng.uniform(0, 12), rng.uniform(92, 100)])
        black, white = rng.uniform(0, 110), rng.uniform(160, 255)
        return black + (white - black) * np.clip((grey - low) / max(high - low, 20), -0.5, 1.1)
    steep, middle = rng.uniform(3, 10), np.median(relative[depth > 0])
    s = 1 / (1 + np.exp(-steep * (relative - middle)))
    return 255 * (s - s.min()) / max(np.ptp(s), 0.05)


def segment(grey, depth, points, rng) -> np.ndarray:
    """Everything beside the hand blacked out, now and then whitened, along an outline that is a little off the skin's."""
    ragged = gaussian_filter(rng.standard_normal([side // 16 + 2 for side in grey.shape]).astype(np.float32), rng.uniform(0.5, 2))
    ragged = enlarge(ragged / ragged.std(), 16, grey.shape) * rng.uniform(0, 4)
    hand = depth + ragged > -rng.uniform(-1, 14)
    shade = rng.choice([0.0, 255.0, rng.uniform(0, 60)], p=(0.7, 0.15, 0.15))
    return np.where(hand, grey, np.float32(shade))


def collimate(grey, depth, points, rng) -> np.ndarray:
    """Blades of lead on two to four sides, at an angle, clear of every landmark; black or white beyond them."""
    rows, columns = grey.shape
    y, x = np.ogrid[:rows, :columns]
    beyond = np.zeros(grey.shape, np.float32)
    soft = rng.uniform(0.4, 4)
    angle = np.radians(rng.normal(0, 7))
    for side in rng.permutation(4)[: rng.integers(2, 5)]:
        turned = angle + side * np.pi / 2 + np.radians(rng.normal(0, 4) * (rng.random() < 0.3))
        normal = np.array([np.cos(turned), np.sin(turned)])
        edge = (points @ normal).max() + LEAST_MARGIN + 3 * soft + rng.exponential(45)
        beyond = np.maximum(beyond, 1 / (1 + np.exp(np.clip((edge - x * normal[0] - y * normal[1]) / soft, -30, 30))))
    shade = rng.choice([rng.uniform(0, 12), rng.uniform(235, 255), rng.uniform(20, 90)], p=(0.6, 0.25, 0.15))
    return grey + beyond * (shade - grey)


def grid_lines(grey, depth, points, rng) -> np.ndarray:
    """The lines of an anti-scatter grid, of several pitches px and angles."""
    rows, columns = grey.shape
    angle = rng.choice([0, np.pi / 2]) + rng.normal(0, 0.03)
    y, x = np.ogrid[:rows, :columns]
    phase = 2 * np.pi / rng.uniform(2.3, 12) * (x * np.cos(angle) + y * np.sin(angle))
    return grey + (rng.uniform(0.6, 4) * np.sin(phase)).astype(np.float32) * (0.3 + 0.7 * np.clip(grey / 160, 0, 1))


def noise(grey, depth, points, rng) -> np.ndarray:
    """Quantum noise of a low to a very low dose: stronger where fewer photons arrive, where the picture is bright."""
    grain = rng.standard_normal(grey.shape, dtype=np.float32)
    if rng.random() < 0.6:
        grain = gaussian_filter(grain, 0.7, truncate=2) * 2.2
    strength = np.exp(rng.uniform(np.log(1.5), np.log(9)))
    return grey + strength * grain * (0.45 + 0.55 * np.clip(grey / 200, 0, 1.2))


def coarsen(grey, depth, points, rng) -> np.ndarray:
    """A coarse resolution and a strongly compressed JPEG."""
    rows, columns = grey.shape
    factor = rng.uniform(1.2, 3.6)
    picture = Image.fromarray(np.rint(grey.clip(0, 255)).astype(np.uint8))
    picture = picture.resize((round(columns / factor), round(rows / factor)), Image.Resampling.BOX)
    if rng.random() < 0.7:
        file = io.BytesIO()
        picture.save(file, "jpeg", quality=int(rng.integers(12, 60)))
        picture = Image.open(file)
    again = rng.choice([Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.NEAREST], p=(0.5, 0.4, 0.1))
    return np.asarray(picture.resize((columns, rows), Image.Resampling(again)), np.float32)


def border(grey, depth, points, rng) -> np.ndarray:
    """A bright or a dark frame along the picture's sides, now and then with text in a corner."""
    rows, columns = grey.shape
    widths = rng.uniform(0, 26, 4) * (rng.random(4) < 0.8)
    left, top, right, bottom = np.minimum(widths, [*(points.min(0) - 3).clip(0), *((columns, rows) - points.max(0) - 3).clip(0)])
    picture = Image.new("L", (columns, rows), 255)
    ImageDraw.Draw(picture).rectangle([left, top, columns - 1 - right, rows - 1 - bottom], fill=0)
    frame = np.asarray(picture) > 0
    return np.where(frame, np.float32(rng.choice([rng.uniform(0, 20), rng.uniform(220, 255)])), grey)


# In the order in which they follow each other, with how often each is drawn
PROCESSES: dict[Callable, float] = {
    grid_lines: 0.15, noise: 0.25, tone: 0.4, sharpen: 0.4, equalise: 0.3, coarsen: 0.25, collimate: 0.25, segment: 0.25,
    border: 0.15,
}  # fmt: skip


def process(grey: np.ndarray, depth: np.ndarray, points: np.ndarray, rng: np.random.Generator, often: float = 1.0) -> np.ndarray:
    """Some of PROCESSES, at least one, on this part of the radiographs: (rows, columns) grey values -> the same, processed."""
    if rng.random() >= often:
        return grey
    drawn = rng.random(len(PROCESSES)) < list(PROCESSES.values())
    if not drawn.any():
        drawn[rng.integers(len(PROCESSES))] = True
    for step, wanted in zip(PROCESSES, drawn):
        if wanted:
            grey = step(grey, depth, points, rng).astype(np.float32)
    return grey


def processed_often(grey: np.ndarray, depth: np.ndarray, points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """As `process`, on the part OFTEN of the radiographs."""
    return process(grey, depth, points, rng, OFTEN)
