"""Where a mean shape lies in a picture: a similarity, with or without reflection, that most peaks of the heatmaps agree with.

Points are complex numbers here, x + iy: turning and enlarging is a product, and mirroring the conjugate.
"""

from dataclasses import dataclass, replace

import numpy as np

TOLERANCE = 0.2  # shape units: how far from the fitted shape a landmark counts
WIDER = 0.8  # shape units, of landmarks that are taken for seen: the tip of a spread finger lies so far from the mean one
LEAST_SEEN = 0.1  # of a peak's height, for that
TRIED = 11  # landmarks, the surest, whose pairs are tried
LEAST_SPAN = 0.4  # of the shape's size, between two landmarks that a similarity is fitted to
ROUNDS = 5  # of fitting to those landmarks that agree


@dataclass(frozen=True)
class Placement:
    """A similarity from shape units to a picture's px: z -> turn z + shift, of conj(z) if mirrored.

    Shape units have their origin at the centroid of the mean shape, and 1 is its root mean square distance from there.
    """

    turn: complex
    shift: complex
    mirrored: bool
    support: float = 0.0  # 0 to 1, mean over landmarks of a peak's height, less the further it lies from the fitted shape

    def apply(self, points: np.ndarray) -> np.ndarray:
        """Points (..., 2) in shape units -> px of the picture."""
        z = self.turn * complex_of(points, self.mirrored) + self.shift
        return np.stack([z.real, z.imag], -1)

    def undo(self, points: np.ndarray) -> np.ndarray:
        """Points (..., 2) px of the picture -> shape units."""
        z = (complex_of(points) - self.shift) / self.turn
        return np.stack([z.real, -z.imag if self.mirrored else z.imag], -1)

    @property
    def degrees(self) -> float:
        """By how much the shape is turned, clockwise as seen, -180 to 180, after left and right were exchanged if mirrored."""
        return float(np.degrees(np.angle(-self.turn if self.mirrored else self.turn)))


def complex_of(points: np.ndarray, mirrored: bool = False) -> np.ndarray:
    """Points (..., 2), or their mirror image, as complex numbers (...)."""
    return points[..., 0] + 1j * (-points[..., 1] if mirrored else points[..., 1])


def fit(shape: np.ndarray, points: np.ndarray, weights: np.ndarray, mirrored: bool) -> Placement:
    """The weighted least squares similarity from a shape (L, 2) to points (L, 2)."""
    z, w = complex_of(shape, mirrored), complex_of(points)
    total = weights.sum()
    z0, w0 = (weights * z).sum() / total, (weights * w).sum() / total
    turn = (weights * (z - z0).conj() * (w - w0)).sum() / (weights * np.abs(z - z0) ** 2).sum()
    return Placement(complex(turn), complex(w0 - turn * z0), mirrored)


def agreement(shape: np.ndarray, turn: np.ndarray, shift: np.ndarray, points: np.ndarray, heights: np.ndarray, within=TOLERANCE):
    """How much each peak (L, K) agrees with each of H similarities of a complex shape (L,): (H, L, K) in [0, 1]."""
    expected = turn[:, None] * shape + shift[:, None]
    off = np.abs(expected[..., None] - points) / (within * np.abs(turn)[:, None, None])
    return heights * np.maximum(1 - off * off, 0)


def agreement_with(placement: Placement, shape: np.ndarray, points: np.ndarray, heights: np.ndarray, within=TOLERANCE):
    """How much each peak (L, K, 2) px of height (L, K) agrees with a placement of a shape (L, 2): (L, K) in [0, 1]."""
    turn, shift = np.array([placement.turn]), np.array([placement.shift])
    return agreement(complex_of(shape, placement.mirrored), turn, shift, complex_of(points), heights, within)[0]


def support(placement: Placement, shape: np.ndarray, points: np.ndarray, heights: np.ndarray) -> float:
    """How much peaks (L, K, 2) px of heights (L, K) agree with a placement: 0 to 1."""
    return float(agreement_with(placement, shape, points, heights).max(-1).mean())


def seen_near(placement: Placement, shape: np.ndarray, points: np.ndarray, heights: np.ndarray) -> np.ndarray:
    """Of each landmark the highest peak within WIDER of a placed shape: (L, 2) px, NaN where there is none.

    Not the peak that agrees most: that of the next finger would stand for a spread one, whose own would then be cut off.
    """
    near = agreement_with(placement, shape, points, np.ones_like(heights), WIDER) > 0
    height = np.where(near, heights, 0.0)
    highest = points[np.arange(len(shape)), height.argmax(1)]
    return np.where(height.max(1)[:, None] > LEAST_SEEN, highest, np.nan)


def place(shape: np.ndarray, points: np.ndarray, heights: np.ndarray, reflections: tuple[bool, ...]) -> Placement | None:
    """The similarity that most peaks agree with: pairs of peaks are tried, and the best is fitted to all that agree.

    shape (L, 2); K peaks of each landmark: points (L, K, 2) px, heights (L, K). None where no two of them make a similarity.
    """
    z, w = complex_of(shape), complex_of(points)
    order = np.argsort(-heights[:, 0], kind="stable")
    surest = order[:TRIED]
    if np.abs(z[surest][:, None] - z[surest]).max() <= LEAST_SPAN:  # all in one cluster: as of one joint of a long film
        apart = np.abs(z[order] - z[order[0]]) > LEAST_SPAN
        surest = np.concatenate([surest, order[apart][:TRIED]])
    first, second = (surest[index] for index in np.triu_indices(len(surest), 1))
    found = []
    for mirrored in reflections:
        source = complex_of(shape, mirrored)
        span = source[second] - source[first]
        usable = np.abs(span) > LEAST_SPAN
        i, j, span = first[usable], second[usable], span[usable, None, None]
        turn = (w[j][:, :, None] - w[i][:, None, :]) / span
        shift = w[i][:, None, :] - turn * source[i][:, None, None]
        turn, shift = turn[turn != 0], shift[turn != 0]
        if len(turn):
            agreed = agreement(source, turn, shift, w, heights).max(-1).mean(1)
            top = int(agreed.argmax())
            found.append(Placement(complex(turn[top]), complex(shift[top]), mirrored, float(agreed[top])))
    if not found:
        return None
    return refined(max(found, key=lambda one: one.support), shape, points, heights)


def refined(placement: Placement, shape: np.ndarray, points: np.ndarray, heights: np.ndarray) -> Placement:
    """A placement fitted to the peaks that agree with it, again and again; its support is that of the result."""
    for _ in range(ROUNDS):
        agreed = agreement_with(placement, shape, points, heights)
        if (agreed.max(1) > 0).sum() < min(3, len(shape)):
            break
        nearest = points[np.arange(len(shape)), agreed.argmax(1)]
        placement = fit(shape, nearest, agreed.max(1), placement.mirrored)
    return replace(placement, support=support(placement, shape, points, heights))


def without(placement: Placement, shape: np.ndarray, points: np.ndarray, heights: np.ndarray) -> np.ndarray:
    """The heights (L, K) of the peaks that a placement leaves to others."""
    near = np.abs(complex_of(placement.apply(shape))[:, None] - complex_of(points)) < 2 * TOLERANCE * abs(placement.turn)
    return np.where(near, 0.0, heights)
