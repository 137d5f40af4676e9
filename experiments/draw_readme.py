"""Draws docs/overview.png: a synthetic radiograph with its 37 predicted landmarks, and how the network finds three of them.

python -m experiments.draw_readme
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
from joints.hand import NAMES, RAYS
from phantom.drawing import draw_hand
from prediction.predictor import Prediction, Predictor
from prediction.regions import semi_axes
from radiographs.network_frame import resize_to, to_8_bit, to_input
from runtime.command import exit_status
from runtime.files import write_whole

SEED = [2024, 12]  # of the radiograph; pretraining has not seen it, since its seed was 1
EXPLAINED = (24, 26, 33)  # landmarks whose heatmaps are shown: each has look-alikes in the other fingers
LEFT = {32, 31, 30, 29, 36, 35, 34, 33, 14, 13, 10, 9, 6, 7, 1, 0, 2}  # landmarks named on the left of the radiograph

PIXELS_PER_INCH = 100  # of the figure
EDGE, GAP = 12, 6  # px around the figure, and between its parts
HEIGHT = 690  # px of the radiograph
NAMES_LEFT, NAMES_RIGHT, NAME_BELOW = 228, 300, 34  # px for names beside the radiograph, and beside a row of heatmaps
TITLE = 52  # px above the heatmaps
LETTER_POINTS = 13.5
COLOURS = {"thumb": "#ffb000", "index": "#ff6f61", "middle": "#7fd34e", "ring": "#35c9e8", "little": "#c792ff"}
WRIST = "#f5f5f5"
BACKGROUND, LETTERS = "#14171c", "#e8e8e8"
HEAT = np.array([1.0, 0.62, 0.1])  # red, green, blue of a heatmap's peak


def colour_of(landmark: int) -> str:
    return next((COLOURS[name] for name, ray in RAYS.items() if landmark in ray), WRIST)


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


def over(picture: np.ndarray, heatmap: np.ndarray) -> np.ndarray:
    """The positive part of a heatmap over a darkened picture, both (rows, columns): (rows, columns, 3) in [0, 1]."""
    strength = np.clip(heatmap / max(heatmap.max(), 1e-12), 0, 1)[..., None]
    return picture[..., None] / 255 * 0.55 * (1 - strength) + HEAT * strength


def draw_landmarks(axes: Axes, picture: np.ndarray, found: Prediction, px: float) -> None:
    """Every landmark with its region, and its name beside the radiograph on a line of its own; `px` of the radiograph a px."""
    rows, columns = picture.shape
    axes.imshow(picture, cmap="gray", aspect="auto")
    axes.set(xlim=(-NAMES_LEFT * px, columns + NAMES_RIGHT * px), ylim=(rows - 0.5, -0.5))
    axes.axis("off")
    for ray in RAYS.values():
        axes.plot(*found.points_px[list(ray)].T, color=colour_of(ray[-1]), linewidth=0.9, alpha=0.7)
    for landmark, (point, long, short, degrees) in enumerate(zip(found.points_px, *semi_axes(found.ellipse_px2))):
        ellipse = Ellipse(tuple(point), 2 * long, 2 * short, angle=degrees, fill=False, color=colour_of(landmark), linewidth=1.1)
        axes.add_patch(ellipse)
        axes.plot(*point, ".", color=colour_of(landmark), markersize=4)
    down = np.argsort(found.points_px[:, 1]).tolist()
    for on_left, x, align in ((True, -GAP * px, "right"), (False, columns + GAP * px, "left")):
        side = [landmark for landmark in down if (landmark in LEFT) == on_left]
        for landmark, y in zip(side, np.linspace(0.02, 0.98, len(side)) * rows):
            at_x, at_y = found.points_px[landmark]
            axes.plot([x, at_x], [y, at_y], color=colour_of(landmark), linewidth=0.6, alpha=0.6)
            axes.text(x, y, NAMES[landmark], color=colour_of(landmark), fontsize=LETTER_POINTS, ha=align, va="center")


def draw_figure(radiograph: np.ndarray, found: Prediction, picture: np.ndarray, maps: list[np.ndarray]) -> Figure:
    """The radiograph with its landmarks, beside it a row a landmark: local appearance, spatial configuration, product."""
    rows, columns = radiograph.shape
    scale = HEIGHT / rows
    left_width = NAMES_LEFT + columns * scale + NAMES_RIGHT
    cell_height = (HEIGHT - TITLE - 2 * GAP) / len(EXPLAINED)
    cell_width = cell_height * columns / rows
    width = 2 * EDGE + left_width + NAME_BELOW + 3 * cell_width + 2 * GAP
    height = 2 * EDGE + HEIGHT
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
            axes.imshow(over(picture, stack[landmark]), aspect="auto")
            axes.axis("off")
            if not row:
                axes.set_title(title, color=LETTERS, fontsize=LETTER_POINTS)
            if not column:
                axes.text(-0.04, 0.5, NAMES[landmark], color=colour_of(landmark), fontsize=LETTER_POINTS, rotation=90,
                          ha="right", va="center", transform=axes.transAxes)  # fmt: skip
    return figure


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, default=Path("weights/scn_hand.pt"), help="a file of export.py, of a hand")
    parser.add_argument("--out", type=Path, default=Path("docs"), help="folder for the picture")
    options = parser.parse_args(arguments)
    predictor = Predictor(options.weights, "cpu", orientation="keep")
    radiograph, _ = draw_hand(SEED)
    square = resize_to(radiograph, predictor.frame)
    ((found,),) = predictor.predict([radiograph.astype(np.float32)])
    drawn, content = io.BytesIO(), io.BytesIO()
    draw_figure(radiograph, found, *component_heatmaps(predictor, square)).savefig(drawn, format="png")
    few_colours = Image.open(drawn).convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE, kmeans=2, dither=Image.Dither.NONE)
    few_colours.save(content, "PNG", optimize=True)  # a fifth of the bytes of all colours
    options.out.mkdir(parents=True, exist_ok=True)
    write_whole(options.out / "overview.png", content.getbuffer())


if __name__ == "__main__":
    sys.exit(exit_status(main))
