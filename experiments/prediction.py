"""The figures of docs/prediction.md: error, coverage of the regions, orientations recognised, flags, and the speed of inference.

    python -m experiments.prediction --raw dataset --data dataset/processed --weights weights/scn_hand.pt --split test
    python -m experiments.prediction --run result/001 --weights weights/scn_hand.pt

With --run, error and regions out of fold: RUN is a cross-validation, WEIGHTS what export.py made of it, whose finder is taken (it
has learnt from training radiographs of all folds). Regions are calibrated on all folds but one and measured on that one, in turn.
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np

import predict
from dataloader import RadiographDataset
from evaluation import target_px2
from experiments.common import mahalanobis, surest, table
from experiments.conditions import inverted, mirrored, one_by_one, placed
from export import all_held_out, judges_of
from prediction.held_out import HeldOut
from prediction.predictor import Prediction, Predictor
from prediction.regions import calibrate_regions, semi_axes
from radiographs.raw_folder import find_radiographs
from radiographs.reading import read_radiograph
from runtime.checkpoint import read_checkpoint
from runtime.command import exit_status
from training.runs import BEST

ORIENTATIONS = list(product((0, 90, 180, 270), (False, True), (False, True)))  # degrees to the right, mirrored, inverted
BATCH = 4  # radiographs of the inference that is timed alone
REPEATS = 3  # of that


def report(residuals: np.ndarray, ellipses: np.ndarray, fold_of: np.ndarray) -> None:
    """Errors, landmarks within their regions, and how large these are, of residuals (M, L, 2) and ellipses (M, L, 2, 2)."""
    errors = np.linalg.norm(residuals, axis=-1)
    ipe = np.nanmean(errors, 1)
    print(
        f"{len(ipe)} radiographs: IPE {ipe.mean():.4f} ± {ipe.std(ddof=1):.3f} px, median of all landmarks "
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
    """The same out of fold, by the way that predict.py goes: each radiograph through finder, network and second look."""
    state, made = read_checkpoint(run / BEST), read_checkpoint(weights)
    folder = folder or Path(state["settings"]["data"])
    judges = judges_of(run / BEST, state, *(RadiographDataset(folder, split) for split in ("train", "valid")))
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


def report_accuracy(upright: list[Prediction], data: RadiographDataset) -> None:
    """Errors and regions of a split, in px of the network's frame."""
    scale = np.array(data.frame[::-1]) / data.sizes_px  # (N, 2) network-frame px per px
    residuals = (data.points_px - [one.points_px for one in upright]) * scale[:, None]
    ellipses = np.array([one.ellipse_px2 for one in upright]) * (scale[:, :, None] * scale[:, None])[:, None]
    report(residuals, ellipses, np.zeros(len(upright)))


def report_orientations(predictor: Predictor, pictures: list[np.ndarray], upright: list[Prediction]) -> None:
    """How many sides are recognised in all orientations of all pictures, and how far positions move with them."""
    right, moved_px = 0, []
    for degrees, reflected, negative in ORIENTATIONS:
        changes = partial(placed, degrees=degrees), *([mirrored] * reflected), *([inverted] * negative)
        for picture, first in zip(pictures, upright):
            turned = one_by_one(*changes)(picture, np.random.default_rng(0))
            one, _ = surest(predictor, turned.picture)
            right += one.mirrored == (first.mirrored != reflected)
            scale = predictor.network_size / np.sqrt(picture.size)
            moved_px.append(np.linalg.norm(turned.moved_back(one.points_px) - first.points_px, axis=1) * scale)
    print(f"orientations: {right} of {len(moved_px)} sides recognised ({100 * right / len(moved_px):.1f} %); ", end="")
    print(f"positions after turning back differ by {np.median(moved_px):.4f} px in the median, {np.max(moved_px):.2f} at most")


def report_speed(predictor: Predictor, weights: Path, files: list[Path], pictures: list[np.ndarray]) -> None:
    """Seconds a radiograph of predict.py on files, and of the networks alone on a batch of pictures."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        if status := predict.main([*map(str, files), "--weights", str(weights), "--out", folder]):
            sys.exit(status)
        whole = (time.perf_counter() - start) / len(files)
    batch = pictures[:BATCH]
    start = time.perf_counter()
    for _ in range(REPEATS):
        predictor.predict(batch)
    networks = (time.perf_counter() - start) / (REPEATS * len(batch))
    print(f"{len(files)} files: {whole:.3f} s a radiograph, of which {networks:.3f} s are the networks'")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--raw", type=Path, default=Path("dataset"), help="raw folder of real radiographs")
    parser.add_argument("--data", type=Path, help="the same, prepared; none: RAW/processed, with --run what the run had")
    parser.add_argument("--weights", type=Path, default=Path("weights/scn_hand.pt"), help="a file of export.py")
    parser.add_argument("--split", default="test", help="to measure on")
    parser.add_argument("--files", type=int, default=100, help="of the run for speed")
    parser.add_argument("--run", type=Path, help="the folder of a cross-validation, to measure out of fold instead")
    options = parser.parse_args(arguments)
    if options.run:
        return report_folds(options.run, options.weights, options.data)
    predictor = Predictor(options.weights)
    data = RadiographDataset(options.data or options.raw / "processed", options.split)
    raw, _ = find_radiographs(options.raw)
    pictures = [read_radiograph(raw[id][1]).pixels for id in data.ids]
    upright = [surest(predictor, picture)[0] for picture in pictures]
    report_accuracy(upright, data)
    report_orientations(predictor, pictures, upright)
    print(f"flags on {len(upright)} hands: {dict(Counter(flag for one in upright for flag in one.flags))}")
    report_speed(predictor, options.weights, [path for _, path in raw.values()][: options.files], pictures)


if __name__ == "__main__":
    sys.exit(exit_status(main))
