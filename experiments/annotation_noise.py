"""How much of the error is the annotators' own: the learning curve, what independent networks have in common, where errors lie.

    python -m experiments.annotation_noise --data dataset/processed --run result/001

trains on ever more radiographs, with as many steps each and with three times as many, and on two halves without a radiograph in
common; all is measured on the held-out radiographs of the first folds of a cross-validation. From --run, a whole one, it takes
the errors out of fold along and across the direction in which each landmark errs most. Finished trainings in --work are kept.
Flags of main.py for all trainings may follow after --.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

import main as training
import metrics
from dataloader import RadiographDataset
from experiments.common import read_rows_as_errors, settings_of, table, whole_numbers
from runtime.command import exit_status
from training.folds import split_by
from training.runs import HELD_OUT, POOLED

EPOCHS = 8  # of the largest size, at 128 px
FOLDS = 5


def trained_on(data: RadiographDataset, held_out: RadiographDataset, epochs: int, result: Path, options: argparse.Namespace):
    """Errors (N, L, 2) px on the held-out radiographs of a network that was trained on these alone."""
    if not (result / f"{HELD_OUT}.json").exists():
        flags = ("--stages", f"{options.size}x{epochs}", "--second_look", 0, *options.flags)
        settings = training.as_far_as(settings_of(options.data, result, *flags), result)
        training.train(settings, result, data).test(held_out)
    return read_rows_as_errors(result / f"{HELD_OUT}_landmarks.csv")


def ipe(errors: np.ndarray) -> float:
    return float(metrics.mean_of_present(np.linalg.norm(errors, axis=-1)))


def learning_curve(folds: list[tuple[RadiographDataset, RadiographDataset]], options: argparse.Namespace) -> list[list]:
    """Rows of a table: the number of radiographs, IPE with equal steps and with three times as many."""
    rows = []
    most = min(len(rest) for rest, _ in folds)
    for count in [*(count for count in options.sizes if count < most), most]:
        row = [count]
        for times in (1, 3):
            errors = []
            for k, (rest, held_out) in enumerate(folds, 1):
                chosen = np.sort(np.random.default_rng(k).permutation(len(rest))[:count])
                epochs = max(1, round(times * EPOCHS * most / count))
                result = options.work / f"{count}_{times}_{k}"
                errors.append(trained_on(rest.subset(chosen, "train"), held_out, epochs, result, options))
            row.append(ipe(np.concatenate(errors)))
        rows.append(row)
        print(table(["radiographs", "IPE, px", "with three times the steps"], rows), flush=True)
    return rows


def halves(rest: RadiographDataset, held_out: RadiographDataset, options: argparse.Namespace) -> str:
    """What two networks that share no radiograph have in common."""
    order = np.random.default_rng(0).permutation(len(rest))
    half = len(rest) // 2
    epochs = EPOCHS * 2
    one, two = (
        trained_on(rest.subset(np.sort(chosen), "train"), held_out, epochs, options.work / f"half_{i}", options)
        for i, chosen in enumerate((order[:half], order[half : 2 * half]))
    )
    known = np.isfinite(one).all(-1)
    one, two = one[known], two[known]
    common = 2 * (one * two).sum() / ((one**2).sum() + (two**2).sum())
    return (
        f"halves of {half}: IPE {ipe(one):.3f} and {ipe(two):.3f} px, {ipe(one - two):.3f} px from each other, "
        f"{ipe((one + two) / 2):.3f} px their mean; {100 * common:.0f} % of the squared error is common to both"
    )


def along_and_across(errors: np.ndarray, names: list[str]) -> list[list]:
    """Rows of a table: standard deviations of errors (N, L, 2) along and across each landmark's direction, worst first."""
    rows = []
    for i, name in enumerate(names):
        known = errors[np.isfinite(errors[:, i]).all(-1), i]
        spread, directions = np.linalg.eigh(known.T @ known / len(known))
        angle = np.degrees(np.arctan2(directions[1, 1], directions[0, 1])) % 180
        rows.append([i, name, float(np.linalg.norm(known, axis=1).mean()), *np.sqrt(spread[::-1]).tolist(), round(angle)])
    return sorted(rows, key=lambda row: -row[2])


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("dataset/processed"), help="prepared data")
    parser.add_argument("--run", type=Path, help="the folder of a cross-validation")
    parser.add_argument("--work", type=Path, default=Path("result/annotation_noise"), help="folder for the trainings")
    parser.add_argument("--sizes", type=whole_numbers, default=[11, 22, 45], help="radiographs to train on, before all of them")
    parser.add_argument("--folds", type=int, default=2, help=f"of {FOLDS}, that are held out")
    parser.add_argument("--size", type=int, default=128, help="px, at which networks are trained")
    parser.add_argument("flags", nargs="*", help="of main.py")
    options = parser.parse_args(arguments)
    sets = training.load_data(settings_of(options.data, options.work), ("train", "valid"))
    whole = sets["train"].with_more([sets["valid"]])
    if options.run:
        errors = read_rows_as_errors(options.run / f"{POOLED}_landmarks.csv")
        header = ["", "landmark", "mean error, px", "along, px", "across, px", "direction, degrees"]
        print(table(header, along_and_across(errors, whole.joint.names)), flush=True)
    folds = split_by(whole, FOLDS)[: options.folds]
    learning_curve(folds, options)
    print(halves(*folds[0], options))


if __name__ == "__main__":
    sys.exit(exit_status(main))
