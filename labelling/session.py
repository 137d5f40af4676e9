"""Everything that a running label.py holds: the set, the reader's marks, pictures, proposals, windows and the job."""

import hashlib
import json
import threading
from collections.abc import Iterable
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from labelling.collection import Collection
from labelling.jobs import Job, Step
from labelling.journal import Journal
from labelling.marks import DONE, NONE, PROPOSED, Mark
from labelling.order import MOST, Order, chance, is_blind, representatives, small_picture
from labelling.pictures import Pictures, crop, make_picture
from labelling.proposals import FOLDER, Proposal, from_json, inside, read_proposals
from labelling.rounds import Flags, new_round, next_number, steps_of
from labelling.store import FIRST, Key, Store, TableWriter
from labelling.windows import Windows
from radiographs.pixel_size import BY_HAND, Given
from radiographs.raw_folder import COORDINATES, LABEL_SET, READERS
from runtime.apart import Apart
from runtime.command import hold
from runtime.files import DataError, write_whole

MAIN, SETTLED = "main", "settled"  # the reader without a name, who goes on from the table; the third look at two readers
JOURNAL = "journal.jsonl"
REPRESENTATIVES = "representatives.json"
AHEAD = 2  # radiographs that are prepared ahead


@dataclass
class Options:
    """What the command line says of a session."""

    reader: str = MAIN
    propose: Path | None = None
    flags: Flags = field(default_factory=Flags)
    folds: int = 3
    reading_again: bool = True  # some radiographs come a second time
    without_proposals: bool = True  # a share is shown without


