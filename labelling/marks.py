"""What a reader has said of a landmark, and what the state of a radiograph is."""

import math
import sys
from typing import NamedTuple

from runtime.files import DataError

CONFIRMED, ABSENT = "confirmed", "absent"  # decided: placed or accepted by a person; cannot be seen, so a person says
PROPOSED = "proposed"  # moved together with others, and not accepted yet
REMOVED = "removed"  # taken away by a person: no proposal shows there again
STATES = (CONFIRMED, ABSENT, PROPOSED, REMOVED)
PLACED = (CONFIRMED, PROPOSED)  # states that have a position
DECIDED = (CONFIRMED, ABSENT)
NONE, PARTLY, DONE = "none", "partly", "done"  # states of a radiograph, beside PROPOSED


class Mark(NamedTuple):
    """One landmark of one radiograph, in the radiograph's own pixels; (0, 0) is the centre of the first one."""

    state: str  # one of STATES
    x: float = math.nan  # px, where it is PLACED
    y: float = math.nan
    unsure: bool = False  # the reader doubts it
    by: str = ""  # whose proposal was there: the weights, a table, a prediction folder
    proposal: tuple[float, float] | None = None  # px, that proposal
    shown: bool = False  # whether the reader saw it

    def to_json(self) -> dict:
        """Only what says something."""
        said = {"state": self.state}
        if self.state in PLACED:
            said |= {"x": self.x, "y": self.y}
        if self.unsure:
            said["unsure"] = True
        if self.by:
            said |= {"by": self.by, "shown": self.shown}
        if self.proposal is not None:
            said["proposal"] = list(self.proposal)
        return said


def mark_from(said: object) -> Mark | None:
    """What `Mark.to_json` says; None for no mark. Raises DataError."""
    if said is None:
        return None
    if not isinstance(said, dict) or said.get("state") not in STATES:
        raise DataError(f"expected a mark with a state of {', '.join(STATES)}, found {str(said)[:80]!r}")
    x, y = math.nan, math.nan
    if said["state"] in PLACED:
        x, y = (coordinate(said.get(axis)) for axis in "xy")
    proposal = said.get("proposal")
    if proposal is not None:
        if not isinstance(proposal, list) or len(proposal) != 2:
            raise DataError("expected a proposal of two numbers")
        proposal = tuple(coordinate(value) for value in proposal)
    return Mark(
        said["state"], x, y, said.get("unsure") is True, str(said.get("by", ""))[:200], proposal, said.get("shown") is True
    )


def coordinate(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= sys.float_info.max:
        raise DataError(f"expected a finite number as a coordinate, found {str(value)[:40]!r}")
    return float(value)


def state_of(marks: list[Mark | None], proposed: bool) -> str:
    """The state of a radiograph: done where every landmark is decided; `proposed`: whether proposals are shown on it."""
    decided = sum(mark is not None and mark.state in DECIDED for mark in marks)
    if decided == len(marks):
        return DONE
    if decided or any(mark is not None and mark.state == REMOVED for mark in marks):
        return PARTLY
    return PROPOSED if proposed or any(marks) else NONE
