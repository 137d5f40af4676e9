"""From path lengths to an 8 bit radiograph: absorption, scatter, blur, noise, film curve, markers, frame edges."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import gaussian_filter, gaussian_filter1d

from phantom.bones import Maps, enlarge
from phantom.shape import rotate

PER_PX = 50 / 190 / 10  # cm per px at hand scale 1, where the wrist's 50 mm are 190 px
SOFT, CORTEX, MARROW = 0.20, 1.15, 0.24  # absorption per cm at about 55 kV: soft tissue; what bone adds to it
LETTERS = "ABCDEFGHJKLMNOPRSTVW"


def absorption(maps: Maps, soft: np.ndarray, bone: float, scale: float, rng: np.random.Generator) -> np.ndarray:
    """Minus the logarithm of the light that arrives, with scatter, blur and photon noise: (rows, columns), 0 beside the hand.

    `bone` is a factor on what bone absorbs.
    """
    light = np.exp(-(PER_PX / scale) * (soft * SOFT + (maps.cortex * CORTEX + maps.marrow * MARROW) * bone))
    share = rng.uniform(0.04, 0.16)
    spread = enlarge(gaussian_filter(light[::8, ::8], rng.uniform(3, 6), mode="nearest"), 8, light.shape)
    light = gaussian_filter(light, rng.uniform(0.8, 1.9), truncate=3) * (1 - share) + share * spread
    grain = rng.standard_normal(light.shape, dtype=np.float32)
    if rng.random() < 0.7:
        grain = gaussian_filter(grain, 0.6, truncate=2) * 2
    light += grain * np.sqrt(light) * np.exp(rng.uniform(np.log(0.006), np.log(0.02)))
    return -np.log(np.maximum(light, 0.02))


def painted(shape: tuple[int, int], points: np.ndarray, width: float = 0.0) -> np.ndarray:
    """A line so wide through points (n, 2) px, or the area that they enclose: 0 to 1, (rows, columns)."""
    picture = Image.new("L", shape[::-1])
    pen, corners = ImageDraw.Draw(picture), [tuple(point) for point in points]
    if width:
        pen.line(corners, fill=255, width=max(round(width), 1), joint="curve")
    else:
        pen.polygon(corners, fill=255)
    return np.asarray(picture, np.float32) / 255


def expose(absorbed: np.ndarray, depth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The film's grey values, (rows, columns) float32 in about [0, 255]: black level, contrast and curve vary widely."""
    rows, columns = absorbed.shape
    top = np.percentile(absorbed[::4, ::4][depth[::4, ::4] > 0], 99)
    kind = rng.random()
    if kind < 0.66:  # grey beside the hand
        black, white, bow = rng.normal(75, 16), rng.normal(219, 14), rng.uniform(0.75, 1.1)
    elif kind < 0.88:
        black, white, bow = rng.uniform(12, 55), rng.normal(210, 18), rng.uniform(0.8, 1.25)
    else:  # black, the skin all but gone
        black, white, bow = rng.uniform(-40, 12), rng.uniform(150, 222), rng.uniform(0.9, 1.2)
    y, x = np.linspace(-1, 1, rows, dtype=np.float32)[:, None], np.linspace(-1, 1, columns, dtype=np.float32)[None]
    x_tilt, y_tilt, bowl = rng.normal(0, 0.035), rng.normal(0, 0.03), rng.normal(0.02, 0.02)
    relative = np.maximum(absorbed / top, 0) + x_tilt * x + y_tilt * y + bowl * (x * x + y * y)
    relative = np.sign(relative) * np.abs(relative) ** np.float32(bow)
    knee = rng.uniform(0.55, 0.85)  # where the curve starts to flatten
    curve = np.tanh(np.maximum(relative, -0.5) / knee * 0.9) / np.tanh(0.9 / knee)
    grey = black + (white - black) * curve
    if rng.random() < 0.6:  # streaks of the scanner along its columns
        streaks = gaussian_filter1d(rng.standard_normal(columns), rng.uniform(1.5, 9))
        grey += streaks / streaks.std() * rng.uniform(0.2, 1.1)
    return grey.astype(np.float32)


