"""A round of training on what is confirmed: its data set, its commands, and its cross-validated error."""

import json
import os
import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from joints.description import DESCRIPTION, Description
from labelling.collection import Collection
from labelling.jobs import Step
from labelling.order import chance
from labelling.proposals import FRAME
from radiographs.pixel_size import Given, with_columns
from radiographs.raw_folder import COORDINATES, SPLITS, numbered
from runtime.files import DataError, write_csv, write_whole

ROUNDS, FIGURES = "rounds", "round.json"  # inside the labels, with a folder a reader; inside a round
FEWEST = 6  # radiographs done, to train on
NETWORK = "network"  # inside a round: the run of its training
START = "weights/scn_synthetic.pt"  # of a hand's networks
QUICK = "--detail", "0"  # no second look, which would take several minutes a round
VALID_SHARE = 4  # every so-manieth radiograph validates
USUAL = 91  # radiographs that the recipe was chosen with: with fewer, more epochs make as many steps
MOST = 5  # times as many epochs at most


class Flags(NamedTuple):
    """What the user adds to the commands of a round."""

    prepare: Sequence[str] = ()  # of data_preprocessing.py
    train: Sequence[str] = ()  # of main.py
    export: Sequence[str] = ()  # of export.py


@dataclass
class Round:
    folder: Path
    collection: Collection
    points: dict[str, np.ndarray]  # (L, 2) px of the radiographs done, NaN where absent


def new_round(collection: Collection, reader: str, points: dict[str, np.ndarray], sizes: dict[str, Given] | None = None) -> Round:
    """Write the data set of a new round on what a reader has done: links to radiographs, and their table.

    `sizes`: of their pixels, by ID. Raises DataError where too little is done.
    """
    usable = {id: values for id, values in points.items() if np.isfinite(values).any()}
    places = {id: "test" for id in usable if collection.splits[id] == "test"}  # of the set: they stay out of training
    pool = sorted(usable.keys() - places, key=lambda id: chance("round", id))  # shuffled always alike
    if len(pool) < FEWEST:
        which, count = ("done", len(usable)) if len(usable) < FEWEST else ("done and not in test", len(pool))
        raise DataError(f"training needs {FEWEST} radiographs that are {which}, found {count}")
    places |= {id: "train" if number % VALID_SHARE else "valid" for number, id in enumerate(pool)}
    rounds = collection.labels / ROUNDS / reader  # readers are blind to each other: their networks, too
    rounds.mkdir(parents=True, exist_ok=True)
    one = Round(rounds / f"{next_number(path.name for path in rounds.iterdir()):03d}", collection, usable)
    raw = one.folder / "raw"
    for split in SPLITS:
        (raw / split).mkdir(parents=True)
    for id, split in places.items():
        path = collection.paths[id]
        place = raw / split / path.name  # the name that the ID comes from, not that of a file that a link leads to
        try:
            os.symlink(path.resolve(), place)
        except OSError:  # file systems and users without links
            shutil.copyfile(path, place)
    rows = [{"id": id} | numbered(usable[id].tolist()) for id in places]
    write_csv(raw / COORDINATES, with_columns(rows, sizes or {}))
    if (joint := collection.joint) != Description.numbered(len(joint.names)):
        write_whole(raw / DESCRIPTION, (json.dumps(joint.to_file(), indent=2) + "\n").encode())
    return one


def next_number(names: Iterable[str]) -> int:
    return 1 + max((int(name) for name in names if name.isdecimal()), default=0)


def recipe(count: int, learnt: bool) -> tuple[list[str], list[str]]:
    """Flags of data_preprocessing.py and of main.py: as many steps as with the usual number of radiographs.

    `count`: of radiographs. `learnt`: there are weights that have learnt these landmarks. The frame is the square one in which
    all errors of the page are told.
    """
    more = min(MOST, max(1.0, USUAL / count))
    if learnt:
        return ["--size", str(FRAME), "--sigma", "2", *QUICK], ["--init", START, "--stages", f"128x{round(8 * more)}"]
    stages = f"64x{round(8 * more)} 128x{round(24 * more)}"
    return ["--size", str(FRAME), "--sigma", "3", *QUICK], ["--stages", stages]


def steps_of(one: Round, flags: Flags, propose: Callable[[Path], Step], folds: int) -> list[Step]:
    """Prepare, train, export, propose.

    With `folds`, networks without a part of the radiographs each tell the error, and how far proposals can be trusted, before one
    of all is trained; without them, a share of the radiographs is kept back for that.
    """
    learnt = one.collection.is_hand and ("--init", "") not in pairwise(flags.train)
    prepare, train = recipe(len(one.points), learnt)
    crossed = ["--folds", folds] if folds else []
    folder = one.folder.resolve()  # the commands run elsewhere
    raw, data, network, weights = (folder / name for name in ("raw", "data", NETWORK, "weights.pt"))
    training = ["main.py", "--data", data, "--result", network, "--test_on", "valid", *crossed, *train, *flags.train]
    export = ["export.py", "--checkpoint", network / "best.pt", "--data", data, "--out", weights, *flags.export]
    return [
        Step("preparing", ["data_preprocessing.py", "--raw", raw, "--out", data, *prepare, *flags.prepare]),
        Step("training", training),
        Step("calibrating", export, after=lambda: write_figures(one)),
        propose(weights),
    ]


def write_figures(one: Round) -> None:
    """round.json: what the page shows of a round. What was prepared can be made again, and is removed."""
    figures = {"round": int(one.folder.name), "radiographs": len(one.points), "time": time.strftime("%Y-%m-%d %H:%M")}
    crossed = one.folder / NETWORK / "out_of_fold.json"
    if crossed.exists():
        measured = json.loads(crossed.read_text())
        figures |= {"error_px": round(measured["ipe_px"], 4), "of": measured["images"]}
    write_whole(one.folder / FIGURES, (json.dumps(figures) + "\n").encode())
    shutil.rmtree(one.folder / "data", ignore_errors=True)


def rounds_of(folder: Path) -> list[dict]:
    """What a reader's earlier rounds came to, in their order."""
    return [json.loads(path.read_text()) for path in sorted(folder.glob(f"*/{FIGURES}"))]
