"""Which radiographs a call of predict.py is about: files, folders, lists of files, tables of files with IDs of their own.

The list lies on disk, in the order of the outputs, and is read as a stream: millions are never held in memory. What is held
while it is made are the names of one folder, and eight bytes for each name, by which names that occur twice are found.
"""

import codecs
import csv
import hashlib
import json
import os
import sys
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryFile

import numpy as np

from radiographs.names import is_radiograph
from radiographs.raw_folder import maker_of
from runtime.files import DataError

ENDINGS = 20  # of files that are left out, that are named
FOUND_NONE = "expected radiographs in this folder, found none"
PATH = "path"  # the column of a table of files that says where they lie


@dataclass(frozen=True)
class Item:
    """A radiograph to predict."""

    path: str
    name: str  # as the outputs call it
    plain: str = ""  # a file name without folders, of no other radiograph
    ids: list[str] = field(default_factory=list)  # what a table of files says of it, a text for each column of the listing

    def key(self) -> int:
        """64 bits, the same for the same file under the same names."""
        return digest([os.path.abspath(self.path), self.name, self.plain, self.ids])


def digest(what: object) -> int:
    return int.from_bytes(hashlib.blake2b(json.dumps(what).encode(), digest_size=8).digest(), "big")


def printable(name: str) -> str:
    """A file's name as text: bytes that are no UTF-8, and carriage returns, are shown as backslashes and numbers."""
    return os.fsencode(name).decode("utf-8", "backslashreplace").replace("\r", "\\r")


