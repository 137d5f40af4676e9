"""Files of every kind as radiographs, DICOM in test_dicom.py, and the frame and intensities that the network sees."""

import imageio.v3 as iio
import numpy as np
import pytest
import SimpleITK as sitk
import tifffile
from conftest import made_radiograph
from PIL import Image, ImageOps
from scipy.ndimage import rotate

from radiographs.network_frame import hand_outline, intensity_profile, outline_is_plausible, resize_to, to_8_bit
from radiographs.reading import read_radiograph

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


@pytest.mark.parametrize("name", ["a.mha", "a.mhd", "a.nii.gz", "a.nrrd"])
def test_an_ending_may_be_in_capitals(tmp_path, name):
    sitk.WriteImage(sitk.GetImageFromArray(GREY), str(tmp_path / name))
    (tmp_path / name).rename(tmp_path / name.upper())
    assert (read_radiograph(tmp_path / name.upper()).pixels == GREY).all()


@pytest.mark.parametrize("name", ["a.mha", "a.nii.gz"])
@pytest.mark.parametrize("across", [0, 1, 2])
def test_a_picture_may_lie_across_any_axis_of_a_volume(tmp_path, name, across):
    """As a film from the side lies across x; its pixels are not as wide as the volume is thick."""
    image = sitk.GetImageFromArray(np.expand_dims(GREY, 2 - across))
    spacing = [0.14, 0.16]
    spacing.insert(across, 3.0)
    image.SetSpacing(spacing)
    sitk.WriteImage(image, str(tmp_path / name))
    radiograph = read_radiograph(tmp_path / name)
    assert (radiograph.pixels == GREY).all() and radiograph.spacing_mm == pytest.approx((0.14, 0.16))
    steps = [np.eye(3)[axis] * spacing[axis] for axis in range(3) if axis != across]
    assert np.array(radiograph.steps_mm) == pytest.approx(np.array(steps))


def test_deep_tiff_files_whose_white_is_0_or_whose_colours_lie_apart(tmp_path):
    deep = GREY.astype(np.uint16) * 257
    tifffile.imwrite(tmp_path / "white.tif", deep.max() - deep, photometric="miniswhite")
    tifffile.imwrite(tmp_path / "apart.tif", np.stack([deep] * 3), photometric="rgb", planarconfig="separate")
    for name in ("white.tif", "apart.tif"):
        darkest = float(GREY.min()) if name == "white.tif" else 0
        assert read_radiograph(tmp_path / name).pixels / 257 == pytest.approx(GREY - darkest, abs=0.01), name


@pytest.mark.parametrize("name", ["a.jpg", "a.tif"])
def test_dots_per_inch_place_landmarks_as_itk_has_them(tmp_path, name):
    """96 and 48 dots per inch are 0.265 and 0.529 mm, which are not the patient's."""
    Image.fromarray(GREY).save(tmp_path / name, dpi=(96, 48))
    radiograph = read_radiograph(tmp_path / name)
    assert radiograph.spacing_mm is None
    assert radiograph.steps_mm == (pytest.approx((25.4 / 96, 0, 0)), pytest.approx((0, 25.4 / 48, 0)))


@pytest.mark.parametrize("turned", range(1, 9))
def test_turned_pictures_stand_upright_and_keep_their_places(tmp_path, turned):
    """A dot in a JPEG and in TIFFs of 8 and 16 bits of every orientation; 3D Slicer, which turns nothing, has it as stored."""
    stored = np.zeros((40, 30), np.uint8)
    stored[8:11, 20:23] = 200
    exif = Image.Exif()
    exif[274] = turned
    Image.fromarray(stored).save(tmp_path / "a.jpg", exif=exif, dpi=(127, 254), quality=95)  # 0.2 x 0.1 mm
    tifffile.imwrite(tmp_path / "a.tif", stored.astype(np.uint16) * 257, extratags=[(274, "H", 1, turned, True)])
    Image.fromarray(stored).save(tmp_path / "b.tif", exif=exif)  # Pillow maps its pixels, with the sides exchanged already
    upright = np.asarray(ImageOps.exif_transpose(Image.open(tmp_path / "a.jpg"))).astype(float)
    y, x = (round(float(at.mean())) for at in np.nonzero(upright > 150))
    for name, place_mm in (("a.jpg", (21 * 0.2, 9 * 0.1, 0)), ("a.tif", (21, 9, 0)), ("b.tif", (21, 9, 0))):
        radiograph = read_radiograph(tmp_path / name)
        assert radiograph.pixels.shape == upright.shape and radiograph.pixels[y, x] > 150
        at = np.array(radiograph.origin_mm) + (x, y) @ np.array(radiograph.steps_mm)
        assert at == pytest.approx(place_mm, abs=1e-6), name


def test_colour_alpha_and_16_bit_are_the_same_radiograph(tmp_path):
    colour = np.repeat(GREY[..., None], 3, 2)
    alpha = np.concatenate([colour, np.full_like(GREY, 255)[..., None]], 2)
    for name, pixels, factor in (("c.png", colour, 1), ("a.png", alpha, 1), ("d.png", GREY.astype(np.uint16) * 257, 257)):
        iio.imwrite(tmp_path / name, pixels)
        assert read_radiograph(tmp_path / name).pixels / factor == pytest.approx(GREY, abs=0.01)


def test_the_first_of_a_telephones_pictures_is_read(tmp_path):
    """A file of several pictures that calls itself a JPEG; the others are smaller ones of the same."""
    Image.fromarray(GREY).save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=[Image.fromarray(GREY[::2, ::2])])
    assert np.abs(read_radiograph(tmp_path / "a.jpg").pixels - GREY).mean() < 6  # what the format changes of noise


