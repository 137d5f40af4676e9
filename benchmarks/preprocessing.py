"""What preparing a radiograph costs, stage by stage on one core, and all of it on all cores.

python benchmarks/preprocessing.py --raw dataset
"""

import argparse
import tempfile
import time
from pathlib import Path

import imageio.v3 as iio
import torch

import data_preprocessing
from benchmarks.machine import name, seconds
from heatmap import draw_heatmaps
from radiographs.network_frame import intensity_profile, resize_square, to_8_bit
from radiographs.raw_folder import find_radiographs
from radiographs.reading import read_radiograph


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--raw", type=Path, default=Path("dataset"))
    options = parser.parse_args()
    found, _ = find_radiographs(options.raw)
    path = next(iter(found.values()))[1]
    pixels = read_radiograph(path).pixels
    square = resize_square(pixels, 256)
    profile = intensity_profile(square)
    picture = to_8_bit(square, profile)
    points = torch.rand(37, 2, dtype=torch.float64) * 256
    heatmaps = draw_heatmaps(points, 256, 256, 3.0).half().numpy()
    stages = {
        "read the file": lambda: read_radiograph(path),
        "resize": lambda: resize_square(pixels, 256),
        "match the histogram": lambda: to_8_bit(square, profile),
        "draw the heatmaps": lambda: draw_heatmaps(points, 256, 256, 3.0).half().numpy(),
        "compress the heatmaps": lambda: data_preprocessing.npz(heatmaps=heatmaps),
        "compress the picture": lambda: iio.imwrite(
            "<bytes>", picture, extension=".png", compress_level=data_preprocessing.COMPRESSION
        ),
    }
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    print(f"{name()}; {path.stat().st_size / 1e3:.0f} kB, {pixels.shape[1]} x {pixels.shape[0]} px")
    for stage, taken in zip(stages, seconds(*stages.values(), repeats=15)):
        print(f"{stage:22s} {1000 * taken:7.1f} ms")
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        settings = data_preprocessing.Settings(256, 3.0, "auto")
        data_preprocessing.run(options.raw, Path(folder), settings, threads)
        taken = time.perf_counter() - start
    print(f"{len(found)} radiographs with {threads} processes: {taken:.1f} s, {len(found) / taken:.1f} a second")


if __name__ == "__main__":
    main()
