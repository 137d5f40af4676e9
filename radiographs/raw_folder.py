"""What a raw folder holds: the table of landmarks, or one of each annotator (reader), and the radiographs of each split."""

import csv
import math
import os
import re
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from radiographs.names import is_radiograph, plain_id, same_form, without_ending
from radiographs.pixel_size import split_columns
from runtime.files import DataError, meant

SPLITS = ("train", "valid", "test")
MISNAMED = {"training": "train", "val": "valid", "validation": "valid", "testing": "test"}
NUMBERED = re.compile(r"([xy])[ _.]?(\d*)", re.IGNORECASE)  # names of columns that number the landmarks
ROWS = re.compile(r"(row|col|column)[ _.]?\d*", re.IGNORECASE)  # of arrays, whose row comes first
NAMED = re.compile(r"(.*?)(?:[_ .]|(?<=\d))([xy])", re.IGNORECASE | re.DOTALL)  # names of columns that name the landmarks
AXIS = re.compile(r"(?<![a-z])(x|y|row|col|column)(?![a-z])", re.IGNORECASE)  # in names of columns that are of neither form
ENOUGH = 200  # radiographs that tell in which order their landmarks are
OTHER_ORDER = 0.5  # of how far readers' landmarks lie apart, below which another order must bring them
COORDINATES = "all_coordinates.csv"  # the table of landmarks
READERS = "readers"  # folder of tables like COORDINATES, one a reader, beside it
LABEL_SET = "set.json"  # in the folder of label.py: the names of the landmarks
DETAIL = ".detail"  # what the names of larger prepared pictures have after the ID
SETTINGS = "settings.json"  # in a prepared folder: what it was made with
JOURNAL, CALL = "journal", "call.json"  # in a folder of results of predict.py: what is done, and in that what it was called with


def read_rows(path: Path) -> tuple[list[str] | None, list[tuple[int, list[str]]]]:
    """The header of a table of landmarks, if it has one, and its other rows with the numbers of their lines. Raises DataError.

    A first row with words and no number after its ID is taken for a header.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = [(number, row) for number, row in enumerate(csv.reader(file), 1) if any(cell.strip() for cell in row)]
    except FileNotFoundError:
        raise DataError(f"{path}: not found; it must hold one row per radiograph: ID, x0, y0, x1, y1, ...") from None
    except UnicodeDecodeError:
        raise DataError(f"{path}: expected a comma-separated text in UTF-8, found other bytes; save it as CSV UTF-8") from None
    except csv.Error as error:
        raise DataError(f"{path}: expected a comma-separated text file, found something else ({error})") from error
    words = [cell.strip() for cell in rows[0][1][1:] if cell.strip()] if rows else []
    named = words and not any(is_number(cell) for cell in words) and (len(set(words)) > 1 or len(words) == 1)  # unlike NA,NA
    header = [meant(cell) for cell in rows.pop(0)[1]] if named else None
    if not rows:
        raise DataError(f"{path}: expected one row per radiograph, found none")
    return split_columns(header, rows)


def read_names(path: Path) -> tuple[str, ...] | None:
    """The landmarks' names in a header ID,sella_x,sella_y,...; None without one of this form. Raises DataError."""
    header, rows = read_rows(path)
    cells = [cell.strip() for cell in (header or [""])[1:]]
    while len(cells) >= len(rows[0][1]) and not cells[-1]:  # as spreadsheets append
        cells.pop()
    if header and len(cells) != len(rows[0][1]) - 1:
        raise DataError(
            f"{path}: expected as many values as its header names, {len(cells)}, found {len(rows[0][1]) - 1}; correct it"
        )
    numbered = [NUMBERED.fullmatch(cell) for cell in cells]
    if cells and all(numbered):  # as ID,x0,y0: of no meaning but for the order
        for first, second in zip(numbered[::2], numbered[1::2]):
            if (first[1].lower(), second[1].lower()) != ("x", "y") or first[2] != second[2]:
                raise DataError(
                    f"{path}, line 1: expected x and y of one landmark after the other, found {first[0]!r} and {second[0]!r}; "
                    "reorder the columns"
                )
        numbers = [int(first[2] or 0) for first in numbered[::2]]
        if any(numbers) and numbers != sorted(set(numbers)):
            raise DataError(f"{path}, line 1: expected the landmarks in the order of their numbers; reorder the columns")
        return None
    strange = [cell for cell, known in zip(cells, numbered) if ROWS.fullmatch(cell) or (any(numbered) and not known)]
    parts = [(part[1].strip(), part[2].lower()) if (part := NAMED.fullmatch(cell)) else ("", "") for cell in cells]
    pairs = list(zip(parts[::2], parts[1::2]))
    names = tuple(first[0] for first, _ in pairs)
    named = all(name for name, _ in parts) or any(first[0] and first[0] == second[0] for first, second in pairs)
    if strange := strange or [cell for cell in cells if not named and AXIS.search(cell)]:
        raise DataError(
            f"{path}, line 1: expected ID and x and y of every landmark, found {strange[0]!r}; make the header "
            "ID,x0,y0,x1,y1,... or ID,NAME_x,NAME_y,..., and the columns those"
        )
    if not cells or not named:
        return None  # none, or of no meaning
    for i, (name, pair) in enumerate(zip(names, pairs)):
        if not name or pair != ((name, "x"), (name, "y")):
            raise DataError(
                f"{path}, line 1: expected the names of landmark {i} as NAME_x,NAME_y, found {cells[2 * i]!r} and "
                f"{cells[2 * i + 1]!r}; correct the header"
            )
    if twice := [name for name in names if names.count(name) > 1]:
        raise DataError(f"{path}, line 1: expected every landmark once, found {twice[0]!r} twice; correct the header")
    return names


