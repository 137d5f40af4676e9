"""Draws docs/architecture.png: the two components of the network, their layers and their product.

python -m experiments.draw_architecture
"""

import argparse
import io
import sys
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from runtime.command import exit_status
from runtime.files import write_whole

BLUE, ORANGE, GREY, GREEN = "#cfe2f3", "#fce5cd", "#eeeeee", "#d9ead3"
LOCAL, SPATIAL, DARK = "#1f4e79", "#a0522d", "#333333"  # letters of the components, lines


def box(axes: Axes, x: float, y: float, text: str, colour: str, width: float = 1.5, height: float = 0.62) -> None:
    style = FancyBboxPatch(
        (x - width / 2, y - height / 2), width, height, boxstyle="round,pad=0.03", facecolor=colour, edgecolor="#555555"
    )
    axes.add_patch(style)
    axes.text(x, y, text, ha="center", va="center", fontsize=8)


def arrow(axes: Axes, start: tuple, end: tuple, text: str = "", dx: float = 0.0, dy: float = 0.12) -> None:
    """An arrow, its text `dx`, `dy` off its middle."""
    look = {"arrowstyle": "-|>", "color": DARK, "shrinkA": 1, "shrinkB": 1, "connectionstyle": "arc3,rad=0.0"}
    axes.annotate("", end, start, arrowprops=look)
    middle = (start[0] + end[0]) / 2 + dx, (start[1] + end[1]) / 2 + dy
    axes.text(*middle, text, ha="center", va="center", fontsize=7, color=DARK)


def draw_local_appearance(axes: Axes) -> None:
    axes.text(4.6, 5.3, "local appearance: accurate, but ambiguous", fontsize=11, ha="center", color=LOCAL)
    box(axes, 0.6, 4.6, "radiograph\n1 × 256 × 256", GREY)
    tops = [4.6, 3.5, 2.4, 1.3]
    for level, y in enumerate(tops):
        size = 256 // 2**level
        box(axes, 2.7, y, "conv 5×5, 64\ndropout", BLUE)
        box(axes, 4.5, y, "conv 5×5, 64", BLUE)
        box(axes, 6.6, y, "conv 5×5, 64", BLUE)
        axes.text(5.55, y + 0.42, f"{size} × {size}", ha="center", fontsize=7, color=LOCAL)
        arrow(axes, (3.5, y), (3.7, y))
        arrow(axes, (5.3, y), (5.8, y))
        if level < 3:
            axes.text(8.4, y, "+", ha="center", va="center", fontsize=14)
            arrow(axes, (7.4, y), (8.25, y), "skip")
            arrow(axes, (4.5, y - 0.36), (2.7, tops[level + 1] + 0.36), "mean of 2×2", dx=-0.95, dy=0.02)
    for level in range(3):
        start = (8.4, tops[level + 1] + 0.15) if level < 2 else (7.4, tops[3])
        arrow(axes, start, (8.4, tops[level] - 0.18), "bilinear ×2", dx=0.5, dy=0)
    arrow(axes, (1.4, 4.6), (1.9, 4.6))
    box(axes, 10.0, 4.6, "conv 5×5, 37\nlinear", BLUE)
    arrow(axes, (8.55, 4.6), (9.2, 4.6))
    box(axes, 12.0, 4.6, "local heatmaps\n37 × 256 × 256", GREEN)
    arrow(axes, (10.8, 4.6), (11.2, 4.6))


def draw_spatial_configuration(axes: Axes) -> None:
    axes.text(6.6, -0.55, "spatial configuration: unambiguous, but coarse", fontsize=11, ha="center", color=SPATIAL)
    for x, text in ((3.6, "conv 15×15, 64"), (5.5, "conv 15×15, 64"), (7.4, "conv 15×15, 64"), (9.4, "conv 15×15, 37\ntanh")):
        box(axes, x, -1.5, text, ORANGE)
    for start, end in ((4.4, 4.7), (6.3, 6.6), (8.2, 8.6)):
        arrow(axes, (start, -1.5), (end, -1.5))
    axes.text(6.45, -2.1, "32 × 32", ha="center", fontsize=7, color=SPATIAL)
    axes.plot([12.0, 12.0, 1.6, 1.6, 2.75], [4.25, 0.3, 0.3, -1.5, -1.5], color=DARK, linewidth=1)
    axes.annotate("", (2.82, -1.5), (2.7, -1.5), arrowprops={"arrowstyle": "-|>", "color": DARK})
    axes.text(7, 0.42, "mean of 8×8", ha="center", fontsize=7, color=DARK)
    box(axes, 12.0, -1.5, "spatial heatmaps\n37 × 256 × 256", GREEN)
    arrow(axes, (10.2, -1.5), (11.2, -1.5), "bicubic ×8", dy=0.17)


def draw_product(axes: Axes) -> None:
    axes.text(13.1, 1.6, "×", ha="center", va="center", fontsize=16)
    arrow(axes, (12.5, 4.25), (13.1, 1.85))
    arrow(axes, (12.5, -1.15), (13.1, 1.35))
    box(axes, 14.3, 1.6, "heatmaps\n37 × 256 × 256", GREEN)
    arrow(axes, (13.25, 1.6), (13.5, 1.6))
    note = "every convolution but the two that make heatmaps is followed by LeakyReLU(0.1); 4,097,034 parameters"
    axes.text(7.4, -2.75, note, ha="center", fontsize=8)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs"), help="folder for the picture")
    options = parser.parse_args(arguments)
    figure = Figure(figsize=(13, 7), layout="constrained")
    axes = figure.subplots()
    axes.set(xlim=(-0.3, 15.2), ylim=(-2.9, 5.6))
    axes.axis("off")
    draw_local_appearance(axes)
    draw_spatial_configuration(axes)
    draw_product(axes)
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=100)
    options.out.mkdir(parents=True, exist_ok=True)
    write_whole(options.out / "architecture.png", content.getbuffer())


if __name__ == "__main__":
    sys.exit(exit_status(main))
