"""The outputs of a whole call, made of the journal as a stream, in the order of the listing."""

import json
from array import array
from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from joints.description import Description
from prediction.journal import Index, journals_in
from prediction.listing import Listing
from prediction.outputs import COLUMNS, MEASURE_COLUMNS, Coco, write_parquet
from prediction.page import ERRORS, worst_first, write_pages
from runtime.files import DataError, csv_lines, safe, whole_file, write_whole

TABLE, MEASURES, COCO, PARQUET, PAGE = "landmarks.csv", "measures.csv", "coco.json", "landmarks.parquet", "index.html"
WRITTEN = "written.json"  # in the journal: what the outputs were like when they were written
FLAGS = 100  # that can be chosen on the pages, the most frequent


@dataclass
class Summary:
    predicted: int = 0
    flagged: int = 0
    unread: int = 0  # files, and what is wrong with the inputs
    missing: int = 0  # neither predicted nor known to be unreadable
    some_missing: list[str] = field(default_factory=list)


def write_results(out: Path, journal: Path, listing: Listing, call: dict, say=None) -> Summary:
    """Write all outputs of a call but for the pictures. `say` is told of every file that could not be read.

    Raises DataError where an output was changed by somebody since it was written.
    """
    check_unchanged(out, journal)
    (journal / WRITTEN).unlink(missing_ok=True)
    summary, index = Summary(unread=len(listing.errors)), Index(journal)
    errors, flags = listing.errors[:ERRORS], Counter()
    places, flagged, least = (array(kind) for kind in "QBd")
    with ExitStack() as stack:
        files = {name: stack.enter_context(whole_file(out / name)) for name in outputs(call) if name not in (PAGE, PARQUET)}
        files[TABLE].write(csv_lines([COLUMNS + call["columns"]]))
        if MEASURES in files:
            files[MEASURES].write(csv_lines([MEASURE_COLUMNS]))
        coco = Coco(files[COCO], out) if COCO in files else None
        for item in listing:
            place = index.place(item)
            content = {} if place is None else index.content(place)
            if content.get("name") != item.name:
                summary.missing += 1
                summary.some_missing += [item.name] if len(summary.some_missing) < 5 else []
            elif error := content.get("error"):
                summary.unread += 1
                errors += [error] if len(errors) < ERRORS else []
                if say:
                    say(error)
            else:
                files[TABLE].write(content["landmarks"].encode())
                if MEASURES in files:
                    files[MEASURES].write(content["measures"].encode())
                if coco:
                    coco.add(content["image"], content["hands"])
                flags.update(content["flags"])
                places.append(place), flagged.append(bool(content["flags"])), least.append(content["least"])
        if coco:
            coco.close(Description.of_file(call["joint"], journal))
    summary.predicted, summary.flagged = len(places), sum(flagged)
    if PARQUET in outputs(call):
        ids = [safe(name) for name in call["columns"]]
        write_parquet(out / TABLE, COLUMNS + ids, ids, out / PARQUET)
    order = np.asarray(places)[worst_first(np.asarray(flagged), np.asarray(least))]
    choices = [flag for flag, _ in sorted(flags.items(), key=lambda flag: (-flag[1], flag[0]))[:FLAGS]]
    write_pages(out, order, index.content, choices, summary.flagged, errors, summary.unread)
    index.close()
    write_whole(journal / WRITTEN, json.dumps(standing(out, journal, listing, outputs(call))).encode())
    return summary


def outputs(call: dict) -> list[str]:
    wanted = {MEASURES: call["measure"], COCO: "coco" in call["formats"], PARQUET: "parquet" in call["formats"]}
    return [TABLE, PAGE, *(name for name, is_wanted in wanted.items() if is_wanted)]


def state(path: Path) -> list[int] | None:
    if not path.exists():
        return None
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]


def standing(out: Path, journal: Path, listing: Listing, names: Iterable[str]) -> dict:
    """What WRITTEN says, as it is now."""
    sizes = {path.name: path.stat().st_size for path in journals_in(journal)}
    return {"listing": listing.digest(), "journal": sizes, "outputs": {name: state(out / name) for name in names}}


def check_unchanged(out: Path, journal: Path) -> None:
    """Raises DataError where an output is not as it was written: somebody's corrections may be in it."""
    for name, written in known_outputs(journal).get("outputs", {}).items():
        if state(out / name) not in (None, written):
            raise DataError(f"{out / name}: was changed since predict.py wrote it; move it elsewhere, and start again")


def are_written(out: Path, journal: Path, listing: Listing) -> bool:
    """Whether the outputs of a listing stand as they were written, of the journal as it is."""
    known = known_outputs(journal)
    return bool(known) and known == standing(out, journal, listing, known["outputs"])


def known_outputs(journal: Path) -> dict:
    path = journal / WRITTEN
    return json.loads(path.read_bytes()) if path.exists() else {}