def read_points(path: Path) -> dict[str, np.ndarray]:
    """A table of ID, x0, y0, x1, y1, ... -> ID: (landmarks, 2) px, NaN where both cells are blank. Raises DataError."""
    _, rows = read_rows(path)
    points: dict[str, np.ndarray] = {}
    width = len(rows[0][1])
    for number, (id, *cells) in rows:
        id, where = plain_id(meant(id)), f"{path}, line {number}"
        if len(cells) % 2 or not cells:
            raise DataError(
                f"{where}: expected an ID and pairs x, y, separated by commas; found {len(cells)} values after {id!r}"
            )
        if len(cells) + 1 != width:
            raise DataError(f"{where}: expected {width - 1} values as in the first row, found {len(cells)}")
        if id in points:
            raise DataError(f"{where}: a second row for {id}; remove one")
        if bad := [cell for cell in cells if cell.strip() and not is_number(cell)]:
            raise DataError(f"{where}: expected a number or a blank, found {bad[0]!r}")
        pairs = np.array([float(cell) if cell.strip() else math.nan for cell in cells]).reshape(-1, 2)
        if (half := np.isnan(pairs).sum(1) == 1).any():
            raise DataError(f"{where}: landmark {half.argmax()} has one coordinate; give both, or leave both blank")
        points[id] = pairs
    if len(points) > 1 and width > 3 and all((np.isnan(pairs) | (abs(pairs) <= 1)).all() for pairs in points.values()):
        raise DataError(f"{path}: expected px of the radiographs, found shares of their size; multiply them by width and height")
    return points


@dataclass(frozen=True)
class Annotations:
    """Landmarks (L, 2) px of every radiograph that somebody annotated, NaN where missing."""

    points: dict[str, np.ndarray]  # ID: what is learnt
    readings: dict[str, dict[str, np.ndarray]]  # annotator: ID: what they are the mean of; empty without annotators
    names: tuple[str, ...] | None  # of the landmarks, where a header has them


def read_annotations(raw: Path) -> Annotations:
    """Radiographs that no annotator has come from the table, which may then be missing. Raises DataError."""
    refuse_other_names(raw)
    paths = visible_files(raw / READERS)
    table = raw / COORDINATES
    tables = [*([table] if table.exists() or not paths else []), *paths]
    points = {path: read_points(path) for path in tables}
    names = {path: read_names(path) for path in tables}
    named = next((path for path in tables if names[path]), None)
    first = named or tables[0]
    if bare := [path for path in paths if named and not names[path] and read_rows(path)[0] is None]:
        raise DataError(f"{bare[0]}: expected a header ID,NAME_x,NAME_y,... as {named} has one, found none; give it one")
    for path in tables:
        own, expected = (len(next(iter(points[one].values()))) for one in (path, first))
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
    for one, other in combinations(tables, 2):
        refuse_other_order(one, other, points[one], points[other])
    readings = {path.stem: points[path] for path in paths}
    of_table = points.get(table, {})
    read = {id: mean for id, mean in mean_of(readings).items() if id not in of_table or np.isfinite(mean).any()}
    return Annotations(of_table | read, readings, next((known for known in names.values() if known), None))


def refuse_other_names(raw: Path) -> None:
    """Raises DataError where a file of a raw folder is called nearly as it must be, and would be overlooked."""
    for path in sorted(raw.glob("*")):
        for name in (COORDINATES, READERS, "joint.json"):
            if path.name != name and path.name.lower() in (name, name.removesuffix("s")) and not (raw / name).exists():
                raise DataError(f"{path}: expected it to be called {name}; rename it")
    if others := [path for path in visible_files(raw / READERS) if path.suffix != ".csv"]:
        raise DataError(f"{others[0]}: expected tables NAME.csv alone in {raw / READERS}; rename it, or move it away")


