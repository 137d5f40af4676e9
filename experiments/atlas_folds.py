"""The protocol of the literature: three-fold cross-validation of the whole atlas, as one table.

    python -m experiments.atlas_folds --data dataset/processed --lists FOLDER

FOLDER holds set1_train.txt, set1_test.txt, ... of IDs. All radiographs must be prepared, in whichever split. Flags of main.py
may follow after --. Finished folds in --work are kept.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

import metrics
from experiments.common import read_errors, table, train
from runtime.command import exit_status

RADII_MM = (2, 4, 10)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("dataset/processed"), help="prepared data")
    parser.add_argument("--lists", type=Path, required=True, help="folder of the lists")
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--work", type=Path, default=Path("result/folds"), help="folder for the runs")
    parser.add_argument("flags", nargs="*", help="of main.py")
    options = parser.parse_args(arguments)
    errors_mm = []
    for fold in range(1, options.folds + 1):
        result = options.work / str(fold)
        train(options.data, result, "--split", options.lists / f"set{fold}_", *options.flags)
        _, _, of_fold_mm = read_errors(result)
        errors_mm.append(of_fold_mm)
    mm = np.concatenate(errors_mm)
    header = ["radiographs", "PE, mm", "median, mm"]
    row = [
        len(mm),
        f"{metrics.mean_of_present(mm):.2f} ± {metrics.spread_of_present(mm):.2f}",
        f"{metrics.median_of_present(mm):.2f}",
    ]
    for radius in RADII_MM:
        header += [f"SDR({radius} mm), %", f"beyond {radius} mm"]
        row += [f"{metrics.sdr(mm, radius):.2f}", int((mm > radius).sum())]
    print(table(header, [row]))


if __name__ == "__main__":
    sys.exit(exit_status(main))
