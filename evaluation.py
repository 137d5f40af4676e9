"""What a network finds in radiographs and how far off it is: one way for validation, test, export and prediction."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader

from dataloader import RadiographDataset, make_loader
from heatmap import decode_heatmaps, rescale
from loss import ridge_loss
from model import SCN
from runtime import distributed
from runtime.checkpoint import read_checkpoint
from runtime.device import autocast
from runtime.files import DataError
from training import report


@dataclass
class Evaluation:
    """What a network says of a data set, in its order."""

    loss: float  # mean over radiographs, without the ridge term
    points_network_px: np.ndarray  # (N, L, 2) as (x, y)
    peaks: np.ndarray  # (N, L) heights of the heatmaps


def network_of(state: dict, device: torch.device) -> SCN:
    """The network of a checkpoint, ready for use."""
    model = SCN(**state["network"]).to(device, memory_format=torch.channels_last).eval()
    model.load_state_dict(state["weights"])
    return model


def shrink(pictures: Tensor, size: int) -> Tensor:
    """Images or heatmaps (B, C, network size, network size) averaged to (B, C, size, size)."""
    return F.avg_pool2d(pictures, pictures.shape[-1] // size)


def forward(model: nn.Module, images: Tensor, spatial_factor: int, precision: str) -> tuple[Tensor, Tensor, Tensor]:
    """Images (B, 1, size, size) -> heatmaps, local and spatial heatmaps (B, L, size, size)."""
    with autocast(images.device, precision):
        return model(images.contiguous(memory_format=torch.channels_last), spatial_factor)


def find_landmarks(model: SCN, images: Tensor, size: int, precision: str) -> tuple[Tensor, Tensor, Tensor]:
    """Images (B, 1, network size, network size), seen at `size` px.

    -> heatmaps (B, L, size, size), points (B, L, 2) as (x, y) network-frame px, and the peaks (B, L) of the heatmaps. The spatial
    configuration keeps its grid at every resolution.
    """
    network_size = images.shape[-1]
    heatmaps, _, _ = forward(model, shrink(images, size), model.spatial_factor * size // network_size, precision)
    points, peaks = decode_heatmaps(heatmaps)
    return heatmaps, rescale(points, network_size / size), peaks


@torch.no_grad()
def evaluate(model: SCN, loader: DataLoader, size: int, precision: str) -> Evaluation:
    """Where a network sees the landmarks of all radiographs, shown to it at `size` px.

    Under torchrun each process has its part of the radiographs, and all get the result.
    """
    device = next(model.parameters()).device
    area = (loader.dataset.size / size) ** 2
    losses, points, peaks = [], [], []
    model.eval()
    for batch in loader:
        heatmaps, found_px, heights = find_landmarks(model, batch["image"].to(device), size, precision)
        targets = shrink(batch["heatmaps"].to(device), size)
        loss, _ = ridge_loss(heatmaps, targets, batch["points"].to(device), [], 0, area)
        losses.append(loss.item() * len(heatmaps))
        points.extend(found_px.cpu().double().numpy())
        peaks.extend(heights.cpu().numpy())
    losses, points, peaks = (distributed.gather(items) for items in (losses, points, peaks))
    return Evaluation(sum(losses) / len(points), np.array(points), np.array(peaks))


def test(checkpoint: Path, data: RadiographDataset, folder: Path, device: torch.device, precision: str, batch_size: int) -> dict:
    """Measure a checkpoint's network on a data set and write what it found to a folder; returns the figures.

    `precision` "auto" is the one that it was trained in. Raises DataError.
    """
    state = read_checkpoint(checkpoint, device)
    landmarks = state["network"]["num_landmarks"]
    for what, trained, prepared in (
        ("data of {} px", state["network_size"], data.size),
        ("{} landmarks", landmarks, data.points_px.shape[1]),
    ):
        if trained != prepared:
            raise DataError(f"{checkpoint}: expected {what.format(trained)}, found {what.format(prepared)} in {data.folder}")
    precision = state["precision"] if precision == "auto" else precision
    evaluation = evaluate(network_of(state, device), make_loader(data, batch_size), state["size"], precision)
    more = {"split": data.split, "network_input_px": state["size"], "precision": precision}
    return report.write_test(folder, data, evaluation.points_network_px, evaluation.peaks, more)
