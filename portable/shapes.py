"""What the graphs do with landmarks, in PyTorch's operators alone: the finder's consensus, views, evidence, regions and flags.

Each function gives what its namesake of `finder/` or `prediction/` gives. Points are (..., 2) float64. A *placement* is six
numbers: turn and shift as complex numbers, mirrored (0 or 1), support; a *found* one has four more, the corners of its frame.
"""

import math

import torch
from torch import Tensor

from finder.network import ALIKE, ANOTHER, ANOTHER_SHARE, FAR_OFF, KEPT, ROOM, SIDE, SURE
from finder.network import ROUNDS as ROUNDS_OF_LANDMARKS
from finder.placement import LEAST_SEEN, LEAST_SPAN, ROUNDS, TOLERANCE, TRIED, WIDER
from finder.template import LEAST_SIDE, MOST_SIDE, NARROWEST, ShapeTemplate
from portable.pictures import quantiles
from prediction.calibration import ALIEN_SHARE, AT_EDGE, EDGE, FEWEST_LATE, LENGTH_LIMIT, Calibration
from prediction.candidate import MOST_ENLARGED, MOST_MOVED, MOST_TURNED
from prediction.predictor import OFF
from prediction.regions import CLEAR, FLOOR, LEAST_CONFIDENCE

Frame = tuple[int, int]
MIRROR = (1.0, -1.0)  # of a complex number its conjugate


def number(*values) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def times(a: Tensor, b: Tensor) -> Tensor:
    """The product of complex numbers (..., 2)."""
    (x, y), (u, v) = a.unbind(-1), b.unbind(-1)
    return torch.stack([x * u - y * v, x * v + y * u], -1)


def over(a: Tensor, b: Tensor) -> Tensor:
    """The quotient of complex numbers (..., 2)."""
    return times(a, b * number(*MIRROR)) / (b * b).sum(-1, keepdim=True)


def angle(x: Tensor, y: Tensor) -> Tensor:
    """Degrees from x towards y, in single precision: ONNX Runtime has no other."""
    return torch.atan2(y.float(), x.float()).double().rad2deg()


def conjugated(z: Tensor, mirrored: Tensor) -> Tensor:
    return torch.where(mirrored > 0.5, z * number(*MIRROR), z)


def apply(placement: Tensor, shape: Tensor) -> Tensor:
    return times(placement[:2], conjugated(shape, placement[4])) + placement[2:4]


def undo(placement: Tensor, points: Tensor) -> Tensor:
    return conjugated(over(points - placement[2:4], placement[:2]), placement[4])


def fit(shape: Tensor, points: Tensor, weights: Tensor, mirrored: Tensor) -> Tensor:
    z, weights = conjugated(shape, mirrored), weights[:, None]
    total = weights.sum()
    z0, w0 = (weights * z).sum(0) / total, (weights * points).sum(0) / total
    turn = (weights * times((z - z0) * number(*MIRROR), points - w0)).sum(0) / (weights * (z - z0) ** 2).sum()
    return torch.cat([turn, w0 - times(turn, z0), mirrored[None], number(0.0)])


def agreement(expected: Tensor, turn: Tensor, points: Tensor, heights: Tensor, within: float = TOLERANCE) -> Tensor:
    """How much peaks (L, K, 2) agree with placed shapes (..., L, 2), whose turns are (..., 2): (..., L, K)."""
    off = (expected[..., None, :] - points).norm(dim=-1) / (within * turn.norm(dim=-1))[..., None, None]
    return heights * (1 - off * off).clamp_min(0)


def support(placement: Tensor, shape: Tensor, points: Tensor, heights: Tensor) -> Tensor:
    return agreement(apply(placement, shape), placement[:2], points, heights).amax(-1).mean()


def chosen(points: Tensor, index: Tensor) -> Tensor:
    """Of points (L, K, 2) the ones (L, 2) that an index (L) names."""
    return points.gather(1, index[:, None, None].expand(-1, 1, 2))[:, 0]


