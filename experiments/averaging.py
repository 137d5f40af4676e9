"""What test-time augmentation and an ensemble bring: predictions averaged over transforms, and over several networks.

    python -m experiments.averaging weights/scn_hand.pt --data dataset/processed --split valid

Several files of weights are one ensemble.
"""

import argparse
import sys
from itertools import product
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

import metrics
from dataloader import RadiographDataset
from experiments.common import some_of, table
from heatmap import decode_heatmaps, rescale
from prediction.predictor import Predictor
from runtime.command import exit_status

SETS = {  # rotations in degrees, factors of scaling, translations in px of the network frame, along x and y alike
    "once": ((0.0,), (1.0,), (0.0,)),
    "translations": ((0.0,), (1.0,), (-1.5, 0.0, 1.5)),
    "rotations": ((-5.0, 0.0, 5.0), (1.0,), (0.0,)),
    "scalings": ((0.0,), (0.95, 1.0, 1.05), (0.0,)),
    "rotations and scalings": ((-5.0, 0.0, 5.0), (0.95, 1.0, 1.05), (0.0,)),
}


@torch.inference_mode()
def predict_transformed(predictor: Predictor, images: Tensor, degrees: float, factor: float, shift: float) -> Tensor:
    """Landmarks (B, L, 2), network-frame px, of images (B, 1, S, S) that are rotated, scaled and translated first."""
    size = images.shape[-1]
    angle = torch.deg2rad(torch.tensor(degrees))
    matrix = torch.stack([torch.stack([angle.cos(), -angle.sin()]), torch.stack([angle.sin(), angle.cos()])]) / factor
    move = torch.full((2,), shift)  # old = matrix (new - centre) + centre + move
    theta = torch.cat([matrix, 2 * move[:, None] / size], 1).expand(len(images), 2, 3)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    warped = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
    inputs = F.avg_pool2d(warped, size // predictor.size).contiguous(memory_format=torch.channels_last)
    heatmaps, _, _ = predictor.model(inputs, predictor.spatial_factor)
    points, _ = decode_heatmaps(heatmaps)
    centre = (size - 1) / 2
    return (rescale(points, size / predictor.size) - centre) @ matrix.T + centre + move


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path, nargs="+", help="files of export.py; several make an ensemble")
    parser.add_argument("--data", type=Path, default=Path("dataset/processed"), help="prepared data")
    parser.add_argument("--split", default="valid", help="to measure on")
    parser.add_argument("--sets", type=some_of(SETS), default=list(SETS), help="of transforms, separated by commas")
    options = parser.parse_args(arguments)
    data = RadiographDataset(options.data, options.split)
    predictors = [Predictor(path, "cpu") for path in options.weights]
    unit_mm, _ = metrics.millimetres_per_pixel(
        data.sizes_px, data.spacings_mm, data.points_px, data.frame, scale=data.joint.scale
    )
    known: dict[tuple, np.ndarray] = {}  # (number of the network, transform): points (N, L, 2) network-frame px
    rows = []
    for name in options.sets:
        passes = []
        for number, transform in product(range(len(predictors)), product(*SETS[name])):
            if (number, transform) not in known:
                parts = [predict_transformed(predictors[number], data[i]["image"][None], *transform) for i in range(len(data))]
                known[number, transform] = torch.cat(parts).double().numpy()
            passes.append(known[number, transform])
        points = np.mean(passes, 0)
        px = metrics.point_errors(points, data.points_network_px)
        mm = metrics.point_errors(points, data.points_network_px, unit_mm)
        ipe = metrics.mean_of_present(metrics.ipe(px))
        row = [name, len(passes), f"{ipe:.3f}", f"{metrics.median_of_present(px):.3f}"]
        row += [f"{metrics.outliers(px, radius).mean():.3f}" for radius in (4, 10)]
        rows.append([*row, f"{metrics.mean_of_present(mm):.3f}"])
        print(table(["averaged over", "passes", "IPE, px", "median, px", "Or(4)", "Or(10)", "PE, mm"], rows), flush=True)


if __name__ == "__main__":
    sys.exit(exit_status(main))
