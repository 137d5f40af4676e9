"""What can be said of the labels: a reader's repeatability, whether proposals pull, and how two readers differ."""

import math

import numpy as np

from joints.description import Scale
from labelling.marks import CONFIRMED, DONE
from labelling.order import is_blind
from labelling.proposals import FRAME
from labelling.store import AGAIN, FIRST, Item, Store


def scale_px(size: tuple[int, int] | None) -> np.ndarray:
    """Pixels of the 256 frame per pixel of the radiograph, (x, y); NaN where its size is not known."""
    return np.array([math.nan] * 2) if size is None else FRAME / np.array(size, float)


def spacing_mm(item: Item, points: np.ndarray, scale: Scale | None) -> np.ndarray:
    """Millimetres per pixel (x, y): of the file, else of the joint's scale, else NaN."""
    if item.spacing is not None:
        return np.array(item.spacing)
    if scale and (length := np.linalg.norm(np.subtract(*points[list(scale.landmarks)]))) > 0:
        return np.array([scale.mm / length] * 2)
    return np.array([math.nan] * 2)


def summary(distances: list[float]) -> dict | None:
    """Number, mean and median; None where there are none."""
    values = np.array([value for value in distances if value == value])
    if not values.size:
        return None
    return {"n": int(values.size), "mean": round(float(values.mean()), 4), "median": round(float(np.median(values)), 4)}


def repeatability(store: Store, scale: Scale | None) -> dict:
    """Distances between the two readings of radiographs that came again: px of the 256 frame, and mm."""
    px, mm, radiographs = [], [], 0
    with store.lock:
        for id in store.done(AGAIN):
            first, again = store.item((id, FIRST)), store.item((id, AGAIN))
            one, two = store.points_of((id, FIRST)), store.points_of((id, AGAIN))
            radiographs += 1
            px += np.linalg.norm((one - two) * scale_px(again.size or first.size), axis=1).tolist()
            mm += np.linalg.norm((one - two) * spacing_mm(again, one, scale), axis=1).tolist()
    return {"radiographs": radiographs, "px": summary(px), "mm": summary(mm)}


def anchoring_bias(store: Store) -> dict:
    """How far confirmed points lie from what was proposed, where the reader saw it and where not: px of the 256 frame.

    If proposals do not pull, both are alike.
    """
    seen, unseen = [], []
    with store.lock:
        for (id, reading), item in store.items.items():
            if reading != FIRST or item.state != DONE or item.size is None:
                continue
            if not item.measured or item.measured[0] != item.version:
                item.measured = (item.version, *distances_from_proposals(item))
            seen += item.measured[1]
            unseen += item.measured[2] if is_blind(store.reader, id) else []
    return {"shown": summary(seen), "hidden": summary(unseen)}


def distances_from_proposals(item: Item) -> tuple[list[float], list[float]]:
    """Of the confirmed points whose proposals the reader saw, and of the others: px of the 256 frame."""
    distances: dict[bool, list[float]] = {True: [], False: []}
    across, down = scale_px(item.size)
    for mark in item.marks:
        if mark is not None and mark.state == CONFIRMED and mark.proposal is not None:
            x, y = mark.proposal
            distances[mark.shown].append(math.hypot((x - mark.x) * across, (y - mark.y) * down))
    return distances[True], distances[False]


def differences(one: Store, two: Store, scale: Scale | None) -> list[dict]:
    """Landmarks of radiographs that both readers have done, worst first: px of the radiograph, of the 256 frame, and mm.

    A landmark that only one of them calls absent comes before all others.
    """
    both = sorted(set(one.done()) & set(two.done()))
    rows = []
    for id in both:
        first, second = one.item((id, FIRST)), two.item((id, FIRST))
        a, b = one.points_of((id, FIRST)), two.points_of((id, FIRST))
        unit = spacing_mm(first if first.spacing else second, a, scale)
        to_frame = scale_px(first.size or second.size)
        for k in range(len(a)):
            if first.marks[k].state != second.marks[k].state:
                rows.append({"id": id, "landmark": k, "px": None, "frame_px": None, "mm": None, "absent": True})
            elif first.marks[k].state == CONFIRMED:
                lengths = [float(np.linalg.norm((a[k] - b[k]) * by)) for by in (1.0, to_frame, unit)]
                px, frame, mm = (round(value, 3) if math.isfinite(value) else None for value in lengths)
                rows.append({"id": id, "landmark": k, "px": px, "frame_px": frame, "mm": mm, "absent": False})
    return sorted(rows, key=lambda row: (not row["absent"], -(row["px"] or 0.0), row["id"], row["landmark"]))
