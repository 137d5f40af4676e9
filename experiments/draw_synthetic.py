"""Draws docs/synthetic.jpg: twelve synthetic radiographs with their landmarks.

python -m experiments.draw_synthetic
"""

import argparse
import io
import math
import sys
from pathlib import Path

from matplotlib.figure import Figure

from phantom.drawing import draw_hand
from runtime.command import exit_status
from runtime.files import write_whole

SEED = 0
COLUMNS = 4  # of the figure


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs"), help="folder for the picture")
    parser.add_argument("--count", type=int, default=12, help="synthetic radiographs")
    options = parser.parse_args(arguments)
    lines = math.ceil(options.count / COLUMNS)
    figure = Figure(figsize=(15, 13 / 3 * lines), layout="constrained")
    grid = figure.subplots(lines, COLUMNS, squeeze=False).ravel()
    for axes in grid:
        axes.axis("off")
    for number, axes in zip(range(1, options.count + 1), grid):
        picture, points = draw_hand([SEED, number])  # the first of `python -m phantom --seed 0`
        axes.imshow(picture, cmap="gray", vmin=0, vmax=255)
        axes.plot(*points.T, ".", color="red", markersize=3)
        axes.set_title(f"synthetic_{number:05d}", fontsize=9)
    content = io.BytesIO()
    figure.savefig(content, format="jpg", dpi=100, pil_kwargs={"quality": 85})
    options.out.mkdir(parents=True, exist_ok=True)
    write_whole(options.out / "synthetic.jpg", content.getbuffer())


if __name__ == "__main__":
    sys.exit(exit_status(main))
