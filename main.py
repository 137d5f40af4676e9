"""Train, validate and test the SpatialConfiguration-Net on the data set that data_preprocessing.py wrote.

    python main.py                 trains in a new folder, result/001 and so on; keeps the best by validation, and tests it
    python main.py --resume        goes on where the newest run stopped
    python main.py --mode test     tests the newest run again, or --checkpoint FILE
    python main.py --mode runs     lists what was tried

Edit the settings below, or give any of them as a flag of the same name.
"""

import os
import sys
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from augment import Augment
from dataloader import RadiographDataset
from runtime import distributed
from runtime.checkpoint import read_checkpoint
from runtime.command import exit_status
from runtime.device import choose_device
from solver import train
from training.check import check
from training.cross_validation import cross_validate
from training.recipe import choose
from training.runs import BEST, METRICS, RESULTS, WEIGHTS, folder_to_train_in, list_runs, newest_run, working_in
from training.sets import load_data, load_extra, load_splits, refuse_beginning, refuse_shared, tell_known
from training.settings import ASIDE, FRACTION, MAY_DIFFER, NETWORK, NO_FLAG, ODD, PLACE, POSITIVE, one_of, read, setting, show
from training.testing import test


@dataclass
class Settings:
    # What to do
    mode: str = one_of("train test check runs", ASIDE)  # train tests too, check looks for mistakes in the data, runs lists them
    data: str = setting("dataset/processed", PLACE, MAY_DIFFER)  # folder that data_preprocessing.py wrote
    also: str = setting("", PLACE, MAY_DIFFER)  # more prepared folders, separated by commas, whose train is learnt from too
    split: str = setting("", PLACE)  # folder of train.txt, test.txt, valid.txt of IDs, or their beginning (set1_); blank: as data
    result: str = setting("", PLACE, ASIDE)  # for checkpoints and tables; blank: a new number in result/, or the newest there
    checkpoint: str = setting("", PLACE, ASIDE)  # file to test; blank: best.pt of the run
    test_on: str = one_of("test valid train", ASIDE)  # measured in the end: test, or valid or train while choosing settings
    allow_seen: bool = False  # learn from radiographs that validation or test have too, and measure on what was learnt from
    allow_missing: bool = setting(False, ASIDE)  # leave out radiographs that --split lists and that are not prepared
    resume: bool = setting(False, ASIDE)  # go on from the last.pt of the run
    folds: int = 0  # 5: five networks, each without a fifth of train and valid, then one of them all; 0: valid chooses the epoch
    init: str = setting("auto", PLACE, MAY_DIFFER)  # weights or cross-validation to start from; blank: random; auto: by landmarks
    debug: bool = setting(False, ASIDE)  # draw the heatmaps of both components after every epoch, into the folder's debug/

    # Network: the published one, but for dropout
    channels: int = setting(64, POSITIVE, NETWORK)  # outputs of every intermediate convolution
    levels: int = setting(4, POSITIVE, NETWORK)  # resolutions of the local appearance, each half of the one above
    spatial_kernel: int = setting(15, POSITIVE, ODD, NETWORK)  # side of the spatial configuration's kernels, px of its own grid
    spatial_factor: int | str = setting("auto", POSITIVE, NETWORK)  # frame px per px of that grid; auto: 8, more from 512 px on
    dropout: float = setting(0.1, FRACTION, NETWORK)  # share, after each level's first convolution; the paper's 0.5 learns slower

    # Training
    stages: str = "auto"  # longer side, px: "64 128", each until validation stops falling, or SIZExEPOCHS, "64x8 128x24"
    second_look: int | str = "auto"  # epochs of the network that looks once more at larger pictures; 0: none; auto: by validation
    hours: float = setting(0.0, MAY_DIFFER)  # longest training, with more patience; 0: until validation has stopped falling
    shape_tree: str = one_of("auto on off")  # on: peaks are chosen together, by how they lie; off: each alone; auto: by error
    crop: int = setting(40, POSITIVE)  # side of a second-look crop, px of the larger pictures
    batch_size: int = setting(2, POSITIVE)  # radiographs; small ones make more steps in the same time
    learning_rate: float | str = setting("auto", POSITIVE)  # highest; auto: 6e-4 from the joint's weights, or 4e-4; 2e-3 diverges
    schedule: str = one_of("linear constant cosine fall")  # how the rate falls where epochs are counted; fall: at the end
    warmup: int = 70  # steps over which the rate rises at the start of every resolution
    beta1: float = setting(0.9, FRACTION)  # Adam's momentum, the usual one; the reference has 0.5
    beta2: float = setting(0.99, FRACTION)  # Adam's memory of squared gradients: short, as they are tiny first and grow fast
    gradient_clip: float = 1.0  # norm that longer gradients are cut to: a product of two maps yields very long ones; 0: none
    ridge: float = 1e-4  # lambda of the loss, on the squared weights (weight decay)
    learn_sigma: float = 0.0  # penalty on the squared widths, px², of heatmaps that learn their widths; 0: all as prepared
    averaging: float = setting(0.99, FRACTION)  # decay a step of averaged weights (EMA), which are validated and tested; 0: none
    seed: int = 0  # fixes the random weights, order, augmentation and dropout
    device: str = one_of("auto cpu cuda", ASIDE)  # auto: a GPU where there is one
    workers: int | str = setting("auto", ASIDE)  # processes that prepare batches; auto: none on a CPU, up to 8 for a GPU
    deterministic: bool = setting(False, MAY_DIFFER)  # the same bytes on a GPU too, at some cost in time; on a CPU always
    precision: str = one_of("auto float32 tf32 bfloat16")  # auto: bfloat16 where the hardware has it, else float32; tf32: GPUs

    # Augmentation, each range around no change
    processing: float = 0.0  # share of radiographs that are changed as other equipment would: curves, noise, masks, labels, cuts
    intensity_scale: float = 0.2  # factor 1 +- this
    intensity_shift: float = 0.2  # +- this, of intensities in [-1, 1]
    translation: float = 0.03  # +- this fraction of the picture; more would leave few landmarks near its real border
    rotation: float = 10.0  # +- degrees
    scaling: float = 0.1  # factor exp(+- this)
    stretch: float = 0.05  # exp(+- this) on the width, its inverse on the height
    elastic: float = 0.03  # +- this fraction of the picture, at each control point
    mirror: str = one_of("auto on off")  # on: half are shown mirrored, landmarks exchanged; auto: if these are symmetric
    elastic_intervals: int = setting(4, POSITIVE)  # intervals between control points across the picture

    auto: str = setting("", ASIDE, NO_FLAG)  # which of these the data chose, separated by commas


