"""What a training step's data cost per radiograph, against the step itself: reading, augmentation, shrinking, heatmaps.

python benchmarks/loader.py --data dataset/processed
"""

import argparse
from dataclasses import fields
from pathlib import Path

import torch
import torch.nn.functional as F

from augment import Augment
from benchmarks.machine import DEVICE, name, seconds
from benchmarks.step import make_step
from dataloader import RadiographDataset, make_loader
from heatmap import draw_heatmaps, rescale
from main import Settings
from runtime.device import fastest_precision

BATCH = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("dataset/processed"))
    options = parser.parse_args()
    data = RadiographDataset(options.data, "train")
    loader = make_loader(data, BATCH, shuffle=True)
    augment = Augment(**{field.name: getattr(Settings(), field.name) for field in fields(Augment)})
    batch = next(iter(loader))
    images, points = batch["image"].to(DEVICE), batch["points"].to(DEVICE)
    generator = torch.Generator().manual_seed(0)
    print(f"{name()}\n{'size':>4} {'read ms':>8} {'augment ms':>10} {'heatmaps ms':>11} {'step ms':>8} {'share %':>8}")
    for size in (128, 256):
        near = rescale(points, size / data.size)
        step = make_step(size, True, fastest_precision(DEVICE) == "bfloat16", backward=True)
        pieces = (
            lambda: [data[i] for i in range(BATCH)],
            lambda size=size: F.avg_pool2d(augment(images, points, generator)[0], data.size // size),
            lambda near=near, size=size: draw_heatmaps(near, size, size, 3.0),
            step,
        )
        read, warp, draw, whole = (1000 * taken / BATCH for taken in seconds(*pieces))
        share = 100 * (read + warp + draw) / (read + warp + whole)
        print(f"{size:4d} {read:8.2f} {warp:10.2f} {draw:11.2f} {whole:8.1f} {share:8.1f}", flush=True)


if __name__ == "__main__":
    main()