def place(shape: Tensor, points: Tensor, heights: Tensor, reflections: tuple[bool, ...]) -> tuple[Tensor, Tensor]:
    """The placement (6) that most peaks agree with, and whether there is any."""
    order = (-heights[:, 0]).sort().indices  # ONNX's sorting keeps the order of equal ones
    surest = order[:TRIED]
    near = (shape[surest][:, None] - shape[surest]).norm(dim=-1).max() <= LEAST_SPAN
    far = ((shape[order] - shape[order[0]]).norm(dim=-1) > LEAST_SPAN) & near  # else none of them is tried
    farther = order[(torch.where(far, 0, len(shape)) + torch.arange(len(shape))).sort().indices][:TRIED]
    tried = torch.cat([surest, farther])
    count = len(tried)
    there = torch.arange(count) < len(surest) + far.sum()
    i, j = torch.triu_indices(count, count, 1)
    usable, (i, j) = there[i] & there[j], (tried[i], tried[j])
    trials = []
    for mirrored in reflections:
        source = shape * number(*MIRROR) if mirrored else shape
        apart = source[j] - source[i]
        far_apart = usable & (apart.norm(dim=-1) > LEAST_SPAN)
        steps = points[j][:, :, None] - points[i][:, None]  # (pairs, peaks of j, peaks of i, 2)
        safe = torch.where(far_apart[:, None], apart, 1.0)[:, None, None]
        turn = over(steps, safe)
        shift = points[i][:, None] - times(turn, source[i][:, None, None])
        turn, shift = turn.reshape(-1, 2), shift.reshape(-1, 2)
        possible = far_apart[:, None, None].expand(steps.shape[:-1]).reshape(-1) & (turn.norm(dim=-1) > 0)
        safe = torch.where(possible[:, None], turn, 1.0)
        expected = times(safe[:, None], source) + shift[:, None]
        agreed = torch.where(possible, agreement(expected, safe, points, heights).amax(-1).mean(-1), -1.0)
        mirror = torch.full_like(agreed, float(mirrored))
        trials.append(torch.cat([turn, shift, mirror[:, None], agreed[:, None]], 1))
    trials = torch.cat(trials)
    best = trials[trials[:, 5].argmax()]
    return refined(best, shape, points, heights), best[5] >= 0


def refined(placement: Tensor, shape: Tensor, points: Tensor, heights: Tensor) -> Tensor:
    going = torch.ones((), dtype=torch.bool)
    for _ in range(ROUNDS):
        agreed = agreement(apply(placement, shape), placement[:2], points, heights)
        best, index = agreed.max(1)
        going = going & ((best > 0).sum() >= min(3, len(shape)))
        placement = torch.where(going, fit(shape, chosen(points, index), best, placement[4]), placement)
    return torch.cat([placement[:5], support(placement, shape, points, heights)[None]])


def without(placement: Tensor, shape: Tensor, points: Tensor, heights: Tensor) -> Tensor:
    off = (apply(placement, shape)[:, None] - points).norm(dim=-1)
    return torch.where(off < 2 * TOLERANCE * placement[:2].norm(), 0.0, heights)


def is_another(placement: Tensor, others: Tensor) -> Tensor:
    """Whether a placement is that of another hand than others (N, 6); those that are zeros are not found yet."""
    there = others[:, :2].norm(dim=-1) > 0
    size, sizes = placement[:2].norm(), others[:, :2].norm(dim=-1)
    largest = torch.maximum(sizes.max(), size)
    smallest = torch.minimum(torch.where(there, sizes, torch.inf).min(), size)
    apart = torch.where(there, (placement[2:4] - others[:, 2:4]).norm(dim=-1), torch.inf).min()
    sure = placement[5] > (ANOTHER_SHARE * others[0, 5]).clamp_min(ANOTHER)
    return ~there[0] | (sure & (smallest > ALIKE * largest) & (apart > smallest))


def around(template: ShapeTemplate, points: Tensor) -> Tensor:
    low, high = points.amin(0), points.amax(0)
    sides = high - low
    sides = torch.maximum(sides, NARROWEST * sides.max())
    left, right = torch.from_numpy(template.margins)
    return torch.stack([low - left * sides, high + right * sides])


def frame(template: ShapeTemplate, points: Tensor | None = None, seen: Tensor | None = None) -> Tensor:
    """Corners (4) of the frame that shows points (L, 2), those that are `seen` (L), in shape units."""
    shape = torch.from_numpy(template.shape)
    usual = around(template, shape)
    if points is None:
        return usual.reshape(-1)
    low, high = around(template, torch.where(seen[:, None], points, shape))
    middle, side = (low + high) / 2, usual[1] - usual[0]
    side = torch.maximum(torch.minimum(high - low, MOST_SIDE * side), LEAST_SIDE * side)
    return torch.cat([middle - side / 2, middle + side / 2])


