"""Points to Gaussian heatmaps and back: an inverse pair, exact to sub-pixel precision.

Points are (x, y) in pixels of the heatmap, where pixel i covers [i - 0.5, i + 0.5]: the centre of the top left pixel is
(0, 0). A landmark at (3.5, 10) lies on the border of columns 3 and 4, in row 10.
"""

import torch
from torch import Tensor

WINDOW_RADIUS = 2  # pixels each side of the highest one that the decoder fits: 5 x 5
MOST_ABOVE = 2.0  # a fitted peak over its highest pixel: that of a Gaussian of 0.7 px between four pixels is 1.67
WIDEST = 5.0  # px, standard deviation that a fit to so small a window is believed
SMALLEST_SIGMA = 0.7  # px, of heatmaps that can be learnt and decoded
FLOOR = 1e-3  # of the peak: pixels below it say nothing about the centre, and have no logarithm worth fitting


def rescale(points, factor):
    """Points (..., 2) of a picture -> of the same picture resized by `factor`, one number or one per axis (x, y).

    Tensors or arrays. Halving takes the centre (0, 0) of the first pixel to (-0.25, -0.25).
    """
    return (points + 0.5) * factor - 0.5


def draw_heatmaps(points: Tensor, height: int, width: int, sigma: float | Tensor) -> Tensor:
    """Gaussians of height 1 and standard deviation `sigma` px, one or (L, 1), at `points`, not rounded to whole pixels.

    points (..., 2) as (x, y) px -> heatmaps (..., height, width) in [0, 1] of the same type, all zero where a coordinate is NaN.
    """
    present = points.isfinite().all(-1)
    x, y = points.where(present[..., None], torch.inf).split(1, dim=-1)
    columns = torch.arange(width, device=points.device, dtype=points.dtype)
    rows = torch.arange(height, device=points.device, dtype=points.dtype)
    horizontal = torch.exp(-0.5 * ((columns - x) / sigma) ** 2)
    vertical = torch.exp(-0.5 * ((rows - y) / sigma) ** 2)
    return vertical[..., :, None] * horizontal[..., None, :]


def decode_heatmaps(heatmaps: Tensor) -> tuple[Tensor, Tensor]:
    """The sub-pixel centre and the height of each heatmap's highest peak: `fit_peaks` without its covariances."""
    points, heights, _ = fit_peaks(heatmaps)
    return points, heights


def fit_peaks(heatmaps: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The sub-pixel centre, the height and the covariance of each heatmap's highest peak.

    heatmaps (..., H, W) -> (points (..., 2) as (x, y) px, heights (...), covariances (..., 2, 2) px²), all float32. They are
    those of a Gaussian, of any width and tilt, fitted to the logarithm of the pixels around the highest one by least squares
    weighted with their squared values (Guo, IEEE Signal Processing Magazine 28(5), 2011). The fit is exact on a Gaussian wherever
    its centre lies between the pixels, and takes only pixels that exist, so the border adds no bias. Where the fit is no peak,
    the highest pixel itself is returned, as wide as is believed of any: every heatmap has an answer, and a height <= 0 tells an
    empty one.
    """
    *lead, height, width = heatmaps.shape
    flat = heatmaps.reshape(-1, height * width).float()
    peaks, index = flat.max(-1)
    top_x, top_y = index % width, index // width

    span = torch.arange(-WINDOW_RADIUS, WINDOW_RADIUS + 1, device=flat.device)
    dy, dx = (offset.reshape(-1) for offset in torch.meshgrid(span, span, indexing="ij"))
    x, y = top_x[:, None] + dx, top_y[:, None] + dy
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    values = flat.gather(1, y.clamp(0, height - 1) * width + x.clamp(0, width - 1)).double()
    values = values / peaks[:, None].clamp_min(torch.finfo(torch.float32).tiny)
    used = inside & (values > FLOOR)
    values = values.clamp_min(FLOOR)
    weight = torch.where(used, values, 0.0)

    dx, dy = dx.double(), dy.double()
    basis = torch.stack([torch.ones_like(dx), dx, dy, dx * dx, dx * dy, dy * dy], -1)
    weighted = weight[..., None] * basis
    normal = weighted.mT @ weighted + 1e-9 * torch.eye(6, dtype=basis.dtype, device=flat.device)
    right = weighted.mT @ (weight * values.log())[..., None]
    fit, _ = torch.linalg.solve_ex(normal, right)  # unlike `solve`, a GPU need not be waited for
    a, b, c, d, e, f = fit.squeeze(-1).unbind(-1)

    determinant = 4 * d * f - e * e
    offset = torch.stack([e * c - 2 * f * b, e * b - 2 * d * c], -1) / determinant[:, None]
    is_peak = (peaks > 0) & (d < 0) & (determinant > 0) & (offset.abs() <= 1).all(-1)
    offset = torch.where(is_peak[:, None], offset, 0.0)
    points = torch.stack([top_x, top_y], -1) + offset
    above = (a + 0.5 * (b * offset[:, 0] + c * offset[:, 1])).exp().clamp(1, MOST_ABOVE)
    heights = torch.where(is_peak, peaks * above, peaks).float()
    widest = WIDEST**2 * torch.eye(2, dtype=fit.dtype, device=flat.device)
    covariances = torch.stack([-2 * f, e, e, -2 * d], -1).reshape(-1, 2, 2) / determinant[:, None, None]
    size = covariances.diagonal(dim1=-2, dim2=-1).sum(-1)  # never less than the longer variance
    covariances = torch.where((is_peak & (size < 2 * WIDEST**2))[:, None, None], covariances, widest)
    return points.float().reshape(*lead, 2), heights.reshape(lead), covariances.float().reshape(*lead, 2, 2)
