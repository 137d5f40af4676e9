"""What a training has come to, its last and its best state on disk, and how an interrupted one goes on."""

import math
import os
import time
from dataclasses import asdict, fields
from pathlib import Path

from torch import Tensor

from dataloader import RadiographDataset
from joints.tree import ShapeTree
from runtime import distributed
from runtime.checkpoint import read_checkpoint, write_checkpoint
from runtime.files import DataError, write_csv
from second_look.network import PREFIX, own_weights
from second_look.training import Training
from training import figures, report
from training.first_look import FirstLook
from training.runs import BEST, LAST, METRICS, PREVIOUS
from training.settings import ASIDE, MAY_DIFFER, marked

CURVES_EVERY_S = 60  # seconds at least between two drawings of the curves, which take half a second
WORDS = {"profile": "another reference", "joint": "another description of the joint"}  # for settings too long to be said


class State:
    """What a training has come to; RESULT/last.pt and RESULT/best.pt hold it. "valid" of its sets may be missing."""

    network: dict  # what SCN is built with
    first_look: FirstLook

    def __init__(self, settings, result: Path, sets: dict[str, RadiographDataset]):
        self.settings, self.result, self.sets = settings, result, sets
        self.digests = {role: one.digest() for role, one in sets.items()}
        self.chooses = "valid" in sets and not settings.folds  # else the last epoch is the best
        self.seen = {role: one.marks() for role, one in sets.items() if role == "train" or self.chooses}
        self.history: list[dict] = []  # one row per epoch done, as in metrics.csv
        self.first: dict = {}  # "weights" and "size" of the first look's best epoch
        self.look: Training | None = None  # the second look's training, once the first one is done
        self.look_state: dict = {}  # what the second look goes on from, in a resumed run
        self.look_init: dict[str, Tensor] = {}  # weights that the second look starts from
        self.first_ipe_px = math.nan  # validation IPE of the first look, with or without the tree
        self.tree: ShapeTree | None = None  # chooses among the first look's peaks
        self.unfinished = ""  # why training ended though the error was still falling
        self.curves_drawn = 0.0  # time of the last drawing, by time.perf_counter
        self.going_on = read_state(result) if settings.resume else None  # where from, and what is there
        if self.going_on:
            refuse_other(*self.going_on, settings, sets["train"], self.digests)

    def rows_of(self, look: int) -> list[dict]:
        return [row for row in self.history if row["look"] == look]

    def keep(self) -> None:
        """Write what the last epoch left: the best state, the last state, the table and the curves."""
        best = self.best_now()
        if best and not self.look:
            weights = {name: weight.clone() for name, weight in self.first_look.average.state_dict().items()}
            self.first = {"weights": weights, "size": self.history[-1]["size"]}
        if not distributed.FIRST:
            return
        if (last := self.result / LAST).exists():
            os.replace(last, self.result / PREVIOUS)
        write_checkpoint(last, self.state() | self.training_state())
        if best:
            write_checkpoint(self.result / BEST, self.state())
        write_csv(self.result / METRICS, self.history)
        if time.perf_counter() - self.curves_drawn > CURVES_EVERY_S:
            figures.draw_curves(self.history, self.result / "curves.png")
            self.curves_drawn = time.perf_counter()

    def best_now(self) -> bool:
        """Whether the newest epoch is the best so far; where validation does not choose, it always is."""
        newest = self.history[-1]
        rivals = [row["valid_ipe_px"] for row in self.rows_of(newest["look"])] + [self.first_ipe_px] * (newest["look"] == 2)
        return not self.chooses or rank(newest["valid_ipe_px"]) <= min(map(rank, rivals))

    def state(self) -> dict:
        """The (averaged) weights and what they need to be used."""
        data, widths = self.sets["train"], self.first_look.widths
        return {
            "weights": self.first_look.average.state_dict() | (self.look.weights() if self.look else {}),
            "network": self.network,
            "size": self.first["size"] if self.look else self.history[-1]["size"],
            "network_size": data.size,
            "precision": self.first_look.precision,
            "data": data.settings,
            "settings": asdict(self.settings),
            "provenance": report.provenance(),
            "epoch": len(self.history),
            "valid_ipe_px": self.history[-1]["valid_ipe_px"],
            "seen": self.seen,
            "radiographs": {role: len(one) for role, one in self.sets.items()},
            **({"second_look": self.look.described()} if self.look else {}),
            **({"tree": self.tree.to_file()} if self.tree else {}),
            **({"sigmas_px": widths.sigmas().tolist()} if widths else {}),
        }

    def training_state(self) -> dict:
        """What a run needs to go on."""
        return {
            **self.first_look.state(),
            "history": self.history,
            "digests": self.digests,
            "unfinished": self.unfinished,
            **({"look": self.look.state()} if self.look else {"look_init": self.look_init}),
        }

    def finish(self) -> None:
        """Write into the best state what was found after its epoch."""
        state = read_checkpoint(self.result / BEST)
        more = {"unfinished": self.unfinished} if self.unfinished else {}
        if self.tree:
            more |= {"tree": self.tree.to_file()} | ({} if "second_look" in state else {"valid_ipe_px": self.first_ipe_px})
        if more:
            write_checkpoint(self.result / BEST, state | more)

    def start_from(self, path: Path) -> None:
        """Begin with the weights of a checkpoint; those made for another number of landmarks stay random. Raises DataError."""
        state = read_checkpoint(path)
        anew = self.first_look.start_from(path, state["weights"])
        for role, digests in state.get("seen", {}).items():
            self.seen[role] = self.seen.get(role, []) + digests
        self.look_init = own_weights(state)
        print(f"starting from {path}" + (f"; random, because their shapes differ: {', '.join(anew)}" if anew else ""))

    def resume(self) -> None:
        """Go on from RESULT/last.pt, or where that is damaged from the state before it, as if the run had never stopped.

        The same numbers come out on the same machine.
        """
        path, state = self.going_on
        self.going_on = None
        weights = {name: weight for name, weight in state["weights"].items() if not name.startswith(PREFIX)}
        self.first_look.average.load_state_dict(weights)
        self.first_look.load(state)
        self.first_look.precision = state["precision"]
        self.history, self.unfinished, self.seen = state["history"], state["unfinished"], state["seen"]
        self.look_state, self.look_init = state.get("look", {}), state.get("look_init", {})
        best = self.result / BEST
        of_best = state if self.look_state or self.best_now() or not best.exists() else read_checkpoint(best)
        self.first = {"weights": {name: of_best["weights"][name] for name in weights}, "size": of_best["size"]}
        if distributed.FIRST:
            if path.name == PREVIOUS and (last := self.result / LAST).exists():
                os.replace(last, last.with_name("damaged.pt"))  # or it would take the place of the good one
            write_csv(self.result / METRICS, self.history)
            if not self.look_state:
                self.write_best_if_missed()

    def write_best_if_missed(self) -> None:
        """Write the best state of a run that may have been killed before it did so."""
        if distributed.FIRST and self.best_now():
            write_checkpoint(self.result / BEST, self.state())


