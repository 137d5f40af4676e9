"""Which regions hold as many truths as they promise, and are the smallest: circles or ellipses, from errors or from heatmaps.

    python -m experiments.regions --run result/001

takes the networks of a cross-validation. Regions are calibrated on all folds but one and measured on that one, in turn. It prints
for each form the share of landmarks that lie within their regions, over all and of the landmark with the fewest, and the areas.
"""

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dataloader import RadiographDataset
from evaluation import find_all, target_px2
from experiments.common import table
from prediction.regions import (
    CLEAR,
    LEAST_CONFIDENCE,
    Regions,
    calibrate_regions,
    conformal_quantiles,
    mahalanobis,
    semi_axes,
    whiten,
)
from runtime.checkpoint import read_checkpoint
from runtime.command import exit_status
from runtime.device import choose_device
from training.folds import folder_of, split_by
from training.runs import BEST


@dataclass
class Found:
    """Of M radiographs with L landmarks, network-frame px."""

    residuals: np.ndarray  # (M, L, 2), NaN where missing
    covariances: np.ndarray  # (M, L, 2, 2) of the heatmaps
    confidence: np.ndarray  # (M, L)
    target_px2: float  # variance of the heatmaps that the network was trained for

    def of(self, chosen: np.ndarray) -> "Found":
        return Found(self.residuals[chosen], self.covariances[chosen], self.confidence[chosen], self.target_px2)


def circles(known: Found, new: Found) -> np.ndarray:
    """Radii that go with one over the confidence."""
    radii = conformal_quantiles(np.linalg.norm(known.residuals, axis=-1) * np.maximum(known.confidence, LEAST_CONFIDENCE))
    return np.eye(2) * (radii / np.maximum(new.confidence, LEAST_CONFIDENCE))[..., None, None] ** 2


def plain(found: Found) -> np.ndarray:
    """Covariances of heatmaps that all look the same, and round."""
    return np.broadcast_to((CLEAR * found.target_px2 + 1) * np.eye(2), found.covariances.shape)


def from_errors(known: Found, new: Found) -> np.ndarray:
    """One ellipse for each landmark, whatever form its heatmap has."""
    return from_both(replace(known, covariances=plain(known)), replace(new, covariances=plain(new)))


def from_heatmaps(known: Found, new: Found) -> np.ndarray:
    """As the heatmap is longer and broader than its target, and lower, times a number for each landmark."""
    whitened = whiten(known.residuals, known.covariances, known.confidence, known.target_px2)
    scale = conformal_quantiles(np.linalg.norm(whitened, axis=-1))
    return Regions(np.eye(2) * scale[:, None, None] ** 2, new.target_px2).of(new.covariances, new.confidence)


def from_both(known: Found, new: Found) -> np.ndarray:
    """What predict.py draws."""
    regions = calibrate_regions(known.residuals, known.covariances, known.confidence, known.target_px2)
    return regions.of(new.covariances, new.confidence)


FORMS: dict[str, Callable[[Found, Found], np.ndarray]] = {
    "circles, by confidence": circles,
    "ellipses from errors": from_errors,
    "ellipses from heatmaps": from_heatmaps,
    "ellipses from both": from_both,
}


def predict_folds(run: Path, data: Path | None) -> tuple[Found, np.ndarray]:
    """What the networks of a cross-validation find in what they have not seen, and the fold (M) of each radiograph."""
    state = read_checkpoint(run / BEST)
    folder = data or Path(state["settings"]["data"])
    train, valid = (RadiographDataset(folder, split) for split in ("train", "valid"))
    device, parts, fold_of = choose_device("auto"), [], []
    for k, (_, held_out) in enumerate(split_by(train.with_more([valid]), state["settings"]["folds"]), 1):
        fold = read_checkpoint(folder_of(run, k) / BEST)
        found = find_all(fold, held_out, device, fold["precision"], 2)
        parts.append((held_out.points_network_px - found.points_network_px, found.covariances_px2, found.peaks))
        fold_of += [k] * len(held_out)
    return Found(*(np.concatenate(part) for part in zip(*parts)), target_px2(state)), np.array(fold_of)


def measured(form: Callable[[Found, Found], np.ndarray], found: Found, fold_of: np.ndarray) -> list[str]:
    """Cells of a table: coverage of all, of the worst landmark, SD over folds; median and mean area."""
    ellipses = np.empty(found.covariances.shape)
    for k in np.unique(fold_of):
        ellipses[fold_of == k] = form(found.of(fold_of != k), found.of(fold_of == k))
    distance = mahalanobis(found.residuals, ellipses)
    within = np.where(np.isfinite(distance), distance <= 1, np.nan)
    of_folds = [np.nanmean(within[fold_of == k]) for k in np.unique(fold_of)]
    long, short, _ = semi_axes(ellipses)
    areas = np.pi * long * short
    shares = [f"{100 * value:.1f}" for value in (np.nanmean(within), np.nanmean(within, 0).min(), np.std(of_folds, ddof=1))]
    return [*shares, f"{np.nanmedian(areas):.2f}", f"{np.nanmean(areas):.2f}"]


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="the folder of a cross-validation")
    parser.add_argument("--data", type=Path, help="prepared data; none: those that the run had")
    options = parser.parse_args(arguments)
    found, fold_of = predict_folds(options.run, options.data)
    rows = [[name, *measured(form, found, fold_of)] for name, form in FORMS.items()]
    header = ["regions", "within, %", "of the worst landmark, %", "SD over folds, %", "median area, px²", "mean area, px²"]
    print(table(header, rows))


if __name__ == "__main__":
    sys.exit(exit_status(main))
