"""How well a network and annotators agree on the lengths and angles of a joint: Bland-Altman and ICC(2,1).

J. M. Bland, D. G. Altman, Lancet 327 (1986) 307-310; P. E. Shrout, J. L. Fleiss, Psychological Bulletin 86 (1979) 420-428;
interval of the ICC: K. O. McGraw, S. P. Wong, Psychological Methods 1 (1996) 30-46.
"""

import math
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from scipy import stats

from dataloader import RadiographDataset
from joints.lengths_angles import lengths_and_angles
from runtime.files import write_csv
from training import figures

LIMITS = 1.96  # standard deviations from the bias to the limits of agreement
LEVEL = 0.95  # of confidence intervals
MOST_DRAWN = 3  # raters, of which all pairs are drawn
NETWORK, ANNOTATION, ALL = "network", "annotation", "all annotators"


@dataclass(frozen=True)
class Rated:
    """A measure as each rater has it, on the radiographs where all of them have it."""

    name: str
    unit: str  # "mm", "px" of the radiographs, or "degrees"
    values: np.ndarray  # (n, R), R raters


def bland_altman(first: np.ndarray, second: np.ndarray) -> dict[str, float]:
    """Agreement of two raters' values (n): bias, the mean of first - second, with its 95 % interval (Student's t).

    sd is the standard deviation of the differences (divisor n - 1), the limits are bias ± 1.96 sd. NaN for fewer than two.
    """
    differences = first - second
    n = len(differences)
    bias = float(differences.mean()) if n else math.nan
    sd = float(differences.std(ddof=1)) if n > 1 else math.nan
    half = float(stats.t.ppf((1 + LEVEL) / 2, n - 1)) * sd / math.sqrt(n) if n > 1 else math.nan
    interval = {"bias": bias, "bias_low": bias - half, "bias_high": bias + half, "sd": sd}
    return interval | {"lower_limit": bias - LIMITS * sd, "upper_limit": bias + LIMITS * sd}


def icc_2_1(values: np.ndarray) -> dict[str, float]:
    """ICC(2,1) of values (n, k) by k raters, with its 95 % interval: two-way random effects, absolute agreement, one rater.

    NaN for fewer than two radiographs or raters, or where no radiograph differs from another; the interval too where raters
    differ by nothing but a constant.
    """
    n, k = values.shape
    nothing = dict.fromkeys(("icc", "icc_low", "icc_high"), math.nan)
    if min(n, k) < 2 or np.ptp(values) == 0:
        return nothing
    mean = values.mean()
    of_rows, of_raters = values.mean(1, keepdims=True), values.mean(0)
    rows = k * float(((of_rows - mean) ** 2).sum()) / (n - 1)  # mean squares
    raters = n * float(((of_raters - mean) ** 2).sum()) / (k - 1)
    error = float(((values - of_rows - of_raters + mean) ** 2).sum()) / ((n - 1) * (k - 1))
    total = rows + (k - 1) * error + k * (raters - error) / n
    if abs(total) <= 1e-12 * error:
        return nothing
    icc = (rows - error) / total
    if error <= 1e-12 * (rows + raters):
        return nothing | {"icc": float(icc)}
    a, b = k * icc / (n * (1 - icc)), 1 + k * icc * (n - 1) / (n * (1 - icc))
    freedom = (a * raters + b * error) ** 2 / ((a * raters) ** 2 / (k - 1) + (b * error) ** 2 / ((n - 1) * (k - 1)))
    above = stats.f.ppf((1 + LEVEL) / 2, n - 1, freedom)
    below = stats.f.ppf((1 + LEVEL) / 2, freedom, n - 1)
    both = k * raters + (k * n - k - n) * error
    low = n * (rows / above - error) / (both + n * rows / above)  # `above` may be infinite
    high = n * (below * rows - error) / (both + n * below * rows)
    return {"icc": float(icc), "icc_low": float(low), "icc_high": float(high)}