def test_signed_pixels_of_8_bits_do_not_wrap(tmp_path):
    ramp = np.tile(np.arange(-100, 100, dtype=np.int8), (20, 1))
    tifffile.imwrite(tmp_path / "signed.tif", ramp)
    pixels = read_radiograph(tmp_path / "signed.tif").pixels
    assert (pixels - pixels.min() == ramp + 100.0).all()


def test_resizing_averages_and_keeps_positions():
    """Four pixels become their mean; a ramp stays a ramp; a smaller picture is interpolated."""
    checks = np.indices((64, 128)).sum(0) % 2
    assert (resize_to(checks.astype(np.float32), (32, 32)) == 0.5).all()
    ramp = np.tile(np.arange(100, dtype=np.float32), (80, 1))
    x = np.arange(40)
    assert resize_to(ramp, (40, 40))[7] == pytest.approx((x + 0.5) * 100 / 40 - 0.5, abs=0.06)
    assert resize_to(ramp, (160, 160))[7, 20:140] == pytest.approx(((np.arange(160) + 0.5) * 100 / 160 - 0.5)[20:140], abs=0.05)


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
    picture[10:16, 10:20] = 0  # a full square would be a plate
    picture[18:20, 18:20] = 0
    picture[1:4, 1:4] = 100
    outline = hand_outline(picture)
    assert outline.sum() == 340 and outline[19, 19] and not outline[2, 2]


def hand_16_bit() -> np.ndarray:
    """Five fingers, a palm and a forearm that the picture's edge cuts, up to some 3,000 on a background around 500."""
    y, x = np.mgrid[:256, :256]
    hand = ((x - 128) / 55) ** 2 + ((y - 160) / 50) ** 2 < 1
    hand |= (abs(x - 128) < 32) & (y > 160)
    for column, top in ((60, 130), (95, 60), (125, 40), (155, 55), (180, 90)):
        hand |= (abs(x - column) < 11) & (y > top) & (y < 165)
    return (np.where(hand, 2200, 500) + np.random.default_rng(0).normal(0, 250, hand.shape)).clip(0).astype(np.float32)


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    return (one & other).sum() / (one | other).sum()


@pytest.mark.parametrize("pixels", [6, 20])
@pytest.mark.parametrize("value", [8_000, 65_535])
@pytest.mark.parametrize("corner", [(4, 4), (150, 120)])
def test_a_lead_letter_does_not_capture_the_outline(pixels, value, corner):
    """6 x 6 px are 0.05 % of the picture; beside the hand and on it."""
    picture = hand_16_bit()
    plain = hand_outline(picture)
    row, column = corner
    picture[row : row + pixels, column : column + pixels] = value
    assert overlap(hand_outline(picture), plain) > 0.95
    reference = intensity_profile(hand_16_bit())
    matched, without = to_8_bit(picture, reference), to_8_bit(hand_16_bit(), reference)
    beside = picture == hand_16_bit()
    assert np.abs(matched.astype(int) - without)[beside].mean() < 2


def plate(degrees: float, value: float) -> np.ndarray:
    """A plate of lead over a tenth of the picture."""
    drawn = np.zeros((256, 256))
    drawn[20:90, 20:110] = 1
    return np.where(rotate(drawn, degrees, reshape=False, order=1) > 0.5, value, hand_16_bit()).astype(np.float32)


def framed(width: int, value: float, picture: np.ndarray) -> np.ndarray:
    inner = picture[width:-width, width:-width]
    return np.pad(inner, width, constant_values=value)


@pytest.mark.parametrize(
    "picture",
    [
        plate(0, 65_535),
        plate(20, 8_000),
        framed(4, 4_000, hand_16_bit()),
        framed(20, 65_535, hand_16_bit()),
        framed(20, 0, hand_16_bit() + 3_000),
        np.pad(hand_16_bit()[12:, 12:-12], ((12, 0), (12, 12)), constant_values=65_535),
    ],
    ids=["plate", "tilted plate", "white border", "wide white border", "dark collimation", "border on three sides"],
)
def test_where_the_outline_can_be_no_hand_all_of_the_picture_counts(picture):
    outline = hand_outline(picture)
    assert outline.all() and not outline_is_plausible(outline)
    reference = intensity_profile(hand_16_bit())
    assert (to_8_bit(picture, reference, outline) == to_8_bit(picture, reference)).all()


def test_a_hand_is_plausible_and_so_is_a_limb_that_fills_the_height():
    assert outline_is_plausible(hand_outline(hand_16_bit()))
    limb = hand_16_bit() * 0 + 500
    limb[:, 80:170] = 2_000
    assert outline_is_plausible(hand_outline(limb))
    small = np.pad(hand_16_bit()[::3, ::3], 85, constant_values=500)  # a ninth of the picture
    assert hand_outline(small).mean() == pytest.approx(hand_outline(hand_16_bit()).mean() / 9, rel=0.2)


def test_equal_quantiles_get_the_middle_of_their_targets():
    """Two fifths of the hand are saturated: they take the middle of the reference's upper two fifths, not its lowest value."""
    picture = np.linspace(0, 250, 10_000, dtype=np.float32).reshape(100, 100)
    picture[60:] = 255
    reference = np.arange(259.0)  # darkest, 257 quantiles, brightest: the quantile at q stands at 1 + 256 q
    matched = to_8_bit(picture, reference, np.ones(picture.shape, bool))
    lowest, highest = 1 + 256 * 0.6, 258
    assert matched[80, 50] == pytest.approx((lowest + highest) / 2 / 258 * 255, abs=1)
    assert matched[30, 0] == pytest.approx((1 + 256 * 0.3) / 258 * 255, abs=1)  # where nothing is equal, its own quantile's
