"""Regions and errors against many readers of the same landmarks: what regions that were learnt from a few of them hold.

    python -m experiments.eleven_readers --checkpoint result/001/best.pt --table eleven_readers.csv --pixel_mm 0.2

The table has a row for each radiograph and reader: ID, reader, NAME_x, NAME_y, ... in px of the radiograph. Regions are
calibrated on the test radiographs that it does not have, by the checkpoint's own truth, and measured on those that it has.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from dataloader import RadiographDataset
from evaluation import find_all, target_px2
from experiments.common import mahalanobis, table
from prediction.regions import calibrate_regions, conjugate
from runtime.checkpoint import read_checkpoint
from runtime.command import exit_status
from runtime.device import choose_device
from runtime.files import read_csv
from training.figures import save
from training.settings import AUTO

LEVELS = 0.5, 0.8, 0.95
DRAWS = 10_000  # of radiographs, for the intervals


def read_table(path: Path) -> tuple[list[str], list[str], dict[str, np.ndarray]]:
    """Readers (R), landmarks (K), and by ID where each reader placed them, (R, K, 2) px."""
    rows = read_csv(path)
    names = [column[:-2] for column in rows[0] if column.endswith("_x")]
    readers = list(dict.fromkeys(row["reader"] for row in rows))
    points: dict[str, np.ndarray] = {}
    for row in rows:
        of_id = points.setdefault(row["ID"], np.full((len(readers), len(names), 2), np.nan))
        of_id[readers.index(row["reader"])] = [[float(row[f"{name}_{axis}"]) for axis in "xy"] for name in names]
    return readers, names, points


def interval(per_radiograph: np.ndarray) -> str:
    """A mean in percent with its 95 % interval over radiographs."""
    draws = np.random.default_rng(0).integers(0, len(per_radiograph), (DRAWS, len(per_radiograph)))
    low, high = np.percentile(100 * per_radiograph[draws].mean(1), (2.5, 97.5))
    return f"{100 * per_radiograph.mean():.1f} ({low:.1f} to {high:.1f})"


def draw(off_mm: np.ndarray, ellipses_mm2: np.ndarray, names: list[str], path: Path) -> None:
    """Readers' points (N, R, K, 2) mm around the network's, and the regions' median semi-axes as ellipses."""
    figure = Figure(figsize=(3 * len(names), 3.6), layout="constrained")
    turn = np.linspace(0, 2 * np.pi, 100)
    for k, (axes, name) in enumerate(zip(figure.subplots(1, len(names)), names)):
        axes.plot(*off_mm[:, :, k].reshape(-1, 2).T, ".", color="grey", markersize=2)
        values, vectors = np.linalg.eigh(np.median(ellipses_mm2[:, k], 0))
        axes.plot(*(vectors * np.sqrt(values)) @ [np.cos(turn), np.sin(turn)], color="C3")
        axes.set(title=name, xlim=(-9, 9), ylim=(9, -9), aspect="equal", xlabel="mm")
    save(figure, path)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--table", type=Path, required=True, help="the readers' points")
    parser.add_argument("--data", type=Path, help="prepared data; none: those that the run had")
    parser.add_argument("--pixel_mm", type=float, required=True, help="mm a px of the radiographs")
    parser.add_argument("--picture", type=Path, help="draw the readers' points and the regions there")
    options = parser.parse_args(arguments)
    state = read_checkpoint(options.checkpoint)
    data = RadiographDataset(options.data or Path(state["settings"]["data"]), "test")
    readers, names, points = read_table(options.table)
    places = [data.joint.names.index(name) for name in names]
    read = np.array([id in points for id in data.ids])
    found = find_all(state, data, choose_device(AUTO), state["precision"], 2)
    given = found.points_network_px, found.covariances_px2, found.peaks
    residuals = data.points_network_px - given[0]
    to_mm = options.pixel_mm * data.sizes_px[read] / data.frame[::-1]  # (N, 2) mm a px of the frame
    own_mm = (given[0][read][:, places] + 0.5) * to_mm[:, None]
    readers_mm = (np.array([points[id] for id in data.ids if id in points]) + 0.5) * options.pixel_mm
    mean = readers_mm.mean(1)
    of_network = np.linalg.norm(own_mm - mean, axis=-1).mean()
    others = [np.delete(readers_mm, r, 1).mean(1) for r in range(len(readers))]
    of_readers = [np.linalg.norm(readers_mm[:, r] - others[r], axis=-1).mean() for r in range(len(readers))]
    print(f"{read.sum()} radiographs, {len(readers)} readers, regions calibrated on {(~read).sum()} others")
    print(f"network to the mean of all readers {of_network:.2f} mm; each reader to the mean of the others:")
    print(", ".join(f"{name} {off:.2f}" for name, off in zip(readers, of_readers)) + f"; median {np.median(of_readers):.2f} mm")
    off = readers_mm - own_mm[:, None]
    rows: list[list[object]] = []
    for level in LEVELS:
        regions = calibrate_regions(residuals[~read], given[1][~read], given[2][~read], target_px2(state), level)
        ellipses = conjugate(to_mm[:, None, None, :] * np.eye(2), regions.of(given[1][read], given[2][read])[:, places])
        within = mahalanobis(off, ellipses[:, None]) <= 1  # (N, R, K)
        truth = (mahalanobis(residuals[read], regions.of(given[1][read], given[2][read])) <= 1)[:, places]
        rows.append([f"{100 * level:g} %", interval(truth.mean(1)), interval(within.mean((1, 2)))])
        rows[-1] += [f"{100 * share:.0f}" for share in within.mean((0, 1))]
    print(table(["regions of", "hold the checkpoint's truth, %", "hold a reader's point, %", *names], rows))
    covariances = np.mean([[np.cov(of.T) for of in one.transpose(1, 0, 2)] for one in readers_mm], 0)
    areas = (np.pi * np.sqrt(np.linalg.det(ellipses)), np.pi * 5.991 * np.sqrt(np.linalg.det(covariances)))
    rows = [[name, float(np.median(areas[0][:, k])), float(areas[1][k])] for k, name in enumerate(names)]
    print(table(["landmark", "median 95 % region, mm²", "readers' 95 %, mm²"], rows))
    if options.picture:
        draw(off, ellipses, names, options.picture)


if __name__ == "__main__":
    sys.exit(exit_status(main))
