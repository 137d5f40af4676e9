"""What lies on and in a hand: rings, plates and screws, wires, a cannula with its tape, a cast, a watch.

Each returns a path (rows, columns), px of soft tissue that would absorb as much.
"""

import numpy as np
from PIL import Image, ImageDraw
from scipy.interpolate import CubicSpline
from scipy.ndimage import gaussian_filter

from joints.hand import FINGERS
from phantom.anatomy import unit

OPAQUE = 2000.0  # px, of metal that nothing passes
BONES = [(16, 21), (15, 25), (14, 29), (13, 33), (17, 18), (21, 22), (25, 26), (29, 30), (33, 34), (18, 19)]  # that are plated


def painted(shape: tuple[int, int], lines=(), polygons=(), discs=()) -> np.ndarray:
    """Lines (points (n, 2), width), polygons (n, 2) and discs (centre, radius), px -> where they are, 0 to 1, (rows, columns)."""
    picture = Image.new("L", shape[::-1])
    pen = ImageDraw.Draw(picture)
    for points, width in lines:
        pen.line([tuple(point) for point in points], fill=255, width=max(round(width), 1), joint="curve")
    for points in polygons:
        pen.polygon([tuple(point) for point in points], fill=255)
    for (x, y), radius in discs:
        pen.ellipse([x - radius, y - radius, x + radius, y + radius], fill=255)
    return np.asarray(picture, np.float32) / 255


