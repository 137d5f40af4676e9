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

    @property
    def length_px(self) -> float:
        return float(np.linalg.norm(np.subtract(*self.ends)))

    def pixel_mm(self, own: Size | None) -> Size:
        """(x, y) mm a pixel; what else is known of them, `own`, tells their form: they are square where it is None."""
        form = np.array(own or (1.0, 1.0))
        x, y = form * self.mm / np.linalg.norm(np.subtract(*self.ends) * form)
        return float(x), float(y)

    def check(self, own: Size | None) -> None:
        """Raises DataError where a pixel would be of a size that no table may hold."""
        for one in self.pixel_mm(own):
            if not LEAST <= one <= MOST:
                found = f"{one:.3g}, {self.mm:g} mm over {self.length_px:.4g} px"
                raise DataError(f"expected {LEAST:g} to {MOST:g} mm a pixel, found {found}; correct the size")

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
    ruler = Ruler((first, second), float(said["mm"]))
    if (length := ruler.length_px) < LEAST_PX:
        raise DataError(f"expected ends that are {LEAST_PX:g} px apart or more, found {length:.3g} px; click the other end")
    return ruler
