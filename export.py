"""Makes a trained network ready for use by predict.py: one file with all that it needs.

    python export.py                                      the newest run's best network -> weights.pt in its folder
    python export.py --checkpoint FILE --data FOLDER --out weights/own.pt

The weights are kept in half precision. A finder is trained, which says where in a picture the joint lies and how. The validation
radiographs, as they came and changed as those of other places differ, tell how far it and each landmark can be trusted, the
training ones what shapes are plausible. Where sides are confused, mirrored radiographs are not looked for later. Test radiographs
are not looked at.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

import metrics
from dataloader import RadiographDataset, make_loader
from evaluation import evaluate, fits, network_of, seen_radiographs
from finder.training import STEPS, train_finder
from prediction.calibration import COVERAGE, Calibration, promised
from prediction.held_out import COPIES, HeldOut, calibration_of, hold_out
from prediction.predictor import FITTED_HEIGHT, Predictor
from radiographs.prepared_folder import read_split
from runtime.checkpoint import read_checkpoint, write_checkpoint
from runtime.command import exit_status
from runtime.device import choose_device
from runtime.files import DataError
from training.runs import BEST, WEIGHTS, newest_run

BATCH_SIZE = 2
FEWEST_LANDMARKS = 3  # that say how they lie
FEWEST = 5  # validation radiographs that tell whether sides are confused
MOST_SWAPPED, MOST_LOST = 0.05, 0.2  # of pictures that are held out
TAKEN_AS_THEY_COME = "predict.py takes every picture as upright and filled, as the training radiographs are"
PLACES = ("data", "also", "split", "result", "checkpoint", "init")  # of the settings, which tell of one machine's folders
KEPT = ("network", "size", "network_size", "precision", "data", "provenance", "epoch", "valid_ipe_px", "seen")


def coverage_line(radii_px: np.ndarray, seen: np.ndarray) -> str:
    """What radii (L) at full confidence promise, of landmarks that `seen` (L) validation radiographs show."""
    never, fewest = (seen == 0).sum(), seen[seen > 0].min(initial=seen.max())
    promise = f"{100 * COVERAGE:g} %" if promised(fewest) == COVERAGE else f"{fewest}/{fewest + 1} (few show it)"
    return (
        f"radii: median {np.nanmedian(radii_px):.2f} px of the network frame at full confidence; each landmark of radiographs "
        f"exchangeable with the {seen.max()} of validation lies within its own with a probability of at least {promise}, "
        "on average over radiographs and over such validation sets"
        + (f"; {never} landmarks that none of them shows have none" if never else "")
    )


def export(checkpoint: Path, folder: Path | None, out: Path, seed: int, also: Sequence[Path] = (), steps: int = STEPS) -> None:
    """`folder`: prepared data; none: those that the checkpoint was trained on. `also`: more, for the finder. Raises DataError."""
    if out.exists():
        raise DataError(f"{out}: is there already; remove it, or choose another --out")
    state = read_checkpoint(checkpoint)
    folder = folder or Path(state["settings"].get("data", "dataset/processed"))
    split = state["settings"].get("split", "")
    listed = read_split(Path(split)) if split else {}
    train, valid = (RadiographDataset(folder, split, listed.get(split), allow_missing=True) for split in ("train", "valid"))
    fits(checkpoint, state, valid)
    if ids := seen_radiographs(state, valid).get("train"):
        raise DataError(f"{checkpoint}: was trained on {len(ids)} radiographs of valid ({', '.join(ids[:5])}); take others")
    loader = make_loader(valid, BATCH_SIZE)
    weights = {name: weight.half() for name, weight in state["weights"].items()}
    figures = {}
    for kind, values in (("single", state["weights"]), ("half", weights)):
        network = network_of(state | {"weights": values}, torch.device("cpu"))
        evaluation = evaluate(network, loader, state["size"], state["precision"])
        ipe = metrics.mean_of_present(metrics.point_errors(evaluation.points_network_px, valid.points_network_px))
        figures[kind] = float(ipe)
    print("validation IPE, px: " + ", ".join(f"{value:.4f} in {kind} precision" for kind, value in figures.items()))
    made = {name: state[name] for name in KEPT if name in state} | {
        "weights": weights,
        "confidence": FITTED_HEIGHT,
        "names": list(train.joint.names),
        "valid_ipe_px_half": figures["half"],
        "settings": {name: value for name, value in state["settings"].items() if name not in PLACES},
    }
    if train.points_px.shape[1] < FEWEST_LANDMARKS:
        print(f"finder: none, since less than {FEWEST_LANDMARKS} landmarks do not say how they lie; {TAKEN_AS_THEY_COME}")
    else:
        sets = [train, *(RadiographDataset(path, "train") for path in also)]
        made["finder"] = train_finder(sets, steps, seed, choose_device("auto"), state["precision"]).to_file()
    made, held_out = judged(made, valid, seed)
    calibration = calibration_of(train.points_px, held_out)
    print(coverage_line(calibration.score_px, np.isfinite(held_out.errors_px[held_out.came]).sum(0)))
    made["trust"] = {name: torch.from_numpy(value) for name, value in calibration.to_file().items()}
    out.parent.mkdir(parents=True, exist_ok=True)
    write_checkpoint(out, made)
    print(f"written to {out}: {out.stat().st_size / 1e6:.1f} MB")


def judged(made: dict, valid: RadiographDataset, seed: int) -> tuple[dict, HeldOut]:
    """Weights without what does not hold on validation radiographs, reflections or all of the finder; what then holds."""
    untrusted = Calibration.unknown(len(made["names"]))
    made["trust"] = {name: torch.from_numpy(value) for name, value in untrusted.to_file().items()}
    held_out = hold_out(Predictor(made), valid, seed)
    if "finder" not in made:
        return made, held_out
    few, found = len(valid) < FEWEST, ~held_out.lost
    if valid.joint.laterality == "none":
        print("finder: mirrored radiographs are not looked for (the joint's description says that it has no sides)")
    elif valid.joint.laterality != "either" and (few or held_out.swapped[found].mean() > MOST_SWAPPED):
        reason = "too few validation radiographs to tell" if few else f"sides confused in {percent(held_out.swapped[found])}"
        print(f"finder: mirrored radiographs are not looked for ({reason})")
        made["finder"]["reflections"] = [False]
        held_out = hold_out(Predictor(made), valid, seed)
    print(
        f"finder: of {len(held_out.lost)} pictures, {len(valid)} validation radiographs and {COPIES} changed copies of each, "
        f"{int((~held_out.lost).sum())} found"
    )
    if held_out.lost.mean() > MOST_LOST:
        print(f"finder: left out, since it is lost in {percent(held_out.lost)}; {TAKEN_AS_THEY_COME}")
        del made["finder"]
        held_out = hold_out(Predictor(made), valid, seed)
    return made, held_out


def percent(truths: np.ndarray) -> str:
    return f"{100 * truths.mean():.0f} %"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, help="of a training; none: best.pt of the newest run")
    parser.add_argument("--data", type=Path, help="prepared data that it was trained on; none: the folder that the run had")
    parser.add_argument("--out", type=Path, help=f"file to write; none: {WEIGHTS} beside the checkpoint")
    parser.add_argument("--also", type=Path, nargs="+", default=[], help="more prepared data, that the finder learns from too")
    parser.add_argument("--finder_steps", type=int, default=STEPS, help="of the finder's training; 2000 take two minutes")
    parser.add_argument("--seed", type=int, default=0, help="of the finder's training")
    options = parser.parse_args(arguments)

    def work() -> None:
        checkpoint = options.checkpoint or newest_run(BEST) / BEST
        out = options.out or checkpoint.with_name(WEIGHTS)
        export(checkpoint, options.data, out, options.seed, options.also, options.finder_steps)

    return exit_status(work)


if __name__ == "__main__":
    sys.exit(main())
