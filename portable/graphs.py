"""The graphs of a complete model: what each takes and gives, as `model.json` says it, in the order that they are called in.

Each is a function of tensors, by whose names landmarks.py and landmarks.js call it, and mostly of the predictor. A *view* is
(2, 3): its matrix and its shift. A *placement* is six numbers: turn and shift as complex numbers, mirrored (0 or 1), support; a
*hand* has four more, the corners of its frame.
"""

import copy
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from finder.network import MOST, PEAKS, SIDE, highest, standardise
from finder.placement import Placement, without
from finder.placement import place as place_shape
from finder.template import Found, ranks
from heatmap import fit_peaks, rescale
from portable import pictures
from prediction.candidate import is_off, is_same
from prediction.predictor import Predictor
from prediction.regions import conjugate, semi_axes
from radiographs.detail import BEYOND, USUAL
from radiographs.view import View
from runtime import arrays
from second_look.crops import cut, of_crops
from second_look.network import locate

DYNAMIC = {"picture": ("height", "width"), "rows": ("rows",), "columns": ("columns",), "taps": ("taps",)}  # sides that may differ


@dataclass
class Graph:
    """`module` takes `inputs`, examples of them by name, and gives `outputs`; `dynamic` names the sides that may differ."""

    module: nn.Module
    inputs: dict[str, Tensor]
    outputs: tuple[str, ...]
    dynamic: dict[str, tuple[str, ...]]


class Calls(nn.Module):
    """A function as a module, with the network that it calls."""

    def __init__(self, function: Callable, network: nn.Module | None):
        super().__init__()
        self.function, self.network = function, network

    def forward(self, *inputs: Tensor):
        return self.function(*inputs)


def graphs_of(predictor: Predictor) -> dict[str, Graph]:
    """Those that a network needs, by name."""
    predictor = copy.copy(predictor)
    predictor.calibration = arrays.as_tensors(predictor.calibration)
    outputs: dict[Callable, str] = {
        opened: "size whole letterbox border hand",
        plan: "halvings taps detail_view detail_halvings detail_taps detail_size",
        pictures.halve: "picture view",
        pictures.sample: "picture",
        pictures.resize_to: "picture",
        first: "points confidence covariances mean negative bright outlined",
        conclude: "points centre unit ellipses landmark_flags alien degrees",
    }
    networks = {first: predictor.model, second: predictor.second}
    if predictor.finder:
        predictor.finder = copy.copy(predictor.finder)
        predictor.finder.template = arrays.as_tensors(predictor.finder.template)
        networks[see] = predictor.finder.network.float()
        outputs |= {
            pictures.sample_filled: "picture",
            see: "peaks heights",
            place: "placement accepted view heights",
            settle: "hand",
        }
        outputs |= {aim: "view is_whole", correct: "evidence moved hand view is_whole"}
    if predictor.second:
        outputs[second] = "points covariances"
    examples, made = examples_of(predictor), {}
    for function, names in outputs.items():
        parameters = inspect.signature(function).parameters
        inputs = {name: examples[name] for name in parameters if name != "predictor"}
        dynamic = {name: DYNAMIC[name] for name in inputs if name in DYNAMIC}
        module = Calls(partial(function, predictor) if "predictor" in parameters else function, networks.get(function))
        made[function.__name__] = Graph(module, inputs, tuple(names.split()), dynamic)
    return made


def examples_of(predictor: Predictor) -> dict[str, Tensor]:
    """Of every input."""
    landmarks, hand = len(predictor.names), torch.rand(10).double() + 1
    return {
        "picture": torch.rand(41, 53),
        "size": torch.tensor([53.0, 41]).double(),
        "border": torch.tensor(0.5),
        "view": torch.tensor([[0.5, 0, 0.2], [0, 0.5, 0.3]]).double(),
        "frame": torch.tensor(predictor.frame),
        "rows": torch.arange(11).double(),
        "columns": torch.arange(13).double(),
        "taps": torch.arange(2).double(),
        "square": torch.rand(SIDE, SIDE),
        "peaks": torch.rand(landmarks, PEAKS, 2).double() * 40,
        "heights": torch.rand(landmarks, PEAKS).double(),
        "others": torch.zeros(MOST, 6).double(),
        "placement": hand[:6],
        "hand": hand,
        "alone": torch.tensor(True),
        "framed": torch.rand(predictor.frame),
        "negative": torch.tensor(0),
        "darkened": torch.tensor(False),
        "points": torch.rand(landmarks, 2).double() * 40,
        "confidence": torch.rand(landmarks).double(),
        "covariances": torch.eye(2).double().repeat(landmarks, 1, 1),
    }


