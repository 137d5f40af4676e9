"""Draws pictures of the docs: overview.png, how the network finds landmarks; synthetic.jpg and kinds.jpg, synthetic radiographs.

python -m experiments.draw
"""

import argparse
import io
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse
from PIL import Image

from evaluation import forward, shrink
from experiments.common import some_of
from joints.hand import NAMES, RAYS
from phantom.drawing import draw_hand
from phantom.kinds import KINDS
from prediction.predictor import Prediction, Predictor
from prediction.regions import semi_axes
from radiographs.network_frame import resize_to, to_8_bit, to_input
from runtime.command import exit_status
from runtime.files import write_whole

PICTURES = ["overview", "synthetic", "kinds"]
SEED = [2024, 12]  # of the radiograph of the overview; pretraining has not seen it, since its seed was 1
EXPLAINED = (24, 26, 33)  # landmarks whose heatmaps are shown: each has look-alikes in the other fingers
LEFT = {32, 31, 30, 29, 36, 35, 34, 33, 14, 13, 10, 9, 6, 7, 1, 0, 2}  # landmarks named on the left of the radiograph

PIXELS_PER_INCH = 100  # of the overview
EDGE, GAP = 12, 6  # px around it, and between its parts
HEIGHT = 690  # px of the radiograph
NAMES_LEFT, NAMES_RIGHT, NAME_BELOW = 228, 300, 34  # px for names beside the radiograph, and beside a row of heatmaps
TITLE = 52  # px above the heatmaps
LETTER_POINTS = 13.5
COLOURS = {"thumb": "#ffb000", "index": "#ff6f61", "middle": "#7fd34e", "ring": "#35c9e8", "little": "#c792ff"}
COLOUR = [next((COLOURS[name] for name, ray in RAYS.items() if k in ray), "#f5f5f5") for k in range(len(NAMES))]  # of a landmark
BACKGROUND, LETTERS = "#14171c", "#e8e8e8"
HEAT = np.array([1.0, 0.62, 0.1])  # red, green, blue of a heatmap's peak


def component_heatmaps(predictor: Predictor, square: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
    """What the network sees of an upright radiograph, and its local, spatial and product heatmaps (L, height, width).

    Only the product is learnt, so both components of a landmark may be negative: they are turned positive.
    """
    picture = to_8_bit(square, predictor.profile)
    images = shrink(torch.from_numpy(to_input(picture))[None, None].to(predictor.device), predictor.size)
    with torch.inference_mode():
        parts = forward(predictor.model, images, predictor.spatial_factor, "float32")
        product, local, spatial = (F.interpolate(maps, predictor.frame, mode="bilinear")[0].cpu().numpy() for maps in parts)
    peak = product.reshape(len(product), -1).argmax(1)
    sign = np.sign(spatial.reshape(len(spatial), -1)[np.arange(len(peak)), peak])[:, None, None]
    return picture, [local * sign, spatial * sign, product]


def draw_landmarks(axes: Axes, picture: np.ndarray, found: Prediction, px: float) -> None:
    """Every landmark with its region, and its name beside the radiograph on a line of its own; `px` of the radiograph a px."""
    rows, columns = picture.shape
    axes.imshow(picture, cmap="gray", aspect="auto")
    axes.set(xlim=(-NAMES_LEFT * px, columns + NAMES_RIGHT * px), ylim=(rows - 0.5, -0.5))
    axes.axis("off")
    for ray in RAYS.values():
        axes.plot(*found.points_px[list(ray)].T, color=COLOUR[ray[-1]], linewidth=0.9, alpha=0.7)
    for colour, point, long, short, degrees in zip(COLOUR, found.points_px, *semi_axes(found.ellipse_px2)):
        axes.add_patch(Ellipse(tuple(point), 2 * long, 2 * short, angle=degrees, fill=False, color=colour, linewidth=1.1))
        axes.plot(*point, ".", color=colour, markersize=4)
    down = np.argsort(found.points_px[:, 1]).tolist()
    for on_left, x, align in ((True, -GAP * px, "right"), (False, columns + GAP * px, "left")):
        side = [landmark for landmark in down if (landmark in LEFT) == on_left]
        for landmark, y in zip(side, np.linspace(0.02, 0.98, len(side)) * rows):
            at_x, at_y = found.points_px[landmark]
            axes.plot([x, at_x], [y, at_y], color=COLOUR[landmark], linewidth=0.6, alpha=0.6)
            axes.text(x, y, NAMES[landmark], color=COLOUR[landmark], fontsize=LETTER_POINTS, ha=align, va="center")


def draw_overview(weights: Path, out: Path) -> None:
    """A synthetic radiograph with its landmarks, beside it a row a landmark: local appearance, spatial configuration, product."""
    predictor = Predictor(weights, "cpu", orientation="keep")
    radiograph, _ = draw_hand(SEED)
    ((found,),) = predictor.predict([radiograph.astype(np.float32)])
    picture, maps = component_heatmaps(predictor, resize_to(radiograph, predictor.frame))
    rows, columns = radiograph.shape
    scale = HEIGHT / rows
    left_width = NAMES_LEFT + columns * scale + NAMES_RIGHT
    cell_height = (HEIGHT - TITLE - 2 * GAP) / len(EXPLAINED)
    cell_width = cell_height * columns / rows
    width, height = 2 * EDGE + left_width + NAME_BELOW + 3 * cell_width + 2 * GAP, 2 * EDGE + HEIGHT
    figure = Figure(figsize=(width / PIXELS_PER_INCH, height / PIXELS_PER_INCH), dpi=PIXELS_PER_INCH, facecolor=BACKGROUND)

    def place(x: float, y: float, wide: float, high: float) -> Axes:
        """Axes by the px of their top left corner."""
        return figure.add_axes((x / width, 1 - (y + high) / height, wide / width, high / height))

    draw_landmarks(place(EDGE, EDGE, left_width, HEIGHT), radiograph, found, 1 / scale)
    for row, landmark in enumerate(EXPLAINED):
        y = EDGE + TITLE + row * (cell_height + GAP)
        for column, (stack, title) in enumerate(zip(maps, ("local\nappearance", "× spatial\nconfiguration", "= product\n"))):
            x = EDGE + left_width + NAME_BELOW + column * (cell_width + GAP)
            axes = place(x, y, cell_width, cell_height)
            strength = np.clip(stack[landmark] / max(stack[landmark].max(), 1e-12), 0, 1)[..., None]
            axes.imshow(picture[..., None] / 255 * 0.55 * (1 - strength) + HEAT * strength, aspect="auto")
            axes.axis("off")
            if not row:
                axes.set_title(title, color=LETTERS, fontsize=LETTER_POINTS)
            if not column:
                axes.text(-0.04, 0.5, NAMES[landmark], color=COLOUR[landmark], fontsize=LETTER_POINTS, rotation=90,
                          ha="right", va="center", transform=axes.transAxes)  # fmt: skip
    drawn, content = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png")
    few_colours = Image.open(drawn).convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE, kmeans=2, dither=Image.Dither.NONE)
    few_colours.save(content, "PNG", optimize=True)  # a fifth of the bytes of all colours
    write_whole(out / "overview.png", content.getbuffer())


