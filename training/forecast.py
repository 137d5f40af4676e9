"""How long a run will take, said once a few steps have been timed."""

import time
from collections.abc import Callable
from datetime import datetime, timedelta

UNTIMED, TIMED = 3, 10  # steps at the start, which are slower, and steps that are timed after them
FORWARD = 1 / 3  # time of a radiograph in validation, over that in training


class Forecast:
    """Told of every step, it says once how long the rest will take and when that ends."""

    def __init__(self, trained: int, validated: int, clock: Callable[[], float] = time.monotonic):
        """`trained` and `validated`: radiographs an epoch."""
        self.clock, self.steps = clock, 0
        self.longer = 1 + FORWARD * validated / trained  # time of an epoch, over that of its steps alone

    def after_step(self, progress: float) -> str | None:
        """`progress`, in [0, 1], of the run after this step."""
        self.steps += 1
        if self.steps == UNTIMED:
            self.since, self.at = self.clock(), progress
        if self.steps != UNTIMED + TIMED or progress <= self.at:
            return None
        seconds = (self.clock() - self.since) / (progress - self.at) * (1 - progress) * self.longer
        return format_eta(seconds)


def format_eta(seconds: float) -> str:
    return f"about {format_duration(seconds)} to go, until about {datetime.now() + timedelta(seconds=seconds):%H:%M}"


def format_duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 1:
        return "a minute"
    return f"{minutes} minutes" if minutes < 120 else f"{minutes / 60:.1f} hours"
