"""Train, validate and test the SpatialConfiguration-Net on the data set that data_preprocessing.py wrote.

    python main.py                 trains in a new folder, result/001 and so on; keeps the best by validation, and tests it
    python main.py --resume        goes on where the newest run stopped
    python main.py --mode test     tests the newest run again, or --checkpoint FILE
    python main.py --mode runs     lists what was tried

Edit the settings below, or give any of them as a flag of the same name.
"""

import argparse
import inspect
import math
import os
import re
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import get_args

import numpy as np
import torch

from augment import Augment
from dataloader import RadiographDataset
from evaluation import find_all
from radiographs.prepared_folder import read_split, splits_of
from runtime import distributed
from runtime.checkpoint import read_checkpoint
from runtime.command import exit_status
from runtime.device import PRECISIONS, choose_device
from runtime.files import DataError, first_few
from runtime.version import add_version
from solver import Solver
from training.annotators import format_annotators
from training.check import check
from training.disagreements import FOLDER as DISAGREEMENTS
from training.disagreements import write_disagreements
from training.folds import Outcome, folder_of, hold_out_tenth, pool, settings_of_all, split_by
from training.forecast import format_eta
from training.judgement import judge
from training.recipe import AUTO, choose
from training.runs import (
    BEST,
    HELD_OUT,
    LAST,
    METRICS,
    PREVIOUS,
    RESULTS,
    WEIGHTS,
    list_runs,
    new_run,
    newest_run,
    working_in,
)
from training.testing import refuse_seen, test, without_measured, without_mistaken


@dataclass
class Settings:
    # What to do
    mode: str = "train"  # train (validates and tests too), test, check (looks for mistakes in the data), or runs (lists them)
    data: str = "dataset/processed"  # folder that data_preprocessing.py wrote
    also: str = ""  # more prepared folders, separated by commas, whose training radiographs are learnt from too
    split: str = ""  # folder with train.txt and test.txt, one ID a line, or their beginning (set1_); blank: the folders of data
    result: str = ""  # folder for checkpoints, tables and pictures; blank: a new number in result/, or the newest one there
    checkpoint: str = ""  # file to test; blank: best.pt of the run
    test_on: str = "test"  # what is measured in the end: test, or valid or train while choosing settings
    allow_seen: bool = False  # measure also on radiographs that the network was trained on or chosen by
    allow_missing: bool = False  # leave out radiographs that --split lists and that are not prepared
    resume: bool = False  # go on from the last.pt of the run
    folds: int = 0  # 5: five networks, each without a fifth of train and valid, then one of them all; 0: valid chooses the epoch
    init: str = "auto"  # file, or run of a cross-validation, to start from; blank: random weights; auto: by the landmarks
    debug: bool = False  # draw the heatmaps of both components after every epoch, into the folder's debug/

    # Network: the published one, but for dropout
    channels: int = 64  # outputs of every intermediate convolution
    levels: int = 4  # resolutions of the local appearance, each half of the one above
    spatial_kernel: int = 15  # side of the spatial configuration's kernels, px of its own grid
    spatial_factor: int | str = "auto"  # network-frame px per px of that grid; auto: 8, more from 512 px on
    dropout: float = 0.1  # share dropped after each level's first convolution; 0.5 in the paper learns slower in few epochs

    # Training
    stages: str = "auto"  # longer side, px: "64 128", each until validation stops falling, or SIZExEPOCHS, "64x8 128x24"
    second_look: int | str = "auto"  # epochs of the network that looks once more at larger pictures; 0: none; auto: by validation
    hours: float = 0.0  # longest time for training, which then has more patience; 0: until validation has stopped falling
    shape_tree: str = "auto"  # on: look-alike peaks are chosen together, by how landmarks lie; off: each alone; auto: by error
    crop: int = 48  # side of a second-look crop, px of the larger pictures
    batch_size: int = 2  # radiographs; small ones make more steps in the same time
    learning_rate: float | str = "auto"  # Adam's highest rate; auto: 6e-4 from weights of the joint, else 8e-4; 2e-3 diverges
    schedule: str = "linear"  # how the rate falls where epochs are counted: all the time; or cosine, constant, fall (at the end)
    warmup: int = 70  # steps over which the rate rises at the start of every resolution
    beta1: float = 0.9  # Adam's momentum, the usual one; the reference has 0.5
    beta2: float = 0.99  # Adam's memory of squared gradients: short, since these are tiny at first and then grow fast
    gradient_clip: float = 1.0  # norm that longer gradients are cut to: a product of two maps yields very long ones; 0: none
    ridge: float = 1e-4  # lambda of the loss, on the squared weights (weight decay)
    learn_sigma: float = 0.0  # penalty on the squared widths, px², of heatmaps that learn their widths; 0: all as prepared
    anisotropic: bool = False  # learn_sigma learns their length, breadth and direction
    averaging: float = 0.99  # decay per step of the averaged weights (EMA), which are the ones validated and tested; 0: none
    seed: int = 0  # fixes the random weights, order, augmentation and dropout
    device: str = "auto"  # auto, cpu or cuda
    workers: int | str = "auto"  # processes beside the training that prepare its batches; auto: none on a CPU, up to 8 for a GPU
    deterministic: bool = False  # on a GPU too, two runs give the same bytes, at some cost in time; on a CPU they always do
    precision: str = "auto"  # auto (bfloat16 where the hardware has it, else float32), float32, tf32 (GPUs alone) or bfloat16

    # Augmentation, each range around no change
    processing: float = 0.0  # share of radiographs that are changed as other equipment would: curves, noise, masks, labels, cuts
    intensity_scale: float = 0.2  # factor 1 +- this
    intensity_shift: float = 0.2  # +- this, of intensities in [-1, 1]
    translation: float = 0.03  # +- this fraction of the picture; more would leave few landmarks near its real border
    rotation: float = 10.0  # +- degrees
    scaling: float = 0.1  # factor exp(+- this)
    stretch: float = 0.05  # exp(+- this) on the width, its inverse on the height
    elastic: float = 0.03  # +- this fraction of the picture, at each control point
    mirror: str = (
        "auto"  # on: half of the radiographs are shown mirrored, landmarks exchanged; auto: if these are symmetric
    )
    elastic_intervals: int = 4  # intervals between control points across the picture

    auto: str = ""  # no flag: which of these the data chose, separated by commas


