"""Files that are whole or not there, the names of those that pass between the scripts, and the error a wrong one raises."""

import csv
import io
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

try:
    import fcntl
except ImportError:  # Windows, where two runs in one folder are not noticed
    fcntl = None

FORMAT = 2  # of the processed folder: raised when the same settings would write other bytes
TABLE, SETTINGS = "landmarks.csv", "settings.json"  # of the processed folder
LOCK = ".lock"  # of a folder that a run writes into
SPLITS = ("train", "valid", "test")
COORDINATES = "all_coordinates.csv"  # of the raw folder


class DataError(Exception):
    """A file, a table or a setting is not what it should be: one line says which, what was expected and found, what to do."""


def stop_on_sigterm() -> None:
    """Let SIGTERM, by which schedulers end a job, end this program as Ctrl-C does."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write that stands under another name until it is whole: a killed run leaves no half file in its place."""
    part = path.with_name(path.name + ".part")
    with open(part, "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Make a folder and keep other runs of this program out of it. The lock goes with the process, however that ends."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise DataError(f"{folder}: expected a folder, found a file; choose another name") from None
    lock = folder / LOCK
    with open(lock, "w") as file:
        try:
            if fcntl:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(file.fileno()).st_nlink == 0:  # the run that held it has just removed it
                    raise BlockingIOError
        except BlockingIOError:
            raise DataError(f"{folder}: another run is writing there; wait for it, or choose another folder") from None
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)


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


def cell(value) -> str:
    if isinstance(value, str | int):
        return str(value)
    return "" if value is None or value != value else f"{value:.8g}"