class Listing:
    """The radiographs of a call in their order, from a file that `write_listing` wrote.

    Attributes: count, columns (names of the IDs that a table gives), errors (what is wrong with the inputs).
    """

    def __init__(self, path: Path):
        self.path = path
        with open(path, encoding="utf-8") as file:
            head = json.loads(file.readline())
        self.count, self.columns, self.errors = head["count"], head["columns"], head["errors"]

    def tell_errors(self) -> None:
        for error in self.errors:
            print(error, file=sys.stderr)

    def digest(self) -> str:
        with open(self.path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def __iter__(self) -> Iterator[Item]:
        with open(self.path, encoding="utf-8") as file:
            file.readline()
            for line in file:
                yield Item(*json.loads(line))


def write_listing(inputs: list[str], out: Path, path: Path, say=print) -> Listing:
    """List the radiographs that `inputs` name, and write the list to `path`. Files in the folder `out` are no input.

    Names are relative to a folder given. Those that occur twice are replaced by the whole path, and of plain ones the later
    get a number. `say` is told what was left out. Raises DataError.
    """
    columns: list[str] = []
    errors: list[str] = []
    names = array("Q")
    with TemporaryFile("w+", dir=path.parent, encoding="utf-8") as found:
        for item in find(inputs, out, columns, errors, say):
            names.append(digest(item.name))
            found.write(json.dumps([item.path, item.name, item.ids]) + "\n")
        twice = repeated(names)

        def named() -> Iterator[tuple[str, str, list[str]]]:
            found.seek(0)
            seen = set()
            for first, name, ids in map(json.loads, found):
                if twice and digest(name) in twice:
                    name, whole = printable(first), os.path.abspath(first)
                    if whole in seen:
                        raise DataError(f"{name}: expected each file once, found it twice; list it once")
                    seen.add(whole)
                yield first, name, ids

        numbering = Numbering(array("Q", (digest(plain_name(name).lower()) for _, name, _ in named())))
        with open(path, "w", encoding="utf-8") as file:
            head = {"count": len(names), "columns": columns, "errors": [printable(error) for error in errors]}
            file.write(json.dumps(head) + "\n")
            for first, name, ids in named():
                file.write(json.dumps([first, name, numbering(plain_name(name)), ids]) + "\n")
    return Listing(path)


def repeated(digests: array) -> set[int]:
    """Those that occur more than once."""
    values, counts = np.unique(np.frombuffer(digests, np.uint64), return_counts=True)
    return set(values[counts > 1].tolist())


def plain_name(name: str) -> str:
    """A name as one of a file, short enough to get endings."""
    return name.replace("/", "_").replace("\\", "_").encode()[-200:].decode(errors="ignore")


class Numbering:
    """Gives each plain name once: the second a.png becomes a.png_2. Upper and lower case count as one."""

    def __init__(self, digests: array):
        """`digests` of all names to come, in lower case."""
        self.twice = repeated(digests)
        self.all = np.sort(np.frombuffer(digests, np.uint64))
        self.given: set[str] = set()

    def __call__(self, plain: str) -> str:
        if not self.twice or digest(plain.lower()) not in self.twice:
            return plain
        chosen, number = plain, 1
        while chosen.lower() in self.given or (number > 1 and self.is_name(chosen)):
            number += 1
            chosen = f"{plain}_{number}"
        self.given.add(chosen.lower())
        return chosen

    def is_name(self, plain: str) -> bool:
        first, after = (np.searchsorted(self.all, np.uint64(digest(plain.lower())), side) for side in ("left", "right"))
        return first < after


def find(inputs: list[str], out: Path, columns: list[str], errors: list[str], say) -> Iterator[Item]:
    """The radiographs that inputs name. The columns of tables, and what is wrong, are added to what the caller gives."""
    tables = [given for given in inputs if given.startswith("@") and given.lower().endswith(".csv")]
    if tables and len(inputs) > 1:
        raise DataError(f"{tables[0]}: expected a table of files to be the only input, found {len(inputs)} inputs; merge them")
    for given in inputs:
        if given == "-":
            yield from of_lines("standard input", sys.stdin.buffer)
        elif given.startswith("@"):
            try:
                with open(given[1:], "rb") as file:
                    yield from of_table(given[1:], columns) if tables else of_lines(given[1:], file)
            except FileNotFoundError:
                errors.append(f"{given[1:]}: no such list of files")
        elif os.path.isdir(path := Path(given)):
            yield from of_folder(path, out, errors, say)
        elif os.path.exists(path):
            yield Item(str(path), printable(path.name))
        else:
            errors.append(f"{given}: no such file or folder")


def of_lines(name: str, lines: Iterable[bytes]) -> Iterator[Item]:
    """The files that a list names, one a line; a blank line is none. Raises DataError."""
    for number, line in enumerate(lines):
        if b"\0" in line:
            raise DataError(f"{name}, line {number + 1}: expected a path, found a zero byte; write it in UTF-8, a path a line")
        line = line.removeprefix(codecs.BOM_UTF8) if not number else line
        if path := os.fsdecode(line.removesuffix(b"\n").removesuffix(b"\r")):
            yield Item(path, printable(path))


def of_table(path: str, columns: list[str]) -> Iterator[Item]:
    """The files of a table with a header; its columns but for PATH are added to `columns`. Raises DataError."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            table = csv.reader(file)
            header = next(table, [])
            if header.count(PATH) != 1 or len(set(header)) < len(header) or "" in header:
                raise DataError(f"{path}: expected a header with the column {PATH} and other names, each once, found {header}")
            place = header.index(PATH)
            columns += [name for name in header if name != PATH]
            for row in table:
                if not any(row):
                    continue
                if len(row) != len(header):
                    raise DataError(f"{path}, line {table.line_num}: expected {len(header)} cells, found {len(row)}")
                if "\0" in row[place]:
                    raise DataError(f"{path}, line {table.line_num}: expected a path, found a zero byte; write it in UTF-8")
                if not row[place]:
                    raise DataError(
                        f"{path}, line {table.line_num}: expected a path, found none; remove the line, or complete it"
                    )
                yield Item(row[place], printable(row[place]), "", row[:place] + row[place + 1 :])
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: expected a comma-separated text file, found something else ({error})") from error


def of_folder(folder: Path, out: Path, errors: list[str], say) -> Iterator[Item]:
    """The radiographs anywhere below a folder."""
    taken = left_out = 0
    endings: set[str] = set()
    for path in walk(folder, folder.resolve(), out.resolve(), errors, say):
        if is_radiograph(path):
            taken += 1
            yield Item(str(path), printable(path.relative_to(folder).as_posix()))
        else:
            left_out += 1
            endings |= {printable(path.suffix)} if len(endings) < ENDINGS else set()
    if left_out:
        say(f"{printable(str(folder))}: left out {left_out} files that are no radiographs ({', '.join(sorted(endings))})")
    if not taken:
        errors.append(f"{folder}: {FOUND_NONE}")


def walk(folder: Path, real: Path, out: Path, errors: list[str], say) -> Iterator[Path]:
    """The visible files below a folder in order but for those in `out`, and of `maker_of`; links to folders are not followed.

    `real` is where the folder lies when links are resolved, as `out` is.
    """
    if real == out or out in real.parents:
        return
    if maker := maker_of(folder):
        say(f"{printable(str(folder))}: left out, since {maker} keeps there what it made of other radiographs")
        return
    try:
        with os.scandir(folder) as entries:
            visible = (entry for entry in entries if not entry.name.startswith("."))
            kept = (entry for entry in visible if not (entry.is_symlink() and os.path.isdir(entry.path)))
            inside = sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in kept)
    except OSError as error:
        errors.append(f"{folder}: cannot be looked into ({error.strerror}); what lies there is left out")
        return
    for name, is_folder in inside:
        if is_folder:
            yield from walk(folder / name, real / name, out, errors, say)
        else:
            yield folder / name
