"""A place in a picture where a hand may lie, and how it is shown to the network there."""

import math
from dataclasses import dataclass, field

import numpy as np

from finder.template import Found
from prediction.background import bright_background, darken_background
from radiographs.network_frame import resize_to
from radiographs.view import View, sample
from runtime import arrays

UPRIGHT = 15  # degrees, up to which a hand is called so
MOST_TURNED, MOST_ENLARGED, MOST_MOVED = 12, 0.15, 0.06  # degrees, logarithm, parts of a side: what training shows, and a little
OFF = 0.15  # shape units, by which corners of a view may be off
SAME = 0.5  # shape units between the middles of two hands below which they are one, found twice


@dataclass
class Candidate:
    """A hand in one of the pictures, and what the network says of it."""

    picture: int
    view: View
    found: Found | None  # none: all of the picture, taken as upright
    alone: bool = True  # in its picture
    negative: bool | None = None  # whether dark bone is to be made bright; none: not known yet
    darkened: bool = False  # with its bright background made dark
    bright: bool = False  # whether there is one
    outlined: bool = True
    points_view_px: np.ndarray = field(default_factory=lambda: np.empty(0))  # (L, 2)
    confidence: np.ndarray = field(default_factory=lambda: np.empty(0))  # (L,)
    covariances_view_px2: np.ndarray = field(default_factory=lambda: np.empty(0))  # (L, 2, 2)
    evidence: float = 0.0  # of the joint, once the network has run for the last time

    @property
    def points_px(self) -> np.ndarray:
        return self.view.to_picture(self.points_view_px)

    @property
    def mirrored(self) -> bool:
        return self.found is not None and self.found.placement.mirrored

    @property
    def orientation(self) -> str:
        """How the hand lies in the picture."""
        turned = round(self.found.placement.degrees) if self.found else 0
        parts = [f"turned by {turned} degrees"] if abs(turned) > UPRIGHT else []
        return ", ".join(parts + ["mirrored"] * self.mirrored + ["inverted"] * bool(self.negative)) or "upright"

    def cut(self, pixels: np.ndarray, frame: tuple[int, int]) -> np.ndarray:
        """Its view of a picture, as it is, in a frame (height, width); all of a picture as data_preprocessing.py resizes it."""
        view = self.view.resized(frame[::-1])
        whole = View.whole(pixels.shape, self.view.extent[::-1])
        return resize_to(pixels, frame) if is_same(self.view, whole) else sample(pixels, view)

    def as_seen(self, framed: np.ndarray) -> np.ndarray:
        """A view with dark bone made bright, and a bright background dark, where that is asked for."""
        if self.negative:
            framed = framed.max() + framed.min() - framed
        background = bright_background(framed)
        self.bright = bool(background.any())
        return darken_background(framed, background) if self.darkened else framed

    def same(self, others: list["Candidate"]) -> bool:
        """Whether this hand is one of some others."""
        at, unit = self.points_px.mean(0), abs(self.found.placement.turn)
        return any(
            np.hypot(*(at - other.points_px.mean(0))) < SAME * max(unit, abs(other.found.placement.turn)) for other in others
        )


def is_same(view: View, other: View) -> bool:
    return (view.matrix == other.matrix).all() & (view.shift == other.shift).all()


def is_off(view: View, better: View, found: Found) -> bool:
    """Whether the corners of a hand's view lie so far from those of a better one that it is looked at again."""
    corners = arrays.like(view.matrix, [[0, 0], [1, 0], [0, 1], [1, 1]]) * arrays.like(view.matrix, view.extent) - 0.5
    moved = arrays.of(view.matrix).linalg.norm(better.to_picture(corners) - view.to_picture(corners), None, 1)
    return moved.max() >= abs(found.placement.turn) * OFF


def usual(view: View, whole: View) -> bool:
    """Whether a hand's own view differs from all of its picture by no more than training turns, enlarges and moves."""
    (a, b), (c, d) = view.matrix
    middle = (arrays.like(a, whole.extent) - 1) / 2
    moved = (view.to_picture(middle) - whole.to_picture(middle)) / whole.sides  # all of a picture is not turned
    enlarged = arrays.of(a).log(view.sides / whole.sides)
    return (
        (a * d > b * c)
        & (abs(c) <= a * math.tan(math.radians(MOST_TURNED)))
        & (abs(enlarged) <= MOST_ENLARGED).all()
        & (abs(moved) <= MOST_MOVED).all()
    )
