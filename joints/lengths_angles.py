"""What is measured on a joint: lengths, angles and bends of its description, and how far off each may be."""

from dataclasses import dataclass

import numpy as np

from joints.description import Defined, Description


@dataclass(frozen=True)
class Measure:
    name: str
    kind: str  # "length" or "angle"
    value: float  # in the unit of the points, or degrees
    plus_minus: float  # in the same unit: `lengths_and_angles` says what it promises
    landmarks: tuple[int, ...]  # that it is made of


def lengths_and_angles(joint: Description, points: np.ndarray, radii: np.ndarray) -> list[Measure]:
    """Of a joint's landmarks (L, 2) as (x, y) and their radii (L), in whichever unit both have.

    Angles are degrees. A bend is the angle between two neighbouring bones, 0 where they are straight, positive where the end
    bends to the side that the description names.

    `plus_minus` is a bound: the true value is no farther off if each landmark involved lies within its radius. For a length that
    is the sum of its two radii, for an angle what its two lines can turn, 180 where one may point anywhere, for a difference the
    sum of both. If each landmark lies within its radius with probability p, all two of a length do with at least 2p - 1 and all
    three of an angle with at least 3p - 2, however their errors go together: 90 and 85 % for radii of 95 %, on average over
    radiographs as the radii are meant. It is no standard deviation, and says nothing of an error in the pixel spacing. NaN where
    a radius is.
    """
    sign = side_of_bends(joint, points)
    done: dict[str, Measure] = {}
    for one in joint.measures:
        done[one.name] = difference(one, done) if one.kind == "difference" else measured(one, points, radii, sign)
    return list(done.values())


def side_of_bends(joint: Description, points: np.ndarray) -> float:
    if joint.bends is None:
        return 1.0
    start, end, beside = (points[i] for i in joint.bends)
    return float(np.sign(cross(end - start, beside - start)))


def measured(one: Defined, points: np.ndarray, radii: np.ndarray, sign: float) -> Measure:
    of = one.of
    if one.kind == "length":
        return Measure(one.name, "length", length(points, of), float(radii[list(of)].sum()), of)
    lines = (of[:2], of[2:]) if len(of) == 4 else (of[:2], of[1:])
    before, after = (points[b] - points[a] for a, b in lines)
    before = -before if one.kind == "angle" and len(of) == 3 else before  # both lines begin at the angle's corner
    angle = float(np.degrees(np.arctan2(cross(before, after), before @ after)))
    turns = sum(largest_turn(length(points, line), float(radii[list(line)].sum())) for line in lines)
    value = sign * angle if one.kind == "bend" else abs(angle)
    return Measure(one.name, "angle", value, float(np.minimum(turns, 180)), of)


def difference(one: Defined, done: dict[str, Measure]) -> Measure:
    first, second = (done[name] for name in one.of)
    landmarks = tuple(dict.fromkeys(first.landmarks + second.landmarks))
    return Measure(one.name, first.kind, first.value - second.value, first.plus_minus + second.plus_minus, landmarks)


def length(points: np.ndarray, ends: tuple[int, int]) -> float:
    return float(np.hypot(*(points[ends[1]] - points[ends[0]])))


def largest_turn(length: float, slack: float) -> float:
    """Degrees that a line of some length can turn by, if one of its ends moves by up to `slack` against the other."""
    if slack >= length:
        return 180.0
    return float(np.degrees(np.arcsin(slack / length)))


def cross(a: np.ndarray, b: np.ndarray) -> float:
    return a[0] * b[1] - a[1] * b[0]
