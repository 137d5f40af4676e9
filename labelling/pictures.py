"""Radiographs at full depth for the page: read as for training, prepared ahead, with a limit on the memory."""

import io
import threading
from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from radiographs.reading import read_radiograph
from runtime.apart import Crew

BUDGET = 192 << 20  # bytes of pictures held, those asked for last; the newest one is held in any case
LEVELS = 65535  # that 16 bits tell apart, beside 0
READERS = 2  # threads and processes: what is asked for does not wait for what is prepared ahead
SHARE = 0.16  # of the radiograph's longer side, that a guide picture shows
SIDE = 168  # px of a guide picture
RING, COLOUR = 7, (53, 224, 138)  # px around the point, as confirmed points are drawn


@dataclass(frozen=True)
class Picture:
    """What a pixel says is low + step * stored, in the units of `read_radiograph`."""

    width: int
    height: int
    bits: int  # 8 or 16, unsigned, little endian
    low: float
    step: float
    spacing_mm: tuple[float, float] | None  # (x, y)
    spacing_from: str
    notes: tuple[str, ...]
    window: tuple[float, float]  # stored values, darkest and brightest, that show most of it
    stored: bytes

    @property
    def pixels(self) -> np.ndarray:
        """Stored values (rows, columns)."""
        return np.frombuffer(self.stored, "<u2" if self.bits == 16 else np.uint8).reshape(self.height, self.width)

    def about(self) -> dict:
        return {name: value for name, value in vars(self).items() if name != "stored"}


def make_picture(path: Path) -> Picture:
    """Read a radiograph; whole numbers are kept exactly, others are brought to 16 bits. Raises DataError."""
    radiograph = read_radiograph(path)
    pixels = radiograph.pixels
    low, high = float(pixels.min()), float(pixels.max())
    whole = high - low <= LEVELS and bool((pixels == np.rint(pixels)).all())
    step = 1.0 if whole else (high - low) / LEVELS
    bits = 8 if whole and high - low <= 255 else 16
    scaled = pixels - np.float32(low)
    if step != 1:
        scaled /= np.float32(step)
        np.rint(scaled, out=scaled)
        np.clip(scaled, 0, LEVELS, out=scaled)
    stored = scaled.astype("<u2" if bits == 16 else np.uint8)
    sample = stored[:: max(1, stored.shape[0] // 256), :: max(1, stored.shape[1] // 256)]
    dark, bright = map(float, np.percentile(sample, (0.5, 99.8)))
    window = (dark, bright) if bright > dark else (0.0, (high - low) / step)
    height, width = stored.shape
    spacing = None if radiograph.spacing_mm is None else tuple(map(float, radiograph.spacing_mm))
    known = spacing, radiograph.spacing_from, tuple(radiograph.notes)
    return Picture(width, height, bits, low, step, *known, window, stored.tobytes())


def crop(picture: Picture, point_px: np.ndarray) -> bytes:
    """What the page shows beside a landmark's name: a PNG file of the surroundings of a point (x, y) px, with a ring around it.

    It is black beyond the radiograph's edge.
    """
    dark, bright = picture.window
    half = SHARE * max(picture.width, picture.height) / 2
    steps = (np.arange(SIDE) + 0.5) / SIDE * 2 * half - half
    rows, columns = (np.rint(point_px[axis] + steps).astype(int) for axis in (1, 0))
    inside = np.outer((rows >= 0) & (rows < picture.height), (columns >= 0) & (columns < picture.width))
    cut = picture.pixels[np.ix_(rows.clip(0, picture.height - 1), columns.clip(0, picture.width - 1))].astype(np.float32)
    grey = np.where(inside, ((cut - dark) / (bright - dark)).clip(0, 1) * 255, 0).astype(np.uint8)
    drawn = Image.fromarray(grey).convert("RGB")
    ImageDraw.Draw(drawn).ellipse([(SIDE / 2 - RING,) * 2, (SIDE / 2 + RING,) * 2], outline=COLOUR, width=2)
    file = io.BytesIO()
    drawn.save(file, "PNG")
    return file.getvalue()


class Pictures:
    """Pictures by ID; each is read once, by whoever asks first."""

    def __init__(self, paths: dict[str, Path], budget: int = BUDGET):
        self.paths, self.budget = paths, budget
        self.held: OrderedDict[str, Picture] = OrderedDict()
        self.coming: dict[str, Future] = {}
        self.lock = threading.Lock()
        self.make = Crew(make_picture, READERS, fork=True)
        self.pool = ThreadPoolExecutor(READERS, thread_name_prefix="pictures")

    def get(self, id: str) -> Picture:
        """Raises DataError where the file is no radiograph, KeyError for an unknown ID."""
        return self.order(id).result()

    def order(self, id: str) -> Future:
        """Also for what will be asked for next."""
        path = self.paths[id]
        with self.lock:
            if id in self.held:
                self.held.move_to_end(id)
                ready: Future = Future()
                ready.set_result(self.held[id])
                return ready
            if id not in self.coming:
                self.coming[id] = self.pool.submit(self.read, id, path)
            return self.coming[id]

    def read(self, id: str, path: Path) -> Picture:
        try:
            picture = self.make(path)
            with self.lock:
                self.held[id] = picture
                while len(self.held) > 1 and sum(len(one.stored) for one in self.held.values()) > self.budget:
                    self.held.popitem(last=False)
            return picture
        finally:
            with self.lock:
                self.coming.pop(id, None)

    def close(self) -> None:
        self.make.close()
        self.pool.shutdown(cancel_futures=True)
