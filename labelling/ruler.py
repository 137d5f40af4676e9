"""A known length in a radiograph, as of a ruler or a marker ball, whose ends a person clicked: it says how large a pixel is."""

from typing import NamedTuple

import numpy as np

from labelling.marks import coordinate
from radiographs.pixel_size import LEAST, MOST, Size
from runtime.files import DataError

LEAST_PX = 10.0  # between the ends: nearer ones say little of a pixel


class Ruler(NamedTuple):
    ends: tuple[Size, Size]  # (x, y) px of the radiograph
    mm: float  # between them

    def pixel_mm(self, own: Size | None) -> Size:
        """(x, y) mm a pixel; what else is known of them, `own`, tells their form: they are square where it is None."""
        form = np.array(own or (1.0, 1.0))
        x, y = form * self.mm / np.linalg.norm(np.subtract(*self.ends) * form)
        return float(x), float(y)

    def as_json(self) -> dict:
        return {"ends": [list(end) for end in self.ends], "mm": self.mm}


def ruler_from(said: object) -> Ruler | None:
    """The inverse of `as_json`; None for {}, which takes one away. Raises DataError."""
    if said == {}:
        return None
    ends = said.get("ends") if isinstance(said, dict) else None
    if not isinstance(ends, list) or len(ends) != 2 or not all(isinstance(end, list) and len(end) == 2 for end in ends):
        raise DataError(f"expected the two ends of a known length, found {str(said)[:80]!r}")
    first, second = (tuple(map(coordinate, end)) for end in ends)
    if not coordinate(said.get("mm")) > 0:
        raise DataError(f"expected a size in mm above 0, found {said['mm']!r}")
    length = float(np.linalg.norm(np.subtract(first, second)))
    if length < LEAST_PX:
        raise DataError(f"expected ends that are {LEAST_PX:g} px apart or more, found {length:.3g} px; click the other end")
    if not LEAST <= said["mm"] / length <= MOST:
        found = f"{said['mm'] / length:.3g}, {said['mm']:g} mm over {length:.4g} px"
        raise DataError(f"expected {LEAST:g} to {MOST:g} mm a pixel, found {found}; correct the size")
    return Ruler((first, second), float(said["mm"]))
