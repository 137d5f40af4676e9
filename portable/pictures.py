"""What the graphs do with pictures, in PyTorch's operators alone: a view, a resized frame, the outline, the histogram.

Each function gives what its namesake of `radiographs/` or `prediction/background.py` gives. Pictures are (rows, columns) float32,
a view is (2, 3) float64: its matrix, and beside it its shift (`radiographs.view.View`).
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch._higher_order_ops.while_loop import while_loop

from prediction.background import BORDER, BRIGHT, DARK, RIM
from radiographs.network_frame import EVERY, QUANTILES, USUAL, outline_is_plausible
from radiographs.view import FINEST

BINS = 256  # of the histogram that Otsu's threshold is found in
TRUNCATE = 4.0  # standard deviations, where a Gaussian filter ends


def span(length: int) -> Tensor:
    return torch.arange(length, dtype=torch.float64)


def plan(view: Tensor) -> tuple[Tensor, Tensor]:
    """How often a picture is halved before a view of it is sampled, and at how many places along each axis of a pixel."""
    coarse = view[:, :2].norm(dim=0).max()
    halvings = (coarse / 2 ** span(24) > FINEST).sum()
    return halvings, (coarse / 2 ** halvings.double()).ceil().clamp_min(1).long()


def halve(picture: Tensor, view: Tensor) -> tuple[Tensor, Tensor]:
    """A picture of half the size, the last row and column of odd sides alone, and the view of it."""
    rows, columns = picture.shape
    even = F.pad(picture[None, None], [0, columns % 2, 0, rows % 2], mode="replicate")
    return F.avg_pool2d(even, 2)[0, 0], view / 2 - torch.tensor([0, 0, 0.25], dtype=torch.float64)


def sample(picture: Tensor, view: Tensor, rows: Tensor, columns: Tensor, taps: Tensor) -> Tensor:
    """A view of a picture, where `rows` (h), `columns` (w) and `taps` are 0, 1, 2 ... float64 -> (h, w).

    Each pixel is the mean of taps x taps samples. Beyond the picture its border is repeated.
    """
    return sample_filled(picture, view, rows, columns, taps, None)


def sample_filled(picture: Tensor, view: Tensor, rows: Tensor, columns: Tensor, taps: Tensor, border: Tensor | None) -> Tensor:
    """The same, with `border` beyond the picture where it is given."""
    (h, w, fine), (height, width) = (of.shape[0] for of in (rows, columns, taps)), picture.shape  # `len` would fix them
    y, x = (((at[:, None] + (taps + 0.5) / fine) - 0.5).reshape(-1) for at in (rows, columns))
    place = x[:, None] * view[:, 0] + y[:, None, None] * view[:, 1] + view[:, 2]
    grid = torch.stack([(2 * place[..., 0] + 1) / width - 1, (2 * place[..., 1] + 1) / height - 1], -1).float()
    beyond, padding = (0.0, "border") if border is None else (border, "zeros")
    seen = F.grid_sample((picture - beyond)[None, None], grid[None], padding_mode=padding, align_corners=False)
    return (seen + beyond).reshape(h, fine, w, fine).mean((1, 3))


def border_grey(picture: Tensor) -> Tensor:
    return quantiles(edge_of(picture), None, [0.5])[0].float()


def edge_of(picture: Tensor) -> Tensor:
    return torch.cat([picture[0], picture[-1], picture[:, 0], picture[:, -1]])


def resize_to(picture: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """(height, width) -> (len(rows), len(columns)), as skimage's local mean, or its interpolation where a side is drawn out."""
    old = [span(side) for side in picture.shape]
    smaller = (old[0][-1] >= rows[-1]) & (old[1][-1] >= columns[-1])
    down, across = (
        torch.where(smaller, local_means(of, to), interpolations(of, to)).float() for of, to in zip(old, (rows, columns))
    )
    return down @ picture @ across.T


