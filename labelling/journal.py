"""The append-only file of all that was done: one JSON object a line, on the disk before anyone is told that it is saved."""

import errno
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

try:
    import fcntl
except ImportError:  # Windows, where two servers on one journal are not noticed
    fcntl = None


class Journal:
    """Several threads and several servers may append to one journal.

    A line is written first and forced to the disk afterwards: while one thread waits for the disk others write their lines, and
    the next wait is for all of them at once.
    """

    def __init__(self, path: Path):
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.file = open(path, "ab+", buffering=0)
        self.writing, self.syncing = threading.Lock(), threading.Lock()
        self.written = self.synced = 0  # lines of this process

    def write(self, entry: dict) -> int:
        """Append an entry; returns the ticket to `sync` with."""
        line = json.dumps(entry, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
        with self.writing, locked(self.file):
            end = self.file.seek(0, os.SEEK_END)
            if end:
                self.file.seek(end - 1)
                if self.file.read(1) != b"\n":  # a server was killed within a line, which nobody was told is saved
                    line = b"\n" + line
            try:
                if self.file.write(line) < len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
            except OSError as error:
                self.file.truncate(end)
                error.filename = error.filename or str(self.path)
                raise
            self.written += 1
            return self.written

    def sync(self, ticket: int) -> None:
        """Wait until the entry is on the disk."""
        with self.syncing:
            if self.synced < ticket:
                upto = self.written
                os.fsync(self.file.fileno())
                self.synced = upto

    def close(self) -> None:
        self.file.close()


def entries_of(path: Path) -> Iterator[dict]:
    """The whole entries of a journal, in their order; a line cut by a crash is none."""
    try:
        file = open(path, "rb")
    except FileNotFoundError:
        return
    with file:
        for line in file:
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if isinstance(entry, dict) and line.endswith(b"\n"):
                yield entry


@contextmanager
def locked(file: BinaryIO) -> Iterator[None]:
    """Keep other processes from appending meanwhile."""
    if fcntl is None:
        yield
        return
    fcntl.flock(file, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)


def hold(path: Path) -> BinaryIO | None:
    """A lock that goes with this process, however that ends; None where another process has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = open(path, "wb")
    if fcntl is not None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return None
    return file
