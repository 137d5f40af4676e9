"""Which way a radiograph lies: eight orientations, two polarities, recognised by a small network.

Hands come mirrored (right ones), upside down, lying, and with bone dark. The network gives one picture a score for lying as
the training radiographs do, bone bright; all sixteen variants of a picture are scored, and the best one is how it must be
turned. It sees ranks instead of intensities, so exposure and contrast cannot matter, and a negative is exactly minus its
positive.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from augment import Augment

SIDE = 64  # px of what the network sees
STEPS, BATCH, RATE = 500, 8, 1e-3  # of its training
AUGMENT = Augment(0, 0, translation=0.12, rotation=25, scaling=0.3, stretch=0.1, elastic=0.04, elastic_intervals=4)


@dataclass(frozen=True)
class Orientation:
    """What brings a picture upright: inverted if `negative`, mirrored if `mirrored`, then turned left by quarter turns."""

    quarter_turns: int = 0
    mirrored: bool = False
    negative: bool = False

    def apply(self, picture: np.ndarray) -> np.ndarray:
        """(rows, columns) -> the picture upright, bone bright."""
        if self.negative:
            picture = picture.max() + picture.min() - picture
        return np.rot90(picture[:, ::-1] if self.mirrored else picture, self.quarter_turns)

    def undo(self, points: np.ndarray, size: int) -> np.ndarray:
        """Points (..., 2) as (x, y) px of the upright square picture -> of the picture as it came."""
        x, y = points[..., 0], points[..., 1]
        for _ in range(self.quarter_turns):
            x, y = size - 1 - y, x
        return np.stack([size - 1 - x if self.mirrored else x, y], -1)

    def __str__(self) -> str:
        parts = [f"turned left by {90 * self.quarter_turns} degrees"] if self.quarter_turns else []
        parts = ["mirrored"] * self.mirrored + parts + ["inverted"] * self.negative
        return ", ".join(parts) or "as it came"


VARIANTS = [
    Orientation(turns, mirrored, negative) for negative in (False, True) for mirrored in (False, True) for turns in range(4)
]


def ranks(pictures: Tensor) -> Tensor:
    """Pictures (B, 1, H, W) -> (B, 1, SIDE, SIDE) in [-1, 1]: the share of pixels that are darker."""
    flat = F.adaptive_avg_pool2d(pictures, SIDE).flatten(1)
    ordered = flat.sort(1).values
    below, up_to = (torch.searchsorted(ordered, flat, right=right) for right in (False, True))
    return ((below + up_to) / flat.shape[1] - 1).reshape(-1, 1, SIDE, SIDE)


def variants(pictures: Tensor) -> Tensor:
    """(B, 1, SIDE, SIDE) ranks -> (B * 16, 1, SIDE, SIDE): each picture as every one of VARIANTS would bring it upright."""
    mirrored = [pictures, pictures.flip(-1)]
    turned = torch.stack([torch.rot90(picture, turns, (-2, -1)) for picture in mirrored for turns in range(4)], 1)
    return torch.cat([turned, -turned], 1).flatten(0, 1)


class OrientationNet(nn.Sequential):
    """Ranks (B, 1, SIDE, SIDE) -> scores (B, 1). 5 million multiplications a picture."""

    def __init__(self):
        layers: list[nn.Module] = []
        for before, after, kernel, stride in ((1, 16, 5, 2), (16, 32, 3, 2), (32, 64, 3, 2), (64, 64, 3, 1)):
            layers += [nn.Conv2d(before, after, kernel, stride, kernel // 2), nn.LeakyReLU(0.1)]
        super().__init__(*layers, nn.AvgPool2d(2), nn.Flatten(), nn.Linear(64 * (SIDE // 16) ** 2, 1))

    def scores(self, pictures: Tensor) -> Tensor:
        """Pictures (B, 1, H, W) -> (B, 16) scores of their VARIANTS; the highest is how to turn it."""
        return self(variants(ranks(pictures))).reshape(-1, len(VARIANTS))


def train_orientation(pictures: np.ndarray, seed: int) -> OrientationNet:
    """Learn from upright pictures (N, size, size) uint8, bone bright."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    net = OrientationNet()
    optimizer = torch.optim.Adam(net.parameters(), RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, STEPS)
    upright = torch.zeros(BATCH, dtype=torch.long)  # the variant that changes nothing is the first
    for _ in range(STEPS):
        chosen = torch.randint(len(pictures), (BATCH,), generator=generator)
        batch = torch.from_numpy(pictures[chosen.numpy()]).float()[:, None] / 127.5 - 1
        batch, _ = AUGMENT(batch, torch.zeros(BATCH, 1, 2), generator)
        loss = F.cross_entropy(net.scores(batch), upright)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return net.eval()
