"""Draws docs/synthetic.jpg: twelve synthetic radiographs with their landmarks; and docs/kinds.jpg: some of every other kind.

python -m experiments.draw_synthetic
"""

import argparse
import io
import math
import sys
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from phantom.drawing import draw_hand
from phantom.kinds import KINDS
from runtime.command import exit_status
from runtime.files import write_whole

SEED = 0
COLUMNS = 4  # of the figure


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs"), help="folder for the picture")
    parser.add_argument("--count", type=int, default=12, help="synthetic radiographs")
    parser.add_argument("--of_a_kind", type=int, default=6, help="synthetic radiographs of every other kind")
    options = parser.parse_args(arguments)
    figure = Figure(figsize=(15, 13 / 3 * math.ceil(options.count / COLUMNS)), layout="constrained")
    grid = figure.subplots(math.ceil(options.count / COLUMNS), COLUMNS, squeeze=False).ravel()
    for number, axes in enumerate(grid, start=1):
        axes.axis("off")
        if number <= options.count:
            show(axes, "atlas", number)
            axes.set_title(f"synthetic_{number:05d}", fontsize=9)
    save(figure, options.out / "synthetic.jpg", dots_per_inch=100)

    kinds = [kind for kind in KINDS if kind != "atlas"]
    figure = Figure(figsize=(2 * options.of_a_kind, 2.6 * len(kinds)), layout="constrained")
    for kind, row in zip(kinds, figure.subplots(len(kinds), options.of_a_kind, squeeze=False)):
        for number, axes in enumerate(row, start=1):
            axes.axis("off")
            show(axes, kind, number, size=1)
        row[0].set_title(kind, fontsize=9, loc="left")
    save(figure, options.out / "kinds.jpg", dots_per_inch=75)


def show(axes: Axes, kind: str, number: int, size: float = 3) -> None:
    """A radiograph of `python -m phantom --kinds KIND --seed 0` with its landmarks, dots of this size in points."""
    picture, points = draw_hand([SEED, number], steps=KINDS[kind])
    axes.imshow(picture, cmap="gray", vmin=0, vmax=255)
    axes.plot(*points.T, ".", color="red", markersize=size)


def save(figure: Figure, path: Path, dots_per_inch: int) -> None:
    content = io.BytesIO()
    figure.savefig(content, format="jpg", dpi=dots_per_inch, pil_kwargs={"quality": 85})
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, content.getbuffer())


if __name__ == "__main__":
    sys.exit(exit_status(main))
