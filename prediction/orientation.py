"""Which way a radiograph lies: eight orientations, two polarities, recognised by a small network.

Hands come mirrored (right ones), upside down, lying, and with bone dark. The network gives one picture a score for lying as
the training radiographs do, bone bright; the variants of a picture are scored, and the best one is how it must be turned. It sees
ranks instead of intensities, so exposure and contrast cannot matter, and a negative is exactly minus its positive.

Not every joint can be told from its mirror image, and a network that guesses would swap left and right unseen: validation
radiographs show which variants are told apart, and only those are tried.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from augment import Augment

SIDE = 64  # px of what the network sees
STEPS, BATCH, RATE = 500, 8, 1e-3  # of its training
MOST_CONFUSED = 0.05  # of validation radiographs, that may be taken for mirrored, turned or inverted ones
FEWEST = 5  # validation radiographs that say so: a coin gets four right in one of sixteen tries
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
KINDS = {  # of variants, in the order in which they are given up: a swapped side is what nobody sees
    "mirrored": [variant.mirrored for variant in VARIANTS],
    "turned": [variant.quarter_turns > 0 for variant in VARIANTS],
    "inverted": [variant.negative for variant in VARIANTS],
}


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


@torch.no_grad()
def recognition(net: OrientationNet, pictures: np.ndarray) -> np.ndarray:
    """Scores (N, 16) of upright pictures (N, size, size) uint8. In another variant a picture has the same ones, reordered."""
    return np.concatenate([net.scores(torch.from_numpy(picture[None, None]).float()).numpy() for picture in pictures])


def usable_variants(scores: np.ndarray) -> tuple[list[int], dict[str, float]]:
    """Which of VARIANTS are told apart, by scores (N, 16) of upright radiographs not trained on.

    Also the kinds of variants that are given up, with the share of radiographs that were taken for such. Of what stays, each
    turns into every other one, so that a radiograph is brought upright in one way however it comes, of those that are left.
    """
    left, confused = np.arange(len(VARIANTS)), {}
    for kind, has in KINDS.items():
        has = np.array(has)
        share = float(has[left[scores[:, left].argmax(1)]].mean()) if len(scores) else 0.0
        if share > MOST_CONFUSED or len(scores) < FEWEST:
            left, confused[kind] = left[~has[left]], share
    return left.tolist(), confused


def not_looked_for(variants: list[int]) -> list[str]:
    """The kinds that none of these variants is of."""
    return [kind for kind, has in KINDS.items() if not any(has[k] for k in variants)]


def recognition_line(scores: np.ndarray, confused: dict[str, float]) -> str:
    """How well orientations are recognised, by scores as in `usable_variants`, and what follows from what is given up."""
    count, right = len(scores), int((scores.argmax(1) == 0).sum())
    tried = [kind for kind in KINDS if kind not in confused]
    reasons = {kind: f"confused in {100 * share:.0f} %" for kind, share in confused.items()}
    if count < FEWEST:
        reasons = dict.fromkeys(confused, "too few to tell")
    return (
        f"orientation: {right * len(VARIANTS)} of {count * len(VARIANTS)} recognised ({count} validation radiographs in "
        f"{len(VARIANTS)} variants); predict.py looks for {', '.join(tried) or 'none'}"
        + "".join(f", not for {kind} ({reason})" for kind, reason in reasons.items())
    )
