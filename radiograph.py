"""Reading a radiograph and bringing it into the frame and the intensities that the network sees.

Training and prediction must see the same picture, so this is the one place that makes it.
"""

import gzip
import math
import warnings
from dataclasses import dataclass
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import SimpleITK as sitk
from PIL import Image, ImageOps
from scipy.ndimage import binary_fill_holes
from skimage.filters import threshold_otsu
from skimage.measure import label
from skimage.transform import resize, resize_local_mean

from files import DataError

MAX_PIXELS = 100_000_000  # a file that says it has more is refused before it is unfolded
PICTURES = {".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp"}  # their headers give dots per inch at best, no millimetres
MEDICAL = {".dcm", ".dicom", ".ima", ".mha", ".mhd", ".nii", ".nrrd", ".nhdr", ".gz", ""}  # DICOM files often have no ending
GREY_MODES = ("1", "L", "I", "F", "I;16", "I;16B", "I;16L", "I;16N")  # of Pillow, read as they are
LUMINANCE = np.array([0.2126, 0.7152, 0.0722])  # of red, green, blue (ITU-R BT.709)
MODALITY = "0008|0060"  # DICOM: every image has it
SPACINGS = {  # DICOM's, the best first
    "0028|0030": "DICOM Pixel Spacing",
    "0018|1164": "DICOM Imager Pixel Spacing (at the detector, so magnified)",
    "0018|2010": "DICOM Nominal Scanned Pixel Spacing (of a film)",
}
PHOTOMETRIC, BITS_STORED, WINDOW_CENTER, WINDOW_WIDTH = "0028|0004", "0028|0101", "0028|1050", "0028|1051"
INTERCEPT, SLOPE = "0028|1052", "0028|1053"
QUANTILES = np.linspace(0, 1, 257)  # of the hand's intensities, that histogram matching makes equal

sitk.ProcessObject.SetGlobalWarningDisplay(False)
Image.MAX_IMAGE_PIXELS = None  # Pillow's own limit; `MAX_PIXELS` is checked instead
warnings.filterwarnings("ignore", module="PIL")  # of odd metadata


@dataclass
class Radiograph:
    pixels: np.ndarray  # (rows, columns) float32, bone bright where the file says so
    spacing_mm: tuple[float, float] | None = None  # (x, y) mm per pixel, where the file knows
    spacing_from: str = "unknown"
    origin_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)  # of the first pixel's centre in the file's physical space (LPS)
    steps_mm: tuple[tuple[float, float, float], ...] = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))  # there, to the next x and y, by ITK


def read_radiograph(path: Path) -> Radiograph:
    """One grey-valued radiograph from a JPEG, PNG, TIFF, BMP, DICOM, MetaImage, NIfTI or NRRD file.

    Colours become luminance, an alpha channel is dropped, a picture that its EXIF data call turned is turned. DICOM is rescaled,
    inverted for MONOCHROME1, and cut to its first window. Raises DataError.
    """
    try:
        radiograph = read_picture(path) if path.suffix.lower() in PICTURES else read_medical(path)
    except (DataError, MemoryError):
        raise
    except Exception as error:  # the readers raise whatever they like on a damaged file
        reason = str(error).strip().splitlines()[-1:] or [type(error).__name__]
        raise DataError(f"{path}: cannot be read as a radiograph ({reason[0]}); replace or remove the file") from error
    check_pixels(path, radiograph.pixels)
    return radiograph


def check_pixels(source: Path | str, pixels: np.ndarray) -> None:
    """Raises DataError where (rows, columns) pixels can be no radiograph."""
    if not np.isfinite(pixels).all():
        raise DataError(f"{source}: expected finite pixels, found NaN or infinity; export the radiograph again")
    if min(pixels.shape) < 8 or pixels.min() == pixels.max():
        found = f" with values from {pixels.min():g} to {pixels.max():g}" if pixels.size else ""
        raise DataError(
            f"{source}: expected a radiograph, found {pixels.shape[1]} x {pixels.shape[0]} pixels{found}; replace or remove it"
        )


