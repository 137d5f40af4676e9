"""Draws docs/architecture.png: python docs/draw_architecture.py"""

from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

BLUE, ORANGE, GREY, GREEN = "#cfe2f3", "#fce5cd", "#eeeeee", "#d9ead3"


def box(axes, x: float, y: float, text: str, colour: str, width: float = 1.5, height: float = 0.62) -> None:
    style = FancyBboxPatch(
        (x - width / 2, y - height / 2), width, height, boxstyle="round,pad=0.03", facecolor=colour, edgecolor="#555555"
    )
    axes.add_patch(style)
    axes.text(x, y, text, ha="center", va="center", fontsize=8)


def arrow(axes, start: tuple, end: tuple, text: str = "", dx: float = 0.0, dy: float = 0.12, bend: float = 0.0) -> None:
    look = {"arrowstyle": "-|>", "color": "#333333", "shrinkA": 1, "shrinkB": 1, "connectionstyle": f"arc3,rad={bend}"}
    axes.annotate("", end, start, arrowprops=look)
    axes.text(
        (start[0] + end[0]) / 2 + dx, (start[1] + end[1]) / 2 + dy, text, ha="center", va="center", fontsize=7, color="#333333"
    )


figure = Figure(figsize=(13, 7), layout="constrained")
axes = figure.subplots()
axes.set(xlim=(-0.3, 15.2), ylim=(-2.9, 5.6))
axes.axis("off")
axes.text(4.6, 5.3, "local appearance: accurate, but ambiguous", fontsize=11, ha="center", color="#1f4e79")
axes.text(6.6, -0.55, "spatial configuration: unambiguous, but coarse", fontsize=11, ha="center", color="#a0522d")

box(axes, 0.6, 4.6, "radiograph\n1 × 256 × 256", GREY)
tops = [4.6, 3.5, 2.4, 1.3]
for level, y in enumerate(tops):
    size = 256 // 2**level
    box(axes, 2.7, y, "conv 5×5, 64\ndropout", BLUE)
    box(axes, 4.5, y, "conv 5×5, 64", BLUE)
    box(axes, 6.6, y, "conv 5×5, 64", BLUE)
    axes.text(5.55, y + 0.42, f"{size} × {size}", ha="center", fontsize=7, color="#1f4e79")
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

for x, text in ((3.6, "conv 15×15, 64"), (5.5, "conv 15×15, 64"), (7.4, "conv 15×15, 64"), (9.4, "conv 15×15, 37\ntanh")):
    box(axes, x, -1.5, text, ORANGE)
for start, end in ((4.4, 4.7), (6.3, 6.6), (8.2, 8.6)):
    arrow(axes, (start, -1.5), (end, -1.5))
axes.text(6.45, -2.1, "32 × 32", ha="center", fontsize=7, color="#a0522d")
axes.plot([12.0, 12.0, 1.6, 1.6, 2.75], [4.25, 0.3, 0.3, -1.5, -1.5], color="#333333", linewidth=1)
axes.annotate("", (2.82, -1.5), (2.7, -1.5), arrowprops={"arrowstyle": "-|>", "color": "#333333"})
axes.text(7, 0.42, "mean of 8×8", ha="center", fontsize=7, color="#333333")
box(axes, 12.0, -1.5, "spatial heatmaps\n37 × 256 × 256", GREEN)
arrow(axes, (10.2, -1.5), (11.2, -1.5), "bicubic ×8", dy=0.17)

axes.text(13.1, 1.6, "×", ha="center", va="center", fontsize=16)
arrow(axes, (12.5, 4.25), (13.1, 1.85))
arrow(axes, (12.5, -1.15), (13.1, 1.35))
box(axes, 14.3, 1.6, "heatmaps\n37 × 256 × 256", GREEN)
arrow(axes, (13.25, 1.6), (13.5, 1.6))
axes.text(
    7.4,
    -2.75,
    "every convolution but the two that make heatmaps is followed by LeakyReLU(0.1); 4,097,034 parameters",
    ha="center",
    fontsize=8,
)
figure.savefig(Path(__file__).with_name("architecture.png"), dpi=100)
