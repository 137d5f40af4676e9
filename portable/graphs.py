"""The graphs of a complete model: what each takes and gives, as `model.json` says it, in the order that they are called in."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from finder.network import MOST, PEAKS, SIDE, highest, standardise
from heatmap import fit_peaks, rescale
from portable import pictures, shapes
from prediction.predictor import Predictor
from radiographs.detail import BEYOND, USUAL
from second_look.crops import cut, of_crops
from second_look.network import around_the_likely


@dataclass
class Graph:
    """`module` takes `inputs`, examples of them by name, and gives `outputs`; `dynamic` names the sides that may differ."""

    module: nn.Module
    inputs: dict[str, Tensor]
    outputs: tuple[str, ...]
    dynamic: dict[str, dict[int, str]]


class Calls(nn.Module):
    """A function as a module, with the networks that it calls."""

    def __init__(self, function: Callable, **networks: nn.Module):
        super().__init__()
        self.function = function
        for name, network in networks.items():
            self.add_module(name, network)

    def forward(self, *inputs: Tensor):
        return self.function(*inputs)


def graphs_of(predictor: Predictor) -> dict[str, Graph]:
    """Those that a network needs, by name."""
    template = predictor.finder and predictor.finder.template
    landmarks, (height, width) = len(predictor.names), predictor.frame
    picture, view = torch.rand(41, 53), pictures_view()
    points, confidence = torch.rand(landmarks, 2).double() * 40, torch.rand(landmarks).double()
    covariances = torch.eye(2).double().repeat(landmarks, 1, 1)
    found, size, yes = torch.rand(10).double() + 1, torch.tensor([53.0, 41]).double(), torch.tensor(True)
    peaks = torch.rand(landmarks, PEAKS, 2).double() * 40, torch.rand(landmarks, PEAKS).double()
    rows, columns, taps = (torch.arange(n).double() for n in (11, 13, 2))
    framed = torch.rand(height, width)
    sides = {"picture": {0: "height", 1: "width"}, "rows": {0: "rows"}, "columns": {0: "columns"}, "taps": {0: "taps"}}
    shaped = {"rows": rows, "columns": columns}
    longer = predictor.second_look["longer"] if predictor.second else 1

    def add(name: str, function: Callable, outputs: str, inputs: dict[str, Tensor], **networks: nn.Module) -> None:
        dynamic = {of: sides[of] for of in inputs if of in sides}
        made[name] = Graph(Calls(function, **networks), inputs, tuple(outputs.split()), dynamic)

    made: dict[str, Graph] = {}
    add("open", lambda picture: opened(predictor, picture), "size whole letterbox border hand", {"picture": picture})
    add("plan", lambda view, n: planned(view, n, longer),
        "halvings taps detail_view detail_halvings detail_taps detail_size",
        {"view": view, "frame": torch.tensor(predictor.frame)})  # fmt: skip
    add("halve", pictures.halve, "picture view", {"picture": picture, "view": view})
    add("sample", pictures.sample, "picture", {"picture": picture, "view": view} | shaped | {"taps": taps})
    add("resize", pictures.resize_to, "picture", {"picture": picture} | shaped)
    if template:
        shape, finder = torch.from_numpy(template.shape), predictor.finder.network.float()
        others = torch.zeros(MOST, 6).double()
        add("sample_filled", pictures.sample, "picture",
            {"picture": picture, "view": view} | shaped | {"taps": taps, "border": picture[0, 0]})  # fmt: skip
        add("see", lambda square, view: seen(finder, square, view), "points heights",
            {"picture": torch.rand(SIDE, SIDE), "view": view}, finder=finder)  # fmt: skip
        del made["see"].dynamic["picture"]
        add("place", lambda *given: placed(template, shape, *given), "placement accepted view heights",
            {"points": peaks[0], "heights": peaks[1], "others": others})  # fmt: skip
        add("settle", lambda *given: shapes.settle(template, *given), "hand",
            {"placement": found[:6], "points": peaks[0], "heights": peaks[1]})  # fmt: skip
        add("aim", lambda hand, size, alone: shapes.aim(hand, size, alone, predictor.frame), "view is_whole",
            {"hand": found, "size": size, "alone": yes})  # fmt: skip
        add("correct", lambda *given: corrected(predictor, *given), "evidence moved hand view is_whole",
            {"points": points, "confidence": confidence, "hand": found, "view": view, "size": size, "alone": yes})  # fmt: skip
    add("first", lambda *given: first_look(predictor, *given), "points confidence covariances mean negative bright outlined",
        {"picture": framed, "negative": torch.tensor(0), "darkened": ~yes}, network=predictor.model)  # fmt: skip
    del made["first"].dynamic["picture"]
    if predictor.second:
        add("second", lambda *given: second_look(predictor, *given), "points covariances",
            {"picture": picture, "points": points, "negative": yes, "darkened": ~yes}, network=predictor.second)  # fmt: skip
    add("conclude", lambda *given: concluded(predictor, *given), "points centre unit ellipses landmark_flags alien degrees",
        {"points": points, "confidence": confidence, "covariances": covariances, "view": view, "hand": found,
         "size": size})  # fmt: skip
    return made


def pictures_view() -> Tensor:
    return torch.tensor([[0.5, 0, 0.2], [0, 0.5, 0.3]]).double()


def size_of(picture: Tensor) -> Tensor:
    """(2) width and height."""
    return torch.stack([pictures.span(side)[-1] + 1 for side in picture.shape[::-1]])


def opened(predictor: Predictor, picture: Tensor):
    size = size_of(picture)
    return (
        size,
        shapes.whole(size, predictor.frame[::-1]),
        shapes.letterbox(size),
        pictures.border_grey(picture),
        shapes.all_of(predictor.finder.template, size) if predictor.finder else torch.zeros(10).double() + 0 * size[0],
    )


def planned(view: Tensor, frame: Tensor, longer: int):
    """How to sample a view, and the same one in detail px: a frame's view is drawn out until its longer side has `longer` px."""
    extent = frame.flip(0).double()
    sides = view[:, :2].norm(dim=0) * extent
    detail = (sides * longer / sides.max()).round().clamp_min(1)
    factor = extent / detail
    shift = view[:, :2] @ (0.5 * factor - 0.5) + view[:, 2]
    detail_view = torch.cat([view[:, :2] * factor, shift[:, None]], 1)
    return *pictures.plan(view), detail_view, *pictures.plan(detail_view), detail.flip(0).long()


