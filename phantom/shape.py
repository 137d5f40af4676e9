"""The statistical shape of 37 hand landmarks: built from an atlas of annotations, and sampled.

    python -m phantom.shape --annotations atlas_annotations.csv --exclude dataset/all_coordinates.csv --out shape.npz

Shapes are (37, 2) as (x, y), y down, in units of the centroid size (the root of the summed squared distances from the
centroid), turned so that the hand stands upright. The table holds their mean and principal modes, no annotation itself.
"""

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from joints.hand import RAYS
from joints.shape import normalise
from radiographs.raw_folder import plain_id, read_points
from runtime.command import exit_status, parser_of
from runtime.files import DataError, write_whole

LANDMARKS = 37
FEWEST = 10  # hands that tell how hands vary
ALIGNMENTS = 20  # of each hand with the mean of all
EXPLAINED = 0.99  # of the variance, by the modes that are kept
ROBUST_LIMIT = 6.0  # robust standard deviations from the median, beyond which an annotation is an outlier
MODE_LIMIT = 2.4  # standard deviations, beyond which a sampled mode is drawn again
ATTEMPTS = 200  # of drawing a plausible hand
BOUNDS = (0.5, 99.5)  # percentiles of the atlas's lengths and bends that a sampled hand keeps to
CHAINS = [RAYS[name] for name in ("little", "ring", "middle", "index", "thumb")]  # in the order of the table's bounds
WRIST_PAIRS = [  # neighbours whose distance a sampled hand keeps within the atlas's
    *[(0, 2), (0, 1), (1, 6), (2, 3), (3, 4), (4, 5), (3, 7), (5, 8), (6, 7), (7, 8), (6, 9), (9, 10), (7, 10), (8, 11)],
    *[(8, 12), (11, 12), (10, 11), (9, 13), (9, 14), (10, 15), (11, 16), (12, 17), (13, 14), (14, 15), (15, 16), (16, 17)],
]


@dataclass(frozen=True)
class ShapeModel:
    """mean (37, 2); modes (modes, 74), orthonormal rows; spread (modes,), standard deviations; bounds (lengths and bends, 2)."""

    mean: np.ndarray
    modes: np.ndarray
    spread: np.ndarray
    bounds: np.ndarray


def lengths_and_bends(shapes: np.ndarray) -> np.ndarray:
    """Shapes (n, 37, 2) -> what must stay plausible: lengths between neighbours, and bends at the finger joints (radians)."""
    pairs = [pair for chain in CHAINS for pair in pairwise(chain)] + WRIST_PAIRS
    start, stop = np.array(pairs).T
    lengths = np.linalg.norm(shapes[:, stop] - shapes[:, start], axis=-1)
    directions = [np.arctan2(*np.moveaxis(np.diff(shapes[:, list(chain)], axis=1), -1, 0)[::-1]) for chain in CHAINS]
    bends = [np.angle(np.exp(1j * np.diff(direction, axis=1))) for direction in directions]
    return np.concatenate([lengths, *bends], axis=1)


def align(points: np.ndarray) -> np.ndarray:
    """Generalised Procrustes alignment without mirroring: hands (n, 37, 2) -> shapes, their mean upright."""
    shapes = normalise(points) / np.sqrt(LANDMARKS)
    mean = shapes[0]
    for _ in range(ALIGNMENTS):
        cross = np.einsum("nik,il->nkl", shapes, mean)
        shapes = rotate(shapes, np.arctan2(cross[:, 0, 1] - cross[:, 1, 0], cross[:, 0, 0] + cross[:, 1, 1]))
        mean = normalise(np.median(shapes, 0)) / np.sqrt(LANDMARKS)  # the median, so that a slip does not pull the others
    upright = np.arctan2(*(mean[25] - mean[15])) + np.pi
    return rotate(shapes, np.full(len(shapes), upright))


