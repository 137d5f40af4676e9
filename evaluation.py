"""What a network finds in radiographs and how far off it is: one way for validation, test, export and prediction."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader

from dataloader import RadiographDataset, batches_of, make_loader, same_profile
from heatmap import draw_heatmaps, fit_peaks, rescale
from joints.known import first_other, joint_called
from joints.tree import ShapeTree
from loss import ridge_loss
from model import SCN
from radiographs.network_frame import frame_of, size_in_settings
from runtime import distributed
from runtime.device import autocast
from runtime.files import DataError
from second_look.network import PREFIX, refine_all, second_look_of

CROPPED = {False: "prepared without", True: "prepared with"}  # words for the setting `crop`, which earlier versions lack


@dataclass
class Evaluation:
    """What a network says of a data set, in its order."""

    loss: float  # mean over radiographs, without the ridge term
    points_network_px: np.ndarray  # (N, L, 2) as (x, y)
    peaks: np.ndarray  # (N, L) fitted heights of the heatmaps
    covariances_px2: np.ndarray  # (N, L, 2, 2) of the Gaussians fitted to the heatmaps, network-frame px²
    first_points_network_px: np.ndarray | None = None  # (N, L, 2) points of the first look, where a second one followed


def network_of(state: dict, device: torch.device) -> SCN:
    """The network of a checkpoint, ready for use."""
    model = SCN(**state["network"])
    model.to(device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]  # torch declares one at a time
    model.load_state_dict({name: weight for name, weight in state["weights"].items() if not name.startswith(PREFIX)})
    return model


def shrink(pictures: Tensor, size: int) -> Tensor:
    """Images or heatmaps (B, C, height, width) averaged until their longer side has `size` px."""
    return F.avg_pool2d(pictures, max(pictures.shape[-2:]) // size)


def forward(model: nn.Module, images: Tensor, spatial_factor: int, precision: str) -> tuple[Tensor, Tensor, Tensor]:
    """Images (B, 1, H, W) -> heatmaps, local and spatial heatmaps (B, L, H, W)."""
    with autocast(images.device, precision):
        return model(images.contiguous(memory_format=torch.channels_last), spatial_factor)


def find_landmarks(
    model: SCN, images: Tensor, size: int, precision: str, tree: ShapeTree | None = None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Images (B, 1, height, width) of the network frame, seen with a longer side of `size` px; a `tree` chooses among peaks.

    -> heatmaps (B, L, H, W) of that size, points (B, L, 2) as (x, y) network-frame px, and the heatmaps' fitted heights (B, L)
    and covariances (B, L, 2, 2), network-frame px². The spatial configuration keeps its grid at every resolution.
    """
    network_size = max(images.shape[-2:])
    heatmaps, _, _ = forward(model, shrink(images, size), model.spatial_factor * size // network_size, precision)
    points, peaks, covariances = fit_peaks(tree.only_chosen(heatmaps, network_size / size) if tree else heatmaps)
    return heatmaps, rescale(points, network_size / size), peaks, covariances * (network_size / size) ** 2


@torch.no_grad()
def evaluate(model: SCN, loader: DataLoader, size: int, precision: str, tree: ShapeTree | None = None) -> Evaluation:
    """Where a network sees the landmarks of all radiographs, shown to it at `size` px.

    Under torchrun each process has its part of the radiographs, and all get the result.
    """
    device = next(model.parameters()).device
    data = cast(RadiographDataset, loader.dataset)
    area = (data.size / size) ** 2
    losses: list[float] = []
    found: list[tuple] = []  # of each radiograph, points, peaks and covariances
    model.eval()
    for batch in batches_of(loader):
        images, truth = (batch[name].to(device, non_blocking=True) for name in ("image", "points"))
        heatmaps, predicted, heights, widths = find_landmarks(model, images, size, precision, tree)
        height, width = heatmaps.shape[-2:]
        targets = draw_heatmaps(rescale(truth, size / data.size), height, width, data.sigma * size / data.size)
        loss, _ = ridge_loss(heatmaps, targets, truth, [], 0, area)
        losses.append(loss.item() * len(heatmaps))
        found.extend(zip(*(part.cpu().numpy() for part in (predicted.double(), heights, widths.double()))))
    losses, found = distributed.gather(losses), distributed.gather(found)
    return Evaluation(sum(losses) / len(found), *map(np.array, zip(*found)))


def target_px2(state: dict) -> float:
    """The variance of the heatmaps that a checkpoint's last look was trained for, network-frame px²."""
    if look := state.get("second_look"):
        return (look["sigma"] * state["network_size"] / look["longer"]) ** 2
    return state["data"]["sigma"] ** 2


def find_all(state: dict, data: RadiographDataset, device: torch.device, precision: str, batch_size: int) -> Evaluation:
    """What a checkpoint's network says of a data set: the first look, and the second one where it has it."""
    tree = ShapeTree.from_file(state.get("tree"))
    evaluation = evaluate(network_of(state, device), make_loader(data, batch_size), state["size"], precision, tree)
    if (second := second_look_of(state, device)) is None:
        return evaluation
    points, covariances = refine_all(second, data, evaluation.points_network_px, state["second_look"]["size"], precision)
    first = evaluation.points_network_px
    return replace(evaluation, points_network_px=points, covariances_px2=covariances, first_points_network_px=first)


def fits(checkpoint: Path, state: dict, data: RadiographDataset) -> None:
    """Raises DataError where a data set was prepared otherwise than that of a checkpoint."""
    for what, trained, prepared in (
        ("data of {} px", size_in_settings(frame_of(state["data"]["size"])), size_in_settings(data.frame)),
        ("radiographs {} --crop", CROPPED[state["data"].get("crop", False)], CROPPED[data.settings.get("crop", False)]),
        ("{} landmarks", state["network"]["num_landmarks"], data.points_px.shape[1]),
    ):
        if trained != prepared:
            raise DataError(f"{checkpoint}: expected {what.format(trained)}, found {what.format(prepared)} in {data.folder}")
    if "second_look" in state and state["second_look"]["longer"] != data.detail:
        raise DataError(
            f"{checkpoint}: expected pictures for its second look, found {data.folder} without them or of another size; "
            f"prepare it again with --detail {state['second_look']['longer']}"
        )
    names = joint_called(state.get("names", data.joint.names), state["data"].get("joint"), str(checkpoint)).names
    if (other := first_other(names, data.joint.names)) is not None:
        raise DataError(
            f"{checkpoint}: expected its own landmarks in {data.folder}, found others ({other}); take data of its joint"
        )
    if not same_profile(state["data"]["profile"], data.settings["profile"]):
        raise DataError(
            f"{checkpoint}: expected histograms matched to its own reference ({state['data']['reference']}), found "
            f"{data.folder} matched to another ({data.settings['reference']}), so that predict.py would see other pictures; "
            f"prepare them again: data_preprocessing.py --reference {checkpoint}"
        )


def seen_radiographs(state: dict, data: RadiographDataset) -> dict[str, list[str]]:
    """IDs of the radiographs that a network was trained on ("train") or chosen by ("valid"), but for the split of that name."""
    seen = {role: data.known_by(marks) for role, marks in state.get("seen", {}).items() if role != data.split}
    return {role: ids for role, ids in seen.items() if ids}
