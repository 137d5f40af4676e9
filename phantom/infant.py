"""Hands of the first three years of life: shape, what is ossified, stout shafts with wide gaps between them, thick soft tissue.

Maturity runs from -1 (newborn) to -0.5 (three years), below that of the atlas's children. Landmarks of what is not ossified yet
lie where it will be. The proportions were read off published radiographs by eye.
"""

from itertools import pairwise

import numpy as np

from joints.hand import FINGERS, RAYS, THUMB
from phantom import shape as shapes
from phantom.anatomy import FOREARM, KNOTS, draw_forearm_shaft, forearm_direction, foreshortening, hand_scale, unit
from phantom.bending import adduct_thumb, flex, solid, spread
from phantom.bones import Blob, Maps, Slab, draw_blob, draw_slab, smooth_outline
from phantom.soft_tissue import cones_of, soft_tissue, stouter

# Half-widths over the shaft's length at KNOTS
SHAFTS = {
    "metacarpal": [0.100, 0.125, 0.125, 0.102, 0.088, 0.088, 0.102, 0.115, 0.122, 0.124],
    "thumb metacarpal": [0.200, 0.205, 0.190, 0.165, 0.155, 0.160, 0.185, 0.200, 0.195, 0.175],
    "proximal": [0.215, 0.200, 0.175, 0.147, 0.133, 0.128, 0.130, 0.138, 0.138, 0.125],
    "thumb proximal": [0.220, 0.210, 0.185, 0.145, 0.130, 0.130, 0.150, 0.165, 0.165, 0.145],
    "middle": [0.310, 0.285, 0.250, 0.205, 0.185, 0.178, 0.180, 0.185, 0.178, 0.160],
    "distal": [0.270, 0.240, 0.190, 0.145, 0.120, 0.110, 0.120, 0.145, 0.150, 0.110],
    "thumb distal": [0.240, 0.225, 0.185, 0.135, 0.110, 0.100, 0.110, 0.125, 0.120, 0.090],
}
CORTEX = np.array([0.25, 0.4, 0.6, 0.9, 1.0, 1.0, 0.8, 0.5, 0.35, 0.3])  # of the thickness at mid-shaft
FLAT, DOME = (0.012, 0.006), (0.06, 0.09)  # ends as parts of the length towards the middle, by q's square and fourth power
LENGTHS = {"finger": (0.90, 1.07, 1.16), "thumb": (0.95, 0.92, 1.10)}  # of the segments, over the atlas's
KNUCKLE_PX = 108.0, 72.0  # at hand scale 1, from a metacarpal's shaft to the MCP: newborn, three years
JOINT_PX = 40.0, 24.0  # from a head to the next shaft
ONSET = {  # age in years at which bone appears: earliest and latest
    "capitate": (0.1, 0.6), "hamate": (0.15, 0.8), "radius": (0.7, 1.4), "triquetrum": (1.3, 2.6), "lunate": (2.2, 4.0),
    "proximal": (0.8, 1.8), "metacarpal": (1.0, 2.2), "middle": (1.0, 2.3), "distal": (1.0, 2.5), "thumb metacarpal": (1.6, 2.8),
}  # fmt: skip
CARPALS = {"capitate": (10, 52.0), "hamate": (9, 46.0), "triquetrum": (6, 36.0), "lunate": (7, 34.0)}  # landmark, radius px
# at hand scale 1 towards which the ossified centre grows