class Session:
    def __init__(
        self, collection: Collection, options: Options, reviewed: dict[str, Proposal] | None = None, to_read: bool = False
    ):
        """`reviewed`: the predictions of a folder to review, which are proposed before any others.

        `to_read`: only to look; another label.py may then work as the same reader. Raises DataError.
        """
        self.collection, self.options = collection, options
        self.closing = ExitStack()  # what ends with the session: first the tables, then the locks
        self.pictures = Pictures(collection.paths)  # first: its processes are copies of this one, and shall hold no lock
        self.closing.callback(self.pictures.close)
        self.labels, self.landmarks = collection.labels, len(collection.names)
        (self.labels / READERS).mkdir(parents=True, exist_ok=True)
        self.journal = Journal(self.labels / JOURNAL)
        self.closing.callback(lambda: self.journal.file.close())
        self.store = self.open_store(options.reader, to_read)
        self.settled: Store | None = None
        self.reviewing = bool(reviewed)
        self.proposals = read_proposals(self.labels / FOLDER / options.reader, self.landmarks) | (reviewed or {})
        self.earlier: dict[str, Proposal] = {}  # what windows may still show
        self.order = Order(self.store, list(collection.paths), self.compared(), reading_again=options.reading_again)
        self.windows = Windows()
        self.job: Job | None = None
        self.job_lock = threading.Lock()
        self.guides: dict[int, tuple[str, bytes]] = {}  # of each landmark: what it shows, and a PNG file
        self.ending = threading.Event()
        place = f"{self.labels.resolve()}\0{options.reader}"  # what windows send their actions to, and to nothing else
        self.name = hashlib.sha256(place.encode()).hexdigest()[:16]

    def begin(self) -> None:
        """What goes on in the background."""
        threading.Thread(target=self.compare_radiographs, daemon=True, name="compare").start()
        if self.options.propose:
            self.start_job("propose")

    def close(self) -> None:
        self.ending.set()
        if self.job:
            self.job.stop()
        self.closing.close()

    # Stores

    def open_store(self, reader: str, to_read: bool = False) -> Store:
        """A reader's marks and their table, locked for this server. Raises DataError where another one has the lock.

        `to_read`: the lock may be another one's, and no table is written.
        """
        with ExitStack() as opened:
            lock = hold(self.labels / READERS / f".{reader}.lock")
            if lock:
                opened.enter_context(lock)
            elif not to_read:
                raise DataError(
                    f"{self.labels}: another label.py works there as {reader}; use its window, or give another --reader"
                )
            store = self.read_store(reader)
            if reader == MAIN and lock:
                store.take_over(self.collection.table, COORDINATES)
            if not to_read:
                opened.callback(TableWriter(store, self.labels / READERS / f"{reader}.csv").close)
            self.closing.push(opened.pop_all())
        return store

    def store_of(self, settle: bool) -> Store:
        """The reader's marks, or those of the third look, which are anyone's, one server at a time."""
        if not settle:
            return self.store
        with self.job_lock:
            self.settled = self.settled or self.open_store(SETTLED)
        return self.settled

    def readers(self) -> list[str]:
        """Everyone with a table, but for the third look."""
        names = {path.stem for path in (self.labels / READERS).glob("*.csv")} | {self.options.reader}
        return sorted(names - {SETTLED})

    def other_store(self, reader: str) -> Store:
        """The marks of any reader as the journal has them now."""
        if reader == self.options.reader:
            return self.store
        if reader not in self.readers():
            raise DataError(f"no reader is called {reader[:60]!r}")
        return self.read_store(reader)

    def read_store(self, reader: str) -> Store:
        store = Store(self.journal, reader, self.landmarks)
        store.load()
        return store

    def sizes(self) -> dict[str, Given]:
        """ID: pixel size (x, y) mm of the table or of the reader, whose word goes before the table's calibrations."""
        said = self.store.calibrated()
        kept = {id: given for id, given in self.collection.sizes.items() if given[1] != BY_HAND or id not in said}
        return kept | self.store.sizes()

    # Proposals

    def shown_proposal(self, key: Key) -> Proposal | None:
        """The proposal that the reader sees on a radiograph: none on a second reading, nor on the share without."""
        proposal = self.proposals.get(key[0])
        if proposal is None or key[1] != FIRST:
            return None
        hidden = self.options.without_proposals and not self.reviewing and is_blind(self.store.reader, key[0])
        return None if hidden and self.store.item(key).state != DONE else proposal

    def with_proposal(
        self, key: Key, k: int, mark: Mark | None, before: Mark | None, seen: object, size: tuple[int, int]
    ) -> Mark | None:
        """A person's mark, and beside it what was proposed there when it was first made, which the window has no say in.

        `seen`: whose proposal the window shows, which may be the one before the newest. `size`: of the radiograph (x, y) px.
        """
        if mark is None:
            return None
        if before is not None:
            return mark._replace(by=before.by, proposal=before.proposal, shown=before.shown)
        proposal, earlier = self.proposals.get(key[0]), self.earlier.get(key[0])
        if earlier and earlier.by == seen:
            proposal = earlier
        if proposal is None or key[1] != FIRST or not inside(proposal.points_px[k], size):
            return mark._replace(by="", proposal=None, shown=False)
        point = tuple(round(float(value), 3) for value in proposal.points_px[k])
        return mark._replace(by=proposal.by, proposal=point, shown=self.shown_proposal(key) is not None)

    def state(self, id: str) -> str:
        """Of the first reading."""
        item = self.store.items.get((id, FIRST))
        if item is not None and item.state != NONE:
            return item.state
        return PROPOSED if self.shown_proposal((id, FIRST)) else NONE

    # Order

    def next(self, after: str | None, peek: bool = False) -> Key | None:
        key = self.order.next(self.proposals, after, peek)
        if key:
            self.pictures.order(key[0])
        return key

    def prepare_after(self, id: str) -> None:
        """Read what comes next while the reader works on `id`."""
        for other in [other for other in self.order.queue(self.proposals) if other != id][:AHEAD]:
            self.pictures.order(other)

    def to_compare(self) -> list[str]:
        """IDs of all radiographs; of many, a share drawn once."""
        return sorted(self.collection.paths, key=lambda id: chance("share", id))[:MOST]

    def compared(self) -> list[str]:
        """The earlier result of `compare_radiographs`; in a review the least certain come first instead."""
        stored = self.labels / REPRESENTATIVES
        known = json.loads(stored.read_text()) if stored.exists() and not self.reviewing else []
        return known if set(known) == set(self.to_compare()) else []

    def compare_radiographs(self) -> None:
        """Find out which radiographs represent the set."""
        ids = self.to_compare()
        if self.reviewing or self.order.ranked or len(ids) < 3 or self.ending.wait(3.0):  # the first picture comes first
            return
        features = {}
        with closing(Apart(make_picture)) as make:
            for id in ids:
                if self.ending.wait(0.02):  # leaves room for the reader
                    return
                with suppress(DataError, OSError):
                    features[id] = small_picture(make(self.collection.paths[id]).pixels)
        if len(features) > 2:
            kept, unread = list(features), [id for id in ids if id not in features]
            best = representatives(np.stack(list(features.values())))
            self.order.ranked = [*(kept[number] for number in best), *unread]
            write_whole(self.labels / REPRESENTATIVES, json.dumps(self.order.ranked).encode(), shared=True)

    # Guide

    def guide_source(self) -> tuple[str, np.ndarray] | None:
        """ID and points (L, 2) px of the first annotated radiograph of this reader."""
        with self.store.lock:
            id = self.store.first_done(self.collection.paths)
            return id and (id, self.store.points_of((id, FIRST)))

    def guide(self, k: int) -> bytes | None:
        """A PNG file of the first annotated radiograph around landmark `k`; None where that has no point."""
        source = self.guide_source()
        if source is None or not np.isfinite(source[1][k]).all():
            return None
        id, points = source
        place = f"{id} {points[k]}"
        if self.guides.get(k, ("",))[0] != place:
            self.guides[k] = place, crop(self.pictures.get(id), points[k])
        return self.guides[k][1]

    def refuse_replaced(self, ids: Iterable[str]) -> None:
        """Raises DataError where the file of a radiograph has become another picture than was labelled."""
        for id in sorted(set(ids) & self.collection.paths.keys()):
            try:
                picture = self.pictures.get(id)
            except DataError:
                continue  # labels are what is left of it
            if said := self.store.item((id, FIRST)).replaced_by(picture.width, picture.height):
                raise DataError(f"{self.collection.paths[id]}: {said}")

    # Jobs

    def start_job(self, what: str) -> None:
        """Start to "train" (and propose) or to "propose" with given weights. Raises DataError."""
        with self.job_lock:
            if self.job and self.job.state == "running":
                raise DataError("a job is running; stop it first")
            if what == "train":
                points = {id: self.store.points_of((id, FIRST)) for id in self.store.done() if id in self.collection.paths}
                self.refuse_replaced(points)
                one = new_round(self.collection, self.options.reader, points, self.sizes())
                self.job = Job("train and propose", steps_of(one, self.options.flags, self.propose_step, self.options.folds))
            elif self.options.propose:
                self.job = Job("propose", [self.propose_step(self.options.propose)])
            else:
                raise DataError("there are no weights to propose with; train, or start with --propose WEIGHTS")

    def propose_step(self, weights: Path) -> Step:
        folder = self.labels / FOLDER / self.options.reader
        folder.mkdir(parents=True, exist_ok=True)
        out = folder / f"{next_number(path.stem for path in folder.glob('*.jsonl')):04d}.jsonl"
        read = 0

        def take(line: str) -> None:
            """Show what is written so far."""
            nonlocal read
            if not line.startswith("proposed"):
                return
            with open(out, encoding="utf-8") as file:
                file.seek(read)
                while (text := file.readline()).endswith("\n"):
                    id, proposal = from_json(json.loads(text), self.landmarks)
                    if id in self.proposals:
                        self.earlier[id] = self.proposals[id]
                    self.proposals[id] = proposal
                    read = file.tell()

        arguments = ["-m", "labelling.propose", "--raw", self.collection.raw.resolve(), "--weights", weights.resolve()]
        arguments += ["--out", out.resolve(), "--set", (self.labels / LABEL_SET).resolve()]
        ids = "".join(f"{id}\n" for id in self.order.queue(self.proposals))
        return Step("proposing", arguments, input=ids, on_line=take)
