"""The training loss, of the SCN, of its second look and of the finder."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from heatmap import SMALLEST_SIGMA, draw_heatmaps
from radiographs.network_frame import Frame

SPEED = 20.0  # how much faster than the network's weights the logarithms of learnt widths move: a few hundred steps must do


def heatmap_errors(heatmaps: Tensor, targets: Tensor) -> Tensor:
    """What is minimised of each heatmap (..., H, W): ||heatmap - target||^2, (...)."""
    return (heatmaps - targets).square().sum((-2, -1))


def ridge_loss(
    heatmaps: Tensor, targets: Tensor, points: Tensor, weights: Iterable[Tensor], ridge: float, pixel_area: float = 1.0
) -> tuple[Tensor, dict[str, Tensor]]:
    """Eq. (2) of Payer et al. (2019): sum ||heatmap - target||^2 + ridge * sum ||weights||^2.

    Its sigma term is `LearnedWidths.penalty`.

    heatmaps, targets (B, L, H, W); points (B, L, 2), NaN where missing: such a landmark adds nothing. The heatmap sum is
    averaged over the radiographs of the batch, and each of its pixels counts `pixel_area` px, so that a loss at half the
    resolution (4) compares with one at the whole. `weights` are the convolution kernels. Returns the total and its parts.
    """
    present = points.isfinite().all(-1)
    errors = heatmap_errors(heatmaps, targets) * pixel_area
    parts = {
        "heatmaps": errors.where(present, 0.0).sum() / len(heatmaps),
        "ridge": ridge * sum((weight.square().sum() for weight in weights), heatmaps.new_zeros(())),
    }
    return parts["heatmaps"] + parts["ridge"], parts


class LearnedWidths(nn.Module):
    """Target heatmaps whose widths are learnt with the network, one a landmark: the sigma term of Eq. (2).

    A wide target is easy to predict where annotators differ, a narrow one where they agree. All targets have the volume of those
    that the data were prepared with, so a wider one is lower, and costs less: without a penalty on the widths they would grow
    for ever. `sigma` px of the network frame is where they begin.
    """

    def __init__(self, landmarks: int, sigma: float):
        super().__init__()
        self.sigma = sigma
        self.logs = nn.Parameter(torch.zeros(landmarks))

    def sigmas(self) -> Tensor:
        """(landmarks) px of the network frame."""
        return self.sigma * (SPEED * self.logs).exp()

    def draw(self, points: Tensor, frame: Frame, to_size: float) -> Tensor:
        """Targets (B, landmarks, height, width) at points (B, landmarks, 2) px of a frame, `to_size` times the network's.

        None is narrower than can be learnt at that size.
        """
        sigmas = to_size * self.sigmas().clamp_min(SMALLEST_SIGMA / to_size)
        heights = (to_size * self.sigma / sigmas) ** 2 * points.isfinite().all(-1)  # none of a missing point
        return heights[..., None, None] * draw_heatmaps(points.nan_to_num(), *frame, sigmas[:, None])

    def penalty(self) -> Tensor:
        """The sum of their squares over landmarks, px²."""
        return self.sigmas().square().sum()
