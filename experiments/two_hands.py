"""Whether both hands of a film are found, with their sides, and as accurately as a hand alone."""

import sys
from dataclasses import replace
from functools import partial

import numpy as np

from experiments.conditions import Changed, mirrored, one_by_one, placed, still
from prediction.predictor import Prediction, Predictor
from radiographs.view import border_grey

FRAME = 256  # px, in which errors are given
FAR = 10  # px there, from which on a landmark is an outlier
ROWS = 1200  # px, of a radiograph at full size
SIZES = 0.55, 1.0  # of a radiograph in a film
TILT = 25.0  # degrees at most, either way


def errors_of(prediction: Prediction, changed: Changed, points: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Errors (L) in px of the frame of a radiograph, of that shape and with these points (L, 2), found in its changed picture."""
    off = changed.moved_back(prediction.points_px) - points
    return np.linalg.norm(off * (FRAME / np.array(shape[::-1])), axis=1)


def laid(picture: np.ndarray, flipped: bool, rng: np.random.Generator) -> Changed:
    """A radiograph as it lies in a film: of some size, tilted, maybe mirrored, from 0 to 255."""
    low, high = np.percentile(picture, (0.5, 99.5))
    grey = (255 * (picture - low) / (high - low)).clip(0, 255).astype(np.float32)
    size = rng.uniform(*SIZES) * ROWS / len(picture)
    lying = partial(placed, degrees=rng.uniform(-TILT, TILT), size=size)
    changed = one_by_one(mirrored if flipped else still, lying)(grey, rng)
    rows, columns = changed.picture.shape  # `placed` keeps the frame of the full size, so the hand's surroundings are cut off
    left, top = np.floor(np.array([columns, rows]) * (1 - min(size, 1)) / 2).astype(int)
    cut = changed.picture[top : rows - top, left : columns - left]
    return replace(changed, picture=cut, shift=changed.shift - (left, top))


def make_film(pictures: list[np.ndarray], flipped: list[bool], rng: np.random.Generator) -> tuple[np.ndarray, list[Changed]]:
    """Some radiographs side by side: the film, and how each one lies in it."""
    parts = [laid(picture, side, rng) for picture, side in zip(pictures, flipped)]
    rows = max(len(part.picture) for part in parts)
    columns, moved, left = [], [], 0
    for part in parts:
        below = rows - len(part.picture)
        top = int(rng.integers(0, below + 1))
        beside = border_grey(part.picture)
        columns.append(np.pad(part.picture, ((top, below - top), (0, 0)), constant_values=beside))
        moved.append(replace(part, shift=part.shift + np.array([left, top])))
        left += part.picture.shape[1]
    return np.concatenate(columns, 1), moved


def report_films(predictor: Predictor, radiographs: list[tuple[np.ndarray, np.ndarray]], films: int) -> None:
    """Lay two of some radiographs, (picture, points (L, 2) px), side by side, one of them mirrored, and predict."""
    both = sides = 0
    errors = []
    for number in range(films):
        rng = np.random.default_rng(number)
        chosen = [radiographs[i] for i in rng.choice(len(radiographs), 2, replace=False)]
        flipped = rng.permutation([True, False]).tolist()
        film, lying = make_film([picture for picture, _ in chosen], flipped, rng)
        (hands,) = predictor.predict([film])
        if len(hands) != 2:
            print(f"film {number}: {len(hands)} hands found", file=sys.stderr)
            continue
        off = [errors_of(hand, part, points, picture.shape) for hand, part, (picture, points) in zip(hands, lying, chosen)]
        both += all(np.nanmedian(one) < FAR for one in off)
        sides += [hand.side for hand in hands] == ["right" if side else "left" for side in flipped]
        errors += off
    far = 100 * np.mean(np.array(errors) > FAR)
    print(f"{films} films of two hands: both found in {both}, sides right in {sides}")
    print(f"IPE {np.mean(errors):.3f} px, {far:.2f} % of landmarks beyond {FAR} px ({len(errors)} hands)")
