"""Teaching the finder: prepared radiographs of a joint at any angle, size and place, mirrored, inverted, two in a picture.

A few minutes do: it need only be as exact as the accurate network's own augmentation reaches.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from dataloader import RadiographDataset
from finder.network import SIDE, Finder, make_network, standardise
from finder.template import ShapeTemplate, extent, ranks
from heatmap import draw_heatmaps
from joints.shape import of_the_other_side
from loss import heatmap_errors
from radiographs.processing import processed
from runtime.arithmetic import settle
from runtime.device import autocast

POOL_SIDE = 128  # px of the pictures that batches are warped from
PROCESSED = 2  # processed copies of each picture in the pool
SIGMA = 1.5  # px, of the heatmaps
BATCH, RATE, WARMUP, AVERAGING, CLIP = 8, 1e-3, 50, 0.99, 1.0
STEPS = 2000
SIZES = 0.25, 1.3  # of a hand's picture, as parts of the frame
TWO = 0.25  # share of pictures with another hand
FINER = 3  # samples along each axis of a pixel


@dataclass
class Pool:
    """Pictures to learn from, in frames whose longer side is 1."""

    pictures: Tensor  # (N, 1, POOL_SIDE, POOL_SIDE) in [0, 1], stretched to a square
    points: Tensor  # (N, L, 2) from the middle of the frame, x to the right, y down
    extents: Tensor  # (N, 2) width and height of the frames
    reflected: bool = True  # whether mirror images of them are learnt too


def make_pool(data: list[RadiographDataset], seed: int) -> Pool:
    """All pictures of some data sets, and processed copies."""
    rng = np.random.default_rng(seed)
    pictures, points, extents = [], [], []
    for one in data:
        for i in np.flatnonzero(np.isfinite(one.points_network_px).any((1, 2))):
            picture, at, (width, height) = one.picture(i), one.points_network_px[i], one.sizes_px[i]
            small = F.interpolate(torch.from_numpy(picture)[None, None].float(), (POOL_SIDE, POOL_SIDE), mode="area")
            small = small[0, 0].round().to(torch.uint8).numpy()
            pictures += [small, *(processed(small, one.profile, rng) for _ in range(PROCESSED))]
            extent = np.array([width, height]) / max(width, height)
            points += [((at + 0.5) / one.frame[::-1] - 0.5) * extent] * (1 + PROCESSED)
            extents += [extent] * (1 + PROCESSED)
    return Pool(
        torch.from_numpy(np.stack(pictures))[:, None].float() / 255,
        *(torch.from_numpy(np.stack(each)).float() for each in (points, extents)),
        data[0].joint.laterality != "none",
    )


class Draw:
    """Random numbers for a batch."""

    def __init__(self, count: int, generator: torch.Generator):
        self.count, self.generator = count, generator

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand((self.count, *shape), generator=self.generator)

    def chance(self, share: float) -> Tensor:
        return torch.rand(self.count, generator=self.generator) < share

    def sign(self) -> Tensor:
        return 1 - 2 * self.chance(0.5).float()


def spread(mask: Tensor) -> Tensor:
    """(B,) -> (B, 1, 1, 1)."""
    return mask[:, None, None, None]


def similarity(draw: Draw, size: Tensor, reflected: bool) -> Tensor:
    """Matrices (B, 2, 2) from frame units to px: turned by any angle, a third by a small one, half mirrored if any are."""
    angle = torch.where(draw.chance(0.35), draw.uniform(-0.35, 0.35), draw.uniform(-np.pi, np.pi))
    cos, sin, mirrored = angle.cos(), angle.sin(), draw.sign() if reflected else torch.ones(len(size))
    return torch.stack([cos * mirrored, -sin, sin * mirrored, cos], -1).reshape(-1, 2, 2) * (size * SIDE)[:, None, None]


def lay(draw: Draw, pool: Pool, size: Tensor, middle: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Frames of a pool laid into squares of SIDE px, of sizes (B,), with their middle at (B, 2) px.

    The squares and how much of each px is covered, both (B, 1, SIDE, SIDE), and the points (B, L, 2) px.
    """
    chosen = torch.randint(len(pool.pictures), (draw.count,), generator=draw.generator)
    matrix = similarity(draw, size, pool.reflected)
    at = (torch.arange(SIDE * FINER) + 0.5) / FINER - 0.5
    new = torch.stack(torch.meshgrid(at, at, indexing="xy"), -1).reshape(1, -1, 2)
    old = (new - middle[:, None]) @ torch.linalg.inv(matrix).mT / pool.extents[chosen][:, None] * 2
    grid = old.reshape(-1, SIDE * FINER, SIDE * FINER, 2)
    squares = F.grid_sample(pool.pictures[chosen], grid, mode="bilinear", padding_mode="border", align_corners=False)
    covered = (grid.abs() <= 1).all(-1)[:, None].float()
    return F.avg_pool2d(squares, FINER), F.avg_pool2d(covered, FINER), pool.points[chosen] @ matrix.mT + middle[:, None]


