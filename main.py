"""Train, validate and test the SpatialConfiguration-Net on the data set that data_preprocessing.py wrote.

    python main.py                                                trains, keeps the best by validation, tests it
    python main.py --resume                                       goes on where an interrupted run stopped
    python main.py --mode test --checkpoint result/best.pt        tests alone

Edit the settings below, or give any of them as a flag of the same name.
"""

import argparse
import math
import os
import sys
from contextlib import nullcontext
from dataclasses import dataclass, fields, replace
from pathlib import Path

import torch

from augment import Augment
from dataloader import RadiographDataset, make_loader
from model import SCN
from radiographs.prepared_folder import read_split
from runtime import distributed
from runtime.checkpoint import read_checkpoint
from runtime.command import alone_in, exit_status
from runtime.files import DataError
from solver import PREVIOUS, Solver
from training.check import check


@dataclass
class Settings:
    # What to do
    mode: str = "train"  # train (validates and tests too), test, or check (looks for mistakes in the data, and trains nothing)
    data: str = "dataset/processed"  # folder that data_preprocessing.py wrote
    split: str = (
        ""  # folder with train.txt and test.txt, one ID a line, or their beginning (set1_); blank: train, valid, test of data
    )
    result: str = "result"  # folder for checkpoints, tables and pictures
    checkpoint: str = ""  # file to test; blank: RESULT/best.pt
    test_on: str = "test"  # what is measured in the end: test, or valid or train while choosing settings
    resume: bool = False  # go on from RESULT/last.pt
    init: str = "weights/scn_synthetic.pt"  # checkpoint whose weights training starts from; blank: random ones
    debug: bool = False  # draw the heatmaps of both components after every epoch, into RESULT/debug

    # Network: the published one, but for dropout
    channels: int = 64  # outputs of every intermediate convolution
    levels: int = 4  # of the local appearance, each at half the resolution of the one above
    spatial_kernel: int = 15  # px of its own grid, of the spatial configuration's convolutions
    spatial_factor: int = 8  # network-frame px per px of that grid
    dropout: float = 0.1  # after the first convolution of each level; 0.5 in the paper learns slower in few epochs

    # Training
    stages: str = "128x8"  # SIZExEPOCHS; from random weights "64x8 128x24"; an epoch at 256 px takes as long as three at 128
    batch_size: int = 2  # radiographs; small ones make more steps in the same time
    learning_rate: float = 6e-4  # of Adam, at its highest; from random weights 8e-4; at 2e-3 the first epochs diverge
    schedule: str = "linear"  # of the rate, from this to 0 over the whole run; or cosine, or constant
    warmup: int = 70  # steps over which the rate rises at the start of every resolution
    beta1: float = 0.9  # of Adam: the usual momentum; the reference has 0.5
    beta2: float = 0.99  # of Adam: a short memory, since gradients are tiny at first and then grow fast
    gradient_clip: float = 1.0  # norm that longer gradients are cut to: a product of two maps yields very long ones; 0: none
    ridge: float = 1e-4  # lambda of the loss, on the squared weights
    averaging: float = 0.99  # decay per step of the averaged weights, which are the ones validated and tested; 0: none
    seed: int = 0  # of weights, order, augmentation and dropout
    device: str = "auto"  # auto, cpu or cuda
    deterministic: bool = False  # the same bytes from every run on a GPU too, where that is slower; on a CPU it is always so
    precision: str = "auto"  # auto (whichever is faster here), float32 or bfloat16

    # Augmentation, each range around no change
    intensity_scale: float = 0.2  # factor 1 +- this
    intensity_shift: float = 0.2  # +- this, of intensities in [-1, 1]
    translation: float = 0.03  # +- this fraction of the picture; more would leave few landmarks near its real border
    rotation: float = 10.0  # +- degrees
    scaling: float = 0.1  # factor exp(+- this)
    stretch: float = 0.05  # exp(+- this) on the width, its inverse on the height
    elastic: float = 0.03  # +- this fraction of the picture, at each control point
    elastic_intervals: int = 4  # between control points across the picture


CHOICES = {
    "mode": ("train", "test", "check"),
    "test_on": ("test", "valid", "train"),
    "schedule": ("constant", "linear", "cosine"),
    "device": ("auto", "cpu", "cuda"),
    "precision": ("auto", "float32", "bfloat16"),
}


