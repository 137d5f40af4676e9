"""The marks of one reader: held in memory, written to the journal before anyone is told, and rebuilt from it."""

import math
import os
import threading
import time
from collections import deque
from collections.abc import Container, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from labelling.journal import Journal, entries_of
from labelling.marks import ABSENT, CONFIRMED, DONE, NONE, Mark, as_json, mark_from, state_of
from labelling.ruler import Ruler, ruler_from
from radiographs.pixel_size import BY_HAND, Given, Size, with_columns
from radiographs.raw_folder import numbered, plain_id, read_points
from runtime.files import DataError, cell, write_csv

FIRST, AGAIN = 0, 1  # readings of a radiograph by the same reader; the second one measures repeatability
REMEMBERED = 20_000  # newest actions whose repetition is noticed
PAUSE = 60.0  # s without an action from which on the reader is taken to be away
RECENT = 20  # radiographs that the pace is measured over
IMPORT = "import"  # what an entry is called that takes over the table; a person's has the name of the action

Key = tuple[str, int]  # (ID, reading)
Change = tuple[int, Mark | None]  # the number of a landmark, and its new mark


class Conflict(Exception):
    """An action is based on a state that is no longer the newest."""


@dataclass
class Item:
    """One reading of one radiograph."""

    marks: list[Mark | None]
    version: int = 0  # actions so far
    second_look: bool = False
    by_person: bool = False  # whether a person changed something
    state: str = NONE  # proposals not considered
    size: tuple[int, int] | None = None  # width, height px
    spacing: Size | None = None  # mm a pixel (x, y), of its file or stated
    ruler: Ruler | None = None  # by which the reader calibrated the radiograph; of the first reading alone
    calibrated: bool = False  # whether the reader said something of its pixel size, which may be that a ruler is taken away
    seconds: float = 0.0  # that the reader worked on it
    finished: int = 0  # number of the entry by which it was done
    unsure: int = 0  # marks that the reader doubts
    measured: tuple = ()  # what `trust.anchoring_bias` measured of it since its last action

    def replaced_by(self, width: int, height: int) -> str:
        """What is to be said where the radiograph's file has become another picture than was labelled, of so many px; else ""."""
        if self.size in (None, (width, height)):
            return ""
        labelled = "was labelled on a picture of {} x {} px".format(*self.size)
        return f"{labelled}, and is one of {width} x {height} px now; put the former back"

    @property
    def pixel_mm(self) -> Size | None:
        """(x, y): calibrated by hand, else as the file says or was stated."""
        return self.ruler.pixel_mm(self.spacing) if self.ruler else self.spacing


