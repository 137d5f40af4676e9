"""How far a network is from each annotator, beside how far these are from each other, in the radiographs' own pixels."""

from itertools import combinations

import numpy as np

from dataloader import RadiographDataset
from heatmap import rescale
from metrics import mean_of_present, plain, point_errors

MEAN = "their mean"


def distances_px(data: RadiographDataset, points_network_px: np.ndarray) -> dict[tuple[str, str], np.ndarray]:
    """Distances (N, L), px of the radiographs: of ("network", annotator or MEAN) and of each pair of annotators.

    points_network_px (N, L, 2). Only landmarks that every annotator placed count, so that all are of the same ones; others are
    NaN.
    """
    found = rescale(points_network_px, (data.sizes_px / data.frame[::-1])[:, None])
    by_all = np.isfinite(data.readings_px).all((1, 3))
    given = {annotator: data.readings_px[:, k] for k, annotator in enumerate(data.annotators)}
    pairs = {("network", MEAN): (found, data.readings_px.mean(1))}
    pairs |= {("network", annotator): (found, points) for annotator, points in given.items()}
    pairs |= {(a, b): (given[a], given[b]) for a, b in combinations(given, 2)}
    return {names: np.where(by_all, point_errors(*points), np.nan) for names, points in pairs.items()}


def compare(data: RadiographDataset, points_network_px: np.ndarray, unit_mm: np.ndarray) -> tuple[dict, list[dict]]:
    """Mean distances and a row a landmark, from points (N, L, 2) network-frame px; unit_mm (N, 1, 2) mm per px of that frame.

    Millimetres are those of radiographs whose pixels have a known size, taken for squares of the same area; None without any.
    """
    px = distances_px(data, points_network_px)
    unit = np.sqrt((unit_mm * np.array(data.frame[::-1]) / data.sizes_px[:, None]).prod(-1))
    mm = {names: values * unit for names, values in px.items()}
    figures = {"landmarks": int(np.isfinite(px["network", MEAN]).sum())}
    for name, values in (("px", px), ("mm", mm)):
        means = {names: float(mean_of_present(one)) for names, one in values.items()}
        between = [mean for (first, _), mean in means.items() if first != "network"]
        figures[name] = plain({" to ".join(names): mean for names, mean in means.items()})
        if name == "px" and between:
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