def draw_kinds(kinds: list[str], columns: int, path: Path, size: tuple[float, float], dots_per_inch: int) -> None:
    """Radiographs of `python -m phantom --kinds KIND --seed 0` with their landmarks, a row a kind; `size` of one in inches."""
    figure = Figure(figsize=(size[0] * columns, size[1] * len(kinds)), layout="constrained")
    for row, kind in enumerate(kinds):
        for column in range(columns):
            number = 1 + column + columns * kinds[:row].count(kind)
            picture, points = draw_hand([0, number], steps=KINDS[kind])
            axes = figure.add_subplot(len(kinds), columns, 1 + row * columns + column)
            axes.imshow(picture, cmap="gray", vmin=0, vmax=255)
            axes.plot(*points.T, ".", color="red", markersize=0.7 * size[0])
            axes.axis("off")
            axes.set_title(f"{kind} {number}", fontsize=9)
    content = io.BytesIO()
    figure.savefig(content, format="jpg", dpi=dots_per_inch, pil_kwargs={"quality": 85})
    write_whole(path, content.getbuffer())


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", nargs="?", type=some_of(PICTURES), default=PICTURES, help=f"some of {', '.join(PICTURES)}")
    parser.add_argument("--weights", type=Path, default=Path("weights/scn_hand.pt"), help="a file of export.py, of a hand")
    parser.add_argument("--out", type=Path, default=Path("docs"), help="folder for the pictures")
    parser.add_argument("--columns", type=int, help="synthetic radiographs beside each other; none: 4, of the other kinds 6")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    if "overview" in options.pictures:
        draw_overview(options.weights, options.out)
    if "synthetic" in options.pictures:
        draw_kinds(["atlas"] * 3, options.columns or 4, options.out / "synthetic.jpg", (3.75, 13 / 3), 100)
    if "kinds" in options.pictures:
        draw_kinds([kind for kind in KINDS if kind != "atlas"], options.columns or 6, options.out / "kinds.jpg", (2, 2.6), 75)


if __name__ == "__main__":
    sys.exit(exit_status(main))
