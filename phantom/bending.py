"""Bent, fanned and overlapping fingers: a pose in three dimensions, and the soft tissue of fingers that lie over others.

A pose is a shape (37, 3): (x, y) as the film shows it, and the height over the film, in the shape's unit. A bent phalanx keeps
its length in space, so it is shorter on the film.
"""

import numpy as np

from joints.hand import FINGERS, RAYS, THUMB
from phantom import shape as shapes
from phantom.soft_tissue import cones_of, soft_tissue

FLATTEST = 0.3  # length on the film over the true one, below which no phalanx is seen: it is turned aside instead
SQUEEZED = 0.6  # of the thinner of two layers, that adds to the thicker one
LAYERS = {"index": (1, 2), "middle": (6, 7), "ring": (11, 12), "little": (16, 17), "thumb": (23, 24)}  # rows of `cones_of`
# beyond the joint that bends most: drawn on their own, their thickness adds to what they lie over


def solid(shape: np.ndarray) -> np.ndarray:
    """A flat shape (37, 2) -> (37, 3), at height 0."""
    return np.column_stack([shape, np.zeros(len(shape))])


def turn(shape: np.ndarray, joint: int, last: int, degrees: float) -> None:
    """Turn the landmarks from `joint` to `last` about `joint` in the film's plane, in place; positive towards the thumb."""
    moved = slice(joint, last + 1)
    flat = shape[None, moved, :2] - shape[joint, :2]
    shape[moved, :2] = shapes.rotate(flat, np.radians([degrees]))[0] + shape[joint, :2]


def flex(shape: np.ndarray, ray: tuple[int, ...], degrees: tuple[float, ...], roll: float) -> None:
    """Bend a ray of a shape (37, 3) at its last joints by these degrees each, in place.

    `roll`: degrees by which the ray lies on its side, where bending is seen in the film's plane; 0 is palm down.
    """
    joints = ray[-len(degrees) - 1 :]
    original = shape[list(joints)]
    turned, sideways = 0.0, np.sin(np.radians(roll))
    for k, angle in enumerate(np.radians(degrees)):
        step = original[k + 1, :2] - original[k, :2]
        length = np.hypot(*step)
        along = step / length
        turned += angle
        seen = np.cos(turned) * along + np.sin(turned) * sideways * np.array([-along[1], along[0]])
        short = np.hypot(*seen)
        if short < FLATTEST:
            seen *= FLATTEST / short
        height = -np.sqrt(max(1 - seen @ seen, 0.0))
        shape[joints[k + 1]] = shape[joints[k]] + length * np.array([*seen, height])


def adduct_thumb(shape: np.ndarray, degrees: float, rng: np.random.Generator) -> None:
    """Lay the thumb of a shape (37, 3) towards the fingers by about these degrees, in place, bent a little at its joints."""
    turn(shape, THUMB[0], THUMB[3], -degrees)
    turn(shape, THUMB[1], THUMB[3], -0.4 * degrees * rng.uniform(0, 1))
    flex(shape, THUMB, (rng.uniform(0, 35), rng.uniform(0, 45)), rng.uniform(-25, 25))


def spread(shape: np.ndarray, degrees: float, rng: np.random.Generator) -> None:
    """Fan the fingers of a shape (37, 3) by about these degrees between neighbours, in place; negative presses them together."""
    for order, finger in enumerate(("little", "ring", "middle", "index")):
        _, mcp, *_, tip = FINGERS[finger]
        turn(shape, mcp, tip, degrees * (order - 1.7) + rng.normal(0, 2.5))


def bent_pose(shape: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A flat shape (37, 2) -> (37, 3) with the fingers fanned, pressed together, crossed or bent, or the thumb laid over."""
    body = solid(shape)
    spread(body, rng.choice([rng.uniform(-9, -4), rng.normal(0, 2), rng.uniform(4, 11)]), rng)
    strength = rng.choice([0.25, 0.6, 1.0], p=(0.25, 0.4, 0.35))
    together = rng.normal(0, 25)  # rolled alike
    for finger, ray in FINGERS.items():
        if rng.random() < (0.75 if finger == "little" else 0.6):
            degrees = strength * np.array([rng.uniform(0, 50), rng.uniform(5, 95), rng.uniform(0, 60)])
            flex(body, ray, tuple(degrees), together + rng.normal(0, 30))
    if rng.random() < 0.6:
        adduct_thumb(body, rng.uniform(12, 55), rng)
    else:
        turn(body, THUMB[0], THUMB[3], rng.uniform(-10, 15))
    return body


def bent_tissue(points: np.ndarray, shape: tuple[int, int], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """As `soft_tissue`, with the fingers that are bent or lie over others in layers of their own, whose paths add up."""
    own = [name for name, ray in RAYS.items() if lies_apart(points, name, ray)]
    rows_apart = [row for name in own for row in LAYERS[name]]
    drawn: list[np.ndarray] = []

    def hand_without(*arguments) -> np.ndarray:
        drawn.append(cones_of(*arguments))
        return np.delete(drawn[0], rows_apart, axis=0)

    soft, depth = soft_tissue(points, shape, rng, hand_without)
    for name in own:
        path, below = soft_tissue(points, shape, rng, lambda *_, name=name: drawn[0][list(LAYERS[name])])
        soft = np.maximum(soft, path) + SQUEEZED * np.minimum(soft, path)
        depth = np.maximum(depth, below)
    return soft, depth


def lies_apart(points: np.ndarray, name: str, ray: tuple[int, ...]) -> bool:
    """Whether a ray of points (37, 3) is bent by a phalanx's third, or comes within half a finger of another ray's phalanges."""
    bones = np.diff(points[list(ray)][1:], axis=0)
    if (np.hypot(*bones[:, :2].T) < 0.8 * np.linalg.norm(bones, axis=1)).any():
        return True
    width = 0.5 * np.hypot(*(points[25] - points[21])[:2])
    others = np.array([site for other, sites in RAYS.items() if other != name for site in sites[1:]])
    gaps = np.linalg.norm(points[list(ray[2:]), None, :2] - points[None, others, :2], axis=-1)
    return bool((gaps < width).any())
