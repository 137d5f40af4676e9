"""What averaging at test time brings: predictions over small shifts, turns and scales, and over several networks.

python experiments/averaging.py weights/scn_hand.pt --data dataset/processed --split valid
"""

import argparse
from itertools import product
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

import metrics
from dataloader import RadiographDataset
from experiments.common import table
from heatmap import decode_heatmaps, rescale
from prediction.predictor import Predictor

SETS = {  # degrees, factors, shifts px of the network frame
    "once": ((0.0,), (1.0,), (0.0,)),
    "shifts": ((0.0,), (1.0,), (-1.5, 0.0, 1.5)),
    "turns": ((-5.0, 0.0, 5.0), (1.0,), (0.0,)),
    "scales": ((0.0,), (0.95, 1.0, 1.05), (0.0,)),
    "turns and scales": ((-5.0, 0.0, 5.0), (0.95, 1.0, 1.05), (0.0,)),
}


@torch.inference_mode()
def find(predictor: Predictor, images: Tensor, degrees: float, factor: float, shift: float) -> Tensor:
    """Landmarks (B, L, 2), network-frame px, of images (B, 1, S, S) that are turned, scaled and shifted first."""
    size = images.shape[-1]
    angle = torch.deg2rad(torch.tensor(degrees))
    matrix = torch.stack([torch.stack([angle.cos(), -angle.sin()]), torch.stack([angle.sin(), angle.cos()])]) / factor
    move = torch.full((2,), shift)  # old = matrix (new - centre) + centre + move
    theta = torch.cat([matrix, 2 * move[:, None] / size], 1).expand(len(images), 2, 3)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    warped = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
    inputs = F.avg_pool2d(warped, size // predictor.size).contiguous(memory_format=torch.channels_last)
    found, _ = decode_heatmaps(predictor.model(inputs, predictor.spatial_factor)[0])
    centre = (size - 1) / 2
    return (rescale(found, size / predictor.size) - centre) @ matrix.T + centre + move


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path, nargs="+", help="files of export.py; several are averaged too")
    parser.add_argument("--data", type=Path, default=Path("dataset/processed"), help="prepared data")
    parser.add_argument("--split", default="valid", help="to measure on")
    parser.add_argument("--sets", default=",".join(SETS), help="which averages, separated by commas")
    options = parser.parse_args()
    data = RadiographDataset(options.data, options.split)
    predictors = [Predictor(path, "cpu") for path in options.weights]
    unit, _ = metrics.millimetres_per_pixel(data.sizes_px, data.spacings_mm, data.points_px, data.size)
    known: dict[tuple, np.ndarray] = {}
    rows = []
    for name in options.sets.split(","):
        degrees, factors, shifts = SETS[name]
        total = []
        for number, key in product(range(len(predictors)), product(degrees, factors, shifts)):
            if (number, key) not in known:
                parts = [find(predictors[number], data[i]["image"][None], *key) for i in range(len(data))]
                known[number, key] = torch.cat(parts).double().numpy()
            total.append(known[number, key])
        points = np.mean(total, 0)
        px = metrics.point_errors(points, data.points_network_px)
        mm = metrics.point_errors(points, data.points_network_px, unit)
        rows.append([name, len(total), f"{metrics.ipe(px).mean():.3f}", f"{np.nanmedian(px):.3f}"])
        rows[-1] += [f"{metrics.outliers(px, radius).mean():.3f}" for radius in (4, 10)] + [f"{np.nanmean(mm):.3f}"]
        print(table(["averaged over", "passes", "IPE, px", "median, px", "Or(4)", "Or(10)", "PE, mm"], rows), flush=True)


if __name__ == "__main__":
    main()
