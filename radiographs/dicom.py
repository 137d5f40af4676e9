"""DICOM files: their pixels as a viewer shows them, with their spacing and their place in space (the standard's PS3.3).

The way from a stored value to a grey one is the standard's: Modality LUT, then VOI LUT or window, then the inversion of
MONOCHROME1, once. Images FOR PROCESSING are no pictures yet: they are read with bone bright, by their Pixel Intensity
Relationship, and carry a note that says so. In all others that relationship is not "intended to be applied" (C.8.11.3.1.2).
"""

import math
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np
from pydicom import dcmread, uid
from pydicom.dataset import Dataset
from pydicom.filereader import _read_file_meta_info, read_preamble
from pydicom.pixels import apply_color_lut
from scipy.special import expit

from radiographs.dicom_pixels import first, in_one_line, numbers, stored_values, text
from radiographs.radiograph import LUMINANCE, Radiograph, check_size, grey
from runtime.files import DataError

FIRST_BYTES = {b"\2\0", b"\x08\0", b"\0\x08"}  # the group of the first element, where a file has no preamble
DARKEST = 1 / 4096  # of the brightest intensity, and no darker is any taken for, since noise around 0 has no logarithm
PIECE = 1 << 20  # bytes of a deflated file that are unfolded at a time

FLUOROSCOPY = {uid.XRayAngiographicImageStorage, uid.XRayRadiofluoroscopicImageStorage}
DETECTORS = ("DigitalXRayImageStorage", "DigitalMammographyXRayImageStorage", "DigitalIntraOralXRayImageStorage")
RAW = {getattr(uid, f"{kind}ForProcessing") for kind in DETECTORS}
# kinds that ITK, and so 3D Slicer, places by Imager Pixel Spacing and by Pixel Spacing
AT_DETECTOR = (
    FLUOROSCOPY | RAW | {uid.ComputedRadiographyImageStorage, *(getattr(uid, f"{kind}ForPresentation") for kind in DETECTORS)}
)
AT_PATIENT = {
    getattr(uid, f"{kind}ImageStorage")
    for kind in ("SecondaryCapture", "CT", "MR", "PositronEmissionTomography", "Ultrasound", "VLPhotographic")
}
MACROS = ("PixelMeasures", "PlanePosition", "PlaneOrientation", "PixelValueTransformation", "FrameVOILUT")  # of enhanced objects


def read_dicom(path: Path) -> Radiograph:
    """The one picture of a DICOM file. Raises DataError, and whatever pydicom and imagecodecs raise on a damaged file."""
    dataset = read_data_set(path)
    stored = stored_values(path, dataset)
    photometric, notes = text(dataset, "PhotometricInterpretation"), []
    with np.errstate(all="ignore"):  # what is not finite is refused later
        if photometric in ("MONOCHROME1", "MONOCHROME2") and stored.ndim == 2:
            pixels = grey_values(path, dataset, stored, notes)
        elif photometric == "PALETTE COLOR" and stored.ndim == 2:
            pixels = apply_color_lut(stored, dataset)[..., :3] @ LUMINANCE
        elif photometric == "RGB" and stored.ndim == 3:
            pixels = stored
        else:
            found = f"{photometric or 'none'} for {stored.shape[-1] if stored.ndim > 2 else 1} values a pixel"
            raise DataError(
                f"{path}: expected the Photometric Interpretation MONOCHROME1, MONOCHROME2, PALETTE COLOR, RGB or YBR_FULL, found"
                f" {found}; export it as MONOCHROME2"
            )
        side = {"L": "left", "R": "right"}.get(text(dataset, "ImageLaterality") or text(dataset, "Laterality"), "")
        return Radiograph(grey(path, pixels), *spacing(dataset), *physical_frame(dataset), notes, side)


def read_data_set(path: Path) -> Dataset:
    """What the file holds, once its header says that it is one picture of a size that can be unfolded."""
    with open(path, "rb") as file:
        head = file.read(132)
        if head[128:132] != b"DICM" and head[:2] not in FIRST_BYTES:
            raise DataError(f"{path}: expected a DICOM file, found something else; replace or remove it")
        file.seek(0)
        check_deflated(path, file)
        file.seek(0)
        header = dcmread(file, force=True, stop_before_pixels=True)
        rows, columns = (int(first(header, name, 0)) for name in ("Rows", "Columns"))
        frames = int(first(header, "NumberOfFrames", 1)) or 1
        check_size(path, columns, rows * max(1, frames), int(first(header, "SamplesPerPixel", 1)))
        if frames > 1:
            raise DataError(f"{path}: expected one picture, found {frames} frames; export a single frame")
        file.seek(0)
        dataset = dcmread(file, force=True)
    dataset.NumberOfFrames = 1  # which pydicom insists on where the element says nothing
    if "PixelData" not in dataset or not rows or not columns:
        kind = dataset.get("SOPClassUID") or dataset.file_meta.get("MediaStorageSOPClassUID")
        found = in_one_line(kind.name) if isinstance(kind, uid.UID) else "one"
        raise DataError(f"{path}: expected a DICOM file with a picture, found {found} without; copy it again, or remove it")
    for groups in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):  # say what others say at the top
        for group in list(dataset.get(groups) or ())[:1]:
            for macro in MACROS:
                for item in list(group.get(f"{macro}Sequence") or ())[:1]:
                    dataset.update(item)
    return dataset


