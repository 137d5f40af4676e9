"""Where hands lie in a picture: a small SCN sees their landmarks at any angle and size, and the mean shape is fitted to them.

That gives the view that the accurate network expects: upright, of one side, framed as the training radiographs are. It is the
same for any joint. A first look at the whole picture says roughly where a hand lies; a second one, at that place alone, how.
"""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from finder.placement import WIDER, Placement, complex_of, fit, place, seen_near, without
from finder.template import NARROWEST, Found, ShapeTemplate, extent
from heatmap import decode_heatmaps
from model import SCN
from radiographs.view import View, sample
from runtime import arrays
from runtime.device import autocast

SIDE = 64  # px of the square that the network sees
NETWORK = {"channels": 32, "spatial_factor": 4, "dropout": 0.0}
PEAKS = 3  # of each heatmap that are looked at: two hands may lie in a picture, and fingers resemble each other
APART = 3  # px, between two peaks of one heatmap
ROOM = 1.3  # times the frame's longer side: the square of the second look
ANOTHER = 0.25  # of support, that a second hand in a picture needs; and of the first one's:
ANOTHER_SHARE = 0.4
ALIKE = 0.45  # of the larger hand's size, that another one in the same picture has at least
MOST = 4  # hands in a picture
ROUNDS, KEPT = 3, 0.67  # of fitting to the share of landmarks that lie nearest
SURE, FAR_OFF = 0.5, WIDER  # of the median confidence; shape units from the mean shape: what a frame has to hold
USUAL = 0.02, 0.98  # quantiles of the intensities that are brought to -0.8 and 0.8


def make_network(landmarks: int) -> SCN:
    return SCN(num_landmarks=landmarks, **NETWORK)


def highest(heatmaps: Tensor) -> tuple[Tensor, Tensor]:
    """Heatmaps (..., L, H, W) -> the PEAKS highest of each: points (..., L, K, 2) px, heights (..., L, K) in [0, 1], float64."""
    points, heights = [], []
    rows, columns = (torch.arange(n, dtype=torch.float32, device=heatmaps.device) for n in heatmaps.shape[-2:])
    heatmaps = heatmaps.float()
    for _ in range(PEAKS):
        peak, height = decode_heatmaps(heatmaps)
        points.append(peak)
        heights.append(height)
        x, y = peak[..., None, None].unbind(-3)
        heatmaps = heatmaps.masked_fill(((rows[:, None] - y).abs() <= APART) & ((columns - x).abs() <= APART), 0.0)
    return torch.stack(points, -2).double(), torch.stack(heights, -1).clamp(0, 1).double()


def standardise(pictures: Tensor) -> Tensor:
    """(B, 1, H, W) of any intensities -> about [-1, 1], by the usual ones."""
    low, high = torch.quantile(pictures.flatten(1), torch.tensor(USUAL, device=pictures.device), dim=1)[..., None, None, None]
    return ((pictures - (low + high) / 2) / ((high - low).clamp_min(1e-6) / 1.6)).clamp(-1.5, 1.5)