CHECKED = 50  # radiographs of each split whose landmarks are looked for beside the hand before every training
NETWORK = ("channels", "levels", "spatial_kernel", "spatial_factor", "dropout")  # what SCN is built with
POSITIVE = ("channels", "levels", "spatial_kernel", "spatial_factor", "batch_size", "learning_rate", "elastic_intervals")
FRACTIONS = ("dropout", "beta1", "beta2", "averaging")
NOT_NEGATIVE = ("warmup", "gradient_clip", "ridge", "seed", *(field.name for field in fields(Augment)))


def read_settings(arguments: list[str] | None = None) -> Settings:
    """The settings above, changed by flags of the same names."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    for field in fields(Settings):
        if field.type is bool:
            parser.add_argument(f"--{field.name}", action=argparse.BooleanOptionalAction, default=field.default)
        else:
            parser.add_argument(f"--{field.name}", type=field.type, default=field.default, choices=CHOICES.get(field.name))
    settings = Settings(**vars(parser.parse_args(arguments)))
    for names, expected, holds in (
        (POSITIVE, "a number above 0", lambda value: 0 < value < math.inf),
        (FRACTIONS, "a number from 0 to below 1", lambda value: 0 <= value < 1),
        (NOT_NEGATIVE, "a number from 0", lambda value: 0 <= value < math.inf),
        (("spatial_kernel",), "an odd number", lambda value: value % 2 == 1),
    ):
        for name in names:
            if not holds(getattr(settings, name)):
                parser.error(f"--{name}: expected {expected}, found {getattr(settings, name)}")
    return settings


def run(settings: Settings) -> int:
    """Do what `mode` says; returns the exit status. Raises DataError."""
    best = Path(settings.result) / "best.pt"
    if settings.mode == "test":
        best = Path(settings.checkpoint or best)
        trained = read_checkpoint(best)["settings"]
        settings = replace(settings, **{name: trained[name] for name in (*NETWORK, "stages")})
        settings = replace(settings, split=settings.split or trained.get("split", ""))  # never on what it was trained on
    elif settings.mode == "train" and not settings.resume:
        for left in (best, best.with_name("last.pt"), best.with_name(PREVIOUS)):
            if left.exists():
                raise DataError(f"{left}: an earlier run is there; go on with --resume, or choose another --result")

    folder = Path(settings.data)
    splits = {"train": "train", "valid": "valid", "test": settings.test_on}
    if settings.mode == "test":
        splits = {"test": settings.test_on}
    listed = read_split(Path(settings.split)) if settings.split else {}
    data = {
        role: RadiographDataset(folder, split, with_heatmaps=role != "train", ids=listed.get(split))
        for role, split in splits.items()
    }
    for dataset in data.values():
        of = f" of {len(listed[dataset.split])} listed" if listed else ""
        print(f"{dataset.split:5s} {len(dataset)}{of} radiographs of {dataset.size} x {dataset.size} px")
    if settings.mode != "test":
        augment = Augment(**{field.name: getattr(settings, field.name) for field in fields(Augment)})
        findings = check(
            list({dataset.split: dataset for dataset in data.values()}.values()),
            augment,
            limit=None if settings.mode == "check" else CHECKED,
        )
        print("".join(f"check: {finding}\n" for finding in findings) or "check: nothing found\n", end="")
        if settings.mode == "check":
            return 1 if findings else 0
    loaders = {split: make_loader(dataset, settings.batch_size, shuffle=split == "train") for split, dataset in data.items()}
    torch.manual_seed(settings.seed)
    landmarks = data["test"].points_px.shape[1]
    model = SCN(num_landmarks=landmarks, **{name: getattr(settings, name) for name in NETWORK})
    solver = Solver(model, settings, loaders)
    if settings.mode == "train":
        if settings.resume:
            solver.resume()
        elif settings.init:
            solver.start_from(Path(settings.init))
        solver.train()
        distributed.wait()  # for best.pt to be whole
    solver.load(best)
    figures = solver.test()
    print(f"{data['test'].split} of {best}: " + ", ".join(f"{name} {value}" for name, value in figures.items()))
    distributed.stop()
    return 0


def main(arguments: list[str] | None = None) -> int:
    settings = read_settings(arguments)
    if not distributed.FIRST:
        sys.stdout = open(os.devnull, "w")
    print(settings)
    result = Path(settings.result)

    def work() -> int:
        with alone_in(result) if distributed.FIRST else nullcontext():
            return run(settings)

    return exit_status(work, f"interrupted; where {result / 'last.pt'} is, the same command with --resume goes on")


if __name__ == "__main__":
    sys.exit(main())
