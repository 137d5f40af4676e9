"""By what a radiograph is recognised in another copy: saved again, resized, its histogram matched on another machine.

A fingerprint is a bit for each neighbouring pair of a coarse grid: whether the right one is brighter ("difference hash"). Of the
133 radiographs of the atlas at hand two differ in 27 of 256 bits at least, copies (JPEG of quality 60, half the size, another
reference) in 4 at most.
"""

import numpy as np
import torch
import torch.nn.functional as F

SIDE = 16  # rows, and pairs a row
SAME = 10  # bits that two fingerprints of one radiograph may differ in


def fingerprint(picture: np.ndarray) -> np.ndarray:
    """A picture (rows, columns) -> (SIDE²,) bool."""
    coarse = F.adaptive_avg_pool2d(torch.from_numpy(picture.astype(np.float32))[None], (SIDE, SIDE + 1))[0]
    return (coarse[:, 1:] > coarse[:, :-1]).flatten().numpy()


def to_text(bits: np.ndarray) -> str:
    return np.packbits(bits).tobytes().hex()


def from_text(text: str) -> np.ndarray:
    return np.unpackbits(np.frombuffer(bytes.fromhex(text), np.uint8)).astype(bool)


def alike(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Which fingerprints (N, SIDE²) and (M, SIDE²) are of one radiograph: (N, M) bool."""
    signs = (2.0 * part.astype(np.float32) - 1 for part in (first, second))
    a, b = signs
    return (a @ b.T) >= SIDE**2 - 2 * SAME - 0.5