class Finder:
    """`find(pixels)` -> where hands lie in a picture, the surest first."""

    def __init__(self, template: ShapeTemplate, network: SCN, precision: str = "float32"):
        self.precision = precision
        self.template, self.network = template, network.eval().to(memory_format=torch.channels_last)
        self.device = next(network.parameters()).device

    @classmethod
    def from_file(cls, stored: dict, device: torch.device, precision: str = "float32") -> "Finder":
        """From what a weights file holds under "finder"."""
        shape, margins, look = (stored[name].double().numpy() for name in ("shape", "margins", "look"))
        if "narrowest" not in stored:  # margins of the time when they were parts of the own extent
            low, high = shape.min(0), shape.max(0)
            margins = margins * (high - low) / extent(low, high)
        network = make_network(len(shape)).to(device)
        network.load_state_dict(stored["weights"])
        return cls(ShapeTemplate(shape, margins, look, tuple(stored["reflections"])), network, precision)

    def to_file(self) -> dict:
        """What a weights file holds under "finder", the weights in half precision."""
        template = {name: torch.from_numpy(getattr(self.template, name)).float() for name in ("shape", "margins", "look")}
        weights = {name: weight.half() for name, weight in self.network.state_dict().items()}
        return template | {"narrowest": NARROWEST, "reflections": list(self.template.reflections), "weights": weights}

    @torch.inference_mode()
    def see(self, pictures: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Squares of SIDE px -> the `highest` peaks of their heatmaps, as arrays."""
        images = standardise(torch.from_numpy(np.stack(pictures))[:, None].to(self.device))
        with autocast(self.device, self.precision):
            heatmaps, _, _ = self.network(images.contiguous(memory_format=torch.channels_last))
        points, heights = highest(heatmaps.cpu())
        return points.numpy(), heights.numpy()

    def find(self, pixels: np.ndarray) -> list[Found]:
        """Where hands lie in a picture (rows, columns), the surest first; the first is there whatever the picture shows."""
        template, rough = self.template, []
        whole = View.letterbox(pixels.shape, SIDE)
        (points,), (heights,) = self.see([sample(pixels, whole, "median")])
        points = whole.to_picture(points)
        while len(rough) < MOST and (placement := place(template.shape, points, heights, template.reflections)):
            if rough and not self.is_another(placement, rough):
                break
            rough.append(placement)
            heights = without(placement, template.shape, points, heights)
        return [self.look_again(pixels, placement) for placement in rough] or [self.whole(np.array(pixels.shape[::-1]))]

    def whole(self, size: np.ndarray) -> Found:
        """A hand that fills a picture of `size` (width, height), where no peaks say that it lies otherwise."""
        low, high = self.template.frame()
        turn = (size / (high - low)).min()
        shift = (size - 1) / 2 - turn * (low + high) / 2
        return Found(Placement(arrays.as_complex(turn, 0 * turn), complex_of(shift), False), self.template.frame())

    def is_another(self, placement: Placement, others: list[Placement]) -> bool:
        """Whether a placement is that of another hand than those found before."""
        xp = arrays.of(placement.turn)
        sizes = xp.stack([abs(one.turn) for one in (placement, *others)])
        apart = xp.stack([abs(placement.shift - other.shift) for other in others])
        sure = (placement.support > ANOTHER) & (placement.support > others[0].support * ANOTHER_SHARE)
        return sure & (sizes.min() > sizes.max() * ALIKE) & (apart.min() > sizes.min())

    def look_again(self, pixels: np.ndarray, rough: Placement) -> Found:
        """A hand, by the peaks in a view of that place alone."""
        view = self.view_around(rough)
        (points,), (heights,) = self.see([sample(pixels, view, "median")])
        return self.settled(rough, view.to_picture(points), heights)

    def view_around(self, rough: Placement) -> View:
        """The place where a hand roughly lies."""
        low, high = self.template.frame()
        half = ROOM / 2 * (high - low).max()
        corners = (low + high) / 2 + half * arrays.like(low, [[-1, -1], [1, -1], [-1, 1]])
        return View.of_corners(rough.apply(corners), (SIDE, SIDE))

    def settled(self, rough: Placement, points: np.ndarray, heights: np.ndarray) -> Found:
        """A hand by the peaks, px of the picture, in the view around where it roughly lies."""
        placement, usual = place(self.template.shape, points, heights, self.template.reflections), self.template.frame()

        def found() -> Found:
            seen = seen_near(placement, self.template.shape, points, heights)
            return Found(placement, self.template.frame(placement.undo(seen)))

        return arrays.choose(placement is not None and placement.support >= rough.support / 2, found, Found(rough, usual))

    def by_landmarks(self, points_px: np.ndarray, confidence: np.ndarray, found: Found) -> Found:
        """A hand, by the landmarks (L, 2) px of the accurate network: the worst third is left out, and the doubtful ones."""
        xp, shape, mirrored = arrays.of(points_px), self.template.shape, found.placement.mirrored
        weights, placement, enough = arrays.in_unit(confidence) ** 2, found.placement, []
        for _ in range(ROUNDS):
            off = abs(complex_of(points_px) - complex_of(placement.apply(shape)))
            kept = weights * (off <= xp.quantile(off, KEPT))
            enough.append((kept > 0).sum() >= 3)
            placement = arrays.choose(enough[-1], lambda kept=kept: fit(shape, points_px, kept, mirrored), placement)
        sure = confidence > SURE * xp.quantile(confidence, 0.5)
        near = off < FAR_OFF * abs(placement.turn)
        seen = xp.where((sure & near)[:, None], placement.undo(points_px), xp.nan)
        better = Found(replace(placement, support=found.placement.support), self.template.frame(seen))
        return arrays.choose(xp.stack(enough).all(), lambda: better, found)
