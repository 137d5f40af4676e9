"""What a raw folder holds: the table of landmarks, and the radiographs of each split."""

import csv
import math
import unicodedata
from pathlib import Path

import numpy as np

from radiographs.reading import without_ending
from runtime.files import DataError

SPLITS = ("train", "valid", "test")
COORDINATES = "all_coordinates.csv"  # the table of landmarks


def read_points(path: Path) -> dict[str, np.ndarray]:
    """A table of ID, x0, y0, x1, y1, ... -> ID: (landmarks, 2) px, NaN where both cells are blank. Raises DataError.

    A first row with words and no number after its ID is taken for a header.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = [(number, row) for number, row in enumerate(csv.reader(file), 1) if any(cell.strip() for cell in row)]
    except FileNotFoundError:
        raise DataError(f"{path}: not found; it must hold one row per radiograph: ID, x0, y0, x1, y1, ...") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: expected a comma-separated text file, found something else ({error})") from error
    words = [cell for cell in rows[0][1][1:] if cell.strip()] if rows else []
    if words and not any(is_number(cell) for cell in words):
        rows = rows[1:]
    if not rows:
        raise DataError(f"{path}: expected one row per radiograph, found none")

    points: dict[str, np.ndarray] = {}
    width = len(rows[0][1])
    for number, (id, *cells) in rows:
        id, where = same_form(id), f"{path}, line {number}"
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
    return points


def is_number(text: str) -> bool:
    """Whether a cell holds a finite number or NaN."""
    try:
        return not math.isinf(float(text))
    except ValueError:
        return False


def same_form(id: str) -> str:
    """An ID without outer blanks and with accented letters in one form: file systems and tables write them differently."""
    return unicodedata.normalize("NFC", id.strip())


def find_radiographs(raw: Path) -> tuple[dict[str, tuple[str, Path]], list[str]]:
    """ID: (split, path) of every file in RAW/{train,valid,test}, hidden ones left out, and what is wrong."""
    found: dict[str, tuple[str, Path]] = {}
    errors = []
    for split in SPLITS:
        folder = raw / split
        paths = sorted(path for path in folder.glob("*") if path.is_file() and not path.name.startswith("."))
        if not paths:
            errors.append(f"{folder}: expected radiographs named ID.jpg, .png, .tif, .dcm, .mha or .nii, found none")
        for path in paths:
            id = same_form(without_ending(path.name))
            if id in found:
                errors.append(f"{path}: the ID {id} is also that of {found[id][1]}; rename or remove one")
            else:
                found[id] = (split, path)
    return found, errors
