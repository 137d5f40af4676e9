"""The training loss, of the SCN, of its second look and of the finder."""

from collections.abc import Iterable

from torch import Tensor


def heatmap_errors(heatmaps: Tensor, targets: Tensor) -> Tensor:
    """What is minimised of each heatmap (..., H, W): ||heatmap - target||^2, (...)."""
    return (heatmaps - targets).square().sum((-2, -1))


def ridge_loss(
    heatmaps: Tensor, targets: Tensor, points: Tensor, weights: Iterable[Tensor], ridge: float, pixel_area: float = 1.0
) -> tuple[Tensor, dict[str, Tensor]]:
    """Eq. (2) of Payer et al. (2019): sum ||heatmap - target||^2 + ridge * sum ||weights||^2.

    Its sigma term is in training/learned_widths.py.

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
