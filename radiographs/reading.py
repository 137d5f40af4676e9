"""Reading a radiograph from a file: pictures by Pillow, DICOM by `radiographs.dicom`, others by `radiographs.volumes`."""

import threading
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
from PIL import Image, ImageOps

from radiographs.names import DICOM, PICTURES, is_dicom
from radiographs.pixel_size import LEAST, MOST
from radiographs.radiograph import Radiograph, check_pixels, check_size, grey
from runtime.files import DataError

GREY_MODES = ("1", "L", "I", "F", "I;16", "I;16B", "I;16L", "I;16N")  # of Pillow, read as they are
BITS, ORIENTATION, SAMPLE_FORMAT = 258, 274, 339  # tags of TIFF and EXIF
UNSIGNED = 1  # of SAMPLE_FORMAT
TRANSPOSED = (5, 6, 7, 8)  # orientations whose rows are stored as columns
WHITE_IS_0, APART = 0, 2  # in a TIFF file: how grey values are meant, that colours lie apart


class ReaderSettings:
    """While at least one read is under way: without Pillow's limit of pixels, for which MAX_PIXELS stands, and warnings."""

    lock, reads, before = threading.Lock(), 0, ()

    def __enter__(self) -> None:
        with self.lock:
            if not ReaderSettings.reads:
                ReaderSettings.before = Image.MAX_IMAGE_PIXELS, warnings.filters[:]
                Image.MAX_IMAGE_PIXELS = None
                warnings.filterwarnings("ignore", module=r"PIL|pydicom|radiographs\.dicom")
            ReaderSettings.reads += 1

    def __exit__(self, *_) -> None:
        with self.lock:
            ReaderSettings.reads -= 1
            if not ReaderSettings.reads:
                Image.MAX_IMAGE_PIXELS, warnings.filters[:] = self.before


def itk() -> ModuleType:
    """SimpleITK without its warnings; it takes 0.1 s to load, and many pictures do without."""
    import SimpleITK as sitk

    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    return sitk


def read_radiograph(path: Path) -> Radiograph:
    """One grey-valued radiograph from a JPEG, PNG, TIFF, BMP, DICOM, MetaImage, NIfTI or NRRD file.

    Colours become luminance, an alpha channel is dropped, a picture that its EXIF data call turned is turned. DICOM is shown as
    its header says. Raises DataError.
    """
    if path.exists() and not path.is_file():  # a pipe or a device would be waited for without end
        found = "folder" if path.is_dir() else "pipe or device"
        raise DataError(f"{path}: expected a file, found a {found}; rename or remove it")
    try:
        with ReaderSettings():
            radiograph = reader_of(path)(path)
    except (DataError, MemoryError):
        raise
    except Exception as error:  # the readers raise whatever they like on a damaged file
        reason = str(error).strip().splitlines()[-1:] or [type(error).__name__]
        raise DataError(f"{path}: cannot be read as a radiograph ({reason[0]}); replace or remove the file") from error
    check_pixels(path, radiograph.pixels)
    if radiograph.spacing_mm and not all(LEAST <= side <= MOST for side in radiograph.spacing_mm):
        sizes = "{:g} x {:g}".format(*radiograph.spacing_mm)
        note = f"its pixels have {sizes} mm (x, y) by {radiograph.spacing_from}, which cannot be: no millimetres"
        radiograph = replace(radiograph, spacing_mm=None, spacing_from="unknown", notes=[*radiograph.notes, note])
    return radiograph


def reader_of(path: Path) -> Callable[[Path], Radiograph]:
    ending = path.suffix.lower()
    if ending in PICTURES:
        return read_picture
    if ending not in DICOM and not is_dicom(path) and itk().ImageFileReader.GetImageIOFromFileName(str(path)) != "GDCMImageIO":
        from radiographs.volumes import read_volume  # here, since SimpleITK takes 0.1 s to load

        return read_volume
    from radiographs.dicom import read_dicom  # here, since its libraries take 0.05 s to load

    return read_dicom