def rated(data: RadiographDataset, points_network_px: np.ndarray) -> tuple[list[str], list[Rated]]:
    """The raters' names, the network first, and every measure of the joint's description as they have it.

    points_network_px (N, L, 2). Without annotators the table's points are the one other rater. Lengths are in mm, of radiographs
    whose pixels have a known size, or in px where none has: a length that is taken for known, as a hand's wrist, would be the
    same of all raters.
    """
    given = dict(zip(data.annotators, data.readings_px.swapaxes(0, 1))) or {ANNOTATION: data.points_px}
    raters = [data.in_radiographs(points_network_px), *given.values()]
    known = np.isfinite(data.spacings_mm).all(1)
    points = np.stack(raters, 1) * np.where(known[:, None], data.spacings_mm, 1.0)[:, None, None]  # (N, R, L, 2)
    no_ellipses = np.full((points.shape[2], 2, 2), np.nan)
    values = np.array([[[m.value for m in lengths_and_angles(data.joint, one, no_ellipses)] for one in of] for of in points])
    kinds = [measure.kind for measure in lengths_and_angles(data.joint, points[0, 0], no_ellipses)]
    measures = []
    for i, (one, kind) in enumerate(zip(data.joint.measures, kinds)):
        usable = np.isfinite(values[..., i]).all(1) & (known | (kind == "angle") | ~known.any())
        unit = "degrees" if kind == "angle" else "mm" if known.any() else "px"
        measures.append(Rated(one.name, unit, values[usable, :, i]))
    return [NETWORK, *given], measures


def agreement_rows(raters: list[str], measures: list[Rated]) -> list[dict]:
    """A row for each measure and pair of raters; where there are more than two annotators, one for the ICC of them all."""
    rows = []
    for measure in measures:
        what = {"measure": measure.name, "unit": measure.unit}
        for i, j in combinations(range(len(raters)), 2):
            pair = measure.values[:, [i, j]]
            who = {"first": raters[i], "second": raters[j], "radiographs": len(pair)}
            mean = {"mean": float(pair.mean()) if len(pair) else math.nan}
            rows.append(what | who | mean | bland_altman(*pair.T) | icc_2_1(pair))
        if len(raters) > 3:
            blank = dict.fromkeys(rows[-1], math.nan)
            who = {"first": ALL, "second": "", "radiographs": len(measure.values)}
            rows.append(blank | what | who | icc_2_1(measure.values[:, 1:]))
    return rows


def write_agreement(folder: Path, data: RadiographDataset, points_network_px: np.ndarray) -> None:
    """Write SPLIT_agreement.csv and SPLIT_agreement.png, as `rated` has it; nothing where the description names no measure."""
    table, picture = (folder / f"{data.split}_agreement{ending}" for ending in (".csv", ".png"))
    if not data.joint.measures:
        for old in (table, picture):
            old.unlink(missing_ok=True)
        return
    raters, measures = rated(data, points_network_px)
    write_csv(table, agreement_rows(raters, measures))
    draw_agreement(raters, measures, picture)


def draw_agreement(raters: list[str], measures: list[Rated], path: Path) -> None:
    """Bland-Altman plots, a row a measure and a column a pair of raters: difference over mean, bias and its limits.

    Of many annotators only pairs with the network are drawn; the table has all.
    """
    pairs = [(i, j) for i, j in combinations(range(len(raters)), 2) if not i or len(raters) <= MOST_DRAWN]
    figure = Figure(figsize=(3.2 * len(pairs) + 0.6, 2.2 * len(measures) + 0.4), layout="tight")
    grid = figure.subplots(len(measures), len(pairs), squeeze=False, sharex="row", sharey="row")
    for row, measure in zip(grid, measures):
        for axes, (i, j) in zip(row, pairs):
            first, second = measure.values[:, [i, j]].T
            found = bland_altman(first, second)
            axes.plot((first + second) / 2, first - second, ".", color="tab:blue", markersize=4)
            for name, style in (("bias", "-"), ("lower_limit", "--"), ("upper_limit", "--")):
                if math.isfinite(found[name]):
                    axes.axhline(found[name], color="tab:red", linewidth=1, linestyle=style)
            axes.axhline(0, color="grey", linewidth=0.5)
            title = f"{measure.name}, {measure.unit}\n{raters[i]} - {raters[j]} over their mean"
            axes.set_title(title, fontsize=8, parse_math=False)
            axes.tick_params(labelsize=7)
    figures.save(figure, path)
