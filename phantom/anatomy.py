"""The bones of a hand from about six years on; its maturity runs from 0 to 1 (grown up)."""

from dataclasses import replace

import numpy as np

from phantom.bones import Maps, Slab, axes_of, draw_slab
from phantom.hand import BONES, TABLES, Hand
from phantom.wrist import draw_forearm, draw_wrist


class ChildsHand(Hand):
    """A hand whose growth plates close one after the other."""

    age, build_of, strength_of = "child", (1.06, 0.05), (0.75, 1.25)

    def __init__(self, maps: Maps, points: np.ndarray, maturity: float, rng: np.random.Generator):
        super().__init__(maps, points, maturity, rng)
        self.gap = self.scale * (2.4 + 8.0 * (1 - maturity)) * rng.uniform(0.75, 1.2)
        self.knuckle = self.scale * (5.5 + 11.0 * (1 - maturity)) * rng.uniform(0.85, 1.15)

    def draw(self) -> None:
        """Add every bone to the maps."""
        for finger in BONES:
            self.draw_ray(finger)
        draw_wrist(self)
        draw_forearm(self)
        if self.rng.random() < (self.maturity - 0.35) * 1.3:  # sesamoids of the thumb, on its ulnar side
            along, across = axes_of(self.points[17], self.points[18])  # across: away from the index finger
            for _ in range(self.rng.integers(1, 3)):
                aside = -self.rng.uniform(22, 32) * across + self.rng.uniform(-22, -6) * along
                self.draw_pebble("sesamoid", self.points[18] + self.scale * aside, self.scale * self.rng.uniform(6, 10))

    def draw_bone(self, kind: str, *bone) -> None:
        """`long_bone`, in two pieces while its growth plate is open."""
        slab = self.long_bone(kind, *bone)
        closing = TABLES["child"][kind]["closes"] + self.rng.normal(0, 0.02) - self.maturity
        for piece in self.shaft_and_epiphysis(slab, kind, closing) if closing > 0 else [slab]:
            draw_slab(self.maps, piece)

    def shaft_and_epiphysis(self, slab: Slab, kind: str, closing: float) -> tuple[Slab, Slab]:
        """The two pieces of a long bone that is still to grow; `closing` is the maturity that it lacks until its plate closes."""
        rng, maturity, table, length = self.rng, self.maturity, TABLES["child"][kind], slab.knots[-1]
        plate = length / table["gap"] * (1.0 + 4.0 * min(closing, 0.6)) * rng.uniform(0.7, 1.3)
        thick = table["epiphysis"] * length * (0.6 + 0.5 * min(maturity / 0.7, 1)) * rng.normal(1, 0.12)
        narrow = 0.68 + 0.36 * min(maturity / 0.6, 1) + rng.normal(0, 0.03)  # the epiphysis against the shaft
        wave, _ = rng.normal(0, 0.012, 2) * length
        cap = replace(slab, left=slab.left * narrow, right=slab.right * narrow, rounding=0.6, cortex=1.6)
        at_base, at_head = slab.plates
        if kind == "metacarpal":  # its plate is at the head
            top = length - thick
            lower, upper = (top, wave, 0.012 * length, 0.01 * length), (top - plate, wave, 0.002 * length, 0.0)
            cap = replace(cap, lower=lower, plates=(3 * self.strong, at_head), spongy=1.0, end_cortex=0.8 * slab.end_cortex)
            return replace(slab, upper=upper, plates=(at_base, 4 * self.strong)), cap
        shaft = replace(slab, lower=(thick + plate, wave, 0.0, -0.004 * length), plates=(3 * self.strong, at_head))
        cap = replace(cap, upper=(thick, wave, -0.006 * length, -0.01 * length), plates=(at_base, self.strong), spongy=0.85)
        if kind in ("middle", "distal", "thumb distal"):
            cap = replace(cap, lower=(0.0, slab.lower[1], slab.lower[2] * 0.8, slab.lower[3]))
        return shaft, cap
