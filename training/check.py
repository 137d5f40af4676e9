"""Looks for the mistakes that training would hide: a picture in two splits, points beside the hand or in another order.

Findings are suspicions for a person to look at; training goes on with them.
"""

from collections.abc import Iterator
from itertools import combinations

import numpy as np
import torch
from scipy.ndimage import binary_dilation
from scipy.optimize import linear_sum_assignment

from augment import Augment, move
from dataloader import RadiographDataset
from heatmap import decode_heatmaps, draw_heatmaps, rescale
from joints.shape import mirror_order, normalise, of_the_other_side
from radiographs.fingerprint import alike
from radiographs.network_frame import hand_outline
from runtime.files import first_few

REACH = 0.03  # share of the picture's size: how far from the hand's outline a landmark may lie
OUTSIDE_SHARE = 0.25  # share of landmarks beyond it, from which on a radiograph is named
MOST_OUTSIDE = 0.1  # share of the radiographs: where more are named, it is the outline that is wrong, not the points
MUCH_BETTER = 0.5  # share of points' distance from the mean shape, below which another reading of them must get
OTHER_SIZE = 1.8  # times what the points of others span, or one part in so many
UNUSUAL = 6.0  # times what radiographs usually differ by, as logarithms: where all are framed otherwise, only more counts
FAR_APART = 0.03  # share of the frame, beyond which annotators mean different things: at most 0.018 in 298 cephalograms
TINY = 1e-6  # instead of 0, where all points lie in one place
ODD = 2.0  # times what landmarks usually lie off the mean shape, from which on they may be exchanged
MOVED_TOGETHER_PX = 0.1  # median distance of a warped dot from its warped point


def check(sets: list[RadiographDataset], augment: Augment, limit: int | None = None) -> list[str]:
    """One line per finding. With a limit, only so many pictures of each split are searched for their hand, the slow part."""
    found = [*never_shown(sets[0]), *copies(sets), *outside(sets, limit), *misread(sets), *of_other_size(sets)]
    return [*found, *annotators_apart(sets), *wrong_pairs(sets), *apart(sets[0], augment)]


def name(data: RadiographDataset, i: int) -> str:
    return f"{data.split}/{data.ids[i]}"


def never_shown(data: RadiographDataset) -> Iterator[str]:
    """The landmarks that no radiograph of a split shows."""
    if len(unseen := np.flatnonzero(~np.isfinite(data.points_px).all(-1).any(0))):
        names = first_few([data.joint.names[i] for i in unseen])
        yield f"{data.split} shows no {names}, so nothing can be learnt of it; annotate it, or leave it out of the table"


def copies(sets: list[RadiographDataset]) -> Iterator[str]:
    """Nearly equal pictures in two splits: the same radiograph saved twice, or the same patient."""
    for first, second in combinations(sets, 2):
        for i, j in np.argwhere(alike(first.fingerprints, second.fingerprints)):
            if (first.folder, first.ids[i]) == (second.folder, second.ids[j]):
                continue  # the only radiograph of train, which validates too
            yield f"{name(first, i)} and {name(second, j)}: nearly the same picture in two splits; keep one"


def outside(sets: list[RadiographDataset], limit: int | None) -> list[str]:
    """Landmarks that lie beside the hand, as Otsu's threshold outlines it: none where that outlines no such joint at all."""
    findings, looked = [], 0
    for data in sets:
        for i, points in enumerate(data.points_network_px[:limit]):
            near = binary_dilation(hand_outline(data.picture(i)), iterations=max(1, int(REACH * data.size)))
            x, y = points[np.isfinite(points).all(1)].round().astype(int).clip(0, np.array(data.frame[::-1]) - 1).T
            beside, looked = ~near[y, x], looked + 1
            if beside.size and beside.mean() > OUTSIDE_SHARE:
                where = f"{beside.sum()} of {beside.size} landmarks lie beside the {data.joint.joint or 'body part'}"
                findings.append(f"{name(data, i)}: {where}; are they of this picture?")
    return findings if len(findings) <= max(1, MOST_OUTSIDE * looked) else []


def misread(sets: list[RadiographDataset]) -> Iterator[str]:
    """Points that fit the others far better when read as (y, x), turned, mirrored, or in another order."""
    shapes = np.concatenate([data.points_px for data in sets])
    present = np.isfinite(shapes).all(-1).sum(1) >= 3
    shapes = shapes[present]
    seen = np.isfinite(shapes).all(-1).any(0)
    shapes = shapes[:, seen]
    if not shapes.size:
        return
    joint = sets[0].joint
    if joint.laterality == "either":
        shapes = np.where(of_the_other_side(shapes)[:, None, None], shapes * (-1, 1), shapes)
    mean = normalise(np.nanmedian(normalise(shapes), 0))
    names = [name(data, i) for data in sets for i in range(len(data))]
    readings = {
        "x and y may be swapped": lambda s: s[:, ::-1],
        "may be mirrored": lambda s: s * (-1, 1),
        "may be upside down": lambda s: -s,
        "may be turned by a quarter to the left": lambda s: s[:, ::-1] * (-1, 1),
        "may be turned by a quarter to the right": lambda s: s[:, ::-1] * (1, -1),
        "y may be counted from below": lambda s: s * (1, -1),
    }
    if joint.mirror and seen.all():
        readings["left and right landmarks may be exchanged"] = lambda s: s[joint.exchanged]
    numbers = np.flatnonzero(seen)
    shapes = normalise(shapes)
    usual = np.nanmedian(np.linalg.norm(shapes - mean, axis=-1), 0)
    for label, shape in zip(np.array(names)[present], shapes):
        distance = [
            np.sqrt(np.nanmean(((other - mean) ** 2).sum(-1))) for other in (shape, *(r(shape) for r in readings.values()))
        ]
        best = int(np.argmin(distance))
        if best and distance[best] < MUCH_BETTER * distance[0]:
            yield f"{label}: {list(readings)[best - 1]}: its points then lie like the others'"
        elif len(order := exchanged(shape, mean, usual)):
            which = first_few([joint.names[number] for number in numbers[order]])
            yield f"{label}: landmarks {which} may be exchanged: they then lie like the others'"