def seen(network: nn.Module, square: Tensor, view: Tensor) -> tuple[Tensor, Tensor]:
    """The finder's peaks (L, K, 2) px of the picture that a view shows, and their heights (L, K)."""
    points, heights = highest(network(standardise(square[None, None]))[0][0])
    return shapes.to_picture(view, points), heights


def placed(template, shape: Tensor, points: Tensor, heights: Tensor, others: Tensor):
    """Where the next hand lies, whether it is one besides `others`, the view of it, and the heights of peaks that it leaves."""
    placement, found = shapes.place(shape, points, heights, template.reflections)
    accepted = found & shapes.is_another(placement, others)
    return placement, accepted, shapes.again(template, placement), shapes.without(placement, shape, points, heights)


def first_look(predictor: Predictor, framed: Tensor, negative: Tensor, darkened: Tensor):
    """`negative`: 1 or 0, or -1 where the view itself is to tell whether dark bone must be made bright."""
    if predictor.finder:
        alike = (pictures.ranks(framed) * torch.from_numpy(predictor.finder.template.look)).sum()
        negative = torch.where(negative < 0, (alike < 0).long(), negative)
    shown, bright = pictures.as_seen(framed, negative > 0, darkened)
    outline, profile, outlined = None, predictor.profile, torch.tensor(True)
    if profile is not None:
        (outline, outlined), profile = pictures.hand_outline(shown), torch.from_numpy(profile)
    image = pictures.to_8_bit(shown, profile, outline) / 127.5 - 1
    times = predictor.network_size // predictor.size
    heatmaps = predictor.model(F.avg_pool2d(image[None, None], times), predictor.spatial_factor)[0]
    points, heights, covariances = fit_peaks(heatmaps)
    if not predictor.fitted_heights:
        heights = heatmaps.amax((-2, -1))
    confidence = heights[0].double()
    points, covariances = rescale(points[0], times).double(), (covariances[0] * times**2).double()
    return points, confidence, covariances, confidence.mean(), negative, bright, outlined


def corrected(predictor: Predictor, points: Tensor, confidence: Tensor, hand: Tensor, view: Tensor, size: Tensor, alone: Tensor):
    """How much there is of the hand, whether its landmarks say that its view was off, and the better one."""
    template, at = predictor.finder.template, shapes.to_picture(view, points)
    better = shapes.by_landmarks(template, at, confidence, hand)
    shape, clipped = torch.from_numpy(template.shape), shapes.in_unit(confidence)
    evidence = torch.maximum(shapes.support(better[:6], shape, at[:, None], clipped[:, None]), hand[5])
    other, is_whole = shapes.aim(better, size, alone, predictor.frame)
    return evidence, shapes.is_off(view, other, hand, predictor.frame), better, other, is_whole


def second_look(predictor: Predictor, detail: Tensor, points: Tensor, negative: Tensor, darkened: Tensor):
    """Points (L, 2) network-frame px, seen again in a view in detail px, and their covariances."""
    shown, _ = pictures.as_seen(detail, negative, darkened)
    low, high = pictures.quantiles(shown, None, [share / 100 for share in USUAL]).unbind()
    grey = (shown.double() - low) / torch.where(high > low, high - low, 1.0)
    grey = ((grey + BEYOND) * (255 / (1 + 2 * BEYOND))).round().clamp(0, 255).float()
    grey = 2 * (grey * ((1 + 2 * BEYOND) / 255) - BEYOND) - 1
    (height, width), side = predictor.frame, predictor.second_look["size"]
    back = shapes.number(width, height) / size_of(shown)
    centres = rescale(points, 1 / back).float()
    heatmaps = predictor.second(cut(grey[None], centres, side), torch.arange(len(points)))
    found, _, covariances = fit_peaks(around_the_likely(heatmaps, side))
    return rescale(of_crops(found, centres, side).double(), back), covariances.double() * back[:, None] * back


def concluded(
    predictor: Predictor, points: Tensor, confidence: Tensor, covariances: Tensor, view: Tensor, hand: Tensor, size: Tensor
):
    """Landmarks px of the picture with regions and flags; middle and size of the hand, by which it is compared with others."""
    calibration, at = predictor.calibration, shapes.to_picture(view, points)
    scale = (view[0, 0] * view[1, 1] - view[0, 1] * view[1, 0]).abs().sqrt()
    late = predictor.joint.late
    landmarks, alien = shapes.flags(calibration, at, confidence, size, scale * predictor.network_size, late)
    x, y = (hand[:2] * torch.where(hand[4] > 0.5, -1.0, 1.0)).unbind()
    regions = shapes.ellipses(calibration, covariances, confidence, view)
    return at, at.mean(0), hand[:2].norm(), regions, landmarks, alien, shapes.angle(x, y).round()
