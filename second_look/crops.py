"""Crops around landmarks, of pictures as radiographs/detail.py makes them.

A crop is a square of px around a point: the middle of a crop of 64 px lies at (31.5, 31.5). Points are (x, y), (0, 0) the centre
of the first pixel.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def cut(grey: Tensor, centres: Tensor, size: int, matrices: Tensor | None = None) -> Tensor:
    """Crops (N, 1, size, size) of a picture (1, height, width) around `centres` (N, 2) px; beyond it, its border is repeated.

    Step d from a crop's middle is step matrices[n] @ d in the picture; none: they are the same.
    """
    span = torch.arange(size, device=grey.device) - (size - 1) / 2
    steps = torch.stack(torch.meshgrid(span, span, indexing="xy"), -1).reshape(1, -1, 2)
    at = (steps if matrices is None else steps @ matrices.mT) + centres[:, None]
    sides = torch.tensor(grey.shape[:0:-1], device=grey.device)
    grid = ((2 * at + 1) / sides - 1).reshape(1, -1, size, 2)
    return F.grid_sample(grey[None], grid, mode="bilinear", padding_mode="border", align_corners=False).reshape(-1, 1, size, size)


def to_crops(points: Tensor, centres: Tensor, size: int, matrices: Tensor) -> Tensor:
    """Points (N, 2) of the picture -> of their own crops, cut as `cut` does."""
    return torch.linalg.solve(matrices, (points - centres)[..., None])[..., 0] + (size - 1) / 2


def of_crops(points: Tensor, centres: Tensor, size: int) -> Tensor:
    """Points (N, 2) of crops that are neither turned nor scaled -> of the picture."""
    return points - (size - 1) / 2 + centres
