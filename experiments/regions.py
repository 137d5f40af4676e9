"""Error and regions out of fold, by the way that predict.py goes: each radiograph through finder, network and second look.

    python -m experiments.regions --run result/001 --weights weights/scn_hand.pt

RUN is a cross-validation, WEIGHTS what export.py made of it, whose finder is taken (it has learnt from training radiographs of
all folds). Regions are calibrated on all folds but one and measured on that one, in turn.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from dataloader import RadiographDataset
from evaluation import target_px2
from experiments.common import mahalanobis, table
from export import all_held_out, judges_of
from prediction.held_out import HeldOut
from prediction.regions import calibrate_regions, semi_axes
from runtime.checkpoint import read_checkpoint
from runtime.command import exit_status
from training.runs import BEST


def predict_folds(run: Path, weights: Path, folder: Path | None) -> tuple[HeldOut, np.ndarray, float]:
    """What predict.py finds with the networks of a cross-validation in what each has not seen, the fold (M) of each radiograph,
    and the variance of the heatmaps that they were trained for, px².
    """
    state, made = read_checkpoint(run / BEST), read_checkpoint(weights)
    folder = folder or Path(state["settings"]["data"])
    judges = judges_of(run / BEST, state, *(RadiographDataset(folder, split) for split in ("train", "valid")))
    fold_of = np.concatenate([np.full(len(data), k) for k, (_, data) in enumerate(judges, 1)])
    return all_held_out(made, judges, seed=0, copies=0), fold_of, target_px2(state)


def out_of_fold_regions(found: HeldOut, fold_of: np.ndarray, target: float) -> np.ndarray:
    """Ellipses (M, L, 2, 2) px², those of each fold calibrated on the others."""
    ellipses = np.empty(found.covariances_px2.shape)
    for k in np.unique(fold_of):
        known, new = fold_of != k, fold_of == k
        regions = calibrate_regions(found.residuals_px[known], found.covariances_px2[known], found.confidence[known], target)
        ellipses[new] = regions.of(found.covariances_px2[new], found.confidence[new])
    return ellipses


def coverage(residuals: np.ndarray, ellipses: np.ndarray, fold_of: np.ndarray) -> list[str]:
    """Cells of a table: share within of all and of the worst landmark, SD over folds; median and mean area."""
    distance = mahalanobis(residuals, ellipses)
    within = np.where(np.isfinite(distance), distance <= 1, np.nan)
    of_folds = [np.nanmean(within[fold_of == k]) for k in np.unique(fold_of)]
    long, short, _ = semi_axes(ellipses)
    areas = np.pi * long * short
    shares = [f"{100 * value:.1f}" for value in (np.nanmean(within), np.nanmean(within, 0).min(), np.std(of_folds, ddof=1))]
    return [*shares, f"{np.nanmedian(areas):.2f}", f"{np.nanmean(areas):.2f}"]


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="the folder of a cross-validation")
    parser.add_argument("--weights", type=Path, required=True, help="what export.py made of it")
    parser.add_argument("--data", type=Path, help="prepared data; none: those that the run had")
    options = parser.parse_args(arguments)
    found, fold_of, target = predict_folds(options.run, options.weights, options.data)
    errors = np.linalg.norm(found.residuals_px, axis=-1)
    ipe = np.nanmean(errors, 1)
    print(
        f"{len(ipe)} radiographs out of fold: IPE {ipe.mean():.3f} ± {ipe.std(ddof=1):.3f} px of the network's view, median of "
        f"all landmarks {np.nanmedian(errors):.3f} px; {(errors > 4).sum()} beyond 4 px, {(errors > 10).sum()} beyond 10 px"
    )
    header = ["within, %", "of the worst landmark, %", "SD over folds, %", "median area, px²", "mean area, px²"]
    print(table(header, [coverage(found.residuals_px, out_of_fold_regions(found, fold_of, target), fold_of)]))


if __name__ == "__main__":
    sys.exit(exit_status(main))
