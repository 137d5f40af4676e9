"""How predictions hold on radiographs that are framed, turned, exposed or processed as other places do it.

    python -m experiments.stress --raw dataset --weights weights/scn_hand.pt

changes the validation radiographs of a raw folder (never the test ones) and their landmarks together, predicts, and prints a
table for docs/lab/stress.md: errors in px of the unchanged radiograph's 256 x 256 frame, over landmarks still in the picture.
--foreign FOLDER also compares radiographs without landmarks with their turned and shrunk copies: how far the predictions of both
lie from each other, which needs no annotation. --run FOLDER, where the weights are those of all radiographs of train and valid:
their cross-validation; each radiograph is then predicted with the weights of the fold that has not seen it.
"""

import argparse
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import imageio.v3 as iio
import numpy as np
from matplotlib.figure import Figure
from PIL import Image
from scipy.ndimage import affine_transform, gaussian_filter
from skimage.exposure import equalize_adapthist

import metrics
from experiments.common import mahalanobis, some_of, table
from export import halved
from prediction.calibration import MISPLACED, NO_HAND, OUTSIDE
from prediction.predictor import Prediction, Predictor
from radiographs.processing import skin_outline
from radiographs.raw_folder import COORDINATES, find_radiographs, read_points
from radiographs.reading import is_radiograph, read_radiograph
from radiographs.view import border_grey
from runtime.checkpoint import read_checkpoint
from runtime.command import exit_status
from runtime.files import read_csv
from training.figures import save
from training.runs import BEST, HELD_OUT, folder_of

FRAME = 256  # px, in which errors are given
FAR = 10  # px there, from which on a landmark is an outlier
RIGHT = 4  # px there, up to which it is right
THRESHOLDS = (0, 0.5, 0.7, 0.8, 0.9, 1, 1.1, 1.2)  # times the confidences below which landmarks are doubtful
ALARMS = ["threshold", f"of landmarks within {RIGHT} px flagged, %", f"of radiographs without one beyond {FAR} px flagged, %"]
ALARMS += [f"beyond {FAR} px and not flagged, a radiograph"]
SKIN = 0.3  # of the way from the background to Otsu's threshold, where a hand's skin begins
COPIES = ((30, 1.0), (-75, 1.0), (160, 1.0), (0, 0.6), (20, 0.5))  # degrees and sizes, of radiographs without landmarks
HEADER = ["radiographs", "IPE, px", f"beyond {FAR} px, %", "not a hand, %", "wrong and not flagged, a radiograph"]
HEADER += ["within region, %"]

Change = Callable[[np.ndarray, np.random.Generator], "Changed"]


@dataclass
class Changed:
    """A changed picture, and how a point (x, y) of the first picture moves: matrix @ point + shift."""

    picture: np.ndarray  # (rows, columns) float32
    matrix: np.ndarray  # (2, 2)
    shift: np.ndarray  # (2,)


def still(picture: np.ndarray) -> Changed:
    return Changed(picture, np.eye(2), np.zeros(2))


def placed(degrees: float = 0.0, size: float = 1.0, shift: tuple[float, float] = (0.0, 0.0), fill: str = "border") -> Change:
    """Turned clockwise about its centre and shrunk in a frame that holds all of it, moved by parts of that frame."""

    def change(picture: np.ndarray, rng: np.random.Generator) -> Changed:
        rows, columns = picture.shape
        angle = np.radians(degrees)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * (columns / 2, rows / 2) @ turn.T
        extent = np.ceil(np.ptp(corners, axis=0)).astype(int)
        matrix = turn * size
        centre, new_centre = (np.array([columns, rows]) - 1) / 2, (extent - 1) / 2 + np.array(shift) * extent
        offset = new_centre - matrix @ centre
        inverse = np.linalg.inv(matrix)
        swap = inverse[::-1, ::-1]  # of (row, column)
        start = (-inverse @ offset)[::-1]
        smooth = gaussian_filter(picture, 0.4 / size) if size < 1 else picture
        value = {"border": border_grey(picture), "black": float(picture.min())}[fill]
        moved = affine_transform(smooth, swap, start, tuple(extent[::-1]), order=1, mode="constant", cval=value)
        return Changed(moved.astype(np.float32), matrix, offset)

    return change


