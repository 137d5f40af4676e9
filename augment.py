"""Random changes of radiographs in training: one draw moves a picture and its landmarks together.

The warp says for each pixel of the new picture where in the old one it is looked up: `old = affine(new + elastic(new))`.
Landmarks go the other way, so they are moved by the inverse of the very same functions, evaluated at the points themselves
rather than read from a grid. Heatmaps are drawn afterwards from the moved points.

A further change is a function, a setting in main.py with a field of the same name in `Augment`, and its line in `__call__`.
"""

from dataclasses import dataclass, fields

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from radiographs.network_frame import to_input, to_picture
from radiographs.processing import processed
from runtime.files import DataError

INVERSION_STEPS = 30  # most steps of the fixed-point iteration that inverts the elastic deformation
INVERTED = 1e-3  # px: the iteration ends when no point moves farther


def uniform(limit: float, rng: np.random.Generator, *shape: int) -> Tensor:
    """Numbers in [-limit, limit]."""
    return torch.from_numpy(rng.uniform(-limit, limit, shape)).float()


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
        """control (n, n, 2): displacements (x, y) px of the control points, rows first."""
        self.control, self.count = control, len(control)
        self.interval_x, self.interval_y = width / (self.count - 3), height / (self.count - 3)

    def weights(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        places = (x + 0.5) / self.interval_x, (y + 0.5) / self.interval_y
        return bspline_weights(places[0], self.count), bspline_weights(places[1], self.count)

    def on_grid(self, x: Tensor, y: Tensor) -> Tensor:
        """Displacements (H, W, 2) px at the pixels of columns x (W) and rows y (H)."""
        along_x, along_y = self.weights(x, y)
        return torch.einsum("hi,ijc,wj->hwc", along_y, self.control, along_x)

    def at(self, points: Tensor) -> Tensor:
        """Displacements (L, 2) px at points (L, 2)."""
        along_x, along_y = self.weights(*points.unbind(-1))
        return torch.einsum("li,ijc,lj->lc", along_y, self.control, along_x)

    def undone(self, points: Tensor) -> Tensor:
        """The points (L, 2) that the displacement takes to the given ones, NaN where those are NaN."""
        found = points
        for _ in range(INVERSION_STEPS):
            before, found = found, points - self.at(found)
            if not ((found - before).abs() > INVERTED).any():
                break
        return found


@dataclass(frozen=True)
class Augment:
    """Ranges of the random changes, each symmetric around none; with all at zero, nothing changes."""

    processing: float = 0.0  # share of radiographs that are changed as other equipment would have made them
    intensity_scale: float = 0.0  # factor 1 +- this on intensities
    intensity_shift: float = 0.0  # +- this; intensities span [-1, 1]
    translation: float = 0.0  # +- this fraction of the picture's width and height
    rotation: float = 0.0  # +- degrees
    scaling: float = 0.0  # factor exp(+- this) on size
    stretch: float = 0.0  # factor exp(+- this) on width and exp(-+ this) on height
    elastic: float = 0.0  # +- this fraction of the picture, at each control point
    elastic_intervals: int = 4  # intervals between control points, across the picture

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
        self, image: Tensor, points: Tensor, rng: np.random.Generator, reference: np.ndarray | None = None
    ) -> tuple[Tensor, Tensor]:
        """Change a radiograph.

        image (C, H, W) in [-1, 1], points (L, 2) as (x, y) px, NaN where missing -> the same, changed; landmarks moved off the
        picture become NaN. `reference` is the intensity profile that all are matched to.
        """
        image = process(image, self.processing, reference, rng)
        image, points = move(image, points, self, rng)
        return expose(image, self.intensity_scale, self.intensity_shift, rng), points


def process(image: Tensor, share: float, reference: np.ndarray | None, rng: np.random.Generator) -> Tensor:
    """A `share` of radiographs (1, H, W) as other equipment would have made them."""
    if not (share and rng.random() < share):
        return image
    return torch.from_numpy(to_input(processed(to_picture(image[0].numpy()), reference, rng)))[None]


def move(image: Tensor, points: Tensor, ranges: Augment, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Translation, rotation, scaling, stretching and elastic deformation; beyond the picture, its border is repeated."""
    height, width = image.shape[-2:]
    size = torch.tensor([width, height], dtype=points.dtype)
    centre = (size - 1) / 2
    angle = torch.deg2rad(uniform(ranges.rotation, rng))
    zoom, stretch = uniform(ranges.scaling, rng), uniform(ranges.stretch, rng)
    shift = uniform(ranges.translation, rng, 2) * size
    count = ranges.elastic_intervals + 3
    elastic = Elastic(uniform(ranges.elastic, rng, count, count, 2) * size, height, width)
    cos, sin = angle.cos(), angle.sin()
    grow = torch.stack([zoom + stretch, zoom - stretch]).exp()
    matrix = torch.stack([cos, -sin, sin, cos]).reshape(2, 2) * grow
    moved = elastic.undone((points - centre - shift) @ torch.linalg.inv(matrix).mT + centre)
    inside = ((moved >= -0.5) & (moved <= size - 0.5)).all(-1, keepdim=True)
    columns, rows = torch.arange(width, dtype=matrix.dtype), torch.arange(height, dtype=matrix.dtype)
    new = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), -1)
    old = (new + elastic.on_grid(columns, rows) - centre) @ matrix.mT + centre + shift
    grid = (2 * old + 1) / (2 * centre + 1) - 1
    warped = F.grid_sample(image[None], grid[None], mode="bilinear", padding_mode="border", align_corners=False)[0]
    return warped, moved.where(inside, torch.nan)


def expose(image: Tensor, scale: float, shift: float, rng: np.random.Generator) -> Tensor:
    """Intensities scaled and shifted."""
    return image * (1 + uniform(scale, rng)) + uniform(shift, rng)


def mirrored(points: Tensor, width: int) -> Tensor:
    """Points (L, 2) of a picture `width` px wide -> of its mirror image."""
    return torch.stack([width - 1 - points[:, 0], points[:, 1]], 1)
