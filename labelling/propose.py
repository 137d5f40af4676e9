"""Proposes landmarks with trained weights, as a process of its own; the server of label.py starts it and reads what it writes.

    python -m labelling.propose --raw dataset --weights weights/own.pt --out dataset/labels/proposals/main/0001.jsonl

Every radiograph is predicted twice, whole and cut by a little at its edges: how far the copies disagree, and the calibrated
regions, tell which one the network is least sure of. IDs come one a line on standard input; none: all radiographs.
"""

import hashlib
import json
import math
import sys
from contextlib import closing
from pathlib import Path

import numpy as np

from joints.known import moved
from labelling.collection import radiographs_of, stored_names
from labelling.proposals import FRAME, Proposal, to_json
from prediction.predictor import Predictor
from prediction.regions import semi_axes
from radiographs.reading import read_radiograph
from runtime.apart import Apart
from runtime.command import exit_status, parser_of
from runtime.files import DataError

CUT = 0.02  # of each side, that the copy lacks at each edge
AGREE = 3.0  # px of the 256 frame, up to which the two copies mean the same place


def propose(predictor: Predictor, pixels: np.ndarray, by: str) -> Proposal:
    """What is proposed for a radiograph, of several hands the surest one; its doubt is in px of the 256 frame.

    Where both copies agree, the point is between the two, which is nearer to the truth than either.
    """
    rows, columns = (max(1, round(CUT * side)) for side in pixels.shape)
    both = predictor.predict([pixels, np.ascontiguousarray(pixels[rows:-rows, columns:-columns])])
    hand, of_copy = (max(hands, key=lambda hand: hand.evidence) for hands in both)
    points, others = hand.points_px, of_copy.points_px + np.array([columns, rows])
    scale = FRAME / np.array(pixels.shape[::-1], float)
    apart = np.linalg.norm((points - others) * scale, axis=1)
    points = np.where((apart < AGREE)[:, None], (points + others) / 2, points)
    regions = np.stack(semi_axes(hand.ellipse_px2), 1)
    unsure = np.fmax(apart, np.sqrt(regions[:, :2].prod(1) * scale.prod()))
    worst = np.sort(unsure[np.isfinite(unsure)])[-max(1, len(unsure) // 4) :]
    return Proposal(points.astype(np.float32), regions.astype(np.float32), by, float(worst.mean()) if worst.size else math.nan)


def name_of(weights: Path) -> str:
    """What marks call the weights: their file, and the beginning of its digest."""
    return f"{weights.name} {hashlib.sha256(weights.read_bytes()).hexdigest()[:8]}"


def names_in(path: Path) -> list[str]:
    """The names of a set's landmarks. Raises DataError."""
    if (names := stored_names(path)) is None:
        raise DataError(f"{path}: expected the names of the set's landmarks, found no file")
    return names


def run(raw: Path, weights: Path, out: Path, ids: list[str] | None, names: list[str] | None) -> None:
    """Append a line to `out` for every radiograph that can be read, of some IDs or of all. Raises DataError.

    `names`: of the set's landmarks, which the weights must have in the same order.
    """
    predictor = Predictor(weights)
    by = name_of(weights)
    if names and len(predictor.names) != len(names):
        raise DataError(f"{weights}: expected {len(names)} landmarks as in the set, found {len(predictor.names)}; use another")
    if names and (other := moved(names, predictor.names)):
        raise DataError(f"{weights}: expected the landmarks in the order of the set, found {other}; use others")
    paths, _ = radiographs_of(raw)
    wanted = [id for id in (paths if ids is None else ids) if id in paths]
    out.parent.mkdir(parents=True, exist_ok=True)
    problems = 0
    with open(out, "a", encoding="utf-8") as file, closing(Apart(read_radiograph)) as read:
        for number, id in enumerate(wanted, 1):
            try:
                proposal = propose(predictor, read(paths[id]).pixels, by)
            except DataError as error:
                problems += 1
                print(error, flush=True)
                continue
            file.write(json.dumps(to_json(id, proposal)) + "\n")
            file.flush()
            print(f"proposed {number}/{len(wanted)}", flush=True)
    print(f"proposed {len(wanted) - problems} radiographs, {problems} problems", flush=True)


def main() -> int:
    parser = parser_of(__doc__)
    parser.add_argument("--raw", type=Path, required=True, help="folder of the radiographs")
    parser.add_argument("--weights", type=Path, required=True, help="file that export.py wrote")
    parser.add_argument("--out", type=Path, required=True, help="file of JSON lines to append to")
    parser.add_argument("--set", type=Path, help="set.json of the labels, which names the landmarks")
    options = parser.parse_args()
    ids = None if sys.stdin is None or sys.stdin.isatty() else [line.strip() for line in sys.stdin if line.strip()]
    return exit_status(lambda: run(options.raw, options.weights, options.out, ids, options.set and names_in(options.set)))


if __name__ == "__main__":
    raise SystemExit(main())
