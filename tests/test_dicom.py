"""DICOM files made by hand, with the values that the standard's formulas give; and the files that pydicom ships."""

import contextlib
import logging
import subprocess
import sys
import threading
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import product
from pathlib import Path

import imagecodecs
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from conftest import ROOT, command, made_radiograph, preprocess, row, rows_of
from PIL import Image
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_voi_lut, pixel_array
from pydicom.sequence import Sequence

import metrics
from dataloader import RadiographDataset
from prediction.calibration import OTHER_SIDE
from prediction.listing import write_listing
from prediction.predictor import Prediction
from prediction.worker import add_flags
from radiographs import radiograph as limits
from radiographs.names import is_radiograph
from radiographs.radiograph import LUMINANCE
from radiographs.raw_folder import find_radiographs
from radiographs.reading import read_radiograph
from runtime.files import DataError

RAMP = np.arange(20 * 30).reshape(20, 30)
GREY = made_radiograph(0)[0]
COLOUR = np.stack([GREY, 255 - GREY, GREY // 2], -1)


def made(stored: np.ndarray, bits: int = 12, signed: bool = False, syntax=uid.ExplicitVRLittleEndian, **tags) -> Dataset:
    """A digital X-ray image of whole numbers (rows, columns[, 3]) as it stores them; `tags` are its further attributes."""
    allocated = 8 if bits <= 8 else 16
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = syntax
    made.SOPClassUID, made.SOPInstanceUID, made.Modality = uid.DigitalXRayImageStorageForPresentation, "1.2.3", "DX"
    made.SamplesPerPixel = stored.shape[2] if stored.ndim > 2 else 1
    made.PhotometricInterpretation = "RGB" if stored.ndim > 2 else "MONOCHROME2"
    if stored.ndim > 2:
        made.PlanarConfiguration = 0
    made.Rows, made.Columns = stored.shape[:2]
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = allocated, bits, bits - 1, int(signed)
    order = ">" if syntax == uid.ExplicitVRBigEndian else "<"
    content = stored.astype(f"{order}{'i' if signed else 'u'}{allocated // 8}").tobytes()
    made.PixelData = content + bytes(len(content) % 2)
    made["PixelData"].VR = "OW"
    for name, value in tags.items():
        setattr(made, name, value)
    return made


def packed(made: Dataset, syntax: uid.UID, frame: bytes) -> Dataset:
    made.file_meta.TransferSyntaxUID = syntax
    made.PixelData = encapsulate([frame])
    made["PixelData"].VR, made["PixelData"].is_undefined_length = "OB", True
    return made


def saved(dataset: Dataset, path: Path) -> Path:
    dataset.save_as(path, enforce_file_format=True, overwrite=True)
    return path


def shown(dataset: Dataset, tmp_path: Path) -> np.ndarray:
    """What is read of it, from 0 up."""
    pixels = read_radiograph(saved(dataset, tmp_path / "a.dcm")).pixels
    return pixels - pixels.min()


def from_zero(values: np.ndarray) -> np.ndarray:
    return values - values.min()


def table(values, first: int, bits: int, entries: int = 0, lost: str = "") -> Sequence:
    """A LUT Sequence of one item, its values as numbers or as the bytes of words."""
    item = Dataset()
    words = isinstance(values, bytes)
    item.LUTDescriptor = [(entries or len(values)) % 65536, first, bits]
    item.LUTData = values if words else list(map(int, values))
    item["LUTDescriptor"].VR, item["LUTData"].VR = "SS" if first < 0 else "US", "OW" if words else "US"
    if lost:
        del item[lost]
    return Sequence([item])


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("window", [False, True])
@pytest.mark.parametrize("rescale", [False, True])
def test_every_kind_of_grey(tmp_path, photometric, signed, window, rescale):
    """With 8 to 16 bits: (stored * 2 - 100), cut to the middle third of its range, turned around for MONOCHROME1."""
    for bits in range(8, 17):
        low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
        stored = np.linspace(low, high, RAMP.size).round().reshape(RAMP.shape)
        slope, intercept = (2, -100) if rescale else (1, 0)
        expected = stored * slope + intercept
        tags = {"PhotometricInterpretation": photometric}
        if rescale:
            tags |= {"RescaleSlope": slope, "RescaleIntercept": intercept, "RescaleType": "US"}
        if window:
            center, width = (low + high) * slope // 2 + intercept, (high - low) * slope // 3
            tags |= {"WindowCenter": center, "WindowWidth": width}
            expected = expected.clip(center - 0.5 - (width - 1) / 2, center - 0.5 + (width - 1) / 2)
        expected = -expected if photometric == "MONOCHROME1" else expected
        found = shown(made(stored, bits, signed, **tags), tmp_path)
        assert found == pytest.approx(from_zero(expected)), bits


def test_the_first_window_in_its_function(tmp_path):
    """C.11.2.1.2 and C.11.2.1.3; a sigmoid is as steep at its centre as the values themselves."""
    for function, expected in (
        (None, RAMP.clip(200, 299)),
        ("LINEAR", RAMP.clip(200, 299)),
        ("LINEAR_EXACT", RAMP.clip(200, 300)),
        ("SIGMOID", 100 / (1 + np.exp(-4 * (RAMP - 250) / 100))),
    ):
        tags = {"WindowCenter": [250, 50], "WindowWidth": [100, 9]} | ({"VOILUTFunction": function} if function else {})
        assert shown(made(RAMP, **tags), tmp_path) == pytest.approx(from_zero(expected), abs=1e-4), function
        tags["PhotometricInterpretation"] = "MONOCHROME1"
        assert shown(made(RAMP, **tags), tmp_path) == pytest.approx(from_zero(-expected), abs=1e-4), function
    odd = saved(made(RAMP, WindowCenter=250, WindowWidth=100, VOILUTFunction="CUBIC"), tmp_path / "a.dcm")
    assert read_radiograph(odd).notes == ["VOI LUT Function CUBIC taken for LINEAR"]
    assert from_zero(read_radiograph(odd).pixels) == pytest.approx(from_zero(RAMP.clip(200, 299)))


@pytest.mark.parametrize(
    "tags",
    [
        {"WindowCenter": 9000, "WindowWidth": 100},
        {"WindowCenter": 300, "WindowWidth": 1},
        {"WindowCenter": 300, "WindowWidth": 0, "VOILUTFunction": "SIGMOID"},
        {"WindowCenter": 300, "WindowWidth": -5, "VOILUTFunction": "LINEAR_EXACT"},
        {"WindowWidth": 100},
        {"WindowCenter": None, "WindowWidth": None},
        {"RescaleSlope": 0, "RescaleIntercept": 0},
        {"VOILUTSequence": table([7] * 600, 0, 8)},
        {"VOILUTSequence": Sequence([])},
        {"SOPClassUID": uid.XRayAngiographicImageStorage, "PixelIntensityRelationship": "LOG",
         "ModalityLUTSequence": table(RAMP.ravel() ** 2 // 6, 0, 16)},  # which is not for the display
        {"PixelPaddingValue": 4000},
        {"PixelPaddingValue": 0, "PixelPaddingRangeLimit": 4095},
    ],
)  # fmt: skip
def test_what_shows_nothing_is_left_out(tmp_path, tags):
    assert shown(made(RAMP, **tags), tmp_path) == pytest.approx(RAMP)


def test_lut_sequences(tmp_path):
    """Tables of squares: below the first value the first entry, above the last one the last; they go before windows."""
    squares = np.arange(100) ** 2
    expected = squares[(RAMP - 50).clip(0, 99)]
    for syntax in (uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian, uid.ExplicitVRBigEndian):
        as_bytes = squares.astype(">u2" if syntax == uid.ExplicitVRBigEndian else "<u2").tobytes()
        for sequence in (table(squares, 50, 14), table(as_bytes, 50, 14, entries=100)):
            window = {"WindowCenter": 300, "WindowWidth": 100}
            assert shown(made(RAMP, syntax=syntax, VOILUTSequence=sequence, **window), tmp_path) == pytest.approx(expected)
            assert shown(made(RAMP, syntax=syntax, ModalityLUTSequence=sequence), tmp_path) == pytest.approx(expected)

    both = made(RAMP, ModalityLUTSequence=table(range(599, -1, -1), 0, 16), VOILUTSequence=table(squares, 50, 14))
    assert shown(both, tmp_path) == pytest.approx(squares[(599 - RAMP - 50).clip(0, 99)])
    first = made(RAMP, VOILUTSequence=Sequence([*table(squares, 50, 14), *table(range(600), 0, 16)]))
    assert shown(first, tmp_path) == pytest.approx(expected)
    inverted = made(RAMP, VOILUTSequence=table(squares, 50, 14), PhotometricInterpretation="MONOCHROME1")
    assert shown(inverted, tmp_path) == pytest.approx(from_zero(-expected))
    rescaled = made(RAMP, RescaleSlope=1, RescaleIntercept=-1024, VOILUTSequence=table(squares, 2**16 - 974, 14))  # -974
    assert shown(rescaled, tmp_path) == pytest.approx(expected)
    halves = made(RAMP, RescaleSlope=0.75, RescaleIntercept=0, VOILUTSequence=table(squares, 50, 14))
    assert shown(halves, tmp_path) == pytest.approx(squares[np.rint(RAMP * 0.75 - 50).astype(int).clip(0, 99)])
    high = made(RAMP + 40_000, 16, VOILUTSequence=table(squares, 40_050, 14))
    assert shown(high, tmp_path) == pytest.approx(expected)
    signed = made(RAMP - 300, 16, True, VOILUTSequence=table(squares, -250, 14))
    assert shown(signed, tmp_path) == pytest.approx(expected)
    falling = (65535 - np.arange(65536)).astype("<u2").tobytes()
    long = made(RAMP * 100, 16, VOILUTSequence=table(falling, 0, 16, entries=65536))  # a number that is written as 0
    assert shown(long, tmp_path) == pytest.approx(from_zero(-RAMP * 100))
    halves = (np.arange(256, dtype=np.uint8) // 2).tobytes()  # two entries a word
    narrow = made(RAMP, VOILUTSequence=table(halves, 0, 8, entries=256))
    assert shown(narrow, tmp_path) == pytest.approx(RAMP.clip(0, 255) // 2)


def test_turned_around_once(tmp_path):
    for photometric, shape, turned, notes in (
        ("MONOCHROME2", "IDENTITY", False, 0),
        ("MONOCHROME1", "INVERSE", True, 0),
        ("MONOCHROME1", "", True, 0),
        ("MONOCHROME2", "INVERSE", True, 1),
        ("MONOCHROME1", "IDENTITY", True, 1),
    ):
        path = saved(made(RAMP, PhotometricInterpretation=photometric, PresentationLUTShape=shape), tmp_path / "a.dcm")
        radiograph = read_radiograph(path)
        assert from_zero(radiograph.pixels) == pytest.approx(from_zero(-RAMP if turned else RAMP)), (photometric, shape)
        assert len(radiograph.notes) == notes and all("taken for inverted" in note for note in radiograph.notes)


def test_raw_values_have_bone_bright_and_a_note(tmp_path):
    """Sign 1: fewer X-rays are lower values; MONOCHROME says how to look at them, not what bone is. LIN becomes attenuation."""
    rising = RAMP + 1
    for relation, sign, expected in (
        ("LOG", 1, -rising),
        ("LOG", -1, rising),
        ("LIN", 1, -np.log(rising)),
        ("LIN", -1, rising),
        ("DISP", 1, -rising),
    ):
        for photometric in ("MONOCHROME1", "MONOCHROME2"):
            tags = {"PixelIntensityRelationship": relation, "PixelIntensityRelationshipSign": sign}
            dataset = made(rising, PresentationIntentType="FOR PROCESSING", PhotometricInterpretation=photometric, **tags)
            radiograph = read_radiograph(saved(dataset, tmp_path / "a.dcm"))
            assert from_zero(radiograph.pixels) == pytest.approx(from_zero(expected), abs=1e-5), tags
            assert radiograph.notes == ["raw detector values (FOR PROCESSING)"]
            dataset.PresentationIntentType = "FOR PRESENTATION"  # where the relationship has no say
            radiograph = read_radiograph(saved(dataset, tmp_path / "a.dcm"))
            assert from_zero(radiograph.pixels) == pytest.approx(from_zero(-rising if photometric[-1] == "1" else rising))
            assert radiograph.notes == []
    unsaid = made(rising, SOPClassUID=uid.DigitalXRayImageStorageForProcessing, PhotometricInterpretation="MONOCHROME1")
    assert shown(unsaid, tmp_path) == pytest.approx(from_zero(-rising))
    assert read_radiograph(tmp_path / "a.dcm").notes == ["raw detector values (FOR PROCESSING)"]


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("signed", [False, True])
def test_padding_is_as_dark_as_the_background(tmp_path, photometric, signed):
    """Padding of the lowest value, or of a range, and whatever window: it is neither bright nor widens what is seen."""
    stored = RAMP + 1000 - signed * 1500
    low = -2048 if signed else 0
    for limit, window in ((None, {}), (low + 9, {}), (None, {"WindowCenter": stored.mean(), "WindowWidth": 100})):
        padded = stored.copy()
        padded[:4] = low
        padded[4:6] = low if limit is None else limit
        tags = {"PixelPaddingValue": low, "PhotometricInterpretation": photometric} | window
        if limit is not None:
            tags["PixelPaddingRangeLimit"] = limit
        dataset = made(padded, 12, signed, **tags)
        expected = stored.clip(stored.mean() - 50, stored.mean() + 49) if window else stored
        expected = (-expected if photometric == "MONOCHROME1" else expected)[6:]
        for wrong in (0, 2**16) if signed and limit is None else (0,):  # the second as if it had no sign
            dataset.add_new("PixelPaddingValue", "SS" if low + wrong < 0 else "US", low + wrong)
            found = shown(dataset, tmp_path)
            assert found[6:] == pytest.approx(from_zero(expected)) and (found[:6] == 0).all()


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("syntax", [uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian, uid.ExplicitVRBigEndian])
def test_only_the_bits_of_the_pixels_count(tmp_path, signed, syntax):
    """Twelve bits somewhere in sixteen, with an overlay or rubbish above and below; and eight each, of an odd number."""
    odd = np.arange(15 * 17).reshape(15, 17) % 251
    eight = made(odd, 8, syntax=syntax)
    if syntax == uid.ExplicitVRBigEndian:  # in words
        eight.PixelData = np.frombuffer(eight.PixelData, ">u2").astype("<u2").tobytes()
    assert shown(eight, tmp_path) == pytest.approx(odd)
    stored = RAMP * 6 - signed * 2000
    rubbish = np.random.default_rng(0).integers(0, 2**16, RAMP.shape)
    for high in (11, 13, 15):
        mask = 0xFFF << (high - 11)
        words = ((stored & 0xFFF) << (high - 11)) | (rubbish & ~mask & 0xFFFF)
        dataset = made(words, 12, False, syntax, HighBit=high, PixelRepresentation=int(signed))
        assert shown(dataset, tmp_path) == pytest.approx(from_zero(stored)), high


CODECS = {
    uid.JPEGLossless: lambda values: lossless_jpeg(values, predictor=4),
    uid.JPEGLosslessSV1: lambda values: lossless_jpeg(values, predictor=1),
    uid.JPEGLSLossless: imagecodecs.jpegls_encode,
    uid.JPEG2000Lossless: lambda values: imagecodecs.jpeg2k_encode(values, level=0, codecformat="j2k", reversible=True),
    uid.HTJ2KLossless: lambda values: imagecodecs.htj2k_encode(values, reversible=True),
    uid.RLELossless: lambda values: rle(values),
}


def lossless_jpeg(values: np.ndarray, predictor: int) -> bytes:
    return imagecodecs.jpeg8_encode(values, lossless=True, predictor=predictor, bitspersample=values.dtype.itemsize * 8)


def rle(values: np.ndarray) -> bytes:
    """By pydicom."""
    dataset = made(values, 8 * values.dtype.itemsize)
    dataset.compress(uid.RLELossless, encoding_plugin="pydicom", generate_instance_uid=False)
    return get_frame(dataset.PixelData, 0, number_of_frames=1)


@pytest.mark.slow
@pytest.mark.parametrize("syntax", CODECS, ids=lambda syntax: syntax.name[:30])
def test_packed_pixels(tmp_path, syntax):
    """Lossless, of 12 bits with and without a sign; refused where the end is missing or a larger picture is hidden."""
    for stored, signed in ((RAMP * 6, False), (RAMP * 6 - 2000, True)):
        for photometric in ("MONOCHROME1", "MONOCHROME2"):
            words = (stored & 0xFFF).astype(np.uint16)
            dataset = made(words, 12, PixelRepresentation=int(signed), PhotometricInterpretation=photometric)
            found = shown(packed(dataset, syntax, CODECS[syntax](words)), tmp_path)
            assert found == pytest.approx(from_zero(-stored if photometric == "MONOCHROME1" else stored))
    if syntax == uid.JPEG2000Lossless:  # whose stream may know the sign, or leave it to the header
        stored = (RAMP * 6 - 2000).astype(np.int16)
        knows = imagecodecs.jpeg2k_encode(stored, level=0, codecformat="j2k", reversible=True, bitspersample=12)
        assert shown(packed(made(stored, 12, True), syntax, knows), tmp_path) == pytest.approx(from_zero(stored))
    frame = CODECS[syntax](GREY)
    assert shown(packed(made(GREY, 8), syntax, frame), tmp_path) == pytest.approx(from_zero(GREY.astype(float)))
    for end in (len(frame) // 2, len(frame) * 9 // 10):
        with pytest.raises(DataError, match=r"cut|cannot be read"):
            shown(packed(made(GREY, 8), syntax, frame[:end]), tmp_path)
    whole = (tmp_path / "a.dcm").read_bytes()
    (tmp_path / "a.dcm").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError):
        read_radiograph(tmp_path / "a.dcm")
    with pytest.raises(DataError, match=r"expected packed pixels of|packed segments of 100 pixels"):
        shown(packed(made(GREY[:10, :10], 8), syntax, frame), tmp_path)


def test_lossy_jpeg_in_colour(tmp_path):
    """What says that three values are YBR, in the stream and in the header; of 12 bits there are files of pydicom."""
    smooth = np.asarray(Image.fromarray(COLOUR).resize((9, 12)).resize((90, 120)))
    luminance = from_zero(smooth @ LUMINANCE)
    ybr = imagecodecs.jpeg8_encode(smooth, level=98)  # with the mark of JFIF, which says YBR
    unmarked = imagecodecs.jpeg8_encode(smooth, level=98, colorspace="RGB", outcolorspace="RGB")  # components named R, G, B
    adobe = b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0"
    start = ybr.index(b"\xff\xe0")
    bare = ybr[:start] + ybr[start + 2 + int.from_bytes(ybr[start + 2 : start + 4], "big") :]
    for frame, photometric in (
        (ybr, "YBR_FULL_422"),
        (ybr, "RGB"),
        (unmarked, "RGB"),
        (unmarked, "YBR_FULL"),
        (bare, "YBR_FULL_422"),
        (bare[:2] + adobe + b"\1" + bare[2:], "RGB"),
    ):
        dataset = packed(made(smooth, 8, PhotometricInterpretation=photometric), uid.JPEGBaseline8Bit, frame)
        assert shown(dataset, tmp_path) == pytest.approx(luminance, abs=4), photometric
    wrong = shown(packed(made(smooth, 8), uid.JPEGBaseline8Bit, bare), tmp_path)  # says RGB itself: taken at its word
    assert np.abs(wrong - luminance).max() > 20


def plan() -> Dataset:
    dataset = made(RAMP, SOPClassUID=uid.RTPlanStorage)
    del dataset.PixelData
    return dataset


def cut(dataset: Dataset, path: Path) -> None:
    path.write_bytes(saved(dataset, path).read_bytes()[:-100])


NO_TABLE = "expected a LUT Descriptor of three numbers and LUT Data"
REFUSED = {
    "large.dcm": (lambda path: saved(made(RAMP, Rows=30_000, Columns=30_000), path),
                  "expected at most 100,000,000 pixels, found 30000 x 30000"),
    "many_frames.dcm": (lambda path: saved(made(RAMP, NumberOfFrames=5), path), "expected one picture, found 5 frames"),
    "film.dcm": (lambda path: saved(made(RAMP, NumberOfFrames=900_000), path), "expected at most 100,000,000 pixels"),
    "plan.dcm": (lambda path: saved(plan(), path), "found RT Plan Storage without"),
    "cut.dcm": (lambda path: cut(made(RAMP), path), "expected 1200 bytes of pixels, found 1100; the file is cut"),
    "video.dcm": (lambda path: saved(packed(made(RAMP), uid.MPEG2MPML, b"\0\0\1\xb3" * 9), path),
                  "its pixels are packed in MPEG2 Main Profile / Main Level, which cannot be unpacked here; export it"),
    "no_bits.dcm": (lambda path: saved(made(RAMP, BitsAllocated=12), path), "cannot be read as a radiograph"),
    "short_table.dcm": (lambda path: saved(made(RAMP, VOILUTSequence=table([1, 2, 3], 0, 16, entries=600)), path),
                        "expected LUT Data of 600 entries, found 3"),
    "no_data.dcm": (lambda path: saved(made(RAMP, VOILUTSequence=table([1], 0, 16, lost="LUTData")), path), NO_TABLE),
    "no_descriptor.dcm": (lambda path: saved(made(RAMP, VOILUTSequence=table([1], 0, 16, lost="LUTDescriptor")), path), NO_TABLE),
    "hsv.dcm": (lambda path: saved(made(COLOUR, 8, PhotometricInterpretation="HSV"), path),
                "found HSV for 3 values a pixel; export it as MONOCHROME2"),
    "infinite.dcm": (lambda path: saved(made(RAMP * 99, 16, RescaleSlope="1e38", RescaleIntercept=0), path),
                     "expected finite pixels"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refused_in_one_line(tmp_path, capfd, name):
    write, expected = REFUSED[name]
    write(tmp_path / name)
    with pytest.raises(DataError) as error:
        read_radiograph(tmp_path / name)
    assert str(error.value).startswith(str(tmp_path / name)) and expected in str(error.value) and "\n" not in str(error.value)
    assert capfd.readouterr() == ("", "")


def data_set_at(path: Path) -> int:
    return 144 + pydicom.filereader.read_file_meta_info(path).FileMetaInformationGroupLength


def test_a_deflated_file_is_not_unfolded_without_limit(tmp_path, monkeypatch):
    """Its data set unfolds to 32 MB, where eight would hold the largest picture, and its header would follow those."""
    path = saved(made(RAMP, syntax=uid.DeflatedExplicitVRLittleEndian), tmp_path / "a.dcm")
    start = data_set_at(path)
    deflater = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    path.write_bytes(path.read_bytes()[:start] + deflater.compress(bytes(1 << 25)) + deflater.flush())
    monkeypatch.setattr(limits, "MAX_PIXELS", 1_000_000)
    with pytest.raises(DataError, match="expected at most 1,000,000 pixels"):
        read_radiograph(path)


def test_files_without_preamble_or_header(tmp_path):
    """Read by their ending where they are DICOM all the same; by whatever name where they say so."""
    for syntax in (uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian):
        dataset = made(RAMP - 300, 12, True, syntax, PhotometricInterpretation="MONOCHROME1")
        whole = saved(dataset, tmp_path / "a.dcm").read_bytes()
        start = data_set_at(tmp_path / "a.dcm")
        bare = {"b.dcm": whole[132:], "c.IMA": whole[start:]} | ({} if "Big" in syntax.name else {"d": whole[start:]})
        for name, content in (bare | {"e": whole, "1.2.840.5": whole}).items():
            (tmp_path / name).write_bytes(content)
            assert from_zero(read_radiograph(tmp_path / name).pixels) == pytest.approx(599 - RAMP), (name, syntax.name)


def test_one_frame_of_an_enhanced_object(tmp_path):
    """Its spacing, rescale and window lie in functional groups."""

    def macro(**tags) -> Sequence:
        item = Dataset()
        for name, value in tags.items():
            setattr(item, name, value)
        return Sequence([item])

    shared = macro(
        PixelMeasuresSequence=macro(PixelSpacing=[0.3, 0.2]),
        PixelValueTransformationSequence=macro(RescaleSlope=2, RescaleIntercept=-5),
    )
    frame = macro(FrameVOILUTSequence=macro(WindowCenter=500, WindowWidth=201))
    groups = {"SharedFunctionalGroupsSequence": shared, "PerFrameFunctionalGroupsSequence": frame, "NumberOfFrames": 1}
    dataset = made(RAMP, SOPClassUID=uid.EnhancedXAImageStorage, **groups)
    assert shown(dataset, tmp_path) == pytest.approx(from_zero((RAMP * 2 - 5).clip(399.5, 599.5)))
    assert read_radiograph(tmp_path / "a.dcm").spacing_mm == (0.2, 0.3)


IMAGER, MAGNIFIED = "DICOM Imager Pixel Spacing (at the detector, so magnified)", "EstimatedRadiographicMagnificationFactor"


@pytest.mark.parametrize(
    ("tags", "spacing", "source"),
    [
        ({}, None, "unknown"),
        ({"PixelSpacing": [0.3, 0.2]}, (0.2, 0.3), "DICOM Pixel Spacing"),
        ({"PixelSpacing": [1, 1]}, None, "unknown"),
        ({"PixelSpacing": [0.3, 0.2], "PixelSpacingCalibrationType": "FIDUCIAL"}, (0.2, 0.3),
         "DICOM Pixel Spacing (calibrated: FIDUCIAL)"),
        ({"PixelSpacing": [0.3, 0.2], "ImagerPixelSpacing": [0.33, 0.22], MAGNIFIED: 1.1}, (0.2, 0.3),
         "DICOM Pixel Spacing (calibrated)"),
        ({"PixelSpacing": [0.3, 0.2], "ImagerPixelSpacing": [0.3, 0.2]}, (0.2, 0.3), IMAGER),
        ({"ImagerPixelSpacing": [0.3, 0.2]}, (0.2, 0.3), IMAGER),
        ({"ImagerPixelSpacing": [0.3, 0.2], MAGNIFIED: 0}, (0.2, 0.3), IMAGER),
        ({"ImagerPixelSpacing": [0.3, 0.2], MAGNIFIED: 1.25}, (0.16, 0.24),
         "DICOM Imager Pixel Spacing / Estimated Radiographic Magnification Factor"),
        ({"PixelSpacing": [0.3, 0.2], "ImagerPixelSpacing": [0.3, 0.2], MAGNIFIED: 1.25}, (0.16, 0.24),
         "DICOM Imager Pixel Spacing / Estimated Radiographic Magnification Factor"),
        ({"NominalScannedPixelSpacing": [0.3, 0.2]}, (0.2, 0.3), "DICOM Nominal Scanned Pixel Spacing (of a film)"),
        ({"PixelSpacing": [0, 0], "ImagerPixelSpacing": [0.3, 0.2]}, (0.2, 0.3), IMAGER),
        ({"PixelSpacing": [1, 1], "ImagerPixelSpacing": [0.3, 0.2]}, (0.2, 0.3), IMAGER),
        ({"ImagerPixelSpacing": [1, 1], MAGNIFIED: 1.25}, None, "unknown"),
        ({"PixelSpacing": None, "NominalScannedPixelSpacing": [-1, 0.2]}, None, "unknown"),
        ({"PixelSpacing": [143, 143]}, None, "unknown"),
        ({"ImagerPixelSpacing": [0.3, 0.0001]}, None, "unknown"),
    ],
)  # fmt: skip
def test_spacing(tmp_path, tags, spacing, source):
    radiograph = read_radiograph(saved(made(RAMP, **tags), tmp_path / "a.dcm"))
    assert radiograph.spacing_mm == (spacing and pytest.approx(spacing)) and radiograph.spacing_from == source
    odd = [
        value
        for values in tags.values()
        if isinstance(values, list)
        for value in values
        if not 0 <= value <= 10 or 0 < value < 1e-3
    ]
    assert any("which cannot be: no millimetres" in note for note in radiograph.notes) == (bool(odd) and min(odd) > 0)


def test_a_side_that_is_not_the_headers_is_a_flag(tmp_path):
    tags = {
        "left.dcm": {"Laterality": "L"},
        "right.dcm": {"Laterality": "L", "ImageLaterality": "R"},
        "both.dcm": {"Laterality": "B"},
    }
    sides = {name: read_radiograph(saved(made(RAMP, **said), tmp_path / name)) for name, said in tags.items()}
    assert [one.side for one in sides.values()] == ["left", "right", ""]
    for name, flags in (("left.dcm", ["odd", OTHER_SIDE]), ("right.dcm", ["odd"]), ("both.dcm", ["odd"])):
        hand = Prediction(np.zeros((1, 2)), np.ones(1), np.zeros((1, 2, 2)), [], [""], side="right")
        add_flags([hand], replace(sides[name], notes=["odd"]))
        assert hand.flags == flags


POSITION = {"ImagePositionPatient": [10, -20, 30.5]}
TILT = [0.36, 0.48, -0.8, -0.8, 0.6, 0]


KINDS = (
    "ComputedRadiography DigitalXRay DigitalMammographyXRay DigitalIntraOralXRay XRayAngiographic XRayRadiofluoroscopic"
    " SecondaryCapture CT MR RT Ultrasound VLPhotographic VLEndoscopic"
).split()
ODD = ([0, 0, 0, 0, 0, 0], [2, 0, 0, 0, 3, 0], [1, 0.0008, 0, 0, 1, 0], [1, 0.01, 0, 0, 1, 0])
PLACES = [
    *({}, POSITION, *(POSITION | {"ImageOrientationPatient": right} for right in (TILT, [0, 1.0002, 0, 0, 0, -1]))),
    *({"ImageOrientationPatient": odd} for odd in ODD),
]
SPACINGS = [
    {},
    {"PixelSpacing": [0.3, 0.2], "ImagerPixelSpacing": [0.33, 0.22], "NominalScannedPixelSpacing": [0.6, 0.5]},
    {"PixelSpacing": [0.3, 0.2], "ImagePlanePixelSpacing": [0.7, 0.8]},
    {"NominalScannedPixelSpacing": [0.6, 0.5]},
]


@pytest.mark.parametrize("kind", KINDS)
def test_lies_where_simpleitk_places_it(tmp_path, kind):
    sop_classes = [getattr(uid, f"{kind}ImageStorage{more}", None) for more in ("", "ForPresentation", "ForProcessing")]
    for sop_class, given, place in product(filter(None, sop_classes), SPACINGS, PLACES):
        path = saved(made(RAMP, SOPClassUID=sop_class, **given, **place), tmp_path / "a.dcm")
        image, radiograph = sitk.ReadImage(str(path)), read_radiograph(path)
        assert radiograph.origin_mm == pytest.approx(image.TransformIndexToPhysicalPoint((0, 0, 0)))
        for axis, corner in enumerate(((10, 0, 0), (0, 10, 0))):
            step = np.array(image.TransformIndexToPhysicalPoint(corner)) - image.GetOrigin()
            assert np.array(radiograph.steps_mm[axis]) * 10 == pytest.approx(step, abs=1e-6), (sop_class.name, given, place)


def shipped() -> list[Path]:
    """What pydicom brings along with pixels in one frame."""
    folder = Path(pydicom.data.__file__).parent / "test_files"
    files = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with contextlib.suppress(Exception), warnings.catch_warnings(action="ignore"):
            if "PixelData" in pydicom.dcmread(path):
                files.append(path)
    return files


def by_pydicom(path: Path) -> np.ndarray:
    """The picture of pydicom's own functions; by SimpleITK where pydicom has no decoder of its own."""
    dataset = pydicom.dcmread(path)
    try:
        values = pixel_array(dataset, index=0)
    except Exception:
        values = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))[0]
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        values = apply_color_lut(values, dataset)
    if values.ndim == 3:
        return values @ LUMINANCE
    values = apply_modality_lut(values, dataset)
    seen = apply_voi_lut(values, dataset)
    seen = seen if seen.min() < seen.max() else values
    return -seen if dataset.PhotometricInterpretation == "MONOCHROME1" else seen


UNREADABLE = {
    "MR_truncated.dcm": "expected 8192 bytes of pixels, found 8130; the file is cut, copy it again",
    "JPEG2000-embedded-sequence-delimiter.dcm": "expected packed pixels of 256 x 1024, found",  # its header is overwritten
    **{f"SC_rgb_rle_{bits}2frame.dcm": "found 2 frames" for bits in ("", "16bit_", "32bit_")},
    **dict.fromkeys(("rtdose.dcm", "rtdose_expb.dcm", "rtdose_rle.dcm"), "found 15 frames"),
    "examples_ybr_color.dcm": "found 30 frames",
    **dict.fromkeys(("meta_missing_tsyntax.dcm", "nested_priv_SQ.dcm"), "with a picture, found one without"),  # and without rows
    **{f"SC_rgb_small_odd{more}.dcm": "found 3 x 3 pixels" for more in ("", "_big_endian", "_jpeg")},
}


@pytest.mark.parametrize("path", shipped(), ids=lambda path: path.name)
def test_the_files_of_pydicom(path, capfd, caplog):
    """Each as by pydicom's own functions, without a word, also of libraries in C; or refused with the line that is expected."""
    if path.name in UNREADABLE:
        with pytest.raises(DataError, match=UNREADABLE[path.name]):
            read_radiograph(path)
        return
    with warnings.catch_warnings(record=True, action="always") as warned:
        pixels = read_radiograph(path).pixels
    assert not warned and capfd.readouterr() == ("", "")
    assert all(logging.getLogger(record.name.split(".")[0]).handlers for record in caplog.records)  # which say nothing by default
    with warnings.catch_warnings(action="ignore"):
        expected = by_pydicom(path)
    assert pixels.shape == expected.shape and np.corrcoef(pixels.ravel(), expected.ravel())[0, 1] > 0.999


def test_threads_and_settings_do_not_meet(tmp_path):
    """Many at once, with values that are no numbers, and the process is as it was."""
    before = warnings.filters[:], Image.MAX_IMAGE_PIXELS
    paths = []
    for i in range(40):
        dataset = made(RAMP + i, ImagerPixelSpacing=["0.123", "0.456"], WindowCenter="50000", WindowWidth="99999")
        if i % 3 == 0:
            dataset = packed(dataset, uid.JPEGLosslessSV1, CODECS[uid.JPEGLosslessSV1]((RAMP + i).astype(np.uint16)))
        paths.append(saved(dataset, tmp_path / f"{i}.dcm"))
        content = paths[-1].read_bytes()
        assert b"0.123\\0.456" in content and b"50000" in content
        paths[-1].write_bytes(content.replace(b"0.123\\0.456", b"0.123\\0,456").replace(b"50000", b"5x000"))
    threads = threading.active_count()
    with ThreadPoolExecutor(8) as pool:
        for i, radiograph in enumerate(pool.map(read_radiograph, paths)):
            assert (radiograph.pixels == RAMP + i).all()
    assert (warnings.filters[:], Image.MAX_IMAGE_PIXELS) == before and threading.active_count() == threads


@pytest.mark.slow
def test_a_start_without_dicom_does_not_wait_for_it():
    code = "import sys, predict; print([name for name in ('pydicom', 'imagecodecs') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True).stdout == "[]\n"


def test_names_that_are_uids(tmp_path):
    """They keep their numbers, and files are found by what they are; a medium's table of contents is none."""
    whole = saved(made(RAMP), tmp_path / "a.dcm").read_bytes()
    for split, names in (
        ("train", ["1.2.840.113619.2.5", "1.2.840.113619.2.6", "IM0001", "a.b.dcm", "c.nii.gz", "d.v2.PNG"]),
        ("valid", ["e.IMA"]),
        ("test", ["f.dicom"]),
    ):
        (tmp_path / split).mkdir()
        for name in names:
            (tmp_path / split / name).write_bytes(whole)
    found, errors = find_radiographs(tmp_path)
    assert list(found) == ["1.2.840.113619.2.5", "1.2.840.113619.2.6", "IM0001", "a.b", "c", "d.v2", "e", "f"] and not errors
    for name, content in (
        ("DICOMDIR", whole),
        ("README", b"not a picture"),
        ("notes.txt", b"none"),
        ("1.2.3", b"1.2.3"),
        ("a.csv.gz", b"x"),
    ):
        (tmp_path / "train" / name).write_bytes(content)
    listing = write_listing([str(tmp_path / "train")], tmp_path / "out", tmp_path / ".list")
    assert {item.name for item in listing} == {path.name for _, path in found.values() if path.parent.name == "train"}
    assert not listing.errors and not is_radiograph(tmp_path / "nothing") and not is_radiograph(tmp_path / "train")


def test_notes_are_among_the_flags(weights, tmp_path):
    raw = {"PresentationIntentType": "FOR PROCESSING", "PixelIntensityRelationship": "LOG", "PixelIntensityRelationshipSign": -1}
    saved(made(GREY, 8, **raw), tmp_path / "raw.dcm")
    saved(made(GREY, 8, ImagerPixelSpacing=[0.1, 0.2]), tmp_path / "shown.dcm")
    ran = command("predict.py", tmp_path / "raw.dcm", tmp_path / "shown.dcm", "--weights", weights, "--out", tmp_path / "out")
    assert ran.returncode == 0 and ran.stderr == "", ran.stderr
    flags = {line["image"]: line["flags"] for line in rows_of(tmp_path / "out" / "landmarks.csv")}
    assert flags["raw.dcm"].startswith("raw detector values (FOR PROCESSING)") and "raw" not in flags["shown.dcm"]
    assert "raw detector values (FOR PROCESSING)" in (tmp_path / "out" / "index.html").read_text()


def test_the_words_for_a_spacing_reach_the_result(tmp_path):
    """From the file through the table into the data set and the words for the millimetres; older tables are read as before."""
    raw, out, rows = tmp_path / "raw", tmp_path / "out", []
    spacings = [{"ImagerPixelSpacing": [0.3, 0.2]}, {"ImagerPixelSpacing": [0.3, 0.2]}, {"PixelSpacing": [0.1, 0.4]}, {}]
    ids = [("train", "a1"), ("train", "a2"), ("train", "a3"), ("train", "a4"), ("valid", "b1"), ("test", "c1")]
    for seed, (split, id) in enumerate(ids):
        (raw / split).mkdir(parents=True, exist_ok=True)
        picture, points = made_radiograph(seed)
        intent = "FOR PROCESSING" if id == "a4" else "FOR PRESENTATION"
        saved(made(picture, 8, PresentationIntentType=intent, **spacings[seed % 4]), raw / split / f"{id}.dcm")
        rows.append(row(id, points))
    (raw / "all_coordinates.csv").write_text("\n".join(rows) + "\n")
    ran = preprocess(raw, out)
    assert ran.returncode == 0 and "train/a4: raw detector values (FOR PROCESSING)\n" in ran.stdout, ran.stderr
    table = rows_of(out / "landmarks.csv")
    assert list(table[0])[4:7] == ["spacing_x_mm", "spacing_y_mm", "spacing_from"]
    data = RadiographDataset(out, "train")
    assert data.spacing_sources == [IMAGER, IMAGER, "DICOM Pixel Spacing", "unknown"]
    assert data.spacings_mm[:3] == pytest.approx(np.array([[0.2, 0.3], [0.2, 0.3], [0.4, 0.1]]))
    _, words = metrics.millimetres_per_pixel(data.sizes_px, data.spacings_mm, data.points_px, data.frame, data.spacing_sources)
    assert words == f"{IMAGER} for 2 of 4, DICOM Pixel Spacing for 1 of 4, unknown for 1 of 4"