CHECKED = 50  # radiographs of each split that are searched for landmarks beside the body part before every training


def read_settings(arguments: list[str] | None = None) -> Settings:
    """The settings above, changed by flags of the same names, which their comments explain."""
    return read(Settings, __doc__, arguments)


def run(settings: Settings) -> int:
    """Do what `mode` says; returns the exit status. Raises DataError."""
    if settings.mode == "runs":
        return show_runs(Path(settings.result or RESULTS))
    if settings.mode == "test":
        return measure(settings)
    data, extra = load_splits(settings), load_extra(settings)
    sets = data | {"train": data["train"].concat(extra)}
    findings = check([*sets.values()], Augment.of(settings), limit=None if settings.mode == "check" else CHECKED)
    print("".join(f"check: {finding}\n" for finding in findings) or "check: nothing found\n", end="")
    if settings.mode == "check":
        return 1 if findings else 0
    return train_and_measure(settings, data, extra)


def show_runs(results: Path) -> int:
    lines = list_runs(results, Settings())
    print(f"{'run':12s} epoch valid IPE test IPE   settings other than the defaults")
    print("\n".join(lines) or f"{results}: no runs")
    return 0


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
        test(checkpoint, data, result, choose_device(settings.device), settings)
    return 0


def train_and_measure(settings: Settings, data: dict[str, RadiographDataset], extra: list[RadiographDataset]) -> int:
    """Train a network, or cross-validate and train one of all radiographs, in the folder of the run; say how good it is."""
    own = data["train"].concat([data["valid"]] if settings.folds and "valid" in data else [])
    if not settings.allow_seen:
        refuse_shared(extra, [one for split, one in data.items() if settings.folds or split != "train"])
    settings, lines = choose(settings, own.concat(extra))
    print("".join(f"{line}\n" for line in lines), end="")
    seen = settings.folds and settings.test_on != "test"  # by the network of all
    measured = None if seen else data.get(settings.test_on)
    if measured:
        refuse_beginning(settings, settings.init, measured)
    if not settings.folds:
        tell_known(settings.init, data["valid"])
    result = folder_to_train_in(settings)
    with working_in(result) if distributed.FIRST else nullcontext():
        if settings.folds:
            solver = train(cross_validate(settings, result, own, extra, train), result, own.concat(extra))
        else:
            solver = train(settings, result, own.concat(extra), data["valid"])
        if not distributed.FIRST:
            return 0
        if not settings.folds:
            solver.show_judgement()
        if measured:
            solver.test(measured)
        elif settings.test_on not in data:
            print(f"{settings.test_on}: no radiographs, so nothing is measured on such")
        if settings.folds or not own.known_by(data["valid"].marks()):  # export.py measures on radiographs that are not learnt
            use = f"python predict.py FOLDER --weights {result / WEIGHTS}"
            print(f"next, to use it: python export.py --checkpoint {result / BEST}, then {use}")
    return 0


def main(arguments: list[str] | None = None) -> int:
    settings = read_settings(arguments)
    if not distributed.FIRST:
        sys.stdout = open(os.devnull, "w")
    if settings.mode != "runs":
        show(settings)
    interrupted = "interrupted; after the first epoch the same command with --resume goes on"
    return exit_status(lambda: run(settings), interrupted, "close other programs, or ask for a smaller --batch_size")


if __name__ == "__main__":
    raise SystemExit(main())
