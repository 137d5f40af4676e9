"""Hands of adults and of old people: closed plates, narrow joints, spurs, dense joint lines, erosions, thin bone."""

import numpy as np

from joints.hand import FINGERS, THUMB
from phantom.anatomy import ChildsHand
from phantom.bones import axes_of, draw_blob, smooth_outline, unit
from phantom.hand import TABLES
from phantom.pose import pose
from phantom.shape import turn

# Of joints the landmark before them, at them and after them, the bone before them, and how often they are worn beside others
JOINTS = [
    *((pip, dip, tip, "middle", 1.0) for _, _, pip, dip, tip in FINGERS.values()),
    *((mcp, pip, dip, "proximal", 0.7) for _, mcp, pip, dip, _ in FINGERS.values()),
    *((carpal, mcp, pip, "metacarpal", 0.35) for carpal, mcp, pip, _, _ in FINGERS.values()),
    (*THUMB[1:], "thumb proximal", 0.8),
    (*THUMB[:3], "thumb metacarpal", 0.5),
]
# Joint, the landmark before it: how often there is a sesamoid
SESAMOIDS = {(21, 16): 0.35, (33, 13): 0.45, (19, 18): 0.3, (18, 17): 0.8}
ERODED = [*range(6, 20), 21, 22, 23, 25, 26, 27, 29, 30, 31, 33, 34, 35]


def grown_maturity(shape: np.ndarray, rng: np.random.Generator) -> float:
    """More than 1: joints narrower than when growth ends."""
    return rng.uniform(1.0, 1.2)


def grown_pose(body: np.ndarray, rng: np.random.Generator) -> None:
    """As `pose`; in some hands the fingers lean to the little finger's side or are crooked at their last joints."""
    pose(body, rng)
    drift = rng.uniform(3, 14) * (rng.random() < 0.25)
    crooked = rng.uniform(2, 8) * (rng.random() < 0.4)
    for _, mcp, pip, dip, tip in FINGERS.values():
        turn(body, mcp, tip, -drift)
        turn(body, pip, tip, rng.normal(0, 0.5) * crooked)
        turn(body, dip, tip, rng.normal(0, 1) * crooked)


class GrownHand(ChildsHand):
    """A hand with what use and age do to its bones, while they are drawn."""

    def draw(self) -> None:
        super().draw()
        points, rng = self.points, self.rng
        age = rng.beta(1.0, 1.1)  # 0: young adult, 1: old
        self.maps.cortex *= 1 - 0.5 * age * rng.uniform(0.4, 1)
        self.maps.marrow *= 1 - 0.45 * age * rng.uniform(0.2, 1)
        worn = age * rng.uniform(0.1, 1)
        for *sites, kind, often in JOINTS:
            self.wear_joint(points[sites], kind, worn * often)
        self.wear_thumb_base(worn)
        for (site, before), often in SESAMOIDS.items():
            if rng.random() < often:
                along, across = axes_of(points[before], points[site])
                aside = rng.uniform(2, 16) * (1 if site == 33 else -1) * across - rng.uniform(4, 16) * along
                self.draw_pebble("sesamoid", points[site] + self.scale * aside, self.scale * rng.uniform(5, 9))
        for _ in range(rng.poisson(4 * worn)):
            self.erode(points[rng.choice(ERODED)] + self.scale * rng.normal(0, 14, 2), self.scale * rng.uniform(4, 10))

    def wear_joint(self, sites: np.ndarray, kind: str, worn: float) -> None:
        """Spurs at both sides of a joint and a dense line in it; sites (3, 2) px: the landmarks before it, at it and after it."""
        rng, scale, (before, joint, after) = self.rng, self.scale, sites
        along, across = axes_of(before, after)
        half = TABLES["child"][kind]["widths"][-2] * np.hypot(*(joint - before)) * rng.uniform(1.05, 1.25)
        for side in (-1, 1):
            for beyond in (-1, 1):  # on the head and on the base
                if rng.random() < 0.8 * worn:
                    corner = joint + side * half * across + beyond * scale * rng.uniform(2, 8) * along
                    self.draw_spur(corner, unit(side * across - 0.4 * beyond * along), scale * rng.uniform(5, 15))
        if rng.random() < worn:
            line = np.array([-1, -0.4, 0.4, 1, 0.4, -0.4])[:, None] * half * across
            thick = scale * rng.uniform(2, 5) * np.array([0, -1, -1, 0, 1, 1])[:, None] * along
            outline = smooth_outline(joint + scale * rng.uniform(-3, 6) * along + line + thick, 24)
            draw_blob(self.maps, "dense joint line", outline, 9 * scale, 4 * scale, 2.5 * scale, 1.2)

    def wear_thumb_base(self, worn: float) -> None:
        """Spurs and loose bone around the thumb's carpometacarpal joint."""
        rng, scale, (base, head) = self.rng, self.scale, self.points[17:19]
        along = unit(head - base)
        across = np.array([along[1], -along[0]])
        half = TABLES["child"]["thumb metacarpal"]["widths"][1] * np.hypot(*(head - base))
        for side in (-1, 1):
            if rng.random() < worn:
                corner = base + side * half * across
                self.draw_spur(corner, unit(side * across - 0.5 * along), scale * rng.uniform(8, 22))
        if rng.random() < 0.3 * worn:
            self.draw_pebble("loose bone", base - half * across + scale * rng.normal(0, 8, 2), scale * rng.uniform(4, 9))

    def draw_spur(self, base: np.ndarray, towards: np.ndarray, length: float) -> None:
        """A pointed growth of bone `length` px from `base`, with its foot in the bone."""
        aside = np.array([-towards[1], towards[0]]) * self.rng.uniform(0.35, 0.6)
        form = np.outer([-0.6, 0.3, 0.8, 0.3, -0.6], towards) + np.outer([1, 0.5, 0, -0.5, -1], aside)
        draw_blob(self.maps, "spur", smooth_outline(base + length * form, 20), 0.5 * length, 0.5 * length, 0.2 * length)

    def erode(self, centre: np.ndarray, radius: float) -> None:
        """A small hole px wide in the bone beside a joint or in the wrist."""
        box = self.maps.box(centre - 2 * radius, centre + 2 * radius)
        y, x = np.ogrid[box]
        left = 1 - self.rng.uniform(0.4, 0.9) * np.exp(-((np.hypot(x - centre[0], y - centre[1]) / radius) ** 4))
        self.maps.cortex[box] *= left
        self.maps.marrow[box] *= left
