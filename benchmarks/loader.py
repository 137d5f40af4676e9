"""What a training step's data cost per radiograph, against the step itself: reading, augmentation, shrinking, heatmaps.

python -m benchmarks.loader --data dataset/processed
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch

from augment import Augment
from benchmarks.machine import DEVICE, name, seconds
from benchmarks.step import make_step
from dataloader import RadiographDataset
from evaluation import shrink
from experiments.common import whole_numbers
from heatmap import draw_heatmaps, rescale
from main import Settings
from runtime.command import exit_status
from runtime.device import native_precision


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("dataset/processed"), help="prepared data")
    parser.add_argument("--sizes", type=whole_numbers, default=[128, 256], help="px of the network's input")
    parser.add_argument("--batch", type=int, default=4, help="radiographs a step")
    parser.add_argument("--channels", type=int, default=64, help="of the network")
    parser.add_argument("--repeats", type=int, default=5, help="runs that the median is taken of")
    options = parser.parse_args(arguments)
    data = RadiographDataset(options.data, "train")
    augment, rng = Augment.of(Settings()), np.random.default_rng(0)
    items = [data[i] for i in range(min(options.batch, len(data)))]
    images, points = (torch.stack([item[name] for item in items]).to(DEVICE) for name in ("image", "points"))
    count, landmarks = points.shape[:2]
    bfloat16 = native_precision(DEVICE) == "bfloat16"
    print(f"{name()}\n{'size':>4} {'read ms':>8} {'augment ms':>10} {'heatmaps ms':>11} {'step ms':>8} {'share %':>8}")
    for size in options.sizes:
        near = rescale(points, size / data.size)
        sigma = data.sigma * size / data.size
        pieces = (
            lambda: [data[i] for i in range(count)],
            lambda size=size: [augment(item["image"], item["points"], rng) for item in items] and shrink(images, size),
            lambda near=near, size=size, sigma=sigma: draw_heatmaps(near, size, size, sigma),
            make_step(size, data.size, bfloat16=bfloat16, batch=count, channels=options.channels, landmarks=landmarks),
        )
        read, warp, draw, step = (1000 * taken / count for taken in seconds(*pieces, repeats=options.repeats))
        share = 100 * (read + warp + draw) / (read + warp + step)  # the step draws the heatmaps itself
        print(f"{size:4d} {read:8.2f} {warp:10.2f} {draw:11.2f} {step:8.1f} {share:8.1f}", flush=True)


if __name__ == "__main__":
    sys.exit(exit_status(main))