# ---- numbers of graphs, and what they stand for


def view_of(view: Tensor, extent: tuple[int, int] | Tensor) -> View:
    return View(view[:, :2], view[:, 2], extent)


def of_view(view: View) -> Tensor:
    return torch.cat([view.matrix, view.shift[:, None]], 1)


def placement_of(numbers: Tensor) -> Placement:
    a, b, x, y, mirrored, support = numbers.unbind()
    return Placement(arrays.Complex(a, b), arrays.Complex(x, y), mirrored > 0.5, support)


def of_placement(one: Placement) -> Tensor:
    parts = one.turn.real, one.turn.imag, one.shift.real, one.shift.imag, one.mirrored, one.support
    return torch.stack([torch.as_tensor(part, dtype=torch.float64) for part in parts])


def hand_of(numbers: Tensor) -> Found:
    return Found(placement_of(numbers[:6]), numbers[6:].reshape(2, 2))


def of_hand(found: Found) -> Tensor:
    return torch.cat([of_placement(found.placement), found.frame.reshape(-1)])


def size_of(picture: Tensor) -> Tensor:
    """(2) width and height."""
    return torch.stack([pictures.span(side)[-1] + 1 for side in picture.shape[::-1]])


# ---- the graphs


def opened(predictor: Predictor, picture: Tensor):
    size = size_of(picture)
    views = View.whole(size.flip(0), predictor.frame), View.letterbox(size.flip(0), SIDE)
    hand = of_hand(predictor.finder.whole(size)) if predictor.finder else 0 * size[0] + torch.zeros(10, dtype=torch.float64)
    return size, *map(of_view, views), pictures.border_grey(picture), hand


def plan(predictor: Predictor, view: Tensor, frame: Tensor):
    """How to sample a view, and the same one in detail px: a frame's view is drawn out until its longer side has enough."""
    shown = view_of(view, frame.flip(0).double())
    longer = predictor.second_look["longer"] if predictor.second else 1
    detail = (shown.sides * longer / shown.sides.max()).round().clamp_min(1)
    detailed = of_view(shown.resized(detail))
    return *pictures.plan(view), detailed, *pictures.plan(detailed), detail.flip(0).long()


def see(predictor: Predictor, square: Tensor, view: Tensor):
    """The finder's peaks (L, K, 2) px of the picture that a view shows, and their heights (L, K)."""
    points, heights = highest(predictor.finder.network(standardise(square[None, None]))[0][0])
    return view_of(view, (SIDE, SIDE)).to_picture(points), heights


def place(predictor: Predictor, peaks: Tensor, heights: Tensor, others: Tensor):
    """Where the next hand lies, whether it is one besides `others`, the view of it, and the heights of peaks that it leaves.

    Of `others` those that are zeros are not found yet.
    """
    finder, shape = predictor.finder, predictor.finder.template.shape
    placement = place_shape(shape, peaks, heights, finder.template.reflections)
    before = [placement_of(other) for other in others]
    there = [abs(other.turn) > 0 for other in before]
    others = [arrays.chosen(holds, other, before[0]) for holds, other in zip(there, before)]
    accepted = (placement.support >= 0) & (~there[0] | finder.is_another(placement, others))
    return of_placement(placement), accepted, of_view(finder.view_around(placement)), without(placement, shape, peaks, heights)


def settle(predictor: Predictor, placement: Tensor, peaks: Tensor, heights: Tensor):
    return of_hand(predictor.finder.settled(placement_of(placement), peaks, heights))