def local_means(old: Tensor, new: Tensor) -> Tensor:
    """The matrix (new, old) of an axis, whose pixels are means of what they cover."""
    factor = (old[-1] + 1) / (new[-1] + 1)
    covered = torch.minimum((new[:, None] + 1) * factor, old + 1) - torch.maximum(new[:, None] * factor, old)
    return covered.clamp_min(0) / factor


def interpolations(old: Tensor, new: Tensor) -> Tensor:
    """The matrix (new, old) of an axis that is interpolated, blurred first where it shrinks; mirrored about its last pixels."""
    last, factor = old[-1], (old[-1] + 1) / (new[-1] + 1)
    at = last - (last - ((new + 0.5) * factor - 0.5).abs()).abs()
    sd = ((factor - 1) / 2).clamp_min(1e-6)
    radius = (TRUNCATE * sd + 0.5).floor()

    def blurred(centre: Tensor) -> Tensor:
        copies = torch.stack(
            [old + 0 * last, torch.where(old > 0, -old, torch.inf), torch.where(old < last, 2 * last - old, torch.inf)]
        )
        off = copies[:, None] - centre[:, None]
        weight = torch.where(off.abs() <= radius, torch.exp(-0.5 * (off / sd) ** 2), 0.0).sum(0)
        return weight / weight.sum(1, keepdim=True)

    before = at.floor()
    share = (at - before)[:, None]
    return (1 - share) * blurred(before) + share * blurred((before + 1).clamp_max(last))


def quantiles(values: Tensor, among: Tensor | None, shares) -> Tensor:
    """Quantiles (len(shares)) float64 of values, or of those `among` them, as NumPy interpolates them."""
    values = values.reshape(-1)
    count = torch.ones_like(values).sum().long() if among is None else among.sum()
    ordered = (values if among is None else torch.where(among.reshape(-1), values, torch.inf)).sort().values.double()
    at = torch.as_tensor(shares, dtype=torch.float64) * (count - 1)
    below = at.floor().long()
    low, high = ordered[below], ordered[(below + 1).clamp_max(count - 1)]
    return low + (high - low) * (at - below)


def components(mask: Tensor, diagonal: bool) -> Tensor:
    """Connected parts of a mask (rows, columns), across corners where `diagonal`: each has a number of its own, 0 is beside them.

    Each pixel takes the highest number beside it, and so does the pixel whose number it had (as in FastSV, Zhang et al. 2020).
    """
    numbers = torch.ones_like(mask, dtype=torch.int64).reshape(-1).cumsum(0).reshape(mask.shape)

    def around(x: Tensor) -> Tensor:
        x = x.float()[None]
        if diagonal:
            return F.max_pool2d(x, 3, 1, 1)[0].long()
        return torch.maximum(F.max_pool2d(x, (3, 1), 1, (1, 0)), F.max_pool2d(x, (1, 3), 1, (0, 1)))[0].long()

    def step(x: Tensor, _) -> tuple[Tensor, Tensor]:
        near = torch.where(mask, around(x), 0)
        of_number = F.pad(x.reshape(-1), (1, 0)).scatter_reduce(0, x.reshape(-1), near.reshape(-1), "amax")
        of_number = F.pad(torch.maximum(near, of_number[x]).reshape(-1), (1, 0))
        return of_number[of_number[1:]].reshape(x.shape), x.clone()

    start = torch.where(mask, numbers, 0)
    return while_loop(lambda x, before: (x != before).any(), step, (start, torch.zeros_like(start)))[0]


def joined_to_edge(mask: Tensor, diagonal: bool) -> Tensor:
    """The parts of a mask that reach the picture's edge."""
    parts = components(F.pad(mask.float()[None], [1, 1, 1, 1], value=1.0)[0] > 0, diagonal)
    return (parts == parts[0, 0])[1:-1, 1:-1]


