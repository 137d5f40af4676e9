"""Whether a network has learnt: its held-out errors beside what no learning would give, and beside what annotators differ by."""

from itertools import combinations
from pathlib import Path

import numpy as np

from dataloader import RadiographDataset
from metrics import ipe, mean_of_present, plain, point_errors
from runtime.files import first_few, write_csv
from training.plan import mean_shape_error

LOST = 0.03  # share of the frame's longer side: mean error from which on a radiograph is lost
MOST_LOST = 0.2  # share of the radiographs that a network which has learnt may lose
MUCH = 0.5  # share of the mean shape's error that such a network may have
REMEDY = (
    "train longer (--hours 2, or more epochs), look at the worst radiographs (the pictures of the run; python main.py --mode "
    "check), or annotate more"
)
MEAN = "their mean"  # of the annotators
DISAGREEMENTS = "disagreements"  # subfolder of the run; label.py --review takes it as an output of predict.py


def judge(
    data: RadiographDataset, points_network_px: np.ndarray, train_points_network_px: np.ndarray, unfinished: str = ""
) -> str:
    """Whether a network has learnt, in a line, by what it says (N, L, 2) of radiographs that it has not learnt from.

    `train_points_network_px` (M, L, 2) are the annotations that it has; `unfinished`: why its training ended too early.
    """
    errors = ipe(point_errors(points_network_px, data.points_network_px))
    errors = errors[np.isfinite(errors)]
    if not errors.size:
        return "held-out radiographs show no landmark, so nothing says whether the network has learnt"
    mean_shape = mean_shape_error(train_points_network_px, data.points_network_px)
    if not mean_shape:
        return "the only radiograph was learnt from, so nothing says whether the network has learnt; annotate more"
    lost, size = int((errors > LOST * data.size).sum()), LOST * data.size
    facts = [
        f"{errors.mean():.2f} px on {len(errors)} held-out radiographs, half of them below {np.median(errors):.2f} px, where the "
        f"mean of all annotations has {mean_shape:.2f} px",
        f"{lost} lost, by more than {size:.1f} px on average",
    ]
    if len(data.annotators) > 1:
        figures, _ = compare(data, points_network_px, np.full((len(data), 1, 2), np.nan))  # no millimetres are needed
        if share := figures.get("share_of_readers_distance"):
            facts.append(f"{share:.2f} of the annotators' distance")
    reasons = {
        "too many are lost": lost > MOST_LOST * len(errors),
        "little better than the mean of all annotations": np.median(errors) > MUCH * mean_shape,
        f"training ended too early: {unfinished}": bool(unfinished),
    }
    found, words = "; ".join(reason for reason, holds in reasons.items() if holds), "; ".join(facts)
    return f"NOT LEARNT ({found}): {words}; {REMEDY}" if found else f"learnt: {words}"


def distances(
    data: RadiographDataset, points_network_px: np.ndarray, unit: np.ndarray | float = 1.0
) -> dict[tuple[str, str], np.ndarray]:
    """Distances (N, L), px of the radiographs times `unit` (N, 1, 2): of ("network", annotator or MEAN), and of annotators.

    points_network_px (N, L, 2). Only landmarks that every annotator placed count, so that all are of the same ones; others are
    NaN.
    """
    found = data.in_radiographs(points_network_px)
    by_all = np.isfinite(data.readings_px).all((1, 3))
    given = {annotator: data.readings_px[:, k] for k, annotator in enumerate(data.annotators)}
    pairs = {("network", MEAN): (found, data.readings_px.mean(1))}
    pairs |= {("network", annotator): (found, points) for annotator, points in given.items()}
    pairs |= {(a, b): (given[a], given[b]) for a, b in combinations(given, 2)}
    return {names: np.where(by_all, point_errors(*points, unit), np.nan) for names, points in pairs.items()}


def compare(data: RadiographDataset, points_network_px: np.ndarray, unit_mm: np.ndarray) -> tuple[dict, list[dict]]:
    """Mean distances and a row a landmark, from points (N, L, 2) network-frame px; unit_mm (N, 1, 2) mm per px of that frame.

    Millimetres are those of radiographs whose `unit_mm` is known; None without any.
    """
    px = distances(data, points_network_px)
    mm = distances(data, points_network_px, unit_mm * np.array(data.frame[::-1]) / data.sizes_px[:, None])
    figures = {"landmarks": int(np.isfinite(px["network", MEAN]).sum())}
    for name, values in (("px", px), ("mm", mm)):
        means = {names: float(mean_of_present(one)) for names, one in values.items()}
        between = [mean for (first, _), mean in means.items() if first != "network"]
        figures[name] = plain({" to ".join(names): mean for names, mean in means.items()})
        if name == "px" and any(between):
            figures["share_of_readers_distance"] = plain(means["network", MEAN] / np.mean(between))
    rows = []
    for i, landmark in enumerate(data.joint.names):
        row = {"landmark": i, "name": landmark, "radiographs": int(np.isfinite(px["network", MEAN][:, i]).sum())}
        for unit_name, values in (("px", px), ("mm", mm)):
            row |= {
                f"{'_to_'.join(names).replace(' ', '_')}_{unit_name}": float(mean_of_present(one[:, i]))
                for names, one in values.items()
            }
        rows.append(row)
    return figures, rows


def format_annotators(figures: dict) -> str:
    """A line of the figures."""
    distances = ", ".join(f"{names} {value:.2f}" for names, value in figures["px"].items() if value is not None)
    share = figures.get("share_of_readers_distance")
    of = f"; to their mean {share:.2f} of what lies between readers" if share is not None else ""
    return f"readers, px of the radiographs, {figures['landmarks']} landmarks that all placed: {distances}{of}"


def tell_disagreements(result: Path, data: RadiographDataset, points_network_px: np.ndarray, peaks: np.ndarray) -> list[str]:
    """Write which annotations a sure network disagrees with, and say how to look at them; the IDs of these radiographs.

    RESULT/disagreements/landmarks.csv has what was found in them, as predict.py writes it.
    A landmark's disagreement is its error times the height of its peak, (N, L) at most 1: the radiograph's is that of its worst
    landmark, and counts from LOST of the frame's longer side on. The worst come first.
    """
    apart = np.nan_to_num(point_errors(points_network_px, data.points_network_px) * peaks.clip(0, 1)).max(1)
    worst = [i for i in np.argsort(-apart) if apart[i] > LOST * data.size]
    found = data.in_radiographs(points_network_px)
    unsaid = dict.fromkeys(("semi_major", "semi_minor", "angle", "landmark_flags"), "")
    rows = [
        {"image": data.ids[i], "hand": 1, "name": name, "x": found[i, k, 0], "y": found[i, k, 1], "confidence": peaks[i, k]}
        | unsaid
        | {"doubt": apart[i] / data.size}
        for i in worst
        for k, name in enumerate(data.joint.names)
    ]
    table = result / DISAGREEMENTS / "landmarks.csv"
    table.unlink(missing_ok=True)
    ids = [data.ids[i] for i in worst]
    if rows:
        table.parent.mkdir(exist_ok=True)
        write_csv(table, rows)
        said = f"a network that is sure disagrees with the annotations of {len(ids)}, the worst first ({first_few(ids)})"
        print(f"{said}; to look at them, python label.py --raw FOLDER --review {result / DISAGREEMENTS}")
    return ids
