"""What a run leaves to read: its epochs as lines; its test as figures, tables and pictures."""

import json
import math
import platform
import subprocess
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path

import numpy as np
import torch

import metrics
from dataloader import RadiographDataset
from runtime.files import DataError, write_csv, write_whole
from runtime.version import VERSION
from training import figures, judgement
from training.agreement import write_agreement

OUTLIER_RADIUS_PX = 10  # radius of the Or of each epoch, px of the network frame
WORSE = 2.0  # factor on the least training error so far at a resolution that no sound run reaches
TELLING = 20  # radiographs: errors of fewer ones are taken over several epochs
USUAL = 1.3  # training error over validation's at the end of a sound run, at most
ABOVE_VALIDATION = 2.0  # the same ratio, from which on there is a warning
REMEDY = "try a lower --learning_rate, a smaller --gradient_clip, or --precision float32"
UNTIMED, TIMED = 3, 10  # steps at the start, which are slower, and steps that are timed after them
FORWARD = 1 / 3  # time of a radiograph in validation, over that in training
NOT_VALIDATED = dict.fromkeys(("valid_loss", "valid_ipe_px", "valid_or_10px", "valid_near_px"), math.nan)
EPOCH_HEADER = """\
                       | train         px  >10 px | valid         px  >10 px |
epoch  size      rate |     loss     IPE      Or |     loss     IPE      Or | seconds"""


def epoch_figures(split: str, loss: float, errors_px: np.ndarray) -> dict[str, float]:
    """Loss, IPE and Or of one split; errors (N, L) in the network frame."""
    return {
        f"{split}_loss": loss,
        f"{split}_ipe_px": float(metrics.mean_of_present(metrics.ipe(errors_px))),
        f"{split}_or_10px": float(metrics.outliers(errors_px, OUTLIER_RADIUS_PX)),
    }


def epoch_line(row: dict) -> str:
    parts = [f"{row['epoch']:5d} {row['size']:5d} {row['learning_rate']:9.2e}"]
    parts += [f"{row[s + '_loss']:8.2f} {row[s + '_ipe_px']:7.3f} {row[s + '_or_10px']:7.3f}" for s in ("train", "valid")]
    return " | ".join([*parts, f"{row['seconds']:7.1f}"])


def warning(history: list[dict], trained: int) -> str | None:
    """What is wrong with the newest of some epochs of so many radiographs, and what to try; None where nothing is.

    It is said once a resolution.
    """
    errors = means_of("train", [row for row in history if row["size"] == history[-1]["size"]], trained)
    least = np.fmin.accumulate(errors)[:-1]
    wrong = errors[1:] > WORSE * least
    if wrong[-1:].any() and not wrong[:-1].any():
        return f"{named(history, errors)}{errors[-1] / least[-1]:.1f} times the least so far; if it stays so, {REMEDY}"
    return None


def warning_at_end(history: list[dict], trained: int) -> str | None:
    """What is wrong once all epochs are done; None where nothing is.

    Training errors are of changed radiographs and with dropout, so they end a little above those of validation.
    """
    errors, valid = (means_of(split, history, trained) for split in ("train", "valid"))
    if (errors[-1:] > ABOVE_VALIDATION * valid[-1:]).any():
        times = errors[-1] / valid[-1]
        return f"{named(history, errors)}{times:.1f} times that of validation, usually at most {USUAL}; {REMEDY}"
    return None


def means_of(split: str, history: list[dict], trained: int) -> np.ndarray:
    """Moving means of the errors (IPE, px) of epochs, over as many of them as show TELLING radiographs."""
    count = min(math.ceil(TELLING / trained), len(history))
    return np.convolve([row[f"{split}_ipe_px"] for row in history], np.full(count, 1 / count), "valid")


def named(history: list[dict], errors_px: np.ndarray) -> str:
    return f"epoch {history[-1]['epoch']}: the training error, {errors_px[-1]:.2f} px, is "


class Forecast:
    """Told of every step, it says once how long the rest will take and when that ends."""

    def __init__(self, trained: int, validated: int, most: float = math.inf, clock: Callable[[], float] = time.monotonic):
        """`trained` and `validated`: radiographs an epoch; `most`: seconds that all may last."""
        self.clock, self.steps, self.most = clock, 0, most
        self.longer = 1 + FORWARD * validated / trained  # time of an epoch, over that of its steps alone

    def after_step(self, progress: float) -> str | None:
        """`progress`, in [0, 1], of the run after this step."""
        self.steps += 1
        if self.steps == UNTIMED:
            self.since, self.at = self.clock(), progress
        if self.steps != UNTIMED + TIMED or progress <= self.at:
            return None
        seconds = (self.clock() - self.since) / (progress - self.at) * (1 - progress) * self.longer
        return format_eta(min(seconds, self.most))


