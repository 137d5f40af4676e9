"""Lengths of the bones of fingers and angles of their joints, from 37 landmarks."""

import numpy as np

from joints.hand import RAYS

BONES = ("metacarpal", "proximal phalanx", "middle phalanx", "distal phalanx")
THUMB_BONES = ("metacarpal", "proximal phalanx", "distal phalanx")


def lengths_and_angles(points: np.ndarray) -> list[tuple[str, str, float]]:
    """(name, "length" or "angle", value) of a hand's landmarks (37, 2) as (x, y), in whichever unit the points have.

    Angles are degrees between two neighbouring bones, 0 where the finger is straight, positive where its end bends to the side of
    the thumb.
    """
    middle, thumb = points[RAYS["middle"][-1]] - points[RAYS["middle"][0]], points[RAYS["thumb"][0]] - points[RAYS["middle"][0]]
    thumb_side = np.sign(cross(middle, thumb))
    measures = []
    for finger, ray in RAYS.items():
        bones = THUMB_BONES if finger == "thumb" else BONES
        vectors = np.diff(points[list(ray)], axis=0)
        measures += [(f"{finger} {bone}", "length", float(np.hypot(*vector))) for bone, vector in zip(bones, vectors)]
        joints = ("MCP", "IP") if finger == "thumb" else ("MCP", "PIP", "DIP")
        for joint, before, after in zip(joints, vectors, vectors[1:]):
            angle = np.degrees(np.arctan2(cross(before, after), before @ after))
            measures.append((f"{finger} {joint}", "angle", float(thumb_side * angle)))
    return measures


def cross(a: np.ndarray, b: np.ndarray) -> float:
    return a[0] * b[1] - a[1] * b[0]