CHOICES = {
    "mode": ("train", "test", "check", "runs"),
    "test_on": ("test", "valid", "train"),
    "schedule": ("constant", "linear", "cosine", "fall"),
    "shape_tree": ("auto", "on", "off"),
    "mirror": ("auto", "on", "off"),
    "device": ("auto", "cpu", "cuda"),
    "precision": ("auto", *PRECISIONS),
}


CHOSEN = "auto"  # the field that is no flag
CHECKED = 50  # radiographs of each split that are searched for landmarks beside the body part before every training
STATES = (LAST, PREVIOUS)
RESUMED = (*STATES, *(folder_of(Path(), 1) / name for name in STATES))  # a folder that can go on holds one of these
NETWORK = ("channels", "levels", "spatial_kernel", "spatial_factor", "dropout")  # what SCN is built with
POSITIVE = ("channels", "levels", "spatial_kernel", "spatial_factor", "batch_size", "learning_rate", "elastic_intervals", "crop")
FRACTIONS = ("dropout", "beta1", "beta2", "averaging")
NOT_NEGATIVE = (
    "folds",
    "second_look",
    "hours",
    "workers",
    "warmup",
    "gradient_clip",
    "ridge",
    "learn_sigma",
    "seed",
    *(field.name for field in fields(Augment)),
)


