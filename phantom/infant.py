"""Hands of the first three years of life: shape, what is ossified, stout shafts with wide gaps between them, thick soft tissue.

Maturity runs from -1 (newborn) to -0.5 (three years), below that of the atlas's children. Landmarks of what is not ossified yet
lie where it will be. The proportions were read off published radiographs by eye.
"""

from itertools import pairwise

import numpy as np

from joints.hand import FINGERS, RAYS
from phantom.bones import Maps, draw_blob, draw_slab, oval, smooth_outline, unit
from phantom.hand import BONES, TABLES, Hand
from phantom.pose import adduct_thumb, flex, spread
from phantom.shape import ShapeModel, sample
from phantom.soft_tissue import PARTS, Tissue, cones_of, melt
from phantom.wrist import draw_forearm_shaft, forearm_direction

STOUT = {"finger": 1.36, "fingertip": 1.32, "palm": 1.3, "web": 1.3, "wrist": 1.12, "forearm": 1.12}  # factors on the widths of
# the soft tissue


def infant_shape(model: ShapeModel, rng: np.random.Generator) -> np.ndarray:
    """A shape (37, 2) of the atlas with an infant's proportions: a wide palm, a long carpus of cartilage, short phalanges."""
    shape = sample(model, rng)
    old = shape - shape[15]
    new = old.copy()
    wide, carpus = rng.normal(1.22, 0.05), rng.normal(1.27, 0.06)
    new[:13, 0] *= wide
    new[9, 0] *= 1.25  # the hamate's centre lies further from the capitate's
    new[[0, 2, 3, 4], 1] *= carpus
    for styloid, corners in {1: [0, 2], 5: [3, 4]}.items():  # the epiphysis is low yet
        plate = old[corners, 1].mean()
        new[styloid, 1] = carpus * plate + 0.85 * (old[styloid, 1] - plate)
    new[[6, 7, 8], 1] *= 1 + 0.5 * (carpus - 1)
    new[[11, 12], 1] *= 0.75
    new[[13, 14, 16], 0] *= rng.normal(1.38, 0.06)
    new[17] *= (rng.normal(1.38, 0.06), 0.15)
    new[[21, 25, 29, 33], 0] *= rng.normal(1.2, 0.04)
    for name, ray in RAYS.items():
        chain, lengths = (ray, (0.95, 0.92, 1.10)) if name == "thumb" else (ray[1:], (0.90, 1.07, 1.16))
        for length, (near, far) in zip(lengths, pairwise(chain)):
            new[far] = new[near] + length * rng.normal(1, 0.03) * (old[far] - old[near])
    return new + shape[15]


def infant_maturity(shape: np.ndarray, rng: np.random.Generator) -> float:
    """-1 (newborn) to -0.5 (three years)."""
    return -1 + 0.5 * rng.beta(0.65, 1.15)


def infant_pose(body: np.ndarray, rng: np.random.Generator) -> None:
    """Fingers spread unevenly and often bent a little, the thumb often along the palm's edge."""
    spread(body, rng.choice([rng.uniform(-5, 0), rng.uniform(0, 7)]), rng)
    bent = rng.choice([0.0, 0.5, 1.0], p=(0.45, 0.35, 0.2))
    roll = rng.normal(0, 20)
    for ray in FINGERS.values():
        flex(body, ray, bent * rng.uniform(0.4, 1) * rng.uniform(0, (40, 55, 30)), roll + rng.normal(0, 20))
    if rng.random() < 0.45:
        adduct_thumb(body, rng.uniform(5, 38), rng)


