"""Kinds of radiographs: the atlas's, and those that the atlas lacks. Each names the steps in which it differs."""

from argparse import ArgumentTypeError
from functools import partial

import numpy as np

from phantom.drawing import STEPS, Steps
from phantom.framing import frame
from phantom.grown import GrownHand, grown_maturity, grown_pose
from phantom.hardware import hardware
from phantom.infant import InfantHand, infant_maturity, infant_pose, infant_shape, infant_tissue
from phantom.pose import bent_pose
from phantom.processing import process
from phantom.soft_tissue import bent_tissue, forearm_tissue

OFTEN = 0.35  # of the radiographs of the other kinds that are processed


def processed_often(grey: np.ndarray, depth: np.ndarray, points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return process(grey, depth, points, rng) if rng.random() < OFTEN else grey


often = partial(Steps, process=processed_often)
KINDS: dict[str, Steps] = {
    "atlas": STEPS,  # children of about six years and more, as the Digital Hand Atlas has them
    "infant": often(
        sample_shape=infant_shape, maturity_of=infant_maturity, pose=infant_pose, hand=InfantHand, soft_tissue=infant_tissue,
        place=partial(frame, heights=(0.5, 0.9), tilt=8),
    ),
    "grown": often(maturity_of=grown_maturity, pose=grown_pose, hand=GrownHand),
    "bent": often(pose=bent_pose, soft_tissue=bent_tissue),
    "hardware": often(place=partial(frame, heights=(0.6, 0.93), tilt=6), soft_tissue=forearm_tissue, wear=hardware),
    "forearm": often(place=partial(frame, heights=(0.35, 0.8), tilt=13), soft_tissue=forearm_tissue),
    "digital": Steps(process=process),
}  # fmt: skip


def parse_kinds(text: str) -> dict[str, int]:
    """ "atlas:4,infant" -> {"atlas": 4, "infant": 1}: kinds and their shares. Raises argparse.ArgumentTypeError."""
    shares: dict[str, int] = {}
    for part in text.split(","):
        name, colon, share = part.strip().partition(":")
        if name not in KINDS:
            raise ArgumentTypeError(f"no kind {name!r}; there are {', '.join(KINDS)}")
        if name in shares:
            raise ArgumentTypeError(f"{name} is named twice")
        if colon and not (share.isascii() and share.isdigit() and int(share) > 0):
            raise ArgumentTypeError(f"{part.strip()!r}: expected a share of 1 or more after the colon")
        shares[name] = int(share or 1)
    return shares


def in_turn(shares: dict[str, int]) -> list[str]:
    """Kinds and their shares -> one round of kinds, each as often as its share and as evenly spread as can be."""
    total = sum(shares.values())
    places = [
        ((k + 0.5) * total / share, order, kind) for order, (kind, share) in enumerate(shares.items()) for k in range(share)
    ]
    return [kind for _, _, kind in sorted(places)]
