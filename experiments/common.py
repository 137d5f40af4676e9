"""What the experiments share: they run the project's own commands in this process, and read what those leave."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

import data_preprocessing
import main
from phantom.data_set import COUNTS, write_data_set
from phantom.drawing import STEPS, shape_model
from phantom.shape import build_table
from radiographs.prepared_folder import TABLE
from radiographs.raw_folder import COORDINATES
from runtime.command import cores
from runtime.files import read_csv
from training.runs import BEST, STATES, holds

SYNTHETIC = 600  # hands to pretrain on
PRETRAINING = ("--init", "", "--stages", "64x4 128x3", "--learning_rate", "8e-4")


def prepare(raw: Path, out: Path, size: int = 256) -> None:
    """Prepare a raw folder with heatmaps of 3 px, as pretraining takes them."""
    out.mkdir(parents=True, exist_ok=True)
    data_preprocessing.run(raw, out, data_preprocessing.Settings(size, 3.0, "auto"), cores())


def train(data: Path, result: Path, *flags: object) -> None:
    """Train into RESULT by main.py unless an earlier call did, go on with what an interrupted one left; mistakes end all."""
    if not (result / "test.json").exists():
        resume = ["--resume"] if holds(result, *STATES) else []
        if status := main.main([str(flag) for flag in ("--data", data, "--result", result, *flags, *resume)]):
            raise SystemExit(status)


def pretrained(
    folder: Path, annotations: Path, exclude: Sequence[Path], count: int, size: int, seed: int, flags: Sequence[object] = ()
) -> Path:
    """The checkpoint of a network that has learnt from `count` synthetic hands, of which an earlier call made what FOLDER has.

    Their shape model is that of a table of annotations without those of the IDs in `exclude`.
    """
    shapes, raw, data = folder / "shape.npz", folder / "raw", folder / "processed"
    if not (raw / COORDINATES).exists():
        folder.mkdir(parents=True, exist_ok=True)
        build_table(annotations, shapes, exclude)
        steps = replace(STEPS, shape_model=partial(shape_model, shapes))
        write_data_set(raw, COUNTS | {"train": count}, seed, cores(), [steps])
    if not (data / TABLE).exists():
        prepare(raw, data, size)
    train(data, folder / "run", *PRETRAINING, *flags)
    return folder / "run" / BEST


def read_errors(result: Path) -> tuple[list[str], np.ndarray, np.ndarray]:
    """IDs (N), errors px (N, L) of the network frame and errors mm (N, L), NaN where unknown, of a run's test."""
    rows = read_csv(result / "test_landmarks.csv")
    ids = list(dict.fromkeys(row["image"] for row in rows))
    px, mm = (np.array([float(row[name] or "nan") for row in rows]).reshape(len(ids), -1) for name in ("error_px", "error_mm"))
    return ids, px, mm


def table(header: list[str], rows: list[list[object]]) -> str:
    """A Markdown table, numbers with three digits."""
    text = [[f"{cell:.3g}" if isinstance(cell, float) else str(cell) for cell in row] for row in rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in (header, ["---"] * len(header), *text))


def mahalanobis(residuals: np.ndarray, ellipses: np.ndarray) -> np.ndarray:
    """Distances (...) of residuals (..., 2) in units of ellipses (..., 2, 2); NaN where either is."""
    known = np.isfinite(ellipses).all((-2, -1)) & np.isfinite(residuals).all(-1)
    ellipses = np.where(known[..., None, None], ellipses, np.eye(2))
    squares = np.einsum("...i,...ij,...j->...", residuals, np.linalg.inv(ellipses), residuals)
    return np.where(known, np.sqrt(squares), np.nan)
