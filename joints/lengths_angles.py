"""Lengths of the bones of fingers and angles of their joints, from 37 landmarks, and how far off both may be."""

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


def lengths_and_angles(points: np.ndarray, radii: np.ndarray) -> list[Measure]:
    """Of a hand's landmarks (37, 2) as (x, y) and their radii (37), in whichever unit both have.

    Angles are degrees between two neighbouring bones, 0 where the finger is straight, positive where its end bends to the side of
    the thumb.

    `plus_minus` is a bound: the true value is no farther off if each landmark involved lies within its radius. For a length that
    is the sum of its two radii, for an angle what its two bones can turn, 180 where one may point anywhere. If each landmark lies
    within its radius with probability p, all two of a length do with at least 2p - 1 and all three of an angle with at least
    3p - 2, however their errors go together: 90 and 85 % for radii of 95 %, on average over radiographs as the radii are meant.
    It is no standard deviation, and says nothing of an error in the pixel spacing. NaN where a radius is.
    """
    middle, thumb = points[RAYS["middle"][-1]] - points[RAYS["middle"][0]], points[RAYS["thumb"][0]] - points[RAYS["middle"][0]]
    thumb_side = np.sign(cross(middle, thumb))
    measures = []
    for finger, ray in RAYS.items():
        bones = THUMB_BONES if finger == "thumb" else BONES
        vectors = np.diff(points[list(ray)], axis=0)
        lengths = np.hypot(*vectors.T)
        slack = radii[list(ray[:-1])] + radii[list(ray[1:])]
        turns = np.array([largest_turn(length, off) for length, off in zip(lengths, slack)])
        measures += [
            Measure(f"{finger} {bone}", "length", float(length), float(off), ends)
            for bone, length, off, ends in zip(bones, lengths, slack, pairwise(ray))
        ]
        joints = ("MCP", "IP") if finger == "thumb" else ("MCP", "PIP", "DIP")
        for i, joint in enumerate(joints):
            before, after = vectors[i], vectors[i + 1]
            angle = thumb_side * np.degrees(np.arctan2(cross(before, after), before @ after))
            plus_minus = np.minimum(turns[i] + turns[i + 1], 180)
            measures.append(Measure(f"{finger} {joint}", "angle", float(angle), float(plus_minus), ray[i : i + 3]))
    return measures


def largest_turn(length: float, slack: float) -> float:
    """Degrees that a bone of some length can turn by, if one of its ends moves by up to `slack` against the other."""
    if slack >= length:
        return 180.0
    return float(np.degrees(np.arcsin(slack / length)))


def cross(a: np.ndarray, b: np.ndarray) -> float:
    return a[0] * b[1] - a[1] * b[0]
