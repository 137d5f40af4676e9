"""Pictures of predictions: landmarks over a radiograph."""

import numpy as np
from PIL import Image, ImageDraw

from joints.description import Description
from prediction.calibration import OUTSIDE
from prediction.predictor import Prediction
from prediction.regions import conjugate, semi_axes

HEIGHT, WIDTH = 720, 720  # px that an overlay fits in
RIM = 33  # points that an ellipse is drawn through
GREYS = 252  # an overlay has a palette of so many greys and four colours: a third of the bytes of full colour
GOOD, BAD, LINE, LETTERS = range(GREYS, 256)
COLOURS = ((90, 220, 90), (255, 70, 60), (80, 150, 255), (255, 230, 120))
PALETTE = [round(i * 255 / (GREYS - 1)) for i in range(GREYS) for _ in "rgb"] + [part for colour in COLOURS for part in colour]


def base_picture(pixels: np.ndarray) -> Image.Image:
    """A radiograph shrunk to fit an overlay, its darkest and brightest percent cut, in GREYS steps."""
    rows, columns = pixels.shape
    step = max(1, int(max(rows / HEIGHT, columns / WIDTH) / 2))  # most of the way by leaving out, the rest by averaging
    down, across = min(step, rows), min(step, columns)
    coarse = pixels[down // 2 :: down, across // 2 :: across]
    low, high = np.percentile(coarse[::4, ::4], (0.5, 99.8))
    bright = np.clip((coarse - low) * ((GREYS - 1) / max(high - low, 1e-6)), 0, GREYS - 1).astype(np.uint8)
    factor = min(HEIGHT / rows, WIDTH / columns)
    size = max(1, round(columns * factor)), max(1, round(rows * factor))
    return Image.fromarray(bright).resize(size, Image.Resampling.BOX if step * factor < 1 else Image.Resampling.BILINEAR)


def draw(
    base: Image.Image, hands: list[Prediction], extent: tuple[int, int], joint: Description, with_names: bool
) -> Image.Image:
    """Landmarks and bones of the hands in a picture of a radiograph of `extent` px, and their flags along the upper edge.

    Around landmarks lie their regions, red where there is a flag; one outside the picture is a cross where it was lost. Of
    several hands each has its number and side beside it.
    """
    picture = base.copy()
    picture.putpalette(PALETTE)
    pen, factor = ImageDraw.Draw(picture), np.array(picture.size) / extent
    for hand in hands:
        draw_hand(pen, hand, factor, joint, with_names, max(picture.size))
        if len(hands) > 1:
            below = (hand.points_px.min(0)[0] * factor[0], hand.points_px.max(0)[1] * factor[1] + 6)
            pen.text(below, f"{hand.hand} {hand.side}", fill=LETTERS, font_size=14)
    outside = any(OUTSIDE in flags for hand in hands for flags in hand.landmark_flags)
    pen.text((4, 2), "; ".join([*flags_of(hands), *([f"x: {OUTSIDE}"] if outside else [])]), fill=LETTERS, font_size=12)
    return picture


def rim(ellipse: np.ndarray, most: float = np.inf) -> np.ndarray:
    """Steps (RIM, 2) from a point to the rim of its ellipse (2, 2), no semi-axis longer than `most`; none of an unknown one."""
    long, short, degrees = (np.nan_to_num(part) for part in semi_axes(ellipse))
    around, turn = np.linspace(0, 2 * np.pi, RIM), np.radians(degrees)
    steps = np.stack([min(long, most) * np.cos(around), min(short, most) * np.sin(around)], -1)
    return steps @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])


def draw_hand(pen: ImageDraw.ImageDraw, hand: Prediction, factor: np.ndarray, joint: Description, with_names: bool, most: int):
    """One hand, in a picture resized by `factor` (x, y); no region is drawn larger than `most` px."""
    points = (hand.points_px + 0.5) * factor - 0.5
    for a, b in joint.skeleton:
        pen.line([*points[a], *points[b]], fill=LINE, width=1)
    for i, (x, y) in enumerate(points):
        flags = hand.landmark_flags[i]
        if OUTSIDE in flags:
            pen.line([x - 4, y - 4, x + 4, y + 4], fill=BAD, width=2)
            pen.line([x - 4, y + 4, x + 4, y - 4], fill=BAD, width=2)
            continue
        colour = BAD if flags else GOOD
        pen.ellipse([x - 1, y - 1, x + 1, y + 1], fill=colour)
        pen.polygon([*map(tuple, points[i] + rim(conjugate(np.diag(factor), hand.ellipse_px2[i]), most))], outline=colour)
        if with_names:
            pen.text((x + 4, y - 5), joint.names[i], fill=LETTERS, font_size=9)


def flags_of(hands: list[Prediction]) -> list[str]:
    """The flags of a radiograph, each once; of several hands with the numbers of those that have it."""
    flags = list(dict.fromkeys(flag for hand in hands for flag in hand.flags))
    if len(hands) == 1:
        return flags
    return [f"{flag} (hand {', '.join(str(hand.hand) for hand in hands if flag in hand.flags)})" for flag in flags]
