"""Errors, landmarks within their regions and flags through the way that predict.py goes, as docs/prediction.md has them.

    python -m experiments.prediction --data dataset/processed --weights weights/scn_hand.pt --split test
    python -m experiments.prediction --run result/001 --weights weights/scn_hand.pt

With --run, out of fold: RUN is a cross-validation, WEIGHTS what export.py made of it, whose finder is taken (it has learnt from
training radiographs of all folds). Regions are calibrated on all folds but one and measured on that one, in turn.
"""

from collections import Counter
from pathlib import Path

import numpy as np

from dataloader import RadiographDataset
from evaluation import target_px2
from experiments.common import mahalanobis, table
from export import all_held_out, judges_of, learnt_from
from prediction.held_out import HeldOut
from prediction.predictor import Predictor
from prediction.regions import calibrate_regions, semi_axes
from radiographs.raw_folder import find_radiographs
from radiographs.reading import read_radiograph
from runtime.checkpoint import read_checkpoint
from runtime.command import exit_status, parser_of
from training.runs import BEST


def report(residuals: np.ndarray, ellipses: np.ndarray, fold_of: np.ndarray) -> None:
    """Errors, landmarks within their regions, and how large these are, of residuals (M, L, 2) and ellipses (M, L, 2, 2)."""
    errors = np.linalg.norm(residuals, axis=-1)
    ipe = np.nanmean(errors, 1)
    print(
        f"{len(ipe)} radiographs: IPE {ipe.mean():.4f} ± {ipe.std():.3f} px, median of all landmarks "
        f"{np.nanmedian(errors):.3f} px; {(errors > 4).sum()} beyond 4 px, {(errors > 10).sum()} beyond 10 px"
    )
    distance = mahalanobis(residuals, ellipses)
    within = 100 * np.where(np.isfinite(distance), distance <= 1, np.nan)
    of_folds = [np.nanmean(within[fold_of == k]) for k in np.unique(fold_of)]
    long, short, _ = semi_axes(ellipses)
    areas = np.pi * long * short
    low, median, high = np.nanpercentile(areas, (10, 50, 90))
    row = [f"{np.nanmean(within):.1f}", f"{np.nanmean(within, 0).min():.1f}"]
    row += [f"{np.std(of_folds, ddof=1):.1f}" if len(of_folds) > 1 else "", f"{median:.2f}", f"{np.nanmean(areas):.2f}"]
    header = ["within region, %", "of the worst landmark, %", "SD over folds, %", "median area, px²", "mean area, px²"]
    print(table([*header, "tenth to ninetieth percentile, px²"], [[*row, f"{low:.2f} to {high:.2f}"]]))


def report_folds(run: Path, weights: Path, folder: Path | None) -> None:
    """Each radiograph through finder, network and second look of the fold that has not seen it."""
    state, made = read_checkpoint(run / BEST), read_checkpoint(weights)
    judges = judges_of(run / BEST, state, *learnt_from(state, folder))
    fold_of = np.concatenate([np.full(len(data), k) for k, (_, data) in enumerate(judges, 1)])
    found = all_held_out(made, judges, seed=0, copies=0)
    report(found.residuals_px, out_of_fold_regions(found, fold_of, target_px2(state)), fold_of)


def out_of_fold_regions(found: HeldOut, fold_of: np.ndarray, target: float) -> np.ndarray:
    """Ellipses (M, L, 2, 2) px², those of each fold calibrated on the others; `target`: variance of the heatmaps learnt, px²."""
    ellipses = np.empty(found.covariances_px2.shape)
    for k in np.unique(fold_of):
        known, new = fold_of != k, fold_of == k
        regions = calibrate_regions(found.residuals_px[known], found.covariances_px2[known], found.confidence[known], target)
        ellipses[new] = regions.of(found.covariances_px2[new], found.confidence[new])
    return ellipses


def report_split(weights: Path, raw: Path, data: RadiographDataset) -> None:
    """The raw radiographs of a split, in px of the network's frame."""
    predictor, (files, _) = Predictor(weights), find_radiographs(raw)
    found = [predictor.surest(read_radiograph(files[id][1]).pixels) for id in data.ids]
    scale = np.array(data.frame[::-1]) / data.sizes_px  # (N, 2) network-frame px per px
    residuals = (data.points_px - [one.points_px for one in found]) * scale[:, None]
    ellipses = np.array([one.ellipse_px2 for one in found]) * (scale[:, :, None] * scale[:, None])[:, None]
    report(residuals, ellipses, np.zeros(len(found)))
    print(f"flags on {len(found)} hands: {dict(Counter(flag for one in found for flag in one.flags))}")


def main(arguments: list[str] | None = None) -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--raw", type=Path, default=Path("dataset"), help="raw folder of real radiographs")
    parser.add_argument("--data", type=Path, help="the same, prepared; none: RAW/processed, with --run what the run had")
    parser.add_argument("--weights", type=Path, default=Path("weights/scn_hand.pt"), help="a file of export.py")
    parser.add_argument("--split", default="test", help="to measure on")
    parser.add_argument("--run", type=Path, help="the folder of a cross-validation, to measure out of fold instead")
    options = parser.parse_args(arguments)
    if options.run:
        report_folds(options.run, options.weights, options.data)
    else:
        report_split(options.weights, options.raw, RadiographDataset(options.data or options.raw / "processed", options.split))


if __name__ == "__main__":
    raise SystemExit(exit_status(main))
