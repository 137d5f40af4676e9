"""Made-up inputs by the hundred (FUZZ=10000 makes more): a right answer or a DataError, never another exception."""

import csv
import io
import os
import warnings

import imageio.v3 as iio
import numpy as np
import pytest
import SimpleITK as sitk
import torch
from conftest import LANDMARKS, made_radiograph, weights_of
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from test_dicom import CODECS, made, packed, saved, table

from prediction.predictor import Predictor
from prediction.regions import Regions
from radiographs.network_frame import hand_outline, intensity_profile, resize_to, to_8_bit
from radiographs.raw_folder import is_number, read_points
from radiographs.reading import read_radiograph
from runtime.checkpoint import read_checkpoint
from runtime.files import DataError, csv_lines, meant

MANY = settings(
    max_examples=int(os.environ.get("FUZZ", 100)),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
GREY = made_radiograph(0)[0]
CELL = st.one_of(
    st.text(max_size=6), st.floats().map(str), st.integers(-9999, 9999).map(str), st.sampled_from(["", "nan", "1e9"])
)
TABLE = st.lists(st.lists(CELL, max_size=7).map(",".join), max_size=6).map("\n".join)


@pytest.fixture(scope="module")
def predictor(tiny) -> Predictor:
    known = Predictor(tiny)
    known.calibration.regions = Regions(np.tile(np.eye(2), (LANDMARKS, 1, 1)), 1.0)
    return known


@MANY
@given(content=st.one_of(st.binary(max_size=200), TABLE.map(lambda text: text.encode("utf-8", "surrogatepass"))))
def test_tables(tmp_path, content):
    path = tmp_path / "all_coordinates.csv"
    path.write_bytes(content)
    try:
        points = read_points(path)
    except DataError as error:
        assert str(path) in str(error)
    else:
        shapes = {value.shape for value in points.values()}
        assert points and len(shapes) == 1
        assert all((np.isnan(value).sum(1) != 1).all() and not np.isinf(value).any() for value in points.values())


@pytest.fixture(scope="module")
def originals(tmp_path_factory) -> dict[str, bytes]:
    """A small radiograph in every format."""
    folder = tmp_path_factory.mktemp("originals")
    for ending in (".dcm", ".mha", ".nii.gz", ".nii", ".nrrd"):
        sitk.WriteImage(sitk.GetImageFromArray(GREY), str(folder / f"a{ending}"))
    for number, (syntax, codec) in enumerate(CODECS.items()):
        words = GREY.astype(np.uint16) * 16
        saved(packed(made(words, WindowCenter=2000, WindowWidth=1000), syntax, codec(words)), folder / f"a.{number}.dcm")
    saved(made(GREY, 8, VOILUTSequence=table(range(256), 0, 8), PixelPaddingValue=0), folder / "a.table.dcm")
    pictures = {ending: iio.imwrite("<bytes>", GREY, extension=ending) for ending in (".png", ".jpg", ".bmp", ".tif")}
    return pictures | {path.name[1:]: path.read_bytes() for path in folder.iterdir()}


def damage(data, whole: bytes, changes: tuple[int, int], within: int) -> bytes:
    """The bytes with some of the first ones changed, and cut at times."""
    content = bytearray(whole)
    for _ in range(data.draw(st.integers(*changes))):
        content[data.draw(st.integers(0, min(len(content) - 1, within)))] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content))) :]
    return bytes(content)


@MANY
@given(data=st.data())
def test_damaged_radiographs(tmp_path, originals, data):
    ending = data.draw(st.sampled_from(sorted(originals)))
    path = tmp_path / f"a{ending}"
    path.write_bytes(damage(data, originals[ending], (0, 8), 600))
    try:
        radiograph = read_radiograph(path)
    except DataError as error:
        assert str(path) in str(error)
    else:
        assert radiograph.pixels.ndim == 2 and np.isfinite(radiograph.pixels).all()
        assert radiograph.spacing_mm is None or min(radiograph.spacing_mm) > 0


@MANY
@given(
    height=st.integers(8, 300), width=st.integers(8, 300), size=st.sampled_from([8, 64, 72]), seed=st.integers(0, 2**32 - 1),
    power=st.sampled_from([0.1, 1, 30]),
)  # fmt: skip
def test_any_picture_becomes_bytes(height, width, size, seed, power):
    rng = np.random.default_rng(seed)
    pixels = (rng.random((height, width)) ** power).astype(np.float32)
    square = resize_to(pixels, (size, size))
    assert square.shape == (size, size) and square.min() >= pixels.min() - 1e-4 and square.max() <= pixels.max() + 1e-4
    if square.min() < square.max():
        assert hand_outline(square).any()
        for reference in (None, intensity_profile(square)):
            assert to_8_bit(square, reference).dtype == np.uint8


@MANY
@given(text=st.text(max_size=12))
@example(text="-Infinity")
def test_no_formula_reaches_a_spreadsheet(text):
    line = csv_lines([[text, 1.5]]).decode("utf-8", "surrogatepass")
    cell = next(iter(csv.reader(io.StringIO(line, newline=""))), [""])[0]
    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r")) or is_number(cell)
    assert meant(cell) == text.replace("\r", " ")


@MANY
@given(data=st.data())
def test_damaged_checkpoints(tiny, tmp_path, data):
    """Refused, or none the worse."""
    path = tmp_path / "best.pt"
    path.write_bytes(damage(data, tiny.read_bytes(), (1, 4), tiny.stat().st_size))
    try:
        weights = read_checkpoint(path)["weights"]
    except DataError as error:
        assert str(path) in str(error)
    else:
        for name, weight in weights_of(tiny).items():
            assert torch.equal(weight, weights[name])


@MANY
@given(
    shape=st.lists(st.integers(0, 90), min_size=1, max_size=3), seed=st.integers(0, 2**32 - 1),
    kind=st.sampled_from(["u1", "u2", "i4", "f2", "f4", "f8", "?", "c8", "U1"]),
    size=st.sampled_from([1, 1e-9, 1e4, 1e30, np.inf]),
)  # fmt: skip
def test_any_array_gets_landmarks_or_a_reason(predictor, shape, seed, kind, size):
    random = np.random.default_rng(seed).random(shape)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image = (random * 255 * size).astype(kind)
    try:
        points, confidence, radius = predictor(image)
    except DataError as error:
        assert str(error).startswith("image: expected")
    else:
        assert points.shape == (LANDMARKS, 2) and np.isfinite(confidence).all() and (radius > 0).all()
        assert (points > -5).all() and (points < max(shape) + 5).all()
