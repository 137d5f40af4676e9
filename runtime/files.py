"""Files that are whole or not there, and the error that a wrong one raises."""

import csv
import io
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import zip_longest
from pathlib import Path
from typing import BinaryIO

FORMULAS = ("=", "+", "-", "@", "\t")  # that a spreadsheet takes for the beginning of one


class DataError(Exception):
    """A file, a table or a setting is not what it should be: one line says which, what was expected and found, what to do."""


@contextmanager
def named(path: Path) -> Iterator[None]:
    """For what is written to a file: an error of a full disk, which has no name, gets this one."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


@contextmanager
def whole_file(path: Path, shared: bool = False) -> Iterator[BinaryIO]:
    """A file to write that stands under another name until it is whole: a killed run leaves no half file in its place.

    `shared`: other processes may be writing it too, each under a name of its own; who is last, wins.
    """
    part = path.with_name(f"{path.name}.{os.urandom(6).hex()}.part" if shared else f"{path.name}.part")
    try:
        with named(path), open(part, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def write_whole(path: Path, content: bytes, shared: bool = False) -> None:
    with whole_file(path, shared) as file:
        file.write(content)


def write_csv(path: Path, rows: list[dict]) -> None:
    """A table with the rows' keys as its header, blank where a row lacks one; cells as those of `csv_lines`."""
    header = dict.fromkeys(key for row in rows for key in row)
    write_whole(path, csv_lines([list(header), *([row.get(key, "") for key in header] for row in rows)]))


def csv_lines(rows: list[list]) -> bytes:
    """Numbers with eight digits, NaN as a blank, texts as `safe` has them."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([cell(value) for value in row] for row in rows)
    return text.getvalue().encode()


def cell(value) -> str:
    if isinstance(value, str):
        return safe(value)
    if isinstance(value, int):
        return str(value)
    return "" if value is None or value != value else f"{value:.8g}"


def read_csv(path: Path, strict: bool = False) -> list[dict[str, str | None]]:
    """Rows of what `write_csv` wrote: a cell that a row lacks is None, what it has too many is under None; `strict` as in csv."""
    with open(path, newline="", encoding="utf-8") as file:
        text = file.read()
    header, *rows = [row for row in csv.reader(io.StringIO(text, newline=""), strict=strict) if row] or [[]]
    if "'" in text:
        header, *rows = [[meant(cell) for cell in row] for row in (header, *rows)]
    return [dict(zip_longest(header, row)) for row in rows]


def safe(text: str) -> str:
    """Text that a spreadsheet shows instead of computing: what begins like a formula and is no number gets an apostrophe."""
    text = text.replace("\r", " ")  # which csv leaves unquoted
    return "'" + text if is_formula(text) else text


def meant(text: str) -> str:
    """The text that `safe` made a cell of."""
    return text[1:] if text[:1] == "'" and is_formula(text[1:]) else text


def is_formula(text: str) -> bool:
    """Whether a text begins like a formula, maybe after apostrophes: those of a name are then told from that of `safe`."""
    if text.lstrip("'")[:1] not in FORMULAS:
        return False
    try:
        return math.isinf(float(text))  # -inf is a number for Python alone
    except ValueError:
        return True


def first_few(names: list[str]) -> str:
    """For a message."""
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
