"""The figures of docs/results.md from runs' test_landmarks.csv: intervals, landmarks by name, the cumulative error curve.

    python -m experiments.results result                        of one run
    python -m experiments.results result_0 result_1 result_2    also mean and SD over runs that differ in their seed

prints Markdown, of the first run where it is about one; with --figure also draws the cumulative errors of all.
"""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import metrics
from experiments.common import read_errors, table
from joints.hand import NAMES
from runtime.command import exit_status, parser_of
from runtime.files import read_csv
from training.figures import save

WORST = 5  # radiographs that are named
REFERENCE_OR = 0.524  # landmarks a radiograph that the reference's best network leaves outside its radius


def figures_of(px: np.ndarray, mm: np.ndarray) -> dict[str, float]:
    """The figures of errors (N, L)."""
    return {
        "IPE, px": float(metrics.mean_of_present(metrics.ipe(px))),
        "median, px": metrics.of_present(np.nanmedian, px),
        "Or(4 px)": float(metrics.outliers(px, 4)),
        "Or(10 px)": float(metrics.outliers(px, 10)),
        "PE, mm": float(metrics.mean_of_present(mm)),
        **{f"SDR({radius} mm), %": float(metrics.sdr(mm, radius)) for radius in (2, 4, 10)},
    }


def intervals(px: np.ndarray, mm: np.ndarray, resamples: int) -> list[list]:
    """Each figure with the 2.5 and 97.5 percentiles over radiographs drawn with replacement."""
    rng = np.random.default_rng(0)
    resampled = [figures_of(px[chosen], mm[chosen]) for chosen in rng.integers(0, len(px), (resamples, len(px)))]
    rows = []
    for name, value in figures_of(px, mm).items():
        low, high = np.percentile([one[name] for one in resampled], (2.5, 97.5))
        rows.append([name, f"{value:.3f}", f"{low:.3f} to {high:.3f}"])
    return rows


def compare(runs: dict[str, tuple[np.ndarray, np.ndarray]]) -> list[list]:
    """Each figure of each run, then their mean and standard deviation; runs are name: (errors px, errors mm)."""
    each = [figures_of(px, mm) for px, mm in runs.values()]
    rows = []
    for name in each[0]:
        values = [one[name] for one in each]
        rows.append([name, *(f"{value:.3f}" for value in values), f"{np.mean(values):.3f} ± {np.std(values, ddof=1):.3f}"])
    return rows


def draw_curves(runs: dict[str, np.ndarray], path: Path) -> None:
    """The cumulative errors of each run, and for hands the point that is known of the reference."""
    thresholds = np.linspace(0, 10, 401)
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    for name, px in runs.items():
        axes.plot(thresholds, metrics.cumulative_errors(px, thresholds), label=name)
    if all(px.shape[1] == len(NAMES) for px in runs.values()):
        within = 100 * (1 - REFERENCE_OR / len(NAMES))
        label = "reference: its code counts at 4 px, its text says 10 px"
        axes.plot([4, 10], [within, within], "kx--", linewidth=0.8, clip_on=False, label=label)
    axes.set(xlabel="error, px of the network frame", ylabel="landmarks within, %", xlim=(0, 10), ylim=(0, 101))
    axes.grid(True, alpha=0.3)
    axes.legend(loc="lower right")
    save(figure, path)


def main(arguments: list[str] | None = None) -> None:
    parser = parser_of(__doc__)
    parser.add_argument("results", type=Path, nargs="+", help="folders of main.py's --result, of the same data and split")
    parser.add_argument("--figure", type=Path, help="picture to draw, as docs/errors.png")
    parser.add_argument("--resamples", type=int, default=10_000, help="draws of radiographs for the intervals")
    options = parser.parse_args(arguments)
    ids, px, mm = read_errors(options.results[0])
    names = [row["name"] for row in read_csv(options.results[0] / "test_by_landmark.csv")]
    runs = {str(folder): read_errors(folder)[1:] for folder in options.results}
    print(f"{len(ids)} radiographs, {int(np.isfinite(px).sum())} landmarks\n")
    print(table(["", "value", "95 % interval"], intervals(px, mm, options.resamples)), "\n")
    if len(runs) > 1:
        print(table(["", *runs, "mean ± SD"], compare(runs)), "\n")
    ordered = sorted(metrics.landmark_table(px, mm, names), key=lambda one: -one["mean_px"])
    cells = [
        [one["landmark"], one["name"], *(f"{one[name]:.2f}" for name in ("mean_px", "max_px", "mean_mm"))] for one in ordered
    ]
    print(table(["", "landmark", "mean, px", "largest, px", "mean, mm"], cells), "\n")
    ipe = metrics.ipe(px)
    worst = np.argsort(-ipe)[:WORST]  # those without landmarks, NaN, come last
    print("worst radiographs: " + ", ".join(f"{ids[n]} (IPE {ipe[n]:.2f})" for n in worst))
    if options.figure:
        draw_curves({name: px for name, (px, _) in runs.items()}, options.figure)


if __name__ == "__main__":
    raise SystemExit(exit_status(main))