def of_corners(corners: Tensor, extent: tuple[int, int]) -> Tensor:
    matrix = torch.stack([(corners[1] - corners[0]) / extent[0], (corners[2] - corners[0]) / extent[1]], 1)
    return torch.cat([matrix, (corners[0] + matrix.sum(1) / 2)[:, None]], 1)


def whole(size: Tensor, extent: tuple[int, int]) -> Tensor:
    """The view of all of a picture of `size` (width, height) float64 px."""
    return of_corners(number([0, 0], [1, 0], [0, 1]) * size - 0.5, extent)


def letterbox(size: Tensor) -> Tensor:
    return of_corners(size / 2 - 0.5 + size.max() / 2 * number([-1, -1], [1, -1], [-1, 1]), (SIDE, SIDE))


def all_of(template: ShapeTemplate, size: Tensor) -> Tensor:
    """A hand (10) that fills a picture, as `Finder.whole`."""
    low, high = frame(template).reshape(2, 2)
    turn = (size / (high - low)).min()
    return torch.cat([turn[None], number(0.0), (size - 1) / 2 - turn * (low + high) / 2, number(0.0, 0.0), frame(template)])


def again(template: ShapeTemplate, rough: Tensor) -> Tensor:
    """The view of the place where a hand roughly lies, for the finder's second look."""
    low, high = frame(template).reshape(2, 2)
    corners = (low + high) / 2 + ROOM / 2 * (high - low).max() * number([-1, -1], [1, -1], [-1, 1])
    return of_corners(apply(rough, corners), (SIDE, SIDE))


def settle(template: ShapeTemplate, rough: Tensor, points: Tensor, heights: Tensor) -> Tensor:
    """A hand (10) by the peaks of the second look at where it roughly lies."""
    shape = torch.from_numpy(template.shape)
    placement, any_found = place(shape, points, heights, template.reflections)
    near = agreement(apply(placement, shape), placement[:2], points, torch.ones_like(heights), WIDER) > 0
    height, index = torch.where(near, heights, 0.0).max(1)
    framed = frame(template, undo(placement, chosen(points, index)), height > LEAST_SEEN)
    better = any_found & (placement[5] >= rough[5] / 2)
    return torch.where(better, torch.cat([placement, framed]), torch.cat([rough, frame(template)]))


def aim(found: Tensor, size: Tensor, alone: Tensor, shown: Frame) -> tuple[Tensor, Tensor]:
    """The view that the accurate network is to see of a hand, and whether it is all of the picture."""
    left, top, right, bottom = found[6:].unbind()
    corners = torch.stack([torch.stack(corner) for corner in ((left, top), (right, top), (left, bottom))])
    extent = shown[::-1]
    view, complete = of_corners(apply(found[:6], corners), extent), whole(size, extent)
    a, b = view[:, 0]
    middle = (number(*extent) - 1) / 2
    moved = ((view[:, :2] - complete[:, :2]) @ middle + view[:, 2] - complete[:, 2]) / size  # whole views are not turned
    sides = view[:, :2].norm(dim=0) / complete[:, :2].norm(dim=0)
    usual = (view[0, 0] * view[1, 1] > view[0, 1] * view[1, 0]) & (b.abs() <= a * math.tan(math.radians(MOST_TURNED)))
    usual = usual & (sides.log().abs() <= MOST_ENLARGED).all() & (moved.abs() <= MOST_MOVED).all() & alone
    return torch.where(usual, complete, view), usual


def to_picture(view: Tensor, points: Tensor) -> Tensor:
    return points @ view[:, :2].T + view[:, 2]


def in_unit(values: Tensor) -> Tensor:
    """Clipped to [0, 1]; a second `clamp(0, 1)` of the same values becomes a graph that is not valid."""
    return torch.where(values > 1, 1.0, values.clamp_min(0))


def by_landmarks(template: ShapeTemplate, points: Tensor, confidence: Tensor, found: Tensor) -> Tensor:
    """A hand (10) by the landmarks (L, 2) px of the accurate network."""
    shape = torch.from_numpy(template.shape)
    weights, placement = in_unit(confidence) ** 2, found[:6]
    enough = torch.ones((), dtype=torch.bool)
    off = weights
    for _ in range(ROUNDS_OF_LANDMARKS):
        off = (points - apply(placement, shape)).norm(dim=-1)
        kept = weights * (off <= quantiles(off, None, [KEPT])[0])
        enough = enough & ((kept > 0).sum() >= 3)
        placement = torch.where(enough, fit(shape, points, kept, found[4]), placement)
    seen = (confidence > SURE * quantiles(confidence, None, [0.5])[0]) & (off < FAR_OFF * placement[:2].norm())
    better = torch.cat([placement[:5], found[5:6], frame(template, undo(placement, points), seen)])
    return torch.where(enough, better, found)


