"""How the fingers of a hand lie: spread, fanned, bent in three dimensions.

A pose is a body (37, 3): (x, y) as the film shows it, and the height over the film, in the shape's unit. All is done in place. A
bent phalanx keeps its length in space, so it is shorter on the film.
"""

import numpy as np

from joints.hand import FINGERS, THUMB
from phantom.shape import turn

FLATTEST = 0.3  # length on the film over the true one, below which no phalanx is seen: it is turned aside instead


def pose(body: np.ndarray, rng: np.random.Generator) -> None:
    """Fingers spread a little differently: each finger turned about its knuckle, the thumb about its base."""
    for first, last, degrees in ((21, 24, 2.0), (25, 28, 1.5), (29, 32, 1.5), (33, 36, 2.5), (17, 20, 2.5)):
        turn(body, first, last, rng.normal(0, degrees))


def flex(body: np.ndarray, ray: tuple[int, ...], degrees: np.ndarray, roll: float) -> None:
    """Bend a ray at its last joints by these degrees each.

    `roll`: degrees by which the ray lies on its side, where bending is seen in the film's plane; 0 is palm down.
    """
    joints = list(ray[-len(degrees) - 1 :])
    sideways = np.sin(np.radians(roll))
    for near, far, step, turned in zip(joints, joints[1:], np.diff(body[joints, :2], axis=0), np.radians(np.cumsum(degrees))):
        seen = np.cos(turned) * step + np.sin(turned) * sideways * np.array([-step[1], step[0]])
        length = np.hypot(*step)
        seen *= max(1.0, FLATTEST * length / np.hypot(*seen))
        body[far, :2] = body[near, :2] + seen
        body[far, 2] = body[near, 2] - np.sqrt(max(length**2 - seen @ seen, 0.0))


def adduct_thumb(body: np.ndarray, degrees: float, rng: np.random.Generator) -> None:
    """Lay the thumb towards the fingers by about these degrees, bent a little at its joints."""
    turn(body, THUMB[0], THUMB[3], -degrees)
    turn(body, THUMB[1], THUMB[3], -0.4 * degrees * rng.uniform(0, 1))
    flex(body, THUMB, rng.uniform(0, (35, 45)), rng.uniform(-25, 25))


def spread(body: np.ndarray, degrees: float, rng: np.random.Generator) -> None:
    """Fan the fingers by about these degrees between neighbours; negative presses them together."""
    for order, finger in enumerate(("little", "ring", "middle", "index")):
        _, mcp, *_, tip = FINGERS[finger]
        turn(body, mcp, tip, degrees * (order - 1.7) + rng.normal(0, 2.5))


def bent_pose(body: np.ndarray, rng: np.random.Generator) -> None:
    """The fingers fanned, pressed together, crossed or bent, or the thumb laid over."""
    spread(body, rng.choice([rng.uniform(-9, -4), rng.normal(0, 2), rng.uniform(4, 11)]), rng)
    strength = rng.choice([0.25, 0.6, 1.0], p=(0.25, 0.4, 0.35))
    together = rng.normal(0, 25)  # rolled alike
    for finger, ray in FINGERS.items():
        if rng.random() < (0.75 if finger == "little" else 0.6):
            flex(body, ray, strength * rng.uniform((0, 5, 0), (50, 95, 60)), together + rng.normal(0, 30))
    if rng.random() < 0.6:
        adduct_thumb(body, rng.uniform(12, 55), rng)
    else:
        turn(body, THUMB[0], THUMB[3], rng.uniform(-10, 15))
