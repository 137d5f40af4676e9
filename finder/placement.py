"""Where a mean shape lies in a picture: a similarity, with or without reflection, that most peaks of the heatmaps agree with.

Points are complex numbers here, x + iy: turning and enlarging is a product, and mirroring the conjugate. All of it computes with
arrays, and with tensors in graphs (`runtime.arrays`).
"""

from dataclasses import dataclass, replace

import numpy as np

from runtime import arrays

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
        z = complex_of(points, self.mirrored) * self.turn + self.shift
        return arrays.of(points).stack([z.real, z.imag], -1)

    def undo(self, points: np.ndarray) -> np.ndarray:
        """Points (..., 2) px of the picture -> shape units."""
        z = (complex_of(points) - self.shift) / self.turn
        return arrays.of(points).stack([z.real, z.imag * sign(self.mirrored)], -1)

    @property
    def degrees(self) -> float:
        """By how much the shape is turned, clockwise as seen, -180 to 180, after left and right were exchanged if mirrored."""
        return arrays.degrees(*(part * sign(self.mirrored) for part in (self.turn.real, self.turn.imag)))


def sign(mirrored: bool) -> int:
    """-1 of what is mirrored, else 1."""
    return 1 - 2 * mirrored


def complex_of(points: np.ndarray, mirrored: bool = False) -> np.ndarray:
    """Points (..., 2), or their mirror image, as complex numbers (...)."""
    return arrays.as_complex(points[..., 0], points[..., 1] * sign(mirrored))


def fit(shape: np.ndarray, points: np.ndarray, weights: np.ndarray, mirrored: bool) -> Placement:
    """The weighted least squares similarity from a shape (L, 2) to points (L, 2)."""
    z, w = complex_of(shape, mirrored), complex_of(points)
    total = weights.sum()
    z0, w0 = (z * weights).sum() / total, (w * weights).sum() / total
    turn = ((z - z0).conj() * (w - w0) * weights).sum() / (abs(z - z0) ** 2 * weights).sum()
    return Placement(turn, w0 - z0 * turn, mirrored)


def agreement(expected: np.ndarray, points: np.ndarray, heights: np.ndarray, reach: np.ndarray) -> np.ndarray:
    """How much complex peaks (L, K) agree with landmarks expected at (..., L), by how far within reach: (..., L, K) in [0, 1]."""
    off = abs(expected[..., None] - points) / reach
    return heights * (1 - off * off).clip(min=0)


def agreement_with(placement: Placement, shape: np.ndarray, points: np.ndarray, heights: np.ndarray, within=TOLERANCE):
    """How much each peak (L, K, 2) px of height (L, K) agrees with a placement of a shape (L, 2): (L, K) in [0, 1]."""
    return agreement(complex_of(placement.apply(shape)), complex_of(points), heights, abs(placement.turn) * within)


def support(placement: Placement, shape: np.ndarray, points: np.ndarray, heights: np.ndarray) -> float:
    """How much peaks (L, K, 2) px of heights (L, K) agree with a placement: 0 to 1."""
    return arrays.of(points).amax(agreement_with(placement, shape, points, heights), -1).mean()


def seen_near(placement: Placement, shape: np.ndarray, points: np.ndarray, heights: np.ndarray) -> np.ndarray:
    """Of each landmark the highest peak within WIDER of a placed shape: (L, 2) px, NaN where there is none.

    Not the peak that agrees most: that of the next finger would stand for a spread one, whose own would then be cut off.
    """
    xp = arrays.of(points)
    near = agreement_with(placement, shape, points, xp.ones_like(heights), WIDER) > 0
    height = xp.where(near, heights, 0.0)
    highest = points[xp.arange(len(shape)), height.argmax(1)]
    return xp.where(xp.amax(height, 1)[:, None] > LEAST_SEEN, highest, xp.nan)


