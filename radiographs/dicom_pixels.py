"""The stored values of a DICOM data set: unpacked, of whole numbers only their own bits, colours as red, green and blue.

pydicom reads native pixels, imagecodecs unpacks compressed ones.
"""

import math
from pathlib import Path

import imagecodecs
import numpy as np
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.pixels import convert_color_space, get_decoder

from runtime.files import DataError

NATIVE = {uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian, uid.DeflatedExplicitVRLittleEndian, uid.ExplicitVRBigEndian}
JPEG = {uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit, uid.JPEGLossless, uid.JPEGLosslessSV1}
YBR = {"YBR_FULL", "YBR_FULL_422"}
JPEG_LS = {uid.JPEGLSLossless, uid.JPEGLSNearLossless}
JPEG_2000 = {uid.JPEG2000Lossless, uid.JPEG2000, uid.HTJ2KLossless, uid.HTJ2KLosslessRPCL, uid.HTJ2K}


def text(dataset: Dataset, keyword: str) -> str:
    return in_one_line(dataset.get(keyword) or "")


def in_one_line(value: object) -> str:
    return " ".join("".join(letter if letter.isprintable() else " " for letter in str(value)).split())


def numbers(dataset: Dataset, keyword: str) -> list[float]:
    """The numbers of an element; none where it is absent or holds anything else."""
    try:
        value = dataset.get(keyword)
        values = [float(part) for part in ([value] if isinstance(value, str | bytes) or np.ndim(value) == 0 else value)]
    except (TypeError, ValueError):
        return []
    return values if all(map(math.isfinite, values)) else []


def first(dataset: Dataset, keyword: str, default: float) -> float:
    return (numbers(dataset, keyword) or [default])[0]


def stored_values(path: Path, dataset: Dataset) -> np.ndarray:
    """Whole numbers as the file stores them, (rows, columns), or (rows, columns, 3) in red, green and blue."""
    syntax, photometric = dataset.file_meta.get("TransferSyntaxUID"), text(dataset, "PhotometricInterpretation")
    if syntax is None and not dataset["PixelData"].is_undefined_length:
        implicit, little = dataset.original_encoding
        syntax = uid.ImplicitVRLittleEndian if implicit else uid.ExplicitVRLittleEndian if little else uid.ExplicitVRBigEndian
    if syntax in NATIVE:
        check_length(path, dataset)
        options = {"view_only": True, "correct_unused_bits": False, "allow_excess_frames": False}
        pixels, _ = get_decoder(syntax).as_array(dataset, raw=True, **options)
        ybr = photometric in YBR
    else:
        pixels, ybr = unpack(path, dataset, syntax)
    pixels = whole_numbers(dataset, pixels, in_containers=syntax in NATIVE or syntax == uid.RLELossless)
    if pixels.ndim == 3 and (ybr or photometric in YBR | {"YBR_ICT", "YBR_RCT"}):  # the last two are undone by JPEG 2000
        pixels = convert_color_space(pixels, "YBR_FULL", "RGB") if ybr else pixels
        dataset.PhotometricInterpretation = "RGB"
    return pixels


def check_length(path: Path, dataset: Dataset) -> None:
    """Raises DataError where native pixels end too early."""
    samples = int(first(dataset, "SamplesPerPixel", 1))
    samples = 2 if text(dataset, "PhotometricInterpretation") == "YBR_FULL_422" else samples  # every other colour is left out
    expected = math.ceil(dataset.Rows * dataset.Columns * samples * dataset.BitsAllocated / 8)
    if len(dataset.PixelData) < expected:
        raise DataError(
            f"{path}: expected {expected} bytes of pixels, found {len(dataset.PixelData)}; the file is cut, copy it again"
        )


