"""When a run sees which resolution, and at which learning rate."""

import math

import numpy as np

from heatmap import SMALLEST_SIGMA
from runtime.files import DataError


def stage_sizes(stages: str, network_size: int, spatial_factor: int, local_factor: int, sigma: float) -> list[int]:
    """The input size of every epoch: "64x10 256x5" is ten epochs at 64 px and then five at 256 px. Raises DataError.

    A size must divide the network frame's, and be divisible by the factors of the lowest level of the local appearance and
    of the spatial configuration, which shrinks along and must stay a whole number. Heatmaps shrink along too, from `sigma` px of
    the network frame, and must not become too narrow.
    """

    def fits(size: int) -> bool:
        whole = network_size % size == 0 and size * spatial_factor % network_size == 0
        return whole and size % math.lcm(local_factor, size * spatial_factor // network_size) == 0

    fitting = [size for size in range(1, network_size + 1) if fits(size)]
    sizes: list[int] = []
    for stage in stages.split():
        size, _, epochs = stage.partition("x")
        if not (size.isdecimal() and epochs.isdecimal() and int(size) in fitting):
            raise DataError(f"stages: expected SIZExEPOCHS with a size of {', '.join(map(str, fitting))}; found {stage!r}")
        if (narrow := sigma * int(size) / network_size) < SMALLEST_SIGMA:
            raise DataError(
                f"stages: expected heatmaps of at least {SMALLEST_SIGMA:g} px, found {narrow:g} px at {size} px; train at a "
                f"larger size, or prepare the data with --sigma {SMALLEST_SIGMA * network_size / int(size):g} or more"
            )
        sizes += [int(size)] * int(epochs)
    if not sizes:
        raise DataError(f"stages: expected at least one epoch, such as {network_size}x40")
    return sizes


def progress_after_epochs(sizes: list[int], network_size: int) -> list[float]:
    """The share of a run's time, in [0, 1], that is over after 0, 1, ... epochs.

    An epoch's time goes with its pixels; the spatial configuration adds an eighth of a full picture at every resolution.
    """
    cost = np.cumsum([0] + [size**2 + network_size**2 / 8 for size in sizes])
    return (cost / cost[-1]).tolist()


def schedule_factor(schedule: str, progress: float) -> float:
    """Factor on the learning rate after `progress`, in [0, 1], of the run: constant, linear (1 to 0) or cosine (1 to 0)."""
    return {"constant": 1.0, "linear": 1 - progress, "cosine": 0.5 + 0.5 * math.cos(math.pi * progress)}[schedule]
