"""Whether both hands of a film are found, with their sides, and as accurately as a hand alone.

    python -m experiments.two_hands --raw dataset --weights weights/scn_hand.pt

lays two validation radiographs side by side, one of them mirrored, tilted and of different sizes, and predicts. Errors are in px
of each radiograph's own 256 x 256 frame.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from experiments.stress import FAR, Changed, errors_of, mirrored, placed, still, together
from prediction.predictor import Predictor
from radiographs.raw_folder import COORDINATES, find_radiographs, read_points
from radiographs.reading import read_radiograph
from radiographs.view import border_grey
from runtime.command import exit_status

ROWS = 1200  # px, of a radiograph at full size
SIZES = 0.55, 1.0  # of a radiograph in a film
TILT = 25.0  # degrees at most, either way


def laid(picture: np.ndarray, flipped: bool, rng: np.random.Generator) -> Changed:
    """A radiograph as it lies in a film: of some size, tilted, maybe mirrored, from 0 to 255."""
    low, high = np.percentile(picture, (0.5, 99.5))
    grey = (255 * (picture - low) / (high - low)).clip(0, 255).astype(np.float32)
    size = rng.uniform(*SIZES) * ROWS / len(picture)
    lying = together(mirrored if flipped else lambda one, rng: still(one), placed(rng.uniform(-TILT, TILT), size))
    changed = lying(grey, rng)
    rows, columns = changed.picture.shape  # `placed` keeps the frame of the full size, so the hand's surroundings are cut off
    spare = np.array([columns, rows]) * (1 - min(size, 1)) / 2
    left, top = np.floor(spare).astype(int)
    cut = changed.picture[top : rows - top, left : columns - left]
    return Changed(cut, changed.matrix, changed.shift - (left, top))


def make_film(pictures: list[np.ndarray], flipped: list[bool], rng: np.random.Generator) -> tuple[np.ndarray, list[Changed]]:
    """Some radiographs side by side: the film, and how each one lies in it."""
    parts = [laid(picture, bool(side), rng) for picture, side in zip(pictures, flipped)]
    rows = max(len(part.picture) for part in parts)
    columns, moved, left = [], [], 0
    for part in parts:
        top = int(rng.integers(0, rows - len(part.picture) + 1))
        column = np.full((rows, part.picture.shape[1]), border_grey(part.picture), np.float32)
        column[top : top + len(part.picture)] = part.picture
        moved.append(replace(part, shift=part.shift + np.array([left, top])))
        columns.append(column)
        left += column.shape[1]
    return np.concatenate(columns, 1), moved


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--raw", type=Path, default=Path("dataset"), help="raw folder of real radiographs")
    parser.add_argument("--weights", type=Path, default=Path("weights/scn_hand.pt"), help="a file of export.py")
    parser.add_argument("--films", type=int, default=100)
    options = parser.parse_args(arguments)
    predictor, points = Predictor(options.weights), read_points(options.raw / COORDINATES)
    files, _ = find_radiographs(options.raw)
    valid = sorted(id for id, (split, _) in files.items() if split == "valid")
    both = sides = 0
    errors = []
    for number in range(options.films):
        rng = np.random.default_rng(number)
        chosen = [valid[i] for i in rng.choice(len(valid), 2, replace=False)]
        flipped = rng.permutation([True, False]).tolist()
        pictures = [read_radiograph(files[id][1]).pixels for id in chosen]
        film, lying = make_film(pictures, flipped, rng)
        (hands,) = predictor.predict([film])
        if len(hands) != 2:
            print(f"film {number} ({', '.join(chosen)}): {len(hands)} hands found", file=sys.stderr)
            continue
        of_both = zip(hands, lying, chosen, pictures)
        off = [errors_of(hand, change, points[id], picture.shape) for hand, change, id, picture in of_both]
        both += all(np.nanmedian(one) < FAR for one in off)
        sides += [hand.side for hand in hands] == ["right" if side else "left" for side in flipped]
        errors += off
    errors = np.array(errors)
    print(f"{options.films} films of two hands: both found in {both}, sides right in {sides}")
    far = 100 * np.mean(errors > FAR)
    print(f"IPE {np.mean(errors):.3f} px, {far:.2f} % of landmarks beyond {FAR} px ({len(errors)} hands)")


if __name__ == "__main__":
    sys.exit(exit_status(main))
