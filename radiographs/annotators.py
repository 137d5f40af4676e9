"""What was annotated: the table of landmarks, or where several annotators did, RAW/readers/NAME.csv, the mean of theirs."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from radiographs.raw_folder import COORDINATES, READERS, read_names, read_points
from runtime.files import DataError


@dataclass(frozen=True)
class Annotations:
    """Landmarks (L, 2) px of every radiograph that somebody annotated, NaN where missing."""

    points: dict[str, np.ndarray]  # ID: what is learnt
    readings: dict[str, dict[str, np.ndarray]]  # annotator: ID: what they are the mean of; empty without annotators
    names: tuple[str, ...] | None  # of the landmarks, where a header has them


def read_annotations(raw: Path) -> Annotations:
    """Radiographs that no annotator has come from the table, which may then be missing. Raises DataError."""
    paths = sorted(path for path in (raw / READERS).glob("*.csv") if not path.name.startswith("."))
    table = raw / COORDINATES
    tables = [*([table] if table.exists() or not paths else []), *paths]
    points = {path: read_points(path) for path in tables}
    names = {path: read_names(path) for path in tables}
    first = tables[0]
    for path in tables[1:]:
        own, expected = landmarks_of(points[path]), landmarks_of(points[first])
        if own != expected:
            raise DataError(f"{path}: expected {expected} landmarks as in {first}, found {own}; give all tables the same columns")
        if names[path] and names[first] and sorted(names[path]) == sorted(names[first]):
            order = [names[path].index(name) for name in names[first]]
            points[path] = {id: at[order] for id, at in points[path].items()}
        elif names[path] and names[first]:
            other = next(pair for pair in zip(names[first], names[path]) if pair[0] != pair[1])
            raise DataError(
                f"{path}: expected the landmark {other[0]!r} as in {first}, found {other[1]!r}; make the headers agree"
            )
    readings = {path.stem: points[path] for path in paths}
    learnt = points.get(table, {}) | mean_of(readings)
    return Annotations(learnt, readings, next((known for known in names.values() if known), None))


def landmarks_of(points: dict[str, np.ndarray]) -> int:
    return len(next(iter(points.values())))


def mean_of(readings: dict[str, dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The mean of what annotators gave: of each landmark over those that placed it, NaN where nobody did."""
    ids = dict.fromkeys(id for points in readings.values() for id in points)
    means = {}
    for id in ids:
        given = np.stack([points[id] for points in readings.values() if id in points])
        placed = np.isfinite(given)
        count = placed.sum(0)
        means[id] = np.where(count > 0, np.where(placed, given, 0).sum(0) / np.maximum(count, 1), np.nan)
    return means
