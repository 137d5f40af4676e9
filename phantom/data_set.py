"""A folder of synthetic radiographs with their table of landmarks, as data_preprocessing.py reads it."""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import imageio.v3 as iio
import numpy as np
from tqdm import tqdm

from phantom.drawing import STEPS, Steps, draw_hand
from radiographs.prepared_folder import settings_in
from radiographs.raw_folder import COORDINATES, SPLITS
from runtime.apart import start_worker
from runtime.files import DataError, write_whole

JPEG_QUALITY = 90
BLOCK = 200  # radiographs that the same workers draw
MADE = re.compile(r"synthetic_\d{5,}(\.jpg(\.part)?)?")  # the ID or the file of a synthetic radiograph
COUNTS = {"train": 91, "valid": 21, "test": 21}  # as many as the reference has of each


def draw_file(path: Path, seed: list[int], steps: Steps) -> tuple[str, np.ndarray]:
    """Draw and write one radiograph: its ID and its points."""
    picture, points = draw_hand(seed, steps=steps)
    write_whole(path, iio.imwrite("<bytes>", picture, extension=".jpg", quality=JPEG_QUALITY))
    return path.stem, points


def all_synthetic(ids: Iterable[str]) -> bool:
    """Whether radiographs with these IDs were made here: told by their names, which go with them wherever they are copied."""
    return all(MADE.fullmatch(id) for id in ids)


def files_of_others(out: Path) -> Iterator[Path]:
    """The files anywhere below OUT that synthetic radiographs must not be mixed with.

    All but hidden ones, README.md, prepared folders, and synthetic radiographs of an unfinished run, which have no table yet.
    """
    for folder, folders, names in os.walk(out, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".") and not settings_in(Path(folder, name))]
        unfinished = Path(folder).parent == out and Path(folder).name in SPLITS
        for name in names:
            if not (name.startswith(".") or name == "README.md" or (unfinished and MADE.fullmatch(name))):
                yield Path(folder, name)


def write_data_set(out: Path, counts: dict[str, int], seed: int, workers: int, turns: Sequence[Steps] = (STEPS,)) -> None:
    """Write counts[split] radiographs into OUT/split and their table, refusing a folder that has some. Raises DataError.

    They are made by `turns`, one after another and over again.
    """
    if taken := next(files_of_others(out), None):
        raise DataError(f"{taken}: is there already, and synthetic radiographs are not mixed with others; choose another --out")
    jobs = []
    for split in SPLITS:
        (out / split).mkdir(parents=True, exist_ok=True)
        for path in (out / split).glob("synthetic_*"):  # of a run that did not end
            path.unlink()
        for number in range(len(jobs) + 1, len(jobs) + 1 + counts[split]):
            jobs.append((out / split / f"synthetic_{number:05d}.jpg", [seed, number], turns[(number - 1) % len(turns)]))
    lines = []
    with tqdm(total=len(jobs), unit=" radiographs", disable=None) as bar:
        for start in range(0, len(jobs), BLOCK):
            with ProcessPoolExecutor(workers, initializer=start_worker) as pool:  # anew, so that their memory does not grow
                for id, points in pool.map(draw_file, *zip(*jobs[start : start + BLOCK]), chunksize=4):
                    lines.append(",".join([id, *(f"{value:.3f}" for value in points.ravel())]) + "\n")
                    bar.update()
    write_whole(out / COORDINATES, "".join(lines).encode())
    print(f"made {len(jobs)} synthetic radiographs in {out}: " + ", ".join(f"{counts[split]} {split}" for split in SPLITS))
