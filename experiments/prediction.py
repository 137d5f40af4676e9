"""The figures of docs/prediction.md: orientations recognised, radii that cover, flags on hands and on other pictures, and speed.

python experiments/prediction.py --raw dataset --data dataset/processed --weights weights/scn_hand.pt --split test
"""

import argparse
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np

import metrics
import predict
from dataloader import RadiographDataset
from experiments.common import table
from experiments.non_hands import non_hands
from heatmap import rescale
from prediction.orientation import VARIANTS, Orientation
from prediction.predictor import Prediction, Predictor
from radiographs.network_frame import resize_square
from radiographs.raw_folder import find_radiographs
from radiographs.reading import read_radiograph

BATCH = 4


def predicted(predictor: Predictor, pictures: list[np.ndarray]) -> list[Prediction]:
    found = []
    for start in range(0, len(pictures), BATCH):
        batch = pictures[start : start + BATCH]
        squares = [resize_square(picture.astype(np.float32), predictor.network_size) for picture in batch]
        found += predictor.predict(squares, [picture.shape[::-1] for picture in batch])
    return found


def brought_into(picture: np.ndarray, orientation: Orientation) -> np.ndarray:
    """A picture turned so that `orientation` would bring it upright again."""
    turned = np.rot90(picture, -orientation.quarter_turns)
    turned = turned[:, ::-1] if orientation.mirrored else turned
    return turned.max() + turned.min() - turned if orientation.negative else turned


def turned_back(points: np.ndarray, orientation: Orientation, shape: tuple[int, int]) -> np.ndarray:
    """Points of `brought_into(picture)`, of that shape, -> of the picture."""
    x, y = points[..., 0], points[..., 1]
    rows, columns = shape
    x = columns - 1 - x if orientation.mirrored else x
    for _ in range(orientation.quarter_turns):
        x, y, rows, columns = y, columns - 1 - x, columns, rows
    return np.stack([x, y], -1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--raw", type=Path, default=Path("dataset"), help="raw folder of real radiographs")
    parser.add_argument("--data", type=Path, default=Path("dataset/processed"), help="the same, prepared")
    parser.add_argument("--weights", type=Path, default=Path("weights/scn_hand.pt"))
    parser.add_argument("--split", default="test")
    parser.add_argument("--files", type=int, default=100, help="of the run for speed")
    options = parser.parse_args()
    predictor = Predictor(options.weights)
    data = RadiographDataset(options.data, options.split)
    raw, _ = find_radiographs(options.raw)
    pictures = [read_radiograph(raw[id][1]).pixels for id in data.ids]

    upright = predicted(predictor, pictures)
    scale = data.size / data.sizes_px[:, None]
    points = np.array([one.points_px for one in upright])
    errors = metrics.point_errors(rescale(points, scale), data.points_network_px)
    print(f"{len(pictures)} radiographs of {options.split}: IPE {metrics.ipe(errors).mean():.4f} px")
    radii = np.array([one.radius_px for one in upright])
    off = metrics.point_errors(points, data.points_px)
    relative = radii * np.sqrt(scale.prod(-1))
    print(f"within their radius: {100 * np.mean((off <= radii)[~np.isnan(off)]):.1f} % of {off.size} landmarks; ", end="")
    print(f"median radius {np.median(relative):.2f} px of the network frame, tenth to ninetieth percentile "
          f"{np.percentile(relative, 10):.2f} to {np.percentile(relative, 90):.2f}")  # fmt: skip

    right, moved = 0, []
    for variant in VARIANTS:
        turned = [brought_into(picture, variant) for picture in pictures]
        for picture, one, first in zip(turned, predicted(predictor, turned), upright):
            right += one.orientation == variant
            back = turned_back(one.points_px, variant, picture.shape)
            moved.append(np.linalg.norm(back - first.points_px, axis=1) * np.sqrt((data.size**2) / picture.size))
    count = len(VARIANTS) * len(pictures)
    print(f"orientations: {right} of {count} recognised ({100 * right / count:.1f} %); positions after turning back differ by "
          f"{np.median(moved):.4f} px in the median, {np.max(moved):.2f} at most")  # fmt: skip

    flagged = Counter(flag for one in upright for flag in one.flags)
    print(f"flags on {len(upright)} hands: {dict(flagged)}")
    made = list(non_hands(200))
    caught, denied, total = Counter(), Counter(), Counter(kind for kind, _ in made)
    for (kind, _), one in zip(made, predicted(predictor, [picture for _, picture in made])):
        caught[kind] += bool(one.flags)
        denied[kind] += "not a hand" in one.flags
    rows = [[kind.replace("_", " "), total[kind], caught[kind], denied[kind]] for kind in total]
    rows += [["all", total.total(), caught.total(), denied.total()]]
    print(table(["no hands", "made", "flagged", "as not a hand"], rows))

    with tempfile.TemporaryDirectory() as folder:
        files = [path for _, path in raw.values()][: options.files]
        start = time.perf_counter()
        predict.main([*map(str, files), "--weights", str(options.weights), "--out", folder])
        seconds = (time.perf_counter() - start) / len(files)
    square = [resize_square(picture, predictor.network_size) for picture in pictures[:BATCH]]
    start = time.perf_counter()
    for _ in range(3):
        predictor.predict(square, [picture.shape[::-1] for picture in pictures[:BATCH]])
    net = (time.perf_counter() - start) / (3 * len(square))
    print(f"{len(files)} files: {seconds:.3f} s a radiograph, of which {net:.3f} s are the networks'")


if __name__ == "__main__":
    main()