def of_an_infant(shape: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A shape (37, 2) of the atlas with an infant's proportions: a wide palm, a long carpus of cartilage, short phalanges."""
    origin, old = shape[15], shape - shape[15]
    new = old.copy()
    wide, carpus = rng.normal(1.22, 0.05), rng.normal(1.27, 0.06)
    new[:13, 0] *= wide
    new[9, 0] *= 1.25  # the hamate's centre lies further from the capitate's
    corners = [0, 2, 3, 4]
    new[corners, 1] *= carpus
    for styloid, (low, high) in {1: (0, 2), 5: (3, 4)}.items():  # the epiphysis is low yet
        plate = 0.5 * (old[low, 1] + old[high, 1])
        new[styloid, 1] = carpus * plate + 0.85 * (old[styloid, 1] - plate)
    new[[6, 7, 8], 1] *= 1 + 0.5 * (carpus - 1)
    new[[11, 12], 1] *= 0.75
    new[[13, 14, 16], 0] *= rng.normal(1.38, 0.06)
    new[17] *= (rng.normal(1.38, 0.06), 0.15)
    knuckles = [sites[1] for sites in FINGERS.values()]
    new[knuckles, 0] *= rng.normal(1.2, 0.04)
    for name, ray in RAYS.items():
        if name == "thumb":
            factors = LENGTHS["thumb"]
            chain = list(ray)
        else:
            factors, chain = LENGTHS["finger"], list(ray[1:])
        for factor, (near, far) in zip(factors, pairwise(chain)):
            new[far] = new[near] + factor * rng.normal(1, 0.03) * (old[far] - old[near])
    return new + origin


def infant_shape(model: shapes.ShapeModel, rng: np.random.Generator) -> np.ndarray:
    return of_an_infant(shapes.sample(model, rng), rng)


def infant_maturity(shape: np.ndarray, rng: np.random.Generator) -> float:
    """-1 (newborn) to -0.5 (three years)."""
    return -1 + 0.5 * rng.beta(0.65, 1.15)


def infant_pose(shape: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A flat shape (37, 2) -> (37, 3): fingers spread unevenly and often bent a little, the thumb often along the palm's edge."""
    body = solid(shape)
    spread(body, rng.choice([rng.uniform(-5, 0), rng.uniform(0, 7)]), rng)
    bent = rng.choice([0.0, 0.5, 1.0], p=(0.45, 0.35, 0.2))
    roll = rng.normal(0, 20)
    for ray in FINGERS.values():
        degrees = bent * rng.uniform(0.4, 1) * np.array([rng.uniform(0, 40), rng.uniform(0, 55), rng.uniform(0, 30)])
        flex(body, ray, tuple(degrees), roll + rng.normal(0, 20))
    if rng.random() < 0.45:
        adduct_thumb(body, rng.uniform(5, 38), rng)
    return body


def draw_infant_bones(maps: Maps, points: np.ndarray, maturity: float, rng: np.random.Generator, draw_carpals=None) -> None:
    """As `draw_bones` of phantom.anatomy, for points (37, 2 or 3) px and a maturity below 0; `draw_carpals` is not asked."""
    hand = InfantHand(maps, points, (maturity + 1) * 6, rng)
    for finger, ray in FINGERS.items():
        hand.draw_ray(finger, ray)
    hand.draw_ray("thumb", THUMB)
    hand.draw_carpals()
    hand.draw_forearm()


class InfantHand:
    """One infant's hand while it is drawn: its age in years, its size, how stout and how strong its bones are."""

    def __init__(self, maps: Maps, points: np.ndarray, age: float, rng: np.random.Generator):
        self.maps, self.solid, self.points, self.age, self.rng = maps, points, points[:, :2], age, rng
        self.scale = hand_scale(points)
        self.build, self.strong = rng.normal(1.0, 0.07), rng.uniform(0.6, 1.1)
        grown = min(age / 3, 1)
        self.knuckle, self.joint = (
            self.scale * (young + grown * (old - young)) * rng.uniform(0.9, 1.1) for young, old in (KNUCKLE_PX, JOINT_PX)
        )
        self.late = rng.uniform(0, 1)  # whether bone appears early or late in this hand

    def ossified(self, name: str) -> float:
        """Years since the bone or the epiphysis appeared, negative before."""
        first, last = ONSET[name]
        return self.age - first - (last - first) * np.clip(self.late + self.rng.normal(0, 0.2), 0, 1)

    def draw_ray(self, finger: str, ray: tuple[int, ...]) -> None:
        """A metacarpal and its phalanges, from the landmarks at their bases and heads."""
        sites = self.points[list(ray)]
        flat = [foreshortening(self.solid, near, far) for near, far in pairwise(ray)]
        thumb = "thumb " if finger == "thumb" else ""
        wide = {"little": 1.08, "thumb": 0.95}.get(finger, 1.0)
        along = unit(sites[1] - sites[0])
        head = sites[1] - (0.7 if thumb else 1.0) * self.knuckle * along
        self.draw_metacarpal(f"{finger} metacarpal", thumb, sites[0], head, wide)
        kinds = ("proximal", "distal") if thumb else ("proximal", "middle", "distal")
        for kind, base, end, part in zip(kinds, sites[1:], sites[2:], flat[1:]):
            along = unit(end - base)
            gap = 0.0 if kind == "proximal" else self.joint * part
            years = self.ossified(kind)
            thick = self.scale * min(5 + 5 * years, 16) * part if years > 0 else 0.0
            if years > 0 and kind == "proximal":  # its base is the landmark
                gap = thick + self.scale * part * self.rng.uniform(5, 9)
            shaft = base + gap * along
            self.draw_shaft(f"{finger} {kind}", thumb + kind, shaft, end, wide, FLAT, DOME, part)
            if thick:
                half = np.array(SHAFTS[thumb + kind])[0] * np.hypot(*(end - shaft)) / part * wide
                low = base if kind == "proximal" else shaft - (thick + self.scale * part * self.rng.uniform(4, 7)) * along
                half *= min(0.3 + 0.25 * years, 0.85)
                self.draw_disc(f"{finger} {kind}", low + thick / 2 * along, along, half, thick / 2)

    def draw_metacarpal(self, name: str, thumb: str, base: np.ndarray, head: np.ndarray, wide: float) -> None:
        """The epiphysis of a finger's metacarpal is at its head, the thumb's at its base, where the landmark is."""
        along = unit(head - base)
        years = self.ossified(thumb + "metacarpal")
        if thumb:
            thick = self.scale * min(5 + 6 * years, 18) if years > 0 else 0.0
            shaft = base + (thick + self.scale * 7 if years > 0 else 0) * along
            self.draw_shaft(name, "thumb metacarpal", shaft, head, wide, FLAT, DOME)
            if thick:
                half = min(0.09 + 0.03 * years, 0.17) * np.hypot(*(head - base))
                self.draw_disc(name, base + thick / 2 * along, along, half, thick / 2)
            return
        self.draw_shaft(name, "metacarpal", base, head, wide, DOME, FLAT)
        if years > 0:
            radius = self.scale * min(7 + 9 * years, 26) * self.rng.normal(1, 0.08)
            self.draw_disc(name, head + (radius + self.scale * self.rng.uniform(4, 9)) * along, along, 1.15 * radius, radius)

    def draw_shaft(self, name, kind, base, head, wide, lower, upper, flat=1.0) -> None:
        """A shaft from base to head, (x, y) px, with ends of these curves; `flat` is its length on the film over the true one."""
        rng, length = self.rng, np.hypot(*(head - base))
        widths = np.array(SHAFTS[kind]) * (length / flat) * self.build * wide * (1 + rng.normal(0, 0.025, len(KNOTS)))
        skew, tilt = rng.normal(0, 0.05), rng.normal(0, 0.02) * length
        compact = CORTEX * self.strong * self.scale * (4.2 if "metacarpal" in kind else 3.4)
        bright = 3.0 * self.strong * self.scale
        draw_slab(self.maps, Slab(
            name, base, head, KNOTS * length, widths * (1 - skew), widths * (1 + skew),
            (0.0, tilt, lower[0] * length, lower[1] * length), (length, -0.5 * tilt, -upper[0] * length, -upper[1] * length),
            depth=0.85 * min(1 / flat, 1.8), cortex=np.minimum(compact, 0.5 * widths), end_cortex=1.4 * self.scale,
            bend=rng.normal(0, 0.008) * length, spongy=np.array([0.9, 0.9, 0.85, 0.75, 0.7, 0.7, 0.75, 0.8, 0.85, 0.85]),
            plates=(bright * (lower is FLAT), bright * (upper is FLAT)), rounding=0.4,
        ))  # fmt: skip

    def draw_disc(self, name: str, centre: np.ndarray, along: np.ndarray, half_width: float, half_thickness: float) -> None:
        """A centre of ossification: an ellipse px across and along an axis."""
        turn = np.linspace(0, 2 * np.pi, 12, endpoint=False)
        across = np.array([-along[1], along[0]])
        radii = self.rng.normal(1, 0.05, (12, 1))
        outline = centre + radii * (half_width * np.outer(np.cos(turn), across) + half_thickness * np.outer(np.sin(turn), along))
        small = min(half_width, half_thickness)
        compact = min(1.3 * self.scale, 0.3 * small)
        draw_blob(self.maps, Blob(name, smooth_outline(outline, 32), 0.8 * small + 0.3 * half_width, small, compact, 0.85))

    def draw_carpals(self) -> None:
        """Round centres of ossification, each with its landmark on the proximal edge."""
        up = unit(self.points[15] - self.points[10])
        for name, (landmark, final) in CARPALS.items():
            years = self.ossified(name)
            if years <= 0:
                continue
            radius = self.scale * final * (1 - 0.8 * np.exp(-years / 1.6)) * self.rng.normal(1, 0.06)
            tall = {"capitate": 1.12, "hamate": 1.05}.get(name, 0.95) * radius
            self.draw_disc(name, self.points[landmark] + tall * up, up, 0.88 * radius, tall)

    def draw_forearm(self) -> None:
        """Radius and ulna to below the picture, and the radius's epiphysis from about its first year."""
        points, rng = self.points, self.rng
        down = unit(forearm_direction(points) + rng.normal(0, 0.05, 2))
        for name in FOREARM:
            draw_forearm_shaft(self.maps, points, name, down, self.scale, self.strong, rng)
        years = self.ossified("radius")
        if years > 0:
            self.draw_radius_epiphysis(years)

    def draw_radius_epiphysis(self, years: float) -> None:
        """A flat wedge over the radius's growth plate, thicker towards the styloid's landmark, which it reaches as it grows."""
        inner, outer, styloid = self.points[[3, 4, 5]]
        across, grown = outer - inner, min(0.3 + 0.3 * years, 1.0)
        width = np.hypot(*across)
        up = unit(styloid - (inner + 0.95 * across))
        plate = self.scale * self.rng.uniform(8, 13)
        tall = grown * ((styloid - outer) @ up - plate)
        middle = inner + (0.62 - 0.1 * grown) * across + plate * up
        half = 0.46 * grown * width * unit(across)
        outline = np.array([
            middle - half + 0.25 * tall * up, middle - 0.6 * half, middle + 0.5 * half, middle + half + 0.2 * tall * up,
            middle + half + 0.8 * tall * up, middle + 0.72 * half + tall * up, middle + 0.85 * tall * up,
            middle - 0.6 * half + 0.6 * tall * up,
        ])  # fmt: skip
        thick = 0.4 * tall
        outline, compact = smooth_outline(outline, 40), min(1.5 * self.scale, 0.3 * thick)
        draw_blob(self.maps, Blob("radius epiphysis", outline, thick + 8 * self.scale, thick, compact, 0.85))


def infant_tissue(points: np.ndarray, shape: tuple[int, int], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """As `soft_tissue`, thick, with creases at the wrist and at the fingers' joints."""
    plump = rng.uniform(0.92, 1.1)
    factors = {"finger": 1.36, "fingertip": 1.32, "palm": 1.3, "web": 1.3, "wrist": 1.12, "forearm": 1.12}

    def cones(*arguments) -> np.ndarray:
        return stouter(cones_of(*arguments), {part: factor * plump for part, factor in factors.items()})

    soft, depth = soft_tissue(points, shape, rng, cones)
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
