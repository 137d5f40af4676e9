"""What the page shows beside a landmark's name: that landmark in the first annotated radiograph."""

import io

import numpy as np
from PIL import Image, ImageDraw

from labelling.pictures import Picture

SHARE = 0.16  # of the radiograph's longer side, that a guide picture shows
SIDE = 168  # px of a guide picture
RING, COLOUR = 7, (53, 224, 138)  # px around the point, as confirmed points are drawn


def crop(picture: Picture, point_px: np.ndarray) -> bytes:
    """A PNG file of the surroundings of a point (x, y) px, with a ring around it; black beyond the radiograph's edge."""
    dark, bright = picture.window
    half = SHARE * max(picture.width, picture.height) / 2
    steps = (np.arange(SIDE) + 0.5) / SIDE * 2 * half - half
    rows, columns = (np.rint(point_px[axis] + steps).astype(int) for axis in (1, 0))
    inside = np.outer((rows >= 0) & (rows < picture.height), (columns >= 0) & (columns < picture.width))
    cut = picture.pixels[np.ix_(rows.clip(0, picture.height - 1), columns.clip(0, picture.width - 1))].astype(np.float32)
    grey = np.where(inside, ((cut - dark) / (bright - dark)).clip(0, 1) * 255, 0).astype(np.uint8)
    drawn = Image.fromarray(grey).convert("RGB")
    ring = [SIDE / 2 - RING, SIDE / 2 - RING, SIDE / 2 + RING, SIDE / 2 + RING]
    ImageDraw.Draw(drawn).ellipse(ring, outline=COLOUR, width=2)
    file = io.BytesIO()
    drawn.save(file, "PNG")
    return file.getvalue()