def check_size(path: Path, width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise DataError(
            f"{path}: expected at most {MAX_PIXELS:,} pixels, found {width} x {height}; shrink it, or raise MAX_PIXELS"
            f" in {Path(__file__).name}"
        )


def unfolded_bytes(path: Path) -> int:
    """The size of a file, of a .gz file unfolded. Raises EOFError for a cut .gz file, and DataError for one far too large."""
    if path.suffix.lower() != ".gz":
        return path.stat().st_size
    unfolded = 0
    with gzip.open(path) as file:
        while part := file.read(1 << 20):
            unfolded += len(part)
            check_size(path, unfolded // 8, 1)
    return unfolded


def grey(path: Path | str, pixels: np.ndarray) -> np.ndarray:
    """An array as a reader gives it -> (rows, columns) float32. Raises DataError."""
    if pixels.dtype.kind not in "biuf":
        raise DataError(f"{path}: expected numbers as pixels, found {pixels.dtype}; export the radiograph again")
    if pixels.dtype == bool:
        pixels = pixels.astype(np.uint8)
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


def read_picture(path: Path) -> Radiograph:
    """A JPEG, PNG, TIFF or BMP file; its orientation as its EXIF data say."""
    try:
        with Image.open(path) as picture:
            check_size(path, *picture.size)
            if (frames := getattr(picture, "n_frames", 1)) > 1:
                raise DataError(f"{path}: expected one picture, found {frames}; export a single frame")
            picture = ImageOps.exif_transpose(picture)
            if picture.mode not in GREY_MODES:
                picture = picture.convert("LA" if picture.mode in ("LA", "La") else "RGB")
            pixels = np.asarray(picture)
    except Image.UnidentifiedImageError:
        if path.suffix.lower() not in (".tif", ".tiff"):
            raise
        *rows, columns = (side for side in iio.improps(path).shape if side > 4)  # the others count colours
        check_size(path, columns, math.prod(rows))
        pixels = iio.imread(path)  # kinds of TIFF that Pillow does not know
    return Radiograph(grey(path, pixels))


def read_medical(path: Path) -> Radiograph:
    """A file that SimpleITK reads; a spacing of exactly 1 x 1 mm, which is the formats' default, counts as unknown."""
    held = unfolded_bytes(path)
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    check_size(path, reader.GetSize()[0], int(np.prod(reader.GetSize()[1:], dtype=float)))
    if "bitpix" in reader.GetMetaDataKeys():  # NIfTI, where SimpleITK takes the missing end of a cut file for zeros
        needed = np.prod(reader.GetSize(), dtype=float) * int(reader.GetMetaData("bitpix")) / 8
        if held < needed:
            raise DataError(f"{path}: expected {needed:.0f} bytes of pixels, found {held} in all; the file is cut, copy it again")
    image = reader.Execute()
    tags = {key: reader.GetMetaData(key).strip() for key in reader.GetMetaDataKeys()}
    pixels = grey(path, sitk.GetArrayFromImage(image))
    spacing, source = image.GetSpacing()[:2], "header"
    if MODALITY in tags:
        pixels, spacing = apply_window(pixels, tags), (1.0, 1.0)
        given = [(numbers_in(tags.get(tag, "")), name) for tag, name in SPACINGS.items()]
        if given := [(values, name) for values, name in given if len(values) == 2]:
            (row_spacing, column_spacing), source = given[0]
            spacing = column_spacing, row_spacing
    known = spacing != (1.0, 1.0) and min(spacing) > 0
    dimension = image.GetDimension()
    direction = np.array(image.GetDirection()).reshape(dimension, dimension)
    physical = np.zeros((3, 3))  # origin and the steps along x and y, padded to three dimensions
    step_x, step_y = (direction[:, axis] * image.GetSpacing()[axis] for axis in (0, 1))
    physical[:, :dimension] = np.stack([image.GetOrigin(), step_x, step_y])
    origin, *steps = map(tuple, physical.tolist())
    return Radiograph(pixels, spacing if known else None, source if known else "unknown", origin, tuple(steps))


def numbers_in(text: str) -> list[float]:
    """The numbers of a DICOM value, which are separated by backslashes; none where it is no number."""
    try:
        return [float(part) for part in text.split("\\")]
    except ValueError:
        return []


def apply_window(pixels: np.ndarray, tags: dict[str, str]) -> np.ndarray:
    """Cut DICOM values to the file's first window of interest, where it has one.

    SimpleITK has turned MONOCHROME1 around: a stored value v became 2^bits - 1 - v, so the window is turned likewise.
    """
    center, width = numbers_in(tags.get(WINDOW_CENTER, "")), numbers_in(tags.get(WINDOW_WIDTH, ""))
    if not center or not width or width[0] <= 1:
        return pixels
    middle = center[0]
    if tags.get(PHOTOMETRIC) == "MONOCHROME1":
        slope, intercept = (numbers_in(tags.get(tag, "")) or [default] for tag, default in ((SLOPE, 1.0), (INTERCEPT, 0.0)))
        highest = 2 ** int(tags.get(BITS_STORED) or 16) - 1
        middle = slope[0] * highest + 2 * intercept[0] - middle
    cut = pixels.clip(middle - width[0] / 2, middle + width[0] / 2)
    return cut if cut.min() < cut.max() else pixels  # a window that shows nothing is a mistake of the file


def resize_square(pixels: np.ndarray, size: int) -> np.ndarray:
    """(rows, columns) -> (size, size) float32 without aliasing, each axis by its own factor.

    The picture's edges stay its edges: `heatmap.rescale` by (size / columns, size / rows) moves its points along.
    """
    shape = (size, size)
    if min(pixels.shape) >= size:
        return resize_local_mean(pixels, shape, preserve_range=True).astype(np.float32)
    return resize(pixels, shape, order=1, anti_aliasing=True, preserve_range=True).astype(np.float32)


def hand_outline(picture: np.ndarray) -> np.ndarray:
    """The largest region brighter than Otsu's threshold, its holes filled: (rows, columns) bool; all of an even grey."""
    if picture.max() - picture.min() <= 1e-5 * np.abs(picture).max():
        return np.ones(picture.shape, bool)
    regions = label(picture > threshold_otsu(picture))
    largest = 1 + np.argmax(np.bincount(regions.ravel())[1:])
    return binary_fill_holes(regions == largest)


def intensity_profile(picture: np.ndarray) -> np.ndarray:
    """What histogram matching keeps of a picture: its minimum, the quantiles of the hand, its maximum; increasing."""
    hand = picture[hand_outline(picture)]
    return np.concatenate([[picture.min()], np.quantile(hand, QUANTILES), [picture.max()]])


def to_8_bit(picture: np.ndarray, reference: np.ndarray | None) -> np.ndarray:
    """Intensities with the histogram of the reference inside the hand outline -> uint8.

    `reference` is the `intensity_profile` of the reference radiograph; None leaves the histogram as it is. The curve that
    matches the hand is carried on by straight lines to the darkest and the brightest pixel, so the outline leaves no step.
    """
    own = np.array([picture.min(), picture.max()]) if reference is None else intensity_profile(picture)
    target = own if reference is None else reference
    own, first = np.unique(own, return_index=True)
    matched = np.interp(picture, own, target[first])
    low, high = target[0], target[-1]
    return np.rint((matched - low) / ((high - low) or 1) * 255).astype(np.uint8)
