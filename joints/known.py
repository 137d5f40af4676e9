"""Which joint landmarks are of: the one that is described with them, else one that ships, else none with a name."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from joints.description import Description, read_description
from joints.hand import HAND, is_hand

SHIPPED = {HAND: is_hand}  # each with what tells it by the shape of annotations (N, L, 2)


def shaped_as(points: np.ndarray) -> Description | None:
    """The joint that ships whose landmarks annotations (N, L, 2) are by their shape, whatever they are called."""
    return next((joint for joint, is_its in SHIPPED.items() if is_its(points)), None)


def joint_of(points: np.ndarray, stored: dict | None, source: str = "joint") -> Description:
    """The joint that annotations (N, L, 2) are of; `stored` is its description in prepared data or weights. Raises DataError."""
    if stored:
        return Description.of_file(stored, source)
    return shaped_as(points) or Description.numbered(points.shape[-2])


def described(path: Path, points: np.ndarray, names: tuple[str, ...] | None) -> Description | None:
    """The joint of annotations (N, L, 2) by the file `path` and the `names` in their table's header, either of which may miss.

    None where neither is there. Raises DataError.
    """
    joint = read_description(path, names, points.shape[1])
    if joint is None or path.exists():
        return joint
    shipped = shaped_as(points)
    return replace(shipped, names=joint.names) if shipped else joint_called(list(joint.names), None)


def joint_called(names: list[str], stored: dict | None, source: str = "joint") -> Description:
    """The joint of a weights file: its description, else the one that ships with these names. Raises DataError."""
    if stored:
        return Description.of_file(stored, source)
    return next((joint for joint in SHIPPED if joint.names == tuple(names)), Description(tuple(names)))


def first_other(expected: tuple[str, ...], found: tuple[str, ...]) -> str | None:
    """In words the first landmark with another name; None where all agree, or where one side has numbers for names."""
    numbers = tuple(map(str, range(len(found))))
    if expected == found or numbers in (expected, found):
        return None
    return next(f"landmark {i} is {b!r} instead of {a!r}" for i, (a, b) in enumerate(zip(expected, found)) if a != b)


def moved(expected: Sequence[str], found: Sequence[str]) -> str | None:
    """In words the first landmark that has another place in both.

    Names that one side alone has say nothing, nor do numbers that are counted from 0 on one side and from 1 on the other.
    """
    if set(expected) != set(found) and "".join((*expected, *found)).isdecimal():
        return None
    places = ((name, i, found.index(name)) for i, name in enumerate(expected) if name in found)
    return next((f"{name!r} as landmark {there} instead of {here}" for name, here, there in places if here != there), None)
