"""How training radiographs show a joint: its mean shape, what lies around it, and which parts are bright."""

import warnings
from dataclasses import dataclass, field

import numpy as np

from finder.placement import Placement, fit
from joints.shape import OTHER_SIDE, normalise, of_the_other_side
from radiographs.view import View
from runtime import arrays

RANKED = 32  # px of the square that tells bright bone from dark
NARROWEST = 1 / 3  # of the longer extent, that the shorter one counts as at least: all but straight are a spine, a leg
LEAST_SIDE, MOST_SIDE = 0.85, 1.3  # of the usual frame's sides, that a frame may have


@dataclass(frozen=True)
class ShapeTemplate:
    """What training radiographs have in common."""

    shape: np.ndarray  # (L, 2) mean shape, upright, in shape units
    margins: np.ndarray  # (2, 2): left and top, right and bottom, between landmarks and edges, as parts of `extent`
    look: np.ndarray = field(default_factory=lambda: np.zeros((RANKED, RANKED)))  # mean picture, by ranks: bone bright
    reflections: tuple[bool, ...] = (False, True)  # that are tried: (False,) where a mirror image cannot be told

    @classmethod
    def of_landmarks(cls, points: np.ndarray, margins: np.ndarray, of_either: bool = False) -> "ShapeTemplate":
        """That of upright annotations (N, L, 2) px of any radiographs; a landmark that none has counts as in the middle.

        `of_either`: radiographs of both sides, of which the template is one's.
        """
        if of_either:
            points = np.where(of_the_other_side(points)[:, None, None], points * (-1, 1), points)
        with warnings.catch_warnings(action="ignore", category=RuntimeWarning):  # of a landmark that is always missing
            mean = np.nanmean(normalise(points), 0)
        return cls(np.nan_to_num(normalise(mean)), margins, reflections=(False, True) if of_either else (False,))

    def found(self, points: np.ndarray, mirrored: bool = False) -> "Found":
        """Landmarks (L, 2) px of a picture, NaN where missing, as if they had been found there; the frame holds them all."""
        present = np.isfinite(points).all(1)
        placement = fit(self.shape[present], points[present], np.ones(present.sum()), mirrored)
        shape = placement.undo(points)
        corners = np.stack([self.frame(shape), self.around(np.where(np.isfinite(shape), shape, self.shape))])
        return Found(placement, np.stack([corners[:, 0].min(0), corners[:, 1].max(0)]))

    def shows_other_side(self, points: np.ndarray) -> bool:
        """Whether annotations (L, 2) px, NaN where missing, are far more like the mirror image, where both sides are shown."""
        present = np.isfinite(points).all(1)
        if len(self.reflections) < 2 or present.sum() < 3:  # two are their own mirror image
            return False
        shape, points = self.shape[present], points[present]
        placed = (fit(shape, points, np.ones(len(points)), mirrored).apply(shape) for mirrored in (False, True))
        as_is, turned = (((one - points) ** 2).sum() for one in placed)
        return bool(turned < OTHER_SIDE**2 * as_is)

    def frame(self, points: np.ndarray | None = None) -> np.ndarray:
        """Top left and bottom right corner (2, 2) of a picture that shows landmarks (L, 2) as training radiographs do.

        All in shape units. Missing landmarks are NaN, and count where the mean shape has them, as all do with no points. No
        side gets much shorter or longer than it then is.
        """
        usual = self.around(self.shape)
        if points is None:
            return usual
        xp = arrays.of(points)
        low, high = self.around(xp.where(xp.isfinite(points), points, self.shape))
        middle, usual_side = (low + high) / 2, usual[1] - usual[0]
        side = xp.minimum(xp.maximum(high - low, LEAST_SIDE * usual_side), MOST_SIDE * usual_side)
        return xp.stack([middle - side / 2, middle + side / 2])

    def around(self, points: np.ndarray) -> np.ndarray:
        xp = arrays.of(points)
        low, high = xp.amin(points, 0), xp.amax(points, 0)
        sides = extent(low, high)
        return xp.stack([low - self.margins[0] * sides, high + self.margins[1] * sides])


def extent(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Width and height (..., 2) of what lies between corners (..., 2), that margins are parts of."""
    sides = high - low
    xp = arrays.of(sides)
    return xp.maximum(sides, NARROWEST * xp.amax(sides, -1)[..., None])


@dataclass(frozen=True)
class Found:
    """A hand in a picture."""

    placement: Placement
    frame: np.ndarray  # (2, 2) in shape units: what the accurate network is to see of it

    def view(self, shown: tuple[int, int] | None = None) -> View:
        """The view of the picture that shows the frame in (height, width) px; none: as many as the picture has there."""
        (left, top), (right, bottom) = self.frame
        corners = arrays.of(left).stack([left, top, right, top, left, bottom]).reshape(3, 2)
        own = abs(self.placement.turn) * (self.frame[1] - self.frame[0])
        extent = shown[::-1] if shown else tuple(max(1, round(side)) for side in own)
        return View.of_corners(self.placement.apply(corners), extent)


def ranks(picture: np.ndarray) -> np.ndarray:
    """(height, width) -> (RANKED, RANKED) in [-1, 1]: which share of the picture is darker."""
    xp = arrays.of(picture)
    for axis in (0, 1):  # a side of less px than that is first drawn out
        times = -(-RANKED // picture.shape[axis])
        picture = picture.repeat(times, axis) if xp is np else picture.repeat_interleave(times, axis)
    rows, columns = (side // RANKED for side in picture.shape)
    small = picture[: rows * RANKED, : columns * RANKED].reshape(RANKED, rows, RANKED, columns).mean((1, 3)).reshape(-1)
    below, up_to = ((small < small[:, None]).sum(1), (small <= small[:, None]).sum(1))
    return ((below + up_to) / len(small) - 1).reshape(RANKED, RANKED)
