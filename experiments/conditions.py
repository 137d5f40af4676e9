"""Radiographs as other places frame, turn, expose or process them: each change moves the landmarks along."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import imageio.v3 as iio
import numpy as np
from PIL import Image
from scipy.ndimage import affine_transform, gaussian_filter
from skimage.exposure import equalize_adapthist

from radiographs.processing import skin_outline
from radiographs.view import border_grey

FILM_ROWS = 1200  # px, of a radiograph at full size
FILM_SIZES = 0.55, 1.0  # of a radiograph on a film of two
FILM_TILT = 25.0  # degrees at most, either way
SKIN = 0.3  # of the way from the background to Otsu's threshold, where a hand's skin begins


@dataclass
class Changed:
    """A changed picture (rows, columns) float32, and how a point (x, y) of the first picture moves: matrix @ point + shift."""

    picture: np.ndarray
    matrix: np.ndarray
    shift: np.ndarray
    hands: int = 1  # in the picture

    def moved(self, points: np.ndarray) -> np.ndarray:
        return points @ self.matrix.T + self.shift

    def moved_back(self, points: np.ndarray) -> np.ndarray:
        return (points - self.shift) @ np.linalg.inv(self.matrix).T


Random = np.random.Generator
Change = Callable[[np.ndarray, Random], Changed]  # what follows a random generator below is given beforehand


def still(picture: np.ndarray, rng: Random | None = None) -> Changed:
    return Changed(picture.astype(np.float32), np.eye(2), np.zeros(2))


def placed(picture: np.ndarray, rng: Random, degrees=0.0, size=1.0, shift=(0.0, 0.0), black=False) -> Changed:
    """Turned clockwise about its centre and shrunk in a frame that holds all of it, moved by parts of that frame."""
    rows, columns = picture.shape
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * (columns / 2, rows / 2) @ turn.T
    extent = np.ceil(np.ptp(corners, axis=0) - 1e-6).astype(int)
    matrix = turn * size
    offset = (extent - 1) / 2 + np.array(shift) * extent - matrix @ ((np.array([columns, rows]) - 1) / 2)
    inverse = np.linalg.inv(matrix)
    smooth = gaussian_filter(picture, 0.4 / size) if size < 1 else picture
    beside = float(picture.min()) if black else border_grey(picture)
    of_rows, start = inverse[::-1, ::-1], (-inverse @ offset)[::-1]  # (row, column) instead of (x, y)
    moved = affine_transform(smooth, of_rows, start, tuple(extent[::-1]), order=1, mode="constant", cval=beside)
    return Changed(moved.astype(np.float32), matrix, offset)


def mirrored(picture: np.ndarray, rng: Random) -> Changed:
    return Changed(picture[:, ::-1].copy(), np.diag([-1.0, 1.0]), np.array([picture.shape[1] - 1.0, 0.0]))


def cut(picture: np.ndarray, rng: Random, top=0.0, right=0.0, bottom=0.0) -> Changed:
    """Without these shares of its height or width."""
    rows, columns = picture.shape
    first = int(rows * top)
    kept = picture[first : rows - int(rows * bottom), : columns - int(columns * right)]
    return Changed(kept.copy(), np.eye(2), np.array([0.0, -first]))


def long_forearm(picture: np.ndarray, rng: Random, share: float) -> Changed:
    """The last rows go on below the picture."""
    more = np.repeat(picture[-3:].mean(0, keepdims=True), int(len(picture) * share), 0)
    return still(np.concatenate([picture, more]))


def masked(picture: np.ndarray, rng: Random, value: float) -> Changed:
    """All beside the hand one grey, as a segmentation leaves it."""
    return still(np.where(skin_outline(picture, SKIN), picture, picture.min() + value * np.ptp(picture)))


def bordered(picture: np.ndarray, rng: Random, value: float, width: float) -> Changed:
    """A border of one grey, as wide as a part of the picture: collimation, or the light box beside the film."""
    y, x = (int(side * width) for side in picture.shape)
    framed = np.pad(picture, ((y, y), (x, x)), constant_values=picture.min() + value * np.ptp(picture))
    return Changed(framed, np.eye(2), np.array([float(x), float(y)]))


def labelled(picture: np.ndarray, rng: Random, count: int) -> Changed:
    """Black labels somewhere over the picture."""
    covered, (rows, columns) = picture.copy(), picture.shape
    for _ in range(count):
        height, width = (rng.uniform(0.06, 0.12, 2) * rows).astype(int)
        y, x = rng.integers(0, rows - height), rng.integers(0, columns - width)
        covered[y : y + height, x : x + width] = picture.min()
    return still(covered)


def shrunk(picture: np.ndarray, rng: Random, rows: int, quality: int | None = None) -> Changed:
    """So many rows, and saved as a JPEG of a quality."""
    size = round(picture.shape[1] * rows / len(picture)), rows
    small = np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BOX))
    if quality:
        small = iio.imread(iio.imwrite("<bytes>", small.clip(0, 255).astype(np.uint8), extension=".jpg", quality=quality))
    scale = np.array(size) / picture.shape[::-1]
    return Changed(small.astype(np.float32), np.diag(scale), 0.5 * scale - 0.5)


def one_by_one(*changes: Change) -> Change:
    """One change after the other."""

    def together(picture: np.ndarray, rng: Random) -> Changed:
        result = still(picture)
        for change in changes:
            after = change(result.picture, rng)
            result = Changed(after.picture, after.matrix @ result.matrix, after.moved(result.shift))
        return result

    return together


def laid(picture: np.ndarray, rng: Random, flipped: bool) -> Changed:
    """A radiograph as it lies on a film beside others: of some size, tilted, its surroundings cut off."""
    low, high = np.percentile(picture, (0.5, 99.5))
    grey = (255 * (picture - low) / (high - low)).clip(0, 255).astype(np.float32)
    size = rng.uniform(*FILM_SIZES) * FILM_ROWS / len(picture)
    lying = one_by_one(mirrored if flipped else still, partial(placed, degrees=rng.uniform(-FILM_TILT, FILM_TILT), size=size))
    changed = lying(grey, rng)
    rows, columns = changed.picture.shape  # `placed` keeps the frame of the full size
    left, top = np.floor(np.array([columns, rows]) * (1 - min(size, 1)) / 2).astype(int)
    return Changed(changed.picture[top : rows - top, left : columns - left], changed.matrix, changed.shift - (left, top))


def film_of_two(picture: np.ndarray, rng: Random) -> Changed:
    """A hand with its mirror image on its left or on its right; landmarks stay with the hand that is as it was."""
    flipped = rng.permutation([True, False])
    parts = [laid(picture, rng, side) for side in flipped]
    rows = max(len(part.picture) for part in parts)
    tops = [int(rng.integers(0, rows - len(part.picture) + 1)) for part in parts]
    columns = [
        np.pad(one, ((top, rows - len(one) - top), (0, 0)), constant_values=border_grey(one))
        for one, top in zip((part.picture for part in parts), tops)
    ]
    kept = int(np.argmin(flipped))
    shift = parts[kept].shift + np.array([kept * columns[0].shape[1], tops[kept]])
    return Changed(np.concatenate(columns, 1), parts[kept].matrix, shift, hands=2)


def grey_values(function: Callable[[np.ndarray, Random], np.ndarray]) -> Change:
    """A change of the grey values, which `function` takes and returns in [0, 1]."""
    return lambda picture, rng: still(np.clip(255 * function((picture - picture.min()) / np.ptp(picture), rng), 0, 255))


def noisy(sd: float) -> Change:
    return grey_values(lambda grey, rng: grey + rng.normal(0, sd / 255, grey.shape))


def clahe(limit: float) -> Change:
    return grey_values(lambda grey, rng: equalize_adapthist(grey, clip_limit=limit))


def edges(amount: float) -> Change:
    return grey_values(lambda grey, rng: grey + amount * (grey - gaussian_filter(grey, 4)))


inverted = grey_values(lambda grey, rng: 1 - grey)
CONDITIONS: dict[str, Change] = {
    "as it came": still,
    "hand at 80 % of the size": partial(placed, size=0.8),
    "hand at 60 %": partial(placed, size=0.6),
    "hand at 40 %": partial(placed, size=0.4),
    "hand at 25 %": partial(placed, size=0.25),
    "hand at 60 % in a corner": partial(placed, size=0.6, shift=(0.18, 0.18)),
    **{f"turned by {degrees} degrees": partial(placed, degrees=degrees) for degrees in (10, 30, -45, 90, 135, 180)},
    "mirrored": mirrored,
    "inverted": inverted,
    "long forearm (30 %)": partial(long_forearm, share=0.3),
    "long forearm (60 %)": partial(long_forearm, share=0.6),
    "fingertips cut off (8 %)": partial(cut, top=0.08),
    "thumb cut off (15 %)": partial(cut, right=0.15),
    "wrist cut off (12 %)": partial(cut, bottom=0.12),
    "gamma 0.5": grey_values(lambda grey, rng: grey**0.5),
    "gamma 2": grey_values(lambda grey, rng: grey**2),
    "gamma 3": grey_values(lambda grey, rng: grey**3),
    "a fifth of the contrast": grey_values(lambda grey, rng: 0.4 + 0.2 * grey),
    "steep tone curve": grey_values(lambda grey, rng: 1 / (1 + np.exp(-10 * (grey - np.median(grey))))),
    "edge enhancement (1.5)": edges(1.5),
    "edge enhancement (4)": edges(4),
    "CLAHE (0.01)": clahe(0.01),
    "CLAHE (0.03)": clahe(0.03),
    "background black": partial(masked, value=0.0),
    "background white": partial(masked, value=1.0),
    "black collimation": partial(bordered, value=0.0, width=0.15),
    "white light box": partial(bordered, value=1.0, width=0.12),
    "noise (SD 10 of 255)": noisy(10),
    "noise (SD 20)": noisy(20),
    "noise (SD 40)": noisy(40),
    "blurred (SD 3 px)": grey_values(lambda grey, rng: gaussian_filter(grey, 3)),
    "320 rows at JPEG quality 20": partial(shrunk, rows=320, quality=20),
    "200 rows": partial(shrunk, rows=200),
    "a label over it": partial(labelled, count=1),
    "three labels over it": partial(labelled, count=3),
    "turned by 60 degrees and mirrored at 60 %": one_by_one(partial(placed, degrees=60, size=0.6), mirrored),
    "turned by -120 degrees and inverted with noise": one_by_one(partial(placed, degrees=-120), inverted, noisy(10)),
    "black background and CLAHE at 50 %": one_by_one(
        partial(masked, value=0.0), clahe(0.01), partial(placed, degrees=25, size=0.5, black=True)
    ),
    "beside its mirror image": film_of_two,
}