def axes_of(start: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors along and across, (x, y)."""
    along = unit(end - start)
    return along, np.array([-along[1], along[0]])


def ring(points, soft, scale, rng) -> np.ndarray:
    """One to three rings around proximal phalanges, seen as bent bands."""
    path = np.zeros_like(soft)
    for finger in rng.choice(list(FINGERS), rng.choice([1, 2, 3], p=(0.65, 0.25, 0.1)), replace=False):
        _, mcp, pip, *_ = FINGERS[finger]
        along, across = axes_of(points[mcp], points[pip])
        middle = points[mcp] + rng.uniform(0.35, 0.7) * (points[pip] - points[mcp])
        half, sag = scale * rng.uniform(34, 42), scale * rng.uniform(-9, 9)
        q = np.linspace(-1, 1, 15)[:, None]
        band = middle + half * q * across + sag * (1 - q * q) * along
        stone = [(middle + sag * along, scale * rng.uniform(8, 16))] if rng.random() < 0.3 else []
        path += painted(soft.shape, lines=[(band, scale * rng.uniform(5, 18))], discs=stone) * OPAQUE
    return path


def plate(points, soft, scale, rng) -> np.ndarray:
    """A plate along a metacarpal, a phalanx or the radius, with screws through it."""
    if rng.random() < 0.35:
        end = points[[3, 4, 5]].mean(0)
        start = end + unit(end - points[15]) * scale * rng.uniform(120, 220)
    else:
        near, far = BONES[rng.integers(len(BONES))]
        start, end = (points[near] + part * (points[far] - points[near]) for part in rng.uniform((0.05, 0.7), (0.3, 0.92)))
    along, across = axes_of(start, end)
    width, length = scale * rng.uniform(14, 26), np.hypot(*(end - start))
    holes = start + np.linspace(0.06, 0.94, max(int(length / (1.7 * width)), 3))[:, None] * (end - start)
    discs = [(hole, 0.62 * width) for hole in holes]
    path = painted(soft.shape, lines=[((start, end), width)], discs=discs) * rng.uniform(250, 900)
    leaning = scale * rng.uniform(0, 26)  # how far from above the screws are seen
    for hole in holes:
        if rng.random() < 0.85:
            tip = hole + leaning * rng.choice([-1, 1]) * across + scale * rng.normal(0, 3) * along
            path += painted(soft.shape, lines=[((hole, tip), 0.35 * width)], discs=[(hole, 0.3 * width)]) * rng.uniform(300, 900)
    return path


def wires(points, soft, scale, rng) -> np.ndarray:
    """One to three steel wires through bones, their ends bent outside the skin."""
    path = np.zeros_like(soft)
    for _ in range(rng.integers(1, 4)):
        near, far = BONES[rng.integers(len(BONES))] if rng.random() < 0.7 else (4, 8)
        along, across = axes_of(points[near], points[far])
        length = np.hypot(*(points[far] - points[near]))
        start = points[near] + rng.normal(0, 0.1) * length * across - rng.uniform(0, 0.4) * length * along
        end = points[far] + rng.normal(0, 0.15) * length * across + rng.uniform(0, 0.7) * length * along
        hook = end + scale * (rng.uniform(6, 16) * along + rng.choice([-1, 1]) * rng.uniform(10, 30) * across)
        line = (start, end, hook) if rng.random() < 0.6 else (start, end)
        path += painted(soft.shape, lines=[(line, max(scale * rng.uniform(3, 7), 2))]) * rng.uniform(300, OPAQUE)
    return path


def cannula(points, soft, scale, rng) -> np.ndarray:
    """A cannula over the back of the hand with its hub, its tube and tape."""
    site = points[[10, 15, 25, 14]].mean(0) + scale * rng.normal(0, 60, 2)
    towards = unit(rng.normal((0, 1), 0.4))
    hub = site + towards * scale * rng.uniform(70, 100)
    path = painted(soft.shape, lines=[((site, hub), scale * 5)]) * rng.uniform(40, 120)
    path += painted(soft.shape, lines=[((hub, hub + towards * scale * 55), scale * rng.uniform(18, 28))]) * rng.uniform(60, 160)
    start = hub + towards * scale * 55
    way = start + np.cumsum(np.concatenate([np.zeros((1, 2)), rng.normal(0, 55, (5, 2)) * scale + towards * 60 * scale]), axis=0)
    curve = CubicSpline(np.arange(6), way)(np.linspace(0, 5, 80))
    outer, inner = (painted(soft.shape, lines=[(curve, width * scale)]) for width in (15, 8))
    path += (outer - 0.7 * inner).clip(0) * rng.uniform(20, 60)
    for _ in range(rng.integers(1, 4)):
        path += tape(site + scale * rng.normal(0, 40, 2), soft, scale, rng)
    return path


def tape(centre, soft, scale, rng) -> np.ndarray:
    """A strip of tape, faintly seen, denser where it was folded."""
    along = unit(rng.normal(0, 1, 2))
    across = np.array([-along[1], along[0]])
    size = scale * np.array([rng.uniform(60, 170), rng.uniform(20, 60)])
    corners = centre + np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * size @ np.array([along, across])
    return painted(soft.shape, polygons=[corners]) * rng.uniform(5, 22)


def cast(points, soft, scale, rng) -> np.ndarray:
    """A cast over forearm and palm, now and then to the fingertips: cloudy, woven, with dense edges beside the hand."""
    rows, columns = soft.shape
    wrist, knuckle = points[[0, 2, 3, 4]].mean(0), points[[21, 25, 29, 33]].mean(0)
    along, across = axes_of(wrist, knuckle)
    reach = np.hypot(*(knuckle - wrist)) * rng.choice([rng.uniform(0.3, 0.95), rng.uniform(1.1, 2.2)])
    y, x = np.mgrid[:rows, :columns].astype(np.float32)
    u = (x - wrist[0]) * along[0] + (y - wrist[1]) * along[1]
    v = (x - wrist[0]) * across[0] + (y - wrist[1]) * across[1]
    half = scale * (rng.uniform(175, 215) + rng.uniform(0.1, 0.35) * np.clip(u, 0, None) / scale)
    inside = 1 - np.abs(v + scale * rng.normal(0, 12)) / half
    ends = reach + scale * (6 * np.sin(v / scale / rng.uniform(30, 70)) + rng.normal(0, 0.1) * v / scale) - u
    cloud = gaussian_filter(rng.standard_normal((rows // 8 + 2, columns // 8 + 2)), rng.uniform(1, 3))
    cloud = np.kron(cloud / cloud.std(), np.ones((8, 8)))[:rows, :columns]
    weave = np.sin(u / scale / rng.uniform(1.5, 4)) * np.sin((v + 0.3 * u) / scale / rng.uniform(1.5, 4))
    wall = np.clip(1 / np.sqrt(np.clip(1 - (1 - inside.clip(0, 1)) ** 2, 0.03, 1)), 1, 4)  # seen along the wall at its sides
    veil = wall * (1 + 0.18 * gaussian_filter(cloud, 4) + 0.12 * weave)
    return (veil * np.clip(ends / (6 * scale), 0, 1) * (inside > 0) * rng.uniform(15, 110)).clip(0).astype(np.float32)


def watch(points, soft, scale, rng) -> np.ndarray:
    """A watch or a bracelet around the wrist or above it."""
    wrist = points[[0, 2, 3, 4]].mean(0)
    along, across = axes_of(points[15], wrist)
    centre = wrist + scale * rng.uniform(20, 160) * along
    half, sag = scale * rng.uniform(150, 185), scale * rng.uniform(-25, 25)
    q = np.linspace(-1, 1, 25)[:, None]
    band = centre + half * q * across + sag * (1 - q * q) * along
    if rng.random() < 0.5:
        path = np.zeros_like(soft)
        for _ in range(rng.integers(1, 4)):
            offset = scale * rng.normal(0, 16) * along
            path += painted(soft.shape, lines=[(band + offset, scale * rng.uniform(4, 16))]) * rng.uniform(300, OPAQUE)
        return path
    strap = painted(soft.shape, lines=[(band, scale * rng.uniform(40, 70))]) * rng.uniform(15, 80)
    dial = centre + sag * along + scale * rng.normal(0, 20) * across
    return strap + painted(soft.shape, discs=[(dial, scale * rng.uniform(55, 80))]) * rng.uniform(400, OPAQUE)


OBJECTS = {ring: 0.3, plate: 0.17, wires: 0.15, cannula: 0.15, cast: 0.15, watch: 0.08}  # how often each is drawn


def hardware(points: np.ndarray, soft: np.ndarray, scale: float, rng: np.random.Generator) -> np.ndarray:
    """One to three of OBJECTS over the hand with landmarks (37, 2) px, as further path px through soft tissue (rows, columns)."""
    count = rng.choice([1, 2, 3], p=(0.5, 0.35, 0.15))
    chosen = rng.choice(len(OBJECTS), count, replace=False, p=list(OBJECTS.values()))
    return sum((list(OBJECTS)[k](points, soft, scale, rng) for k in chosen), np.zeros_like(soft)).astype(np.float32)
