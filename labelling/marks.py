"""What a reader has said of a landmark, and what the state of a radiograph is."""

import math
import sys
from typing import NamedTuple

from runtime.files import DataError

CONFIRMED, ABSENT = "confirmed", "absent"  # decided: placed or accepted by a person; cannot be seen, so a person says
PROPOSED = "proposed"  # moved together with others, and not accepted yet
REMOVED = "removed"  # taken away by a person: no proposal shows there again
MARKS = (CONFIRMED, ABSENT, PROPOSED, REMOVED)
PLACED = (CONFIRMED, PROPOSED)  # states that have a position
DECIDED = (CONFIRMED, ABSENT)
NONE, PARTLY, DONE = "none", "partly", "done"
STATES = (NONE, PROPOSED, PARTLY, DONE)  # of a radiograph


class Mark(NamedTuple):
    """One landmark of one radiograph, in the radiograph's own pixels; (0, 0) is the centre of the first one."""

    state: str  # one of MARKS
    x: float = math.nan  # px, where it is PLACED
    y: float = math.nan
    unsure: bool = False  # the reader doubts it
    by: str = ""  # whose proposal was there: the weights, a table, a prediction folder
    proposal: tuple[float, float] | None = None  # px, that proposal
    shown: bool = False  # whether the reader saw it


def as_json(mark: Mark | None) -> dict | None:
    """Without the fields that say nothing."""
    if mark is None:
        return None
    said = {"state": mark.state}
    if mark.state in PLACED:
        said |= {"x": mark.x, "y": mark.y}
    if mark.unsure:
        said["unsure"] = True
    if mark.by:
        said |= {"by": mark.by, "shown": mark.shown}
    if mark.proposal is not None:
        said["proposal"] = list(mark.proposal)
    return said


def mark_from(said: object) -> Mark | None:
    """The inverse of `as_json`. Raises DataError."""
    if said is None:
        return None
    if not isinstance(said, dict) or said.get("state") not in MARKS:
        raise DataError(f"expected a mark with a state of {', '.join(MARKS)}, found {str(said)[:80]!r}")
    x, y = (coordinate(said.get(axis)) if said["state"] in PLACED else math.nan for axis in "xy")
    proposal = said.get("proposal")
    if proposal is not None:
        if not isinstance(proposal, list) or len(proposal) != 2:
            raise DataError("expected a proposal of two numbers")
        proposal = tuple(map(coordinate, proposal))
    by = str(said.get("by", ""))[:200]
    return Mark(said["state"], x, y, said.get("unsure") is True, by, proposal, said.get("shown") is True)


def coordinate(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= sys.float_info.max:
        raise DataError(f"expected a finite number as a coordinate, found {str(value)[:40]!r}")
    return float(value)


def state_of(marks: list[Mark | None]) -> str:
    """The state of a radiograph, shown proposals aside: done where every landmark is decided."""
    states = {mark.state for mark in marks if mark}
    if None not in marks and states <= set(DECIDED):
        return DONE
    if states - {PROPOSED}:
        return PARTLY
    return PROPOSED if states else NONE
