"""What pretraining on synthetic radiographs is worth to a user with ten annotated radiographs.

    python -m experiments.ten_radiographs --raw dataset --init weights/scn_synthetic.pt

draws ten training radiographs of a raw folder three times, and trains on each ten twice with the same steps: fine-tuning the
weights of --init, and from random ones. It prints the validation errors as a table for docs/synthetic.md. Finished parts in
--work are not made again. Flags of main.py for all runs may follow after --.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from experiments.common import prepare, table, train
from radiographs.raw_folder import COORDINATES, SPLITS, find_radiographs
from runtime.command import exit_status

STEPS = ("--stages", "64x10 128x10", "--warmup", "20")


def link_some(raw: Path, folder: Path, count: int, seed: int) -> list[str]:
    """Make a raw folder, by links: `count` training radiographs of another, its validation ones, and `count` others as test.

    Returns the training IDs.
    """
    radiographs, _ = find_radiographs(raw)
    train_ids = sorted(id for id, (split, _) in radiographs.items() if split == "train")
    order = np.random.default_rng(seed).permutation(train_ids).tolist()
    ids = {
        "train": sorted(order[:count]),
        "valid": [id for id, (split, _) in radiographs.items() if split == "valid"],
        "test": order[count : 2 * count],
    }
    for split in SPLITS:
        (folder / split).mkdir(parents=True, exist_ok=True)
        for id in ids[split]:
            path = radiographs[id][1].resolve()
            link = folder / split / path.name
            if not link.exists():
                link.symlink_to(path)
    kept = {id for split in SPLITS for id in ids[split]}
    lines = (raw / COORDINATES).read_text().splitlines()
    (folder / COORDINATES).write_text("\n".join(line for line in lines if line.split(",")[0] in kept) + "\n")
    return ids["train"]


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--raw", type=Path, default=Path("dataset"), help="raw folder of real radiographs")
    parser.add_argument("--size", type=int, default=256, help="px of the network frame")
    parser.add_argument("--init", type=Path, default=Path("weights/scn_synthetic.pt"), help="pretrained weights")
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--count", type=int, default=10, help="training radiographs of a draw")
    parser.add_argument("--work", type=Path, default=Path("result/ten_radiographs"), help="folder for what is made on the way")
    parser.add_argument("flags", nargs="*", help="of main.py")
    options = parser.parse_args(arguments)
    header = ["training radiographs", "random: IPE, px", "Or(10)", "pretrained: IPE, px", "Or(10)", "lower by, %"]
    rows = []
    for draw in range(options.draws):
        folder = options.work / str(draw)
        ids = link_some(options.raw, folder / "raw", options.count, seed=draw)
        prepare(folder / "raw", folder / "processed", size=options.size)
        ipe, outliers = {}, {}
        for name, init in (("random", ""), ("pretrained", options.init)):
            flags = (*STEPS, "--test_on", "valid", "--init", init, *options.flags)
            figures = train(folder / "processed", folder / name, *flags)
            ipe[name], outliers[name] = figures["ipe_px"], figures["or_px"]["10"]
        row = [" ".join(ids), ipe["random"], outliers["random"], ipe["pretrained"], outliers["pretrained"]]
        rows.append([*row, 100 * (1 - ipe["pretrained"] / ipe["random"])])
        print(table(header, rows), flush=True)


if __name__ == "__main__":
    sys.exit(exit_status(main))