def place_two(draw: Draw) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Sizes (B,) and middles (B, 2) px of two hands beside each other."""
    size = draw.uniform(0.35, 0.62)
    angle = draw.uniform(-0.35, 0.35)
    half = torch.stack([angle.cos(), angle.sin()], -1) * (draw.sign() * SIDE * draw.uniform(0.22, 0.3))[:, None]
    middle = (SIDE - 1) / 2 + draw.uniform(-0.05, 0.05, 2) * SIDE
    return size, size * draw.uniform(0.8, 1.25), middle + half, middle - half


def surround(draw: Draw, squares: Tensor) -> Tensor:
    """The grey beside a frame: mostly black or the frame's own dark, else anything."""
    dark = squares.flatten(1).quantile(0.05, dim=1)
    kind = draw.uniform(0, 1)
    return spread(torch.where(kind < 0.3, dark, torch.where(kind < 0.6, 0.0, torch.where(kind < 0.67, 1.0, draw.uniform(0, 1)))))


def exposed(draw: Draw, squares: Tensor) -> Tensor:
    """With another tone curve, noise, and half as often inverted as not."""
    squares = squares.clamp(0, 1) ** spread(draw.uniform(-0.9, 0.9).exp())
    noise = torch.randn(squares.shape, generator=draw.generator)
    squares = squares + noise * spread(draw.uniform(0, 0.12) * draw.chance(0.4))
    return torch.where(spread(draw.chance(0.35)), 1 - squares, squares)


def make_batch(pool: Pool, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Standardised pictures (B, 1, SIDE, SIDE) and heatmaps (B, L, SIDE, SIDE), of both hands where there are two."""
    draw = Draw(BATCH, generator)
    two = draw.chance(TWO)
    size_of_first, size_of_second, middle_of_first, middle_of_second = place_two(draw)
    size = torch.where(draw.chance(0.3), draw.uniform(0.75, 1.1), draw.uniform(*np.log(SIZES)).exp())
    size = torch.where(two, size_of_first, size)
    room = (0.5 * (1 - size).abs() + 0.1)[:, None]  # a small hand lies anywhere in the frame, a large one partly beside it
    middle = torch.where(two[:, None], middle_of_first, (0.5 + draw.uniform(-1, 1, 2) * room) * SIDE - 0.5)
    squares, covered, points = lay(draw, pool, size, middle)
    on = spread(draw.chance(0.3) & ~two)  # the frame's border goes on beside it
    squares = torch.where(on, squares, squares * covered + surround(draw, squares) * (1 - covered))

    second, over, others = lay(draw, pool, size_of_second, middle_of_second)
    over = over * spread(two)
    squares = squares * (1 - over) + second * over
    others = others.masked_fill(~two[:, None, None], torch.nan)
    grid = ((2 * points + 1) / SIDE - 1)[:, None]
    hidden = F.grid_sample(over, grid, align_corners=False)[:, 0, 0] > 0.5  # by the frame of the second
    points = points.masked_fill(hidden[..., None], torch.nan)
    heatmaps = torch.maximum(*(draw_heatmaps(one, SIDE, SIDE, SIGMA) for one in (points, others)))
    return standardise(exposed(draw, squares)), heatmaps


def template_of(data: RadiographDataset) -> ShapeTemplate:
    """What the radiographs of a data set have in common, but for those without landmarks: of a joint of either side, one's."""
    shown = np.isfinite(data.points_px).all(-1).sum(1) > 1
    points, sizes, others = data.points_px[shown].copy(), data.sizes_px[shown], np.zeros(shown.sum(), bool)
    if data.joint.laterality == "either":
        others = of_the_other_side(points)
        points[others, :, 0] = (sizes[:, None, 0] - 1 - points[..., 0])[others]
    low, high = np.nanmin(points, 1), np.nanmax(points, 1)
    margins = np.stack([low + 0.5, sizes - 0.5 - high], 1) / extent(low, high)[:, None]
    pictures = (data.picture(i).astype(np.float32) for i in np.flatnonzero(shown))
    look = np.mean([ranks(picture[:, ::-1] if other else picture) for picture, other in zip(pictures, others)], 0)
    reflections = (False,) if data.joint.laterality == "none" else (False, True)
    return replace(ShapeTemplate.of_landmarks(points, np.nanmedian(margins, 0)), look=look, reflections=reflections)


def train_finder(data: list[RadiographDataset], steps: int, seed: int, device: torch.device, precision: str) -> Finder:
    """A finder for the joint of the first of some data sets, all with the same landmarks."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    pool = make_pool(data, seed)
    network = make_network(pool.points.shape[1]).to(device, memory_format=torch.channels_last)
    precision = settle(network, [((BATCH, 1, SIDE, SIDE), (network.spatial_factor,))], precision)
    average = [weight.detach().clone() for weight in network.parameters()]
    optimizer = torch.optim.Adam(network.parameters(), RATE, betas=(0.9, 0.99), fused=True)
    with tqdm(range(steps), desc="finder", unit=" steps", disable=None) as bar:
        for step in bar:
            for group in optimizer.param_groups:
                group["lr"] = RATE * min(1, (step + 1) / WARMUP) * (1 - step / steps)
            images, targets = (part.to(device, non_blocking=True) for part in make_batch(pool, generator))
            with autocast(device, precision):
                heatmaps, _, _ = network(images.contiguous(memory_format=torch.channels_last))
            loss = heatmap_errors(heatmaps.float(), targets).sum() / BATCH
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), CLIP)
            optimizer.step()
            with torch.no_grad():
                decay = min(AVERAGING, (1 + step) / (10 + step))
                torch._foreach_lerp_(average, list(network.parameters()), 1 - decay)
            if step % 20 == 0:
                bar.set_postfix_str(f"loss {loss.item():.2f}")
    with torch.no_grad():
        torch._foreach_copy_(list(network.parameters()), average)
    return Finder(template_of(data[0]), network, precision)
