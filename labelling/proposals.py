"""Points that a network or a prediction folder proposes. They lie apart from what persons placed, and change none of it."""

import csv
import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from radiographs.reading import without_ending
from runtime.files import DataError

FOLDER = "proposals"  # inside the labels, a folder a reader: one file of JSON lines a run of propose.py, in their order
FRAME = 256  # px of the square frame that errors are told in


@dataclass(frozen=True)
class Proposal:
    """Points of one radiograph (L)."""

    points_px: np.ndarray  # (L, 2) float32 as (x, y), NaN where nothing is proposed
    radius_px: np.ndarray  # (L,) calibrated: the truth lies within; NaN where unknown
    by: str  # which weights
    doubt: float  # how unsure the network is: 256-frame px, larger is less sure


def to_json(id: str, points_px: np.ndarray, radius_px: np.ndarray, by: str, doubt: float) -> dict:
    rounded = np.round(np.column_stack([points_px, radius_px]).astype(float), 3).tolist()
    points = [[None if math.isnan(value) else value for value in row] for row in rounded]
    return {"id": id, "by": by, "doubt": None if math.isnan(doubt) else round(float(doubt), 4), "points": points}


def from_json(line: dict, landmarks: int) -> tuple[str, Proposal]:
    values = np.array([[math.nan if v is None else v for v in row] for row in line["points"]], np.float32)
    if values.shape != (landmarks, 3):
        raise ValueError(f"expected {landmarks} points, found {values.shape[0]}")
    doubt = math.nan if line.get("doubt") is None else float(line["doubt"])
    return str(line["id"]), Proposal(values[:, :2], values[:, 2], str(line["by"])[:200], doubt)


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


def read_predictions(folder: Path, ids: set[str]) -> tuple[dict[str, Proposal], list[str], int]:
    """What predict.py wrote: proposals by ID, the landmarks' names, and how many pictures have no radiograph in the set.

    Raises DataError.
    """
    path = folder / "landmarks.csv"
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        by_image: dict[str, list[dict]] = {}
        for row in rows:
            by_image.setdefault(row["image"], []).append(row)
        if not by_image:
            raise DataError(f"{path}: expected predictions, found none; run predict.py again")
        names = [row["name"] for row in next(iter(by_image.values()))]
        found, unknown = {}, 0
        for image, of_image in by_image.items():
            id = without_ending(Path(image.removeprefix("'")).name)
            if id not in ids:
                unknown += 1
                continue
            numbers = np.array([[float(row[c] or "nan") for c in ("x", "y", "radius", "confidence")] for row in of_image])
            if len(numbers) != len(names):
                raise DataError(f"{path}: expected {len(names)} landmarks of {image}, found {len(numbers)}; run predict.py again")
            doubt = 1 - float(np.nanmean(np.sort(numbers[:, 3])[: max(1, len(names) // 4)]))  # of the least sure quarter
            found[id] = Proposal(numbers[:, :2].astype(np.float32), numbers[:, 2].astype(np.float32), str(folder), doubt)
    except FileNotFoundError:
        raise DataError(f"{path}: not found; --review names a folder that predict.py wrote") from None
    except (KeyError, ValueError, csv.Error) as error:
        raise DataError(f"{path}: not as predict.py writes it ({error}); run it again") from error
    return found, names, unknown
