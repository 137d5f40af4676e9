"""Pictures of a run: curves, cumulative errors, radiographs with their landmarks, heatmaps of both components."""

import io
from itertools import pairwise
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from metrics import cumulative_errors
from runtime.files import write_whole


def save(figure: Figure, path: Path) -> None:
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=110)
    write_whole(path, picture.getbuffer())


def draw_curves(history: list[dict], path: Path) -> None:
    """Loss, IPE and Or over the epochs, of training and validation, on logarithmic axes."""
    figure = Figure(figsize=(13, 4), layout="constrained")
    epochs = [row["epoch"] for row in history]
    changes = [row["epoch"] - 0.5 for before, row in pairwise(history) if before["size"] != row["size"]]
    splits = [split for split in ("train", "valid") if any(np.isfinite(row[f"{split}_loss"]) for row in history)]
    panels = (
        ("loss", "loss", "log"),
        ("ipe_px", "IPE, network-frame px", "log"),
        ("or_10px", "Or at 10 px, landmarks a radiograph", "symlog"),
    )
    for axes, (key, label, scale) in zip(figure.subplots(1, 3), panels):
        for split in splits:
            axes.plot(epochs, [row[f"{split}_{key}"] for row in history], marker=".", label=split)
        for change in changes:
            axes.axvline(change, color="grey", linewidth=0.8, linestyle=":")
        axes.set_yscale(scale, **({"linthresh": 0.1} if scale == "symlog" else {}))
        axes.set(xlabel="epoch (dotted: the resolution rises)" if changes else "epoch", title=label)
        if scale == "symlog":
            axes.set_ylim(bottom=0)
        axes.grid(True, alpha=0.3)
        axes.legend()
    save(figure, path)


def draw_cumulative_errors(errors_px: np.ndarray, path: Path) -> None:
    """Percent of the test landmarks within each distance; errors (N, L) in network-frame px."""
    thresholds = np.linspace(0, 10, 201)
    figure = Figure(figsize=(6, 4.5), layout="constrained")
    axes = figure.subplots()
    axes.plot(thresholds, cumulative_errors(errors_px, thresholds))
    axes.set(xlabel="error, network-frame px", ylabel="landmarks, %", xlim=(0, 10), ylim=(0, 101))
    axes.grid(True, alpha=0.3)
    save(figure, path)


def draw_overlay(picture: np.ndarray, truth: np.ndarray, predicted: np.ndarray, title: str, path: Path) -> None:
    """A picture (size, size) with true landmarks (L, 2) as green circles, joined by a line to predicted ones as red points."""
    figure = Figure(figsize=(9, 9.4), layout="constrained")
    axes = figure.subplots()
    axes.imshow(picture, cmap="gray")
    axes.plot(*np.stack([truth, predicted], 1).transpose(2, 1, 0), color="yellow", linewidth=1)
    axes.plot(*truth.T, "o", color="lime", markersize=6, fillstyle="none", label="annotated")
    axes.plot(*predicted.T, ".", color="red", markersize=4, label="predicted")
    for i, (x, y) in enumerate(predicted):
        axes.annotate(str(i), (x, y), textcoords="offset points", xytext=(4, 3), color="cyan", fontsize=7)
    axes.set_title(title, parse_math=False)
    axes.axis("off")
    axes.legend(loc="lower right")
    save(figure, path)


def draw_heatmaps(image: np.ndarray, maps: dict[str, np.ndarray], path: Path, columns: int = 6) -> None:
    """An image (H, W) beside the same few landmarks of each set of heatmaps (L, H, W), one row a set, with its range."""
    count = len(next(iter(maps.values())))
    shown = np.unique(np.linspace(0, count - 1, min(columns, count)).round().astype(int))
    figure = Figure(figsize=(2.2 * (len(shown) + 1), 2.3 * len(maps)), layout="constrained")
    grid = figure.subplots(len(maps), len(shown) + 1, squeeze=False)
    for axes, (name, stack) in zip(grid, maps.items()):
        axes[0].imshow(image, cmap="gray")
        axes[0].set_title(name, fontsize=9)
        for cell, i in zip(axes[1:], shown):
            limit = max(float(np.abs(stack[i]).max()), 1e-12)
            cell.imshow(stack[i], cmap="coolwarm", vmin=-limit, vmax=limit)
            cell.set_title(f"{i}: +-{limit:.2g}", fontsize=8)
    for cell in grid.flat:
        cell.axis("off")
    save(figure, path)
