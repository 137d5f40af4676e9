"""Kinds of radiographs: the atlas's, and those that the atlas lacks. Each names the steps in which it differs."""

from functools import partial

from phantom import bending, framing, grown, infant
from phantom.drawing import COLUMNS, ROWS, STEPS, Steps
from phantom.hardware import hardware
from phantom.processing import process, processed_often

small_frame = partial(framing.frame, rows=ROWS, columns=COLUMNS, heights=(0.35, 0.8), tilt=13)

KINDS: dict[str, Steps] = {
    "atlas": STEPS,  # children of about six years and more, as the Digital Hand Atlas has them
    "infant": Steps(
        sample_shape=infant.infant_shape,
        maturity_of=infant.infant_maturity,
        pose=infant.infant_pose,
        place=partial(framing.frame, rows=ROWS, columns=COLUMNS, heights=(0.5, 0.9), tilt=8),
        draw_bones=infant.draw_infant_bones,
        soft_tissue=infant.infant_tissue,
        process=processed_often,
    ),
    "grown": Steps(
        maturity_of=grown.grown_maturity, pose=grown.grown_pose, draw_bones=grown.draw_grown_bones, process=processed_often
    ),
    "bent": Steps(pose=bending.bent_pose, soft_tissue=bending.bent_tissue, process=processed_often),
    "hardware": Steps(
        place=partial(framing.frame, rows=ROWS, columns=COLUMNS, heights=(0.6, 0.93), tilt=6),
        soft_tissue=framing.forearm_tissue,
        wear=hardware,
        process=processed_often,
    ),
    "forearm": Steps(place=small_frame, soft_tissue=framing.forearm_tissue, process=processed_often),
    "digital": Steps(process=process),
}


def parse_kinds(text: str) -> dict[str, int]:
    """ "atlas:4,infant" -> {"atlas": 4, "infant": 1}: kinds and their shares. Raises ValueError with what was expected."""
    shares: dict[str, int] = {}
    for part in text.split(","):
        name, colon, share = part.strip().partition(":")
        if name not in KINDS:
            raise ValueError(f"no kind {name!r}; there are {', '.join(KINDS)}")
        if name in shares:
            raise ValueError(f"{name} is named twice")
        if colon and not (share.isascii() and share.isdigit() and int(share) > 0):
            raise ValueError(f"{part.strip()!r}: expected a share of 1 or more after the colon")
        shares[name] = int(share or 1)
    return shares


def in_turn(shares: dict[str, int]) -> list[str]:
    """Kinds and their shares -> one round of kinds, each as often as its share and as evenly spread as can be."""
    total = sum(shares.values())
    order = list(shares)
    places = [((k + 0.5) * total / share, order.index(kind), kind) for kind, share in shares.items() for k in range(share)]
    return [kind for _, _, kind in sorted(places)]
