"""Bones as path lengths: long bones drawn in a frame along their axis, wrist bones from outlines.

A bone adds to two maps (rows, columns), both in px of path through it: `cortex` (compact bone) and `marrow` (spongy bone).
Lengths are in px at hand scale 1, where the middle finger's tip is 732 px from its metacarpal base.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy.interpolate import CubicSpline

TEXTURE = 0.22  # relative standard deviation of the trabeculae
TEXTURE_SIDE = 256  # px of the noise tile that trabeculae are looked up in
PLATE_DEPTH, PLATE_WIDTH = 2.6, 2.0  # px below the surface, of the dense layer under the cartilage
TRABECULAR_STRETCH = 3.0  # trabeculae run along the bone: length over width


def unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.hypot(*vector)


def axes_of(start: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors along a line and across it, (x, y): the second to the right of the first, as seen."""
    along = unit(end - start)
    return along, np.array([-along[1], along[0]])


@dataclass
class Maps:
    """What the rays go through; `texture` (TEXTURE_SIDE, TEXTURE_SIDE) is noise of standard deviation 1 that repeats."""

    cortex: np.ndarray
    marrow: np.ndarray
    texture: np.ndarray
    masks: dict[str, np.ndarray] | None = None  # name: where that bone is, filled in where a caller asks for it

    def box(self, low: np.ndarray, high: np.ndarray) -> tuple[slice, slice]:
        """Rows and columns of the part of [low, high], (x, y) px, that lies in the picture."""
        start = np.floor(low[::-1]).astype(int).clip(0, self.cortex.shape)
        stop = (np.ceil(high[::-1]).astype(int) + 1).clip(0, self.cortex.shape)
        return slice(start[0], stop[0]), slice(start[1], stop[1])

    def add(self, box: tuple[slice, slice], cortex: np.ndarray, marrow: np.ndarray, name: str) -> None:
        self.cortex[box] += cortex
        self.marrow[box] += marrow
        if self.masks is not None:
            mask = self.masks.setdefault(name, np.zeros(self.cortex.shape, bool))
            mask[box] |= cortex + marrow > 0


@dataclass
class Slab:
    """A piece of long bone between two curved ends, in a frame with its origin at `base` and its axis towards `head`.

    Values at `knots` px along the axis are given for each of them, or as one for all. The ends are polynomials in the lateral
    position q, -1 at the left edge to 1 at the right one: px along the axis, as coefficients of q^0, q^1, q^2, q^4.
    """

    name: str
    base: np.ndarray
    head: np.ndarray
    knots: np.ndarray
    left: np.ndarray  # half-widths px at the knots
    right: np.ndarray
    lower: tuple[float, float, float, float]
    upper: tuple[float, float, float, float]
    depth: np.ndarray | float  # out of the plane over across it, at the knots
    cortex: np.ndarray | float  # px of compact bone at the knots
    spongy: np.ndarray | float  # density of the marrow at the knots
    end_cortex: float  # px of compact bone at the two ends
    plates: tuple[float, float]  # px of path through the dense layer under the lower and the upper end
    rounding: float = 0.45  # of the half-width, how deep the ends are rounded out of the plane
    bend: float = 0.0  # px that the middle of the axis is pushed to the right


