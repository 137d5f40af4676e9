"""What lies on and in a hand: rings, plates and screws, wires, a cannula with its tape, a cast, a watch, a sleeve.

But for cast and sleeve each object is given as strokes: points (n, 2) px, the width px of a line through them, or 0 for the area
that they enclose, and px of soft tissue that would absorb as much.
"""

from collections.abc import Iterator

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.ndimage import gaussian_filter, gaussian_filter1d

from joints.hand import FINGERS
from phantom.bones import axes_of, enlarge, unit
from phantom.film import painted

OPAQUE = 2000.0  # px, of metal that nothing passes
BONES = [(16, 21), (15, 25), (14, 29), (13, 33), (17, 18), (21, 22), (25, 26), (29, 30), (33, 34), (18, 19)]  # that are plated
Strokes = Iterator[tuple[np.ndarray, float, float]]


def disc(centre: np.ndarray, radius: float) -> np.ndarray:
    turn = np.linspace(0, 2 * np.pi, 24, endpoint=False)[:, None]
    return centre + radius * np.concatenate([np.cos(turn), np.sin(turn)], 1)


def bow(middle: np.ndarray, half: np.ndarray, sag: np.ndarray) -> np.ndarray:
    """A band (25, 2) seen from beside, bent by `sag` in its middle."""
    q = np.linspace(-1, 1, 25)[:, None]
    return middle + q * half + (1 - q * q) * sag


def ring(points: np.ndarray, scale: float, rng: np.random.Generator, most: int = 3) -> Strokes:
    """Rings around proximal phalanges, seen as bent bands, some with a stone."""
    for finger in rng.choice(list(FINGERS), min(most, rng.choice([1, 2, 3], p=(0.65, 0.25, 0.1))), replace=False):
        _, mcp, pip, *_ = points[list(FINGERS[finger])]
        along, across = axes_of(mcp, pip)
        middle, sag = mcp + rng.uniform(0.35, 0.7) * (pip - mcp), scale * rng.uniform(-9, 9) * along
        yield bow(middle, scale * rng.uniform(34, 42) * across, sag), scale * rng.uniform(5, 18), OPAQUE
        if rng.random() < 0.3:
            yield disc(middle + sag, scale * rng.uniform(8, 16)), 0, OPAQUE


def plate(points: np.ndarray, scale: float, rng: np.random.Generator) -> Strokes:
    """A plate along a metacarpal, a phalanx or the radius, with screws through it."""
    if rng.random() < 0.35:
        end = points[[3, 4, 5]].mean(0)
        start = end + unit(end - points[15]) * scale * rng.uniform(120, 220)
    else:
        near, far = points[list(rng.choice(BONES))]
        start, end = (near + part * (far - near) for part in rng.uniform((0.05, 0.7), (0.3, 0.92)))
    along, across = axes_of(start, end)
    width, length = scale * rng.uniform(14, 26), np.hypot(*(end - start))
    dense = rng.uniform(250, 900)
    yield np.array([start, end]), width, dense
    leaning = scale * rng.uniform(0, 26)  # how far from above the screws are seen
    for at in np.linspace(0.06, 0.94, max(int(length / (1.7 * width)), 3)):
        hole = start + at * (end - start)
        yield disc(hole, 0.62 * width), 0, 0.5 * dense
        if rng.random() < 0.85:
            tip = hole + leaning * rng.choice([-1, 1]) * across + scale * rng.normal(0, 3) * along
            yield np.array([hole, tip]), 0.35 * width, rng.uniform(300, 900)


def wires(points: np.ndarray, scale: float, rng: np.random.Generator) -> Strokes:
    """One to three steel wires through bones, their ends bent outside the skin."""
    for _ in range(rng.integers(1, 4)):
        near, far = points[list(rng.choice(BONES) if rng.random() < 0.7 else (4, 8))]
        along, across = axes_of(near, far)
        length = np.hypot(*(far - near))
        start = near + rng.normal(0, 0.1) * length * across - rng.uniform(0, 0.4) * length * along
        end = far + rng.normal(0, 0.15) * length * across + rng.uniform(0, 0.7) * length * along
        hook = end + scale * (rng.uniform(6, 16) * along + rng.choice([-1, 1]) * rng.uniform(10, 30) * across)
        line = np.array([start, end, hook] if rng.random() < 0.6 else [start, end])
        yield line, max(scale * rng.uniform(3, 7), 2), rng.uniform(300, OPAQUE)


def cannula(points: np.ndarray, scale: float, rng: np.random.Generator) -> Strokes:
    """A cannula over the back of the hand with its hub, its tube and strips of tape, faintly seen."""
    site = points[[10, 15, 25, 14]].mean(0) + scale * rng.normal(0, 60, 2)
    towards = unit(rng.normal((0, 1), 0.4)) * scale
    hub = site + rng.uniform(70, 100) * towards
    yield np.array([site, hub]), scale * 5, rng.uniform(40, 120)
    yield np.array([hub, hub + 55 * towards]), scale * rng.uniform(18, 28), rng.uniform(60, 160)
    way = hub + 55 * towards + np.cumsum([(0, 0), *(rng.normal(0, 55, (5, 2)) * scale + 60 * towards)], axis=0)
    curve, dense = CubicSpline(np.arange(6), way)(np.linspace(0, 5, 80)), rng.uniform(20, 60)
    yield curve, 15 * scale, dense
    yield curve, 8 * scale, -0.7 * dense  # it is hollow
    for _ in range(rng.integers(1, 4)):
        axes = np.array(axes_of(np.zeros(2), rng.normal(0, 1, 2)))
        size = scale * rng.uniform((60, 20), (170, 60))
        corners = site + scale * rng.normal(0, 40, 2) + np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * size @ axes
        yield corners, 0, rng.uniform(5, 22)


