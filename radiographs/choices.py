"""What the training radiographs choose where settings of preparation are "auto", and the histogram that is matched to."""

from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from radiographs.network_frame import Frame, frame_of, intensity_profile, resize_to, size_in_settings, suitable_frame
from radiographs.preparing import Settings
from radiographs.reading import read_radiograph
from runtime.apart import Apart
from runtime.checkpoint import read_checkpoint
from runtime.files import DataError

AUTO = "auto"
CHECKPOINT = ".pt"  # how the file names of checkpoints end
DETAIL = 2  # times the network frame, that radiographs are shown larger for the second look; not more than they have
LOOKED_AT = 15  # training radiographs, for the form of the frame and a typical histogram
FINE, WIDE = 2.0, 3.0  # px, of heatmaps for a network that starts from weights of its joint, and from random ones
USUAL_REFERENCE = "3209"  # the radiograph of the Digital Hand Atlas that the reference matches to
Files = dict[str, tuple[str, Path]]  # ID: split and path of a radiograph


def training_files(found: Files) -> dict[str, Path]:
    return {id: path for id, (split, path) in found.items() if split == "train"}


def choose_reference(settings: Settings, found: Files) -> tuple[Settings, np.ndarray | None]:
    """The settings with the ID of the reference radiograph, or "none", and its intensity profile.

    "auto" is the usual one, else a typical one of train; a checkpoint lends the one that it was trained with. Raises DataError.
    """
    wanted, train = settings.reference, training_files(found)
    if wanted == "none":
        return settings, None
    if wanted.endswith(CHECKPOINT):
        data = read_checkpoint(Path(wanted))["data"]
        if frame_of(data["size"]) != frame_of(settings.size):
            raise DataError(f"--reference {wanted}: was trained on data of {data['size']} px; prepare with --size {data['size']}")
        return replace(settings, reference=data["reference"]), None if data["profile"] is None else np.array(data["profile"])
    frame = frame_of(settings.size)
    with closing(Apart(profile_of, fork=True)) as profile:
        if wanted == AUTO:
            wanted = USUAL_REFERENCE if USUAL_REFERENCE in train else typical(train, lambda path: profile(path, frame))
        if wanted not in train:
            raise DataError(
                f"--reference {wanted}: no such radiograph in train; name one that is, such as {next(iter(train))}, a checkpoint "
                f"(*{CHECKPOINT}), or none to leave the histograms as they are"
            )
        return replace(settings, reference=wanted), profile(train[wanted], frame)


def typical(train: dict[str, Path], profile: Callable[[Path], np.ndarray]) -> str:
    """The ID of the radiograph, of some evenly over all, whose histogram is nearest to those of the others on average.

    An overexposed one would make all others so: what lies beside the lungs of a spine, say, becomes white.
    """
    profiles = {}
    for id in evenly(list(train)):
        with suppress(DataError):  # it is told where all are prepared
            profiles[id] = profile(train[id])
    if not profiles:
        return next(iter(train))
    curves = np.array([(one - one[0]) / ((one[-1] - one[0]) or 1) for one in profiles.values()])
    nearest = list(profiles)[np.abs(curves - curves[:, None]).mean((1, 2)).argmin()]
    print(f"auto: --reference {nearest}, whose histogram is the most usual of {len(profiles)} training radiographs", flush=True)
    return nearest


def evenly(items: list) -> list:
    """LOOKED_AT items at most, evenly over all."""
    return items[:: -(-len(items) // LOOKED_AT) or 1]


def profile_of(path: Path, frame: Frame) -> np.ndarray:
    """The intensity profile of a radiograph in the network's frame. Raises DataError."""
    return intensity_profile(resize_to(read_radiograph(path).pixels, frame))


def shape_of(path: Path) -> Frame:
    """(rows, columns) of a radiograph. Raises DataError."""
    return read_radiograph(path).pixels.shape


def choose_settings(settings: Settings, found: Files, shipped: str, template: Any) -> Settings:
    """The settings without "auto", each choice told with its reason. `shipped` is the joint whose weights ship, or blank."""
    of_checkpoint = read_checkpoint(Path(settings.reference))["data"] if settings.reference.endswith(CHECKPOINT) else {}
    shapes = [] if template else training_shapes(found)
    choices = (
        ("size", lambda: frame_by_form(shapes, template)),
        ("sigma", lambda: sigma_by_joint(shipped)),
        ("detail", lambda: detail_by_size(max(frame_of(settings.size)), shapes)),
    )
    for name, choose in choices:
        if getattr(settings, name) == AUTO:
            value, reason = (of_checkpoint[name], f"as {settings.reference} has") if name in of_checkpoint else choose()
            print(f"auto: --{name} {value}, {reason}", flush=True)
            settings = replace(settings, **{name: value})
    return settings


def training_shapes(found: Files) -> list[Frame]:
    """(rows, columns) of some of the training radiographs."""
    shapes = []
    with closing(Apart(shape_of, fork=True)) as shape:
        for path in evenly(list(training_files(found).values())):
            with suppress(DataError):  # it is told where all are prepared
                shapes.append(shape(path))
    return shapes


def frame_by_form(shapes: list[Frame], template: Any) -> tuple[int | str, str]:
    """The frame that suits what is shown of the training radiographs (rows, columns), and why."""
    if template:
        width, height = np.diff(template.frame(), axis=0)[0]
        shapes = [(height, width)]
    aspect = float(np.median([rows / columns for rows, columns in shapes] or [1.0]))
    size = size_in_settings(suitable_frame(aspect))
    return size, f"for radiographs {aspect:.2f} times as high as wide (median of {len(shapes)})"


def sigma_by_joint(shipped: str) -> tuple[float, str]:
    """The width of heatmaps, and why."""
    if shipped:
        return FINE, f"for landmarks of a {shipped}, whose weights training starts from"
    return WIDE, "since wide heatmaps are learnt more easily where the landmarks' own weights are random"


def detail_by_size(frame_px: int, shapes: list[Frame]) -> tuple[int, str]:
    """How large pictures for the second look are, and why; cropped ones are taken for large enough."""
    longer = int(np.median([max(shape) for shape in shapes])) if shapes else DETAIL * frame_px
    if longer <= frame_px:
        return 0, f"no second look, since the radiographs have no more than the frame (median of {len(shapes)})"
    return min(DETAIL * frame_px, longer), f"for a second look; the radiographs have {longer} px (median of {len(shapes)})"