def unpack(path: Path, dataset: Dataset, syntax: uid.UID | None) -> tuple[np.ndarray, bool]:
    """Compressed pixels unpacked, and whether three of them are YBR.

    The size that their own header says must be that of the data set, so that nothing larger is unfolded.
    """
    rows, columns, samples = dataset.Rows, dataset.Columns, int(first(dataset, "SamplesPerPixel", 1))
    if syntax not in JPEG | JPEG_LS | JPEG_2000 | {uid.RLELossless}:
        name = "an unknown way" if syntax is None else in_one_line(syntax.name)
        raise DataError(f"{path}: its pixels are packed in {name}, which cannot be unpacked here; export it uncompressed")
    frame = bytes(get_frame(dataset.PixelData, 0, number_of_frames=1))
    photometric = text(dataset, "PhotometricInterpretation")
    if syntax == uid.RLELossless:
        return unpack_rle(path, dataset, frame), photometric in YBR
    found, ybr = coded(frame)
    if found != (rows, columns, samples):
        what = f"{found[1]} x {found[0]} of {found[2]} values" if found else "none"
        raise DataError(f"{path}: expected packed pixels of {columns} x {rows}, found {what}; export the radiograph again")
    if syntax in JPEG and b"\xff\xd9" not in frame.rstrip(b"\0")[-64:]:  # the other codecs say so themselves
        raise DataError(f"{path}: the packed pixels have no end; the file is cut, copy it again")
    if syntax in JPEG:
        colour = {"colorspace": "RGB", "outcolorspace": "RGB"} if dataset.SamplesPerPixel == 3 else {}  # both: no conversion
        pixels = imagecodecs.jpeg8_decode(frame, **colour)
    else:
        pixels = imagecodecs.jpegls_decode(frame) if syntax in JPEG_LS else imagecodecs.jpeg2k_decode(frame)
    return pixels, photometric in YBR if ybr is None else ybr


def unpack_rle(path: Path, dataset: Dataset, frame: bytes) -> np.ndarray:
    """Segments of PackBits, one for each byte of a value, sample after sample (PS3.5, annex G)."""
    samples, size = int(first(dataset, "SamplesPerPixel", 1)), dataset.BitsAllocated // 8
    expected = dataset.Rows * dataset.Columns
    try:
        content = imagecodecs.dicomrle_decode(frame, f"<u{size}", out=samples * size * expected)
    except (RuntimeError, ValueError):
        content = b""
    if len(content) != samples * size * expected:
        raise DataError(
            f"{path}: expected {samples * size} packed segments of {expected} pixels, found something else; the file is cut or"
            " damaged, copy it again"
        )
    values = np.frombuffer(content, f"<u{size}").reshape(samples, dataset.Rows, dataset.Columns)
    return values[0] if samples == 1 else np.moveaxis(values, 0, -1)


def coded(frame: bytes) -> tuple[tuple[int, int, int] | None, bool | None]:
    """(rows, columns, samples) and whether colours are YBR, where the header of a JPEG, JPEG-LS or JPEG 2000 stream says so."""
    ybr, place = None, max(0, frame.find(b"\xff\x4f\xff\x51", 0, 4096)) + 2  # JPEG 2000 may be wrapped in boxes
    while place + 4 <= len(frame) and frame[place] == 0xFF:
        marker, length = frame[place + 1], int.from_bytes(frame[place + 2 : place + 4], "big")
        content = frame[place + 4 : place + 2 + length]
        place += 2 + length
        if marker == 0x51:  # SIZ
            right, bottom, left, top = (int.from_bytes(content[i : i + 4], "big") for i in (2, 6, 10, 14))
            return (bottom - top, right - left, int.from_bytes(content[34:36], "big")), None
        if content.startswith(b"JFIF"):
            ybr = True
        elif marker == 0xEE and content.startswith(b"Adobe") and len(content) >= 12:
            ybr = content[11] == 1
        elif marker == 0xF7 or (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)):  # a frame header
            size = int.from_bytes(content[1:3], "big"), int.from_bytes(content[3:5], "big"), content[5]
            return size, False if content[6::3] in (b"RGB", b"rgb") else ybr
    return None, None


def whole_numbers(dataset: Dataset, pixels: np.ndarray, in_containers: bool) -> np.ndarray:
    """Only the bits of the pixels themselves, with their sign: above and below them may lie anything (PS3.5, 8.1.1).

    `in_containers`: as BitsAllocated and HighBit say, else as a codec gives them.
    """
    if pixels.dtype.kind not in "iu" or pixels.dtype.itemsize * 8 < (bits := int(first(dataset, "BitsStored", 0))):
        return pixels
    signed = dataset.PixelRepresentation == 1
    if not in_containers and signed == (pixels.dtype.kind == "i"):
        return pixels
    size = pixels.dtype.itemsize
    container = size * 8
    bits = bits or container
    above = container - 1 - int(first(dataset, "HighBit", bits - 1)) if in_containers else container - bits
    if not 0 <= above <= container - bits:
        above = container - bits
    kind = np.dtype(f"i{size}" if signed else f"u{size}")
    raw = pixels.astype(pixels.dtype.newbyteorder("="), copy=bits != container).view(f"u{size}")
    if bits == container:
        return raw.view(kind)
    raw <<= above
    return raw.view(kind) >> (container - bits)