@dataclass
class Store:
    journal: Journal
    reader: str
    landmarks: int
    items: dict[Key, Item] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)
    actions: dict[str, int] = field(default_factory=dict)  # the newest, each with the version that it led to
    entries: int = 0
    last_time: float = 0.0
    pace: deque = field(default_factory=lambda: deque(maxlen=RECENT))  # s a radiograph took
    changed: threading.Event = field(default_factory=threading.Event)  # the table is behind the journal

    def load(self) -> None:
        """Take over what the journal says of this reader."""
        for entry in entries_of(self.journal.path):
            if entry.get("reader") == self.reader and "refused" not in entry and entry.get("action") not in self.actions:
                try:
                    self.apply(entry)
                except (DataError, KeyError, TypeError, ValueError, IndexError):
                    continue  # not of this program
        self.changed.set()

    def item(self, key: Key) -> Item:
        return self.items.get(key) or Item([None] * self.landmarks)

    def act(self, key: Key, base: int, action: str, what: str, changes: list[Change], may: bool = True, **more) -> int:
        """Do an action of a person; returns the new version.

        Raises Conflict where `base` is not the item's version, or the window `may` not write; the journal keeps that action
        too. One that was done before is not done again. `more` goes into the entry: size, spacing, second_look, ruler, window.
        """
        with self.lock:
            if action in self.actions:
                self.journal.sync(self.journal.written)  # its first time may have failed on the way to the disk
                return self.actions[action]
            version = self.item(key).version
            entry = self.entry(key, what, changes, action=action, **more)
            if base != version or not may:
                why = f"{key[0]} was changed elsewhere" if may else "another window works on this radiograph"
                self.journal.sync(self.journal.write(entry | {"refused": f"{why}: version {base} of {version}"}))
                raise Conflict(why)
            ticket = self.journal.write(entry)
            self.apply(entry)
        self.journal.sync(ticket)
        self.changed.set()
        return version + 1

    def take_over(self, points: dict[str, np.ndarray], source: str) -> None:
        """Take the points of a table for confirmed ones, where no person changed the radiograph here."""
        ticket = 0
        with self.lock:
            for id, values in points.items():
                item = self.item((id, FIRST))
                present = np.isfinite(values).all(1)
                missing = Mark(ABSENT, by=source) if present.any() else None  # a row of blank cells alone is still to be done
                marks = [
                    Mark(CONFIRMED, *map(float, point), by=source) if there else missing for point, there in zip(values, present)
                ]
                if item.by_person or str(item.marks) == str(marks):  # as texts, since NaN is not equal to itself
                    continue
                entry = self.entry((id, FIRST), IMPORT, list(enumerate(marks)))
                ticket = self.journal.write(entry)
                self.apply(entry)
        self.journal.sync(ticket)
        self.changed.set()

    def entry(self, key: Key, what: str, changes: list[Change], action: str | None = None, **more) -> dict:
        """What the journal gets to know of an action; None says nothing."""
        marks = self.item(key).marks
        said = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "reader": self.reader, "id": key[0]}
        said |= {"reading": key[1], "what": what, "action": action}
        said["changes"] = [{"landmark": k, "from": as_json(marks[k]), "to": as_json(mark)} for k, mark in changes]
        return {name: value for name, value in (said | more).items() if value is not None}

    def apply(self, entry: dict) -> None:
        """Change the state as an entry of the journal says."""
        key = (plain_id(str(entry["id"])), int(entry.get("reading", FIRST)))  # earlier ones may have an ending
        changes = [(int(change["landmark"]), mark_from(change["to"])) for change in entry["changes"]]
        if any(not 0 <= k < self.landmarks for k, _ in changes):
            raise DataError("no such landmark")
        ruler = ruler_from(entry.get("ruler", {}))
        item = self.items.setdefault(key, Item([None] * self.landmarks))
        for k, mark in changes:
            item.marks[k] = mark
        self.entries += 1
        item.version += 1
        item.second_look = bool(entry.get("second_look", item.second_look))
        item.size = tuple(entry.get("size") or ()) or item.size
        item.spacing = tuple(entry.get("spacing") or ()) or item.spacing
        if "ruler" in entry:
            item.ruler, item.calibrated = ruler, True
        before, item.state = item.state, state_of(item.marks)
        item.unsure = sum(mark is not None and mark.unsure for mark in item.marks)
        item.measured = ()
        if entry["what"] == IMPORT:
            return
        item.by_person = item.by_person or bool(changes)
        now = datetime.fromisoformat(entry["time"]).timestamp()
        item.seconds += min(max(0.0, now - self.last_time), PAUSE)
        self.last_time = now
        if item.state == DONE and before != DONE:
            if not item.finished:
                self.pace.append(item.seconds)
            item.finished = self.entries
        if action := entry.get("action"):
            self.actions[action] = item.version
            if len(self.actions) > REMEMBERED:
                del self.actions[next(iter(self.actions))]

    def points_of(self, key: Key) -> np.ndarray:
        """Confirmed points (L, 2) px, NaN elsewhere."""
        marks = self.item(key).marks
        return np.array([(m.x, m.y) if m and m.state == CONFIRMED else (math.nan, math.nan) for m in marks])

    def done(self, reading: int = FIRST) -> list[str]:
        """IDs whose landmarks are all decided."""
        with self.lock:
            return [id for (id, which), item in self.items.items() if which == reading and item.state == DONE]

    def first_done(self, ids: Container[str]) -> str | None:
        """The one of `ids` that was finished before all others; those of a table that was taken over come first."""
        with self.lock:
            done = [id for id in self.done() if id in ids]
            return min(done, key=lambda id: self.items[id, FIRST].finished, default=None)

    def not_of_the_journal(self, table: Path) -> list[str]:
        """IDs in a table of this reader whose points never stood in the journal: no program wrote them. Raises DataError.

        Of an earlier moment it may be: the server may have been killed before the table was written anew.
        """
        if not table.exists():
            return []
        given = read_points(table)
        unknown = {point for id, points in given.items() for point in as_written(id, points)}
        for id, reading in self.items:
            unknown.difference_update(as_written(id, self.points_of((id, reading))))
        for entry in entries_of(self.journal.path) if unknown else ():
            if entry.get("reader") == self.reader:
                for change in entry.get("changes", ()):
                    mark = change["to"] or {}
                    unknown.discard((plain_id(entry["id"]), change["landmark"], cell(mark.get("x")), cell(mark.get("y"))))
        ids = {id for id, *_ in unknown}
        return [id for id in given if id in ids]

    def calibrated(self) -> dict[str, Item]:
        """First readings by ID of which the reader said something of the pixel size."""
        with self.lock:
            return {id: item for (id, reading), item in self.items.items() if reading == FIRST and item.calibrated}

    def sizes(self) -> dict[str, Given]:
        """ID: pixel size (x, y) mm of the radiographs that the reader calibrated."""
        return {id: (item.pixel_mm, BY_HAND) for id, item in self.calibrated().items() if item.ruler}

    def table_rows(self) -> list[dict]:
        """Rows ID, x0, y0, ... of all radiographs with a confirmed point, sorted by their ID; the pixel sizes calibrated."""
        with self.lock:
            points = {id: self.points_of((id, FIRST)) for id, reading in sorted(self.items) if reading == FIRST}
        rows = [{"id": id} | numbered(of_one.tolist()) for id, of_one in points.items() if np.isfinite(of_one).any()]
        return with_columns(rows, self.sizes())


