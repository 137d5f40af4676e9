"""The recipe study: one thing changed at a time in a short run of the default recipe, chosen by the validation radiographs.

    python -m experiments.recipes --raw dataset

trains every row with every seed and prints a table for docs/results.md; the held-out test radiographs stay unseen. Heatmaps
are of 3 px, the default before this study, where a row does not say otherwise. Finished runs in --work are kept, so it may be
stopped and goes on; --rows "sigma 2 px,no dropout" runs some rows alone. Flags of main.py for all rows may follow after --.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from experiments.common import prepare, some_of, table, train
from runtime.command import exit_status
from runtime.files import read_csv

BASE = ("--stages", "128x2", "--warmup", "20")
ROWS: dict[str, tuple[dict, tuple[str, ...]]] = {  # name: (changes of the preparation, flags)
    "baseline (2 epochs)": ({}, ()),
    "sigma 1.5 px": ({"sigma": 1.5}, ()),
    "sigma 2 px": ({"sigma": 2.0}, ()),
    "sigma 4 px": ({"sigma": 4.0}, ()),
    "histograms not matched": ({"reference": "none"}, ()),
    "random weights (learning rate 8e-4)": ({}, ("--init", "", "--learning_rate", "8e-4")),
    "learning rate 3e-4": ({}, ("--learning_rate", "3e-4")),
    "learning rate 1.2e-3": ({}, ("--learning_rate", "1.2e-3")),
    "constant learning rate": ({}, ("--schedule", "constant")),
    "learning rate falling as a cosine": ({}, ("--schedule", "cosine")),
    "Adam with beta 0.5 and 0.999": ({}, ("--beta1", "0.5", "--beta2", "0.999")),
    "no averaged weights": ({}, ("--averaging", "0")),
    "no dropout": ({}, ("--dropout", "0")),
    "dropout 0.5": ({}, ("--dropout", "0.5")),
    "batch of 4": ({}, ("--batch_size", "4")),
    "no elastic deformation": ({}, ("--elastic", "0")),
    "twice the augmentation": (
        {},
        tuple("--translation 0.06 --rotation 20 --scaling 0.2 --stretch 0.1 --elastic 0.06".split()),
    ),
    "no augmentation": (
        {},
        tuple("--translation 0 --rotation 0 --scaling 0 --stretch 0 --elastic 0 --intensity_scale 0 --intensity_shift 0".split()),
    ),
    "at 64 px (4 epochs)": ({}, ("--stages", "64x4")),
}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--raw", type=Path, default=Path("dataset"), help="raw folder of real radiographs")
    parser.add_argument("--size", type=int, default=256, help="px of the network frame")
    parser.add_argument("--work", type=Path, default=Path("result/recipes"), help="folder for what is made on the way")
    parser.add_argument("--seeds", type=int, default=2, help="runs of each row")
    parser.add_argument("--rows", type=some_of(ROWS), default=list(ROWS), help="names of some rows, separated by commas")
    parser.add_argument("flags", nargs="*", help="of main.py")
    options = parser.parse_args(arguments)
    rows = []
    for name in options.rows:
        preparation, flags = ROWS[name]
        data = options.work / ("data" + "".join(f"_{key}_{value}" for key, value in preparation.items()))
        if not (data / "landmarks.csv").exists():
            prepare(options.raw, data, **preparation, size=options.size)
        ipe, seconds = [], []
        for seed in range(options.seeds):
            result = options.work / f"{name.replace(' ', '_')}_{seed}"
            figures = train(data, result, "--seed", seed, "--test_on", "valid", *BASE, *flags, *options.flags)
            ipe.append(figures["ipe_px"])
            seconds.append(sum(float(row["seconds"]) for row in read_csv(result / "metrics.csv")))
        spread = f" ± {np.std(ipe, ddof=1):.3f}" if len(ipe) > 1 else ""
        rows.append([name, f"{np.mean(ipe):.3f}{spread}", f"{np.mean(seconds):.0f}"])
        print(table(["changed", f"validation IPE, px ({options.seeds} seeds)", "seconds"], rows), flush=True)


if __name__ == "__main__":
    sys.exit(exit_status(main))
