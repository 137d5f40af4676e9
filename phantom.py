"""Synthetic radiographs of left hands with 37 exact landmarks, as a data set that `data_preprocessing.py` reads.

    python phantom.py --out dataset --train 91 --valid 21 --test 21 --seed 0

The same seed gives the same bytes, whatever the number of workers.
"""

import argparse
import io
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path

import imageio.v3 as iio
import numpy as np
from scipy.ndimage import gaussian_filter
from tqdm import tqdm

import phantom_shape
from command import alone_in, cores, exit_status, start_worker
from files import COORDINATES, SPLITS, DataError, write_whole
from phantom_anatomy import draw_bones
from phantom_bones import TEXTURE_SIDE, Maps
from phantom_film import absorption, add_markers, expose
from phantom_flesh import soft_tissue

SHAPE = Path(__file__).with_name("phantom_shape.npz")
ROWS = 1024  # of every picture
MARGINS = {"left": (0.069, 0.027), "right": (0.063, 0.026), "top": (0.041, 0.021), "bottom": (0.037, 0.024)}  # of the picture's
# width or height, between its edge and the outermost landmark: mean and standard deviation in the atlas
TILT_DEGREES = 0.8, 4.4  # of the middle metacarpal against the picture: mean and standard deviation
COLUMNS = 500, 950
JPEG_QUALITY = 90
BLOCK = 200  # radiographs that the same workers draw
COUNTS = {"train": 91, "valid": 21, "test": 21}  # as many as the reference has of each


@cache
def shape_model() -> phantom_shape.ShapeModel:
    return phantom_shape.load(SHAPE)


def maturity_of(shape: np.ndarray, rng: np.random.Generator) -> float:
    """How grown up a hand looks, 0 to 1: in children the scaphoid still keeps its distance from the radius's other side."""
    radial, ulnar, wrist = (np.hypot(*(shape[a] - shape[b])) for a, b in ((8, 5), (8, 1), (1, 5)))
    return float(np.clip(1.26 + 1.36 * (radial - ulnar) / wrist + rng.normal(0, 0.1), 0.05, 1))


