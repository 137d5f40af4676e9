"""The folder of results: what of it belongs to predict.py, and whether it goes on with what is there or begins anew.

journal/ in it keeps the settings of the call (CALL), the list of its radiographs (FILES), and a file of results of each process.
"""

import argparse
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import torch

from prediction.listing import Listing, printable, write_listing
from prediction.outputs import COLUMNS
from prediction.predictor import Predictor
from prediction.results import COCO, MEASURES, PAGE, PARQUET, TABLE
from prediction.shard import Shard
from radiographs.pixel_size import COLUMN, row_of
from radiographs.raw_folder import CALL, JOURNAL
from runtime.files import DataError, first_few, write_whole

FILES = "files.jsonl"
OUTPUTS = (TABLE, MEASURES, COCO, PARQUET, PAGE)
FOLDERS = {  # each with how the names of its files end
    "overlays": (".png",),
    "slicer": (".mrk.json",),
    "dicom": ("_sr.dcm", "_pr.dcm", "_sc.dcm"),
    "pages": (".html", ".js"),
}
BRIEF = 100  # letters of a setting that are told
OF_SYSTEMS = (".", "Thumbs.db", "desktop.ini")  # what begins the names of files that nobody misses
LISTED = ".listed"  # ends the names of files that say which list a process has
LISTING = ".files-"  # begins the names of lists that are being made
ANEW = "choose another --out, or give --overwrite to begin anew"


def check_folder(out: Path, resume: bool) -> None:
    """Raises DataError where a folder can neither be begun, nor gone on with, nor overwritten: the journal tells whose it is."""
    there = {path.name.removesuffix(".part") for path in out.iterdir() if not path.name.startswith(".")}
    begun = (out / JOURNAL / CALL).exists()
    if not begun and there - {JOURNAL}:
        raise DataError(f"{out}: is not empty, and has no {JOURNAL} of predict.py; choose another --out, or empty it yourself")
    if strange := there - {*OUTPUTS, *FOLDERS, JOURNAL}:
        raise DataError(f"{out}: holds {sorted(strange)[0]}, which predict.py did not write; choose another --out")
    if resume and not begun:
        raise DataError(f"{out}: expected predictions to go on with, found none; leave out --resume to begin")


def empty_folder(out: Path) -> None:
    """Remove what predict.py wrote, where its journal stands. Raises DataError where files lie there that it did not write.

    Results in the journal go first: what is left of an interruption is then never gone on with. What tells of it goes last.
    """
    if not (out / JOURNAL / CALL).exists():
        return
    for name, endings in FOLDERS.items():
        for path in (out / name).rglob("*"):
            known = path.name.removesuffix(".part").endswith(endings) or path.name.startswith(OF_SYSTEMS)
            if not known and not path.is_dir():
                raise DataError(f"{path}: is not of predict.py; move it elsewhere, or choose another --out")
    for old in (out / JOURNAL).iterdir():
        if old.name != CALL:
            old.unlink()
    for name in FOLDERS:
        shutil.rmtree(out / name, ignore_errors=True)
    for name in OUTPUTS:
        (out / name).unlink(missing_ok=True)
    shutil.rmtree(out / JOURNAL)


def describe(options: argparse.Namespace, predictor: Predictor) -> dict:
    """The settings that outputs depend on: a folder is gone on with only by a call with the same ones."""
    return {
        "weights": digest_of_file(options.weights),
        "engine": digest_of_file(options.engine) if options.engine else "",
        "inputs": [absolute(given) for given in options.inputs],
        "formats": sorted(options.format),
        "measure": options.measure,
        "with_names": options.names,
        "dicom": list(options.dicom),
        "orientation": options.orientation,
        "pixel_mm": json.loads(json.dumps(options.pixel_mm)),  # as `read_call` reads it
        "device": predictor.device.type,
        "precision": predictor.precision,
        "torch": torch.__version__,
        "joint": predictor.joint.to_file(),
    } | ({"watched": [absolute(folder) for folder in options.watched]} if options.watch else {})


