"""Files that are whole or not there, and the error that a wrong one raises."""

import csv
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


class DataError(Exception):
    """A file, a table or a setting is not what it should be: one line says which, what was expected and found, what to do."""


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write that stands under another name until it is whole: a killed run leaves no half file in its place."""
    part = path.with_name(path.name + ".part")
    try:
        with open(part, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException as error:
        part.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:  # a full disk
            error.filename = str(path)
        raise


def write_whole(path: Path, content: bytes) -> None:
    with whole_file(path) as file:
        file.write(content)


def write_csv(path: Path, rows: list[dict]) -> None:
    """A table with the keys of the first row as its header; numbers with eight digits, NaN as a blank."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(rows[0])
    writer.writerows([cell(value) for value in row.values()] for row in rows)
    write_whole(path, text.getvalue().encode())


def read_csv(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def cell(value) -> str:
    if isinstance(value, str | int):
        return str(value)
    return "" if value is None or value != value else f"{value:.8g}"
