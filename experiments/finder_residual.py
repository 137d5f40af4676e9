"""What the finder leaves to the network's augmentation: how far its views are from those that the annotations would give.

    python -m experiments.finder_residual --raw dataset --weights weights/scn_hand.pt

shows it the validation radiographs of a raw folder under some conditions of the stress table, and prints the median and the
95th percentile of what is left: angle, size, place, and the view's sides.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from experiments.common import table
from experiments.stress import CONDITIONS
from prediction.predictor import Predictor
from radiographs.raw_folder import COORDINATES, find_radiographs, read_points
from radiographs.reading import read_radiograph
from runtime.command import exit_status

CHOSEN = (
    "as it came",
    "hand at 60 %",
    "hand at 25 %",
    "turned by 30 degrees",
    "turned by 135 degrees",
    "mirrored",
    "inverted",
    "CLAHE (0.03)",
    "noise (SD 40)",
)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--raw", type=Path, default=Path("dataset"), help="raw folder of real radiographs")
    parser.add_argument("--weights", type=Path, default=Path("weights/scn_hand.pt"), help="a file of export.py")
    options = parser.parse_args(arguments)
    predictor, points = Predictor(options.weights), read_points(options.raw / COORDINATES)
    files, _ = find_radiographs(options.raw)
    valid = sorted(id for id, (split, _) in files.items() if split == "valid")
    rows = []
    for name in CHOSEN:
        left = []
        for number, id in enumerate(valid):
            changed = CONDITIONS[name](read_radiograph(files[id][1]).pixels, np.random.default_rng(number))
            found = predictor.finder.find(changed.picture)[0]
            truth = points[id] @ changed.matrix.T + changed.shift
            best = predictor.finder.canon.found(truth, mirrored=np.linalg.det(changed.matrix) < 0)
            turn = found.placement.turn / best.placement.turn
            sides = np.ptp(found.frame, axis=0) / np.ptp(best.frame, axis=0) * abs(turn)
            middle = best.placement.undo(found.placement.apply(found.frame.mean(0))) - best.frame.mean(0)
            off = np.abs(middle / np.ptp(best.frame, axis=0)).max()
            wrong_side = found.placement.mirrored != best.placement.mirrored
            left.append([abs(np.degrees(np.angle(turn))), 100 * np.abs(np.log(sides)).max(), 100 * off, wrong_side])
        left = np.array(left)
        ranges = [f"{np.median(column):.1f} / {np.percentile(column, 95):.1f}" for column in left.T[:3]]
        rows.append([name, *ranges, int(left[:, 3].sum())])
    print(table(["radiographs", "angle, degrees", "sides, %", "middle, % of the view", "wrong sides"], rows))


if __name__ == "__main__":
    sys.exit(exit_status(main))