def digest_of_file(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def absolute(given: str) -> str:
    if given == "-":
        return given
    return f"@{os.path.abspath(given[1:])}" if given.startswith("@") else os.path.abspath(given)


def read_call(out: Path) -> dict:
    """The settings of the predictions in a folder. Raises DataError where there are none."""
    try:
        call = json.loads((out / JOURNAL / CALL).read_bytes())
    except FileNotFoundError:
        raise DataError(f"{out}: expected predictions, found none; choose the --out of a call of predict.py") from None
    if "joint" not in call:
        raise DataError(f"{out}: holds predictions of an earlier version; {ANEW}")
    return call


def check_call(out: Path, call: dict) -> None:
    """Raises DataError where the folder holds predictions of other settings."""
    if not (out / JOURNAL / CALL).exists():
        return
    before = read_call(out)
    for name, value in call.items():
        if (there := before.get(name)) != value:
            said = brief(str(there), str(value))
            raise DataError(f"{out}: holds predictions of another call ({name}: {said[0]} there, {said[1]} now); {ANEW}")


def brief(*texts: str) -> list[str]:
    """BRIEF letters of texts, which may be as long as tables, from shortly before they begin to differ."""
    same = next((i for i, letters in enumerate(zip(*texts)) if len(set(letters)) > 1), min(map(len, texts)))
    start = same - BRIEF // 2 if same >= BRIEF else 0
    return ["..." * (start > 0) + text[start : start + BRIEF] + "..." * (len(text) > start + BRIEF) for text in texts]


def begin(options: argparse.Namespace, call: dict, shard: Shard) -> Listing:
    """List the radiographs, and keep the list and the settings in the journal; other processes may do so at the same time.

    `call` gets the names of the columns that tables have in addition. Raises DataError where there is nothing to predict.
    """
    out = options.out
    say = print if shard.number == 1 else lambda _: None
    listing = write_listing(options.inputs, out, out / f"{LISTING}{shard}", say)
    columns = call["columns"] = [*listing.columns, *call["dicom"]]
    try:
        if not listing.count:
            nothing = f"{' '.join(map(printable, options.inputs))}: expected radiographs, found none"
            raise DataError("\n".join(listing.errors) or nothing)
        listing.tell_errors()
        if taken := [name for name in columns if name in COLUMNS or columns.count(name) > 1]:
            raise DataError(f"{options.inputs[0]}: its column {taken[0]} is also one of landmarks.csv; give it another name")
        if isinstance(call["pixel_mm"], dict):
            check_rows(listing, call["pixel_mm"], say)
        if options.overwrite:
            empty_folder(out)
    except DataError:
        listing.path.unlink()
        raise
    return keep(out, call, listing, shard)


def check_rows(listing: Listing, sizes: dict[str, list], say: Callable[[str], object]) -> None:
    """Raises DataError where a row of pixel sizes is of files in several folders.

    `say` is told where some files have no row and some rows no file.
    """
    paths: dict[str, str] = {}
    lacking = 0
    for item in listing:
        if not (row := row_of(item.path, sizes)):
            lacking += 1
            continue
        path = os.path.abspath(item.path)
        if os.path.dirname(other := paths.setdefault(row, path)) != os.path.dirname(path):
            both = f"{printable(other)} and {printable(path)}"
            raise DataError(f"--pixel_mm: expected a {COLUMN} of each file, found one of {row} for {both}; give it as paths")
    if lacking and (unused := [printable(row) for row in sizes if row not in paths]):
        without = f"{lacking} radiographs are in no row, {len(unused)} IDs of the table are of no radiograph here"
        say(f"--pixel_mm: {without} ({first_few(unused)})")


def keep(out: Path, call: dict, listing: Listing, shard: Shard) -> Listing:
    """Put the settings and the list into the journal, where they are not there yet."""
    journal, own = out / JOURNAL, listing.digest()
    journal.mkdir(exist_ok=True)
    if not (journal / CALL).exists():
        write_whole(journal / CALL, json.dumps(call, indent=1).encode(), shared=True)
    check_call(out, call)  # of two that begin at once, one sees the other's
    for old in journal.glob(f"*{LISTED}"):
        if not old.name.endswith(f"-of-{shard.of}{LISTED}"):
            old.unlink(missing_ok=True)  # of another number of processes, whose results count all the same
    write_whole(journal / f"{shard}{LISTED}", own.encode())
    if (journal / FILES).exists() and Listing(journal / FILES).digest() == own:
        listing.path.unlink()  # others may be reading the one that is there
    else:
        os.replace(listing.path, journal / FILES)
    return Listing(journal / FILES)


def check_lists(out: Path, listing: Listing) -> None:
    """Raises DataError where a process found other radiographs than the newest one did: some would be left out unsaid."""
    own = listing.digest()
    if other := [path for path in sorted((out / JOURNAL).glob(f"*{LISTED}")) if path.read_text() != own]:
        shards = ", ".join(path.name.removesuffix(LISTED) for path in other)
        raise DataError(
            f"{out}: expected the same radiographs in all shards, found {listing.count} in the newest list, others in {shards};"
            " see that each can reach all inputs, and start them again"
        )