def read_picture(path: Path) -> Radiograph:
    """A JPEG, PNG, TIFF or BMP file; its orientation as its EXIF data say."""
    turned, dots = 1, False
    try:
        with open(path, "rb") as file, Image.open(file) as picture:  # named, Pillow maps turned TIFF files with sides exchanged
            check_size(path, *picture.size)
            if picture.format != "MPO":  # a telephone's, whose further pictures are smaller ones or depths
                check_frames(path, getattr(picture, "n_frames", 1))
            turned, dots = picture.getexif().get(ORIENTATION, 1), "dpi" in picture.info
            tags = getattr(picture, "tag_v2", {})
            if max(tags.get(BITS, (1,))) > 8 or max(tags.get(SAMPLE_FORMAT, (UNSIGNED,))) > UNSIGNED:  # Pillow reads some wrong
                pixels = oriented(read_tiff(path), turned)
            else:
                picture = ImageOps.exif_transpose(picture)
                if picture.mode not in GREY_MODES:
                    picture = picture.convert("LA" if picture.mode in ("LA", "La") else "RGB")
                pixels = np.asarray(picture)
    except Image.UnidentifiedImageError:
        if path.suffix.lower() not in (".tif", ".tiff"):
            raise
        pixels = read_tiff(path)  # kinds of TIFF that Pillow does not know
    return Radiograph(grey(path, pixels), **(places_by_itk(path, turned) if dots or turned != 1 else {}))


def check_frames(path: Path, frames: int) -> None:
    if frames > 1:
        raise DataError(f"{path}: expected one picture, found {frames}; export a single frame")


def oriented(pixels: np.ndarray, turned: int) -> np.ndarray:
    """An array (rows, columns, ...) as the EXIF orientation 1 to 8 calls for; as it is for any other number."""
    if turned in TRANSPOSED:
        pixels = pixels.swapaxes(0, 1)
    down, across = (-1 if turned in of else 1 for of in ((3, 4, 7, 8), (2, 3, 6, 7)))
    return pixels[::down, ::across]


def places_by_itk(path: Path, turned: int) -> dict:
    """Where programs that read by ITK, as 3D Slicer, place a picture: `origin_mm` and `steps_mm` of it turned upright.

    They take dots per inch for millimetres, which are not the patient's, and no notice of the orientation.
    """
    reader = itk().ImageFileReader()
    try:
        str(path).encode()  # ITK ends the process at a name that is no UTF-8
        reader.SetFileName(str(path))
        reader.ReadImageInformation()
    except (UnicodeEncodeError, RuntimeError):  # a file that ITK cannot open, so that nobody places landmarks by it
        return {}
    spacing, (columns, rows) = np.array(reader.GetSpacing()[:2]), reader.GetSize()[:2]
    if not (np.isfinite(spacing).all() and spacing.min() > 0):
        spacing = np.ones(2)
    x, y = (columns - 1, rows - 1) * spacing
    first, right, below, _ = oriented(np.array([[[0, 0, 0], [x, 0, 0]], [[0, y, 0], [x, y, 0]]]), turned).reshape(4, 3)
    if turned in TRANSPOSED:
        columns, rows = rows, columns
    steps = (right - first) / max(columns - 1, 1), (below - first) / max(rows - 1, 1)
    return {"origin_mm": tuple(first.tolist()), "steps_mm": tuple(tuple(step.tolist()) for step in steps)}


def read_tiff(path: Path) -> np.ndarray:
    """(rows, columns) or (rows, columns, colours), black 0."""
    import tifffile  # takes a while, and most pictures do without

    with tifffile.TiffFile(path) as file:
        page = file.pages[0]
        check_size(path, page.imagewidth, page.imagelength, page.samplesperpixel)
        check_frames(path, max(len(file.pages), page.imagedepth))
        pixels = page.asarray()
        if page.planarconfig == APART and pixels.ndim == 3:
            pixels = np.moveaxis(pixels, 0, -1)
        return pixels.max() - pixels.astype(np.float64) if page.photometric == WHITE_IS_0 else pixels
