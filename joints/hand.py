"""The joint that ships: the 37 landmarks of a hand, and the shape that tells them from other landmarks.

Left hand, palm down: the thumb is on the picture's right.
"""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from joints.description import Defined, Description, Scale
from joints.shape import procrustes_distance

NAMES = (
    "ulna outer corner", "ulnar styloid tip", "ulna inner corner",
    "radius inner corner", "radius outer corner", "radial styloid tip",
    "triquetrum", "lunate proximal", "scaphoid proximal", "hamate proximal", "capitate proximal",
    "trapezoid-capitate-scaphoid", "scaphoid-trapezium",
    "little metacarpal base", "ring metacarpal base", "middle metacarpal base", "index metacarpal base",
    "thumb CMC", "thumb MCP", "thumb IP", "thumb tip",
    "index MCP", "index PIP", "index DIP", "index tip",
    "middle MCP", "middle PIP", "middle DIP", "middle tip",
    "ring MCP", "ring PIP", "ring DIP", "ring tip",
    "little MCP", "little PIP", "little DIP", "little tip",
)  # fmt: skip
RAYS = {  # from the base of the metacarpal to the tip
    "thumb": (17, 18, 19, 20),
    "index": (16, 21, 22, 23, 24),
    "middle": (15, 25, 26, 27, 28),
    "ring": (14, 29, 30, 31, 32),
    "little": (13, 33, 34, 35, 36),
}
FINGERS = {name: ray for name, ray in RAYS.items() if name != "thumb"}
THUMB = RAYS["thumb"]
WRIST = ((0, 1), (0, 2), (2, 3), (3, 4), (4, 5), (1, 6), (5, 8), (6, 7), (7, 8), (6, 9), (9, 10), (10, 11), (11, 12), (8, 12))
WRIST += ((9, 13), (9, 14), (10, 15), (11, 16), (12, 17))
SKELETON = tuple((a, b) for ray in RAYS.values() for a, b in pairwise(ray)) + WRIST  # lines of an overlay
BONES = ("metacarpal", "proximal phalanx", "middle phalanx", "distal phalanx")
JOINTS = ("MCP", "PIP", "DIP")


def measures() -> Iterator[Defined]:
    """Lengths of the bones of each ray, then how far its joints bend."""
    for finger, ray in RAYS.items():
        bones, joints = (BONES[:2] + BONES[3:], ("MCP", "IP")) if finger == "thumb" else (BONES, JOINTS)
        yield from (Defined(f"{finger} {bone}", "length", ends) for bone, ends in zip(bones, pairwise(ray)))
        yield from (Defined(f"{finger} {joint}", "bend", ray[i : i + 3]) for i, joint in enumerate(joints))


HAND = Description(
    NAMES,
    joint="hand",
    skeleton=SKELETON,
    laterality="left",
    scale=Scale("wrist", (1, 5), 50.0),  # the literature's, for hands of unknown spacing (Payer et al. 2019)
    measures=tuple(measures()),
    late=(1, 3, 4, 5, 6, 7, 8, 11, 12, 17),  # epiphyses, and carpal bones that ossify after the first year
    bends=(RAYS["middle"][0], RAYS["middle"][-1], RAYS["thumb"][0]),  # positive towards the thumb
)
# normalised, upright, (x, y) with y down: the mean of the shape model that synthetic radiographs are drawn from
MEAN_SHAPE = np.array([
    (-0.38, 1.11), (-0.33, 0.98), (-0.17, 1.12), (-0.13, 1.1), (0.24, 1.11), (0.23, 0.9), (-0.24, 0.9), (-0.1, 0.98),
    (0.07, 0.95), (-0.12, 0.8), (0, 0.85), (0.19, 0.7), (0.27, 0.76), (-0.25, 0.57), (-0.14, 0.53), (0.01, 0.52), (0.19, 0.54),
    (0.37, 0.63), (0.74, 0.13), (0.93, -0.24), (1.09, -0.5), (0.33, -0.38), (0.44, -0.9), (0.5, -1.22), (0.52, -1.46),
    (0.01, -0.39), (0.03, -0.99), (0.03, -1.38), (0.01, -1.63), (-0.27, -0.27), (-0.35, -0.83), (-0.41, -1.19), (-0.44, -1.45),
    (-0.52, -0.12), (-0.69, -0.52), (-0.79, -0.75), (-0.86, -0.97),
])  # fmt: skip
# Procrustes distance from the mean shape below which landmarks are a hand's: of 910 annotated hands the median is 0.059, the
# largest 0.206; with their fingers numbered from the little one on they begin at 0.328, random points at 0.83.
HAND_LIMIT = 0.27
FEWEST = 10  # landmarks that must be there: fewer would fit any shape (hands of any 10 reach 0.245, random points begin at 0.51)


def is_hand(points: np.ndarray) -> bool:
    """Whether annotations (N, L, 2), in pixels of any radiographs, are those of NAMES: 37 in the shape of a hand.

    Left or right, lying anyhow, NaN where missing. The median over radiographs decides, so that a few slips do not; the mean of
    many aligned shapes would not do, since whatever is aligned with a hand comes out like one.
    """
    if points.shape[-2] != len(NAMES):
        return False
    whole = [one for one in points if np.isfinite(one).all(-1).sum() >= FEWEST]
    return bool(whole) and float(np.median([procrustes_distance(one, MEAN_SHAPE) for one in whole])) < HAND_LIMIT
