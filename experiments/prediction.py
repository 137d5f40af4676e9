"""The figures of docs/prediction.md: error, coverage of the regions, orientations recognised, flags, and the speed of inference.

python -m experiments.prediction --raw dataset --data dataset/processed --weights weights/scn_hand.pt --split test
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from itertools import product
from pathlib import Path

import numpy as np

import metrics
import predict
from dataloader import RadiographDataset
from experiments.common import mahalanobis, table
from experiments.non_hands import non_hands
from heatmap import rescale
from prediction.predictor import Prediction, Predictor
from prediction.regions import semi_axes
from radiographs.raw_folder import find_radiographs
from radiographs.reading import read_radiograph
from runtime.command import exit_status

BATCH = 4
ORIENTATIONS = list(product(range(4), (False, True), (False, True)))  # quarter turns, mirrored, inverted
REPEATS = 3  # of the inference that is timed alone


def predict_pictures(predictor: Predictor, pictures: list[np.ndarray]) -> list[Prediction]:
    """The surest hand of each picture."""
    predictions = []
    for start in range(0, len(pictures), BATCH):
        batch = [picture.astype(np.float32) for picture in pictures[start : start + BATCH]]
        predictions += [max(hands, key=lambda hand: hand.evidence) for hands in predictor.predict(batch)]
    return predictions


def brought_into(picture: np.ndarray, turns: int, mirrored: bool, negative: bool) -> np.ndarray:
    """A picture turned right by quarter turns, then mirrored, then inverted."""
    turned = np.rot90(picture, -turns)
    turned = turned[:, ::-1] if mirrored else turned
    return turned.max() + turned.min() - turned if negative else turned


def turned_back(points: np.ndarray, turns: int, mirrored: bool, shape: tuple[int, int]) -> np.ndarray:
    """Points of `brought_into(picture)`, of that shape, -> of the picture."""
    x, y = points[..., 0], points[..., 1]
    rows, columns = shape
    x = columns - 1 - x if mirrored else x
    for _ in range(turns):
        x, y, rows, columns = y, columns - 1 - x, columns, rows
    return np.stack([x, y], -1)


def report_accuracy(upright: list[Prediction], data: RadiographDataset) -> None:
    """The IPE, how many landmarks lie within their regions, over all and of each landmark, and how large the regions are."""
    scale = np.array(data.frame[::-1]) / data.sizes_px[:, None]  # (N, 1, 2) network-frame px per px
    points = np.array([one.points_px for one in upright])
    ellipses = np.array([one.ellipse_px2 for one in upright])
    errors = metrics.point_errors(rescale(points, scale), data.points_network_px)
    print(f"{len(upright)} radiographs of {data.split}: IPE {metrics.mean_of_present(metrics.ipe(errors)):.4f} px")
    distance = mahalanobis(data.points_px - points, ellipses)
    inside = metrics.sdr(distance, 1, 0)
    worst = int(np.nanargmin(inside))
    count = np.isfinite(distance).sum()
    print(f"coverage: {metrics.sdr(distance, 1):.1f} % of {count} landmarks lie within their region, ", end="")
    print(f"{inside[worst]:.0f} % of those of landmark {worst}, the fewest; ", end="")
    long, short, _ = semi_axes(ellipses)
    low, median, high = np.nanpercentile(np.pi * long * short * scale.prod(-1), (10, 50, 90))
    print(f"median area {median:.2f} px² of the network frame, tenth to ninetieth percentile {low:.2f} to {high:.2f}")


def report_orientations(predictor: Predictor, pictures: list[np.ndarray], upright: list[Prediction]) -> None:
    """How many sides are recognised in all orientations of all pictures, and how far positions move with them."""
    right, moved_px = 0, []
    for turns, mirrored, negative in ORIENTATIONS:
        turned = [brought_into(picture, turns, mirrored, negative) for picture in pictures]
        for picture, one, first in zip(turned, predict_pictures(predictor, turned), upright):
            right += one.mirrored == (first.mirrored != mirrored)
            back = turned_back(one.points_px, turns, mirrored, picture.shape)
            scale = predictor.network_size / np.sqrt(picture.size)
            moved_px.append(np.linalg.norm(back - first.points_px, axis=1) * scale)
    count = len(ORIENTATIONS) * len(pictures)
    print(f"orientations: {right} of {count} sides recognised ({100 * right / count:.1f} %); ", end="")
    print(f"positions after turning back differ by {np.median(moved_px):.4f} px in the median, {np.max(moved_px):.2f} at most")


def report_flags(predictor: Predictor, upright: list[Prediction], count: int) -> None:
    """The flags on hands, and on `count` pictures that are none."""
    flags = Counter(flag for one in upright for flag in one.flags)
    print(f"flags on {len(upright)} hands: {dict(flags)}")
    kinds, pictures = zip(*non_hands(count))
    made, flagged, denied = Counter(kinds), Counter(), Counter()
    for kind, one in zip(kinds, predict_pictures(predictor, list(pictures))):
        flagged[kind] += bool(one.flags)
        denied[kind] += "not a hand" in one.flags
    rows = [[kind, made[kind], flagged[kind], denied[kind]] for kind in made]
    rows.append(["all", made.total(), flagged.total(), denied.total()])
    print(table(["no hands", "made", "flagged", "as not a hand"], rows))


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
    parser.add_argument("--data", type=Path, default=Path("dataset/processed"), help="the same, prepared")
    parser.add_argument("--weights", type=Path, default=Path("weights/scn_hand.pt"), help="a file of export.py")
    parser.add_argument("--split", default="test", help="to measure on")
    parser.add_argument("--non_hands", type=int, default=200, help="pictures without a hand")
    parser.add_argument("--files", type=int, default=100, help="of the run for speed")
    options = parser.parse_args(arguments)
    predictor = Predictor(options.weights)
    data = RadiographDataset(options.data, options.split)
    raw, _ = find_radiographs(options.raw)
    pictures = [read_radiograph(raw[id][1]).pixels for id in data.ids]
    upright = predict_pictures(predictor, pictures)
    report_accuracy(upright, data)
    report_orientations(predictor, pictures, upright)
    report_flags(predictor, upright, options.non_hands)
    report_speed(predictor, options.weights, [path for _, path in raw.values()][: options.files], pictures)


if __name__ == "__main__":
    sys.exit(exit_status(main))
