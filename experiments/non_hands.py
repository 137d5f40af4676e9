"""Pictures that are no hand radiographs: noise, patterns, photographs, synthetic feet, and parts of hands."""

from collections.abc import Iterator

import numpy as np
import skimage
from scipy.ndimage import gaussian_filter, rotate

from phantom.drawing import draw_hand

PHOTOGRAPHS = "camera coins moon page text clock brick grass gravel astronaut cat coffee rocket".split()
SHAPE = 640, 480  # rows, columns
SEED = 77  # of the hands that parts are taken of


def noise(rng: np.random.Generator) -> np.ndarray:
    return gaussian_filter(rng.standard_normal(SHAPE), rng.choice([0.0, 2.0, 8.0, 30.0]))


def pattern(rng: np.random.Generator) -> np.ndarray:
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]] / rng.uniform(15, 150)
    return rng.choice(
        [np.sin(x), np.sin(x) * np.sin(y), x + y, np.hypot(x - x.mean(), y - y.mean()), np.sign(np.sin(x) + np.sin(y))]
    )


def photograph(rng: np.random.Generator) -> np.ndarray:
    """A part of a photograph that lies in scikit-image itself, grey."""
    picture = getattr(skimage.data, rng.choice(PHOTOGRAPHS))()
    picture = picture.mean(-1) if picture.ndim == 3 else picture
    rows, columns = (rng.integers(side // 2, side + 1) for side in picture.shape)
    y, x = rng.integers(picture.shape[0] - rows + 1), rng.integers(picture.shape[1] - columns + 1)
    return picture[y : y + rows, x : x + columns]


def foot(rng: np.random.Generator) -> np.ndarray:
    """Five long metatarsals, close together, with short toes, on a tarsal block, in soft tissue."""
    y, x = np.mgrid[:900, :420].astype(float)
    picture = 0.35 * gaussian_filter(1.0 * (np.abs(x - 210) < 60 + 110 * np.exp(-(((y - 330) / 330) ** 2))) * (y > 40), 8)
    for toe in range(5):
        top, bottom = np.array([80 + 65 * toe, 90 + 22 * (4 - toe)]), np.array([140 + 36 * toe, 560.0])
        at = 0.0
        for part in (0.07, 0.09, 0.17, 0.64) if toe < 4 else (0.16, 0.22, 0.0, 0.6):
            a, b = top + at * (bottom - top), top + (at + part * 0.93) * (bottom - top)
            at += part
            t = np.clip(((x - a[0]) * (b - a)[0] + (y - a[1]) * (b - a)[1]) / max((b - a) @ (b - a), 1e-9), 0, 1)
            width = (14 + 8 * (toe == 4)) * (1 - 0.45 * np.sin(np.pi * t))
            picture += 0.5 * (np.hypot(x - a[0] - t * (b - a)[0], y - a[1] - t * (b - a)[1]) < width)
    picture += 0.5 * (((x - 215) / 95) ** 2 + ((y - 690) / 130) ** 2 < 1)
    turned = rotate(gaussian_filter(picture, 2), rng.uniform(-8, 8), reshape=False)
    return turned + rng.normal(0, 0.02, picture.shape)


def part_of_a_hand(rng: np.random.Generator) -> np.ndarray:
    """Of a synthetic radiograph the fingers alone, the wrist alone, or its blocks in another order."""
    picture, points = draw_hand([SEED, int(rng.integers(1e6))])
    kind = rng.integers(3)
    if kind == 0:
        return picture[: int(points[[21, 25, 29, 33], 1].min()) - 20]
    if kind == 1:
        return picture[int(points[[13, 14, 15, 16], 1].min()) :]
    rows, columns = picture.shape[0] // 3, picture.shape[1] // 3
    blocks = picture[: 3 * rows, : 3 * columns].reshape(3, rows, 3, columns).swapaxes(1, 2).reshape(9, rows, columns)
    return np.block([list(row) for row in rng.permutation(blocks).reshape(3, 3, rows, columns)])


KINDS = (noise, pattern, photograph, foot, part_of_a_hand)


def non_hands(count: int) -> Iterator[tuple[str, np.ndarray]]:
    """(kind, picture uint8), the kinds in turn."""
    for number in range(count):
        kind = KINDS[number % len(KINDS)]
        picture = kind(np.random.default_rng([0, number])).astype(float)
        low, high = picture.min(), picture.max()
        yield kind.__name__.replace("_", " "), np.rint(255 * (picture - low) / (high - low)).astype(np.uint8)
