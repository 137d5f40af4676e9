"""The protocol of the literature: three-fold cross-validation of the whole atlas, as one table.

    python -m experiments.atlas_folds --data dataset/processed --lists FOLDER --annotations atlas_annotations.csv

FOLDER holds set1_train.txt, set1_test.txt, ... of IDs. All radiographs must be prepared, in whichever split. Each fold starts
from weights of its own, pretrained on synthetic radiographs whose shape model knows none of its test annotations, or from the
--init that is given. Flags of main.py may follow after --. Finished folds in --work are kept.
"""

from pathlib import Path

import numpy as np

import metrics
from experiments.common import SYNTHETIC, pretrained, read_errors, table, train
from runtime.command import exit_status, parser_of

RADII_MM = (2, 4, 10)


def main(arguments: list[str] | None = None) -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--data", type=Path, default=Path("dataset/processed"), help="prepared data")
    parser.add_argument("--lists", type=Path, required=True, help="folder of the lists")
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--annotations", type=Path, help="rows of ID, x0, y0, ... that shape models are built from")
    parser.add_argument("--synthetic", type=int, default=SYNTHETIC, help="radiographs that each fold is pretrained on")
    parser.add_argument("--size", type=int, default=256, help="px of the network frame")
    parser.add_argument("--work", type=Path, default=Path("result/folds"), help="folder for the runs")
    parser.add_argument("flags", nargs="*", help="of main.py")
    options = parser.parse_args(arguments)
    if options.annotations is None and "--init" not in (flag.partition("=")[0] for flag in options.flags):
        parser.error("expected --annotations, or after -- an --init that has seen no test annotation: the shipped weights have")
    errors_mm = []
    for fold in range(1, options.folds + 1):
        result = options.work / str(fold)
        lists, init = options.lists / f"set{fold}_", ()
        if options.annotations:
            folder, unknown = options.work / f"synthetic_{fold}", [lists.with_name(f"{lists.name}test.txt")]
            start = pretrained(folder, options.annotations, unknown, options.synthetic, options.size, fold, options.flags)
            init = "--init", start
        train(options.data, result, "--split", lists, *init, *options.flags)
        errors_mm.append(read_errors(result)[2])
    mm = np.concatenate(errors_mm)
    mean, sd, median = (metrics.of_present(figure, mm) for figure in (np.nanmean, np.nanstd, np.nanmedian))
    header, row = ["radiographs", "PE, mm", "median, mm"], [len(mm), f"{mean:.2f} ± {sd:.2f}", f"{median:.2f}"]
    for radius in RADII_MM:
        header += [f"SDR({radius} mm), %", f"beyond {radius} mm"]
        row += [f"{metrics.sdr(mm, radius):.2f}", int((mm > radius).sum())]
    print(table(header, [row]))


if __name__ == "__main__":
    raise SystemExit(exit_status(main))