def of_other_size(sets: list[RadiographDataset]) -> Iterator[str]:
    """Points that lie closer together or farther apart than others', as mm or those of a smaller copy."""
    names = np.array([name(data, i) for data in sets for i in range(len(data))])
    points = np.concatenate([data.points_network_px for data in sets])
    names, points = (of_all[np.isfinite(points).all(-1).sum(1) >= 3] for of_all in (names, points))
    if not len(points):
        return
    first, second = np.triu_indices(points.shape[1], 1)
    apart = np.linalg.norm(points[:, first] - points[:, second], axis=-1)
    apart = apart[:, np.isfinite(apart).any(0)]
    usual = np.nanmedian(apart, 0)
    times = np.nanmedian(apart[:, usual > 0] / usual[usual > 0], 1)
    logarithms = np.log(np.maximum(times / np.median(times), TINY))
    limit = max(np.log(OTHER_SIZE), UNUSUAL * np.median(abs(logarithms)))
    for i in np.flatnonzero(abs(logarithms) > limit):
        yield f"{names[i]}: its points span {times[i]:.2f} times what they do in others; are they px of this picture?"


def annotators_apart(sets: list[RadiographDataset]) -> Iterator[str]:
    """Readings of a radiograph that are no two views of one thing: most landmarks far apart, or a few exchanged.

    Their mean, which is learnt, lies then where none of them is.
    """
    for data in sets:
        limit_px = FAR_APART * data.size
        for a, b in combinations(range(len(data.annotators)), 2):
            first, second = (rescale(data.readings_px[:, k], data.frame[::-1] / data.sizes_px[:, None]) for k in (a, b))
            both = f"readers {data.annotators[a]} and {data.annotators[b]}"
            for i, (one, other) in enumerate(zip(first, second)):  # px of the network frame
                away_px = np.linalg.norm(one - other, axis=-1)
                away_px = away_px[np.isfinite(away_px)]
                if away_px.size and (usual_px := np.median(away_px)) > limit_px:
                    yield f"{name(data, i)}: {both} lie {usual_px / data.size:.0%} of the frame apart; are both of this picture?"
                elif len(order := exchanged(one, other, np.full(len(one), limit_px / ODD))):
                    which = first_few([data.joint.names[number] for number in order])
                    yield f"{name(data, i)}: {both} may have exchanged landmarks {which}"


def wrong_pairs(sets: list[RadiographDataset]) -> Iterator[str]:
    """Landmarks that the description exchanges in mirrored radiographs, where the mean shape does not."""
    joint = sets[0].joint
    if not (joint.mirror and sets[0].is_symmetric()):
        return
    points = np.concatenate([data.points_network_px for data in sets])
    if not np.isfinite(points).all(-1).any(0).all():
        return
    if (told := mirror_order(points)) is None:
        yield "joint.json: the landmarks are not symmetric, so mirror pairs are learnt wrongly; take mirror out of it"
    elif len(wrong := np.flatnonzero(told != joint.exchanged)):
        which = first_few([f"{joint.names[i]} and {joint.names[told[i]]}" for i in wrong if i <= told[i]])
        yield f"joint.json: mirrored radiographs rather exchange {which}; correct its mirror"


def exchanged(shape: np.ndarray, mean: np.ndarray, usual: np.ndarray) -> np.ndarray:
    """Landmarks (L, 2) that lie far off their places in the mean shape (L, 2), but near each other's: their numbers.

    usual (L,) is how far from the mean each is in most shapes. Missing points are NaN.
    """
    known = np.flatnonzero(np.isfinite(shape + mean).all(-1))
    squares = ((shape[known, None] - mean[known]) ** 2).sum(-1)
    _, place = linear_sum_assignment(squares)
    moved = np.flatnonzero(place != np.arange(len(known)))
    theirs, others = squares[moved, moved].sum(), squares[moved, place[moved]].sum()
    odd = theirs > ODD**2 * (usual[known[moved]] ** 2).sum()
    return known[moved] if odd and others < MUCH_BETTER**2 * theirs else known[:0]


def apart(data: RadiographDataset, augment: Augment) -> Iterator[str]:
    """Dots drawn at the landmarks, warped as training warps: they must land where the warped points say."""
    rng, distances = np.random.default_rng(0), []
    for points in torch.from_numpy(data.points_network_px[:4]).float():
        warped, moved = move(draw_heatmaps(points, *data.frame, 3.0), points, augment, rng)
        distances.append((decode_heatmaps(warped)[0] - moved).norm(dim=-1))
    distance = torch.cat(distances)
    if (median := float(distance[distance.isfinite()].median())) > MOVED_TOGETHER_PX:
        yield f"augmentation: pictures and points move apart by {median:.2f} px; do not train with these settings"
