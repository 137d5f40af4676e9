"""Hands of adults and of old people: closed plates, narrow joints, spurs, dense joint lines, erosions, thin bone."""

import numpy as np

from joints.hand import FINGERS, THUMB
from phantom import drawing
from phantom.anatomy import WIDTHS, draw_bones, hand_scale, round_blob, unit
from phantom.bending import solid, turn
from phantom.bones import Blob, Maps, draw_blob, smooth_outline

# Joint: the landmark before it, at it and after it, the kind of the bone before it, and how often it is worn beside the others
JOINTS = {
    **{f"{finger} DIP": (pip, dip, tip, "middle", 1.0) for finger, (_, _, pip, dip, tip) in FINGERS.items()},
    **{f"{finger} PIP": (mcp, pip, dip, "proximal", 0.7) for finger, (_, mcp, pip, dip, _) in FINGERS.items()},
    **{f"{finger} MCP": (carpal, mcp, pip, "metacarpal", 0.35) for finger, (carpal, mcp, pip, _, _) in FINGERS.items()},
    "thumb IP": (*THUMB[1:], "thumb proximal", 0.8),
    "thumb MCP": (*THUMB[:3], "thumb metacarpal", 0.5),
}  # fmt: skip
SESAMOIDS = {21: 0.35, 33: 0.45, 19: 0.3, 18: 0.8}  # landmark: how often there is one in front of that joint


def grown_maturity(shape: np.ndarray, rng: np.random.Generator) -> float:
    """More than 1: joints narrower than when growth ends."""
    return rng.uniform(1.0, 1.2)


def grown_pose(shape: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """As `pose`; in some hands the fingers lean to the little finger's side or are crooked at their last joints."""
    body = solid(drawing.pose(shape, rng))
    drift = rng.uniform(3, 14) * (rng.random() < 0.25)
    crooked = rng.uniform(2, 8) * (rng.random() < 0.4)
    for _, mcp, pip, dip, tip in FINGERS.values():
        turn(body, mcp, tip, -drift)
        turn(body, pip, tip, rng.normal(0, 0.5) * crooked)
        turn(body, dip, tip, rng.normal(0, 1) * crooked)
    return body[:, :2]


def draw_grown_bones(maps: Maps, points: np.ndarray, maturity: float, rng: np.random.Generator, draw_carpals=None) -> None:
    """As `draw_bones` of phantom.anatomy, and then what use and age do to bones."""
    draw_bones(maps, points, maturity, rng, draw_carpals)
    scale, points = hand_scale(points), points[:, :2]
    age = rng.beta(1.0, 1.1)  # 0: young adult, 1: old
    maps.cortex *= 1 - 0.5 * age * rng.uniform(0.4, 1)
    maps.marrow *= 1 - 0.45 * age * rng.uniform(0.2, 1)
    worn = age * rng.uniform(0.1, 1)
    for before, joint, after, kind, often in JOINTS.values():
        wear_joint(maps, points[[before, joint, after]], kind, worn * often, scale, rng)
    wear_thumb_base(maps, points, worn, scale, rng)
    for site, often in SESAMOIDS.items():
        if rng.random() < often:
            near = points[{21: 16, 33: 13, 19: 18, 18: 17}[site]]
            along = unit(points[site] - near)
            across = np.array([along[1], -along[0]]) * (-1 if site == 33 else 1)
            centre = points[site] + scale * (rng.uniform(2, 16) * across - rng.uniform(4, 16) * along)
            draw_blob(maps, round_blob("sesamoid", centre, scale * rng.uniform(5, 9), rng))
    for _ in range(rng.poisson(4 * worn)):
        erode(maps, points, scale, rng)


def wear_joint(maps: Maps, sites: np.ndarray, kind: str, worn: float, scale: float, rng: np.random.Generator) -> None:
    """Spurs at both sides of a joint and a dense line in it; sites (3, 2) px: the landmarks before it, at it and after it."""
    before, joint, after = sites
    along = unit(after - before)
    across = np.array([-along[1], along[0]])
    half = WIDTHS[kind][-2] * np.hypot(*(joint - before)) * rng.uniform(1.05, 1.25)
    for side in (-1, 1):
        for beyond in (-1, 1):  # on the head and on the base
            if rng.random() < 0.8 * worn:
                corner = joint + side * half * across + beyond * scale * rng.uniform(2, 8) * along
                draw_spur(maps, corner, unit(side * across - 0.4 * beyond * along), scale * rng.uniform(5, 15), rng)
    if rng.random() < worn:
        line = np.array([-1, -0.4, 0.4, 1, 0.4, -0.4])[:, None] * half * across
        thick = scale * rng.uniform(2, 5) * np.array([0, -1, -1, 0, 1, 1])[:, None] * along
        middle = joint + scale * rng.uniform(-3, 6) * along
        outline = smooth_outline(middle + line + thick, 24)
        draw_blob(maps, Blob("dense joint line", outline, 9 * scale, 4 * scale, 2.5 * scale, 1.2))


def wear_thumb_base(maps: Maps, points: np.ndarray, worn: float, scale: float, rng: np.random.Generator) -> None:
    """Spurs and loose bone around the thumb's carpometacarpal joint."""
    base, along = points[17], unit(points[18] - points[17])
    across = np.array([along[1], -along[0]])
    half = WIDTHS["thumb metacarpal"][1] * np.hypot(*(points[18] - base))
    for side in (-1, 1):
        if rng.random() < worn:
            draw_spur(maps, base + side * half * across, unit(side * across - 0.5 * along), scale * rng.uniform(8, 22), rng)
    if rng.random() < 0.3 * worn:
        centre = base - half * across + scale * rng.normal(0, 8, 2)
        draw_blob(maps, round_blob("loose bone", centre, scale * rng.uniform(4, 9), rng))


def draw_spur(maps: Maps, base: np.ndarray, towards: np.ndarray, length: float, rng: np.random.Generator) -> None:
    """A pointed growth of bone `length` px from `base`, with its foot in the bone."""
    aside = np.array([-towards[1], towards[0]]) * length * rng.uniform(0.35, 0.6)
    outline = np.array([base - 0.6 * length * towards + aside, base + 0.3 * length * towards + 0.5 * aside,
                        base + 0.8 * length * towards, base + 0.3 * length * towards - 0.5 * aside,
                        base - 0.6 * length * towards - aside])  # fmt: skip
    draw_blob(maps, Blob("spur", smooth_outline(outline, 20), 0.5 * length, 0.5 * length, 0.2 * length))


def erode(maps: Maps, points: np.ndarray, scale: float, rng: np.random.Generator) -> None:
    """A small hole px wide in the bone beside a joint or in the wrist."""
    site = points[rng.choice([*range(6, 20), 21, 22, 23, 25, 26, 27, 29, 30, 31, 33, 34, 35])]
    centre, radius = site + scale * rng.normal(0, 14, 2), scale * rng.uniform(4, 10)
    box = maps.box(centre - 2 * radius, centre + 2 * radius)
    if box is None:
        return
    y, x = np.ogrid[box]
    left = 1 - rng.uniform(0.4, 0.9) * np.exp(-((np.hypot(x - centre[0], y - centre[1]) / radius) ** 4))
    maps.cortex[box] *= left
    maps.marrow[box] *= left
