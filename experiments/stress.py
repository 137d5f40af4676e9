"""How predictions hold on radiographs that are framed, turned, exposed or processed as other places do it, and on no hands.

    python -m experiments.stress --raw dataset --weights weights/scn_hand.pt

changes the validation radiographs of a raw folder (never the test ones) and their landmarks together, predicts, and prints a
table for docs/lab/stress.md: errors in px of the unchanged radiograph's 256 x 256 frame, over landmarks still in the picture.
--run FOLDER, where the weights are those of all radiographs of train and valid: their cross-validation; each radiograph is then
predicted with the weights of the fold that has not seen it. --foreign FOLDER also compares radiographs without landmarks with
their turned and shrunk copies, --films lays two radiographs side by side, --non_hands counts flags on pictures of no hand.
"""

import argparse
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import metrics
from experiments.common import mahalanobis, some_of, surest, table
from experiments.conditions import CONDITIONS, Change, placed
from experiments.non_hands import non_hands
from experiments.two_hands import FAR, FRAME, errors_of, report_films
from export import halved
from prediction.calibration import MISPLACED, NO_HAND, OUTSIDE
from prediction.predictor import Predictor
from radiographs.raw_folder import COORDINATES, find_radiographs, read_points
from radiographs.reading import is_radiograph, read_radiograph
from runtime.checkpoint import read_checkpoint
from runtime.command import exit_status
from runtime.files import read_csv
from training.figures import save
from training.runs import BEST, HELD_OUT, folder_of

RIGHT = 4  # px of the frame, up to which it is right
THRESHOLDS = (0, 0.5, 0.7, 0.8, 0.9, 1, 1.1, 1.2)  # times the confidences below which landmarks are doubtful
ALARMS = ["threshold", f"of landmarks within {RIGHT} px flagged, %", f"of radiographs without one beyond {FAR} px flagged, %"]
ALARMS += [f"beyond {FAR} px and not flagged, a radiograph"]
COPIES = ((30, 1.0), (-75, 1.0), (160, 1.0), (0, 0.6), (20, 0.5))  # degrees and sizes, of radiographs without landmarks
HEADER = ["radiographs", "IPE, px", f"beyond {FAR} px, %", "not a hand, %", "wrong and not flagged, a radiograph"]
HEADER += ["within region, %"]


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


def try_out(change: Change, radiographs: list[tuple[Predictor, np.ndarray, np.ndarray]]) -> Result:
    """Predict radiographs, (predictor, picture, points (L, 2) px) each, under a change; random numbers are always the same."""
    columns = []
    for number, (predictor, picture, points) in enumerate(radiographs):
        changed = change(picture, np.random.default_rng(number))
        found, hands = surest(predictor, changed.picture)
        truth, extent = changed.moved(points), np.array(changed.picture.shape[::-1])
        inside = ((truth >= -0.5) & (truth <= extent - 0.5)).all(1)
        errors_px = np.where(inside, errors_of(found, changed, points, picture.shape), np.nan)
        within = mahalanobis(truth - found.points_px, found.ellipse_px2) <= 1
        columns.append((errors_px, within, NO_HAND in found.flags, found.landmark_flags, found.confidence, hands, found.evidence))
    return Result(*(np.array(column) for column in zip(*columns)))


def disagreement(predictor: Predictor, picture: np.ndarray, degrees: float, size: float) -> float:
    """Median distance between the landmarks of a picture and those of its copy, in percent of the hand's extent."""
    changed = placed(picture, np.random.default_rng(0), degrees, size)
    first, second = (surest(predictor, one)[0].points_px for one in (picture, changed.picture))
    moved = np.linalg.norm(changed.moved(first) - second, axis=1) / size
    return float(100 * np.median(moved) / np.ptp(first, axis=0).max())


def cut_off(results: list[Result]) -> str:
    """What became of landmarks beyond the pictures' edges, and how often more hands were found than there are."""
    said = np.concatenate([np.char.find(result.flags, OUTSIDE)[np.isnan(result.errors_px)] >= 0 for result in results])
    hands, evidence = (np.concatenate([getattr(result, name) for result in results]) for name in ("hands", "evidence"))
    return (
        f"of {len(said)} landmarks beyond the picture's edge {100 * said.mean() if len(said) else 0:.1f} % are said to be "
        f"outside; a second hand is found in {(hands > 1).sum()} of {len(hands)} pictures of one, the least evidence of a hand "
        f"is {evidence.min():.2f}"
    )


def alarms(results: list[Result], doubtful: np.ndarray) -> list[list[str]]:
    """Rows of ALARMS: flags on what is right and none on what is wrong, were landmarks (L) doubtful below other confidences."""
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


def report_non_hands(predictor: Predictor, count: int) -> None:
    """The flags on `count` pictures that show no hand."""
    made, flagged, denied = Counter(), Counter(), Counter()
    for kind, picture in non_hands(count):
        found, _ = surest(predictor, picture.astype(np.float32))
        made[kind] += 1
        flagged[kind] += bool(found.flags)
        denied[kind] += NO_HAND in found.flags
    rows = [[kind, made[kind], flagged[kind], denied[kind]] for kind in made]
    rows.append(["all", made.total(), flagged.total(), denied.total()])
    print(table(["no hands", "made", "flagged", "as not a hand"], rows))


def report_copies(predictor: Predictor, folder: Path) -> None:
    """How far the landmarks of radiographs lie from those of their changed copies."""
    columns = [f"{degrees} degrees, size {size:g}" for degrees, size in COPIES]
    rows = []
    for path in filter(is_radiograph, sorted(folder.iterdir())):
        picture = read_radiograph(path).pixels
        rows.append([path.name, *(f"{disagreement(predictor, picture, *copy):.1f}" for copy in COPIES)])
    print(table(["disagreement with the copy, % of the hand", *columns], rows))


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
    parser.add_argument("--films", type=int, default=0, help="films of two hands, laid side by side")
    parser.add_argument("--non_hands", type=int, default=0, help="pictures without a hand")
    parser.add_argument("--figure", type=Path, help="picture to draw, as docs/stress.png")
    options = parser.parse_args(arguments)
    predictor = Predictor(options.weights)
    points = read_points(options.raw / COORDINATES)
    files, _ = find_radiographs(options.raw)
    chosen = sorted(id for id, (split, _) in files.items() if split == "valid")[: options.count]
    own = of_folds(options.weights, options.run) if options.run else dict.fromkeys(chosen, predictor)
    radiographs = [(own[id], read_radiograph(files[id][1]).pixels, points[id]) for id in chosen]
    results: dict[str, Result] = {}
    for name in options.conditions:
        results[name] = try_out(CONDITIONS[name], radiographs)
        print(f"{name}: {', '.join(results[name].row())}", file=sys.stderr, flush=True)
    rows = [[name, *result.row()] for name, result in results.items()]
    mean = [f"{np.mean([float(row[column]) for row in rows]):.2f}" for column in range(1, len(HEADER))]
    print(table(HEADER, [*rows, ["mean over conditions", *mean]]))
    print(cut_off(list(results.values())))
    print(table(ALARMS, alarms(list(results.values()), predictor.calibration.doubtful)))
    if options.foreign:
        report_copies(predictor, options.foreign)
    if options.films:
        report_films(predictor, [(picture, points) for _, picture, points in radiographs], options.films)
    if options.non_hands:
        report_non_hands(predictor, options.non_hands)
    if options.figure:
        draw(results, options.figure)


if __name__ == "__main__":
    sys.exit(exit_status(main))
