"""Regions and errors against many readers of the same landmarks: what regions that were learnt from a few of them hold.

    python -m experiments.eleven_readers --checkpoint result/001/best.pt --table eleven_readers.csv --pixel_mm 0.2

The table has a row for each radiograph and reader: ID, reader, NAME_x, NAME_y, ... in px of the radiograph. Regions are
calibrated on the test radiographs that it does not have, by the checkpoint's own truth, and measured on those that it has.
"""

from pathlib import Path

import numpy as np

from dataloader import RadiographDataset
from evaluation import find_all, target_px2
from experiments.common import mahalanobis, table
from prediction.regions import calibrate_regions, conjugate
from runtime.checkpoint import read_checkpoint
from runtime.command import exit_status, parser_of
from runtime.device import choose_device
from runtime.files import read_csv
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


def main(arguments: list[str] | None = None) -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--table", type=Path, required=True, help="the readers' points")
    parser.add_argument("--data", type=Path, help="prepared data; none: those that the run had")
    parser.add_argument("--pixel_mm", type=float, required=True, help="mm a px of the radiographs")
    options = parser.parse_args(arguments)
    state = read_checkpoint(options.checkpoint)
    data = RadiographDataset(options.data or Path(state["settings"]["data"]), "test")
    readers, names, points = read_table(options.table)
    places = [data.joint.names.index(name) for name in names]
    read = np.array([id in points for id in data.ids])
    found = find_all(state, data, choose_device(AUTO), state["precision"], 2)
    shapes, heights = found.covariances_px2, found.peaks
    residuals = data.points_network_px - found.points_network_px
    to_mm = options.pixel_mm * data.sizes_px[read] / data.frame[::-1]  # (N, 2) mm a px of the frame
    own_mm = (found.points_network_px[read][:, places] + 0.5) * to_mm[:, None]
    readers_mm = (np.array([points[id] for id in data.ids if id in points]) + 0.5) * options.pixel_mm
    mean = readers_mm.mean(1)
    of_network = np.linalg.norm(own_mm - mean, axis=-1).mean()
    others = [np.delete(readers_mm, r, 1).mean(1) for r in range(len(readers))]
    of_readers = [np.linalg.norm(readers_mm[:, r] - others[r], axis=-1).mean() for r in range(len(readers))]
    print(f"{read.sum()} radiographs, {len(readers)} readers, regions calibrated on {(~read).sum()} others")
    print(f"network to the mean of all readers {of_network:.2f} mm; each reader to the mean of the others:")
    print(", ".join(f"{name} {off:.2f}" for name, off in zip(readers, of_readers)) + f"; median {np.median(of_readers):.2f} mm")
    rows = []
    for level in LEVELS:
        regions = calibrate_regions(residuals[~read], shapes[~read], heights[~read], target_px2(state), level)
        ellipses = regions.of(shapes[read], heights[read])
        truth = (mahalanobis(residuals[read], ellipses) <= 1)[:, places]
        ellipses_mm = conjugate(to_mm[:, None, None, :] * np.eye(2), ellipses[:, places])
        within = mahalanobis(readers_mm - own_mm[:, None], ellipses_mm[:, None]) <= 1  # (N, R, K)
        rows.append([f"{100 * level:g} %", interval(truth.mean(1)), interval(within.mean((1, 2)))])
        rows[-1] += [f"{100 * share:.0f}" for share in within.mean((0, 1))]
    print(table(["regions of", "hold the checkpoint's truth, %", "hold a reader's point, %", *names], rows))


if __name__ == "__main__":
    raise SystemExit(exit_status(main))
