"""Reading a radiograph and bringing it into the frame and the intensities that the network sees.

Training and prediction must see the same picture, so this is the one place that makes it.
"""

from dataclasses import dataclass
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import SimpleITK as sitk
from scipy.ndimage import binary_fill_holes
from skimage.filters import threshold_otsu
from skimage.measure import label
from skimage.transform import resize, resize_local_mean

from files import DataError

PICTURES = {".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp"}  # their headers give dots per inch at best, no millimetres
DICOM_SPACING_TAGS = ("0028|0030", "0018|1164")  # Pixel Spacing; Imager Pixel Spacing, at the detector
DICOM_MODALITY_TAG = "0008|0060"  # every DICOM image has it
LUMINANCE = np.array([0.2126, 0.7152, 0.0722])  # of red, green, blue (ITU-R BT.709)
QUANTILES = np.linspace(0, 1, 257)  # of the hand's intensities, that histogram matching makes equal

sitk.ProcessObject.SetGlobalWarningDisplay(False)


@dataclass
class Radiograph:
    pixels: np.ndarray  # (rows, columns) float32, bone bright
    spacing_mm: tuple[float, float] | None  # (x, y) mm per pixel, where the file knows


def read_radiograph(path: Path) -> Radiograph:
    """One grey-valued radiograph from a JPEG, PNG, TIFF, BMP, DICOM, MetaImage, NIfTI or NRRD file.

    Colours become luminance and an alpha channel is dropped. DICOM's MONOCHROME1 (bone dark) comes inverted from SimpleITK.
    Raises DataError.
    """
    try:
        if path.suffix.lower() in PICTURES:
            pixels, spacing = iio.imread(path), None
        else:
            pixels, spacing = read_medical(path)
    except Exception as error:  # imageio's plugins and SimpleITK raise whatever they like on a damaged file
        reason = str(error).strip().splitlines()[-1:] or [type(error).__name__]
        raise DataError(f"{path}: cannot be read as a radiograph ({reason[0]}); replace or remove the file") from error

    pixels = np.squeeze(pixels)
    if pixels.ndim == 3 and pixels.shape[-1] == 2:
        pixels = pixels[..., 0]
    if pixels.ndim == 3 and pixels.shape[-1] in (3, 4):
        pixels = pixels[..., :3] @ LUMINANCE
    if pixels.ndim != 2:
        raise DataError(f"{path}: expected one picture, found an array of shape {pixels.shape}; export a single frame")
    pixels = pixels.astype(np.float32)
    if not np.isfinite(pixels).all():
        raise DataError(f"{path}: expected finite pixels, found NaN or infinity; export the radiograph again")
    if min(pixels.shape) < 8 or pixels.min() == pixels.max():
        raise DataError(
            f"{path}: expected a radiograph, found {pixels.shape[1]} x {pixels.shape[0]} pixels with values from "
            f"{pixels.min():g} to {pixels.max():g}; replace or remove the file"
        )
    return Radiograph(pixels, spacing)


def read_medical(path: Path) -> tuple[np.ndarray, tuple[float, float] | None]:
    """Pixels and spacing (x, y) mm, None where the header has none or only the format's default of exactly 1 x 1."""
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    image = reader.Execute()
    pixels = sitk.GetArrayFromImage(image)
    spacing = image.GetSpacing()[:2]
    tags = reader.GetMetaDataKeys()
    if DICOM_MODALITY_TAG in tags and not any(tag in tags for tag in DICOM_SPACING_TAGS):
        spacing = (1.0, 1.0)
    return pixels, None if spacing == (1.0, 1.0) else spacing


def resize_square(pixels: np.ndarray, size: int) -> np.ndarray:
    """(rows, columns) -> (size, size) float32 without aliasing, each axis by its own factor.

    The picture's edges stay its edges: `heatmap.rescale` by (size / columns, size / rows) moves its points along.
    """
    shape = (size, size)
    if min(pixels.shape) >= size:
        return resize_local_mean(pixels, shape, preserve_range=True).astype(np.float32)
    return resize(pixels, shape, order=1, anti_aliasing=True, preserve_range=True).astype(np.float32)


def hand_outline(picture: np.ndarray) -> np.ndarray:
    """The largest region brighter than Otsu's threshold, its holes filled: (rows, columns) bool."""
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
    return np.rint((matched - low) / (high - low) * 255).astype(np.uint8)
