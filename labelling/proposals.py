"""Points that a network or a prediction folder proposes. They lie apart from what persons placed, and change none of it."""

import csv
import json
import math
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from prediction.calibration import OUTSIDE
from radiographs.names import without_ending
from radiographs.raw_folder import same_form
from runtime.files import DataError, read_csv

FOLDER = "proposals"  # inside the labels, a folder a reader: one file of JSON lines a run of propose.py, in their order
FRAME = 256  # px of the square frame that errors are told in


@dataclass(frozen=True)
class Proposal:
    """Points of one radiograph (L)."""

    points_px: np.ndarray  # (L, 2) float32 as (x, y), NaN where nothing is proposed
    regions: np.ndarray  # (L, 3) calibrated ellipses: semi-axes px, angle of the longer one in degrees; NaN where unknown
    by: str  # which weights
    doubt: float  # how unsure the network is: px of the 256 frame; of a folder as it says, or 1 - the least confidence
    reviewed: bool = False  # from a prediction folder
    disagrees: bool = False  # with annotations that there are: it is looked at though the radiograph is done


def rounded(value: float, digits: int = 3) -> float | None:
    """A number as JSON has it, which knows no NaN."""
    return None if math.isnan(value) else round(value, digits)


def as_lists(points: np.ndarray) -> list[list[float | None]]:
    return [[rounded(value) for value in row] for row in points.tolist()]


def inside(points: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Which points (..., 2) px lie in a radiograph of a size (x, y) px: (...) bool. One beside it, or NaN, is no position."""
    return ((points >= -0.5) & (points <= np.array(size) - 0.5)).all(-1)


def to_json(id: str, proposal: Proposal) -> dict:
    points = as_lists(np.column_stack([proposal.points_px, proposal.regions]))
    return {"id": id, "by": proposal.by, "doubt": rounded(proposal.doubt, 4), "points": points}


def from_json(line: dict, landmarks: int) -> tuple[str, Proposal]:
    values = np.array(line["points"], np.float32)  # None becomes NaN
    if values.shape != (landmarks, 5):
        raise ValueError(f"expected {landmarks} points, found {values.shape[0]}")
    doubt = math.nan if line.get("doubt") is None else float(line["doubt"])
    return str(line["id"]), Proposal(values[:, :2], values[:, 2:], str(line["by"])[:200], doubt)


def read_proposals(folder: Path, landmarks: int) -> dict[str, Proposal]:
    """The newest proposal of every radiograph; of an unfinished run, as far as it came."""
    found: dict[str, Proposal] = {}
    for path in sorted(folder.glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                id, proposal = from_json(json.loads(line), landmarks)
            except (ValueError, KeyError, TypeError):
                continue  # the last line of a run that was killed, or of a set with other landmarks
            found[id] = proposal
    return found


def read_predictions(folder: Path, paths: dict[str, Path]) -> tuple[dict[str, Proposal], list[str], int]:
    """What predict.py wrote: proposals by ID, the landmarks' names, and how many pictures have no radiograph in the set.

    `paths` are those of the set by ID. Of several hands in a picture it is the surest one. Raises DataError.
    """
    path = folder / "landmarks.csv"
    try:
        hands: dict[str, dict[str, list[dict]]] = {}
        for row in read_csv(path):
            hands.setdefault(row["image"], {}).setdefault(row["hand"], []).append(row)
        if not hands:
            raise DataError(f"{path}: expected predictions, found none; run predict.py again")
        names = [row["name"] for row in next(iter(next(iter(hands.values())).values()))]
        found, images = {}, {}
        for image, of_image in hands.items():
            if (id := id_of(image, paths)) is None:
                continue
            if id in found:
                raise DataError(f"{path}: {images[id]} and {image} can both be {paths[id]}; predict its folder alone")
            images[id] = image
            proposals = [proposal_of(rows, str(folder)) for rows in of_image.values()]
            if any(len(one.points_px) != len(names) for one in proposals):
                raise DataError(f"{path}: expected {len(names)} landmarks of {image}, found another number; run predict.py again")
            found[id] = min(proposals, key=lambda one: one.doubt)
    except FileNotFoundError:
        raise DataError(f"{path}: not found; --review names a folder that predict.py or main.py wrote") from None
    except (KeyError, TypeError, ValueError, csv.Error) as error:  # TypeError: of a row that was cut
        raise DataError(f"{path}: not as predict.py writes it ({error}); run it again") from error
    return found, names, len(hands) - len(found)


def id_of(image: str, paths: dict[str, Path]) -> str | None:
    """The radiograph whose path ends with all of what predict.py calls `image`, but for the endings of formats."""
    parts = parts_of(image)
    path = paths.get(parts[-1])
    return parts[-1] if path and parts_of(os.path.abspath(path))[-len(parts) :] == parts else None


def parts_of(path: str) -> list[str]:
    """Folders and ID; of a path from elsewhere (../) what comes after that."""
    *folders, name = [same_form(part) for part in Path(os.path.normpath(path)).parts if part != os.pardir]
    return [*folders, same_form(without_ending(name))]


def proposal_of(rows: list[dict[str, str]], by: str) -> Proposal:
    """The landmarks of one hand; one that lies outside the picture is not proposed, since its numbers are no position."""
    columns = ("confidence", "x", "y", "semi_major", "semi_minor", "angle")
    confidence, *numbers = np.array([[float(row[name] or "nan") for row in rows] for name in columns], np.float32)
    place = np.stack(numbers, 1)
    place[[OUTSIDE in row["landmark_flags"] for row in rows]] = math.nan
    least_sure = np.sort(confidence)[: max(1, len(rows) // 4)]
    apart = rows[0].get("doubt", "")  # a column that main.py writes
    doubt = float(apart or 1 - np.nanmean(least_sure))
    return Proposal(place[:, :2], place[:, 2:], by, doubt, reviewed=True, disagrees=bool(apart))
