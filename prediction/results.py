"""The outputs of a whole call, made of the journal as a stream, in the order of the listing."""

import json
import sys
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from joints.description import Description
from prediction.journal import Index, journals_in
from prediction.listing import Listing
from prediction.outputs import COLUMNS, MEASURE_COLUMNS, Coco, write_parquet
from prediction.page import ERRORS, worst_first, write_pages
from radiographs.raw_folder import JOURNAL
from runtime.files import DataError, csv_lines, first_few, safe, whole_file, write_whole

TABLE, MEASURES, COCO, PARQUET, PAGE = "landmarks.csv", "measures.csv", "coco.json", "landmarks.parquet", "index.html"
WRITTEN = "written.json"  # in the journal: what the outputs were like when they were written
FLAGS = 100  # that can be chosen on the pages, the most frequent
SOME = 6  # missing radiographs: one more than `first_few` names


@dataclass
class Summary:
    """What the journal has of a listing's radiographs."""

    errors: list[str]  # the first ERRORS of them
    unread: int  # files, and what is wrong with the inputs
    missing: int = 0  # neither predicted nor known to be unreadable
    some_missing: list[str] = field(default_factory=list)
    flags: Counter[str] = field(default_factory=Counter)
    places: array = field(default_factory=lambda: array("Q"))  # in the index, of those predicted
    flagged: array = field(default_factory=lambda: array("B"))
    least: array = field(default_factory=lambda: array("d"))  # confidence

    def predicted(self, listing: Listing, index: Index, say: bool) -> Iterator[dict]:
        """What the journal has of every radiograph that was predicted; the others are counted, and said if asked."""
        for item in listing:
            place = index.place(item)
            content = {} if place is None else index.content(place)
            if content.get("name") != item.name:
                self.missing += 1
                self.some_missing += [item.name] if len(self.some_missing) < SOME else []
            elif error := content.get("error"):
                self.unread += 1
                self.errors += [error] if len(self.errors) < ERRORS else []
                if say:
                    print(error, file=sys.stderr)
            else:
                self.flags.update(content["flags"])
                self.places.append(place)
                self.flagged.append(bool(content["flags"]))
                self.least.append(content["least"])
                yield content


def write_results(out: Path, listing: Listing, call: dict, before: int = 0, say: bool = False) -> int:
    """Write all outputs of a call but for the pictures, and say what they hold; returns the exit status.

    `before`: so many radiographs were predicted earlier. `say`: also of every file why it could not be read. Raises DataError
    where an output was changed by somebody since it was written.
    """
    check_unchanged(out)
    (out / JOURNAL / WRITTEN).unlink(missing_ok=True)
    index = Index(out / JOURNAL)
    summary = Summary(listing.errors[:ERRORS], len(listing.errors))
    write_tables(out, call, summary.predicted(listing, index, say))
    flagged = sum(summary.flagged)
    order = np.asarray(summary.places)[worst_first(np.asarray(summary.flagged), np.asarray(summary.least))]
    choices = [flag for flag, _ in sorted(summary.flags.items(), key=lambda flag: (-flag[1], flag[0]))[:FLAGS]]
    write_pages(out, order, index.content, choices, flagged, summary.errors, summary.unread)
    write_whole(out / JOURNAL / WRITTEN, json.dumps(standing(out, listing, outputs(call))).encode())
    if summary.missing:
        missing = f"{summary.missing} radiographs are missing ({first_few(summary.some_missing)})"
        print(f"{out}: {missing}; start their shards again, then --merge", file=sys.stderr)
    if gone := int((~index.lines["failed"]).sum()) - len(order):
        kept = f"pictures of {gone} radiographs that are no longer listed, or under other names, are still there"
        print(f"{out}: {kept}; to be rid of them, begin anew with --overwrite")
    more = f", {before} of them before" if before else ""
    print(f"{len(order)} radiographs predicted{more}, {flagged} flagged, {summary.unread} problems; see {out / PAGE}")
    return 1 if summary.unread or summary.missing else 0


def write_tables(out: Path, call: dict, predicted: Iterable[dict]) -> None:
    """The outputs with a row or an entry for each radiograph."""
    with ExitStack() as stack:
        files = {name: stack.enter_context(whole_file(out / name)) for name in outputs(call) if name not in (PAGE, PARQUET)}
        files[TABLE].write(csv_lines([COLUMNS + call["columns"]]))
        if MEASURES in files:
            files[MEASURES].write(csv_lines([MEASURE_COLUMNS]))
        coco = Coco(files[COCO], out) if COCO in files else None
        for content in predicted:
            files[TABLE].write(content["landmarks"].encode())
            if MEASURES in files:
                files[MEASURES].write(content["measures"].encode())
            if coco:
                coco.add(content["image"], content["hands"])
        if coco:
            coco.close(Description.of_file(call["joint"], out / JOURNAL))
    if PARQUET in outputs(call):
        ids = [safe(name) for name in call["columns"]]
        write_parquet(out / TABLE, COLUMNS + ids, ids, out / PARQUET)


def outputs(call: dict) -> list[str]:
    wanted = {MEASURES: call["measure"], COCO: "coco" in call["formats"], PARQUET: "parquet" in call["formats"]}
    return [TABLE, PAGE, *(name for name, is_wanted in wanted.items() if is_wanted)]


def state(path: Path) -> list[int] | None:
    if not path.exists():
        return None
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]


def standing(out: Path, listing: Listing, names: Iterable[str]) -> dict:
    """What WRITTEN says, as it is now."""
    sizes = {path.name: path.stat().st_size for path in journals_in(out / JOURNAL)}
    return {"listing": listing.digest(), "journal": sizes, "outputs": {name: state(out / name) for name in names}}


def check_unchanged(out: Path) -> None:
    """Raises DataError where an output is not as it was written: somebody's corrections may be in it."""
    for name, written in known_outputs(out).get("outputs", {}).items():
        if state(out / name) not in (None, written):
            raise DataError(f"{out / name}: was changed since predict.py wrote it; move it elsewhere, and start again")


def are_written(out: Path, listing: Listing) -> bool:
    """Whether the outputs of a listing stand as they were written, of the journal as it is."""
    known = known_outputs(out)
    return bool(known) and known == standing(out, listing, known["outputs"])


def known_outputs(out: Path) -> dict:
    path = out / JOURNAL / WRITTEN
    return json.loads(path.read_bytes()) if path.exists() else {}
