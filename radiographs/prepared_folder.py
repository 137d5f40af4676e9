"""What a prepared folder holds, which data_preprocessing.py writes and everything after it reads."""

import csv
import json
from pathlib import Path

from radiographs.network_frame import frame_of
from radiographs.raw_folder import same_form
from runtime.files import DataError, read_csv

FORMAT = 4  # raised when the same settings would write other bytes
TABLE, SETTINGS = "landmarks.csv", "settings.json"


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
        spacing = {"spacing_x_mm", "spacing_y_mm", "spacing_from"}
        missing = {"id", "split", "width", "height", *spacing, "x0", "network_x0"} - set(rows[0])
        if missing or any(None in row or None in row.values() for row in rows):
            raise ValueError(f"missing columns or cells in {TABLE}")
    except (OSError, ValueError, KeyError, IndexError, TypeError, csv.Error) as error:
        raise DataError(f"{folder}: not as data_preprocessing.py writes it ({error}); run it again") from error
    return settings, rows


def splits_of(folder: Path) -> set[str]:
    """Which splits of a processed folder have radiographs. Raises DataError."""
    return {row["split"] for row in read_folder(folder)[1]}


def read_split(path: Path) -> dict[str, list[str]]:
    """The IDs of train, valid and test from two lists, one ID a line: every tenth of the training ones validates.

    `path` is a folder with train.txt and test.txt, or the common beginning of two such files, as FOLDER/set1_. Raises DataError.
    """
    lists = {}
    for name in ("train", "test"):
        file = path / f"{name}.txt" if path.is_dir() else path.with_name(f"{path.name}{name}.txt")
        try:
            lists[name] = [same_form(line) for line in file.read_text("utf-8-sig").splitlines() if line.strip()]
        except (FileNotFoundError, UnicodeDecodeError):
            raise DataError(f"{file}: expected a text file with one ID a line; correct --split") from None
    for name, ids in lists.items():
        if len(set(ids)) < len(ids):
            raise DataError(f"{path}: {max(ids, key=ids.count)} is in {name} twice; remove one")
    if both := set(lists["train"]) & set(lists["test"]):
        raise DataError(f"{path}: {sorted(both)[0]} is in train and in test; remove it from one")
    train = lists["train"]
    return {"train": [id for i, id in enumerate(train) if i % 10], "valid": train[::10], "test": lists["test"]}
