"""What a net trained on drawn hands is worth to a user with ten annotated radiographs.

    python experiments/ten_radiographs.py --raw dataset --init result/best.pt

draws ten training radiographs of a raw folder three times, and trains on each ten twice with the same
steps: from the weights of --init, and from random ones. It prints the validation errors as a table for docs/phantom.md. Finished
parts in --work are not made again.
"""

import argparse
from pathlib import Path

import numpy as np

from experiments.common import prepare, table, train
from radiographs.raw_folder import COORDINATES, SPLITS, find_radiographs

STEPS = ("--stages", "64x10 128x10", "--warmup", "20")
DRAWS, COUNT = 3, 10


def ten_of(raw: Path, folder: Path, seed: int) -> list[str]:
    """Make a raw folder, by links: ten training radiographs of another, its validation ones, and ten others in place of the test.

    Returns the ten IDs.
    """
    found, _ = find_radiographs(raw)
    order = np.random.default_rng(seed).permutation(sorted(id for id, (split, _) in found.items() if split == "train")).tolist()
    ids = {
        "train": sorted(order[:COUNT]),
        "valid": [id for id, (split, _) in found.items() if split == "valid"],
        "test": order[COUNT : 2 * COUNT],
    }
    for split in SPLITS:
        (folder / split).mkdir(parents=True, exist_ok=True)
        for id in ids[split]:
            path = found[id][1].resolve()
            link = folder / split / path.name
            if not link.exists():
                link.symlink_to(path)
    kept = {id for split in SPLITS for id in ids[split]}
    lines = (raw / COORDINATES).read_text().splitlines()
    (folder / COORDINATES).write_text("\n".join(line for line in lines if line.split(",")[0] in kept) + "\n")
    return ids["train"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--raw", type=Path, default=Path("dataset"), help="raw folder of real radiographs")
    parser.add_argument("--init", type=Path, default=Path("weights/scn_drawn.pt"), help="a net trained on drawn hands")
    parser.add_argument("--work", type=Path, default=Path("result/ten_radiographs"), help="folder for what is made on the way")
    options = parser.parse_args()
    header = ["ten radiographs", "random: IPE, px", "Or(10)", "drawn hands: IPE, px", "Or(10)", "lower by, %"]
    rows = []
    for draw in range(DRAWS):
        folder = options.work / str(draw)
        ids = ten_of(options.raw, folder / "raw", draw)
        prepare(folder / "raw", folder / "processed")
        found = []
        for name, init in (("random", ""), ("drawn", options.init)):
            found.append(train(folder / "processed", folder / name, *STEPS, "--test_on", "valid", "--init", init))
        random, drawn = (figures["ipe_px"] for figures in found)
        random_or, drawn_or = (figures["or_px"]["10"] for figures in found)
        rows.append([" ".join(ids), random, random_or, drawn, drawn_or, 100 * (1 - drawn / random)])
        print(table(header, rows), flush=True)


if __name__ == "__main__":
    main()
