"""Soft tissue as path length: round cones along fingers, palm, thumb and forearm, melted together so that webs form."""

from collections.abc import Callable

import numpy as np
from scipy.ndimage import gaussian_filter

from joints.hand import FINGERS
from phantom.anatomy import hand_scale, unit
from phantom.bones import enlarge

COARSE = 4  # px of the picture per sample of the depth field, which is smooth
PARTS = np.array([  # of the hand, that each row of `cones_of` belongs to
    *["finger", "finger", "fingertip", "finger", "palm"] * 4, "palm", "palm", "palm", "finger", "fingertip",
    *["palm"] * 3, *["web"] * 3, *["palm"] * 3, "wrist", "wrist", "forearm",
])  # fmt: skip
MELT = 7.0  # px at hand scale 1, over which neighbouring parts flow into each other


def cones_of(points: np.ndarray, scale: float, rng: np.random.Generator, below: float) -> np.ndarray:
    """Round cones (n, 9): start x, y, end x, y, both radii, both half thicknesses, all px, and steepness of the flanks.

    `below`: picture's last row."""
    plump, cones = rng.uniform(0.92, 1.18), []

    def cone(start, end, radii, thickness, steep=1.0):
        cones.append([*start, *end, *(np.array(radii) * scale), *(np.array(thickness) * scale), steep])

    flat = rng.uniform(0.95, 1.2)  # thickness of the palm
    for finger, (carpal, mcp, pip, dip, tip) in FINGERS.items():
        carpal, mcp, pip, dip, tip = points[[carpal, mcp, pip, dip, tip]]
        wide = {"index": 1.0, "middle": 1.03, "ring": 0.97, "little": 0.87}[finger] * plump
        end = tip - unit(tip - dip) * (36 * wide - rng.uniform(20, 28)) * scale
        base = mcp + 0.18 * (pip - mcp)
        cone(base, pip, (43 * wide, 41 * wide), (35 * wide, 32 * wide))
        cone(pip, dip, (41 * wide, 38 * wide), (32 * wide, 28 * wide))
        cone(dip, end, (38 * wide, 35 * wide), (28 * wide, 22 * wide))
        cone(mcp, base, (40 * wide, 43 * wide), (44 * flat, 38 * wide))
        cone(carpal, mcp, (52, 43), (74 * flat, 45 * flat))
    little, thumb_base, thumb_mcp, ip, tip = points[13], points[17], points[18], points[19], points[20]
    hypothenar = unit(points[13] - points[16])
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
        knuckles = 25 - 4 * (near - 15), 25 - 4 * (far - 15)
        middle = points[[knuckles[0], knuckles[1]]].mean(0)
        cone(points[[near, far]].mean(0), middle, (50, 36), (74 * flat, 45 * flat))
    wrist, elbow = (points[6] + points[12]) / 2, (points[0] + points[4]) / 2
    half = np.hypot(*(points[0] - points[4])) / 2 / scale
    down = unit(elbow - points[10])
    far = elbow + down * (max(below - elbow[1], 0) + 150 * scale) / max(down[1], 0.5)
    thick = rng.uniform(0.9, 1.1)
    cone(points[10], wrist, (95, 95), (88 * thick, 98 * thick), 1.7)
    cone(wrist, elbow, (half + 6, half + 16), (98 * thick, 94 * thick), 1.8)
    cone(elbow, far, (half + 16, half + rng.uniform(14, 34)), (94 * thick, 92 * thick), 1.5)
    return np.array(cones, np.float32)


def soft_tissue(
    points: np.ndarray, shape: tuple[int, int], rng: np.random.Generator, cones_of: Callable = cones_of
) -> tuple[np.ndarray, np.ndarray]:
    """(path length px, depth below the skin px, negative outside), each (rows, columns) float32."""
    scale, points = hand_scale(points), points[:, :2]
    rows, columns = shape
    centre = (COARSE - 1) / 2  # px, of the first sample, which covers COARSE x COARSE px
    y = np.arange(centre, rows + COARSE, COARSE, dtype=np.float32)[:, None]
    x = np.arange(centre, columns + COARSE, COARSE, dtype=np.float32)[None, :]
    melt = MELT * scale * rng.uniform(0.8, 1.5)
    total, radius, thickness = melted(cones_of(points, scale, rng, rows), x, y, melt)
    depth = melt * np.log(total) + gaussian_filter(rng.standard_normal(total.shape).astype(np.float32), 9) * 28 * scale
    lumps = 1 + gaussian_filter(rng.standard_normal(total.shape).astype(np.float32), 7) * 0.9
    depth, radius, thickness = (
        enlarge(field, COARSE, shape)
        for field in (depth, gaussian_filter(radius / total, 2), gaussian_filter(thickness / total * lumps, 4))
    )
    return path_through(depth, radius, thickness), depth


def melted(cones: np.ndarray, x: np.ndarray, y: np.ndarray, melt: float) -> np.ndarray:
    """Cones (n, 9) -> at x (1, columns) and y (rows, 1): exp of the depth over `melt`, and the sums of radius and of half
    thickness that it weighs, (3, rows, columns)."""
    total, radius, thickness = fields = np.full((3, y.size, x.size), 1e-9, np.float32)
    for ax, ay, bx, by, r0, r1, h0, h1, steep in cones:
        ex, ey = bx - ax, by - ay
        t = np.clip(((x - ax) * ex + (y - ay) * ey) / (ex * ex + ey * ey), 0, 1)
        local = r0 + t * (r1 - r0)
        depth = local - np.hypot(x - ax - t * ex, y - ay - t * ey)
        weight = np.exp(np.clip(depth / melt, -40, 30))
        total += weight
        radius += weight * (local / steep)
        thickness += weight * (h0 + t * (h1 - h0))
    return fields


def path_through(depth: np.ndarray, radius: np.ndarray, thickness: np.ndarray) -> np.ndarray:
    """Path px at a depth px below the skin, of a body with a rounded flank `radius` px wide and this half thickness px."""
    height = np.clip(depth / radius, 0, 1)
    return 2 * thickness * np.sqrt(1 - (1 - height) ** 2)


def stouter(cones: np.ndarray, factors: dict[str, float]) -> np.ndarray:
    """Cones (n, 9) with the radii of the named PARTS times a factor, the half thicknesses times its root; tips stay put."""
    wide = np.array([factors.get(part, 1.0) for part in PARTS], np.float32)
    cones = cones.copy()
    tips = PARTS == "fingertip"
    axis = cones[tips, 2:4] - cones[tips, :2]
    back = (wide[tips] - 1) * cones[tips, 5] / np.linalg.norm(axis, axis=1).clip(1)
    cones[tips, 2:4] -= np.minimum(back, 0.8)[:, None] * axis
    cones[:, 4:6] *= wide[:, None]
    cones[:, 6:8] *= np.sqrt(wide)[:, None]
    return cones
