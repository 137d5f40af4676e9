"""How seconds and memory grow with the number of radiographs: preparing, an epoch of training, inference.

    python -m benchmarks.growth --raw dataset --weights weights/scn_hand.pt --counts 133,1000,10000
    python -m benchmarks.growth --made 1000,10000,100000

The training radiographs of the raw folder are repeated, each with pixels of its own; or pictures of noise with dots for
landmarks are made, prepared already. An epoch is that of a narrow network (16 channels at 128 px, or 4 at 64 px), whose time is
that of the data as much as its own. Peak memory is that of the command and its children.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

import imageio.v3 as iio
import numpy as np

from benchmarks.machine import Measured, measure_command, name
from experiments.common import whole_numbers
from radiographs.prepared_folder import FORMAT, SETTINGS, TABLE
from radiographs.raw_folder import COORDINATES, SPLITS, find_radiographs
from runtime.command import exit_status
from runtime.files import write_csv

HELD_OUT = 8  # further radiographs, for validation and test in turn
SIDE, LANDMARKS = 64, 5  # of made pictures
NARROW = ("--init", "", "--channels", 4, "--levels", 2, "--spatial_kernel", 5, "--stages", f"{SIDE}x1", "--batch_size", 8)
TRAINING = ("--init", "", "--channels", 16, "--stages", "128x1")


def repeat_radiographs(raw: Path, out: Path, count: int) -> None:
    """Write a raw folder with `count` training radiographs, and a few of validation and test."""
    radiographs, _ = find_radiographs(raw)
    rows = {line.split(",")[0]: line.split(",", 1)[1] for line in (raw / COORDINATES).read_text().splitlines()}
    train = sorted(id for id, (split, _) in radiographs.items() if split == "train")
    lines = []
    for number in range(count + HELD_OUT):
        id = train[number % len(train)]
        split = "train" if number < count else SPLITS[1 + number % 2]
        (out / split).mkdir(parents=True, exist_ok=True)
        picture = iio.imread(radiographs[id][1])
        picture[:8, number % 200 : number % 200 + 8] = number * 37 % 251
        picture[-1 - number // 200 % 200 :, :4] = 255 - number % 120
        copy = f"{number:06d}"
        (out / split / f"{copy}.jpg").write_bytes(iio.imwrite("<bytes>", picture, extension=".jpg", quality=85))
        lines.append(f"{copy},{rows[id]}")
    (out / COORDINATES).write_text("\n".join(lines) + "\n")


def make_prepared(folder: Path, count: int) -> None:
    """Write a prepared folder with `count` training pictures, and a few of validation and test."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:SIDE, :SIDE]
    rows = []
    for split in SPLITS:
        (folder / split).mkdir(parents=True)
    for number in range(count + HELD_OUT):
        points = rng.uniform(5, SIDE - 5, (LANDMARKS, 2)).round(2)
        dots = np.exp(-((x - points[:, :1, None]) ** 2 + (y - points[:, 1:, None]) ** 2) / 8).sum(0)
        split, id = "train" if number < count else SPLITS[1 + number % 2], f"{number:06d}"
        picture = (150 * dots + rng.integers(0, 80, dots.shape)).clip(0, 255).astype(np.uint8)
        (folder / split / f"{id}.png").write_bytes(iio.imwrite("<bytes>", picture, extension=".png"))
        row = {
            "id": id,
            "split": split,
            "width": SIDE,
            "height": SIDE,
            "spacing_x_mm": "",
            "spacing_y_mm": "",
            "spacing_from": "",
        }
        for frame in ("", "network_"):
            row |= {f"{frame}{axis}{i}": points[i, k] for i in range(LANDMARKS) for k, axis in enumerate("xy")}
        rows.append(row)
    write_csv(folder / TABLE, rows)
    made = {"format": FORMAT, "size": SIDE, "sigma": 2.0, "reference": "none", "profile": None}
    (folder / SETTINGS).write_text(json.dumps(made))


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--raw", type=Path, default=Path("dataset"), help="raw folder of radiographs")
    parser.add_argument("--weights", type=Path, default=Path("weights/scn_hand.pt"), help="a file of export.py")
    parser.add_argument("--counts", type=whole_numbers, default=[133, 1000], help="of training radiographs, separated by commas")
    parser.add_argument("--made", type=whole_numbers, help="numbers of made pictures instead, separated by commas")
    parser.add_argument("--predict", type=int, default=1000, help="no inference on more radiographs, which takes long")
    parser.add_argument("--work", type=Path, help="folder for the copies; none: a temporary one")
    options = parser.parse_args(arguments)
    if options.made:
        print(f"{name()}\n   pictures      epoch s (each ms, peak MB)")
        for count in options.made:
            with tempfile.TemporaryDirectory(dir=options.work) as folder:
                data, result = Path(folder) / "prepared", Path(folder) / "result"
                make_prepared(data, count)
                print(
                    f"{count:11d}  {told(measure_command('main.py', '--data', data, '--result', result, *NARROW), count)}",
                    flush=True,
                )
        return
    print(f"{name()}\nradiographs  prepare s (each ms, peak MB)    epoch s (each ms, peak MB)   predict s (each ms, peak MB)")
    for count in options.counts:
        with tempfile.TemporaryDirectory(dir=options.work) as folder:
            raw, data, result, out = (Path(folder) / part for part in ("raw", "processed", "result", "predicted"))
            repeat_radiographs(options.raw, raw, count)
            commands = [
                ("data_preprocessing.py", "--raw", raw, "--out", data),
                ("main.py", "--data", data, "--result", result, *TRAINING),
            ]
            if count <= options.predict:
                commands.append(("predict.py", raw / "train", "--weights", options.weights.resolve(), "--out", out))
            parts = []
            for command in commands:
                parts.append(told(measure_command(*command), count))
            print(f"{count:11d}  {'        '.join(parts)}", flush=True)


def told(taken: Measured, count: int) -> str:
    return f"{taken.seconds:9.0f} ({1000 * taken.seconds / count:5.0f}, {taken.peak_mb:5.0f})"


if __name__ == "__main__":
    sys.exit(exit_status(main))
