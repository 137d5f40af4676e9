"""What the way from heatmap to landmark brings: the highest pixel, the centre of mass around it, or a fitted Gaussian.

python -m experiments.decoding weights/scn_hand.pt --data dataset/processed --split valid
"""

import argparse
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

import metrics
from dataloader import RadiographDataset
from experiments.common import table
from heatmap import WINDOW_RADIUS, decode_heatmaps, rescale
from prediction.predictor import Predictor
from runtime.command import exit_status


def highest_pixel(heatmaps: Tensor) -> Tensor:
    """(B, L, H, W) -> (B, L, 2) as (x, y) px."""
    index = heatmaps.flatten(2).argmax(-1)
    return torch.stack([index % heatmaps.shape[-1], index // heatmaps.shape[-1]], -1).float()


def centre_of_mass(heatmaps: Tensor) -> Tensor:
    """Of the same window that the Gaussian is fitted to."""
    top = highest_pixel(heatmaps)
    side = 2 * WINDOW_RADIUS + 1
    windows = F.unfold(heatmaps.flatten(0, 1)[:, None].clamp_min(0), side, padding=WINDOW_RADIUS)  # (B L, side^2, H W)
    index = (top[..., 1] * heatmaps.shape[-1] + top[..., 0]).long().flatten()
    weight = windows[torch.arange(len(windows)), :, index]
    dy, dx = (part.flatten().float() for part in torch.meshgrid(*[torch.arange(side) - WINDOW_RADIUS] * 2, indexing="ij"))
    total = weight.sum(1).clamp_min(1e-12)
    return top + torch.stack([weight @ dx / total, weight @ dy / total], -1).reshape(top.shape)


def fitted_gaussian(heatmaps: Tensor) -> Tensor:
    points, _ = decode_heatmaps(heatmaps)
    return points


DECODERS = {
    "the highest pixel": highest_pixel,
    "the centre of mass of 5 x 5 pixels": centre_of_mass,
    "a Gaussian fitted to 5 x 5 pixels": fitted_gaussian,
}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path, help="a file of export.py")
    parser.add_argument("--data", type=Path, default=Path("dataset/processed"), help="prepared data")
    parser.add_argument("--split", default="valid", help="to measure on")
    options = parser.parse_args(arguments)
    data = RadiographDataset(options.data, options.split)
    predictor = Predictor(options.weights, "cpu")
    decoded: dict[str, list[Tensor]] = {name: [] for name in DECODERS}
    for i in range(len(data)):
        images = F.avg_pool2d(data[i]["image"][None], data.size // predictor.size)
        with torch.inference_mode():
            heatmaps, _, _ = predictor.model(images, predictor.spatial_factor)
        for name, decode in DECODERS.items():
            decoded[name].append(rescale(decode(heatmaps), data.size / predictor.size))
    rows = []
    for name, points in decoded.items():
        px = metrics.point_errors(torch.cat(points).double().numpy(), data.points_network_px)
        rows.append([name, f"{metrics.mean_of_present(metrics.ipe(px)):.3f}", f"{metrics.median_of_present(px):.3f}"])
    print(table(["a landmark is", "IPE, px", "median, px"], rows))


if __name__ == "__main__":
    sys.exit(exit_status(main))