def pose(shape: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Fingers spread a little differently: each finger turned about its knuckle, the thumb about its base."""
    shape = shape.copy()
    for first, last, degrees in ((21, 24, 2.0), (25, 28, 1.5), (29, 32, 1.5), (33, 36, 2.5), (17, 20, 2.5)):
        turned = phantom_shape.rotate(shape[None, first : last + 1] - shape[first], np.radians(rng.normal(0, degrees, 1)))
        shape[first : last + 1] = turned[0] + shape[first]
    return shape


def place(shape: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, int]:
    """A shape (37, 2) -> (points px, the picture's columns): turned, enlarged and framed as the atlas frames its hands."""
    turned = phantom_shape.rotate(shape[None], np.radians(rng.normal(*TILT_DEGREES, 1)))[0]
    margin = {side: max(mean + spread * np.clip(rng.normal(), -1.6, 2.5), 0.004) for side, (mean, spread) in MARGINS.items()}
    low, high = turned.min(0), turned.max(0)
    across = 1 - margin["left"] - margin["right"]
    scale = min(
        ROWS * (1 - margin["top"] - margin["bottom"]) / (high[1] - low[1]),
        COLUMNS[1] * across / (high[0] - low[0]),  # a hand spread so wide that the picture's columns limit it
    )
    width = (high[0] - low[0]) * scale
    columns = int(np.clip(np.ceil(width / across), *COLUMNS))
    spare = columns - width
    left = spare * margin["left"] / (margin["left"] + margin["right"])
    return (turned - low) * scale + (left, margin["top"] * ROWS), columns


def draw_hand(seed, masks: dict[str, np.ndarray] | None = None) -> tuple[np.ndarray, np.ndarray]:
    """One radiograph: picture (1024, columns) uint8 and points (37, 2) as (x, y) px, the same for the same seed.

    `seed` is anything `numpy.random.default_rng` takes. An empty dictionary as `masks` is filled with name: (rows, columns)
    bool, where each bone is.
    """
    rng = np.random.default_rng(seed)
    shape = phantom_shape.sample(shape_model(), rng)
    maturity = maturity_of(shape, rng)
    points, columns = place(pose(shape, rng), rng)
    noise = rng.standard_normal((TEXTURE_SIDE, TEXTURE_SIDE)).astype(np.float32)
    texture = gaussian_filter(noise, rng.uniform(0.7, 1.2), mode="wrap")
    texture *= rng.uniform(0.9, 2.0) / texture.std()
    empty = np.zeros((2, ROWS, columns), np.float32)
    maps = Maps(empty[0], empty[1], texture, masks)
    draw_bones(maps, points, maturity, rng)
    soft, depth = soft_tissue(points, (ROWS, columns), rng)
    grey = expose(absorption(maps, soft, points, rng), depth, rng)
    add_markers(grey, depth, rng)
    return np.rint(grey.clip(0, 255)).astype(np.uint8), points


def draw_file(job: tuple[Path, int, int]) -> tuple[str, np.ndarray]:
    """Draw and write one radiograph: (path, seed, number) -> (ID, points)."""
    path, seed, number = job
    picture, points = draw_hand([seed, number])
    write_whole(path, iio.imwrite("<bytes>", picture, extension=".jpg", quality=JPEG_QUALITY))
    return path.stem, points


def files_of_others(out: Path) -> list[Path]:
    """The table and the radiographs of OUT, but for those that an unfinished drawing left, which have no table yet."""
    table = out / COORDINATES
    radiographs = [path for split in SPLITS for path in (out / split).glob("*") if not path.name.startswith((".", "drawn_"))]
    return [table, *radiographs] if table.exists() else radiographs


def write_data_set(out: Path, counts: dict[str, int], seed: int, workers: int) -> None:
    """Draw counts[split] radiographs into OUT/split and their table, refusing a folder that has some. Raises DataError."""
    if taken := files_of_others(out):
        raise DataError(f"{taken[0]}: is there already, and {out} would mix drawn with other radiographs; choose another --out")
    for split in SPLITS:
        for path in (out / split).glob("drawn_[0-9][0-9][0-9][0-9][0-9].jpg*"):  # of a drawing that did not come to its end
            path.unlink()
    jobs = []
    for split in SPLITS:
        (out / split).mkdir(parents=True, exist_ok=True)
        for _ in range(counts[split]):
            number = len(jobs) + 1
            jobs.append((out / split / f"drawn_{number:05d}.jpg", seed, number))
    lines = io.StringIO()
    with tqdm(total=len(jobs), unit=" radiographs", disable=None) as bar:
        for start in range(0, len(jobs), BLOCK):
            with ProcessPoolExecutor(workers, initializer=start_worker) as pool:  # anew, so that their memory does not grow
                for id, points in pool.map(draw_file, jobs[start : start + BLOCK], chunksize=4):
                    lines.write(",".join([id, *(f"{value:.3f}" for value in points.ravel())]) + "\n")
                    bar.update()
    write_whole(out / COORDINATES, lines.getvalue().encode())
    print(f"drew {len(jobs)} radiographs into {out}: " + ", ".join(f"{counts[split]} {split}" for split in SPLITS))


def main() -> int:
    parser = argparse.ArgumentParser(description="Draw radiographs of left hands with exact landmarks.")
    parser.add_argument("--out", type=Path, default=Path("dataset"), help="folder to write")
    for split, count in COUNTS.items():
        parser.add_argument(f"--{split}", type=int, default=count, help=f"radiographs in {split}")
    parser.add_argument("--seed", type=int, default=0, help="the same seed draws the same radiographs")
    parser.add_argument("--workers", type=int, default=cores(), help="processes")
    options = parser.parse_args()
    counts = {split: getattr(options, split) for split in SPLITS}
    if min(counts.values()) < 0 or not sum(counts.values()) or options.workers < 1 or options.seed < 0:
        parser.error("expected counts of 0 or more, one of them positive, --seed >= 0 and --workers >= 1")

    def work() -> None:
        with alone_in(options.out):
            write_data_set(options.out, counts, options.seed, options.workers)

    return exit_status(work)


if __name__ == "__main__":
    sys.exit(main())