def is_off(view: Tensor, other: Tensor, found: Tensor, shown: Frame) -> Tensor:
    """Whether the corners of two views lie so far apart that the hand is looked at again."""
    corners = number([0, 0], [1, 0], [0, 1], [1, 1]) * number(*shown[::-1]) - 0.5
    moved = (to_picture(other, corners) - to_picture(view, corners)).norm(dim=-1)
    return moved.max() >= OFF * found[:2].norm()


def ellipses(calibration: Calibration, covariances: Tensor, confidence: Tensor, view: Tensor) -> Tensor:
    """Regions (L, 3): long and short semi-axis, px of the picture, and the long one's angle, degrees; NaN where none is known."""
    target, low = calibration.regions.target_px2, confidence.clamp_min(LEAST_CONFIDENCE)[:, None, None]
    unit = torch.eye(2, dtype=torch.float64)
    if target == target:
        middle, apart = middle_and_apart(covariances)
        long, short = (
            (middle + sign * apart - CLEAR * target).clamp_min(FLOOR * target).sqrt()[:, None, None] for sign in (1, -1)
        )
        along = (covariances - middle[:, None, None] * unit) / torch.where(apart > 0, apart, 1.0)[:, None, None]
        unit = (long + short) / 2 * unit + (long - short) / 2 * along
    matrix = view[:, :2] @ unit / low
    region = matrix @ torch.from_numpy(calibration.regions.shape) @ matrix.mT
    middle, apart = middle_and_apart(region)
    degrees = angle(region[:, 0, 0] - region[:, 1, 1], 2 * region[:, 0, 1]) / 2
    return torch.stack([(middle + apart).sqrt(), (middle - apart).clamp_min(0).sqrt(), degrees], -1)


def middle_and_apart(symmetric: Tensor) -> tuple[Tensor, Tensor]:
    """Of the two eigenvalues of matrices (L, 2, 2) the mean, and half of what they differ by."""
    (a, b), (_, d) = (row.unbind(-1) for row in symmetric.unbind(-2))
    return (a + d) / 2, torch.sqrt(((a - d) / 2) ** 2 + b * b)


def flags(
    calibration: Calibration, points: Tensor, confidence: Tensor, size: Tensor, frame_px: Tensor, late: tuple[int, ...]
) -> tuple[Tensor, Tensor]:
    """What is wrong with each landmark (L, 4), as `export.OF_LANDMARKS` names it; whether the radiograph is unlike training."""
    doubtful_below, pairs = torch.from_numpy(calibration.doubtful), torch.from_numpy(calibration.pairs)
    doubtful, known = confidence < doubtful_below, doubtful_below.isfinite()
    beyond = ((points < -0.5) | (points > size - 0.5)).any(1)
    margin = EDGE * frame_px
    at_edge = ((points < margin) | (points > size - 1 - margin)).any(1)
    outside = (at_edge & known & (confidence < AT_EDGE * doubtful_below)) | beyond
    inside = doubtful & ~outside
    no_bone = inside & torch.tensor([i in late for i in range(len(points))])
    no_bone = no_bone & (no_bone.sum() >= FEWEST_LATE)
    centred = points - points.mean(0)
    centred = centred / (centred**2).sum(-1).mean().sqrt()
    lengths = (centred[pairs[:, 0]] - centred[pairs[:, 1]]).norm(dim=-1).clamp_min(1e-6).log()
    far = (lengths - torch.from_numpy(calibration.log_mean)).abs() / torch.from_numpy(calibration.log_sd) > LENGTH_LIMIT
    ends = torch.zeros(len(points), len(pairs), dtype=torch.float64)
    ends = ends.scatter_(0, pairs.T, 1.0)
    misplaced = ends @ far.double() >= 2
    alien = (doubtful & known).sum() > ALIEN_SHARE * known.sum()
    alien = alien | (far.sum() > ALIEN_SHARE * len(pairs))
    return torch.stack([outside, no_bone, inside & ~no_bone, misplaced], 1), alien
