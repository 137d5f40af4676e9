"""The eight carpal bones, and radius and ulna: outlines by eye, warped so that every landmark meets its own.

Landmarks 0, 2 and 3, 4 sit on the corners of the shafts of ulna and radius at the growth plate; 1 and 5, on the styloids; 6 to
12, on the proximal edge of their bone.
"""

import numpy as np
from scipy.interpolate import RBFInterpolator

from phantom.bones import Slab, draw_blob, draw_slab, smooth_outline, unit
from phantom.hand import TABLES, Hand

TEMPLATE = np.array(TABLES["wrist"]["template"], float)


def vary(vertices: list | np.ndarray, fixed: np.ndarray, shrink: float, wobble: float, rng: np.random.Generator) -> np.ndarray:
    """Outline vertices shrunk around the landmark on them and moved a little, the landmark kept where it is."""
    vertices = np.asarray(vertices)
    weight = 1 - np.exp(-((np.linalg.norm(vertices - fixed, axis=1, keepdims=True) / 40) ** 2))
    return fixed + (vertices - fixed) * shrink + rng.normal(0, wobble, vertices.shape) * weight


def warp(hand: Hand) -> RBFInterpolator:
    """From the template's frame to the hand: the thin-plate spline that takes its landmarks there."""
    return RBFInterpolator(TEMPLATE, hand.points[:18], kernel="thin_plate_spline")


def draw_wrist(hand: Hand) -> None:
    """The carpal bones."""
    maps, scale, maturity, rng, to_hand = hand.maps, hand.scale, hand.maturity, hand.rng, warp(hand)
    grown = min(maturity / 0.75, 1)
    size = 0.80 + 0.29 * grown
    for name, bone in TABLES["carpals"].items():
        shrink = size * rng.normal(1, 0.025) - (0.08 * (1 - grown) if name in ("lunate", "scaphoid", "trapezoid") else 0)
        outline = smooth_outline(to_hand(vary(bone["outline"], TEMPLATE[bone["landmark"]], shrink, 3.5, rng)))
        depth, rounding = scale * bone["thick"] * rng.normal(1, 0.08), scale * rng.uniform(18, 26)
        draw_blob(maps, name, outline, depth, rounding, scale * rng.uniform(1.6, 2.6), rng.uniform(0.8, 1.0))
    for name, bone in TABLES["in_front"].items():
        onset, sd = bone["onset"]
        if maturity > onset + rng.normal(0, sd):
            shift = rng.normal(0, bone["moved"], 2)
            fixed = np.array(bone["middle"]) + shift
            outline = vary(bone["outline"] + shift, fixed, rng.uniform(*bone["sizes"]), bone["wobble"], rng)
            draw_blob(maps, name, smooth_outline(to_hand(outline)), *(scale * np.array(bone["form"])), bone["density"])


def draw_forearm(hand: Hand) -> None:
    """Radius and ulna: their shafts, to below the picture, and their epiphyses."""
    rng, maturity, to_hand = hand.rng, hand.maturity, warp(hand)
    fused = maturity > 0.92 + rng.normal(0, 0.02)
    down = unit(forearm_direction(hand.points) + rng.normal(0, 0.045, 2))
    for name, bone in TABLES["forearm"].items():
        draw_forearm_shaft(hand, name, down)
        vertices = np.array(bone["outline"], float)
        young, more = bone["growth"]
        reach_down = 16 if fused else np.clip(14 - 24 * (0.92 - maturity), -3, 12) + rng.normal(0, 1.5)
        vertices[:, 1] += reach_down * np.clip((vertices[:, 1] - 860) / 30, 0, 1)  # grown down towards the shaft
        shrink = min(young + maturity * more, 1) * rng.normal(1, 0.02)
        outline = smooth_outline(to_hand(vary(vertices, TEMPLATE[bone["styloid"]], shrink, 3, rng)), 48)
        draw_blob(hand.maps, f"{name} epiphysis", outline, *(hand.scale * np.array([bone["thick"], 13, 2.2])), 0.95)


def forearm_direction(points: np.ndarray) -> np.ndarray:
    """Unit vector from the hand towards the elbow, for points (37, 2)."""
    return unit(points[[0, 2, 3, 4]].mean(0) - points[15])


def draw_forearm_shaft(hand: Hand, name: str, down: np.ndarray) -> None:
    """The shaft of "ulna" or "radius", from the corners of its growth plate to below the picture, along a unit vector `down`."""
    rng, strong, ulna = hand.rng, hand.strong, name == "ulna"
    left, right = hand.points[TABLES["forearm"][name]["corners"]]
    head = (left + right) / 2
    along, across = -down, np.array([down[1], -down[0]])
    half, slope = abs((right - left) @ across) / 2, (right - left) @ along / 2
    reach = max(len(hand.maps.cortex) - head[1], 20) * 1.6 + 60
    knots = reach + half * np.array([-8.0, -2.6, -1.6, -1.0, -0.6, -0.3, -0.12, 0.0, 0.4])
    shrink = np.array([0.60, 0.62, 0.68, 0.78, 0.88, 0.96, 1.0, 1.0, 1.0]) + 0.08 * ulna
    inner = np.minimum(shrink + rng.uniform(0, 0.06), 1)
    outer = np.minimum(shrink + rng.uniform(0.04, 0.14), 1)
    left_side, right_side = (outer, inner) if ulna else (inner, outer)
    cortex = np.array([9, 8, 6, 4, 3, 2, 1.6, 1.6, 1.6]) * (0.75 if ulna else 1)
    spongy = np.array([0.5, 0.6, 0.75, 0.9, 1, 1, 1, 1, 1]) * 0.9
    if reach > 14 * half:  # a long forearm: on to below the picture, a little slimmer
        knots, cortex, spongy = np.append(-50.0, knots), np.append(10, cortex), np.append(0.45, spongy)
        left_side, right_side = (np.append(side[0] - 0.1, side) for side in (left_side, right_side))
    left_side, right_side = np.interp(knots + slope, knots, left_side), np.interp(knots - slope, knots, right_side)
    wide = 1.035 * half  # the rounding takes off as much at the corners
    draw_slab(hand.maps, Slab(
        name, head - reach * along, head, knots, wide * left_side, wide * right_side,
        (-50.0, 0.0, 0.0, 0.0), (reach + 1.5 * hand.scale, slope, 0.0, 0.0),
        depth=1.25 if ulna else 0.62, cortex=strong * cortex, spongy=spongy, end_cortex=2.6 * hand.scale,
        plates=(0.0, 8 * strong), rounding=0.16,
    ))  # fmt: skip
