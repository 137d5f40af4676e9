"""Draws pictures of the docs: how the network finds landmarks, synthetic radiographs, the page of a demo, the labelling page.

    python -m experiments.draw overview synthetic kinds demo labelling

The pages need playwright (requirements-dev.txt) and a Chromium; the demo also npm.
"""

import io
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse
from PIL import Image

from evaluation import forward, shrink
from experiments.browser import chromium, served
from joints.hand import NAMES, RAYS
from labelling.collection import open_collection
from labelling.marks import CONFIRMED, Mark
from labelling.propose import name_of, propose
from labelling.server import Server
from labelling.session import Options, Session
from labelling.store import FIRST
from phantom.data_set import write_data_set
from phantom.drawing import draw_hand
from phantom.kinds import KINDS
from portable.demo import export_demo
from prediction.predictor import Prediction, Predictor
from prediction.regions import semi_axes
from radiographs.network_frame import resize_to, to_8_bit, to_input
from radiographs.raw_folder import COORDINATES, read_points
from runtime.command import cores, exit_status, parser_of
from runtime.files import write_whole

if TYPE_CHECKING:
    from playwright.sync_api import Page

QUALITY = 84  # of JPEG files
WAIT_MS, SETTLED_MS = 600_000, 1000  # for a network in a page, and for a page to draw what was asked for
SPREAD_PX = 2.5  # of made-up annotators around the truth
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
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png")
    save_few_colours(Image.open(drawn), out / "overview.png", Image.Quantize.MAXCOVERAGE)


def save_few_colours(picture: Image.Image, path: Path, method: Image.Quantize) -> None:
    """A PNG of 256 colours, with a fifth of the bytes of all."""
    content = io.BytesIO()
    few = picture.convert("RGB").quantize(256, method, kmeans=2, dither=Image.Dither.NONE)
    few.save(content, "PNG", optimize=True)
    write_whole(path, content.getbuffer())


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
    figure.savefig(content, format="jpg", dpi=dots_per_inch, pil_kwargs={"quality": QUALITY})
    write_whole(path, content.getbuffer())


def draw_demo(weights: Path, out: Path) -> None:
    """The page of `predict.py --export-demo` with its first synthetic radiograph."""
    with tempfile.TemporaryDirectory() as folder:
        export_demo(Predictor(weights, "cpu"), Path(folder, "page"))
        with served(Path(folder, "page")) as address, chromium() as browser:
            page = browser.new_page(viewport={"width": 1240, "height": 1040}, color_scheme="light")
            page.goto(address)
            page.wait_for_selector("#inputs:not([disabled])", timeout=WAIT_MS)
            page.click("[data-example='example_1.png']")
            page.wait_for_selector("#results:not([hidden])", timeout=WAIT_MS)
            save_few_colours(Image.open(io.BytesIO(page.screenshot())), out / "demo.png", Image.Quantize.MEDIANCUT)


def made_annotator(raw: Path, name: str, seed: int, ids: list[str]) -> None:
    """Somebody who has labelled some radiographs, a little beside the truth."""
    session = Session(open_collection(raw, None), Options(reader=name))
    truth, random = read_points(raw / COORDINATES), np.random.default_rng(seed)
    for id in ids:
        picture = session.pictures.get(id)
        points = truth[id] + random.normal(0, SPREAD_PX, truth[id].shape)
        changes = [(k, Mark(CONFIRMED, *map(float, point))) for k, point in enumerate(points.round(3))]
        session.store.act((id, FIRST), 0, f"{name} {id}", "made", changes, size=[picture.width, picture.height])
    session.close()


@contextmanager
def labelling_page(raw: Path, weights: Path) -> Iterator[Server]:
    """The server of label.py's page, with three annotators' work on the first radiographs and proposals for the others."""
    collection = open_collection(raw, None)
    first, second, *others = collection.paths
    for seed, (name, ids) in enumerate({"anna": [first, second], "ben": [first, second], "you": [first]}.items()):
        made_annotator(raw, name, seed, ids)
    session = Session(collection, Options(reader="you", without_proposals=False))
    predictor = Predictor(weights)
    for id in others:
        session.proposals[id] = propose(predictor, session.pictures.get(id).pixels.astype(np.float32), name_of(weights))
    server = Server(("127.0.0.1", 0), session)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    yield server
    server.end()
    thread.join()
    session.close()


def draw_labelling(weights: Path, out: Path) -> None:
    """The page of label.py: a radiograph being labelled, two annotators compared, and a narrow window zoomed in."""
    with tempfile.TemporaryDirectory() as folder:
        write_data_set(Path(folder), {"train": 4, "valid": 1, "test": 1}, seed=0, workers=cores())
        with labelling_page(Path(folder), weights) as server, chromium() as browser:
            page = browser.new_page(viewport={"width": 1280, "height": 800}, color_scheme="light")
            begin_labelling(page, server.link)
            for key in "[u]":
                page.keyboard.press(key)
            shoot(page, out / "labelling.jpg")
            page.keyboard.press("r")
            page.select_option("#one", "anna")
            page.select_option("#two", "ben")
            page.locator("#compare-body tbody button").first.click()
            shoot(page, out / "labelling_readers.jpg")
            page.close()
            page = browser.new_page(viewport={"width": 800, "height": 700}, color_scheme="dark")
            begin_labelling(page, server.link)
            page.evaluate("() => { landmarks.view.zoomAt(300, 480, 3); landmarks.draw(); }")
            shoot(page, out / "labelling_narrow.jpg")


def begin_labelling(page: "Page", link: str) -> None:
    """Open the page and accept twelve proposals."""
    page.goto(link)
    page.wait_for_selector("body[data-ready]")
    if page.locator("#list-panel").is_visible():
        page.locator("#rows button").nth(2).click()
    page.wait_for_timeout(SETTLED_MS)
    for _ in range(12):
        page.keyboard.press("Enter")


def shoot(page: "Page", path: Path) -> None:
    """A picture of the page, the pointer over its radiograph."""
    box = page.locator("#stage").bounding_box()
    if box:
        page.mouse.move(box["x"] + 0.55 * box["width"], box["y"] + 0.8 * box["height"])
    page.wait_for_timeout(SETTLED_MS)
    page.screenshot(path=path, type="jpeg", quality=QUALITY)


DRAW: dict[str, Callable[[Path, Path], None]] = {
    "overview": draw_overview,
    "synthetic": lambda _, out: draw_kinds(["atlas"] * 3, 4, out / "synthetic.jpg", (3.75, 13 / 3), 100),
    "kinds": lambda _, out: draw_kinds([kind for kind in KINDS if kind != "atlas"], 6, out / "kinds.jpg", (2, 2.6), 75),
    "demo": draw_demo,
    "labelling": draw_labelling,
}


def main(arguments: list[str] | None = None) -> None:
    parser = parser_of(__doc__)
    parser.add_argument("pictures", nargs="+", choices=DRAW, help="what to draw")
    parser.add_argument("--weights", type=Path, default=Path("weights/scn_hand.pt"), help="a file of export.py, of a hand")
    parser.add_argument("--out", type=Path, default=Path("docs"), help="folder for the pictures")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    for name in options.pictures:
        DRAW[name](options.weights, options.out)


if __name__ == "__main__":
    raise SystemExit(exit_status(main))
