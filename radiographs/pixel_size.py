"""How large a pixel is, as a person states it for radiographs whose files do not know: for all, or in a column of the table."""

import csv
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from radiographs.reading import Radiograph
from runtime.files import DataError, meant

COLUMN = "pixel_mm"  # of a table of landmarks, and the key of joint.json
STATED = "stated"  # as `spacing_from`
LEAST, MOST = 1e-3, 10.0  # mm a pixel
APART = 0.01  # share by which a stated size may differ from the file's own before it is said
Size = tuple[float, float]  # mm a pixel, (x, y)


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


def split_column(header: list[str] | None, rows: list[tuple[int, list[str]]]) -> tuple[list[str] | None, list]:
    """A table's header and rows without the column of pixel sizes, so that the others are ID and points."""
    if (place := place_of_column(header or [])) is None or header is None:
        return header, rows
    return header[:place] + header[place + 1 :], [(number, row[:place] + row[place + 1 :]) for number, row in rows]


def place_of_column(header: list[str]) -> int | None:
    return next((i for i, cell in enumerate(header) if i and cell.strip().lower() == COLUMN), None)


def sizes_in(path: Path) -> dict[str, Size]:
    """ID: pixel size of the rows of a table that state one; none without the column. Raises DataError."""
    from radiographs.raw_folder import plain_id  # here, since it needs this module

    with open(path, newline="", encoding="utf-8-sig") as file:
        header, *rows = [row for row in csv.reader(file) if any(cell.strip() for cell in row)] or [[]]
    place = place_of_column([meant(cell) for cell in header])
    stated = {} if place is None else {plain_id(meant(row[0])): row[place].strip() for row in rows if len(row) > place}
    return {id: read_size(text, f"{path}: {COLUMN} of {id}") for id, text in stated.items() if text}


def choose(own: Size | None, source: str, stated: Size | None) -> tuple[Size | None, str, str]:
    """The size to take, where it is from, and what is to be said: the file's own before the stated one."""
    if own is None and stated is not None:
        return stated, STATED, ""
    if own is None or stated is None or all(abs(a / b - 1) <= APART for a, b in zip(stated, own)):
        return own, source, ""
    sizes = ["{:g} x {:g}".format(*size) for size in (own, stated)]
    return own, source, f"its pixels have {sizes[0]} mm (x, y) by {source}, stated are {sizes[1]}: the file's size is taken"


def with_stated(radiograph: Radiograph, stated: Size | None) -> Radiograph:
    """A radiograph whose pixels have the stated size (x, y), if its file knows none; a contradiction goes into its notes."""
    spacing, source, said = choose(radiograph.spacing_mm, radiograph.spacing_from, stated)
    return replace(radiograph, spacing_mm=spacing, spacing_from=source, notes=radiograph.notes + ([said] if said else []))


def stated_sizes(tables: Iterable[Path]) -> dict[str, Size]:
    """ID: the size that one or several tables state. Raises DataError where two differ."""
    sizes: dict[str, tuple[Size, Path]] = {}
    for path in tables:
        for id, size in sizes_in(path).items():
            first, there = sizes.setdefault(id, (size, path))
            if first != size:
                raise DataError(f"{path}: expected the {COLUMN} of {id} as in {there}, found another; make them agree")
    return {id: size for id, (size, _) in sizes.items()}


def state_sizes(rows: list[dict], by_id: dict[str, Size], of_all: Size | None) -> None:
    """Write stated sizes into prepared rows: its own, else that of all; where the file knows another one, that is printed."""
    for row in rows:
        stated = by_id.get(row["id"], of_all)
        row["spacing_mm"], row["spacing_from"], said = choose(row["spacing_mm"], row["spacing_from"], stated)
        if said:
            print(f"{row['split']}/{row['id']}: {said}")
