"""What has been predicted so far, in the folder of results: one line a radiograph, appended when all of it is known.

A process that is killed leaves whole lines and at most one cut one, which is dropped. Several processes have a file each. The
final outputs are made of these files alone, in the order of the listing, whatever the order in which the lines came.

A line is a checksum, the radiograph's key and that of its plain name, the state of its file when it was read, a turn, a kind,
and JSON. Of several lines with one key that of the highest turn counts: a radiograph whose file has changed, or could not be
read, is predicted once more.
"""

import errno
import json
import os
import re
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from prediction.listing import Item, digest
from prediction.shard import Shard
from radiographs.volumes import files_of
from runtime.files import DataError, named

FOUND, FAILED = b"+", b"-"  # kinds of lines
HEAD = re.compile(rb"([0-9a-f]{8}) ([0-9a-f]{16}) ([0-9a-f]{16}) ([0-9a-f]{16}) ([0-9a-f]{4}) ([+-]) \{")
ENDING = ".jsonl"  # of a process's file
LAST_TURN = 0xFFFF
LINE = np.dtype(
    [("key", "u8"), ("turn", "u2"), ("file", "u2"), ("start", "u8"), ("state", "u8"), ("failed", "?"), ("plain", "u8")]
)


def state_of(path: str) -> int:
    """64 bits that change when a file does, or the one with its pixels: size, time of the last change. 0 where there is none."""
    try:
        files = files_of(Path(path))
    except (DataError, OSError):  # is told where it is read
        files = [Path(path)]
    try:
        return digest([value for file in map(os.stat, files) for value in (file.st_size, file.st_mtime_ns)])
    except OSError:
        return 0


class Journal:
    """The file of one process, to append to."""

    def __init__(self, folder: Path, shard: Shard):
        self.path, self.lock = folder / f"{shard}{ENDING}", threading.Lock()
        self.file = open(self.path, "ab+", buffering=0)
        self.file.truncate(max((start + len(line) for start, line in whole_lines(self.path)), default=0))  # cut by its end

    def append(self, item: Item, state: int, turn: int, content: dict) -> None:
        """One radiograph, at once and as a whole. `content` with "error" says that it could not be read. Threads may share it."""
        kind = FAILED if "error" in content else FOUND
        keys = item.key(), digest(item.plain.lower())
        body = b"%016x %016x %016x %04x %s %s" % (*keys, state, min(turn, LAST_TURN), kind, json.dumps(content).encode())
        line = b"%08x %s\n" % (zlib.crc32(body), body)
        with self.lock, named(self.path):
            if self.file.write(line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def close(self) -> None:
        self.file.close()


def whole_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """(where it begins, line) for every line whose checksum is right."""
    with open(path, "rb") as file:
        start = 0
        for line in file:
            if HEAD.match(line) and line.endswith(b"\n") and int(line[:8], 16) == zlib.crc32(line[9:-1]):
                yield start, line
            start += len(line)


def journals_in(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"*-of-*{ENDING}"))


class Index:
    """Where the journals of a folder have each radiograph: LINE, and its key once more, held for each."""

    def __init__(self, folder: Path, try_again: bool = True):
        """`try_again`: a file that could not be read is not done, though it is as it was; nor is one that is gone."""
        self.paths, self.try_again = journals_in(folder), try_again
        lines = np.fromiter(self.all_lines(), LINE)
        lines = lines[np.lexsort([lines[name] for name in ("start", "file", "turn", "key")])]
        self.lines = lines[np.append(lines["key"][1:] != lines["key"][:-1], True)[: len(lines)]]  # the last of each key
        self.keys = self.lines["key"].copy()  # in one piece, to be searched
        self.plain = np.sort(self.lines["plain"])
        self.replaced = replaced(self.lines, self.plain)

    def all_lines(self) -> Iterator[tuple]:
        for number, path in enumerate(self.paths):
            for start, line in whole_lines(path):
                _, key, plain, state, turn, kind = HEAD.match(line).groups()
                yield int(key, 16), int(turn, 16), number, start, int(state, 16), kind == FAILED, int(plain, 16)

    def __len__(self) -> int:
        return len(self.lines)

    def place(self, item: Item) -> int | None:
        """The number of a radiograph's line; none where there is no line."""
        key = np.uint64(item.key())
        place = int(np.searchsorted(self.keys, key))
        return place if place < len(self) and self.keys[place] == key else None

    def was_predicted(self, item: Item) -> bool:
        place = self.place(item)
        return place is not None and not self.lines["failed"][place]

    def is_done(self, item: Item) -> bool:
        """Whether a radiograph was predicted, its file is still as it was read, and what was drawn of it still stands."""
        place = self.place(item)
        if place is None or (self.try_again and self.lines["failed"][place]) or item.key() in self.replaced:
            return False
        state = state_of(item.path)
        return int(self.lines["state"][place]) == state or not (state or self.try_again)

    def was_drawn(self, item: Item) -> bool:
        """Whether something was drawn under a radiograph's plain name, of it or of another one."""
        plain = np.uint64(digest(item.plain.lower()))
        place = int(np.searchsorted(self.plain, plain))
        return place < len(self) and self.plain[place] == plain

    def next_turn(self, item: Item) -> int:
        place = self.place(item)
        return 0 if place is None else int(self.lines["turn"][place]) + 1

    def content(self, place: int) -> dict:
        """What was appended. Raises DataError where the journal has changed since."""
        path = self.paths[self.lines["file"][place]]
        with open(path, "rb") as file:
            file.seek(int(self.lines["start"][place]))
            line = file.readline()
        if not (head := HEAD.match(line)):
            raise DataError(f"{path}: has changed while it was read; start the command again")
        return json.loads(line[head.end() - 1 :])


def replaced(lines: np.ndarray, plain: np.ndarray) -> set[int]:
    """Keys of radiographs whose pictures another one may have taken the place of: an earlier list may have given it their name.

    `plain`: the names' digests, sorted. Within one process's file the last line tells whose pictures stand.
    """
    keys: set[int] = set()
    for name in np.unique(plain[1:][plain[1:] == plain[:-1]]):
        of_name = lines[lines["plain"] == name]
        last = of_name["start"].argmax() if len(np.unique(of_name["file"])) == 1 else None
        keys.update(int(key) for i, key in enumerate(of_name["key"]) if i != last)
    return keys