def otsu(picture: Tensor) -> Tensor:
    values = picture.double().reshape(-1)
    low, high = values.min(), values.max()
    width = (high - low).clamp_min(1e-300) / BINS
    bins = ((values - low) / width).long().clamp(0, BINS - 1)
    counts = torch.zeros(BINS, dtype=torch.float64).scatter_add(0, bins, torch.ones_like(values))
    centres = low + (span(BINS) + 0.5) * width
    below, sums = counts.cumsum(0)[:-1], (counts * centres).cumsum(0)
    above = counts.sum() - below
    apart = sums[:-1] / below.clamp_min(1) - (sums[-1] - sums[:-1]) / above.clamp_min(1)
    return centres[(below * above * apart**2).argmax()]


def hand_outline(picture: Tensor) -> tuple[Tensor, Tensor]:
    """The outline (rows, columns) bool, all of the picture where there is none; and whether there is one."""
    low, high = quantiles(picture[::EVERY, ::EVERY], None, np.array(USUAL) / 100).float().unbind()
    cut = torch.where(picture.max() > high + (high - low), torch.minimum(picture, high), picture)
    parts = components(cut > otsu(cut).float(), True)
    sizes = torch.zeros(cut.numel() + 1, dtype=torch.int64).scatter_add(0, parts.reshape(-1), (parts > 0).long().reshape(-1))
    outline = ~joined_to_edge(parts != sizes.argmax(), False)
    varied = cut.max() - cut.min() > 1e-5 * cut.abs().max()
    plausible = outline_is_plausible(outline) & varied
    return outline | ~plausible, plausible


def to_8_bit(picture: Tensor, reference: Tensor | None, outline: Tensor | None) -> Tensor:
    """Grey values 0 to 255 (rows, columns) float32, the histogram matched inside the outline."""
    values = picture.double()
    reach, matched = torch.stack([values.min(), values.max()]), values
    if reference is None:
        reference = reach
    else:
        own = torch.cat([reach[:1], quantiles(picture, outline, QUANTILES), reach[1:]])
        matched = interpolated(values.reshape(-1), own, reference).reshape(picture.shape)
    low, high = reference[0], reference[-1]
    return ((matched - low) / torch.where(high > low, high - low, 1.0) * 255).round().float()


def interpolated(x: Tensor, knots: Tensor, targets: Tensor) -> Tensor:
    """As np.interp at increasing knots (K), of equal ones the middle of their targets; by bisection."""
    first, beyond = (knots < knots[:, None]).sum(1), (knots <= knots[:, None]).sum(1)
    targets = (targets[first] + targets[beyond - 1]) / 2
    last = len(knots) - 1
    at = torch.zeros_like(x, dtype=torch.int64)
    for step in (2**power for power in reversed(range(last.bit_length()))):
        further = (at + step).clamp_max(last)
        at = torch.where(knots[further] <= x, further, at)
    beside = (at + 1).clamp_max(last)
    share = (x - knots[at]) / torch.where(beside > at, knots[beside] - knots[at], 1.0)
    return targets[at] + share * (targets[beside] - targets[at])


def as_seen(picture: Tensor, negative: Tensor, darkened: Tensor) -> tuple[Tensor, Tensor]:
    """A view with dark bone made bright, and its bright background dark, where asked for; and whether there is one."""
    picture = torch.where(negative, picture.max() + picture.min() - picture, picture)
    low, high = picture.min().double(), picture.max().double()
    bright = picture.double() > high - BRIGHT * (high - low)
    enough = edge_of(bright.double()).mean() >= BORDER
    background = joined_to_edge(bright, True) & bright & enough
    for _ in range(RIM):
        wide = F.pad(background.float(), [1, 1, 1, 1])
        near = wide[1:-1, 1:-1] + wide[:-2, 1:-1] + wide[2:, 1:-1] + wide[1:-1, :-2] + wide[1:-1, 2:]
        background = near > 0
    some = background.any()
    dark = quantiles(picture, ~background | background.all(), [DARK])[0].float()
    return torch.where(background & darkened & ~background.all(), dark, picture), some
