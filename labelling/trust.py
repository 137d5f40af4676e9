"""What can be said of the labels: a reader's repeatability, whether proposals pull, and how two readers differ."""

import math
from collections.abc import Callable
from statistics import fmean, median

import numpy as np

from joints.description import Scale
from labelling.marks import CONFIRMED, DONE
from labelling.order import is_blind
from labelling.proposals import FRAME, rounded
from labelling.store import AGAIN, FIRST, Item, Store
from radiographs.pixel_size import Size


def scale_px(size: tuple[int, int] | None) -> np.ndarray:
    """Pixels of the 256 frame per pixel of the radiograph, (x, y); NaN where its size is not known."""
    return FRAME / np.array(size or (math.nan, math.nan), float)


def spacing_mm(readings: tuple[Item, ...], points: np.ndarray, scale: Scale | None, stated: Size | None = None) -> np.ndarray:
    """Millimetres per pixel of a radiograph: the mean of calibrations by hand, else stated, else the file's, else the scale's."""
    by_hand = [item.pixel_mm for item in readings if item.ruler]
    if known := by_hand or [size for size in (stated, *(item.spacing for item in readings)) if size][:1]:
        return np.mean(known, 0)
    length = np.linalg.norm(np.subtract(*points[list(scale.landmarks)])) if scale else 0.0
    return np.full(2, scale.mm / length if length > 0 else math.nan)


def summary(distances: list[float]) -> dict | None:
    """Number, mean and median; None where there are none."""
    known = [value for value in distances if value == value]
    return {"n": len(known), "mean": round(fmean(known), 4), "median": round(median(known), 4)} if known else None


def repeatability(store: Store, scale: Scale | None, stated: Callable[[str], Size | None]) -> dict:
    """Distances between the two readings of radiographs that came again: px of the 256 frame, and mm; `stated`: as below."""
    px, mm = [], []
    with store.lock:
        done = store.done(AGAIN)
        for id in done:
            first, again = store.item((id, FIRST)), store.item((id, AGAIN))
            one, two = store.points_of((id, FIRST)), store.points_of((id, AGAIN))
            px += np.linalg.norm((one - two) * scale_px(again.size or first.size), axis=1).tolist()
            mm += np.linalg.norm((one - two) * spacing_mm((again, first), one, scale, stated(id)), axis=1).tolist()
    return {"radiographs": len(done), "px": summary(px), "mm": summary(mm)}


def anchoring_bias(store: Store) -> dict:
    """Distances of confirmed points from proposals that were shown and hidden, px of the 256 frame: alike without a bias."""
    seen, unseen = [], []
    with store.lock:
        for (id, reading), item in store.items.items():
            if reading != FIRST or item.state != DONE or item.size is None:
                continue
            item.measured = item.measured or distances_from_proposals(item)
            seen += item.measured[0]
            unseen += item.measured[1] if is_blind(store.reader, id) else []
    return {"shown": summary(seen), "hidden": summary(unseen)}


def distances_from_proposals(item: Item) -> tuple[list[float], list[float]]:
    """Of the confirmed points whose proposals were shown, and of the others: px of the 256 frame."""
    seen, unseen = [], []
    across, down = scale_px(item.size)
    for mark in item.marks:
        if mark and mark.state == CONFIRMED and mark.proposal:
            x, y = mark.proposal
            (seen if mark.shown else unseen).append(math.hypot((x - mark.x) * across, (y - mark.y) * down))
    return seen, unseen


def differences(one: Store, two: Store, scale: Scale | None, stated: Callable[[str], Size | None]) -> list[dict]:
    """Landmarks of radiographs that both readers have done, worst first: px of the radiograph, of the 256 frame, and mm.

    A landmark that only one of them calls absent comes before all others. `stated`: mm a pixel (x, y) by ID.
    """
    rows = []
    for id in set(one.done()) & set(two.done()):
        first, second = one.item((id, FIRST)), two.item((id, FIRST))
        points = one.points_of((id, FIRST))
        units = (1.0, scale_px(first.size or second.size), spacing_mm((first, second), points, scale, stated(id)))
        apart = points - two.points_of((id, FIRST))
        lengths = [np.linalg.norm(apart * unit, axis=1).tolist() for unit in units]
        for k, (px, frame, mm) in enumerate(zip(*lengths)):
            absent = first.marks[k].state != second.marks[k].state
            if absent or first.marks[k].state == CONFIRMED:
                row = {"px": rounded(px), "frame_px": rounded(frame), "mm": rounded(mm)}  # None where one has no point
                rows.append({"id": id, "landmark": k} | row | {"absent": absent})
    return sorted(rows, key=lambda row: (not row["absent"], -(row["px"] or 0.0), row["id"], row["landmark"]))
