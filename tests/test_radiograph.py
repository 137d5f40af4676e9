"""Files of every kind as radiographs, DICOM in test_dicom.py, and the frame and intensities that the network sees."""

import imageio.v3 as iio
import numpy as np
import pytest
import SimpleITK as sitk
from conftest import made_radiograph

from radiographs.network_frame import hand_outline, intensity_profile, resize_square, to_8_bit
from radiographs.reading import read_radiograph
from runtime.files import DataError

GREY = made_radiograph(0)[0]


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.bmp", "a.mha", "a.nii.gz", "a.nrrd", "a.dcm"])
def test_formats(tmp_path, name):
    path = tmp_path / name
    if name.endswith((".mha", ".nii.gz", ".nrrd", ".dcm")):
        image = sitk.GetImageFromArray(GREY)
        image.SetSpacing((0.14, 0.16))
        sitk.WriteImage(image, str(path))
    else:
        iio.imwrite(path, GREY)
    radiograph = read_radiograph(path)
    assert np.abs(radiograph.pixels - GREY).mean() <= (4 if name.endswith(".jpg") else 0)
    medical = name.endswith((".mha", ".nii.gz", ".nrrd", ".dcm"))
    assert radiograph.spacing_mm == (pytest.approx((0.14, 0.16)) if medical else None)


def test_colour_alpha_and_16_bit_are_the_same_radiograph(tmp_path):
    colour = np.repeat(GREY[..., None], 3, 2)
    alpha = np.concatenate([colour, np.full_like(GREY, 255)[..., None]], 2)
    for name, pixels, factor in (("c.png", colour, 1), ("a.png", alpha, 1), ("d.png", GREY.astype(np.uint16) * 257, 257)):
        iio.imwrite(tmp_path / name, pixels)
        assert read_radiograph(tmp_path / name).pixels / factor == pytest.approx(GREY, abs=0.01)


@pytest.mark.parametrize(
    ("pixels", "expected"),
    [
        (np.full((50, 50), 7, np.uint8), "found 50 x 50 pixels with values from 7 to 7"),
        (np.arange(4, dtype=np.uint8).reshape(2, 2), "found 2 x 2 pixels"),
        (np.zeros((5, 40, 40), np.float32), "expected one picture, found an array of shape"),
        (np.where(np.eye(20) > 0, np.nan, 1).astype(np.float32), "expected finite pixels"),
    ],
)
def test_bad_pictures(tmp_path, pixels, expected):
    path = tmp_path / "bad.mha"
    sitk.WriteImage(sitk.GetImageFromArray(pixels), str(path))
    with pytest.raises(DataError) as error:
        read_radiograph(path)
    assert expected in str(error.value) and str(path) in str(error.value)


def test_resizing_averages_and_keeps_positions():
    """Four pixels become their mean; a ramp stays a ramp; a smaller picture is interpolated."""
    checks = np.indices((64, 128)).sum(0) % 2
    assert (resize_square(checks.astype(np.float32), 32) == 0.5).all()
    ramp = np.tile(np.arange(100, dtype=np.float32), (80, 1))
    x = np.arange(40)
    assert resize_square(ramp, 40)[7] == pytest.approx((x + 0.5) * 100 / 40 - 0.5, abs=0.06)
    assert resize_square(ramp, 160)[7, 20:140] == pytest.approx(((np.arange(160) + 0.5) * 100 / 160 - 0.5)[20:140], abs=0.05)


def test_matching_gives_the_hand_the_histogram_of_the_reference():
    picture, other = (made_radiograph(seed)[0].astype(np.float32) for seed in (1, 2))
    reference = intensity_profile(other * 0.5 + 30)
    matched = to_8_bit(picture, reference)
    low, high = reference[0], reference[-1]
    quantiles = np.quantile(matched[hand_outline(picture)] / 255 * (high - low) + low, [0.1, 0.5, 0.9])
    expected = np.quantile((other * 0.5 + 30)[hand_outline(other)], [0.1, 0.5, 0.9])
    assert quantiles == pytest.approx(expected, abs=1)
    order = np.argsort(picture.ravel())
    assert (np.diff(matched.ravel()[order].astype(int)) >= 0).all()  # brighter stays brighter
    assert to_8_bit(picture, None).min() == 0 and to_8_bit(picture, None).max() == 255


def test_outline_is_the_largest_region_without_holes():
    picture = np.zeros((40, 40), np.float32)
    picture[10:30, 10:30] = 100
    picture[18:20, 18:20] = 0
    picture[1:4, 1:4] = 100
    outline = hand_outline(picture)
    assert outline.sum() == 400 and outline[19, 19] and not outline[2, 2]
