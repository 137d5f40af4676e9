"""The protocol of the literature: three-fold cross-validation of the whole atlas, as one table.

    python experiments/atlas_folds.py --data dataset/processed --lists FOLDER

FOLDER holds set1_train.txt, set1_test.txt, ... of IDs. All radiographs must be prepared, in whichever folder. Flags of main.py
may follow after --. Finished folds in --work are kept.
"""

import argparse
from pathlib import Path

import numpy as np

import metrics
from experiments.common import table, train
from experiments.results import read


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("dataset/processed"))
    parser.add_argument("--lists", type=Path, required=True, help="folder of the lists")
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--work", type=Path, default=Path("result/folds"))
    parser.add_argument("more", nargs="*", help="flags of main.py")
    options = parser.parse_args()
    parts = []
    for fold in range(1, options.folds + 1):
        result = options.work / str(fold)
        train(options.data, result, "--split", options.lists / f"set{fold}_", *options.more)
        parts.append(read(result)[2])
    mm = np.concatenate(parts)
    row = [
        len(mm),
        f"{metrics.mean_of_present(mm):.2f} ± {metrics.spread_of_present(mm):.2f}",
        f"{metrics.median_of_present(mm):.2f}",
    ]
    for radius in (2, 4, 10):
        row += [f"{metrics.sdr(mm, radius):.2f}", int((mm > radius).sum())]
    header = ["radiographs", "PE, mm", "median, mm"]
    header += [part for radius in (2, 4, 10) for part in (f"SDR({radius} mm), %", f"beyond {radius} mm")]
    print(table(header, [row]))


if __name__ == "__main__":
    main()
