"""Cross-validation: every radiograph of train and valid is predicted by a network that has not seen it."""

import json
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np

from dataloader import RadiographDataset
from runtime.files import DataError, read_csv
from training import report
from training.runs import HELD_OUT, POOLED, folder_of
from training.settings import AUTO

FOLDS_SEED = 0  # the parts are the same for every recipe and seed, so that these compare


def parts(count: int, folds: int) -> list[np.ndarray]:
    """Indices below `count` in `folds` random parts, whose sizes differ by one at most. Raises DataError."""
    if not 2 <= folds <= count:
        raise DataError(f"folds: expected 2 to {count}, one radiograph of train and valid in each; found {folds}")
    return [np.sort(part) for part in np.array_split(np.random.default_rng(FOLDS_SEED).permutation(count), folds)]


def split_by(data: RadiographDataset, folds: int) -> list[tuple[RadiographDataset, RadiographDataset]]:
    """For each fold the radiographs to train on and those held out."""
    everything = np.arange(len(data))
    return [
        (data.subset(np.setdiff1d(everything, part), "train"), data.subset(part, HELD_OUT)) for part in parts(len(data), folds)
    ]


def hold_out_tenth(data: RadiographDataset) -> tuple[RadiographDataset, RadiographDataset]:
    """Training radiographs without a tenth, always the same, and that tenth for validation. Raises DataError for a single one."""
    if len(data) < 2:
        raise DataError(f"{data.folder}: expected radiographs of valid, or two of train at least, found {len(data)}; add some")
    rest, held_out = split_by(data, min(10, len(data)))[0]
    return rest, held_out.subset(np.arange(len(held_out)), "valid")


@dataclass
class Outcome:
    """What the training of a fold has decided, by its held-out radiographs."""

    history: list[dict]
    tree: bool
    first_ipe_px: float  # validation IPE of the first look
    unfinished: str


def settings_of_all(settings, outcomes: list[Outcome]) -> dict:
    """Settings of main.py for the network of all, where they leave something open: the medians of the folds."""
    first, second = ([[row for row in one.history if row["look"] == look] for one in outcomes] for look in (1, 2))
    found = {}
    if settings.shape_tree == AUTO:
        found["shape_tree"] = "on" if sum(one.tree for one in outcomes) > len(outcomes) / 2 else "off"
    if "x" not in settings.stages:
        sizes = dict.fromkeys(row["size"] for rows in first for row in rows)
        epochs = {size: round(median(sum(row["size"] == size for row in rows) for rows in first)) for size in sizes}
        found |= {"stages": " ".join(f"{size}x{count}" for size, count in epochs.items() if count), "schedule": "fall"}
    if settings.second_look == AUTO:
        gains = [one.first_ipe_px - rows[-1]["valid_ipe_px"] for one, rows in zip(outcomes, second) if rows]
        found["second_look"] = round(median(map(len, second))) if np.nansum(gains) > 0 else 0
    return found


def pool(result: Path, train_valid: RadiographDataset, folds: int) -> tuple[dict, np.ndarray, np.ndarray]:
    """Put the tables of all folds' held-out radiographs together, as those of one test.

    Returns the figures, points (N, L, 2) network-frame px, and the heights of their peaks (N, L).
    """
    rows = [row for k in range(1, folds + 1) for row in read_csv(folder_of(result, k) / f"{HELD_OUT}_landmarks.csv")]
    place = {id: i for i, id in enumerate(train_valid.ids)}
    points = np.full(train_valid.points_px.shape, np.nan)
    peaks = np.full(points.shape[:2], np.nan)
    for row in rows:
        at = place[row["image"]], int(row["landmark"])
        points[at], peaks[at] = (float(row["x_px"]), float(row["y_px"])), float(row["peak"])
    data = train_valid.subset(np.arange(len(train_valid)), POOLED)
    of_folds = [json.loads((folder_of(result, k) / f"{HELD_OUT}.json").read_text())["ipe_px"] for k in range(1, folds + 1)]
    return report.write_test(result, data, points, peaks, {"split": POOLED, "ipe_px_of_folds": of_folds}), points, peaks