def draw_slab(maps: Maps, slab: Slab) -> None:
    """Add a long bone's piece to the maps."""
    length = np.hypot(*(slab.head - slab.base))
    along, across = axes_of(slab.base, slab.head)
    reach = max(slab.left.max(), slab.right.max()) + abs(slab.bend) + 2
    ends = slab.base + np.outer([slab.knots[0] - 8, slab.knots[-1] + 8], along)
    corners = np.concatenate([ends + reach * across, ends - reach * across])
    box = maps.box(corners.min(0), corners.max(0))
    y, x = np.ogrid[box]
    x, y = (x - slab.base[0]).astype(np.float32), (y - slab.base[1]).astype(np.float32)
    u = x * along[0] + y * along[1]
    t = np.clip(u / length, 0, 1)
    v = x * across[0] + y * across[1] - (4 * slab.bend) * t * (1 - t)

    def at_knots(values: np.ndarray | float) -> np.ndarray:
        return np.interp(u, slab.knots, np.broadcast_to(values, slab.knots.shape)).astype(np.float32)

    half = np.where(v < 0, at_knots(slab.left), at_knots(slab.right))
    q = np.clip(v / half, -1.2, 1.2)
    inside_side = half - np.abs(v)
    above, below = u - end_curve(slab.lower, q), end_curve(slab.upper, q) - u
    inside_end, round_px = np.minimum(above, below), slab.rounding * half
    compact = at_knots(slab.cortex)
    outer = chord(inside_side / half, inside_end / round_px) * half
    inner_half = np.maximum(half - compact, 0.5)
    inner = chord((inside_side - compact) / inner_half, (inside_end - slab.end_cortex) / round_px) * inner_half
    twice = 2 * at_knots(slab.depth)
    outer, inner = twice * outer, twice * np.minimum(inner, outer)
    for strength, depth in zip(slab.plates, (above, below)):
        dense = strength * np.exp(-(((depth - PLATE_DEPTH) / PLATE_WIDTH) ** 2))
        outer += np.where(outer > 0, dense * np.clip(inside_side / (0.3 * half), 0, 1), 0)
    rows, columns = v.astype(int) + int(slab.base[0]), (u / TRABECULAR_STRETCH).astype(int) + 7
    texture = maps.texture[rows % TEXTURE_SIDE, columns % TEXTURE_SIDE]
    maps.add(box, outer - inner, inner * at_knots(slab.spongy) * (1 + TEXTURE * texture), slab.name)


def end_curve(coefficients: tuple[float, ...], q: np.ndarray) -> np.ndarray:
    constant, linear, square, fourth = coefficients
    return constant + q * linear + q * q * (square + q * q * fourth)


def chord(lateral: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Half the path through a rounded body, 0 outside to 1: from depths below the side and the end, 1 and more is deep."""
    square_lateral, square_end = np.square(np.clip(1 - lateral, 0, 2)), np.square(np.clip(1 - end, 0, 2))
    return np.sqrt(np.maximum(1 - np.hypot(square_lateral, square_end), 0))  # a superellipse of power 4


def smooth_outline(vertices: np.ndarray, count: int = 40) -> np.ndarray:
    """Vertices (n, 2) -> (count, 2) on a smooth closed curve through all of them."""
    closed = np.concatenate([vertices, vertices[:1]])
    at = np.concatenate([[0], np.cumsum(np.sqrt(np.linalg.norm(np.diff(closed, axis=0), axis=1)))])
    return CubicSpline(at, closed, bc_type="periodic")(np.linspace(0, at[-1], count, endpoint=False))


def oval(centre: np.ndarray, half_axes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A somewhat uneven ellipse as an outline (24, 2); `half_axes` (2, 2) are its rows, px."""
    turn = np.linspace(0, 2 * np.pi, 8, endpoint=False)
    return smooth_outline(centre + rng.normal(1, 0.08, (8, 1)) * np.stack([np.cos(turn), np.sin(turn)], -1) @ half_axes, 24)


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


def draw_blob(
    maps: Maps, name: str, outline: np.ndarray, depth: float, rounding: float, cortex: float, density: float = 1.0
) -> None:
    """Add a wrist bone or an epiphysis to the maps, by a smooth closed outline (n, 2) px.

    `depth`: half of its longest path, `rounding`: how far below the edge that is reached, `cortex`: compact bone, all px.
    """
    box = maps.box(outline.min(0), outline.max(0))
    y, x = (part.astype(np.float32) for part in np.ogrid[box])
    below = depth_below(outline.astype(np.float32), x, y)
    outer = depth * np.sqrt(1 - (1 - np.clip(below / rounding, 0, 1)) ** 2)
    shrunk = np.clip((below - cortex) / (rounding - 0.5 * cortex), 0, 1)
    inner = np.minimum((depth - cortex) * np.sqrt(1 - (1 - shrunk) ** 2), outer)
    texture = maps.texture[(y.astype(int) + int(outline[0, 0])) % TEXTURE_SIDE, x.astype(int) % TEXTURE_SIDE]
    maps.add(box, 2 * (outer - inner), 2 * inner * density * (1 + 1.3 * TEXTURE * texture), name)


def enlarge(coarse: np.ndarray, factor: int, shape: tuple[int, int]) -> np.ndarray:
    """A coarse field -> (rows, columns), linear between the centres of its samples, which cover factor x factor px each."""
    part = (0, 0, shape[1] / factor, shape[0] / factor)
    return np.asarray(Image.fromarray(coarse).resize(shape[::-1], Image.Resampling.BILINEAR, part))