def read_state(result: Path) -> tuple[Path, dict]:
    """What RESULT/last.pt holds, or where that is damaged the state before it, and which of them it is. Raises DataError."""
    path = result / LAST
    try:
        state = read_checkpoint(path)
    except DataError as error:
        path = result / PREVIOUS
        if not path.exists():
            raise
        print(f"{error}; going on from {path}, an epoch earlier")
        state = read_checkpoint(path)
    if not {"model", "digests", "unfinished"} <= state.keys():
        raise DataError(f"{path}: holds weights alone, or the state of an earlier version; train anew with another --result")
    return path, state


def refuse_other(path: Path, state: dict, settings, data: RadiographDataset, digests: dict[str, str]) -> None:
    """Raises DataError where a state was made with other settings, or with radiographs of other digests by their role."""
    missing = {one.name: one.default for one in fields(settings)}  # of a state that is older than a setting
    then = {"landmarks": state["network"]["num_landmarks"]}, missing | state["settings"], state["data"]
    now = {"landmarks": data.points_px.shape[1]}, asdict(settings), data.settings
    free = marked(settings, MAY_DIFFER, ASIDE)
    changed = [
        (key, value, after.get(key))
        for before, after in zip(then, now)
        for key, value in before.items()
        if value != after.get(key) and key not in free
    ]
    said = [WORDS.get(key, f"{key} {value} -> {new}") for key, value, new in changed]
    other = sorted(role for role, digest in digests.items() if digest != state["digests"].get(role))
    said += [f"other radiographs or landmarks in {role}" for role in other]
    if said:
        raise DataError(f"{path}: made with other settings ({', '.join(said)}); use the same, or another --result")


def rank(ipe_px: float) -> float:
    """The figure that is least for the best epoch: validation IPE, infinite where no validation radiograph has a landmark.

    Of several epochs with the same rank the last is the best. Without validation all ranks are the same, so the last is kept.
    """
    return math.inf if math.isnan(ipe_px) else ipe_px
