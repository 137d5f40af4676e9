"""The figures of docs/results.md from runs' test_landmarks.csv: intervals, landmarks by name, the cumulative error curve.

    python experiments/results.py result                        of one run
    python experiments/results.py result_0 result_1 result_2    also mean and SD over runs that differ in their seed

prints Markdown, of the first run where it is about one; with --figure also draws the cumulative errors of all.
"""

import argparse
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import metrics
from experiments.common import read_rows, table
from joints.hand import landmark_names
from training.figures import save

RESAMPLES = 10_000
REFERENCE_OR = 0.524  # landmarks a radiograph that the reference's best network leaves outside its radius


def read(folder: Path) -> tuple[list[str], np.ndarray, np.ndarray]:
    """IDs (N), errors px (N, L) of the network frame, errors mm (N, L)."""
    rows = read_rows(folder / "test_landmarks.csv")
    ids = list(dict.fromkeys(row["image"] for row in rows))
    px, mm = (np.array([float(row[name] or "nan") for row in rows]).reshape(len(ids), -1) for name in ("error_px", "error_mm"))
    return ids, px, mm


def figures_of(px: np.ndarray, mm: np.ndarray) -> dict[str, float]:
    return {
        "IPE, px": float(metrics.ipe(px).mean()),
        "median, px": metrics.median_of_present(px),
        "Or(4 px)": float(metrics.outliers(px, 4).mean()),
        "Or(10 px)": float(metrics.outliers(px, 10).mean()),
        "PE, mm": float(metrics.mean_of_present(mm)),
        **{f"SDR({radius} mm), %": float(metrics.sdr(mm, radius)) for radius in (2, 4, 10)},
    }


def intervals(px: np.ndarray, mm: np.ndarray) -> list[list]:
    """Each figure with the 2.5 and 97.5 percentiles over radiographs drawn with replacement."""
    rng = np.random.default_rng(0)
    drawn = [figures_of(px[chosen], mm[chosen]) for chosen in rng.integers(0, len(px), (RESAMPLES, len(px)))]
    rows = []
    for name, value in figures_of(px, mm).items():
        low, high = np.percentile([one[name] for one in drawn], (2.5, 97.5))
        rows.append([name, f"{value:.3f}", f"{low:.3f} to {high:.3f}"])
    return rows


def draw_curves(runs: dict[str, np.ndarray], path: Path) -> None:
    thresholds = np.linspace(0, 10, 401)
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    for name, px in runs.items():
        axes.plot(thresholds, metrics.cumulative_errors(px, thresholds), label=name)
    within = 100 * (1 - REFERENCE_OR / 37)
    axes.plot(
        [4, 10],
        [within, within],
        "kx--",
        linewidth=0.8,
        clip_on=False,
        label="reference: its code counts at 4 px, its text says 10 px",
    )
    axes.set(xlabel="error, px of the 256 x 256 frame", ylabel="landmarks within, %", xlim=(0, 10), ylim=(0, 101))
    axes.grid(True, alpha=0.3)
    axes.legend(loc="lower right")
    save(figure, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, nargs="+", help="folders of main.py's --result, of the same data and split")
    parser.add_argument("--figure", type=Path, help="picture to draw, as docs/errors.png")
    options = parser.parse_args()
    runs = {str(folder): read(folder) for folder in options.results}
    ids, px, mm = next(iter(runs.values()))
    print(f"{len(ids)} radiographs, {int(np.isfinite(px).sum())} landmarks\n")
    print(table(["", "value", "95 % interval"], intervals(px, mm)), "\n")
    if len(runs) > 1:
        each = [figures_of(px, mm) for _, px, mm in runs.values()]
        rows = []
        for name in each[0]:
            values = [one[name] for one in each]
            rows.append([name, *(f"{value:.3f}" for value in values), f"{np.mean(values):.3f} ± {np.std(values, ddof=1):.3f}"])
        print(table(["", *runs, "mean ± SD"], rows), "\n")
    names = landmark_names(px.shape[1])
    rows = [
        [i, names[i], f"{px[:, i].mean():.2f}", f"{px[:, i].max():.1f}", f"{mm[:, i].mean():.2f}"]
        for i in np.argsort(-px.mean(0))
    ]
    print(table(["", "landmark", "mean, px", "largest, px", "mean, mm"], rows), "\n")
    worst = np.argsort(-metrics.ipe(px))[:5]
    print("worst radiographs: " + ", ".join(f"{ids[n]} (IPE {metrics.ipe(px)[n]:.2f})" for n in worst))
    if options.figure:
        draw_curves({name: px for name, (_, px, _) in runs.items()}, options.figure)


if __name__ == "__main__":
    main()
