"""When a run sees which resolution, and at which learning rate."""

import math

import numpy as np

from heatmap import SMALLEST_SIGMA
from radiographs.network_frame import Frame, at_size
from runtime.files import DataError


def fitting_sizes(frame: Frame, spatial_factor: int, local_factor: int) -> list[int]:
    """The sizes, px of the longer side, that a network frame (height, width) can be shrunk to.

    A size must divide the frame's, and both sides must then be divisible by the factors of the lowest level of the local
    appearance and of the spatial configuration, which shrinks along and must stay a whole number.
    """
    whole = max(frame)

    def fits(size: int) -> bool:
        if whole % size or size * spatial_factor % whole or any(side * size % whole for side in frame):
            return False
        return all(side % math.lcm(local_factor, size * spatial_factor // whole) == 0 for side in at_size(frame, size))

    return [size for size in range(1, whole + 1) if fits(size)]


def read_stages(stages: str, frame: Frame, spatial_factor: int, local_factor: int, sigma: float) -> tuple[list[int], bool]:
    """Sizes, and whether epochs are counted: then a size for each epoch, "64x10 256x5" being ten epochs with a longer side of
    64 px and then five with 256 px; else, as for "64 256", each size once.

    Heatmaps shrink along, from `sigma` px of the network frame, and must not become too narrow. Raises DataError.
    """
    network_size, fitting = max(frame), fitting_sizes(frame, spatial_factor, local_factor)
    sizes: list[int] = []
    counted = "x" in stages
    for stage in stages.split():
        size, _, epochs = stage.partition("x")
        if not (size.isdecimal() and (epochs.isdecimal() if counted else int(size) not in sizes) and int(size) in fitting):
            raise DataError(
                f"stages: expected SIZExEPOCHS, or sizes alone, with a size of {', '.join(map(str, fitting))}; found {stage!r}"
            )
        if (narrow := sigma * int(size) / network_size) < SMALLEST_SIGMA:
            raise DataError(
                f"stages: expected heatmaps of at least {SMALLEST_SIGMA:g} px, found {narrow:g} px at {size} px; train at a "
                f"larger size, or prepare the data with --sigma {SMALLEST_SIGMA * network_size / int(size):g} or more"
            )
        sizes += [int(size)] * (int(epochs) if counted else 1)
    if not sizes:
        raise DataError(f"stages: expected at least one epoch, such as {network_size}x40")
    return sizes, counted


def epoch_cost(size: int, network_size: int) -> float:
    """What an epoch's time goes with, px²: its pixels, and an eighth of a full picture for the spatial configuration."""
    return size**2 + network_size**2 / 8


def progress_after_epochs(sizes: list[int], network_size: int) -> list[float]:
    """The share of a run's time, in [0, 1], that is over after 0, 1, ... epochs."""
    costs = np.cumsum([0] + [epoch_cost(size, network_size) for size in sizes])
    return (costs / costs[-1]).tolist()


def schedule_factor(schedule: str, progress: float) -> float:
    """Factor on the learning rate after `progress`, in [0, 1], of the run: constant, linear (1 to 0) or cosine (1 to 0)."""
    return {"constant": 1.0, "linear": 1 - progress, "cosine": 0.5 + 0.5 * math.cos(math.pi * progress)}[schedule]