def block(depth: np.ndarray, rng: np.random.Generator, size: np.ndarray, corner: bool) -> tuple[np.ndarray, np.ndarray] | None:
    """A turned rectangle clear of the hand -> (its mask, its corners (4, 2) px), or None if no place was found."""
    extent = np.array(depth.shape[::-1])
    for _ in range(12 if corner else 40):
        if corner:  # across an edge or a corner of the picture
            at = rng.uniform(0, 1, 2) * extent
            at[rng.integers(2)] = 0
            if rng.random() < 0.6:
                at = extent - at
        else:
            at = rng.uniform(0.05, 0.95, 2) * extent
        polygon = at + rotate(np.array([[[-1, -1], [1, -1], [1, 1], [-1, 1]]]) * size / 2, rng.normal(0, 0.1, 1))[0]
        covered = painted(depth.shape, polygon) > 0
        if covered.any() and not (covered & (depth > 0)).any():
            return covered, polygon
    return None


def add_markers(grey: np.ndarray, depth: np.ndarray, rng: np.random.Generator) -> None:
    """Blacked-out labels, lead letters and bright frame edges, in place, all of them beside the hand."""
    rows, columns = grey.shape
    for _ in range(rng.choice(4, p=(0.22, 0.33, 0.3, 0.15))):
        size = rng.uniform((60, 90), (130, 220))
        size = size if rng.random() < 0.6 else size[::-1]
        placed = block(depth, rng, size, corner=rng.random() < 0.85)
        if placed is None:
            continue
        covered, _ = placed
        if rng.random() < 0.35:  # the tape under the label
            pale = np.roll(covered, rng.integers(-16, 17, 2), (0, 1)) & (depth < -2)
            grey[pale] += rng.uniform(8, 45)
        shade = rng.uniform(0, 18) + 5 * gaussian_filter1d(rng.standard_normal(columns), 8)[None] * np.ones((rows, 1))
        grey[covered] = shade[covered]
    if rng.random() < 0.3:
        letters(grey, depth, rng)
    if rng.random() < 0.35:
        edge(grey, rng)
    for _ in range(rng.poisson(1.5)):  # dust and scratches
        x, y, length = rng.integers(0, columns), rng.integers(0, rows), rng.integers(1, 6)
        grey[y : y + rng.integers(1, 3), x : x + length] += rng.normal(0, 25)


def letters(grey: np.ndarray, depth: np.ndarray, rng: np.random.Generator) -> None:
    """The side's L and the initials of the radiographer, in lead."""
    width = rng.uniform(60, 105)
    placed = block(depth, rng, np.array([width, width * rng.uniform(1.4, 1.9)]), corner=False)
    if placed is None:
        return
    covered, polygon = placed
    if rng.random() < 0.7:
        grey[covered] = np.minimum(grey[covered], rng.uniform(15, 90))
    corner, right, down = polygon[0], polygon[1] - polygon[0], polygon[3] - polygon[0]
    stem = corner + np.outer([0.3, 0.3, 0.72], right) + np.outer([0.12, 0.55, 0.55], down)
    ink = painted(depth.shape, stem, int(width * rng.uniform(0.11, 0.17)))
    initials = Image.new("L", depth.shape[::-1])
    text = "".join(rng.choice(list(LETTERS), rng.integers(2, 4)))
    at = tuple(corner + 0.18 * right + 0.62 * down)
    ImageDraw.Draw(initials).text(at, text, fill=255, font=ImageFont.load_default(width * 0.36))
    ink = gaussian_filter(np.maximum(ink, np.asarray(initials, np.float32) / 255), 0.8) * (depth <= -1)
    grey += ink * (rng.uniform(225, 255) - grey)


def edge(grey: np.ndarray, rng: np.random.Generator) -> None:
    """A bright strip where the film ends, along one side of the picture."""
    strip = (grey, grey.T, grey.T[::-1])[rng.integers(3)][:60]  # at the top, on the left, on the right
    width, soft = rng.uniform(2, 22), rng.uniform(1, 6)
    slant = rng.normal(0, 0.006) * np.arange(strip.shape[1])
    amount = 1 / (1 + np.exp(np.clip((np.arange(len(strip))[:, None] - width - slant) / soft, -30, 30)))
    strip += amount * (rng.uniform(190, 255) - strip).clip(0)
