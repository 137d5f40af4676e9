"""A hand while its bones are drawn, whatever its age: its landmarks, its size, how stout and how strong its bones are.

Where the landmarks sit: MCP, on the middle of the proximal phalanx's base; PIP and DIP, in the notch of the head just
below the joint; tips, on the end of the tuft; metacarpal bases and the thumb's carpometacarpal joint, on the middle of
the base; those of the wrist: `phantom/wrist.py`. Points are (37, 3): (x, y) px, and the height over the film px, 0 where nothing
is bent. All sizes are given in px at hand scale 1, where the middle finger's tip is 732 px from its metacarpal base.
"""

import tomllib
from pathlib import Path

import numpy as np

from joints.hand import FINGERS, RAYS
from phantom.bones import Maps, Slab, draw_blob, oval

TABLES = tomllib.loads(Path(__file__).with_name("bones.toml").read_text())
KNOTS = np.array(TABLES["knots"])
BONES = dict.fromkeys(FINGERS, ("metacarpal", "proximal", "middle", "distal"))
BONES["thumb"] = ("thumb metacarpal", "thumb proximal", "thumb distal")
TUFT = np.linspace(1.05, 0.6, len(KNOTS)), np.linspace(1, 0.55, len(KNOTS))  # factors on a distal phalanx's depth and marrow


def hand_scale(points: np.ndarray) -> float:
    """Size of a hand (37, 3), as if its middle finger were not bent."""
    if not points[:, 2].any():
        return np.hypot(*(points[28] - points[15])[:2]) / 732
    return np.linalg.norm(np.diff(points[list(FINGERS["middle"])], axis=0), axis=1).sum() / 732


class Hand:
    """What hands of all ages have in common; each says which bones there are (`draw`) and how one is drawn (`draw_bone`)."""

    age: str  # whose bones the tables describe
    build_of: tuple[float, float]  # mean and standard deviation of `build`, a factor on widths
    strength_of: tuple[float, float]  # least and largest `strong`, a factor on compact bone
    knuckle: float  # px, from a metacarpal's head to the MCP joint
    gap: float  # px, from another head to the next bone

    def __init__(self, maps: Maps, points: np.ndarray, maturity: float, rng: np.random.Generator):
        self.maps, self.solid, self.points, self.maturity, self.rng = maps, points, points[:, :2], maturity, rng
        self.scale = hand_scale(points)
        self.build, self.strong = rng.normal(*self.build_of), rng.uniform(*self.strength_of) * self.scale

    def draw_ray(self, finger: str) -> None:
        """A metacarpal and its phalanges, from the landmarks at their bases and heads."""
        ray = list(RAYS[finger])
        steps = np.diff(self.solid[ray], axis=0)
        seen = np.hypot(steps[:, 0], steps[:, 1])
        along, flat = steps[:, :2] / seen[:, None], seen / np.linalg.norm(steps, axis=1)
        bases, heads = self.points[ray[:-1]], self.points[ray[1:]]
        heads[0] -= (0.7 if finger == "thumb" else 1.0) * self.knuckle * along[0]
        bases[2:] += self.gap * flat[2:, None] * along[2:]
        looks = TABLES["looks"][finger]
        for k, kind in enumerate(BONES[finger]):
            skew = self.rng.normal(*looks["skews"][k]) if k < len(looks["skews"]) else 0.0
            wide = self.build * self.rng.normal(1, 0.03) * looks["widths"][k]
            name = kind if finger == "thumb" else f"{finger} {kind}"
            self.draw_bone(kind, name, bases[k], heads[k], wide, skew, flat[k])

    def long_bone(self, kind: str, name: str, base: np.ndarray, head: np.ndarray, wide: float, skew: float, flat: float) -> Slab:
        """A phalanx or metacarpal from its base to its head, (x, y) px.

        `wide` is a factor on its width; `skew` makes its right side wider; `flat` is its length on the film over its true one,
        less than 1 where the finger is bent.
        """
        rng, length, of_age = self.rng, np.hypot(*(head - base)), TABLES[self.age]
        table, distal = of_age[kind], kind.endswith("distal")
        widths = np.array(table["widths"]) * (length / flat) * wide * (1 + rng.normal(0, 0.03, len(KNOTS)))
        tilt = rng.normal(0, 0.015) * length
        low, high = np.array([table["base"], table["head"]]) * length
        depth = table["depth"] * rng.normal(1, 0.05) * min(1 / flat, 1.8)
        bend, density = rng.normal(0, 0.006) * length, np.array(of_age["spongy"]) * rng.uniform(0.85, 1.1)
        end_cortex, dense = rng.uniform(1.4, 2.2) * self.strong**0.5, self.strong * np.array(table["plates"])
        # seen from its end: less waisted and rounder the less of its length the film shows
        widths = flat * widths + (1 - flat) * 0.9 * widths.max()
        bulge = 0.35 * np.sqrt(max(1 - flat * flat, 0.0)) * widths.mean()
        return Slab(
            name, base, head, KNOTS * length, widths * (1 - skew), widths * (1 + skew),
            lower=(-bulge, tilt, flat * low[0] + 1.6 * bulge, flat * low[1]),
            upper=(length + bulge, -0.6 * tilt, flat * high[0] - 1.6 * bulge, flat * high[1]),
            depth=depth * TUFT[0] if distal else depth, spongy=density * TUFT[1] if distal else density,
            cortex=np.minimum(np.array(of_age["cortex"]) * (self.strong * table["cortex"]), 0.6 * widths),
            end_cortex=end_cortex, plates=(dense[0] * rng.uniform(0.6, 1.4), dense[1]), bend=bend,
        )  # fmt: skip

    def draw_pebble(self, name: str, centre: np.ndarray, radius: float) -> None:
        """A small round bone."""
        draw_blob(self.maps, name, oval(centre, radius * np.eye(2), self.rng), 0.8 * radius, radius, 1.2)
