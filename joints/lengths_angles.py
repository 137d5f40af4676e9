"""What is measured on a joint: lengths, angles and bends of its description, and how far off each may be."""

import math
from dataclasses import dataclass

import numpy as np

from joints.description import LARGEST, Defined, Description


@dataclass(frozen=True)
class Measure:
    name: str
    kind: str  # "length" or "angle"
    value: float  # in the unit of the points, or degrees
    plus_minus: float  # in the same unit: `lengths_and_angles` says what it promises
    landmarks: tuple[int, ...]  # that it is made of


def lengths_and_angles(joint: Description, points: np.ndarray, ellipses: np.ndarray) -> list[Measure]:
    """Of a joint's landmarks (L, 2) as (x, y) and the ellipses (L, 2, 2) that hold the truth, in whichever unit both have.

    Angles are degrees. A bend is the angle between two neighbouring bones, 0 where they are straight, positive where the end
    bends to the side that the description names.

    `plus_minus` is a bound: the true value is no farther off if each landmark involved lies within its ellipse. For a length that
    is what its two ends can make it longer or shorter, for an angle what its two lines can turn (for the largest angle: the two
    that can turn most), 180 where one may point anywhere, for a difference the sum of both. If each landmark lies within its
    ellipse with probability p, all two of a length do with at least 2p - 1 and all three of an angle with at least 3p - 2,
    however their errors go together: 90 and 85 % for ellipses of 95 %, on average over radiographs as the ellipses are meant.
    Of many lines nothing is promised. It is no standard deviation, and says nothing of an error in the pixel spacing. NaN where
    an ellipse is.
    """
    sign = 1.0
    if joint.bends is not None:
        start, end, beside = points[list(joint.bends)]
        sign = float(np.sign(cross(end - start, beside - start)))
    done: dict[str, Measure] = {}
    for one in joint.measures:
        done[one.name] = difference(one, done) if one.kind == "difference" else measured(one, points, ellipses, sign)
    return list(done.values())


def measured(one: Defined, points: np.ndarray, ellipses: np.ndarray, sign: float) -> Measure:
    """A length, angle or bend; `sign` is that of bends to the side that counts as positive."""
    if one.kind == LARGEST:
        return largest_angle(one, points, ellipses)
    lines = (one.of[:2], one.of[2:]) if len(one.of) == 4 else (one.of[:2], one.of[1:])
    before, after = (points[line[-1]] - points[line[0]] for line in lines)
    if one.kind == "length":
        change = largest_change(before, ellipses[list(one.of)])
        return Measure(one.name, "length", float(np.hypot(*before)), change, one.of)
    turns = sum(largest_turn(vector, ellipses[list(line)]) for vector, line in zip((before, after), lines))
    if one.kind == "angle" and len(one.of) == 3:
        before = -before  # both lines begin at the corner
    angle = float(np.degrees(np.arctan2(cross(before, after), before @ after)))
    value = sign * angle if one.kind == "bend" else abs(angle)
    return Measure(one.name, "angle", value, float(np.minimum(turns, 180)), one.of)


def largest_angle(one: Defined, points: np.ndarray, ellipses: np.ndarray) -> Measure:
    """Between any two of the lines, each from its first landmark to its second; `plus_minus` is of the two that turn most."""
    lines = np.reshape(one.of, (-1, 2))
    vectors = points[lines[:, 1]] - points[lines[:, 0]]
    turned_by = np.degrees(np.arctan2(vectors[:, 1], vectors[:, 0]))
    apart = np.abs((turned_by - turned_by[:, None] + 180) % 360 - 180)
    turns = np.sort([largest_turn(vector, ellipses[line]) for vector, line in zip(vectors, lines)])[-2:]  # NaN comes last
    return Measure(one.name, "angle", float(apart.max()), float(np.minimum(turns.sum(), 180)), one.of)


def difference(one: Defined, done: dict[str, Measure]) -> Measure:
    first, second = (done[name] for name in one.of)
    landmarks = tuple(dict.fromkeys(first.landmarks + second.landmarks))
    return Measure(one.name, first.kind, first.value - second.value, first.plus_minus + second.plus_minus, landmarks)


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
