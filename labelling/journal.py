"""The append-only file of all that was done: one JSON object a line, on the disk before anyone is told that it is saved."""

import errno
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

from runtime.command import flock


class Journal:
    """Several threads and several servers may append to one journal.

    A line is written first and forced to the disk afterwards: while one thread waits for the disk others write their lines, and
    the next wait is for all of them at once. Where that fails, the system may have dropped them, and tells it once: they are
    appended again before the next wait. So they are where another program has replaced the file meanwhile.
    """

    def __init__(self, path: Path):
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.file = open(path, "ab+", buffering=0)
        self.writing, self.syncing = threading.Lock(), threading.Lock()
        self.written, self.synced = 0, -1  # lines of this process; what an earlier one wrote is not known to be on the disk
        self.waiting: list[bytes] = []  # lines that are not
        self.failed = False  # whether the disk has refused them

    def write(self, entry: dict) -> int:
        """Append an entry; returns the ticket to `sync` with."""
        line = json.dumps(entry, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
        with self.writing:
            self.append(line)
            self.waiting.append(line)
            self.written += 1
            return self.written

    def append(self, lines: bytes) -> None:
        """All or nothing, whatever other servers do meanwhile."""
        if self.is_replaced():  # what waits may be in the former file alone: it is written again
            self.file, self.failed = open(self.path, "ab+", buffering=0), True
        flock(self.file, "LOCK_EX")
        end = self.file.seek(0, os.SEEK_END)
        try:
            if end:
                self.file.seek(end - 1)
                if self.file.read(1) != b"\n":  # a server was killed within a line, which nobody was told is saved
                    lines = b"\n" + lines
            if self.file.write(lines) < len(lines):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
        except OSError as error:
            self.file.truncate(end)
            error.filename = error.filename or str(self.path)
            raise
        finally:
            flock(self.file, "LOCK_UN")

    def is_replaced(self) -> bool:
        """Whether another file has the journal's name by now, as programs that synchronise folders make it. Raises OSError."""
        try:
            return not os.path.samestat(os.fstat(self.file.fileno()), os.stat(self.path))
        except OSError as error:
            if error.errno == errno.ESTALE:  # how a file system over a network says it
                return True
            raise

    def sync(self, ticket: int) -> None:
        """Wait until the entry is on the disk."""
        with self.syncing:
            if self.synced < ticket:
                with self.writing:
                    if self.failed:
                        self.append(b"".join(self.waiting))
                    file, upto, count, self.failed = self.file, self.written, len(self.waiting), True
                os.fsync(file.fileno())
                with self.writing:
                    if file is not self.file or self.is_replaced():  # the lines are in a file that has no name any more
                        why = "was replaced by another program; the lines are written again"
                        raise OSError(errno.ESTALE, why, str(self.path))
                    self.synced, self.failed = upto, False
                    del self.waiting[:count]


def entries_of(path: Path) -> Iterator[dict]:
    """The whole entries of a journal, in their order; a line cut by a crash is none."""
    if not path.exists():
        return
    with open(path, "rb") as file:
        for line in file:
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if isinstance(entry, dict) and line.endswith(b"\n"):
                yield entry
