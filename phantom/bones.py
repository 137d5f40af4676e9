"""Bones as path lengths: long bones drawn in a frame along their axis, wrist bones from outlines warped to the landmarks.

A bone adds to two maps (rows, columns), both in px of path through it: `cortex` (compact bone) and `marrow` (spongy bone).
Lengths are in px at hand scale 1, where the middle finger's tip is 732 px from its metacarpal base.
"""

from dataclasses import dataclass, field

import numpy as np
from scipy.interpolate import CubicSpline, RBFInterpolator

TEXTURE = 0.22  # relative standard deviation of the trabeculae
TEXTURE_SIDE = 256  # px of the noise tile that trabeculae are looked up in
PLATE_DEPTH, PLATE_WIDTH = 2.6, 2.0  # px below the surface, of the dense layer under the cartilage
TRABECULAR_STRETCH = 3.0  # trabeculae run along the bone: length over width


@dataclass
class Maps:
    """What the rays go through; `texture` (TEXTURE_SIDE, TEXTURE_SIDE) is noise of standard deviation 1 that repeats."""

    cortex: np.ndarray
    marrow: np.ndarray
    texture: np.ndarray
    masks: dict[str, np.ndarray] | None = None  # name: where that bone is, filled in where a caller asks for it

    def box(self, low: np.ndarray, high: np.ndarray) -> tuple[slice, slice] | None:
        """Rows and columns of the part of [low, high], (x, y) px, that lies in the picture."""
        rows, columns = self.cortex.shape
        x0, y0 = np.maximum(np.floor(low), 0).astype(int)
        x1, y1 = np.minimum(np.ceil(high) + 1, (columns, rows)).astype(int)
        return (slice(y0, y1), slice(x0, x1)) if x1 > x0 and y1 > y0 else None

    def add(self, box: tuple[slice, slice], cortex: np.ndarray, marrow: np.ndarray, name: str) -> None:
        self.cortex[box] += cortex
        self.marrow[box] += marrow
        if self.masks is not None:
            mask = self.masks.setdefault(name, np.zeros(self.cortex.shape, bool))
            mask[box] |= cortex + marrow > 0


@dataclass
class Slab:
    """A piece of long bone between two curved ends, in a frame with its origin at `base` and its axis towards `head`.

    The half-widths (left, right) px are given at `knots` px along the axis. The ends are polynomials in the lateral
    position q, -1 at the left edge to 1 at the right one: px along the axis, as coefficients of q^0, q^1, q^2, q^4.
    """

    name: str
    base: np.ndarray
    head: np.ndarray
    knots: np.ndarray
    left: np.ndarray
    right: np.ndarray
    lower: tuple[float, float, float, float]
    upper: tuple[float, float, float, float]
    depth: float  # out of the plane over across it
    cortex: np.ndarray  # px of compact bone at the knots
    end_cortex: float = 1.6  # px of compact bone at the two ends
    bend: float = 0.0  # px that the middle of the axis is pushed to the right
    spongy: np.ndarray = field(default_factory=lambda: np.ones(1))  # density of the marrow at the knots, 1 in the ends
    height: np.ndarray = field(default_factory=lambda: np.ones(1))  # further factor on the depth, at the knots
    plates: tuple[float, float] = (0.0, 0.0)  # px of path through the dense layer under the lower and the upper end
    rounding: float = 0.45  # of the half-width, how deep the ends are rounded out of the plane


def end_curve(coefficients, q: np.ndarray) -> np.ndarray:
    a, b, c, e = coefficients
    square = q * q
    return a + q * b + square * (c + square * e)


def along_knots(values: np.ndarray, knots: np.ndarray, u: np.ndarray) -> np.ndarray | np.floating:
    """Values at the knots, or one for all, -> at u px along the axis."""
    return np.interp(u, knots, values).astype(np.float32) if len(values) > 1 else values[0]


def draw_slab(maps: Maps, slab: Slab) -> None:
    """Add a long bone's piece to the maps."""
    axis = slab.head - slab.base
    length = np.hypot(*axis)
    along, across = axis / length, np.array([-axis[1], axis[0]]) / length
    reach = max(slab.left.max(), slab.right.max()) + abs(slab.bend) + 2
    ends = slab.base + np.outer([slab.knots[0] - 8, slab.knots[-1] + 8], along)
    corners = np.concatenate([ends + reach * across, ends - reach * across])
    box = maps.box(corners.min(0), corners.max(0))
    if box is None:
        return
    y, x = np.ogrid[box]
    x, y = (x - slab.base[0]).astype(np.float32), (y - slab.base[1]).astype(np.float32)
    u = x * along[0] + y * along[1]
    v = x * across[0] + y * across[1]
    t = np.clip(u / length, 0, 1)
    v = v - (4 * slab.bend) * t * (1 - t)
    half = np.where(v < 0, np.interp(u, slab.knots, slab.left), np.interp(u, slab.knots, slab.right)).astype(np.float32)
    q = np.clip(v / half, -1.2, 1.2)
    inside_side = half - np.abs(v)
    above, below = u - end_curve(slab.lower, q), end_curve(slab.upper, q) - u
    inside_end = np.minimum(above, below)
    round_px = slab.rounding * half
    compact = np.interp(u, slab.knots, slab.cortex).astype(np.float32)
    outer = chord(inside_side / half, inside_end / round_px) * half
    inner_half = np.maximum(half - compact, 0.5)
    inner = chord((inside_side - compact) / inner_half, (inside_end - slab.end_cortex) / round_px) * inner_half
    twice = 2 * slab.depth * along_knots(slab.height, slab.knots, u)
    outer, inner = twice * outer, twice * np.minimum(inner, outer)
    for strength, depth in zip(slab.plates, (above, below)):
        if strength:
            dense = strength * np.exp(-(((depth - PLATE_DEPTH) / PLATE_WIDTH) ** 2))
            outer += np.where(outer > 0, dense * np.clip(inside_side / (0.3 * half), 0, 1), 0)
    density = along_knots(slab.spongy, slab.knots, u)
    side = TEXTURE_SIDE
    texture = maps.texture[(v.astype(int) + int(slab.base[0])) % side, ((u / TRABECULAR_STRETCH).astype(int) + 7) % side]
    maps.add(box, outer - inner, inner * density * (1 + TEXTURE * texture), slab.name)


