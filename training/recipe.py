"""Settings whose default is "auto": how to train on the data at hand, each choice with its reason."""

from dataclasses import replace
from pathlib import Path

from dataloader import RadiographDataset
from heatmap import SMALLEST_SIGMA
from joints.known import shaped_as
from runtime.checkpoint import read_checkpoint
from training.runs import checkpoint_of
from training.schedule import fitting_sizes
from training.settings import AUTO

CHOSEN = "spatial_factor", "init", "learning_rate", "mirror", "second_look", "stages"  # settings that may be "auto" here
PRETRAINED = {"hand": Path("weights/scn_synthetic.pt")}  # weights to start from, by the joint that they are of
OF_ANY = PRETRAINED["hand"]  # weights that other joints start from, but for the landmarks' heatmaps
USUAL_SIZE, USUAL_FACTOR = 256, 8  # px: the frame that the architecture was published for, and one px of its grid
SHAPES = ("channels", "levels", "spatial_kernel")  # settings that weights can only be taken over with
RATE_OF_RANDOM, RATE_OF_PRETRAINED = 4e-4, 6e-4


def choose(settings, data: RadiographDataset):
    """The settings of main.py without "auto" for training on `data`, and each choice as a line to print. Raises DataError."""
    lines = []

    def choice(name: str, value: object, reason: str) -> None:
        nonlocal settings
        if getattr(settings, name) == AUTO:
            settings = replace(settings, **{name: value}, auto=",".join([*filter(None, [settings.auto]), name]))
            lines.append(f"auto: --{name} {value!r}, {reason}")

    if AUTO not in (getattr(settings, name) for name in CHOSEN):
        return settings, lines
    choice("spatial_factor", *spatial_factor(data))
    if settings.init == AUTO:
        weights, reason, learnt = beginning(settings, data)
        choice("init", weights, reason)
    else:
        learnt = fits(settings.init, data)
    if learnt:
        choice("learning_rate", RATE_OF_PRETRAINED, "gentle, since training goes on from weights")
    else:
        choice("learning_rate", RATE_OF_RANDOM, "since the landmarks' weights are random")
    symmetric = data.is_symmetric()
    choice("mirror", "on" if symmetric else "off", f"the landmarks are {'' if symmetric else 'not '}symmetric")
    if not data.detail:
        choice("second_look", 0, "since the data were prepared without --detail")
    if settings.stages == AUTO:
        choice("stages", *stages(settings, data, learnt))
    return settings, lines


def spatial_factor(data: RadiographDataset) -> tuple[int, str]:
    """The factor for a grid of 32 to 63 px, of which a kernel spans nearly half as at 256 px, and why."""
    factor = USUAL_FACTOR
    while data.size // factor >= 2 * USUAL_SIZE // USUAL_FACTOR and not any(side % (2 * factor) for side in data.frame):
        factor *= 2
    rows, columns = (side // factor for side in data.frame)
    return factor, f"so that the spatial component works on {rows} x {columns} px"


def fits(init: str, data: RadiographDataset) -> bool:
    """Whether weights to start from know as many landmarks as the data have; weights that are gone by now count as such."""
    path = checkpoint_of(init)
    return bool(init) and (not path.exists() or read_checkpoint(path)["network"]["num_landmarks"] == data.points_px.shape[1])


def beginning(settings, data: RadiographDataset) -> tuple[str, str, bool]:
    """The checkpoint to start from, blank for random weights, why, and whether it has learnt the data's landmarks."""
    joint = shaped_as(data.points_px)
    learnt = joint is not None and joint.joint in PRETRAINED
    weights = PRETRAINED[joint.joint] if learnt else OF_ANY
    if not learnt and not weights.exists():
        return "", f"random weights: {weights} is not there", False
    network = read_checkpoint(weights)["network"]
    if other := [name for name in SHAPES if getattr(settings, name) != network[name]]:
        return "", f"random weights: those of {weights} have another number of {', '.join(other)}", False
    if learnt:
        return weights.as_posix(), f"the landmarks are a {joint.joint}'s", True
    if network["num_landmarks"] == data.points_px.shape[1]:
        return "", f"random weights: those of {weights} have as many landmarks, but others", False
    return weights.as_posix(), "whose first layers know what bones look like; the landmarks' start anew", False


def stages(settings, data: RadiographDataset, learnt: bool) -> tuple[str, str]:
    """Sizes, and why: a quarter, half and all of the network frame; half for weights that have learnt the joint.

    With a second look to come, all of the frame brings nothing: each rise costs some of what was learnt.
    """
    fitting = fitting_sizes(data.frame, settings.spatial_factor, 2 ** (settings.levels - 1))
    sizes = [size for size in fitting if data.sigma * size / data.size >= SMALLEST_SIGMA] or [data.size]
    quarter, half = (next((size for size in sizes if size >= data.size / part), sizes[-1]) for part in (4, 2))
    wanted = [half] if learnt else [quarter, half] if settings.second_look else [quarter, half, data.size]
    height, width = data.frame
    whole = "" if data.size // 2 in fitting else f"; all at {height} x {width} px, since only multiples of 32 can be halved"
    return " ".join(map(str, dict.fromkeys(wanted))), f"each until the validation error has stopped falling{whole}"
