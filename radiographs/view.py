"""A view of a picture: a rectangle of it, turned, mirrored and enlarged in any way, as a picture of its own.

Points go through the same affine map as pixels, and back through its exact inverse.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from runtime import arrays

FINEST = 4  # samples at most along each axis of a pixel, before they are averaged


@dataclass(frozen=True)
class View:
    """Points p of the view lie at matrix @ p + shift in the picture, all as (x, y) px."""

    matrix: np.ndarray  # (2, 2)
    shift: np.ndarray  # (2,)
    extent: tuple[int, int]  # width, height of the view

    @classmethod
    def of_corners(cls, corners: np.ndarray, extent: tuple[int, int]) -> "View":
        """Of the parallelogram with three corners (top left, top right, bottom left) in the picture: corners of pixels."""
        matrix = arrays.of(corners).stack([(corners[1] - corners[0]) / extent[0], (corners[2] - corners[0]) / extent[1]], 1)
        return cls(matrix, corners[0] + matrix.sum(1) / 2, extent)

    @classmethod
    def letterbox(cls, shape: tuple[int, int], size: int) -> "View":
        """Of all of a picture (rows, columns) in the middle of a square, not stretched."""
        rows, columns = shape
        sides = arrays.of(rows).stack([columns, rows])
        corners = sides / 2 - 0.5 + sides.max() / 2 * arrays.like(rows, [[-1, -1], [1, -1], [-1, 1]])
        return cls.of_corners(corners, (size, size))

    @classmethod
    def whole(cls, shape: tuple[int, int], frame: tuple[int, int]) -> "View":
        """Of all of a picture (rows, columns), in a frame (height, width), as data_preprocessing.py resizes it."""
        rows, columns = shape
        corners = arrays.of(rows).stack([columns, rows]) * arrays.like(rows, [[0, 0], [1, 0], [0, 1]])
        return cls.of_corners(corners - 0.5, frame[::-1])

    def to_picture(self, points: np.ndarray) -> np.ndarray:
        """Points (..., 2) px of the view -> of the picture."""
        return points @ self.matrix.T + self.shift

    def of_picture(self, points: np.ndarray) -> np.ndarray:
        """Points (..., 2) px of the picture -> of the view."""
        return (points - self.shift) @ np.linalg.inv(self.matrix).T

    def resized(self, extent: tuple[int, int]) -> "View":
        """The same of the picture in another number of px (width, height)."""
        factor = arrays.like(self.matrix, self.extent) / arrays.like(self.matrix, extent)
        return View(self.matrix * factor, self.to_picture(0.5 * factor - 0.5), extent)

    @property
    def sides(self) -> np.ndarray:
        """(2,) width and height, px of the picture."""
        return arrays.of(self.matrix).linalg.norm(self.matrix, None, 0) * arrays.like(self.matrix, self.extent)

    @property
    def scale(self) -> float:
        """px of the picture a px of the view, the root of the area."""
        (a, b), (c, d) = self.matrix
        return abs(a * d - b * c) ** 0.5


def border_grey(picture: np.ndarray) -> float:
    """The median of a picture's border."""
    return float(np.median(np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])))


def sample(pixels: np.ndarray, view: View, beyond: str = "border") -> np.ndarray:
    """A view of a picture (rows, columns) -> (height, width) float32.

    Every pixel is the mean of finer samples where the view is coarser than the picture, so fine detail does not alias. Beyond
    the picture its border is repeated, or with `beyond` "median" there is one grey, the median of the border.
    """
    picture = torch.from_numpy(np.ascontiguousarray(pixels, np.float32))[None, None]
    while coarseness(view) > FINEST:  # first halved: the mean of 2 x 2 px, whose centres lie at 2 p + 0.5
        picture = F.avg_pool2d(picture, 2, ceil_mode=True)
        view = View(view.matrix / 2, view.shift / 2 - 0.25, view.extent)
    fine = max(1, int(np.ceil(coarseness(view))))
    extent, size = np.array(view.extent), np.array(picture.shape[:1:-1])
    middle = view.to_picture(extent / 2 - 0.5)  # grid_sample counts from the middles, in halves of the sides
    theta = np.concatenate([view.matrix * extent / size[:, None], ((2 * middle + 1) / size - 1)[:, None]], 1)
    grid = F.affine_grid(torch.from_numpy(theta[None]).float(), [1, 1, *(extent[::-1] * fine).tolist()], align_corners=False)
    fill = border_grey(pixels) if beyond == "median" else 0.0
    padding = "zeros" if beyond == "median" else "border"
    samples = F.grid_sample(picture - fill, grid, mode="bilinear", padding_mode=padding, align_corners=False) + fill
    return F.avg_pool2d(samples, fine)[0, 0].numpy()


def coarseness(view: View) -> float:
    """px of the picture a px of the view, along the coarser of its axes."""
    return float(np.linalg.norm(view.matrix, axis=0).max())
