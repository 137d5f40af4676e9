"""What a prepared folder holds, which data_preprocessing.py writes and everything after it reads."""

import csv
import json
from itertools import combinations
from pathlib import Path

from radiographs.network_frame import frame_of
from radiographs.raw_folder import DETAIL, READERS, SETTINGS, SPLITS, numbered, same_form
from runtime.command import LOCK
from runtime.files import DataError, read_csv, write_csv, write_whole

FORMAT = 4  # raised when the same settings would write other bytes
TABLE = "landmarks.csv"
SUFFIXES = ".png", ".npz", f"{DETAIL}.png"  # of what is made of a radiograph


def read_folder(folder: Path) -> tuple[dict, list[dict[str, str]]]:
    """The settings and the table of a processed folder. Raises DataError."""
    table = folder / TABLE
    if not table.exists():
        raise DataError(
            f"{table}: not found; run data_preprocessing.py until it ends without an error, or name its folder with --data"
        )
    try:
        settings = json.loads((folder / SETTINGS).read_text())
        if settings["format"] != FORMAT:
            raise ValueError(f"format {settings['format']} instead of {FORMAT}")
        rows = read_csv(table, strict=True)
        frame_of(settings["size"])
        if lacking := {"size", "sigma", "profile"} - settings.keys():
            raise ValueError(f"no {sorted(lacking)[0]} in {SETTINGS}")
        needed = {"id", "split", "width", "height", "spacing_x_mm", "spacing_y_mm", "spacing_from", "x0", "network_x0"}
        if needed - rows[0].keys() or any(None in row or None in row.values() for row in rows):
            raise ValueError(f"missing columns or cells in {TABLE}")
    except (OSError, ValueError, KeyError, IndexError, TypeError, csv.Error) as error:
        raise DataError(f"{folder}: not as data_preprocessing.py writes it ({error}); run it again") from error
    return settings, rows


def splits_of(folder: Path) -> set[str]:
    """Which splits of a processed folder have radiographs. Raises DataError."""
    return {row["split"] for row in read_folder(folder)[1]}


def read_split(path: Path) -> dict[str, list[str]]:
    """The IDs of train, valid and test from lists, one ID a line; without valid.txt every tenth of the training ones validates.

    `path` is a folder with train.txt and test.txt, or the common beginning of such files, as FOLDER/set1_. Raises DataError.
    """
    lists = {}
    for name in SPLITS:
        file = path / f"{name}.txt" if path.is_dir() else path.with_name(f"{path.name}{name}.txt")
        if name == "valid" and not file.exists():
            continue
        try:
            ids = lists[name] = [same_form(line) for line in file.read_text("utf-8-sig").splitlines() if line.strip()]
        except (FileNotFoundError, UnicodeDecodeError):
            raise DataError(f"{file}: expected a text file with one ID a line; correct --split") from None
        if len(set(ids)) < len(ids):
            raise DataError(f"{path}: {max(ids, key=ids.count)} is in {name} twice; remove one")
    for one, other in combinations(lists, 2):
        if both := set(lists[one]) & set(lists[other]):
            raise DataError(f"{path}: {sorted(both)[0]} is in {one} and in {other}; remove it from one")
    train, test = lists["train"], lists["test"]
    if len(train) == 1 or "valid" in lists:
        return lists
    return {"train": [id for i, id in enumerate(train) if i % 10], "valid": train[::10], "test": test}


def settings_in(folder: Path) -> dict | None:
    """What data_preprocessing.py made a folder with, whole or not, in any version; None where it did not make it."""
    try:
        stored = json.loads((folder / SETTINGS).read_text())
    except (FileNotFoundError, ValueError):
        return None
    return stored if isinstance(stored, dict) and {"format", "size", "sigma", "reference"} <= stored.keys() else None


def stored_settings(out: Path) -> dict:
    """The settings of an earlier run; none for an empty folder. Raises DataError where an earlier run did not make it."""
    if stored := settings_in(out):
        return {"crop": False, "detail": 0} | stored  # which earlier versions did not write
    if all(path.name == LOCK or path.suffix == ".part" for path in out.iterdir()):  # of a run that was killed as it began
        return {}
    raise DataError(f"{out}: expected an empty folder or an earlier result, found other files; choose another --out")


def write_settings(out: Path, settings: dict, more: dict, stored: dict) -> None:
    """Write what OUT is made with, saying which of `settings` an earlier run had otherwise, and make its folders."""
    wanted = {"format": FORMAT, **settings}
    if changed := [f"{key} {stored[key]} -> {wanted[key]}" for key in wanted if stored and stored[key] != wanted[key]]:
        print(f"{out} was made with other settings ({', '.join(changed)}): everything is made again")
    out.mkdir(parents=True, exist_ok=True)
    write_whole(out / SETTINGS, (json.dumps(wanted | more, indent=2) + "\n").encode())  # first: other files need it there
    for split in SPLITS:
        (out / split).mkdir(exist_ok=True)


def write_tables(out: Path, rows: list[dict], annotators: list[str]) -> None:
    """Remove what earlier runs made of radiographs that are gone, then write the tables of the readers and of all."""
    wanted = {out / row["split"] / (row["id"] + suffix) for row in rows for suffix in SUFFIXES[: 2 + ("detail" in row)]}
    for split in SPLITS:
        for path in (out / split).iterdir():
            if path not in wanted and path.suffix in (".png", ".npz", ".part"):
                path.unlink()
    for old in (out / READERS).glob("*.csv"):
        if old.stem not in annotators:
            old.unlink()
    for annotator in annotators:
        given = [row for row in rows if annotator in row.get("readings_px", {})]
        if given:
            (out / READERS).mkdir(exist_ok=True)
            table = [{"id": row["id"]} | numbered(row["readings_px"][annotator]) for row in given]
            write_csv(out / READERS / f"{annotator}.csv", table)
    write_csv(out / TABLE, [line_of(row) for row in rows])


def line_of(row: dict) -> dict:
    """Who, where, size, spacing, then the points in the radiograph's frame and in the network's."""
    spacing_x, spacing_y = row["spacing_mm"] or (None, None)
    line = {name: row[name] for name in ("id", "split", "width", "height")}
    line |= {"spacing_x_mm": str(spacing_x or ""), "spacing_y_mm": str(spacing_y or ""), "spacing_from": row["spacing_from"]}
    line["file"] = row.get("file", "")  # none of what earlier versions prepared
    network = {f"network_{column}": value for column, value in numbered(row["points_network_px"]).items()}
    return line | numbered(row["points_px"]) | network
