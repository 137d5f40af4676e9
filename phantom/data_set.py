"""A folder of synthetic radiographs with their table of landmarks, as data_preprocessing.py reads it."""

import io
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import imageio.v3 as iio
import numpy as np
from tqdm import tqdm

from phantom.drawing import STEPS, Steps, draw_hand
from radiographs.raw_folder import COORDINATES, SPLITS
from runtime.command import start_worker
from runtime.files import DataError, write_whole

JPEG_QUALITY = 90
BLOCK = 200  # radiographs that the same workers draw
COUNTS = {"train": 91, "valid": 21, "test": 21}  # as many as the reference has of each


def draw_file(job: tuple[Path, int, int, Steps]) -> tuple[str, np.ndarray]:
    """Draw and write one radiograph: (path, seed, number, steps) -> (ID, points)."""
    path, seed, number, steps = job
    picture, points = draw_hand([seed, number], steps=steps)
    write_whole(path, iio.imwrite("<bytes>", picture, extension=".jpg", quality=JPEG_QUALITY))
    return path.stem, points


def files_of_others(out: Path) -> list[Path]:
    """The table and the radiographs of OUT, but for those that an unfinished run left, which have no table yet."""
    table = out / COORDINATES
    radiographs = [path for split in SPLITS for path in (out / split).glob("*") if not path.name.startswith((".", "synthetic_"))]
    return [table, *radiographs] if table.exists() else radiographs


def write_data_set(out: Path, counts: dict[str, int], seed: int, workers: int, steps: Steps = STEPS) -> None:
    """Write counts[split] radiographs into OUT/split and their table, refusing a folder that has some. Raises DataError."""
    if taken := files_of_others(out):
        raise DataError(f"{taken[0]}: is there already, and {out} would mix both; choose another --out")
    for split in SPLITS:
        for path in (out / split).glob("synthetic_[0-9][0-9][0-9][0-9][0-9].jpg*"):  # of a run that did not end
            path.unlink()
    jobs = []
    for split in SPLITS:
        (out / split).mkdir(parents=True, exist_ok=True)
        for _ in range(counts[split]):
            number = len(jobs) + 1
            jobs.append((out / split / f"synthetic_{number:05d}.jpg", seed, number, steps))
    lines = io.StringIO()
    with tqdm(total=len(jobs), unit=" radiographs", disable=None) as bar:
        for start in range(0, len(jobs), BLOCK):
            with ProcessPoolExecutor(workers, initializer=start_worker) as pool:  # anew, so that their memory does not grow
                for id, points in pool.map(draw_file, jobs[start : start + BLOCK], chunksize=4):
                    lines.write(",".join([id, *(f"{value:.3f}" for value in points.ravel())]) + "\n")
                    bar.update()
    write_whole(out / COORDINATES, lines.getvalue().encode())
    print(f"made {len(jobs)} synthetic radiographs in {out}: " + ", ".join(f"{counts[split]} {split}" for split in SPLITS))