def mirrored(picture: np.ndarray, rng: np.random.Generator) -> Changed:
    return Changed(picture[:, ::-1].copy(), np.diag([-1.0, 1.0]), np.array([picture.shape[1] - 1.0, 0.0]))


def cut(side: str, share: float) -> Change:
    """Without a share of its height or width at one side."""

    def change(picture: np.ndarray, rng: np.random.Generator) -> Changed:
        rows, columns = picture.shape
        top = int(rows * share) if side == "top" else 0
        bottom = rows - (int(rows * share) if side == "bottom" else 0)
        right = columns - (int(columns * share) if side == "right" else 0)
        return Changed(picture[top:bottom, :right].copy(), np.eye(2), np.array([0.0, -top]))

    return change


def long_forearm(share: float) -> Change:
    """The last rows go on below the picture."""

    def change(picture: np.ndarray, rng: np.random.Generator) -> Changed:
        more = int(len(picture) * share)
        return still(np.concatenate([picture, np.repeat(picture[-3:].mean(0, keepdims=True), more, 0)]).astype(np.float32))

    return change


def intensities(function: Callable[[np.ndarray, np.random.Generator], np.ndarray]) -> Change:
    """A change of the grey values, given and returned in [0, 1]."""

    def change(picture: np.ndarray, rng: np.random.Generator) -> Changed:
        low, high = picture.min(), picture.max()
        grey = function((picture - low) / (high - low), rng)
        return still(np.clip(255 * grey, 0, 255).astype(np.float32))

    return change


def masked(value: float) -> Change:
    """All beside the hand one grey, as a segmentation leaves it."""

    def change(picture: np.ndarray, rng: np.random.Generator) -> Changed:
        low, high = picture.min(), picture.max()
        return still(np.where(skin_outline(picture, SKIN), picture, low + value * (high - low)).astype(np.float32))

    return change


def bordered(value: float, width: float) -> Change:
    """A border of one grey that covers a part of the picture at each side: collimation, or the light box beside the film."""

    def change(picture: np.ndarray, rng: np.random.Generator) -> Changed:
        rows, columns = picture.shape
        y, x = int(rows * width), int(columns * width)
        low, high = picture.min(), picture.max()
        framed = np.full((rows + 2 * y, columns + 2 * x), low + value * (high - low), np.float32)
        framed[y : y + rows, x : x + columns] = picture
        return Changed(framed, np.eye(2), np.array([float(x), float(y)]))

    return change


def labelled(count: int) -> Change:
    """Black labels somewhere over the picture."""

    def change(picture: np.ndarray, rng: np.random.Generator) -> Changed:
        covered = picture.copy()
        rows, columns = picture.shape
        for _ in range(count):
            height, width = (rng.uniform(0.06, 0.12, 2) * rows).astype(int)
            y, x = rng.integers(0, rows - height), rng.integers(0, columns - width)
            covered[y : y + height, x : x + width] = picture.min()
        return still(covered)

    return change


def shrunk(rows: int, quality: int | None = None) -> Change:
    """So many rows, and saved as a JPEG of a quality."""

    def change(picture: np.ndarray, rng: np.random.Generator) -> Changed:
        factor = rows / len(picture)
        size = round(picture.shape[1] * factor), rows
        small = np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BOX))
        if quality:
            small = iio.imread(iio.imwrite("<bytes>", small.clip(0, 255).astype(np.uint8), extension=".jpg", quality=quality))
        scale = np.array(size) / picture.shape[::-1]
        return Changed(small.astype(np.float32), np.diag(scale), 0.5 * scale - 0.5)

    return change


def together(*changes: Change) -> Change:
    """One change after the other."""

    def change(picture: np.ndarray, rng: np.random.Generator) -> Changed:
        result = still(picture)
        for one in changes:
            after = one(result.picture, rng)
            result = Changed(after.picture, after.matrix @ result.matrix, after.matrix @ result.shift + after.shift)
        return result

    return change


def edges(amount: float) -> Callable:
    return lambda grey, rng: grey + amount * (grey - gaussian_filter(grey, 4))


