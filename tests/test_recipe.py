"""What "auto" chooses, and why it says so: frames, heatmaps, weights, stages, rates; and when a run will end."""

from types import SimpleNamespace

import numpy as np
import pytest

from joints.hand import MEAN_SHAPE
from main import read_settings
from radiographs.network_frame import at_size, frame_of, size_in_settings, suitable_frame
from runtime.files import DataError
from training.recipe import choose
from training.report import Forecast, format_duration
from training.schedule import fitting_sizes

HANDS = np.tile(MEAN_SHAPE * 100, (3, 1, 1))


def data(points_px=HANDS, frame: tuple[int, int] = (256, 256), sigma: float = 2.0, detail: int = 0, symmetric: bool = False):
    """What `choose` looks at of a data set."""
    frame_of_it = {"frame": frame, "size": max(frame), "sigma": sigma, "detail": detail}
    return SimpleNamespace(points_px=points_px, is_symmetric=lambda: symmetric, **frame_of_it)


OTHERS = np.random.default_rng(0).normal(size=(3, 19, 2))
AS_MANY = np.random.default_rng(0).normal(size=(3, 37, 2))  # as a hand has


@pytest.mark.parametrize(
    ("flags", "of", "init", "stages", "rate"),
    [
        ("", data(), "weights/scn_synthetic.pt", "128", 6e-4),  # the defaults of the hand
        ("--channels 8", data(), "", "128 256", 4e-4),  # at 64 px heatmaps of 2 px would be too narrow
        ("", data(OTHERS, sigma=3.0), "weights/scn_synthetic.pt", "64 128 256", 4e-4),
        ("", data(OTHERS, (384, 128), 3.0), "weights/scn_synthetic.pt", "96 192 384", 4e-4),
        ("", data(OTHERS, (128, 512), 3.0), "weights/scn_synthetic.pt", "128 256 512", 4e-4),
        ("--channels 8", data(OTHERS, sigma=3.0), "", "64 128 256", 4e-4),
        ("", data(AS_MANY, sigma=3.0), "", "64 128 256", 4e-4),  # the heatmaps would be taken over too
        ("--init=", data(OTHERS, sigma=3.0), "", "64 128 256", 4e-4),
        ("--init weights/scn_hand.pt", data(OTHERS, sigma=3.0), "weights/scn_hand.pt", "64 128 256", 4e-4),
        ("--init own.pt", data(OTHERS, sigma=3.0), "own.pt", "128", 6e-4),
        ("--stages 256x3 --learning_rate 0.1", data(OTHERS, sigma=3.0), "weights/scn_synthetic.pt", "256x3", 0.1),
    ],
)  # fmt: skip
def test_recipes(flags, of, init, stages, rate):
    settings, lines = choose(read_settings(flags.split()), of)
    assert (settings.init, settings.stages, settings.learning_rate) == (init, stages, rate)
    chosen = ["spatial_factor", "init", "learning_rate", "mirror", "second_look", "stages"]
    chosen = [name for name in chosen if f"--{name}" not in flags]
    assert [line.split()[1] for line in lines] == [f"--{name}" for name in chosen] and settings.auto == ",".join(chosen)


def test_symmetric_landmarks_are_shown_mirrored_too():
    for symmetric, flags, mirror in ((True, [], "on"), (False, [], "off"), (True, ["--mirror", "off"], "off")):
        assert choose(read_settings(flags), data(symmetric=symmetric))[0].mirror == mirror


@pytest.mark.parametrize(
    ("frames", "factor"), [("256x256 64x64 352x128 520x256 600x400", 8), ("512x128", 16), ("1024x1024 2048x32", 32)]
)
def test_the_spatial_grid_keeps_its_size(frames, factor):
    for frame in map(frame_of, frames.split()):
        settings, lines = choose(read_settings([]), data(OTHERS, frame, 3.0))
        assert max(frame) in fitting_sizes(frame, factor, 8)
        assert settings.spatial_factor == factor and f"{frame[0] // factor} x {frame[1] // factor} px" in lines[0]


def test_the_whole_frame_is_left_to_a_second_look_where_there_are_pictures_for_it():
    settings, lines = choose(read_settings([]), data())
    assert settings.second_look == 0 and lines[4].endswith("since the data were prepared without --detail")
    for flags, second_look, stages in (([], "auto", "64 128"), (["--second_look", "0"], 0, "64 128 256")):
        settings, _ = choose(read_settings(flags), data(OTHERS, sigma=3.0, detail=512))
        assert (settings.second_look, settings.stages) == (second_look, stages)


def test_without_weights_other_joints_start_from_random_ones(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings, lines = choose(read_settings([]), data(OTHERS, sigma=3.0))
    assert settings.init == "" and "weights/scn_synthetic.pt is not there" in lines[1]
    with pytest.raises(DataError, match=r"weights/scn_synthetic\.pt"):
        choose(read_settings([]), data())


def test_frames_by_form():
    for aspect in (2 / 3, 1, 1.25, 1.5):
        assert suitable_frame(aspect) == (256, 256)
    assert suitable_frame(70) == (2048, 32) and suitable_frame(1 / 70) == (32, 2048)
    assert suitable_frame(3) == (384, 128) and suitable_frame(1 / 3) == (128, 384)
    assert suitable_frame(2) == (320, 160) and suitable_frame(4) == (512, 128)
    for aspect in np.geomspace(1 / 12, 12, 60):
        height, width = suitable_frame(aspect)
        assert height * width <= 256**2 and height % 32 == width % 32 == 0
        assert 0.8 < height / width / aspect < 1.25 or 2 / 3 <= aspect <= 1.5
        quarter, half = (max(height, width) // part for part in (4, 2))
        assert {quarter, half} <= set(fitting_sizes((height, width), 8, 8))


def test_sizes_as_text():
    assert frame_of("512x256") == (512, 256) and frame_of(256) == frame_of("256") == (256, 256)
    assert size_in_settings((512, 256)) == "512x256" and size_in_settings((64, 64)) == 64
    assert at_size((512, 256), 128) == (128, 64) and at_size((128, 384), 192) == (64, 192)
    for wrong in ("250", "0", "256x", "256x100", "8x8x8", "-8", "left", "256x-8"):
        with pytest.raises(ValueError):
            frame_of(wrong)


def test_auto_is_a_number_too():
    settings = read_settings("--learning_rate auto --second_look auto --workers 2".split())
    assert (settings.learning_rate, settings.second_look, settings.workers) == ("auto", "auto", 2)


def test_the_end_is_said_once():
    """Ten steps of 2 s, 1 % of the run each: 87 % are left, and validation takes a third of the time of all steps."""
    seconds = iter([10.0, 30.0])
    forecast = Forecast(trained=30, validated=30, clock=lambda: next(seconds))
    said = [forecast.after_step((i + 1) / 100) for i in range(20)]
    assert [i for i, line in enumerate(said) if line] == [12]
    assert said[12].startswith("about 4 minutes to go, until about ")  # 87 x 2 s x 4 / 3 = 232 s
    seconds = iter([10.0, 30.0])
    forecast = Forecast(30, 30, most=100, clock=lambda: next(seconds))  # as --hours says
    assert next(line for i in range(20) if (line := forecast.after_step((i + 1) / 100))).startswith("about 2 minutes to go")
    assert [format_duration(s) for s in (5, 70, 7000, 9000)] == ["a minute", "a minute", "117 minutes", "2.5 hours"]