def watch(points: np.ndarray, scale: float, rng: np.random.Generator) -> Strokes:
    """A watch or bracelets around the wrist or above it."""
    wrist = points[[0, 2, 3, 4]].mean(0)
    along, across = axes_of(points[15], wrist)
    sag = scale * rng.uniform(-25, 25) * along
    band = bow(wrist + scale * rng.uniform(20, 160) * along, scale * rng.uniform(150, 185) * across, sag)
    if rng.random() < 0.5:
        for _ in range(rng.integers(1, 4)):
            yield band + scale * rng.normal(0, 16) * along, scale * rng.uniform(4, 16), rng.uniform(300, OPAQUE)
    else:
        yield band, scale * rng.uniform(40, 70), rng.uniform(15, 80)
        yield disc(band[12] + scale * rng.normal(0, 20) * across, scale * rng.uniform(55, 80)), 0, rng.uniform(400, OPAQUE)


def cast(points: np.ndarray, shape: tuple[int, int], scale: float, rng: np.random.Generator) -> np.ndarray:
    """A cast over forearm and palm, now and then to the fingertips: cloudy, woven, with dense edges beside the hand."""
    wrist, knuckle = points[[0, 2, 3, 4]].mean(0), points[[21, 25, 29, 33]].mean(0)
    axes = np.stack(axes_of(wrist, knuckle))
    reach = np.hypot(*(knuckle - wrist)) * rng.choice([rng.uniform(0.3, 0.95), rng.uniform(1.1, 2.2)]) / scale
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    u, v = (((x - wrist[0]) * axis[0] + (y - wrist[1]) * axis[1]) / scale for axis in axes)
    half = rng.uniform(175, 215) + rng.uniform(0.1, 0.35) * np.clip(u, 0, None)
    inside = 1 - np.abs(v + rng.normal(0, 12)) / half
    ends = reach + 6 * np.sin(v / rng.uniform(30, 70)) + rng.normal(0, 0.1) * v - u
    cloud = gaussian_filter(rng.standard_normal([side // 8 + 2 for side in shape]), rng.uniform(1, 3))
    cloud = enlarge((cloud / cloud.std()).astype(np.float32), 8, shape)
    weave = np.sin(u / rng.uniform(1.5, 4)) * np.sin((v + 0.3 * u) / rng.uniform(1.5, 4))
    wall = 1 / np.sqrt(np.clip(1 - (1 - inside.clip(0, 1)) ** 2, 0.0625, 1))  # seen along the wall at its sides
    veil = wall * (1 + 0.18 * cloud + 0.12 * weave)
    return (veil * np.clip(ends / 6, 0, 1) * (inside > 0) * rng.uniform(15, 110)).clip(0)


OBJECTS = {ring: 0.3, plate: 0.17, wires: 0.15, cannula: 0.15, cast: 0.15, watch: 0.08}  # how often each is drawn


def drawn(strokes: Strokes, shape: tuple[int, int]) -> np.ndarray:
    """Strokes as path px through soft tissue (rows, columns)."""
    return sum(dense * painted(shape, *stroke) for *stroke, dense in strokes)


def hardware(points: np.ndarray, soft: np.ndarray, scale: float, rng: np.random.Generator) -> np.ndarray:
    """One to three of OBJECTS over the hand with landmarks (37, 2) px, as further path px through soft tissue (rows, columns)."""
    count = rng.choice([1, 2, 3], p=(0.5, 0.35, 0.15))
    path = np.zeros_like(soft)
    for made in rng.choice(list(OBJECTS), count, replace=False, p=list(OBJECTS.values())):
        path += cast(points, soft.shape, scale, rng) if made is cast else drawn(made(points, scale, rng), soft.shape)
    return path


def wear(points: np.ndarray, soft: np.ndarray, scale: float, rng: np.random.Generator) -> np.ndarray | float:
    """What a hand now and then has on, as `hardware`: a ring, or the hem of a sleeve."""
    kind = rng.random()
    rows, columns = soft.shape
    if kind < 0.02:
        return drawn(ring(points, scale, rng, most=1), soft.shape)
    if kind < 0.05:
        hem = max(points[[0, 2, 3, 4], 1].max() + rng.uniform(4, 30), rows - 90.0)
        waves = gaussian_filter1d(rng.standard_normal(columns), 40, mode="nearest") * 20
        cloth = (np.arange(rows)[:, None] > hem + waves).astype(np.float32)
        return cloth * np.float32(rng.uniform(10, 45)) * (1 + 0.15 * gaussian_filter(rng.standard_normal(soft.shape), 3))
    return 0.0
