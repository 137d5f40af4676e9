"""What preparing a radiograph costs, stage by stage on one core, and all of it on all cores.

python -m benchmarks.preprocessing --raw dataset
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import imageio.v3 as iio
import torch

import data_preprocessing
from benchmarks.machine import name, seconds
from experiments.common import prepare
from heatmap import draw_heatmaps
from joints.hand import NAMES
from radiographs.network_frame import intensity_profile, resize_to, to_8_bit
from radiographs.raw_folder import find_radiographs
from radiographs.reading import read_radiograph
from runtime.command import cores, exit_status

SIGMA = 3.0  # px, of the heatmaps


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--raw", type=Path, default=Path("dataset"), help="raw folder of radiographs")
    parser.add_argument("--size", type=int, default=256, help="px of the network frame")
    parser.add_argument("--repeats", type=int, default=15, help="runs that the median is taken of")
    options = parser.parse_args(arguments)
    size = options.size
    radiographs, _ = find_radiographs(options.raw)
    _, path = next(iter(radiographs.values()))
    pixels = read_radiograph(path).pixels
    square = resize_to(pixels, (size, size))
    profile = intensity_profile(square)
    picture = to_8_bit(square, profile)
    points = torch.rand(len(NAMES), 2, dtype=torch.float64) * size
    heatmaps = draw_heatmaps(points, size, size, SIGMA).half().numpy()
    stages = {
        "read the file": lambda: read_radiograph(path),
        "resize": lambda: resize_to(pixels, (size, size)),
        "match the histogram": lambda: to_8_bit(square, profile),
        "draw the heatmaps": lambda: draw_heatmaps(points, size, size, SIGMA).half().numpy(),
        "compress the heatmaps": lambda: data_preprocessing.npz(heatmaps=heatmaps),
        "compress the picture": lambda: iio.imwrite(
            "<bytes>", picture, extension=".png", compress_level=data_preprocessing.COMPRESSION
        ),
    }
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    print(f"{name()}; {path.stat().st_size / 1e3:.0f} kB, {pixels.shape[1]} x {pixels.shape[0]} px")
    for stage, taken in zip(stages, seconds(*stages.values(), repeats=options.repeats)):
        print(f"{stage:22s} {1000 * taken:7.1f} ms")
    torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        prepare(options.raw, Path(folder), sigma=SIGMA, size=size)
        taken = time.perf_counter() - start
    count = len(radiographs)
    print(f"{count} radiographs with {cores()} processes: {taken:.1f} s, {count / taken:.1f} a second")


if __name__ == "__main__":
    sys.exit(exit_status(main))
