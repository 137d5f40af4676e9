"""How large a pixel is, as a person says: stated for all or in a column of the table, or calibrated on each radiograph."""

import csv
import os
from collections.abc import Container, Iterable
from dataclasses import replace
from pathlib import Path
from statistics import fmean

from radiographs.names import plain_id, same_form
from radiographs.radiograph import Radiograph
from runtime.files import DataError, meant

COLUMN, SOURCE = "pixel_mm", "pixel_mm_from"  # of a table of landmarks; the first one is also the key of joint.json
STATED, BY_HAND = "stated", "calibrated by hand"  # as `spacing_from`; a blank SOURCE is STATED
LEAST, MOST = 1e-3, 10.0  # mm a pixel
APART = 0.01  # share by which two sizes of one radiograph may differ before it is said
Size = tuple[float, float]  # mm a pixel, (x, y)
Given = tuple[Size, str]  # and whether it is STATED or BY_HAND


def read_size(given: object, source: str) -> Size:
    """(x, y) mm a pixel from a number, [row, column], or a text "0.1" or "0.1x0.12" (row x column). Raises DataError.

    Row is the distance between rows, column that between columns, the order of DICOM's PixelSpacing: [0.1, 0.12] is (0.12, 0.1).
    """
    parts = given.split("x") if isinstance(given, str) else given if isinstance(given, list) else [given]
    try:
        row, column = (float(part) for part in (parts * 2 if len(parts) == 1 else parts) if not isinstance(part, bool))
        if not (LEAST <= row <= MOST and LEAST <= column <= MOST):
            raise ValueError
    except (TypeError, ValueError):
        expected = f"mm a pixel from {LEAST:g} to {MOST:g}, one number, or that of rows and that of columns"
        raise DataError(f"{source}: expected {expected}, found {given!r}; correct it") from None
    return column, row


def split_columns(header: list[str] | None, rows: list[tuple[int, list[str]]]) -> tuple[list[str] | None, list]:
    """A table's header and rows without the columns of pixel sizes, so that the others are ID and points."""
    places = [place_of(name, header or []) for name in (COLUMN, SOURCE)]

    def others(row: list[str]) -> list[str]:
        return [cell for i, cell in enumerate(row) if i not in places]

    return header and others(header), [(number, others(row)) for number, row in rows]


def place_of(name: str, header: list[str]) -> int | None:
    return next((i for i, cell in enumerate(header) if i and cell.strip().lower() == name), None)


def sizes_in(path: Path) -> dict[str, Given]:
    """ID: pixel size of the rows of a table that have one; none without the column. Raises DataError.

    A path may stand for an ID, as in the table for `row_of`; folders are then separated by "/".
    """
    with open(path, newline="", encoding="utf-8-sig") as file:
        header, *rows = [row for row in csv.reader(file) if any(cell.strip() for cell in row)] or [[]]
    places = [place_of(name, [meant(cell) for cell in header]) for name in (COLUMN, SOURCE)]
    sizes = {}
    for id, *cells in rows:
        id = plain_id(meant(id)).replace(os.sep, "/").removeprefix("./")
        text, source = ("" if i is None or i > len(cells) else cells[i - 1].strip() for i in places)
        if source not in ("", STATED, BY_HAND):
            expected = f"the {SOURCE} of {id} to be {STATED}, {BY_HAND} or blank"
            raise DataError(f"{path}: expected {expected}, found {source!r}; correct it")
        if not text:
            continue
        given = read_size(text, f"{path}: {COLUMN} of {id}"), source or STATED
        if sizes.setdefault(id, given) != given:
            raise DataError(f"{path}: expected one {COLUMN} of {id}, found two; remove one")
    return sizes


def row_of(path: str, sizes: Container[str]) -> str:
    """The key of `sizes_in` that a file has: for in/2021/a.png the first one there is of in/2021/a, 2021/a, a; else ""."""
    *folders, name = os.path.abspath(path).split(os.sep)
    parts = [*map(same_form, folders), plain_id(name)]
    return next((end for i in range(len(parts)) if (end := "/".join(parts[i:])) in sizes), "")


def with_columns(rows: list[dict], sizes: dict[str, Given]) -> list[dict]:
    """Rows of a table with the columns of pixel sizes, if one of their radiographs has a size."""
    if not any(row["id"] in sizes for row in rows):
        return rows
    columns = {id: {COLUMN: f"{y:.6g}" if x == y else f"{y:.6g}x{x:.6g}", SOURCE: by} for id, ((x, y), by) in sizes.items()}
    return [row | columns.get(row["id"], {COLUMN: "", SOURCE: ""}) for row in rows]


def choose(own: Size | None, source: str, given: Size | None, by: str = STATED) -> tuple[Size | None, str, str]:
    """The size to take, where it is from, and what is to be said: a calibration first, then the file's own, then a stated one."""
    if own is None or given is None:
        return (given, by, "") if given is not None else (own, source, "")
    sizes = ["{:g} x {:g}".format(*size) for size in (own, given)]
    taken = "calibration" if by == BY_HAND else "file's size"
    said = f"its pixels have {sizes[0]} mm (x, y) by {source}, {by} are {sizes[1]}: the {taken} is taken"
    said = said if any(abs(a / b - 1) > APART for a, b in zip(given, own)) else ""
    return (given, by, said) if by == BY_HAND else (own, source, said)


def with_stated(radiograph: Radiograph, given: Size | None, by: str = STATED) -> Radiograph:
    """A radiograph whose pixels have the size (x, y) that `choose` takes; a contradiction goes into its notes."""
    spacing, source, said = choose(radiograph.spacing_mm, radiograph.spacing_from, given, by)
    return replace(radiograph, spacing_mm=spacing, spacing_from=source, notes=radiograph.notes + ([said] if said else []))


def stated_sizes(tables: Iterable[Path]) -> dict[str, Given]:
    """ID: the size that one or several tables give: the mean of calibrations, else what is stated.

    Raises DataError where stated ones differ.
    """
    stated: dict[str, tuple[Size, Path]] = {}
    by_hand: dict[str, list[Size]] = {}
    for path in tables:
        for id, (size, by) in sizes_in(path).items():
            if by == BY_HAND:
                by_hand.setdefault(id, []).append(size)
                continue
            first, there = stated.setdefault(id, (size, path))
            if first != size:
                raise DataError(f"{path}: expected the {COLUMN} of {id} as in {there}, found another; make them agree")
    for id, sizes in by_hand.items():
        if any(max(sides) > (1 + APART) * min(sides) for sides in zip(*sizes)):
            print(f"{id}: calibrated by hand as {', '.join(f'{x:g}' for x, _ in sizes)} mm a pixel (x): their mean is taken")
    means = {id: ((fmean(x for x, _ in sizes), fmean(y for _, y in sizes)), BY_HAND) for id, sizes in by_hand.items()}
    return {id: (size, STATED) for id, (size, _) in stated.items()} | means


def state_sizes(rows: list[dict], by_id: dict[str, Given], of_all: Size | None) -> None:
    """Write sizes into prepared rows: its own, else that of all; where the file knows another one, that is printed."""
    for row in rows:
        given = by_id.get(row["id"], (of_all, STATED))
        row["spacing_mm"], row["spacing_from"], said = choose(row["spacing_mm"], row["spacing_from"], *given)
        if said:
            print(f"{row['split']}/{row['id']}: {said}")