def read_settings(arguments: list[str] | None = None) -> Settings:
    """The settings above, changed by flags of the same names, which their comments explain."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    add_version(parser)
    comments = dict(re.findall(r"^    (\w+): [^#\n]*# (.*)$", inspect.getsource(Settings), re.MULTILINE))
    for field in fields(Settings):
        if field.name == CHOSEN:
            continue
        kind = or_auto(*get_args(field.type)[:1]) if get_args(field.type) else field.type
        how = (
            {"type": kind, "choices": CHOICES.get(field.name)} if kind is not bool else {"action": argparse.BooleanOptionalAction}
        )
        help_text = f"{comments.get(field.name, '')} (default: {field.default!r})".replace("%", "%%")
        parser.add_argument(f"--{field.name}", default=field.default, help=help_text, **how)
    settings = Settings(**vars(parser.parse_args(arguments)))
    for names, expected, holds in (
        (POSITIVE, "a number above 0", lambda value: 0 < value < math.inf),
        (FRACTIONS, "a number from 0 to below 1", lambda value: 0 <= value < 1),
        (NOT_NEGATIVE, "a number from 0", lambda value: 0 <= value < math.inf),
        (("spatial_kernel",), "an odd number", lambda value: value % 2 == 1),
    ):
        for name in names:
            if getattr(settings, name) != AUTO and not holds(getattr(settings, name)):
                parser.error(f"--{name}: expected {expected}, found {getattr(settings, name)}")
    return settings


def or_auto(number: type) -> Callable[[str], object]:
    """What reads a number of one type, or "auto"."""

    def read(text: str) -> object:
        return AUTO if text == AUTO else number(text)

    read.__name__ = number.__name__  # argparse says it of a wrong value
    return read


def run(settings: Settings) -> int:
    """Do what `mode` says; returns the exit status. Raises DataError."""
    if settings.mode == "runs":
        return show_runs(Path(settings.result or RESULTS))
    if settings.mode == "test":
        return measure(settings)
    data = load_data(settings, ("train", *required_splits(settings)))
    if settings.mode == "train":
        data = without_measured(data, settings.test_on)
        data["train"] = without_mistaken(data["train"])
    extra = load_extra(settings)
    if settings.mode == "train" and not settings.folds and "valid" not in data:
        data["train"], data["valid"] = hold_out_tenth(data["train"])
        held = f"{len(data['valid'])} of train, drawn at random, are held out"
        print(f"valid: none are given; {held} (--folds 5 learns from all)")
    train_valid = data["train"].concat([data["valid"]] if settings.folds and "valid" in data else [])
    sets = data | {"train": data["train"].concat(extra)}
    findings = check([*sets.values()], Augment.of(settings), limit=None if settings.mode == "check" else CHECKED)
    print("".join(f"check: {finding}\n" for finding in findings) or "check: nothing found\n", end="")
    if settings.mode == "check":
        return 1 if findings else 0
    for one in extra:
        refuse_shared(one, [train_valid] if settings.folds else [data[split] for split in data if split != "train"])
    settings = resolve_auto(settings, train_valid.concat(extra))
    if settings.test_on in data and not settings.folds:
        refuse_beginning(settings, settings.init, data[settings.test_on])
    result = run_folder(settings)
    with working_in(result) if distributed.FIRST else nullcontext():
        if settings.folds:
            of_all = cross_validate(settings, result, train_valid, extra)
            solver = train(resume_if_possible(of_all, result), result, train_valid.concat(extra))
        else:
            solver = train(settings, result, sets["train"], data["valid"])
            if distributed.FIRST:
                show_judgement(result, sets["train"], data["valid"], solver)
        unseen = not settings.folds or settings.test_on == "test"  # the network of all has not seen these
        if distributed.FIRST and unseen and settings.test_on in data:
            show_figures(solver.test(data[settings.test_on]), settings.test_on, result / BEST)
        elif settings.test_on not in data:
            print(f"{settings.test_on}: no radiographs, so nothing is measured on such")
        if distributed.FIRST:
            print(f"next, to use it: {show_next(result)}")
    return 0


def required_splits(settings: Settings) -> list[str]:
    """The splits that are wanted beside train: those that --split lists, or of them those that there are."""
    splits = ["valid", settings.test_on]
    if settings.split:
        return splits
    there = splits_of(Path(settings.data))
    return [split for split in splits if split in there]


def refuse_shared(extra: RadiographDataset, measured: list[RadiographDataset]) -> None:
    """Raises DataError where extra training radiographs are measured on too, however they were prepared."""
    for data in measured:
        if ids := data.known_by(extra.marks()):
            named = f"{first_few(ids)} of {data.folder}"
            raise DataError(f"{extra.folder}: has {len(ids)} radiographs that are measured on ({named}); prepare it without them")


def refuse_beginning(settings: Settings, init: str, data: RadiographDataset) -> None:
    """Before anything is learnt: raises DataError where the weights to start from have seen what will be measured on."""
    path = Path(init, BEST) if Path(init).is_dir() else Path(init)
    if init and path.exists():
        refuse_seen(path, read_checkpoint(path), data, settings.allow_seen)


def resolve_auto(settings: Settings, data: RadiographDataset) -> Settings:
    """The settings without "auto", each choice told with its reason."""
    settings, lines = choose(settings, data)
    print("".join(f"{line}\n" for line in lines), end="")
    return settings


def show_next(result: Path) -> str:
    """The commands that make a trained network ready and use it."""
    checkpoint, weights = result / BEST, result / WEIGHTS
    return f"python export.py --checkpoint {checkpoint}, then python predict.py FOLDER --weights {weights}"


def train(
    settings: Settings, result: Path, data: RadiographDataset, valid: RadiographDataset | None = None, chooses: bool = True
) -> Solver:
    """Train in a folder; `valid` says how long, and if it `chooses` which epoch is the best; else the last one stays."""
    settings = resolve_auto(settings, data)
    torch.manual_seed(settings.seed)
    network = {name: getattr(settings, name) for name in NETWORK} | {"num_landmarks": data.points_px.shape[1]}
    solver = Solver(network, settings, result, {"train": data} | ({"valid": valid} if valid else {}), chooses)
    if settings.resume:
        solver.resume()
    elif settings.init:
        init = Path(settings.init)
        solver.start_from(init / BEST if init.is_dir() else init)
    solver.train()
    return solver


def resume_if_possible(settings: Settings, folder: Path) -> Settings:
    """Settings that go on from what a folder holds, if they are to go on at all and it holds something."""
    return replace(settings, resume=settings.resume and any((folder / name).exists() for name in STATES))


def cross_validate(settings: Settings, result: Path, train_valid: RadiographDataset, extra: list[RadiographDataset]) -> Settings:
    """Train a network for each part of the radiographs, without that part, and measure it there.

    Returns the settings of the network of all, which nothing is held out from: as many epochs as the folds took.
    """
    settings = replace(settings, hours=settings.hours / (settings.folds + 1))
    if distributed.WORLD > 1:
        raise DataError(f"folds: expected one process, found {distributed.WORLD}; run without torchrun")
    check_folds(settings, result)
    outcomes = []
    for k, (rest, held_out) in enumerate(split_by(train_valid, settings.folds), 1):
        folder, began = folder_of(result, k), time.monotonic()
        print(f"fold {k} of {settings.folds}: {len(rest)} radiographs to train on, {len(held_out)} held out")
        init = str(folder_of(Path(settings.init), k)) if Path(settings.init, BEST).exists() else settings.init
        refuse_beginning(settings, init, held_out)
        of_fold = resume_if_possible(replace(settings, init=init), folder)
        solver = train(of_fold, folder, rest.concat(extra), held_out, chooses=False)
        outcomes.append(Outcome(solver.history, solver.tree is not None, solver.first_ipe_px, solver.unfinished))
        show_figures(solver.test(held_out), HELD_OUT, folder / BEST)
        if not of_fold.resume:  # a resumed fold has taken less than a whole training
            left = settings.folds - k
            print(f"folds to go: {left}, then the network of all: {format_eta((left + 1) * (time.monotonic() - began))}")
    figures, points, peaks = pool(result, train_valid, settings.folds)
    of_folds = np.array(figures["ipe_px_of_folds"], float)  # NaN where no radiograph of a fold has a landmark
    print(f"{len(train_valid)} radiographs out of fold: " + listed(figures))
    print(f"IPE, mean and SD over folds: {np.nanmean(of_folds):.3f} ± {np.nanstd(of_folds, ddof=1):.3f} px")
    unfinished = next((one.unfinished for one in outcomes if one.unfinished), "")
    print(judge(train_valid, points, train_valid.points_network_px, unfinished).words)
    if ids := write_disagreements(result, train_valid, points, peaks):
        said = f"{len(ids)} radiographs where a network that is sure disagrees with an annotation, the worst first"
        print(f"{said} ({first_few(ids)}):")
        print(f"to look at them, python label.py --raw FOLDER --review {result / DISAGREEMENTS}")
    found = settings_of_all(settings, outcomes)
    for name, value in found.items():
        print(f"the network of all: --{name} {value!r}, as the folds")
    return replace(settings, hours=0.0, **found)


def show_judgement(result: Path, train: RadiographDataset, valid: RadiographDataset, solver: Solver) -> None:
    """Say whether the best network has learnt."""
    found = find_all(read_checkpoint(result / BEST), valid, solver.device, solver.precision, solver.settings.batch_size)
    print(judge(valid, found.points_network_px, train.points_network_px, solver.unfinished).words)


def check_folds(settings: Settings, result: Path) -> None:
    """Raises DataError where a folder holds an ordinary training, or one of other folds; a damaged state says nothing."""
    for path in (result / name for name in STATES):
        try:
            folds = read_checkpoint(path)["settings"].get("folds")
        except DataError:
            continue
        if folds != settings.folds:
            asked = f"folds {folds} -> {settings.folds}"
            raise DataError(f"{path}: made with other settings ({asked}); use the same, or another --result")


def measure(settings: Settings) -> int:
    """Measure a trained network on a split, in the folder of its run."""
    if not distributed.FIRST:
        return 0
    checkpoint = Path(settings.checkpoint or Path(settings.result or newest_run(BEST)) / BEST)
    trained = read_checkpoint(checkpoint)["settings"]
    split = settings.split or trained.get("split", "")  # the lists that it was trained by say what it has not seen
    data = load_data(replace(settings, split=split), (settings.test_on,))[settings.test_on]
    of_a_run = (checkpoint.parent / METRICS).exists()
    result = Path(settings.result or (checkpoint.parent if of_a_run else RESULTS / checkpoint.stem))
    with working_in(result):
        device = choose_device(settings.device)
        figures = test(checkpoint, data, result, device, settings.precision, settings.batch_size, settings.allow_seen)
        show_figures(figures, settings.test_on, checkpoint)
    return 0


def load_data(settings: Settings, splits: tuple[str, ...]) -> dict[str, RadiographDataset]:
    """The data set of each split."""
    listed = read_split(Path(settings.split)) if settings.split else {}
    data = {}
    for split in dict.fromkeys(splits):
        data[split] = RadiographDataset(Path(settings.data), split, listed.get(split), settings.allow_missing)
        of = f" of {len(listed[split])} listed" if listed else ""
        print(f"{split:5s} {len(data[split])}{of} radiographs of {data[split].frame[0]} x {data[split].frame[1]} px")
    return data


def load_extra(settings: Settings) -> list[RadiographDataset]:
    """The training radiographs of other folders."""
    extra = [RadiographDataset(Path(folder.strip()), "train") for folder in settings.also.split(",") if settings.also]
    for data in extra:
        print(f"also  {len(data)} radiographs of {data.folder}, to train on")
    return extra


def run_folder(settings: Settings) -> Path:
    """The folder of a training: as told, or the next number, or to resume the newest one. Raises DataError."""
    if settings.resume:
        return Path(settings.result or newest_run(*RESUMED))
    if not settings.result:
        return new_run() if distributed.FIRST else RESULTS  # the other processes write nothing
    result = Path(settings.result)
    for left in (result / name for name in (BEST, *RESUMED)):
        if left.exists():
            raise DataError(f"{left}: an earlier run is there; go on with --resume, or choose another --result")
    return result


def show_runs(results: Path) -> int:
    defaults = {field.name: field.default for field in fields(Settings)}
    lines = list_runs(results, defaults)
    print(f"{'run':12s} epoch valid IPE test IPE   settings other than the defaults")
    print("\n".join(lines) or f"{results}: no runs")
    return 0


def show_figures(figures: dict, split: str, checkpoint: Path) -> None:
    print(f"{split} of {checkpoint}: {listed(figures)}")


def listed(figures: dict) -> str:
    """Figures on one line; those of several annotators on a second one."""
    plain = ", ".join(f"{name} {value}" for name, value in figures.items() if name != "readers")
    return f"{plain}\n{format_annotators(figures['readers'])}" if "readers" in figures else plain


def show_settings(settings: Settings) -> None:
    """One line each, those that differ from the default marked."""
    for field in (field for field in fields(Settings) if field.name != CHOSEN):
        value = getattr(settings, field.name)
        print(f"{'*' if value != field.default else ' '} {field.name:18s} {value!r}")


def main(arguments: list[str] | None = None) -> int:
    settings = read_settings(arguments)
    if not distributed.FIRST:
        sys.stdout = open(os.devnull, "w")
    if settings.mode != "runs":
        show_settings(settings)
    interrupted = "interrupted; after the first epoch the same command with --resume goes on"
    return exit_status(lambda: run(settings), interrupted, "close other programs, or ask for a smaller --batch_size")


if __name__ == "__main__":
    sys.exit(main())
