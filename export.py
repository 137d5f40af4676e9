"""Makes a trained network ready for use by predict.py: one file with all that it needs.

    python export.py                                      the newest run's best network -> weights.pt in its folder
    python export.py --checkpoint FILE --data FOLDER --out weights/own.pt

The weights are kept in half precision. The validation radiographs tell how far each landmark can be trusted, the training ones
what shapes are plausible and how radiographs are oriented. Mirrored, turned or inverted radiographs that the validation ones
are confused with are not looked for later. Test radiographs are not looked at.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch

import metrics
from dataloader import RadiographDataset, make_loader
from evaluation import evaluate, fits, network_of, seen_radiographs
from heatmap import rescale
from joints.hand import names_of
from prediction.calibration import COVERAGE, calibrate, promised
from prediction.orientation import recognition, recognition_line, train_orientation, usable_variants
from prediction.predictor import FITTED_HEIGHT
from radiographs.prepared_folder import read_split
from runtime.checkpoint import read_checkpoint, write_checkpoint
from runtime.command import exit_status
from runtime.files import DataError
from training.runs import BEST, WEIGHTS, newest_run

BATCH_SIZE = 2
PLACES = ("data", "split", "result", "checkpoint", "init")  # of the settings, which tell of one machine's folders
KEPT = ("network", "size", "network_size", "precision", "data", "provenance", "epoch", "valid_ipe_px", "seen")


def own_frame(points_network_px: np.ndarray, data: RadiographDataset) -> np.ndarray:
    """Points (N, L, 2) of the network frame in the radiographs' proportions, in network-frame px of the same area.

    Distances there are those in the radiograph, but for one factor a radiograph.
    """
    scale = data.sizes_px / data.size
    return rescale(points_network_px, (scale / np.sqrt(scale.prod(1, keepdims=True)))[:, None])


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


def export(checkpoint: Path, folder: Path | None, out: Path, seed: int) -> None:
    """`folder`: prepared data; none: those that the checkpoint was trained on. Raises DataError."""
    if out.exists():
        raise DataError(f"{out}: is there already; remove it, or choose another --out")
    state = read_checkpoint(checkpoint)
    folder = folder or Path(state["settings"].get("data", "dataset/processed"))
    split = state["settings"].get("split", "")
    listed = read_split(Path(split)) if split else {}
    train, valid = (
        RadiographDataset(folder, split, listed.get(split), allow_missing=True) for split in ("train", "valid")
    )
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
    errors = metrics.point_errors(own_frame(evaluation.points_network_px, valid), own_frame(valid.points_network_px, valid))
    calibration = calibrate(train.points_px, errors, evaluation.peaks)
    print(coverage_line(calibration.score_px, np.isfinite(errors).sum(0)))
    orientation_net = train_orientation(train.pictures, seed)
    scores = recognition(orientation_net, valid.pictures)
    variants, confused = usable_variants(scores)
    print(recognition_line(scores, confused))
    made = {
        "weights": weights,
        "confidence": FITTED_HEIGHT,
        "names": names_of(train.points_px),
        "trust": {name: torch.from_numpy(value) for name, value in calibration.to_file().items()},
        "orientation": orientation_net.state_dict(),
        "variants": variants,
        "valid_ipe_px_half": figures["half"],
        "settings": {name: value for name, value in state["settings"].items() if name not in PLACES},
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    write_checkpoint(out, {name: state[name] for name in KEPT if name in state} | made)
    print(f"written to {out}: {out.stat().st_size / 1e6:.1f} MB")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, help="of a training; none: best.pt of the newest run")
    parser.add_argument("--data", type=Path, help="prepared data that it was trained on; none: the folder that the run had")
    parser.add_argument("--out", type=Path, help=f"file to write; none: {WEIGHTS} beside the checkpoint")
    parser.add_argument("--seed", type=int, default=0, help="of the orientation network's training")
    options = parser.parse_args(arguments)

    def work() -> None:
        checkpoint = options.checkpoint or newest_run(BEST) / BEST
        export(checkpoint, options.data, options.out or checkpoint.with_name(WEIGHTS), options.seed)

    return exit_status(work)


if __name__ == "__main__":
    sys.exit(main())