def tones(steepness: float) -> Callable:
    return lambda grey, rng: 1 / (1 + np.exp(-steepness * (grey - np.median(grey))))


inverted = intensities(lambda grey, rng: 1 - grey)
CONDITIONS: dict[str, Change] = {
    "as it came": lambda picture, rng: still(picture),
    "hand at 80 % of the size": placed(size=0.8),
    "hand at 60 %": placed(size=0.6),
    "hand at 40 %": placed(size=0.4),
    "hand at 25 %": placed(size=0.25),
    "hand at 60 % in a corner": placed(size=0.6, shift=(0.18, 0.18)),
    "turned by 10 degrees": placed(10),
    "turned by 30 degrees": placed(30),
    "turned by -45 degrees": placed(-45),
    "turned by 90 degrees": placed(90),
    "turned by 135 degrees": placed(135),
    "turned by 180 degrees": placed(180),
    "mirrored": mirrored,
    "inverted": inverted,
    "long forearm (30 %)": long_forearm(0.3),
    "long forearm (60 %)": long_forearm(0.6),
    "fingertips cut off (8 %)": cut("top", 0.08),
    "thumb cut off (15 %)": cut("right", 0.15),
    "wrist cut off (12 %)": cut("bottom", 0.12),
    "gamma 0.5": intensities(lambda grey, rng: grey**0.5),
    "gamma 2": intensities(lambda grey, rng: grey**2),
    "gamma 3": intensities(lambda grey, rng: grey**3),
    "a fifth of the contrast": intensities(lambda grey, rng: 0.4 + 0.2 * grey),
    "steep tone curve": intensities(tones(10)),
    "edge enhancement (1.5)": intensities(edges(1.5)),
    "edge enhancement (4)": intensities(edges(4)),
    "CLAHE (0.01)": intensities(lambda grey, rng: equalize_adapthist(grey, clip_limit=0.01)),
    "CLAHE (0.03)": intensities(lambda grey, rng: equalize_adapthist(grey, clip_limit=0.03)),
    "background black": masked(0.0),
    "background white": masked(1.0),
    "black collimation": bordered(0.0, 0.15),
    "white light box": bordered(1.0, 0.12),
    "noise (SD 10 of 255)": intensities(lambda grey, rng: grey + rng.normal(0, 10 / 255, grey.shape)),
    "noise (SD 20)": intensities(lambda grey, rng: grey + rng.normal(0, 20 / 255, grey.shape)),
    "noise (SD 40)": intensities(lambda grey, rng: grey + rng.normal(0, 40 / 255, grey.shape)),
    "blurred (SD 3 px)": intensities(lambda grey, rng: gaussian_filter(grey, 3)),
    "320 rows at JPEG quality 20": shrunk(320, 20),
    "200 rows": shrunk(200),
    "a label over it": labelled(1),
    "three labels over it": labelled(3),
    "turned by 60 degrees and mirrored at 60 %": together(placed(60, 0.6), mirrored),
    "turned by -120 degrees and inverted with noise": together(
        placed(-120), inverted, intensities(lambda grey, rng: grey + rng.normal(0, 10 / 255, grey.shape))
    ),
    "black background and CLAHE at 50 %": together(
        masked(0.0), intensities(lambda grey, rng: equalize_adapthist(grey, clip_limit=0.01)), placed(25, 0.5, fill="black")
    ),
}


@dataclass
class Result:
    """What became of the radiographs under one condition."""

    errors_px: np.ndarray  # (N, L) in the frame of the unchanged radiographs, NaN where a landmark is no longer in the picture
    within: np.ndarray  # (N, L) whether a landmark lay within its region
    rejected: np.ndarray  # (N,) whether a radiograph was called no hand
    flags: np.ndarray  # (N, L) texts: the flags of the landmarks
    confidence: np.ndarray  # (N, L)
    hands: np.ndarray  # (N,) how many were found in a radiograph of one
    evidence: np.ndarray  # (N,) of the surest

    def row(self) -> list[str]:
        """Of the table, as HEADER says."""
        far, present = self.errors_px > FAR, np.isfinite(self.errors_px)
        unsaid = (far & (self.flags == "") & ~self.rejected[:, None]).sum(1).mean()
        share, covered = (100 * part[present].sum() / max(present.sum(), 1) for part in (far, self.within))
        ipe = metrics.mean_of_present(metrics.ipe(self.errors_px))
        return [f"{ipe:.2f}", f"{share:.1f}", f"{100 * self.rejected.mean():.0f}", f"{unsaid:.2f}", f"{covered:.1f}"]


