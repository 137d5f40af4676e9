"""Soft tissue as path length: round cones along fingers, palm, thumb and forearm, melted together so that webs form."""

import numpy as np
from scipy.ndimage import gaussian_filter

from joints.hand import FINGERS, RAYS
from phantom.bones import enlarge, unit
from phantom.hand import hand_scale
from phantom.wrist import forearm_direction

COARSE = 4  # px of the picture per sample of the depth field, which is smooth
PARTS = np.array([  # of the hand, that each row of `cones_of` belongs to
    *["finger", "finger", "fingertip", "finger", "palm"] * 4, "palm", "palm", "palm", "finger", "fingertip",
    *["palm"] * 3, *["web"] * 3, *["palm"] * 3, "wrist", "wrist", "forearm",
])  # fmt: skip
LAYERS = {"index": (1, 2), "middle": (6, 7), "ring": (11, 12), "little": (16, 17), "thumb": (23, 24)}  # rows of `cones_of`
# beyond the joint that bends most: drawn on their own, their thickness adds to what they lie over
MELT = 7.0  # px at hand scale 1, over which neighbouring parts flow into each other
SQUEEZED = 0.6  # of the thinner of two layers, that adds to the thicker one
Tissue = tuple[np.ndarray, np.ndarray]  # path length px, depth below the skin px, negative outside, each (rows, columns) float32


def cones_of(points: np.ndarray, rows: int, rng: np.random.Generator) -> tuple[np.ndarray, float, float]:
    """Of a hand with points (37, 3), in a picture of so many rows: round cones (n, 9), how far they flow into each other, scale.

    A cone has start x, y, end x, y, both radii, both half thicknesses, all px as is how far they flow, and its flanks' steepness.
    """
    scale, points = hand_scale(points), points[:, :2]
    reach = MELT * scale * rng.uniform(0.8, 1.5)
    plump, cones = rng.uniform(0.92, 1.18), []

    def cone(start, end, radii, thickness, steep=1.0):
        cones.append([*start, *end, *(np.array(radii) * scale), *(np.array(thickness) * scale), steep])

    flat = rng.uniform(0.95, 1.2)  # thickness of the palm
    for finger, ray in FINGERS.items():
        carpal, mcp, pip, dip, tip = points[list(ray)]
        wide = {"index": 1.0, "middle": 1.03, "ring": 0.97, "little": 0.87}[finger] * plump
        end = tip - unit(tip - dip) * (36 * wide - rng.uniform(20, 28)) * scale
        base = mcp + 0.18 * (pip - mcp)
        cone(base, pip, (43 * wide, 41 * wide), (35 * wide, 32 * wide))
        cone(pip, dip, (41 * wide, 38 * wide), (32 * wide, 28 * wide))
        cone(dip, end, (38 * wide, 35 * wide), (28 * wide, 22 * wide))
        cone(mcp, base, (40 * wide, 43 * wide), (44 * flat, 38 * wide))
        cone(carpal, mcp, (52, 43), (74 * flat, 45 * flat))
    little, (thumb_base, thumb_mcp, ip, tip) = points[13], points[17:21]
    hypothenar = unit(little - points[16])
    cone(points[6] + 10 * scale * hypothenar, little + 0.55 * (points[33] - little) + 16 * scale * hypothenar, (52, 44), (66, 46))
    wide = plump * 1.05
    cone(thumb_base, thumb_mcp, (50, 50 * wide), (62 * flat, 48))
    cone(points[12], thumb_mcp, (58, 42 * wide), (66 * flat, 44))
    cone(thumb_mcp, ip, (50 * wide, 44 * wide), (44, 36))
    cone(ip, tip - unit(tip - ip) * (36 * wide - rng.uniform(20, 28)) * scale, (45 * wide, 34 * wide), (34, 24))
    index_middle = points[16] + rng.uniform(0.5, 0.68) * (points[21] - points[16])
    cone(index_middle, thumb_base + 0.72 * (thumb_mcp - thumb_base), (46, 46), (54 * flat, 54 * flat))
    cone((points[16] + index_middle) / 2, (thumb_base + thumb_mcp) / 2, (60, 56), (74 * flat, 72 * flat))
    cone(points[16], (index_middle + thumb_base + 0.72 * (thumb_mcp - thumb_base)) / 2, (64, 40), (80 * flat, 60 * flat))
    web = rng.uniform(0.2, 0.34)
    for near, far in ((21, 25), (25, 29), (29, 33)):
        pair = [points[mcp] + web * (points[mcp + 1] - points[mcp]) for mcp in (near, far)]
        cone(pair[0], pair[1], (26, 26), (30, 30))
    for near, far in ((14, 13), (15, 14), (16, 15)):
        middle = points[[25 - 4 * (near - 15), 25 - 4 * (far - 15)]].mean(0)  # of their knuckles
        cone(points[[near, far]].mean(0), middle, (50, 36), (74 * flat, 45 * flat))
    wrist, elbow = (points[6] + points[12]) / 2, (points[0] + points[4]) / 2
    half = np.hypot(*(points[0] - points[4])) / 2 / scale
    down = unit(elbow - points[10])
    far = elbow + down * (max(rows - elbow[1], 0) + 150 * scale) / max(down[1], 0.5)  # below the picture
    thick = rng.uniform(0.9, 1.1)
    cone(points[10], wrist, (95, 95), (88 * thick, 98 * thick), 1.7)
    cone(wrist, elbow, (half + 6, half + 16), (98 * thick, 94 * thick), 1.8)
    cone(elbow, far, (half + 16, half + rng.uniform(14, 34)), (94 * thick, 92 * thick), 1.5)
    return np.array(cones, np.float32), reach, scale


