"""Settings whose default is "auto": how to train on the data at hand, each choice with its reason."""

from dataclasses import replace
from math import ceil
from pathlib import Path

from dataloader import RadiographDataset
from heatmap import SMALLEST_SIGMA
from joints.known import shaped_as
from runtime.checkpoint import read_checkpoint
from training.schedule import fitting_sizes

AUTO = "auto"
PRETRAINED = {"hand": Path("weights/scn_synthetic.pt")}  # weights to start from, by the joint that they are of
SHAPES = ("channels", "levels", "spatial_kernel")  # settings that weights can only be taken over with
RATE_OF_RANDOM, RATE_OF_PRETRAINED = 8e-4, 6e-4
# How many radiographs a stage shows, each anew changed: as good with 40 radiographs seen often as with 90 seen less. Of many
# radiographs each is seen LEAST times.
COARSE, FINE, FINE_OF_PRETRAINED = 720, 2160, 728
LEAST_COARSE, LEAST_FINE, LEAST_FINE_OF_PRETRAINED = 1, 4, 8


def choose(settings, data: RadiographDataset):
    """The settings of main.py without "auto" for training on `data`, and each choice as a line to print. Raises DataError."""
    lines = []

    def choice(name: str, value: object, reason: str) -> None:
        nonlocal settings
        if getattr(settings, name) == AUTO:
            settings = replace(settings, **{name: value}, auto=",".join([*filter(None, [settings.auto]), name]))
            lines.append(f"auto: --{name} {value!r}, {reason}")

    if settings.init == AUTO:
        choice("init", *beginning(settings, data))
    if settings.init:
        choice("learning_rate", RATE_OF_PRETRAINED, "gentle, since training goes on from weights")
    else:
        choice("learning_rate", RATE_OF_RANDOM, "for random weights")
    if settings.stages == AUTO:
        choice("stages", *stages(settings, data))
    return settings, lines


def beginning(settings, data: RadiographDataset) -> tuple[str, str]:
    """The checkpoint to start from, blank for random weights, and why."""
    joint = shaped_as(data.points_px)
    weights = PRETRAINED.get(joint.joint) if joint else None
    if weights is None:
        return "", "random weights: there are none of this joint to start from"
    network = read_checkpoint(weights)["network"]
    if other := [name for name in SHAPES if getattr(settings, name) != network[name]]:
        return "", f"random weights: those of a {joint.joint} have another number of {', '.join(other)}"
    return weights.as_posix(), f"the landmarks are a {joint.joint}'s"


def stages(settings, data: RadiographDataset) -> tuple[str, str]:
    """Sizes and epochs, and why: a quarter and then half of the network frame, or for weights that know the joint half of it."""
    fitting = fitting_sizes(data.frame, settings.spatial_factor, 2 ** (settings.levels - 1))
    sizes = [size for size in fitting if data.sigma * size / data.size >= SMALLEST_SIGMA] or [data.size]
    quarter, half = (next((size for size in sizes if size >= data.size / part), sizes[-1]) for part in (4, 2))
    fine, least = (FINE_OF_PRETRAINED, LEAST_FINE_OF_PRETRAINED) if settings.init else (FINE, LEAST_FINE)
    if not settings.init and quarter == half:  # heatmaps too narrow for the quarter
        fine += COARSE
    epochs = max(least, round(fine / len(data)))
    parts, seen = [f"{half}x{epochs}"], epochs * len(data)
    if not settings.init and quarter < half:
        first = max(LEAST_COARSE, round(COARSE / len(data)))
        parts, seen = [f"{quarter}x{first}", *parts], seen + first * len(data)
    height, width = data.frame
    whole = "" if data.size // 2 in fitting else f", all at {height} x {width} px, since only multiples of 32 can be halved"
    steps = sum(int(part.split("x")[1]) for part in parts) * ceil(len(data) / settings.batch_size)
    return " ".join(parts), f"{steps} steps, in which {len(data)} radiographs are seen {seen / len(data):.0f} times each{whole}"