def place(shape: np.ndarray, points: np.ndarray, heights: np.ndarray, reflections: tuple[bool, ...]) -> Placement | None:
    """The similarity that most peaks agree with: pairs of peaks are tried, and the best is fitted to all that agree.

    shape (L, 2); K peaks of each landmark: points (L, K, 2) px, heights (L, K). None where no two of them make a similarity, or
    in a graph one of negative support.
    """
    best = most_agreed(shape, points, heights, reflections)
    if best is None:
        return None
    return arrays.choose(best.support >= 0, lambda: refined(best, shape, points, heights), best)


def pairs(shape: np.ndarray, heights: np.ndarray) -> tuple[np.ndarray, ...]:
    """Whether pairs of landmarks are tried, the first and the second of each: those of the surest, LEAST_SPAN apart.

    Where these lie all in one cluster, as of one joint of a long film, the surest ones of those away from it count as well.
    """
    xp, z = arrays.of(shape), complex_of(shape)
    order = arrays.order(-heights[:, 0])
    surest = order[:TRIED]
    far = (abs(z[order] - z[order[0]]) > LEAST_SPAN) & (abs(z[surest][:, None] - z[surest]).max() <= LEAST_SPAN)
    farther = order[arrays.order(xp.where(far, 0, 1))][:TRIED]
    first, second = (arrays.like(shape, index, int) for index in np.triu_indices(len(surest) + len(farther), 1))
    there = second < len(surest) + far.sum()  # and so the first
    tried = xp.concatenate([surest, farther])
    first, second = tried[first], tried[second]
    return arrays.picked(there & (abs(z[second] - z[first]) > LEAST_SPAN), first, second)


def most_agreed(shape: np.ndarray, points: np.ndarray, heights: np.ndarray, reflections: tuple[bool, ...]) -> Placement | None:
    """Of the similarities of all pairs of peaks the one that most peaks agree with; None, or a negative support, of none."""
    xp, w, best = arrays.of(points), complex_of(points), None
    usable, i, j = pairs(shape, heights)
    for mirrored in reflections:
        source = complex_of(shape, mirrored)
        turn = (w[j][:, :, None] - w[i][:, None, :]) / (source[j] - source[i])[:, None, None]
        shift = w[i][:, None, :] - turn * source[i][:, None, None]
        possible, turn, shift = arrays.picked(usable[:, None, None] & (abs(turn) > 0), turn, shift)
        if len(turn):
            expected = source * turn[:, None] + shift[:, None]
            agreed = xp.amax(agreement(expected, w, heights, (abs(turn) * TOLERANCE)[:, None, None]), -1).mean(1)
            agreed = xp.where(possible, agreed, -1.0)
            top = agreed.argmax()
            one = Placement(turn[top], shift[top], mirrored, agreed[top])
            best = one if best is None else arrays.choose(one.support > best.support, lambda one=one: one, best)
    return best


def refined(placement: Placement, shape: np.ndarray, points: np.ndarray, heights: np.ndarray) -> Placement:
    """A placement fitted to the peaks that agree with it, again and again; its support is that of the result."""
    xp = arrays.of(points)
    for _ in range(ROUNDS):
        agreed = agreement_with(placement, shape, points, heights)
        nearest, most = points[xp.arange(len(shape)), agreed.argmax(1)], xp.amax(agreed, 1)
        enough = (most > 0).sum() >= min(3, len(shape))
        placement = arrays.choose(enough, lambda: fit(shape, nearest, most, placement.mirrored), placement)  # noqa: B023 (called at once)
    return replace(placement, support=support(placement, shape, points, heights))


def without(placement: Placement, shape: np.ndarray, points: np.ndarray, heights: np.ndarray) -> np.ndarray:
    """The heights (L, K) of the peaks that a placement leaves to others."""
    near = abs(complex_of(placement.apply(shape))[:, None] - complex_of(points)) < abs(placement.turn) * (2 * TOLERANCE)
    return arrays.of(points).where(near, 0.0, heights)