def rotate(shapes: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """Turn shapes (n, points, 2) by angles (n,) in radians, from the x axis towards the y axis."""
    cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
    x, y = shapes[..., 0], shapes[..., 1]
    return np.stack([cos * x - sin * y, sin * x + cos * y], -1)


def turn(points: np.ndarray, first: int, last: int, degrees: float) -> None:
    """Turn the landmarks from `first` to `last` of (37, 2 or more) about `first`, in place, as `rotate` does."""
    moved = points[None, first : last + 1, :2]
    points[first : last + 1, :2] = rotate(moved - moved[:, :1], np.radians([degrees])) + moved[:, :1]


def build(points: np.ndarray) -> tuple[ShapeModel, int]:
    """Annotations (n, 37, 2), px -> (the model, the number of hands kept)."""
    measured = lengths_and_bends(align(points))
    off = np.abs(measured - np.median(measured, 0))
    shapes = align(points[(off / (1.4826 * np.median(off, 0))).max(1) < ROBUST_LIMIT])
    mean = shapes.mean(0)
    _, singular, modes = np.linalg.svd((shapes - mean).reshape(len(shapes), -1), full_matrices=False)
    kept = 1 + int(np.searchsorted(np.cumsum(singular**2) / (singular**2).sum(), EXPLAINED))
    bounds = np.percentile(lengths_and_bends(shapes), BOUNDS, axis=0).T
    return ShapeModel(mean, modes[:kept], singular[:kept] / np.sqrt(len(shapes) - 1), bounds), len(shapes)


def load(path: Path) -> ShapeModel:
    """Raises DataError."""
    try:
        with np.load(path) as table:
            return ShapeModel(**{name: table[name].astype(np.float64) for name in ("mean", "modes", "spread", "bounds")})
    except (OSError, ValueError, KeyError, AttributeError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: expected a table that python -m phantom.shape writes ({error})") from error


def sample(model: ShapeModel, rng: np.random.Generator) -> np.ndarray:
    """One plausible hand (37, 2): modes drawn within MODE_LIMIT, lengths and bends within the atlas's bounds.

    Raises DataError where the model's hands were too few or too odd for such a one.
    """
    low, high = model.bounds.T
    for _ in range(ATTEMPTS):
        weights = rng.standard_normal(len(model.spread))
        while (far := np.abs(weights) > MODE_LIMIT).any():
            weights[far] = rng.standard_normal(far.sum())
        shape = model.mean + (weights * model.spread @ model.modes).reshape(-1, 2)
        measured = lengths_and_bends(shape[None])[0]
        if ((measured >= low) & (measured <= high)).all():
            return shape
    raise DataError(f"shape model: expected a plausible hand in {ATTEMPTS} draws, found none; build it from more hands")


def read_ids(path: Path) -> set[str]:
    """The IDs that lines begin with: of a table of landmarks, or of a list with one ID a line. Raises DataError."""
    try:
        return {plain_id(line.split(",")[0]) for line in path.read_text("utf-8-sig").splitlines() if line.strip()}
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: expected lines that begin with an ID ({error})") from error


def build_table(annotations: Path, out: Path, exclude: Sequence[Path] = ()) -> None:
    """Write the shape model of all annotations but those of radiographs whose IDs a file of `exclude` has. Raises DataError."""
    annotated = read_points(annotations)
    excluded: set[str] = set()
    for path in exclude:
        listed = read_ids(path)
        if not listed & annotated.keys():
            raise DataError(f"{path}: expected IDs to exclude, found none of {annotations}")
        excluded |= listed
    points = np.array([hand for id, hand in annotated.items() if id not in excluded])
    if len(points) < FEWEST:
        raise DataError(f"{annotations}: expected {FEWEST} hands or more that are not excluded, found {len(points)}")
    if points.shape[1] != LANDMARKS or not np.isfinite(points).all():
        raise DataError(f"{annotations}: expected {LANDMARKS} landmarks of each hand, found {points.shape[1]} or blanks")
    model, hands = build(points)
    content = io.BytesIO()
    np.savez_compressed(content, **{name: value.astype(np.float32) for name, value in vars(model).items()})
    write_whole(out, content.getvalue())
    print(f"{hands} of {len(points)} hands, {len(model.spread)} modes for {EXPLAINED:.0%} of the variance -> {out}")


def main() -> int:
    parser = parser_of("Build the shape model from a table of annotations.")
    add = parser.add_argument
    add("--annotations", type=Path, required=True, help="rows of ID, x0, y0, ..., x36, y36")
    add("--exclude", type=Path, nargs="+", default=[], help="lists or tables of radiographs that it must know nothing of")
    add("--out", type=Path, default=Path("shape.npz"), help="table to write")
    options = parser.parse_args()
    return exit_status(lambda: build_table(options.annotations, options.out, options.exclude))


if __name__ == "__main__":
    raise SystemExit(main())
