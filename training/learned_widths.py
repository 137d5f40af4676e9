"""Target heatmaps whose widths are learnt with the network: the sigma term of Eq. (2) of Payer et al. (2019).

A wide target is easy to predict where annotators differ, a narrow one where they agree. All targets have the volume of those
that the data were prepared with, so a wider one is lower, and costs less: without a penalty on the widths they would grow for
ever.
"""

import torch
from torch import Tensor, nn

from heatmap import SMALLEST_SIGMA, draw_ellipses
from radiographs.network_frame import Frame

SPEED = 20.0  # how much faster than the network's weights the widths' logarithms move: a few hundred steps must do


class LearnedWidths(nn.Module):
    """The two standard deviations and the direction of each landmark's target; one deviation unless `anisotropic`.

    `sigma` px of the network frame is where they begin.
    """

    def __init__(self, landmarks: int, sigma: float, anisotropic: bool):
        super().__init__()
        self.sigma = sigma
        self.logs = nn.Parameter(torch.zeros(landmarks, 2 if anisotropic else 1))
        self.turns = nn.Parameter(torch.zeros(landmarks), requires_grad=anisotropic)

    def deviations(self) -> Tensor:
        """(landmarks, 2) px of the network frame."""
        return self.sigma * (SPEED * self.logs).exp().expand(-1, 2)

    def draw(self, points: Tensor, frame: Frame, to_size: float) -> Tensor:
        """Targets (B, landmarks, height, width) at points (B, landmarks, 2) px of a frame, `to_size` times the network's.

        None is narrower than can be learnt at that size.
        """
        deviations = to_size * self.deviations().clamp_min(SMALLEST_SIGMA / to_size)
        angle = SPEED * self.turns
        turn = torch.stack([torch.stack([angle.cos(), -angle.sin()], -1), torch.stack([angle.sin(), angle.cos()], -1)], -2)
        heights = (to_size * self.sigma) ** 2 / deviations.prod(-1)
        covariances = turn @ torch.diag_embed(deviations**2) @ turn.mT
        return heights[:, None, None] * draw_ellipses(points, *frame, covariances)

    def penalty(self) -> Tensor:
        """The sum over landmarks of the mean square of their deviations, px²."""
        return self.deviations().square().mean(-1).sum()
