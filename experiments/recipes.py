"""The recipe study: one thing changed at a time in a short run of the default recipe, chosen by cross-validation.

    python -m experiments.recipes --raw dataset

trains every row on every fold of train and valid, and prints errors out of fold, mean and SD over folds, for docs/results.md; the
test radiographs stay unseen. Heatmaps are of 3 px, the default before this study, where a row does not say otherwise. It may be
stopped and goes on; --rows "sigma 2 px,no dropout" runs some rows alone. Flags of main.py for all rows may follow after --.
"""

import argparse
import shlex
import sys
from pathlib import Path

import numpy as np

from experiments.common import out_of_fold, prepare, some_of, table
from runtime.command import exit_status

BASE = ("--stages", "128x2", "--warmup", "20")
ROWS = {  # name: changes of the preparation, flags
    "baseline (2 epochs)": ({}, ""),
    "sigma 1.5 px": ({"sigma": 1.5}, ""),
    "sigma 2 px": ({"sigma": 2.0}, ""),
    "sigma 4 px": ({"sigma": 4.0}, ""),
    "histograms not matched": ({"reference": "none"}, ""),
    "random weights (learning rate 8e-4)": ({}, "--init '' --learning_rate 8e-4"),
    "learning rate 3e-4": ({}, "--learning_rate 3e-4"),
    "learning rate 1.2e-3": ({}, "--learning_rate 1.2e-3"),
    "constant learning rate": ({}, "--schedule constant"),
    "learning rate falling as a cosine": ({}, "--schedule cosine"),
    "Adam with beta 0.5 and 0.999": ({}, "--beta1 0.5 --beta2 0.999"),
    "no averaged weights": ({}, "--averaging 0"),
    "no dropout": ({}, "--dropout 0"),
    "dropout 0.5": ({}, "--dropout 0.5"),
    "batch of 4": ({}, "--batch_size 4"),
    "no elastic deformation": ({}, "--elastic 0"),
    "twice the augmentation": ({}, "--translation 0.06 --rotation 20 --scaling 0.2 --stretch 0.1 --elastic 0.06"),
    "no augmentation": (
        {},
        "--translation 0 --rotation 0 --scaling 0 --stretch 0 --elastic 0 --intensity_scale 0 --intensity_shift 0",
    ),
    "widths learnt": ({"sigma": 2.0}, "--learn_sigma 1"),
    "widths learnt, along and across": ({"sigma": 2.0}, "--learn_sigma 1 --anisotropic"),
    "at 64 px (4 epochs)": ({}, "--stages 64x4"),
}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--raw", type=Path, default=Path("dataset"), help="raw folder of real radiographs")
    parser.add_argument("--size", type=int, default=256, help="px of the network frame")
    parser.add_argument("--work", type=Path, default=Path("result/recipes"), help="folder for what is made on the way")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--rows", type=some_of(ROWS), default=list(ROWS), help="names of some rows, separated by commas")
    parser.add_argument("flags", nargs="*", help="of main.py")
    options = parser.parse_args(arguments)
    rows = []
    for name in options.rows:
        preparation, flags = ROWS[name]
        data = options.work / ("data" + "".join(f"_{key}_{value}" for key, value in preparation.items()))
        if not (data / "landmarks.csv").exists():
            prepare(options.raw, data, **preparation, size=options.size)
        result = options.work / name.replace(" ", "_")
        figures = out_of_fold(data, result, options.folds, *BASE, *shlex.split(flags), *options.flags)
        of_folds = figures["ipe_px_of_folds"]
        spread = f"{np.mean(of_folds):.3f} ± {np.std(of_folds, ddof=1):.3f}"
        rows.append([name, spread, *(f"{figures['or_px'][radius]:.2f}" for radius in ("4", "10"))])
        print(table(["changed", f"IPE, px ({options.folds} folds)", "Or(4)", "Or(10)"], rows), flush=True)


if __name__ == "__main__":
    sys.exit(exit_status(main))
