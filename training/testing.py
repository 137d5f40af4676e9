"""Measuring a checkpoint on a data set that it has not seen."""

from pathlib import Path

import numpy as np
import torch

import metrics
from dataloader import RadiographDataset
from evaluation import find_all, fits, seen_radiographs
from runtime.checkpoint import digest_of, read_checkpoint
from runtime.device import choose_precision
from runtime.files import DataError, first_few
from training import report
from training.methods import write_methods


def test(checkpoint: Path, data: RadiographDataset, folder: Path, device: torch.device, settings, replace: bool = False) -> None:
    """Measure a checkpoint's network on a data set by `settings` of main.py, write what it found to a folder, and say it.

    Precision "auto" is the one that it was trained in, where the hardware has it. Radiographs that it was trained on or chosen
    by are refused without `allow_seen`, unless they are of the split of that name. What another network or other data left in
    the folder stays, unless `replace`. Raises DataError.
    """
    state = read_checkpoint(checkpoint)
    fits(checkpoint, state, data)
    seen = refuse_seen(checkpoint, state, data, settings.allow_seen)
    made_of = {"weights": digest_of(state["weights"]), "data": data.digest()[:16]}
    if not replace:
        report.refuse_other(folder, data.split, made_of)
    precision = choose_precision(settings.precision, device, state["precision"])
    evaluation = find_all(state, data, device, precision, settings.batch_size)
    more = {"split": data.split, "network_input_px": state["size"], "precision": precision} | made_of
    if (first := evaluation.first_points_network_px) is not None:
        more["first_look_ipe_px"] = metrics.plain(
            metrics.mean_of_present(metrics.ipe(metrics.point_errors(first, data.points_network_px)))
        )
    if data.settings.get("synthetic"):
        more["radiographs"] = "synthetic"
    if data.split == "train" and (learnt := data.known_by(state.get("seen", {}).get("train", []))):
        print(f"{checkpoint}: has learnt from {len(learnt)} of these {len(data)} radiographs: errors on others are larger")
    if seen:
        more["seen"] = {role: len(ids) for role, ids in seen.items()}
    if "seen" not in state:
        print(f"{checkpoint}: does not say which radiographs it was trained on")
    placed = np.isfinite(data.readings_px).any((0, 2, 3))
    if not placed.all():
        print(
            f"readers: {', '.join(np.array(data.annotators)[~placed])} placed nothing in {data.split}, so the others are compared"
        )
        data = data.annotated_by([annotator for annotator, has in zip(data.annotators, placed) if has])
    figures = report.write_test(folder, data, evaluation.points_network_px, evaluation.peaks, more)
    write_methods(folder, data, state, figures)
    print(f"{data.split} of {checkpoint}: {report.listed(figures)}")


def refuse_seen(checkpoint: Path, state: dict, data: RadiographDataset, allow_seen: bool) -> dict[str, list[str]]:
    """Which radiographs of a data set a network has seen, as `seen_radiographs`. Raises DataError where that is not allowed."""
    seen = seen_radiographs(state, data)
    if seen and not allow_seen:
        role, ids = next(iter(seen.items()))
        purpose = {"train": "trained on", "valid": "chosen by"}[role]
        raise DataError(
            f"{checkpoint}: was {purpose} {len(ids)} of the {len(data)} radiographs of {data.split} ({first_few(ids)}): "
            "its errors there would be too small; take others, or give --allow_seen"
        )
    return seen