def aim(predictor: Predictor, hand: Tensor, size: Tensor, alone: Tensor):
    """The view that the accurate network is to see of a hand, and whether it is all of the picture."""
    view = predictor.view_of(hand_of(hand), size.flip(0), alone)
    return of_view(view), is_same(view, View.whole(size.flip(0), predictor.frame))


def first(predictor: Predictor, framed: Tensor, negative: Tensor, darkened: Tensor):
    """`negative`: 1 or 0, or -1 where the view itself is to tell whether dark bone must be made bright."""
    if predictor.finder:
        alike = (ranks(framed) * predictor.finder.template.look).sum()
        negative = torch.where(negative < 0, (alike < 0).long(), negative)
    shown, bright = pictures.as_seen(framed, negative > 0, darkened)
    outline, profile, outlined = None, predictor.profile, torch.tensor(True)
    if profile is not None:
        (outline, outlined), profile = pictures.hand_outline(shown), torch.from_numpy(profile)
    image = pictures.to_8_bit(shown, profile, outline) / 127.5 - 1
    times = predictor.network_size // predictor.size
    heatmaps = predictor.model(F.avg_pool2d(image[None, None], times), predictor.spatial_factor)[0]
    tree = predictor.tree
    points, heights, covariances = fit_peaks(tree.only_chosen(heatmaps, times) if tree else heatmaps)
    confidence = heights[0].double()
    points, covariances = rescale(points[0], times).double(), (covariances[0] * times**2).double()
    return points, confidence, covariances, confidence.mean(), negative, bright, outlined


def correct(predictor: Predictor, points: Tensor, confidence: Tensor, hand: Tensor, view: Tensor, size: Tensor, alone: Tensor):
    """How much there is of the hand, whether its landmarks say that its view was off, and the better one."""
    found, shown = hand_of(hand), view_of(view, predictor.frame[::-1])
    at = shown.to_picture(points)
    better = of_hand(predictor.finder.by_landmarks(at, confidence, found))
    other, is_whole = aim(predictor, better, size, alone)
    moved = is_off(shown, view_of(other, shown.extent), found)
    return predictor.evidence(at, confidence, found), moved, better, other, is_whole


def second(predictor: Predictor, picture: Tensor, points: Tensor, negative: Tensor, darkened: Tensor):
    """Points (L, 2) network-frame px, seen again in a view in detail px, and their covariances."""
    shown, _ = pictures.as_seen(picture, negative > 0, darkened)
    low, high = pictures.quantiles(shown, None, np.array(USUAL) / 100).unbind()
    grey = (shown.double() - low) / torch.where(high > low, high - low, 1.0)
    grey = ((grey + BEYOND) * (255 / (1 + 2 * BEYOND))).round().clamp(0, 255).float()
    grey = 2 * (grey * ((1 + 2 * BEYOND) / 255) - BEYOND) - 1
    (height, width), side = predictor.frame, predictor.second_look["size"]
    back = torch.tensor([width, height]).double() / size_of(shown)
    centres = rescale(points, 1 / back).float()
    heatmaps = predictor.second(cut(grey[None], centres, side), torch.arange(len(points)))
    found, covariances = locate(heatmaps)
    return rescale(of_crops(found, centres, side).double(), back), covariances.double() * back[:, None] * back


def conclude(
    predictor: Predictor, points: Tensor, confidence: Tensor, covariances: Tensor, view: Tensor, hand: Tensor, size: Tensor
):
    """Landmarks px of the picture with regions and flags; middle and size of the hand, by which it is compared with others."""
    shown, placement, calibration = view_of(view, predictor.frame[::-1]), hand_of(hand).placement, predictor.calibration
    at, late = shown.to_picture(points), predictor.joint.late
    signs, alien = calibration.signs(at, confidence, size, shown.scale * predictor.network_size, late)
    ellipses = semi_axes(conjugate(shown.matrix, calibration.regions.of(covariances, confidence)))
    return at, at.mean(0), abs(placement.turn), torch.stack(ellipses, -1), signs, alien, placement.degrees.round()