def format_eta(seconds: float) -> str:
    return f"about {format_duration(seconds)} to go, until about {datetime.now() + timedelta(seconds=seconds):%H:%M}"


def format_duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes <= 1:
        return "a minute"
    return f"{minutes} minutes" if minutes < 120 else f"{minutes / 60:.1f} hours"


def write_test(folder: Path, data: RadiographDataset, points_network_px: np.ndarray, peaks: np.ndarray, more: dict) -> dict:
    """Compare predictions with a data set; write SPLIT.json, two or three tables, three pictures; return the figures.

    points_network_px (N, L, 2) as (x, y), peaks (N, L); `more` is added to SPLIT.json.
    """
    unit_mm, source = metrics.millimetres_per_pixel(
        data.sizes_px, data.spacings_mm, data.points_px, data.frame, data.spacing_sources, data.joint.scale
    )
    truth = data.points_network_px
    errors_px = metrics.point_errors(points_network_px, truth)
    errors_mm = metrics.point_errors(points_network_px, truth, unit_mm)
    result = metrics.summary(errors_px, errors_mm) | {"mm_from": source} | more | provenance()

    split = data.split
    folder.mkdir(parents=True, exist_ok=True)
    if len(data.annotators) > 1:
        result["readers"], rows = judgement.compare(data, points_network_px, unit_mm)
        write_csv(folder / f"{split}_readers.csv", rows)
    write_whole(folder / f"{split}.json", (json.dumps(result, indent=2) + "\n").encode())
    columns = "true_x_px", "true_y_px", "x_px", "y_px", "error_px", "error_mm", "peak"
    values = np.dstack([truth, points_network_px, errors_px, errors_mm, peaks])
    rows = [
        {"image": id, "landmark": i} | dict(zip(columns, cells))
        for id, landmarks in zip(data.ids, values)
        for i, cells in enumerate(landmarks)
    ]
    write_csv(folder / f"{split}_landmarks.csv", rows)
    write_csv(folder / f"{split}_by_landmark.csv", metrics.landmark_table(errors_px, errors_mm, data.joint.names))
    write_agreement(folder, data, points_network_px)
    figures.draw_cumulative_errors(errors_px, folder / f"{split}_errors.png")
    ipe = metrics.ipe(errors_px)
    ranked = [n for n in np.argsort(ipe) if np.isfinite(ipe[n])]
    for name, n in (("worst", ranked[-1]), ("median", ranked[len(ranked) // 2])) if ranked else ():
        title = f"{data.ids[n]}, {name} of {len(ranked)} radiographs of {split}: IPE {ipe[n]:.2f} px"
        figures.draw_overlay(data.picture(n), truth[n], points_network_px[n], title, folder / f"{split}_{name}.png")
    return result


def found_in(rows: list[dict[str, str]], data: RadiographDataset) -> tuple[np.ndarray, np.ndarray]:
    """Points (N, L, 2) px of the network's frame and heights of peaks (N, L) of tables that `write_test` wrote, as `data` lists
    its radiographs; NaN of those that no row has.
    """
    place, points = {id: i for i, id in enumerate(data.ids)}, np.full(data.points_px.shape, np.nan)
    peaks = np.full(points.shape[:2], np.nan)
    for row in rows:
        at = place[row["image"]], int(row["landmark"])
        points[at], peaks[at] = (float(row["x_px"]), float(row["y_px"])), float(row["peak"])
    return points, peaks


def listed(figures: dict) -> str:
    """Figures on one line; those of several annotators on a second one."""
    plain = ", ".join(f"{name} {value}" for name, value in figures.items() if name != "readers")
    return f"{plain}\n{judgement.format_annotators(figures['readers'])}" if "readers" in figures else plain


def refuse_other(folder: Path, split: str, made_of: dict) -> None:
    """Raises DataError where the folder holds the figures of another network or other data."""
    path = folder / f"{split}.json"
    try:
        there = json.loads(path.read_text())
    except FileNotFoundError:
        return
    except ValueError:
        there = {}
    differs = [name for name in made_of if there.get(name) != made_of[name]]
    if differs:
        raise DataError(f"{path}: is of {' and '.join(f'other {name}' for name in differs)}; choose another --result")


@cache
def provenance() -> dict[str, str]:
    """What made a result: version and revision of the code, versions of what it stands on, hardware."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        git = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True).stdout.strip()
    except FileNotFoundError:
        git = ""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    return {
        "version": VERSION,
        "revision": git or "unknown",
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "hardware": f"{platform.machine()}, {torch.get_num_threads()} threads, {gpu}",
    }
