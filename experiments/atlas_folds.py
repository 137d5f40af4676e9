"""The protocol of the literature: three-fold cross-validation of the whole atlas, as one table.

    python -m experiments.atlas_folds --data dataset/processed --lists FOLDER --annotations atlas_annotations.csv

FOLDER holds set1_train.txt, set1_test.txt, ... of IDs. All radiographs must be prepared, in whichever split. Each fold starts
from weights of its own, pretrained on synthetic radiographs whose shape model knows none of its test annotations, or from the
--init that is given. Flags of main.py may follow after --. Finished folds in --work are kept.
"""

import argparse
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

import metrics
from experiments.common import prepare, read_errors, table, train
from phantom.data_set import COUNTS, write_data_set
from phantom.drawing import STEPS, shape_model
from phantom.shape import build_table
from radiographs.prepared_folder import TABLE
from radiographs.raw_folder import COORDINATES
from runtime.command import cores, exit_status
from training.runs import BEST

RADII_MM = (2, 4, 10)
PRETRAINING = ("--init", "", "--stages", "64x4 128x3", "--learning_rate", "8e-4")


def pretrained(fold: int, options: argparse.Namespace) -> Path:
    """The checkpoint of a network that has learnt from synthetic radiographs, and knows nothing of a fold's test radiographs."""
    folder = options.work / f"synthetic_{fold}"
    folder.mkdir(parents=True, exist_ok=True)
    shapes, raw, data = folder / "shape.npz", folder / "raw", folder / "processed"
    if not (raw / COORDINATES).exists():
        build_table(options.annotations, shapes, [options.lists / f"set{fold}_test.txt"])
        steps = replace(STEPS, shape_model=partial(shape_model, shapes))
        write_data_set(raw, COUNTS | {"train": options.synthetic}, fold, cores(), [steps])
    if not (data / TABLE).exists():
        prepare(raw, data, size=options.size)
    train(data, folder / "run", *PRETRAINING, *options.flags)
    return folder / "run" / BEST


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("dataset/processed"), help="prepared data")
    parser.add_argument("--lists", type=Path, required=True, help="folder of the lists")
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--annotations", type=Path, help="rows of ID, x0, y0, ... that shape models are built from")
    parser.add_argument("--synthetic", type=int, default=600, help="radiographs that each fold is pretrained on")
    parser.add_argument("--size", type=int, default=256, help="px of the network frame")
    parser.add_argument("--work", type=Path, default=Path("result/folds"), help="folder for the runs")
    parser.add_argument("flags", nargs="*", help="of main.py")
    options = parser.parse_args(arguments)
    if options.annotations is None and "--init" not in (flag.partition("=")[0] for flag in options.flags):
        parser.error("expected --annotations, or after -- an --init that has seen no test annotation: the shipped weights have")
    errors_mm = []
    for fold in range(1, options.folds + 1):
        result = options.work / str(fold)
        init = ("--init", pretrained(fold, options)) if options.annotations else ()
        train(options.data, result, "--split", options.lists / f"set{fold}_", *init, *options.flags)
        errors_mm.append(read_errors(result)[2])
    mm = np.concatenate(errors_mm)
    mean, sd, median = (metrics.of_present(figure, mm) for figure in (np.nanmean, np.nanstd, np.nanmedian))
    header, row = ["radiographs", "PE, mm", "median, mm"], [len(mm), f"{mean:.2f} ± {sd:.2f}", f"{median:.2f}"]
    for radius in RADII_MM:
        header += [f"SDR({radius} mm), %", f"beyond {radius} mm"]
        row += [f"{metrics.sdr(mm, radius):.2f}", int((mm > radius).sum())]
    print(table(header, [row]))


if __name__ == "__main__":
    sys.exit(exit_status(main))
