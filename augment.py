"""Random intensity and geometry for whole batches: one draw moves a radiograph and its landmarks together.

The warp says for each pixel of the new picture where in the old one it is looked up: `old = affine(new + elastic(new))`.
Landmarks go the other way, so they are moved by the inverse of the very same functions, evaluated at the points themselves
rather than read from a grid. Heatmaps are drawn afterwards from the moved points.
"""

from dataclasses import dataclass, fields

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from dataloader import to_input, to_picture
from radiographs.processing import processed
from runtime.files import DataError

INVERSION_STEPS = 30  # of the fixed-point iteration: below 0.01 px for every displacement that is allowed


def uniform(shape: tuple[int, ...], limit: float, generator: torch.Generator) -> Tensor:
    """Numbers in [-limit, limit], drawn on the CPU so that every device sees the same ones."""
    return (torch.rand(shape, generator=generator) * 2 - 1) * limit


def bspline_weights(position: Tensor, count: int) -> Tensor:
    """Uniform cubic B-spline weights of `count` control points at -1, 0, ..., count - 2.

    position (...), in intervals between control points -> (..., count), summing to 1 for 0 <= position <= count - 3.
    """
    knots = torch.arange(-1, count - 1, device=position.device, dtype=position.dtype)
    distance = (position[..., None] - knots).abs()
    near = (4 - 6 * distance**2 + 3 * distance**3) / 6
    far = (2 - distance).clamp_min(0) ** 3 / 6
    return torch.where(distance < 1, near, far)


class Elastic:
    """A smooth displacement field: a cubic B-spline over control points that are moved at random."""

    def __init__(self, control: Tensor, height: int, width: int):
        """control (B, n, n, 2): displacements (x, y) px of the control points, rows first."""
        self.control, self.count = control, control.shape[1]
        self.interval_x, self.interval_y = width / (self.count - 3), height / (self.count - 3)

    def weights(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return (
            bspline_weights((x + 0.5) / self.interval_x, self.count),
            bspline_weights((y + 0.5) / self.interval_y, self.count),
        )

    def on_grid(self, x: Tensor, y: Tensor) -> Tensor:
        """Displacements (B, H, W, 2) px at the pixels of columns x (W) and rows y (H)."""
        along_x, along_y = self.weights(x, y)
        return torch.einsum("hi,bijc,wj->bhwc", along_y, self.control, along_x)

    def at(self, points: Tensor) -> Tensor:
        """Displacements (B, L, 2) px at points (B, L, 2)."""
        along_x, along_y = self.weights(*points.unbind(-1))
        return torch.einsum("bli,bijc,blj->blc", along_y, self.control, along_x)


@dataclass(frozen=True)
class Augment:
    """Ranges of the random changes, each symmetric around none; with all at zero, nothing changes."""

    intensity_scale: float  # factor 1 +- this on intensities
    intensity_shift: float  # +- this; intensities span [-1, 1]
    translation: float  # +- this fraction of the picture's width and height
    rotation: float  # +- degrees
    scaling: float  # factor exp(+- this) on size
    stretch: float  # factor exp(+- this) on width and exp(-+ this) on height
    elastic: float  # +- this fraction of the picture, at each control point
    elastic_intervals: int  # between control points, across the picture

    @classmethod
    def of(cls, settings) -> "Augment":
        """From settings that have a field of the same name for each range."""
        return cls(**{field.name: getattr(settings, field.name) for field in fields(cls)})

    def __post_init__(self):
        limit = 0.25 / self.elastic_intervals
        if not 0 <= self.elastic <= limit:
            raise DataError(
                f"elastic must lie in [0, {limit:g}] with {self.elastic_intervals} intervals, or the picture could fold; "
                f"found {self.elastic:g}"
            )

    def __call__(
        self, images: Tensor, points: Tensor, generator: torch.Generator, part: slice = slice(None), batch: int | None = None
    ) -> tuple[Tensor, Tensor]:
        """Change a batch by one draw per radiograph.

        images (B, C, H, W) in [-1, 1] on any device, points (B, L, 2) as (x, y) px on the CPU, NaN where missing -> the same,
        changed; landmarks moved off the picture become NaN. What comes into view from outside repeats the picture's border. Of
        several processes each gives its `part` of a `batch` of radiographs, and the draws are those of one process.
        """
        *_, height, width = images.shape
        batch = batch or len(images)

        def draw(shape: tuple[int, ...], limit: float) -> Tensor:
            return uniform((batch, *shape), limit, generator)[part]

        angle = torch.deg2rad(draw((), self.rotation))
        zoom, stretch = draw((), self.scaling), draw((), self.stretch)
        shift, count = draw((1, 2), self.translation), self.elastic_intervals + 3
        control = draw((count, count, 2), self.elastic)
        scale, brighter = draw((1, 1, 1), self.intensity_scale), draw((1, 1, 1), self.intensity_shift)
        size = torch.tensor([width, height], dtype=points.dtype)
        centre = (size - 1) / 2
        cos, sin = angle.cos(), angle.sin()
        grow = torch.stack([zoom + stretch, zoom - stretch], -1).exp()
        matrix = torch.stack([cos, -sin, sin, cos], -1).reshape(-1, 2, 2) * grow[:, None, :]
        shift = shift * size
        elastic = Elastic(control * size, height, width)
        images = warp(images, elastic, matrix, centre, shift)

        target = (points - centre - shift) @ torch.linalg.inv(matrix).mT + centre
        points = target
        for _ in range(INVERSION_STEPS):
            points = target - elastic.at(points)
        inside = ((points >= -0.5) & (points <= size - 0.5)).all(-1, keepdim=True)
        scale, brighter = scale.to(images.device, non_blocking=True), brighter.to(images.device, non_blocking=True)
        return images * (1 + scale) + brighter, points.where(inside, torch.nan)


def process(
    images: Tensor, share: float, reference: np.ndarray | None, generator: torch.Generator, part: slice = slice(None)
) -> Tensor:
    """A `part` of a batch (B, 1, H, W) on the CPU, a `share` of its radiographs changed as other equipment would have made them.

    `reference` is the intensity profile that all are matched to. With no share no random number is drawn.
    """
    if not share:
        return images[part]
    chosen = torch.rand(len(images), generator=generator)[part] < share
    seeds = torch.randint(2**62, (len(images),), generator=generator)[part]
    images = images[part].clone()
    for i in chosen.nonzero().flatten().tolist():
        rng = np.random.default_rng(seeds[i].item())
        images[i, 0] = to_input(processed(to_picture(images[i, 0]), reference, rng))
    return images


def warp(images: Tensor, elastic: Elastic, matrix: Tensor, centre: Tensor, shift: Tensor) -> Tensor:
    """Look up every pixel of the new pictures in the old ones (B, C, H, W), on their device."""
    height, width = images.shape[-2:]
    control, matrix, centre, shift = (
        part.to(images.device, non_blocking=True) for part in (elastic.control, matrix, centre, shift)
    )
    columns = torch.arange(width, device=images.device, dtype=matrix.dtype)
    rows = torch.arange(height, device=images.device, dtype=matrix.dtype)
    new = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), -1)
    looked_up = new + Elastic(control, height, width).on_grid(columns, rows)
    old = (looked_up - centre).flatten(1, 2) @ matrix.mT + centre + shift
    grid = ((2 * old + 1) / (2 * centre + 1) - 1).reshape(-1, height, width, 2)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)
