"""Which size and learning rate the next epoch has: as the settings lay down, or by what validation has said so far.

Either way it depends on the epochs done alone, so a run that goes on decides as one that never stopped.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from metrics import mean_of_present
from training.schedule import epoch_cost, progress_after_epochs, schedule_factor

FALL = 0.5  # epochs in which the learning rate falls to 0 at the end, for each epoch before at that size
GAIN = 0.03  # share by which the error must fall in some rounds, or it counts as no longer falling
EVENING_GAIN, EVENING_PATIENCE = 0.01, 4  # the same with --hours, at the last size
EARLY_PATIENCE = 1  # rounds that must bring GAIN at the sizes before the last, which only lead to it
EXACT = 0.1  # px of the network frame: an error below it has stopped falling, as where the only radiograph validates itself
MOST = 24  # rounds of a stage at most
STILL = "still falling"
BEGUN = 0.9  # share of the mean shape's error: above it nothing has been learnt yet, so nothing can have stopped


@dataclass
class Epoch:
    """What the next epoch is to be; `factor`(i, n) is that on the learning rate at step i of n."""

    size: int
    factor: Callable[[int, int], float]
    fall: float = 0.0  # share of the learning rate's final fall that is over after this epoch
    says: str = ""  # what has been decided, and why


def epochs_of_fall(steady: int) -> int:
    return max(1, math.ceil(FALL * steady))


def falling(start: float, step: float, i: int, n: int) -> float:
    return 1 - start - step * i / n


class Laid:
    """Epochs that the settings count; `schedule` linear, cosine or constant over all of them, or fall at their end."""

    bound, seconds, unfinished = "", math.inf, ""

    def __init__(self, sizes: list[int], schedule: str, network_size: int):
        self.sizes, self.schedule = sizes, schedule
        self.progress = progress_after_epochs(sizes, network_size)
        last = sizes.count(sizes[-1]) if sizes else 0
        self.fall = last - max((n for n in range(last) if n + epochs_of_fall(n) <= last), default=0)

    def next(self, rows: list[dict], spent: float = 0) -> Epoch | None:
        """After the epochs of `rows`; None: all is done."""
        done = len(rows)
        if done == len(self.sizes):
            return None
        begin, end = self.progress[done : done + 2]
        if self.schedule != "fall":
            return Epoch(self.sizes[done], lambda i, n: schedule_factor(self.schedule, begin + i * ((end - begin) / n)))
        fallen = done - (len(self.sizes) - self.fall)
        if fallen < 0:
            return Epoch(self.sizes[done], lambda i, n: 1.0)
        return Epoch(self.sizes[done], partial(falling, fallen / self.fall, 1 / self.fall), (fallen + 1) / self.fall)


class ByValidation:
    """Epochs at each size until the validation error has stopped falling there, and at the end a fall of the learning rate.

    Rounds, of so many epochs that single ones do not decide, are compared by their mean errors.
    """

    bound = "at least "

    def __init__(
        self,
        sizes: list[int],
        network_size: int,
        round_epochs: int,
        unlearnt_px: float,
        seconds: float = math.inf,
        patience: int = 2,
    ):
        """`unlearnt_px`: the mean shape's error; `seconds`: in which all is done; `patience`: at the last size, rounds."""
        self.sizes, self.network_size, self.round_epochs, self.seconds = sizes, network_size, round_epochs, seconds
        self.begun_px = BEGUN * (unlearnt_px or math.inf)  # 0 of a single radiograph, which is its own mean
        evening = math.isfinite(seconds)
        self.gain, self.patience = (EVENING_GAIN, EVENING_PATIENCE) if evening else (GAIN, patience)
        early, last = ((1 + rounds) * round_epochs for rounds in (EARLY_PATIENCE, self.patience))
        least = [size for size in sizes[:-1] for _ in range(early)] + sizes[-1:] * (last + epochs_of_fall(last))
        self.progress = progress_after_epochs(least, network_size)
        self.unfinished = ""  # why training ended though the error was still falling

    def next(self, rows: list[dict], spent: float = 0) -> Epoch | None:
        """After the epochs of `rows`, and `spent` seconds before them; None: all is done."""
        before_fall = [row for row in rows if not row["fall"]]
        size = before_fall[-1]["size"] if rows else self.sizes[0]
        steady = [row for row in before_fall if row["size"] == size]
        fallen, fall = len(rows) - len(before_fall), epochs_of_fall(len(steady))
        stopped, late = self.stopped(steady), self.late(before_fall, spent, size, epochs_of_fall(len(steady) + 1))
        if not (stopped or late or fallen):
            return Epoch(size, lambda i, n: 1.0)
        finer = self.sizes[self.sizes.index(size) + 1 :]
        if finer:
            late = late or self.late(before_fall, spent, finer[0], 1)
            if not (late or fallen):
                return Epoch(finer[0], lambda i, n: 1.0, says=f"{stopped}: on to {finer[0]} px")
        enough = not finer and (stopped or not self.gained(steady))
        self.unfinished = stopped if STILL in stopped else "" if enough else late
        if fallen == fall:
            return None
        says = "" if fallen else f"{late or stopped}: the learning rate falls over {fall} epochs"
        return Epoch(size, partial(falling, fallen / fall, 1 / fall), (fallen + 1) / fall, says)

    def stopped(self, steady: list[dict]) -> str:
        """Why the steady epochs at a size are enough, blank where they are not."""
        is_last = bool(steady) and steady[0]["size"] == self.sizes[-1]
        gain, patience = (self.gain, self.patience) if is_last else (GAIN, EARLY_PATIENCE)
        count = len(steady) // self.round_epochs
        if len(steady) % self.round_epochs or count <= patience:
            return ""
        errors = self.rounds(steady)
        before, lately = min(errors[:-patience]), min(errors[-patience:])
        if math.isnan(lately):
            return "validation shows no landmark"
        falls = EXACT < lately <= (1 - gain) * before
        if (falls or lately > self.begun_px) and count < MOST:
            return ""
        said = f"validation error {before:.2f} -> {lately:.2f} px in {patience * self.round_epochs} epochs"
        return f"{said}, {STILL} after the {len(steady)} that are allowed" if falls else said

    def gained(self, steady: list[dict]) -> bool:
        """Whether the last round at a size was still better than those before; before there are two, nothing says no."""
        errors = self.rounds(steady)
        return len(errors) < 2 or errors[-1] <= (1 - self.gain) * min(errors[:-1])

    def late(self, rows: list[dict], spent: float, size: int, fall: int) -> str:
        """Why one more epoch at a size and the fall after it do not fit into the time; blank where they do."""
        if not rows or math.isinf(self.seconds):
            return ""
        left = self.seconds - spent - sum(row["seconds"] for row in rows)
        seconds = rows[-1]["seconds"] * epoch_cost(size, self.network_size) / epoch_cost(rows[-1]["size"], self.network_size)
        return f"{max(0, left) / 60:.0f} minutes are left" if left < (fall + 1) * seconds else ""

    def rounds(self, rows: list[dict]) -> list[float]:
        errors = [row["valid_near_px"] for row in rows[: len(rows) // self.round_epochs * self.round_epochs]]
        return np.reshape(errors, (-1, self.round_epochs)).mean(1).tolist()


def mean_shape_error(train: np.ndarray, others: np.ndarray) -> float:
    """How far landmarks (N, L, 2) lie from their means over the training radiographs: what no learning at all would give."""
    return float(mean_of_present(np.linalg.norm(others - mean_of_present(train, 0), axis=-1)))
