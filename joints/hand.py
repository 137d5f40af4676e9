"""The names of the 37 landmarks of a hand, and the bones between them.

Left hand, palm down: the thumb is on the picture's right.
"""

from itertools import pairwise

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


def landmark_names(count: int) -> list[str]:
    """The names of a hand's 37 landmarks; of any other number, their numbers."""
    return list(NAMES) if count == len(NAMES) else [str(i) for i in range(count)]
