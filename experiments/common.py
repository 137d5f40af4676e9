"""What the experiments share: they run the project's own commands in this process, and read what those leave."""

import argparse
import json
import sys
from collections.abc import Callable, Collection
from itertools import pairwise
from pathlib import Path

import numpy as np

import data_preprocessing
import main
from prediction.predictor import Prediction, Predictor
from runtime.command import cores
from runtime.files import read_csv
from solver import train as train_one
from training.cross_validation import cross_validate
from training.recipe import choose
from training.runs import LAST, POOLED
from training.sets import load_data, load_extra


def prepare(raw: Path, out: Path, sigma: float = 3.0, reference: str = "auto", size: int = 256) -> None:
    """Prepare a raw folder; with heatmaps of 3 px, the default before the recipe study, unless told otherwise."""
    out.mkdir(parents=True, exist_ok=True)
    data_preprocessing.run(raw, out, data_preprocessing.Settings(size, sigma, reference), cores())


def train(data: Path, result: Path, *flags: object) -> dict:
    """Train into RESULT unless an earlier call did, go on with what an interrupted one left; the figures of its end."""
    split = dict(pairwise(flags)).get("--test_on", "test")
    if not (result / f"{split}.json").exists():
        resume = ["--resume"] if (result / LAST).exists() else []
        run_main("--data", data, "--result", result, *flags, *resume)
    return read_figures(result, split)


def out_of_fold(data: Path, result: Path, folds: int, *flags: object) -> dict:
    """Cross-validate into RESULT, going on with what is there; the figures of all radiographs of train and valid, out of fold."""
    given = ("--data", data, "--result", result, "--resume", "--folds", folds, *flags)
    settings = main.read_settings([str(flag) for flag in given])
    sets, extra = load_data(settings, ("train", "valid")), load_extra(settings)
    data = sets["train"].concat([sets["valid"]])
    cross_validate(choose(settings, data.concat(extra))[0], result, data, extra, train_one)
    return read_figures(result, POOLED)


def run_main(*arguments: object) -> None:
    """Run main.py with these flags; its mistakes end this process too."""
    if status := main.main([str(argument) for argument in arguments]):
        sys.exit(status)


def read_figures(result: Path, split: str = "test") -> dict:
    return json.loads((result / f"{split}.json").read_text())


def read_errors(result: Path) -> tuple[list[str], np.ndarray, np.ndarray]:
    """IDs (N), errors px (N, L) of the network frame and errors mm (N, L), NaN where unknown, of a run's test."""
    rows = read_csv(result / "test_landmarks.csv")
    ids = list(dict.fromkeys(row["image"] for row in rows))
    px, mm = (np.array([float(row[name] or "nan") for row in rows]).reshape(len(ids), -1) for name in ("error_px", "error_mm"))
    return ids, px, mm


def surest(predictor: Predictor, picture: np.ndarray) -> tuple[Prediction, int]:
    """The surest hand in a picture (rows, columns), and how many were found."""
    (hands,) = predictor.predict([picture])
    return max(hands, key=lambda hand: hand.evidence), len(hands)


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


def some_of(known: Collection[str]) -> Callable[[str], list[str]]:
    """What reads a flag's value as some of the known names, separated by commas: a `type` for argparse."""

    def read(text: str) -> list[str]:
        chosen = text.split(",")
        if unknown := [name for name in chosen if name not in known]:
            raise argparse.ArgumentTypeError(f"expected some of {', '.join(known)}, separated by commas; found {unknown[0]!r}")
        return chosen

    return read


def whole_numbers(text: str) -> list[int]:
    """A flag's value as whole numbers, separated by commas: a `type` for argparse."""
    return [int(part) for part in text.split(",")]
