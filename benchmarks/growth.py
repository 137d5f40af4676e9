"""How seconds and memory grow with the number of radiographs: preparing, an epoch of training, prediction.

    python benchmarks/growth.py --raw dataset --weights weights/scn_hand.pt --counts 133,1000,10000

The training radiographs of the raw folder are repeated, each with pixels of its own. An epoch is that of a narrow network (16
channels) at 64 px, whose time is that of the data as much as its own. Peak memory is that of the command and its children.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import imageio.v3 as iio

from benchmarks.drawing import peak_megabytes
from benchmarks.machine import ROOT, name
from radiographs.raw_folder import COORDINATES, SPLITS, find_radiographs


def repeat(raw: Path, out: Path, count: int) -> None:
    """Write a raw folder with `count` training radiographs, and a few of validation and test."""
    found, _ = find_radiographs(raw)
    rows = {line.split(",")[0]: line.split(",", 1)[1] for line in (raw / COORDINATES).read_text().splitlines()}
    train = sorted(id for id, (split, _) in found.items() if split == "train")
    lines = []
    for number in range(count + 8):
        id = train[number % len(train)]
        split = "train" if number < count else SPLITS[1 + number % 2]
        (out / split).mkdir(parents=True, exist_ok=True)
        picture = iio.imread(found[id][1])
        picture[:8, number % 200 : number % 200 + 8] = number * 37 % 251
        picture[-1 - number // 200 % 200 :, :4] = 255 - number % 120
        name = f"{number:06d}"
        (out / split / f"{name}.jpg").write_bytes(iio.imwrite("<bytes>", picture, extension=".jpg", quality=85))
        lines.append(f"{name},{rows[id]}")
    (out / COORDINATES).write_text("\n".join(lines) + "\n")


def measured(*command: object) -> tuple[float, float]:
    """(seconds, peak MB) of one of the project's commands."""
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, *map(str, command)], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    peak = peak_megabytes(process)
    if process.returncode:
        sys.exit(process.stderr.read().decode())
    return time.perf_counter() - start, peak


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--raw", type=Path, default=Path("dataset"))
    parser.add_argument("--weights", type=Path, default=Path("weights/scn_hand.pt"))
    parser.add_argument("--counts", default="133,1000", help="of training radiographs, separated by commas")
    parser.add_argument("--predict", type=int, default=1000, help="predict up to this many, which takes long")
    parser.add_argument("--work", type=Path, help="folder for the copies; none: a temporary one")
    options = parser.parse_args()
    print(f"{name()}\nradiographs  prepare s (each ms, peak MB)    epoch s (each ms, peak MB)   predict s (each ms, peak MB)")
    for count in map(int, options.counts.split(",")):
        with tempfile.TemporaryDirectory(dir=options.work) as folder:
            raw, data, result = (Path(folder) / part for part in ("raw", "processed", "result"))
            repeat(options.raw, raw, count)
            parts = []
            for command in (
                ("data_preprocessing.py", "--raw", raw, "--out", data),
                ("main.py", "--data", data, "--result", result, "--init", "", "--channels", 16, "--stages", "64x1"),
                ("predict.py", raw / "train", "--weights", options.weights, "--out", Path(folder) / "predicted"),
            )[: 3 if count <= options.predict else 2]:
                taken, peak = measured(*command)
                parts.append(f"{taken:9.0f} ({1000 * taken / count:5.0f}, {peak:5.0f})")
            print(f"{count:11d}  {'        '.join(parts)}", flush=True)


if __name__ == "__main__":
    main()
