"""What a radiograph is, and which pixels can be none."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from runtime.files import DataError

MAX_PIXELS = 100_000_000  # a file that says it has more is refused before it is unfolded
MAX_VALUES = 4  # of a pixel: red, green, blue, alpha
LUMINANCE = np.array([0.2126, 0.7152, 0.0722])  # of red, green, blue (ITU-R BT.709)


@dataclass
class Radiograph:
    pixels: np.ndarray  # (rows, columns) float32, bone bright where the file says so
    spacing_mm: tuple[float, float] | None = None  # (x, y) mm per pixel, where the file knows
    spacing_from: str = "unknown"
    origin_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)  # of the first pixel's centre in the file's physical space (LPS)
    steps_mm: tuple[tuple[float, float, float], ...] = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))  # there, to the next x and y, by ITK
    notes: list[str] = field(default_factory=list)  # what is odd about the file, for the flags
    side: str = ""  # left or right, where the file says so


def check_pixels(source: Path | str, pixels: np.ndarray) -> None:
    """Raises DataError where (rows, columns) pixels can be no radiograph."""
    if not np.isfinite(pixels).all():
        raise DataError(f"{source}: expected finite pixels, found NaN or infinity; export the radiograph again")
    if min(pixels.shape) < 8 or pixels.min() == pixels.max():
        found = f" with values from {pixels.min():g} to {pixels.max():g}" if pixels.size else ""
        raise DataError(
            f"{source}: expected a radiograph, found {pixels.shape[1]} x {pixels.shape[0]} pixels{found}; replace or remove it"
        )


def check_size(path: Path, width: int, height: int, values: int = 1) -> None:
    """Raises DataError for more pixels, or values a pixel, than any radiograph has, before readers unfold them all."""
    if width * height > MAX_PIXELS:
        raise DataError(
            f"{path}: expected at most {MAX_PIXELS:,} pixels, found {width} x {height}; shrink it, or raise MAX_PIXELS"
            f" in {Path(__file__).name}"
        )
    if values > MAX_VALUES:
        raise DataError(f"{path}: expected at most {MAX_VALUES} values a pixel, found {values}; export it in shades of grey")


def grey(path: Path | str, pixels: np.ndarray) -> np.ndarray:
    """An array as a reader gives it -> (rows, columns) float32. Raises DataError."""
    if pixels.dtype.kind not in "biuf":
        raise DataError(f"{path}: expected numbers as pixels, found {pixels.dtype}; export the radiograph again")
    while pixels.ndim > 2 and pixels.shape[0] == 1:
        pixels = pixels[0]
    if pixels.ndim == 3 and pixels.shape[-1] in (1, 2):
        pixels = pixels[..., 0]
    if pixels.ndim == 3 and pixels.shape[-1] in (3, 4):
        pixels = pixels[..., :3] @ LUMINANCE
    if pixels.ndim != 2:
        raise DataError(f"{path}: expected one picture, found an array of shape {pixels.shape}; export a single frame")
    if not pixels.size:
        return pixels.astype(np.float32)
    low, high = pixels.min(), pixels.max()
    size = max(abs(float(low)), abs(float(high)))
    span = float(high) - float(low)
    if np.isfinite(size) and span > 0 and (not 1e-6 < size < 1e9 or span < 1e-3 * size):
        pixels = (pixels - np.float64(low)) / span  # single precision would not hold the differences or their squares
    return pixels.astype(np.float32)
