"""Makes a trained network ready for use by predict.py: one file with all that it needs.

    python export.py --checkpoint result/best.pt --data dataset/processed --out weights/scn_hand.pt

The weights are kept in half precision. The validation radiographs tell how far each landmark can be trusted, the training ones
what shapes are plausible and which way up radiographs lie. Test radiographs are not looked at.
"""

import argparse
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import torch

import metrics
from dataloader import RadiographDataset, make_loader
from heatmap import rescale
from joints.hand import landmark_names
from main import NETWORK, Settings
from model import SCN
from prediction.calibration import calibrate
from prediction.orientation import train_orientation
from radiographs.prepared_folder import read_split
from runtime.checkpoint import read_checkpoint, write_checkpoint
from runtime.command import exit_status
from runtime.files import DataError
from solver import Solver

ENOUGH = 19  # radiographs, from which on a 95 % quantile can be told
PLACES = ("data", "split", "result", "checkpoint", "init")  # of the settings, which tell of one machine's folders
KEPT = ("size", "network_size", "precision", "data", "settings", "provenance", "epoch", "valid_ipe_px")  # of the checkpoint


def own_frame(points_network_px: np.ndarray, data: RadiographDataset) -> np.ndarray:
    """Points (N, L, 2) of the network frame in the radiographs' proportions, in network-frame px of the same area.

    Distances there are those in the radiograph, but for one factor a radiograph.
    """
    scale = data.sizes_px / data.size
    return rescale(points_network_px, (scale / np.sqrt(scale.prod(1, keepdims=True)))[:, None])


def export(checkpoint: Path, folder: Path, out: Path, seed: int) -> None:
    """Raises DataError."""
    if out.exists():
        raise DataError(f"{out}: is there already; remove it, or choose another --out")
    state = read_checkpoint(checkpoint)
    known = {field.name for field in fields(Settings)}
    settings = Settings(**{name: value for name, value in state["settings"].items() if name in known} | {"device": "cpu"})
    listed = read_split(Path(settings.split)) if settings.split else {}
    train, valid = (
        RadiographDataset(folder, split, with_heatmaps=split == "valid", ids=listed.get(split)) for split in ("train", "valid")
    )
    if "profile" not in state["data"] or state["data"]["profile"] != valid.settings["profile"]:
        raise DataError(f"{checkpoint}: was trained on data with another reference than {folder}; prepare that data again")
    network = {name: getattr(settings, name) for name in NETWORK} | {"num_landmarks": valid.points_px.shape[1]}
    solver = Solver(SCN(**network), settings, {"test": make_loader(valid, settings.batch_size)})
    solver.load(checkpoint)
    weights = {name: weight.half() for name, weight in state["weights"].items()}
    figures = {}
    for precision, values in (("single", state["weights"]), ("half", weights)):
        solver.average.load_state_dict(values)
        found = solver.evaluate("test", solver.size)
        errors = metrics.point_errors(own_frame(found.points_network_px, valid), own_frame(valid.points_network_px, valid))
        figures[precision] = float(
            metrics.mean_of_present(metrics.point_errors(found.points_network_px, valid.points_network_px))
        )
    print("validation IPE, px: " + ", ".join(f"{value:.4f} in {precision} precision" for precision, value in figures.items()))
    if len(valid) < ENOUGH:
        print(
            f"{len(valid)} validation radiographs: too few for radii that hold 95 % of landmarks; their largest errors are taken"
        )
    trust = calibrate(train.points_px, errors, found.peaks)
    print(f"radii at full confidence: median {np.nanmedian(trust.radius):.2f} px of the network frame; learning orientations")
    made = {
        "weights": weights,
        "network": network,
        "names": landmark_names(network["num_landmarks"]),
        "trust": {name: torch.from_numpy(value) for name, value in vars(trust).items()},
        "orientation": train_orientation(train.pictures, seed).state_dict(),
        "valid_ipe_px_half": figures["half"],
        "settings": {name: value for name, value in state["settings"].items() if name not in PLACES},
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    write_checkpoint(out, {name: state[name] for name in KEPT} | made)
    print(f"written to {out}: {out.stat().st_size / 1e6:.1f} MB")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, default=Path("result/best.pt"), help="of a training")
    parser.add_argument("--data", type=Path, default=Path("dataset/processed"), help="folder that it was trained on")
    parser.add_argument("--out", type=Path, default=Path("weights/own.pt"), help="file to write")
    parser.add_argument("--seed", type=int, default=0, help="of the orientation network's training")
    options = parser.parse_args()
    return exit_status(lambda: export(options.checkpoint, options.data, options.out, options.seed))


if __name__ == "__main__":
    sys.exit(main())