class InfantHand(Hand):
    """An infant's hand while its bones are drawn; a maturity below 0 tells its age in years."""

    age, build_of, strength_of = "infant", (1.0, 0.07), (0.6, 1.1)

    def __init__(self, maps: Maps, points: np.ndarray, maturity: float, rng: np.random.Generator):
        super().__init__(maps, points, maturity, rng)
        self.years = (maturity + 1) * 6
        grown = min(self.years / 3, 1)
        self.knuckle = self.scale * (108 - 36 * grown) * rng.uniform(0.9, 1.1)
        self.gap = self.scale * (40 - 16 * grown) * rng.uniform(0.9, 1.1)
        self.late = rng.uniform(0, 1)  # whether bone appears early or late in this hand

    def draw(self) -> None:
        """Add every bone to the maps: shafts, and of the wrist and the epiphyses those centres that are ossified."""
        for finger in BONES:
            self.draw_ray(finger)
        up = unit(self.points[15] - self.points[10])
        for name, bone in TABLES["carpals"].items():
            if (years := self.ossified(bone)) > 0:  # the landmark is on the proximal edge
                radius = self.scale * bone["radius"] * (1 - 0.8 * np.exp(-years / 1.6)) * self.rng.normal(1, 0.06)
                tall = bone["form"] * radius
                self.draw_disc(name, self.points[bone["landmark"]] + tall * up, up, 0.88 * radius, tall)
        down = unit(forearm_direction(self.points) + self.rng.normal(0, 0.05, 2))
        for name in TABLES["forearm"]:
            draw_forearm_shaft(self, name, down)
        if (years := self.ossified(TABLES["forearm"]["radius"])) > 0:
            self.draw_radius_epiphysis(years)

    def ossified(self, bone: dict) -> float:
        """Years since a bone or its epiphysis appeared, negative before."""
        first, last = bone.get("onset", (9, 9))  # not in the first years
        return self.years - first - (last - first) * np.clip(self.late + self.rng.normal(0, 0.2), 0, 1)

    def draw_bone(self, kind: str, name: str, base: np.ndarray, head: np.ndarray, wide: float, skew: float, flat: float) -> None:
        """A shaft, and its epiphysis: at the head of a finger's metacarpal, else at the base."""
        along, size, years = unit(head - base), self.scale * flat, self.ossified(TABLES["infant"][kind])
        cleft = size * self.rng.uniform(5, 9)
        thick = size * min(5 + 5 * years, 16)
        if years > 0 and kind in ("proximal", "thumb proximal", "thumb metacarpal"):  # the landmark is the epiphysis's base
            base = base + (thick + cleft) * along
        shaft = self.long_bone(kind, name, base, head, wide, skew, flat)
        draw_slab(self.maps, shaft)
        if years > 0 and kind == "metacarpal":
            radius = self.scale * min(7 + 9 * years, 26) * self.rng.normal(1, 0.08)
            self.draw_disc(name, head + (radius + cleft) * along, along, 1.15 * radius, radius)
        elif years > 0:
            half = shaft.left[0] * min(0.3 + 0.25 * years, 0.85)
            self.draw_disc(name, base - (cleft + thick / 2) * along, along, half, thick / 2)

    def draw_disc(self, name: str, centre: np.ndarray, along: np.ndarray, half_width: float, half_thickness: float) -> None:
        """A centre of ossification: an ellipse px across and along an axis."""
        axes = np.array([[-half_width * along[1], half_width * along[0]], half_thickness * along])
        small = min(half_width, half_thickness)
        compact = min(1.3 * self.scale, 0.3 * small)
        draw_blob(self.maps, name, oval(centre, axes, self.rng), 0.8 * small + 0.3 * half_width, small, compact, 0.85)

    def draw_radius_epiphysis(self, years: float) -> None:
        """A flat wedge over the radius's growth plate, thicker towards the styloid's landmark, which it reaches as it grows."""
        inner, outer, styloid = self.points[[3, 4, 5]]
        across, grown = outer - inner, min(0.3 + 0.3 * years, 1.0)
        up = unit(styloid - (inner + 0.95 * across))
        plate = self.scale * self.rng.uniform(8, 13)
        tall = grown * ((styloid - outer) @ up - plate)
        middle = inner + (0.62 - 0.1 * grown) * across + plate * up
        form = np.array([(-1, 0.25), (-0.6, 0), (0.5, 0), (1, 0.2), (1, 0.8), (0.72, 1), (0, 0.85), (-0.6, 0.6)])
        outline = smooth_outline(middle + form @ np.array([0.46 * grown * across, tall * up]))
        thick, compact = 0.4 * tall, min(1.5 * self.scale, 0.12 * tall)
        draw_blob(self.maps, "radius epiphysis", outline, thick + 8 * self.scale, thick, compact, 0.85)


def infant_tissue(points: np.ndarray, shape: tuple[int, int], rng: np.random.Generator) -> Tissue:
    """As `soft_tissue`, thick, with creases at the wrist and at the fingers' joints."""
    cones, reach, scale = cones_of(points, shape[0], rng)
    wide = np.array([STOUT[part] for part in PARTS], np.float32) * np.float32(rng.uniform(0.92, 1.1))
    tips = PARTS == "fingertip"  # they stay where they are
    axis = cones[tips, 2:4] - cones[tips, :2]
    back = (wide[tips] - 1) * cones[tips, 5] / np.linalg.norm(axis, axis=1).clip(1)
    cones[tips, 2:4] -= np.minimum(back, 0.8)[:, None] * axis
    cones[:, 4:6] *= wide[:, None]
    cones[:, 6:8] *= np.sqrt(wide)[:, None]
    soft, depth = melt(cones, reach, scale, shape, rng)
    for _ in range(rng.integers(0, 3)):
        crease(soft, *points[[6, 8], :2], rng)
    for mcp in (21, 25, 29, 33):
        if rng.random() < 0.5:
            along = (points[mcp + 1] - points[mcp])[:2]
            middle = points[mcp, :2] + rng.choice([0.45, 1.0]) * along
            across = 0.3 * np.array([-along[1], along[0]])
            crease(soft, middle - across, middle + across, rng)
    return soft, depth


def crease(soft: np.ndarray, start: np.ndarray, end: np.ndarray, rng: np.random.Generator) -> None:
    """A fold of the skin from start to end, (x, y) px, and a little beyond: less path px in it and more beside it, in place."""
    length = np.hypot(*(end - start))
    along = (end - start) / length
    y, x = np.ogrid[: soft.shape[0], : soft.shape[1]]
    x, y = x - np.float32(start[0]), y - np.float32(start[1])
    u = (x * along[0] + y * along[1]) / length - 0.5
    v = (y * along[0] - x * along[1]) / (0.05 * length) - rng.normal(0, 4) * u * u + rng.normal(0, 1.5)
    strength = rng.uniform(0.02, 0.08) * np.exp(-((u / 0.7) ** 4))
    soft *= 1 - strength * (np.exp(-(v**2)) - 0.6 * np.exp(-((v - 2) ** 2)))