def refuse_other_order(one: Path, other: Path, points: dict[str, np.ndarray], others: dict[str, np.ndarray]) -> None:
    """Raises DataError where two tables' landmarks of the same radiographs lie far nearer to each other in another order."""
    if not (both := sorted(points.keys() & others.keys())[:ENOUGH]):
        return
    first, second = (np.stack([of[id] for id in both]) for of in (points, others))
    with warnings.catch_warnings(action="ignore", category=RuntimeWarning):  # landmarks that nobody placed in both
        apart = np.nanmedian(np.linalg.norm(first[:, :, None] - second[:, None], axis=-1), 0)
    known = np.flatnonzero(np.isfinite(apart.diagonal()))
    from scipy.optimize import linear_sum_assignment  # takes 0.3 s to load, which label.py does without

    apart = apart[np.ix_(known, known)]
    rows, columns = linear_sum_assignment(np.where(np.isfinite(apart), apart, np.nanmax(apart, initial=1.0)))
    moved = np.flatnonzero(rows != columns)
    if len(moved) and apart[moved, columns[moved]].sum() < OTHER_ORDER * apart[moved, moved].sum():
        i, j = known[moved[0]], known[columns[moved[0]]]
        raise DataError(
            f"{other}: its landmark {j} lies where {one} has landmark {i}; put the columns into one order, and name them"
        )


def mean_of(readings: dict[str, dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The mean of what annotators gave: of each landmark over those that placed it, NaN where nobody did."""
    means = {}
    for id in dict.fromkeys(id for points in readings.values() for id in points):
        given = np.stack([points[id] for points in readings.values() if id in points])
        count = np.isfinite(given).sum(0)
        means[id] = np.where(count > 0, np.nansum(given, 0) / np.maximum(count, 1), np.nan)
    return means


def numbered(points: Iterable[Iterable[float]]) -> dict[str, float]:
    """Points as cells of a table: x0, y0, x1, y1, ..."""
    return {f"{axis}{i}": value for i, point in enumerate(points) for axis, value in zip("xy", point)}


def is_number(text: str) -> bool:
    """Whether a cell holds a finite number or NaN."""
    try:
        return not math.isinf(float(text))
    except ValueError:
        return False


def maker_of(folder: Path) -> str:
    """The command that made a folder, where pictures in it show other radiographs once more; else "", as of one closed to us."""
    if os.path.isfile(folder / LABEL_SET) and os.path.isdir(folder / READERS):
        return "label.py"
    if os.path.isfile(folder / SETTINGS) and any(folder.glob("*/*.npz")):
        return "data_preprocessing.py"
    return "predict.py" if os.path.isfile(folder / JOURNAL / CALL) else ""


def below(folder: Path) -> Iterator[Path]:
    """Whatever lies in a folder and those in it, but for what a command made."""
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not maker_of(Path(place, name))]
        yield from (Path(place, name) for name in names)


def find_radiographs(raw: Path) -> tuple[dict[str, tuple[str, Path]], list[str]]:
    """ID: (split, path) of every file in RAW/{train,valid,test} that is not hidden, and what is wrong.

    Raises DataError for folders that are called otherwise.
    """
    errors = [
        f"{raw / name}: expected it to be called {split}; rename it, or move its radiographs there"
        for name, split in MISNAMED.items()
        if any(map(is_radiograph, visible_files(raw / name)))
    ]
    if errors:
        raise DataError("\n".join(errors))
    paths = [(split, path) for split in SPLITS for path in visible_files(raw / split)]
    found = by_id(paths, errors)
    for id in sorted(found.keys() & {f"{id}{DETAIL}" for id in found}):
        errors.append(f"{found[id][1]}: preparation writes a picture of this name for {id.removesuffix(DETAIL)}; rename one")
    return found, errors


def visible_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*") if path.is_file() and not path.name.startswith("."))


def by_id(files: Iterable[tuple[str, Path]], errors: list[str]) -> dict[str, tuple[str, Path]]:
    """ID: (split, path) of some files; two of one ID are added to `errors`."""
    found: dict[str, tuple[str, Path]] = {}
    for split, path in files:
        id = same_form(without_ending(path.name))
        if id in found:
            errors.append(f"{path}: the ID {id} is also that of {found[id][1]}; rename or remove one")
        else:
            found[id] = (split, path)
    return found