def chord(lateral: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Half the path through a rounded body, 0 outside to 1: from depths below the side and the end, 1 and more is deep."""
    square_lateral, square_end = np.square(np.clip(1 - lateral, 0, 2)), np.square(np.clip(1 - end, 0, 2))
    return np.sqrt(np.maximum(1 - np.hypot(square_lateral, square_end), 0))  # a superellipse of power 4


@dataclass
class Blob:
    """A wrist bone or an epiphysis: a smooth closed outline (n, 2) px."""

    name: str
    outline: np.ndarray
    depth: float  # px, half of the longest path
    rounding: float  # px below the edge at which the path is longest
    cortex: float  # px
    density: float = 1.0


def smooth_outline(vertices: np.ndarray, count: int = 40) -> np.ndarray:
    """Vertices (n, 2) -> (count, 2) on a smooth closed curve through all of them."""
    closed = np.concatenate([vertices, vertices[:1]])
    steps = np.sqrt(np.linalg.norm(np.diff(closed, axis=0), axis=1))
    at = np.concatenate([[0], np.cumsum(steps)])
    return CubicSpline(at, closed, bc_type="periodic")(np.linspace(0, at[-1], count, endpoint=False))


def depth_below(outline: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Distance px from a closed polygon (n, 2) at x (1, columns) and y (rows, 1), positive inside."""
    square = np.full((y.size, x.size), np.inf, np.float32)
    inside = np.zeros((y.size, x.size), bool)
    for (ax, ay), (bx, by) in zip(outline, np.roll(outline, -1, axis=0)):
        ex, ey = bx - ax, by - ay
        px, py = x - ax, y - ay
        t = np.clip((px * ex + py * ey) / (ex * ex + ey * ey + 1e-9), 0, 1)
        np.minimum(square, (px - t * ex) ** 2 + (py - t * ey) ** 2, out=square)
        if ay != by:
            inside ^= ((y >= ay) != (y >= by)) & (px < py * (ex / ey))
    return np.where(inside, 1, -1) * np.sqrt(square)


def draw_blob(maps: Maps, blob: Blob) -> None:
    """Add an outlined bone to the maps."""
    box = maps.box(blob.outline.min(0), blob.outline.max(0))
    if box is None:
        return
    y, x = np.ogrid[box]
    x, y = x.astype(np.float32), y.astype(np.float32)
    below = depth_below(blob.outline.astype(np.float32), x, y)
    outer = blob.depth * np.sqrt(np.maximum(1 - (1 - np.clip(below / blob.rounding, 0, 1)) ** 2, 0))
    shrunk = np.clip((below - blob.cortex) / (blob.rounding - 0.5 * blob.cortex), 0, 1)
    inner = np.minimum((blob.depth - blob.cortex) * np.sqrt(1 - (1 - shrunk) ** 2), outer)
    texture = maps.texture[(y.astype(int) + int(blob.outline[0, 0])) % TEXTURE_SIDE, x.astype(int) % TEXTURE_SIDE]
    maps.add(box, 2 * (outer - inner), 2 * inner * blob.density * (1 + 1.3 * TEXTURE * texture), blob.name)


def enlarge(field: np.ndarray, factor: int, shape: tuple[int, int]) -> np.ndarray:
    """A coarse field -> (rows, columns), linear between the centres of its samples, which cover factor x factor px each."""
    for axis, count in enumerate(shape):
        at = np.clip((np.arange(count, dtype=np.float32) + 0.5) / factor - 0.5, 0, field.shape[axis] - 1)
        before = np.minimum(at.astype(int), field.shape[axis] - 2)
        weight = (at - before).astype(np.float32)
        weight = weight[:, None] if axis == 0 else weight
        low = np.take(field, before, axis)
        field = low + weight * (np.take(field, before + 1, axis) - low)
    return field


def warp(template: np.ndarray, points: np.ndarray, vertices: np.ndarray) -> np.ndarray:
    """Move vertices (n, 2) by the thin-plate spline that takes template (k, 2) to points (k, 2)."""
    return RBFInterpolator(template, points, kernel="thin_plate_spline")(vertices)
