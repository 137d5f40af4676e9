"""How predictions hold on radiographs that are framed, turned, exposed or processed as other places do it, and on no hands.

    python -m experiments.stress --raw dataset --weights weights/scn_hand.pt

changes the validation radiographs of a raw folder (never the test ones) and their landmarks together, predicts, and prints a
table for docs/lab/stress.md: errors in px of the unchanged radiograph's 256 x 256 frame, over landmarks still in the picture.
--run FOLDER, where the weights are those of all radiographs of train and valid: their cross-validation; each radiograph is then
predicted with the weights of the fold that has not seen it. --foreign FOLDER takes radiographs without landmarks instead: their
truth is what is found in them as they came. --non_hands counts flags on pictures of no hand.
"""

import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import metrics
from experiments.common import mahalanobis, table
from experiments.conditions import CONDITIONS, Change
from experiments.non_hands import non_hands
from export import own_of
from prediction.calibration import NO_HAND, OUTSIDE
from prediction.predictor import Predictor
from radiographs.names import is_radiograph
from radiographs.raw_folder import COORDINATES, find_radiographs, read_points
from radiographs.reading import read_radiograph
from runtime.checkpoint import read_checkpoint
from runtime.command import exit_status, parser_of
from runtime.files import read_csv
from training.runs import BEST, HELD_OUT, folder_of

FRAME = 256  # px, in which errors are given
FAR = 10  # px there, from which on a landmark is an outlier
HEADER = ["radiographs", "IPE, px", f"beyond {FAR} px, %", "not a hand, %", "wrong and not flagged, a radiograph"]
HEADER += ["within region, %"]
Radiograph = tuple[Predictor, np.ndarray, np.ndarray]  # the network for it, picture, points (L, 2) px


@dataclass
class Result:
    """What became of N radiographs under one condition."""

    errors_px: np.ndarray  # (N, L) in the frame of the unchanged radiographs, NaN where a landmark is no longer in the picture
    within: np.ndarray  # (N, L) whether a landmark lay within its region
    rejected: np.ndarray  # (N,) whether a radiograph was called no hand
    flags: np.ndarray  # (N, L) texts: the flags of the landmarks
    more: np.ndarray  # (N,) hands found, less those that there are
    sided: np.ndarray  # (N,) whether the hand's side was told rightly

    def row(self) -> list[str]:
        """Of the table, as HEADER says."""
        far, present = self.errors_px > FAR, np.isfinite(self.errors_px)
        unsaid = (far & (self.flags == "") & ~self.rejected[:, None]).sum(1).mean()
        share, covered = (100 * part[present].sum() / max(present.sum(), 1) for part in (far, self.within))
        ipe = metrics.mean_of_present(metrics.ipe(self.errors_px))
        return [f"{ipe:.2f}", f"{share:.1f}", f"{100 * self.rejected.mean():.0f}", f"{unsaid:.2f}", f"{covered:.1f}"]


def try_out(change: Change, radiographs: list[Radiograph]) -> Result:
    """Predict radiographs under a change; random numbers are always the same."""
    columns = []
    for number, (predictor, picture, points) in enumerate(radiographs):
        changed = change(picture, np.random.default_rng(number))
        truth, extent = changed.moved(points), np.array(changed.picture.shape[::-1])
        (hands,) = predictor.predict([changed.picture])
        if changed.hands == 1:
            found = max(hands, key=lambda hand: hand.evidence)
        else:
            found = min(hands, key=lambda hand: np.linalg.norm(hand.points_px - truth))
        inside = ((truth >= -0.5) & (truth <= extent - 0.5)).all(1)
        off = (changed.moved_back(found.points_px) - points) * (FRAME / np.array(picture.shape[::-1]))
        errors_px = np.where(inside, np.linalg.norm(off, axis=1), np.nan)
        within = mahalanobis(truth - found.points_px, found.ellipse_px2) <= 1
        sided = found.mirrored == (np.linalg.det(changed.matrix) < 0)
        rejected, more = NO_HAND in found.flags, len(hands) - changed.hands
        columns.append((errors_px, within, rejected, found.landmark_flags, more, sided))
    return Result(*(np.array(column) for column in zip(*columns)))


