"""Cross-validation: a network for each part of the radiographs, without that part, which is then measured on it."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import numpy as np

from dataloader import RadiographDataset
from runtime import distributed
from runtime.checkpoint import read_checkpoint
from runtime.files import DataError, read_csv
from training import report
from training.check import never_shown
from training.judgement import judge, tell_disagreements
from training.runs import BEST, HELD_OUT, POOLED, STATES, folder_of, holds
from training.sets import refuse_beginning, split_by
from training.settings import AUTO


@dataclass
class Outcome:
    """What the training of a fold has decided, by its held-out radiographs."""

    history: list[dict]
    tree: bool
    first_ipe_px: float  # validation IPE of the first look
    unfinished: str


def cross_validate(settings, result: Path, data: RadiographDataset, extra: list[RadiographDataset], train: Callable):
    """Train a network for each part of the radiographs and measure it there; `extra` ones are learnt from only, `train` is
    that of solver.py.

    Returns the settings of the network of all, which nothing is held out from: as many epochs as the folds took.
    """
    if distributed.WORLD > 1:
        raise DataError(f"folds: expected one process, found {distributed.WORLD}; run without torchrun")
    refuse_other_folds(settings, result)
    settings = replace(settings, hours=settings.hours / (settings.folds + 1))
    outcomes = []
    for k, (rest, held_out) in enumerate(split_by(data, settings.folds), 1):
        print(f"fold {k} of {settings.folds}: {len(rest)} radiographs to train on, {len(held_out)} held out")
        print("".join(f"fold {k}: {found}\n" for found in never_shown(rest.concat(extra))), end="")
        outcomes.append(train_fold(settings, result, k, rest.concat(extra), held_out, train))
    show_pooled(settings, result, data, outcomes)
    found = settings_of_all(settings, outcomes)
    for name, value in found.items():
        print(f"the network of all: --{name} {value!r}, as the folds")
    if found.get("second_look") == 0:
        print("the second look lost in the folds; their figures are still those with it")
    return resume_if_possible(replace(settings, hours=0.0, **found), result)


def train_fold(settings, result: Path, k: int, rest: RadiographDataset, held_out: RadiographDataset, train: Callable) -> Outcome:
    """Train fold `k` in its folder, measure it on what is held out, and say how long the others will take."""
    folder, began = folder_of(result, k), time.monotonic()
    init = str(folder_of(Path(settings.init), k)) if settings.init and Path(settings.init, BEST).exists() else settings.init
    refuse_beginning(settings, init, held_out)
    of_fold = resume_if_possible(replace(settings, init=init), folder)
    solver = train(of_fold, folder, rest, held_out)
    solver.test(held_out)
    if not of_fold.resume:  # a resumed fold has taken less than a whole training
        left = settings.folds - k
        print(f"folds to go: {left}, then the network of all: {report.format_eta((left + 1) * (time.monotonic() - began))}")
    return Outcome(solver.history, solver.tree is not None, solver.first_ipe_px, solver.unfinished)


def show_pooled(settings, result: Path, data: RadiographDataset, outcomes: list[Outcome]) -> None:
    """Write and say what the folds' networks found in all radiographs, and which annotations they disagree with."""
    figures, points, peaks = pool(result, data, settings.folds)
    of_folds = np.array(figures["ipe_px_of_folds"], float)  # NaN where no radiograph of a fold has a landmark
    print(f"{len(data)} radiographs out of fold: " + report.listed(figures))
    print(f"IPE, mean and SD over folds: {np.nanmean(of_folds):.3f} ± {np.nanstd(of_folds, ddof=1):.3f} px")
    unfinished = next((one.unfinished for one in outcomes if one.unfinished), "")
    print(judge(data, points, data.points_network_px, unfinished))
    tell_disagreements(result, data, points, peaks)


def pool(result: Path, train_valid: RadiographDataset, folds: int) -> tuple[dict, np.ndarray, np.ndarray]:
    """Put the tables of all folds' held-out radiographs together, as those of one test.

    Returns the figures, points (N, L, 2) network-frame px, and the heights of their peaks (N, L).
    """
    rows = [row for k in range(1, folds + 1) for row in read_csv(folder_of(result, k) / f"{HELD_OUT}_landmarks.csv")]
    points, peaks = report.found_in(rows, train_valid)
    data = train_valid.subset(np.arange(len(train_valid)), POOLED)
    of_folds = [json.loads((folder_of(result, k) / f"{HELD_OUT}.json").read_text())["ipe_px"] for k in range(1, folds + 1)]
    return report.write_test(result, data, points, peaks, {"split": POOLED, "ipe_px_of_folds": of_folds}), points, peaks


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
    if settings.second_look:
        gains = [one.first_ipe_px - rows[-1]["valid_ipe_px"] for one, rows in zip(outcomes, second) if rows]
        if not np.nansum(gains) > 0:
            found["second_look"] = 0
        elif settings.second_look == AUTO:
            found["second_look"] = round(median(map(len, second)))
    return found


def resume_if_possible(settings, folder: Path):
    """Settings that go on from what a folder holds, if they are to go on at all and it holds something."""
    return replace(settings, resume=settings.resume and holds(folder, *STATES))


def refuse_other_folds(settings, result: Path) -> None:
    """Raises DataError where a folder holds an ordinary training, or one of other folds; a damaged state says nothing."""
    for path in (result / name for name in STATES):
        try:
            folds = read_checkpoint(path)["settings"].get("folds")
        except DataError:
            continue
        if folds != settings.folds:
            asked = f"folds {folds} -> {settings.folds}"
            raise DataError(f"{path}: made with other settings ({asked}); use the same, or another --result")