def melt(cones: np.ndarray, reach: float, scale: float, shape: tuple[int, int], rng: np.random.Generator) -> Tissue:
    """Cones (n, 9) that flow into each other over `reach` px, in a picture (rows, columns)."""
    y, x = (np.arange((COARSE - 1) / 2, side + COARSE, COARSE, dtype=np.float32) for side in shape)  # centres of samples
    y = y[:, None]
    total, radius, thickness = np.full((3, y.size, x.size), 1e-9, np.float32)
    for ax, ay, bx, by, r0, r1, h0, h1, steep in cones:
        ex, ey = bx - ax, by - ay
        t = np.clip(((x - ax) * ex + (y - ay) * ey) / (ex * ex + ey * ey), 0, 1)
        local = r0 + t * (r1 - r0)
        depth = local - np.hypot(x - ax - t * ex, y - ay - t * ey)
        weight = np.exp(np.clip(depth / reach, -40, 30))
        total += weight
        radius += weight * (local / steep)
        thickness += weight * (h0 + t * (h1 - h0))
    depth = reach * np.log(total) + gaussian_filter(rng.standard_normal(total.shape).astype(np.float32), 9) * 28 * scale
    lumps = 1 + gaussian_filter(rng.standard_normal(total.shape).astype(np.float32), 7) * 0.9
    radius, thickness = gaussian_filter(radius / total, 2), gaussian_filter(thickness / total * lumps, 4)
    depth, radius, thickness = (enlarge(field, COARSE, shape) for field in (depth, radius, thickness))
    height = np.clip(depth / radius, 0, 1)  # of a body with a rounded flank
    return 2 * thickness * np.sqrt(1 - (1 - height) ** 2), depth


def soft_tissue(points: np.ndarray, shape: tuple[int, int], rng: np.random.Generator) -> Tissue:
    """Of a hand with landmarks (37, 3) px, in a picture (rows, columns)."""
    return melt(*cones_of(points, shape[0], rng), shape, rng)


def forearm_tissue(points: np.ndarray, shape: tuple[int, int], rng: np.random.Generator) -> Tissue:
    """The same with a forearm that grows thicker towards the elbow, where its muscles are."""
    cones, reach, scale = cones_of(points, shape[0], rng)
    arm = cones[-1]
    length = np.hypot(*(arm[2:4] - arm[:2]))
    muscle = 1 + rng.uniform(0.25, 0.6) * min(length / (1.1 * 732 * scale), 1.4)  # of the way from wrist to elbow
    arm[2:4] = arm[:2] + length * forearm_direction(points[:, :2])
    arm[[5, 7]] *= muscle, muscle**0.7
    return melt(cones, reach, scale, shape, rng)


def bent_tissue(points: np.ndarray, shape: tuple[int, int], rng: np.random.Generator) -> Tissue:
    """The same with the fingers that are bent or lie over others in layers of their own, whose paths add up."""
    cones, reach, scale = cones_of(points, shape[0], rng)
    own = [LAYERS[name] for name, ray in RAYS.items() if lies_apart(points, name, ray)]
    soft, depth = melt(np.delete(cones, np.ravel(own).astype(int), axis=0), reach, scale, shape, rng)
    for rows in own:
        path, below = melt(cones[list(rows)], reach, scale, shape, rng)
        soft = np.maximum(soft, path) + SQUEEZED * np.minimum(soft, path)
        depth = np.maximum(depth, below)
    return soft, depth


def lies_apart(points: np.ndarray, name: str, ray: tuple[int, ...]) -> bool:
    """Whether a ray of points (37, 3) is bent by a phalanx's third, or comes within half a finger of another ray's phalanges."""
    bones = np.diff(points[list(ray)][1:], axis=0)
    if (np.hypot(*bones[:, :2].T) < 0.8 * np.linalg.norm(bones, axis=1)).any():
        return True
    width = 0.5 * np.hypot(*(points[25] - points[21])[:2])
    others = [site for other, sites in RAYS.items() if other != name for site in sites[1:]]
    gaps = np.linalg.norm(points[list(ray[2:]), None, :2] - points[None, others, :2], axis=-1)
    return bool((gaps < width).any())
