"""One network whose weights are the mean of those of several runs that went on from one another, measured out of fold.

    python -m experiments.mean_of_runs result_4 result_6 --out result

Runs of main.py --folds 5 with the same folds, the later ones with --init of earlier ones: only then do their weights lie close
enough for a mean to make sense (Wortsman et al., Model soups, 2022). The mean of each fold is measured on what that fold has not
seen, as main.py does; export.py takes OUT/best.pt.
"""

import argparse
import sys
from pathlib import Path

from dataloader import RadiographDataset
from radiographs.prepared_folder import splits_of
from runtime.checkpoint import read_checkpoint, write_checkpoint
from runtime.command import exit_status
from runtime.device import choose_device
from runtime.files import DataError
from training.cross_validation import pool
from training.runs import BEST, folder_of
from training.sets import split_by
from training.testing import test


def mean_of(paths: list[Path]) -> dict:
    """The newest run's checkpoint with the mean of all weights; seen is what any of them has. Raises DataError."""
    states = [read_checkpoint(path) for path in paths]
    last = states[-1]
    for path, state in zip(paths, states):
        for part in ("network", "network_size", "data"):
            if state[part] != last[part]:
                raise DataError(f"{path}: its {part} is not that of {paths[-1]}; give runs that went on from one another")
    weights = {name: sum(state["weights"][name] for state in states) / len(states) for name in last["weights"]}
    seen = {role: list(dict.fromkeys(digest for state in states for digest in state["seen"][role])) for role in last["seen"]}
    return last | {"weights": weights, "seen": seen}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", help="folders of cross-validations")
    parser.add_argument("--data", type=Path, help="the prepared data; none: what the last run had")
    parser.add_argument("--out", type=Path, required=True, help="folder for the mean, with its folds")
    options = parser.parse_args(arguments)
    settings = read_checkpoint(options.runs[-1] / BEST)["settings"]
    if not (folds := settings["folds"]):
        raise DataError(f"{options.runs[-1]}: is no cross-validation; give runs of main.py --folds")
    if options.out.exists():
        raise DataError(f"{options.out}: is there already; remove it, or choose another --out")
    data = options.data or Path(settings["data"])
    train, *more = (RadiographDataset(data, split) for split in ("train", "valid") if split in splits_of(data))
    whole = train.concat(more)
    means = [mean_of([folder_of(run, k) / BEST for run in options.runs]) for k in range(1, folds + 1)]
    of_all = mean_of([run / BEST for run in options.runs])
    for k, ((_, held_out), mean) in enumerate(zip(split_by(whole, folds), means), 1):
        path = folder_of(options.out, k) / BEST
        path.parent.mkdir(parents=True)
        write_checkpoint(path, mean)
        figures = test(path, held_out, path.parent, choose_device("auto"), "auto", settings["batch_size"])
        print(f"fold {k}: {figures['ipe_px']:.3f} px, {len(held_out)} radiographs", flush=True)
    write_checkpoint(options.out / BEST, of_all)
    figures, *_ = pool(options.out, whole, folds)
    print(f"out of fold: {figures['ipe_px']:.4f} px, {len(whole)} radiographs")


if __name__ == "__main__":
    sys.exit(exit_status(main))
