"""Lengths of the bones of fingers and angles of their joints, from 37 landmarks, and how far off both may be."""

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from joints.hand import RAYS

BONES = ("metacarpal", "proximal phalanx", "middle phalanx", "distal phalanx")
THUMB_BONES = ("metacarpal", "proximal phalanx", "distal phalanx")


@dataclass(frozen=True)
class Measure:
    name: str
    kind: str  # "length" or "angle"
    value: float  # in the unit of the points, or degrees
    plus_minus: float  # in the same unit: `lengths_and_angles` says what it promises
    landmarks: tuple[int, ...]  # that it is made of


def lengths_and_angles(points: np.ndarray, ellipses: np.ndarray) -> list[Measure]:
    """Of a hand's landmarks (37, 2) as (x, y) and the ellipses (37, 2, 2) that hold the truth, in whichever unit both have.

    Angles are degrees between two neighbouring bones, 0 where the finger is straight, positive where its end bends to the side of
    the thumb.

    `plus_minus` is a bound: the true value is no farther off if each landmark involved lies within its ellipse. For a length that
    is what its two ends can make it longer or shorter, for an angle what its two bones can turn, 180 where one may point
    anywhere. If each landmark lies within its ellipse with probability p, all two of a length do with at least 2p - 1 and all
    three of an angle with at least 3p - 2, however their errors go together: 90 and 85 % for ellipses of 95 %, on average over
    radiographs as the ellipses are meant. It is no standard deviation, and says nothing of an error in the pixel spacing. NaN
    where an ellipse is.
    """
    middle, thumb = points[RAYS["middle"][-1]] - points[RAYS["middle"][0]], points[RAYS["thumb"][0]] - points[RAYS["middle"][0]]
    thumb_side = np.sign(cross(middle, thumb))
    measures = []
    for finger, ray in RAYS.items():
        bones = THUMB_BONES if finger == "thumb" else BONES
        vectors = np.diff(points[list(ray)], axis=0)
        ends = list(pairwise(ray))
        off = [largest_change(vector, ellipses[list(pair)]) for vector, pair in zip(vectors, ends)]
        turns = [largest_turn(vector, ellipses[list(pair)]) for vector, pair in zip(vectors, ends)]
        measures += [
            Measure(f"{finger} {bone}", "length", float(np.hypot(*vector)), change, pair)
            for bone, vector, change, pair in zip(bones, vectors, off, ends)
        ]
        joints = ("MCP", "IP") if finger == "thumb" else ("MCP", "PIP", "DIP")
        for i, joint in enumerate(joints):
            before, after = vectors[i], vectors[i + 1]
            angle = thumb_side * np.degrees(np.arctan2(cross(before, after), before @ after))
            plus_minus = np.minimum(turns[i] + turns[i + 1], 180)
            measures.append(Measure(f"{finger} {joint}", "angle", float(angle), float(plus_minus), ray[i : i + 3]))
    return measures


def reach(directions: np.ndarray, ellipses: np.ndarray) -> np.ndarray:
    """How far (n) a vector between two landmarks can reach in directions (n, 2) by its ends' moving in ellipses (2, 2, 2)."""
    return np.sqrt(np.einsum("ni,eij,nj->ne", directions, ellipses, directions)).sum(1)


def turned(vector: np.ndarray, degrees: np.ndarray) -> np.ndarray:
    """The direction (2) of a vector, turned by degrees (n): (n, 2)."""
    angles = np.arctan2(vector[1], vector[0]) + np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], -1)


def largest_change(vector: np.ndarray, ellipses: np.ndarray) -> float:
    """By how much the length of a vector can change: what it can lose along itself, or gain in any direction it can turn to."""
    if not np.isfinite(ellipses).all():
        return math.nan
    directions = turned(vector, np.linspace(-90, 90, 721))
    gain = (directions @ vector + reach(directions, ellipses)).max() - np.hypot(*vector)
    return float(max(gain, reach(turned(vector, np.zeros(1)), ellipses)[0]))


def largest_turn(vector: np.ndarray, ellipses: np.ndarray) -> float:
    """Degrees that a vector can turn by, to either side, in steps of a twentieth: as far as it can reach across."""
    if not np.isfinite(ellipses).all():
        return math.nan
    steps = np.linspace(0, 90, 1801)
    turns = np.concatenate([steps, -steps])
    short_of = np.hypot(*vector) * np.sin(np.radians(np.abs(turns)))
    reached = np.abs(turns)[short_of <= reach(turned(vector, turns + 90), ellipses) + 1e-9].max()
    return 180.0 if reached == 90 else float(reached) + (steps[1] if reached else 0)


def cross(a: np.ndarray, b: np.ndarray) -> float:
    return a[0] * b[1] - a[1] * b[0]