def in_words(results: list[Result]) -> str:
    """Of all conditions together: landmarks beyond the pictures' edges, false alarms, hands too many or too few, sides."""
    names = "errors_px", "flags", "rejected", "more", "sided"
    errors, flags, rejected, more, sided = (np.concatenate([getattr(one, name) for one in results]) for name in names)
    lost, sound = np.isnan(errors), (errors <= FAR).all(1)
    said, flagged = np.char.find(flags, OUTSIDE)[lost] >= 0, (flags != "").any(1) | rejected
    return (
        f"{percent(said)} % of {lost.sum()} landmarks beyond the picture's edge are said to be outside; "
        f"{percent(flagged[sound])} % of {sound.sum()} pictures with all landmarks within {FAR} px are flagged; "
        f"in {(more > 0).sum()} of {len(more)} pictures too many hands are found, in {(more < 0).sum()} too few; "
        f"in {sided.sum()} the side is right"
    )


def percent(part: np.ndarray) -> str:
    return f"{100 * part.mean():.1f}" if part.size else "-"


def report(conditions: list[str], radiographs: list[Radiograph]) -> None:
    results = []
    for name in conditions:
        results.append(try_out(CONDITIONS[name], radiographs))
        print(f"{name}: {', '.join(results[-1].row())}", file=sys.stderr, flush=True)
    rows = [[name, *result.row()] for name, result in zip(conditions, results)]
    mean = [f"{np.mean([float(row[column]) for row in rows]):.2f}" for column in range(1, len(HEADER))]
    print(table(HEADER, [*rows, ["mean over conditions", *mean]]))
    print(in_words(results))


def report_non_hands(predictor: Predictor, count: int) -> None:
    """The flags on `count` pictures that show no hand."""
    made, flagged, denied = Counter(), Counter(), Counter()
    for kind, picture in non_hands(count):
        found = predictor.surest(picture.astype(np.float32))
        made[kind] += 1
        flagged[kind] += bool(found.flags)
        denied[kind] += NO_HAND in found.flags
    rows = [[kind, made[kind], flagged[kind], denied[kind]] for kind in made]
    rows.append(["all", made.total(), flagged.total(), denied.total()])
    print(table(["no hands", "made", "flagged", "as not a hand"], rows))


def of_folds(weights: Path, run: Path) -> dict[str, Predictor]:
    """By radiograph the predictor of a weights file, with the network of the fold that has not seen that radiograph."""
    state, predictors = read_checkpoint(weights), {}
    for k in range(1, read_checkpoint(run / BEST)["settings"]["folds"] + 1):
        fold = folder_of(run, k)
        predictor = Predictor(state | own_of(read_checkpoint(fold / BEST)), check=False)
        predictors |= {row["image"]: predictor for row in read_csv(fold / f"{HELD_OUT}_landmarks.csv")}
    return predictors


def main(arguments: list[str] | None = None) -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--raw", type=Path, default=Path("dataset"), help="raw folder of real radiographs")
    parser.add_argument("--weights", type=Path, default=Path("weights/scn_hand.pt"), help="a file of export.py")
    parser.add_argument("--run", type=Path, help="the cross-validation that the weights come from")
    parser.add_argument("--conditions", nargs="+", choices=CONDITIONS, default=[*CONDITIONS], metavar="NAME", help="some alone")
    parser.add_argument("--foreign", type=Path, help="folder of radiographs without landmarks, instead of --raw")
    parser.add_argument("--non_hands", type=int, default=0, help="pictures without a hand")
    options = parser.parse_args(arguments)
    predictor = Predictor(options.weights)
    if options.foreign:
        pictures = [read_radiograph(path).pixels for path in sorted(options.foreign.iterdir()) if is_radiograph(path)]
        radiographs = [(predictor, picture, predictor.surest(picture).points_px) for picture in pictures]
    else:
        points, (files, _) = read_points(options.raw / COORDINATES), find_radiographs(options.raw)
        chosen = sorted(id for id, (split, _) in files.items() if split == "valid")
        own = of_folds(options.weights, options.run) if options.run else dict.fromkeys(chosen, predictor)
        radiographs = [(own[id], read_radiograph(files[id][1]).pixels, points[id]) for id in chosen]
    report(options.conditions, radiographs)
    if options.non_hands:
        report_non_hands(predictor, options.non_hands)


if __name__ == "__main__":
    raise SystemExit(exit_status(main))
