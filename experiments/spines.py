"""A run on spines as AASCE 2019 measures them: errors in the film's height, films lost, SMAPE of the three Cobb angles.

python -m experiments.spines result/001 --data spine/prepared --split valid
"""

from pathlib import Path

import numpy as np

from dataloader import RadiographDataset
from experiments.common import table
from runtime.command import exit_status, parser_of
from runtime.files import DataError, read_csv
from training.report import found_in

CORNERS = 4  # landmarks a vertebra: upper left, upper right, lower left, lower right
LOST = 0.03  # of the film's height, beyond which on average a film is called lost


def cobb_angles(points: np.ndarray, height: float) -> np.ndarray:
    """The challenge's three angles, degrees: the main one, and those above and below it, of landmarks (L, 2) from above.

    A vertebra lies as the line between the middles of its left and its right side. The main angle is the largest between two of
    them. Of a spine that bends to one side the others are between its ends and the first and last vertebra; of an S they are the
    largest beyond its ends, or both above it where it lies in the lower half of the film.
    """
    corners = points.reshape(-1, CORNERS, 2)
    lines = corners[:, 1::2].mean(1) - corners[:, 0::2].mean(1)
    turned = np.degrees(np.arctan2(lines[:, 1], lines[:, 0]))
    apart = np.abs((turned - turned[:, None] + 180) % 360 - 180)
    upper, lower = np.unravel_index(np.triu(apart).argmax(), apart.shape)
    plates = points.reshape(-1, 2, 2).mean(1)  # the middles of the end plates, from above
    along, beside = plates[0] - plates[-1], plates - plates[-1]
    sides = (along[0] * beside[:, 1] - along[1] * beside[:, 0])[1:-2]  # without the ends, and as the challenge the last but one
    if not (sides.min() < 0 < sides.max()):
        return np.array([apart[upper, lower], apart[0, upper], apart[-1, lower]])
    above = apart[upper, : upper + 1]
    if plates[2 * upper + 1, 1] + plates[2 * lower + 1, 1] < height:  # the lower plate of each
        return np.array([apart[upper, lower], above.max(), apart[lower, lower:].max()])
    end = above.argmax()
    return np.array([apart[upper, lower], above.max(), apart[end, : end + 1].max()])


def smape(found: np.ndarray, true: np.ndarray) -> float:
    """Symmetric mean absolute percentage error of angles (N, 3): of each film what they are off by in all, of their sum."""
    return float(100 * (np.abs(found - true).sum(1) / (found + true).sum(1)).mean())


def counted_freely(found: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Mean errors (N,) px of films' landmarks (N, L, 2), whose vertebrae may all be one above or below where that is nearer."""
    count, means = found.shape[1], []
    for down in (-CORNERS, 0, CORNERS):
        own, other = slice(max(0, -down), count - max(0, down)), slice(max(0, down), count - max(0, -down))
        means.append(np.nanmean(np.linalg.norm(found[:, own] - true[:, other], axis=-1), 1))
    return np.min(means, 0)


def main(arguments: list[str] | None = None) -> None:
    parser = parser_of(__doc__)
    parser.add_argument("result", type=Path, help="folder of a run that was tested on the split")
    parser.add_argument("--data", type=Path, required=True, help="its prepared data")
    parser.add_argument("--split", default="test")
    options = parser.parse_args(arguments)
    rows = read_csv(options.result / f"{options.split}_landmarks.csv")
    data = RadiographDataset(options.data, options.split, sorted({row["image"] for row in rows}))
    found, _ = found_in(rows, data)
    if found.shape[1] % CORNERS:
        raise DataError(f"{options.data}: expected {CORNERS} landmarks a vertebra, found {found.shape[1]} in all; give spines")
    found = data.in_radiographs(found)
    heights = data.sizes_px[:, 1]
    shares = np.linalg.norm(found - data.points_px, axis=-1) / heights[:, None]
    whole = np.isfinite(data.points_px).all((1, 2))
    angles = [np.array([cobb_angles(*film) for film in zip(points[whole], heights[whole])]) for points in (found, data.points_px)]
    lost = np.nanmean(shares, 1) > LOST
    freely = counted_freely(found, data.points_px) / heights
    figures = np.nanmean(shares), np.nanmedian(shares), lost.mean(), freely.mean(), (freely > LOST).mean(), smape(*angles) / 100
    header = ["films", "mean, %", "median, %", "lost, %", "one vertebra off allowed: mean, %", "lost, %", "SMAPE, %"]
    print(table(header, [[len(heights), *(100 * float(figure) for figure in figures)]]))


if __name__ == "__main__":
    raise SystemExit(exit_status(main))
