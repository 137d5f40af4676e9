"""Files that are whole or not there, the names of those that pass between the scripts, and the error a wrong one raises."""

import csv
import io
import os
from pathlib import Path

FORMAT = 1  # of the processed folder: raised when the same settings would write other bytes
TABLE, SETTINGS = "landmarks.csv", "settings.json"  # of the processed folder
SPLITS = ("train", "valid", "test")
COORDINATES = "all_coordinates.csv"  # of the raw folder


class DataError(Exception):
    """A file, a table or a setting is not what it should be: one line says which, what was expected and found, what to do."""


def write_whole(path: Path, content: bytes) -> None:
    """Write a file under another name and rename it when it is whole: a killed run leaves no half file in its place."""
    part = path.with_name(path.name + ".part")
    with open(part, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)


def write_csv(path: Path, rows: list[dict]) -> None:
    """A table with the keys of the first row as its header; numbers with eight digits, NaN as a blank."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(rows[0])
    writer.writerows([cell(value) for value in row.values()] for row in rows)
    write_whole(path, text.getvalue().encode())


def cell(value) -> str:
    if isinstance(value, str | int):
        return str(value)
    return "" if value is None or value != value else f"{value:.8g}"