def as_written(id: str, points: np.ndarray) -> Iterator[tuple[str, int, str, str]]:
    """(ID, landmark, x, y) of each point that there is, in the digits of a table."""
    plain = plain_id(id)
    return ((plain, k, cell(x), cell(y)) for k, (x, y) in enumerate(points.tolist()) if x == x)


class TableWriter:
    """Keeps readers/NAME.csv up to date from a thread of its own, so that no click waits for it; the journal is the truth."""

    def __init__(self, store: Store, path: Path):
        """Raises DataError where the table is not one that the journal could have made."""
        self.store, self.path = store, path
        if strange := store.not_of_the_journal(path):
            raise DataError(
                f"{path}: expected points that {store.reader} placed by {store.journal.path.name}, found others in "
                f"{len(strange)} rows ({', '.join(strange[:3])}); it is made from the journal: bring that back, or move it away"
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        self.written = self.stamp()
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True, name="table")
        self.thread.start()

    def run(self) -> None:
        while not self.ending.is_set():
            self.store.changed.wait()
            begun = time.monotonic()
            self.write()
            self.ending.wait(max(1.0, 20 * (time.monotonic() - begun)))  # a table of 10,000 rows takes a second

    def stamp(self) -> tuple[int, int] | None:
        """What changes when somebody writes the table; None where there is none."""
        try:
            status = os.stat(self.path)
        except FileNotFoundError:
            return None
        return status.st_mtime_ns, status.st_size

    def put_aside(self) -> None:
        """Keep a table that somebody has changed, under another name."""
        kept = self.path.with_name(f"{self.path.name}.changed-{datetime.now():%Y%m%d-%H%M%S-%f}")
        self.path.rename(kept)
        print(f"{self.path}: was changed by somebody, and is made from the journal alone; what it held is in {kept}", flush=True)

    def write(self) -> None:
        self.store.changed.clear()
        rows = self.store.table_rows()
        try:
            if self.stamp() not in (None, self.written):
                self.put_aside()
            if rows:
                write_csv(self.path, rows)
            else:
                self.path.unlink(missing_ok=True)
            self.written = self.stamp()
        except OSError as error:  # a full disk: the journal says so to the reader, the next change tries again
            print(f"{self.path}: {error.strerror}", flush=True)

    def close(self) -> None:
        self.ending.set()
        self.store.changed.set()
        self.thread.join()
        self.write()