def check_deflated(path: Path, file: BinaryIO) -> None:
    """Raises DataError where a deflated file unfolds to more than the largest picture; pydicom unfolds it whole."""
    read_preamble(file, force=True)
    meta = _read_file_meta_info(file)  # leaves the file where what is deflated begins
    if meta.get("TransferSyntaxUID") != uid.DeflatedExplicitVRLittleEndian:
        return
    inflater, unfolded = zlib.decompressobj(-zlib.MAX_WBITS), 0
    while piece := inflater.unconsumed_tail or file.read(PIECE):
        unfolded += len(inflater.decompress(piece, PIECE))
        check_size(path, unfolded // 8, 1)


def grey_values(path: Path, dataset: Dataset, stored: np.ndarray, notes: list[str]) -> np.ndarray:
    """Stored values (rows, columns) as a viewer shows them, padding as dark as the darkest pixel; adds to `notes`."""
    padding = padded(dataset, stored)
    values = modality_values(path, dataset, stored)
    shown = voi_values(path, dataset, values, notes)
    inside = shown if padding is None else shown[~padding]
    if not inside.max() > inside.min():
        shown = values  # a window that shows nothing is a mistake of the file
    if is_raw(dataset):
        notes.append("raw detector values (FOR PROCESSING)")
        proportional = text(dataset, "PixelIntensityRelationship") == "LIN" and sign_of_intensity(dataset) == 1
        if shown is values and proportional and values.max() > 0:  # to the X-rays: the logarithm falls evenly with bone
            shown = np.log(values.clip(values.max() * DARKEST, None))
    if is_inverted(dataset, notes):
        shown = (shown.min() + shown.max()) - shown
    if padding is not None:
        shown[padding] = shown[~padding].min()
    return shown


def padded(dataset: Dataset, stored: np.ndarray) -> np.ndarray | None:
    """Where stored values are padding and no picture; None where nothing is, or everything."""
    limits = numbers(dataset, "PixelPaddingValue")[:1]
    if not limits:
        return None
    limits += numbers(dataset, "PixelPaddingRangeLimit")[:1]
    low, high = (int(limit(limits)) for limit in (min, max))
    if dataset.PixelRepresentation == 1 and low > np.iinfo(stored.dtype).max:  # written as if it had no sign
        low, high = (value - 2 ** int(dataset.BitsAllocated) for value in (low, high))
    padding = (stored >= low) & (stored <= high)
    return padding if padding.any() and not padding.all() else None


def modality_values(path: Path, dataset: Dataset, stored: np.ndarray) -> np.ndarray:
    """Modality LUT Sequence, or Rescale Slope and Intercept (C.11.1). A slope of 0 would leave nothing and counts as 1."""
    if (tables := dataset.get("ModalityLUTSequence")) and dataset.get("SOPClassUID") not in FLUOROSCOPY:
        return look_up(path, dataset, tables[0], stored)  # that of fluoroscopy leads back to intensities, not to the display
    values = stored.astype(np.float32 if stored.dtype.itemsize <= 2 else np.float64)
    slope, intercept = first(dataset, "RescaleSlope", 1) or 1, first(dataset, "RescaleIntercept", 0)
    if (slope, intercept) != (1, 0):
        values *= slope
        values += intercept
    return values


def voi_values(path: Path, dataset: Dataset, values: np.ndarray, notes: list[str]) -> np.ndarray:
    """The first VOI LUT, else the first window (C.11.2), in the units of the values or of the LUT; without any, the values."""
    if tables := dataset.get("VOILUTSequence"):
        return look_up(path, dataset, tables[0], values)
    center, width = first(dataset, "WindowCenter", math.nan), first(dataset, "WindowWidth", math.nan)
    function = text(dataset, "VOILUTFunction") or "LINEAR"
    if function == "SIGMOID" and width > 0:
        return width * expit((values - center) * (4 / width))
    if function == "LINEAR_EXACT" and width > 0:
        return values.clip(center - width / 2, center + width / 2)
    if not width > 1 or math.isnan(center):
        return values
    if function not in ("LINEAR", "LINEAR_EXACT", "SIGMOID"):
        notes.append(f"VOI LUT Function {function} taken for LINEAR")
    return values.clip(center - width / 2, center + width / 2 - 1)


def look_up(path: Path, dataset: Dataset, item: Dataset, values: np.ndarray) -> np.ndarray:
    """Values through the LUT of a sequence's item (C.11.1.1); below its first and above its last value they stay there."""
    descriptor, data = numbers(item, "LUTDescriptor"), item.get("LUTData")
    if len(descriptor) != 3 or data is None:
        raise DataError(f"{path}: expected a LUT Descriptor of three numbers and LUT Data; export the radiograph again")
    entries, start = int(descriptor[0]) % 65536 or 65536, int(descriptor[1])
    if start > 32767 and start > values.max():  # written as if it had no sign
        start -= 65536
    if isinstance(data, bytes):
        narrow = descriptor[2] <= 8 and len(data) < 2 * entries
        table = np.frombuffer(data, "u1" if narrow else "<u2" if dataset.original_encoding[1] else ">u2")
    else:
        table = np.atleast_1d(np.array(data, dtype=np.int64)) & 0xFFFF
        if descriptor[2] <= 8 and len(table) < entries:
            table = table.astype("<u2").view("u1")
    if len(table) < entries:
        raise DataError(f"{path}: expected LUT Data of {entries} entries, found {len(table)}; export the radiograph again")
    place = np.rint(values).astype(np.int32) if values.dtype.kind == "f" else values.astype(np.int32)
    return table[:entries].astype(np.float32)[(place - start).clip(0, entries - 1)]


def is_raw(dataset: Dataset) -> bool:
    return text(dataset, "PresentationIntentType") == "FOR PROCESSING" or dataset.get("SOPClassUID") in RAW


def sign_of_intensity(dataset: Dataset) -> float:
    return first(dataset, "PixelIntensityRelationshipSign", 0)


def is_inverted(dataset: Dataset, notes: list[str]) -> bool:
    """Whether low values are to be bright: MONOCHROME1 or Presentation LUT Shape INVERSE, which say the same thing.

    For raw values Pixel Intensity Relationship Sign decides, where it is given: 1 says that fewer X-rays, so bone, are low.
    """
    if is_raw(dataset) and (sign := sign_of_intensity(dataset)) in (1, -1):
        return sign == 1
    photometric, shape = text(dataset, "PhotometricInterpretation"), text(dataset, "PresentationLUTShape")
    if (photometric, shape) in (("MONOCHROME1", "IDENTITY"), ("MONOCHROME2", "INVERSE")):
        notes.append(f"{photometric} with Presentation LUT Shape {shape} taken for inverted")
    return photometric == "MONOCHROME1" or shape == "INVERSE"


def spacing(dataset: Dataset) -> tuple[tuple[float, float] | None, str]:
    """(x, y) mm per pixel and where they come from (10.7.1.3: the file gives rows before columns), the best first.

    Pixel Spacing that equals the detector's or the film's is not calibrated, if nothing says so (10.7.1.1). 1 x 1 mm counts as
    not said, since that is what programs write that do not know.
    """
    pixel, imager, film = (
        tuple(values[::-1]) if len(values := numbers(dataset, name)) == 2 and min(values) > 0 and values != [1, 1] else None
        for name in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing")
    )
    calibration = text(dataset, "PixelSpacingCalibrationType")
    magnification = first(dataset, "EstimatedRadiographicMagnificationFactor", 0)
    if pixel and calibration:
        return pixel, f"DICOM Pixel Spacing (calibrated: {calibration})"
    if pixel and pixel not in (imager, film):
        return pixel, f"DICOM Pixel Spacing{' (calibrated)' if imager or film else ''}"
    if imager and magnification > 0:
        x, y = imager
        return (x / magnification, y / magnification), "DICOM Imager Pixel Spacing / Estimated Radiographic Magnification Factor"
    if imager:
        return imager, "DICOM Imager Pixel Spacing (at the detector, so magnified)"
    if film:
        return film, "DICOM Nominal Scanned Pixel Spacing (of a film)"
    return None, "unknown"


def physical_frame(dataset: Dataset) -> tuple[tuple[float, ...], tuple[tuple[float, ...], ...]]:
    """Origin, and the steps to the next x and y, mm (LPS), where ITK and so 3D Slicer places the picture."""
    kind = dataset.get("SOPClassUID")
    keyword = "ImagerPixelSpacing" if kind in AT_DETECTOR else "PixelSpacing" if kind in AT_PATIENT else ""
    rows_first = numbers(dataset, "ImagePlanePixelSpacing" if kind == uid.RTImageStorage else keyword)
    if kind == uid.SecondaryCaptureImageStorage and not rows_first:
        rows_first = numbers(dataset, "NominalScannedPixelSpacing")
    rows_first = rows_first or [1.0]
    spacing_y, spacing_x = rows_first[0] or 1.0, rows_first[-1] or 1.0
    origin = numbers(dataset, "ImagePositionPatient")
    along, down = np.eye(3)[:2]
    if len(cosines := numbers(dataset, "ImageOrientationPatient")) == 6:
        cosines = np.reshape(cosines, (2, 3))
        lengths = np.linalg.norm(cosines, axis=1)
        if lengths.all() and abs(np.prod(cosines / lengths[:, None], 0).sum()) < 1e-3:
            along, down = cosines / lengths[:, None]
            normal = unit(np.cross(along, down))
            along = unit(np.cross(down, normal))
            down = np.cross(normal, along)
    steps = tuple((along * spacing_x).tolist()), tuple((down * spacing_y).tolist())
    return tuple(origin) if len(origin) == 3 else (0.0, 0.0, 0.0), steps


def unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)