def predict(predictor: Predictor, picture: np.ndarray) -> tuple[Prediction, int]:
    """The surest hand in a picture, and how many were found."""
    (hands,) = predictor.predict([picture])
    return max(hands, key=lambda hand: hand.evidence), len(hands)


def errors_of(prediction: Prediction, changed: Changed, points: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Errors (L) in px of the frame of a radiograph, of that shape and with these points (L, 2), found in its changed picture."""
    off = prediction.points_px - (points @ changed.matrix.T + changed.shift)
    return np.linalg.norm(off @ np.linalg.inv(changed.matrix).T * (FRAME / np.array(shape[::-1])), axis=1)


def try_out(change: Change, radiographs: list[tuple[Predictor, np.ndarray, np.ndarray]]) -> Result:
    """Predict radiographs, (predictor, picture, points (L, 2) px) each, under a change; random numbers are always the same."""
    columns = []
    for number, (predictor, picture, points) in enumerate(radiographs):
        changed = change(picture, np.random.default_rng(number))
        found, hands = predict(predictor, changed.picture)
        truth, extent = points @ changed.matrix.T + changed.shift, np.array(changed.picture.shape[::-1])
        inside = ((truth >= -0.5) & (truth <= extent - 0.5)).all(1)
        errors_px = np.where(inside, errors_of(found, changed, points, picture.shape), np.nan)
        within = mahalanobis(truth - found.points_px, found.ellipse_px2) <= 1
        columns.append((errors_px, within, NO_HAND in found.flags, found.landmark_flags, found.confidence, hands, found.evidence))
    return Result(*(np.array(column) for column in zip(*columns)))


def disagreement(predictor: Predictor, picture: np.ndarray, degrees: float, size: float) -> float:
    """Median distance between the landmarks of a picture and those of its copy, in percent of the hand's extent."""
    changed = placed(degrees, size)(picture, np.random.default_rng(0))
    first, second = (predict(predictor, one)[0].points_px for one in (picture, changed.picture))
    moved = np.linalg.norm(first @ changed.matrix.T + changed.shift - second, axis=1) / size
    return float(100 * np.median(moved) / np.ptp(first, axis=0).max())


def cut_off(results: Iterable[Result]) -> str:
    """What became of landmarks beyond the pictures' edges, and how often more hands were found than there are."""
    results = list(results)
    said = np.concatenate([np.char.find(result.flags, OUTSIDE)[np.isnan(result.errors_px)] >= 0 for result in results])
    more = sum(int((result.hands > 1).sum()) for result in results)
    pictures = sum(len(result.hands) for result in results)
    share = 100 * said.mean() if len(said) else 0
    return (
        f"of {len(said)} landmarks beyond the picture's edge {share:.1f} % are said to be outside; "
        f"a second hand is found in {more} of {pictures} pictures of one, the least evidence of a hand is "
        f"{min(result.evidence.min() for result in results):.2f}"
    )


def alarms(results: Iterable[Result], doubtful: np.ndarray) -> list[list[str]]:
    """Rows of ALARMS: flags on what is right and none on what is wrong, were landmarks (L) doubtful below other confidences."""
    results = list(results)
    errors, confidence, flags, rejected = (
        np.concatenate([getattr(result, name) for result in results]) for name in ("errors_px", "confidence", "flags", "rejected")
    )
    otherwise = (np.char.find(flags, OUTSIDE) >= 0) | (np.char.find(flags, MISPLACED) >= 0)
    right, sound, wrong = errors <= RIGHT, (errors <= FAR).all(1), errors > FAR
    rows = []
    for threshold in THRESHOLDS:
        flagged = otherwise | (confidence < threshold * doubtful) | rejected[:, None]
        falsely = (100 * part.sum() / max(part.size, 1) for part in (flagged[right], flagged.any(1)[sound]))
        cells = *falsely, (wrong & ~flagged).sum(1).mean()
        rows.append([f"{threshold:g}", *(f"{cell:.3g}" for cell in cells)])
    return rows


def draw(results: dict[str, Result], path: Path) -> None:
    """IPE and its standard deviation over radiographs, a bar a condition."""
    figure = Figure(figsize=(9, 0.22 * len(results) + 1), layout="constrained")
    axes = figure.subplots()
    ipes = [metrics.ipe(result.errors_px) for result in results.values()]
    axes.barh(
        list(results), [np.nanmean(ipe) for ipe in ipes], xerr=[np.nanstd(ipe) for ipe in ipes], color="tab:blue", ecolor="0.4"
    )
    axes.invert_yaxis()
    axes.set(xlabel=f"IPE, px of the {FRAME} x {FRAME} frame", xlim=(0, None))
    axes.margins(y=0.01)
    axes.grid(True, axis="x", alpha=0.3)
    save(figure, path)


def of_folds(weights: Path, run: Path) -> dict[str, Predictor]:
    """By radiograph the predictor of a weights file, with the weights of the fold that has not seen that radiograph."""
    state, predictors = read_checkpoint(weights), {}
    for k in range(1, read_checkpoint(run / BEST)["settings"]["folds"] + 1):
        fold = folder_of(run, k)
        predictor = Predictor(state | {"weights": halved(read_checkpoint(fold / BEST)["weights"])}, check=False)
        predictors |= {row["image"]: predictor for row in read_csv(fold / f"{HELD_OUT}_landmarks.csv")}
    return predictors


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--raw", type=Path, default=Path("dataset"), help="raw folder of real radiographs")
    parser.add_argument("--weights", type=Path, default=Path("weights/scn_hand.pt"), help="a file of export.py")
    parser.add_argument("--run", type=Path, help="the cross-validation that the weights come from")
    parser.add_argument("--conditions", type=some_of(CONDITIONS), default=list(CONDITIONS), help="some, separated by commas")
    parser.add_argument("--count", type=int, help="validation radiographs at most")
    parser.add_argument("--foreign", type=Path, help="folder of radiographs without landmarks")
    parser.add_argument("--figure", type=Path, help="picture to draw, as docs/stress.png")
    options = parser.parse_args(arguments)
    predictor = Predictor(options.weights)
    table_of_points = read_points(options.raw / COORDINATES)
    files, _ = find_radiographs(options.raw)
    chosen = sorted(id for id, (split, _) in files.items() if split == "valid")[: options.count]
    own = of_folds(options.weights, options.run) if options.run else dict.fromkeys(chosen, predictor)
    radiographs = [(own[id], read_radiograph(files[id][1]).pixels, table_of_points[id]) for id in chosen]
    results: dict[str, Result] = {}
    for name in options.conditions:
        results[name] = try_out(CONDITIONS[name], radiographs)
        print(f"{name}: {', '.join(results[name].row())}", file=sys.stderr, flush=True)
    rows = [[name, *result.row()] for name, result in results.items()]
    mean = [f"{np.mean([float(row[column]) for row in rows]):.2f}" for column in range(1, len(HEADER))]
    print(table(HEADER, [*rows, ["mean over conditions", *mean]]))
    print(cut_off(results.values()))
    print(table(ALARMS, alarms(results.values(), predictor.calibration.doubtful)))
    if options.foreign:
        paths = [path for path in sorted(options.foreign.iterdir()) if is_radiograph(path)]
        pictures = {path.name: read_radiograph(path).pixels for path in paths}
        columns = [f"{degrees} degrees, size {size:g}" for degrees, size in COPIES]
        rows = [
            [name, *(f"{disagreement(predictor, picture, *copy):.1f}" for copy in COPIES)] for name, picture in pictures.items()
        ]
        print(table(["disagreement with the copy, % of the hand", *columns], rows))
    if options.figure:
        draw(results, options.figure)


if __name__ == "__main__":
    sys.exit(exit_status(main))
