"""The complete model as ONNX graphs: each step gives what predict.py computes, and all together its landmarks and flags."""

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import ROOT
from pydicom import uid
from scipy.ndimage import gaussian_filter, rotate
from skimage.measure import label
from test_dicom import made, saved

from finder.network import Finder, make_network
from finder.placement import Placement, place, without
from finder.template import Found, ShapeTemplate
from heatmap import draw_heatmaps, fit_peaks
from joints.tree import ShapeTree
from phantom.drawing import draw_hand
from portable import graphs, pictures
from portable.demo import export_demo
from portable.export import export_model, solved, translated
from prediction.background import bright_background, darken_background
from prediction.calibration import Calibration
from prediction.candidate import is_off, is_same, usual
from prediction.predictor import Predictor
from prediction.regions import Regions, conjugate, semi_axes
from radiographs import network_frame
from radiographs.reading import read_radiograph
from radiographs.view import View, coarseness, sample
from runtime import arrays
from runtime.files import DataError

EXACT = 0.05  # px of the radiograph


def tensors(*arrays):
    return [torch.from_numpy(np.asarray(array)) for array in arrays]


def blobs(seed: int, shape=(61, 74)) -> np.ndarray:
    return gaussian_filter(np.random.default_rng(seed).standard_normal(shape), 1.5).astype(np.float32)


FILM = """
import { readFile } from "node:fs/promises";
import { readFilm } from %s;
for (const path of process.argv.slice(1)) {
  const film = await readFilm(new Blob([await readFile(path)])).catch((error) => ({ error: error.message, pixels: [] }));
  console.log(JSON.stringify({ ...film, pixels: Array.from(film.pixels) }));
}
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="no node on the PATH")
def test_the_page_reads_dicom_as_predict_does(tmp_path):
    """Grey values as they are ordered and spaced between the darkest and the brightest; sizes of pixels."""
    ramp = np.arange(20 * 30).reshape(20, 30)
    at_detector = {"PixelSpacing": [0.3, 0.2], "ImagerPixelSpacing": [0.3, 0.2]}
    files = {
        "windowed": made(ramp, WindowCenter="300", WindowWidth="200", RescaleIntercept="-20", PixelSpacing=[0.3, 0.2]),
        "signed": made(ramp - 300, signed=True, PhotometricInterpretation="MONOCHROME1", ImagerPixelSpacing=[0.3, 0.2]),
        "small": made(ramp % 200, bits=8, syntax=uid.ImplicitVRLittleEndian, PixelSpacing=[1, 1]),
        "detector": made(ramp, PixelSpacing=[1, 1], ImagerPixelSpacing=[0.3, 0.2]),
        "magnified": made(ramp, ImagerPixelSpacing=[0.3, 0.2], EstimatedRadiographicMagnificationFactor="1.1"),
        "not calibrated": made(ramp, **at_detector, EstimatedRadiographicMagnificationFactor="1.1"),
        "calibrated": made(ramp, **at_detector, PixelSpacingCalibrationType="GEOMETRY"),
        "film": made(ramp, NominalScannedPixelSpacing=[0.3, 0.2]),
        "sigmoid": made(ramp, WindowCenter="300", WindowWidth="200", VOILUTFunction="SIGMOID"),
        "exact": made(ramp, WindowCenter="300", WindowWidth="200", VOILUTFunction="LINEAR_EXACT"),
        "inverse": made(ramp, PresentationLUTShape="INVERSE"),
        "padded": made(ramp, PixelPaddingValue=0, PixelPaddingRangeLimit=100),
        "padded, inverted": made(ramp - 300, signed=True, PhotometricInterpretation="MONOCHROME1", PixelPaddingValue=-300),
    }
    paths = [saved(dataset, tmp_path / f"{name}.dcm") for name, dataset in files.items()]
    paths.append(saved(made(np.tile(ramp, (2, 1)), NumberOfFrames=2, Rows=20), tmp_path / "frames.dcm"))
    paths.append(saved(made(ramp, PresentationIntentType="FOR PROCESSING"), tmp_path / "raw.dcm"))
    script = FILM % json.dumps((ROOT / "portable" / "page" / "film.js").as_uri())
    call = ["node", "--no-warnings", "--input-type=module", "-e", script, *map(str, paths)]
    *films, frames, raw = map(json.loads, subprocess.run(call, capture_output=True, text=True, check=True).stdout.splitlines())
    for path, film in zip(paths[:-2], films, strict=True):
        radiograph = read_radiograph(path)
        assert film["spacing"] == (radiograph.spacing_mm and list(radiograph.spacing_mm)), path.name
        ours, theirs = (
            np.interp(grey, (grey.min(), grey.max()), (0, 1)) for grey in (radiograph.pixels, np.array(film["pixels"]))
        )
        assert theirs.reshape(film["rows"], film["columns"]) == pytest.approx(ours, abs=1e-6), path.name
    assert "expected one grey DICOM picture" in frames["error"] and "found raw detector values" in raw["error"]


@pytest.mark.parametrize("diagonal", [True, False])
def test_components_are_those_of_skimage(diagonal):
    mask = blobs(0) > 0
    parts = pictures.components(torch.from_numpy(mask), diagonal).numpy()
    known = label(mask, connectivity=2 if diagonal else 1)
    pairs = np.unique(np.stack([parts.ravel(), known.ravel()]), axis=1)
    assert pairs.shape[1] == known.max() + 1 == len(np.unique(parts)) > 3


def test_components_by_hand():
    mask = torch.tensor([[1, 0, 1], [0, 1, 0], [0, 0, 0], [1, 1, 0]], dtype=torch.bool)
    assert pictures.components(mask, True).tolist() == [[5, 0, 5], [0, 5, 0], [0, 0, 0], [11, 11, 0]]
    assert pictures.joined_to_edge(torch.tensor([[0, 0, 0], [0, 1, 0], [0, 0, 0]], dtype=torch.bool), True).sum() == 0


@pytest.mark.parametrize("frame", [(24, 24), (90, 40), (64, 128), (200, 200)])
def test_a_picture_is_resized_as_preparation_does_it(frame):
    picture = blobs(1)
    found = pictures.resize_to(torch.from_numpy(picture), *(torch.arange(n).double() for n in frame)).numpy()
    np.testing.assert_allclose(found, network_frame.resize_to(picture, frame), atol=2e-5)


@pytest.mark.parametrize("scale", [0.6, 1.0, 2.7, 9.5])
@pytest.mark.parametrize("beyond", ["border", "median"])
def test_a_view_is_sampled_as_predict_does_it(scale, beyond):
    picture, (height, width) = blobs(2, (301, 233)), (20, 24)
    turn = scale * np.array([[np.cos(0.4), -np.sin(0.4)], [np.sin(0.4), np.cos(0.4)]])
    view = View(turn, np.array([30.2, 11.7]), (width, height))
    now, at = tensors(picture, np.column_stack([view.matrix, view.shift]))
    halvings, taps = pictures.plan(at)
    assert halvings == max(0, np.ceil(np.log2(coarseness(view) / 4)))
    fill = pictures.border_grey(now) if beyond == "median" else None
    for _ in range(halvings):
        now, at = pictures.halve(now, at)
    found = pictures.sample_filled(now, at, *(torch.arange(n).double() for n in (height, width, int(taps))), fill)
    np.testing.assert_allclose(found.numpy(), sample(picture, view, beyond), atol=1e-4)


def outlines() -> list[np.ndarray]:
    """A disc with a hole, a turned rectangle, one that the edge cuts, all, a border; on a grey that varies."""
    y, x = np.mgrid[:64, :80]
    disc = np.hypot(x - 40, y - 30)
    turned = (np.abs(x + y - 70) < 16) & (np.abs(x - y - 10) < 25)
    masks = [(disc < 20) & (disc > 5), turned, (y > 30) & (x > 20) & (x < 60), disc < 200, (x < 4) | (x > 70) | (y < 6)]
    return [np.where(mask, 100.0, 20.0).astype(np.float32) + 3 * blobs(3, (64, 80)) for mask in masks]


@pytest.mark.parametrize("number", range(5))
def test_outline_and_histogram_are_those_of_preparation(number):
    picture, reference = outlines()[number], np.linspace(0, 1, 259) ** 2 * 200
    outline = network_frame.hand_outline(picture)
    found, plausible = pictures.hand_outline(torch.from_numpy(picture))
    assert np.array_equal(found, outline)
    assert bool(plausible) == network_frame.outline_is_plausible(outline) == (number in (0, 2, 3))
    matched = pictures.to_8_bit(*tensors(picture, reference), found).numpy()
    assert np.abs(matched - network_frame.to_8_bit(picture, reference, outline)).max() <= 1
    mask = outlines()[number] > 60
    known = network_frame.rectangularity(mask)
    assert float(network_frame.rectangularity(torch.from_numpy(mask))) == pytest.approx(known, rel=1e-9)


def test_equal_quantiles_get_the_middle_of_their_targets():
    knots, targets = np.array([0.0, 1, 1, 1, 3]), np.array([0.0, 2, 4, 8, 10])
    x = np.array([0, 0.5, 1, 2, 3])
    np.testing.assert_allclose(pictures.interpolated(*tensors(x, knots, targets)), [0, 2.5, 5, 7.5, 10])


def test_a_bright_background_becomes_dark():
    picture = 50 + 10 * blobs(4, (40, 40))
    picture[:9], picture[20, 20] = 200, 200
    background = bright_background(picture)
    shown, some = pictures.as_seen(torch.from_numpy(picture), torch.tensor(False), torch.tensor(True))
    assert some
    np.testing.assert_allclose(shown, darken_background(picture, background), rtol=1e-6)


def made_template() -> ShapeTemplate:
    points = np.random.default_rng(5).uniform(0, 100, (1, 9, 2))
    return ShapeTemplate.of_landmarks(points, np.array([[0.1, 0.2], [0.15, 0.1]]), of_either=True)


@pytest.mark.parametrize("mirrored", [False, True])
def test_tensors_place_a_hand_as_arrays_do(mirrored):
    template, rng = made_template(), np.random.default_rng(6)
    known = Placement(30 * np.exp(0.7j), 50 + 60j, mirrored)
    points = np.stack([known.apply(template.shape) + rng.normal(0, 1, (9, 2)), *rng.uniform(0, 120, (2, 9, 2))], 1)
    heights = np.sort(rng.uniform(0.1, 1, (9, 3)))[:, ::-1].copy()
    finder, other = (Finder(one, make_network(9)) for one in (template, arrays.as_tensors(template)))
    best = place(template.shape, points, heights, template.reflections)
    found = place(*tensors(template.shape, points, heights), template.reflections)
    assert bool(found.mirrored) == best.mirrored == mirrored
    np.testing.assert_allclose(graphs.of_placement(found), graphs.of_placement(best), rtol=1e-9)
    left = without(best, template.shape, points, heights)
    np.testing.assert_allclose(without(found, *tensors(template.shape, points, heights)), left)
    settled, again = finder.settled(best, points, heights), other.settled(found, *tensors(points, heights))
    np.testing.assert_allclose(graphs.of_hand(again)[6:], settled.frame.ravel(), rtol=1e-9)
    confidence = rng.uniform(0, 1.1, 9)
    better = finder.by_landmarks(points[:, 0], confidence, settled)
    again = other.by_landmarks(*tensors(points[:, 0], confidence), again)
    np.testing.assert_allclose(graphs.of_hand(again)[:6], graphs.of_placement(better.placement), rtol=1e-9)
    np.testing.assert_allclose(again.frame, better.frame, rtol=1e-9)


@pytest.mark.parametrize("matrix", [np.diag([3.0, 4.0]), np.array([[3.0, 0.2], [-0.3, 4.0]]), np.array([[0.0, -4], [4, 0]])])
def test_tensors_aim_at_a_hand_as_arrays_do(matrix):
    """A view of about all of a picture, a turned one that is still usual, and one that is not."""
    view, whole = View(matrix, np.array([1.0, 2]), (64, 48)), View.whole((192, 192), (48, 64))
    same = graphs.view_of(torch.from_numpy(np.column_stack([matrix, view.shift])), view.extent)
    all_of = View.whole(torch.tensor([192.0, 192]).double(), (48, 64))
    np.testing.assert_allclose(graphs.of_view(all_of), np.column_stack([whole.matrix, whole.shift]))
    assert bool(usual(view, whole)) == bool(usual(same, all_of)) == (matrix[0, 0] > 0)
    assert is_same(same, same) and not is_same(same, all_of)
    found = Found(Placement(10 + 0j, 0j, False), np.zeros((2, 2)))
    assert bool(is_off(view, whole, found)) == bool(is_off(same, all_of, found))
    np.testing.assert_allclose(same.scale, np.sqrt(np.linalg.det(matrix)))


def test_tensors_become_regions_and_flags_as_arrays_do():
    rng = np.random.default_rng(7)
    roots = rng.normal(size=(9, 2, 2)) + 2 * np.eye(2)
    covariances, confidence = roots @ roots.swapaxes(1, 2), rng.uniform(0.05, 1, 9)
    covariances[0] = 4 * np.eye(2)  # without a direction of its own
    pairs = np.array([[i, j] for i in range(9) for j in range(i)])
    lengths = np.zeros(len(pairs)), np.full(len(pairs), 0.1)
    calibration = Calibration(Regions(covariances[::-1] / 3, 1.5), np.append(np.full(8, 0.4), np.inf), pairs, *lengths)
    points, matrix = rng.uniform(-3, 60, (9, 2)), np.array([[2.0, -0.3], [0.4, 1.7]])
    points[1:3], confidence[1:3] = [[20, 30], [40, 20]], 0.1  # late bones that are not seen
    same = arrays.as_tensors(calibration)
    expected = semi_axes(conjugate(matrix, calibration.regions.of(covariances, confidence)))
    found = semi_axes(conjugate(torch.from_numpy(matrix), same.regions.of(*tensors(covariances, confidence))))
    np.testing.assert_allclose(found[:2], expected[:2], rtol=1e-9)
    np.testing.assert_allclose(np.sin(np.radians(found[2].numpy() - expected[2])), 0, atol=1e-6)  # angles are in single precision
    signs, alien = calibration.signs(points, confidence, (60, 60), 256.0, (1, 2))
    given = same.signs(*tensors(points, confidence, np.array([60.0, 60])), torch.tensor(256.0), (1, 2))
    assert np.array_equal(given[0], signs) and bool(given[1]) == alien
    assert signs.any(0).all() and not signs.all(0).any() and signs[1:3, 1].all()


def test_equations_are_solved_by_elimination():
    root = np.random.default_rng(8).normal(size=(4, 6, 6))
    matrix, right = root @ root.swapaxes(1, 2) + np.eye(6), root[..., :1]
    np.testing.assert_allclose(solved(*tensors(matrix, right))[0], np.linalg.solve(matrix, right), rtol=1e-8)


def test_peaks_are_chosen_together_without_torch_too():
    """A ladder whose fourth rung is seen more surely in the place of the fifth; the frame has two px for one of the heatmaps."""
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    rungs = np.stack([np.full(8, 30.0), 6 + 7.0 * np.arange(8)], 1)
    rng = np.random.default_rng(0)
    tree = ShapeTree.of(2 * (rungs + rng.uniform(-4, 4, (60, 1, 2)) + rng.normal(0, 0.4, (60, 8, 2))))
    heatmaps = draw_heatmaps(torch.from_numpy(rungs), 72, 64, 1.5)
    heatmaps[3] = torch.maximum(0.6 * heatmaps[3], 0.9 * heatmaps[4])
    module = graphs.Calls(lambda heatmaps: fit_peaks(tree.only_chosen(heatmaps, 2.0)), None)
    graph = graphs.Graph(module, {"heatmaps": heatmaps[None]}, ("points", "heights", "covariances"), {})
    session = runtime.InferenceSession(translated(graph).SerializeToString(), providers=["CPUExecutionProvider"])
    found = session.run(None, {"in_heatmaps": heatmaps[None].numpy()})
    for ours, known in zip(found, module(heatmaps[None]), strict=True):
        np.testing.assert_allclose(ours, known, atol=1e-4)
    assert np.abs(found[0][0] - rungs).max() < 0.1 < 6 < (fit_peaks(heatmaps)[0][3] - torch.from_numpy(rungs[3])).norm()


# ---- the command


@pytest.fixture(scope="session")
def written(tmp_path_factory) -> Path:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    folder = tmp_path_factory.mktemp("portable") / "model"
    call = [
        sys.executable,
        "predict.py",
        "--weights",
        "weights/scn_hand.pt",
        "--export",
        folder,
    ]  # pytest would keep torch's logs
    ran = subprocess.run(call, cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return folder


def conditions() -> dict[str, np.ndarray]:
    """Synthetic radiographs as they are, turned, mirrored, inverted, small, on a white background, two in one, and none."""
    hand, other = (draw_hand(seed)[0].astype(np.float32) for seed in (11, 12))
    small = np.full((900, 1100), 12.0, np.float32)
    small[300:712, 500 : 500 + hand[::3, ::3].shape[1]][: hand[::3, ::3].shape[0]] = hand[::3, ::3][:412]
    rows = max(len(hand), len(other))
    return {
        "as it is": hand,
        "turned and mirrored": rotate(other[:, ::-1], 130, order=1, mode="nearest"),
        "inverted": 255 - hand,
        "small": small,
        "light box": np.pad(other, 120, constant_values=255),
        "two": np.hstack([np.pad(one, ((0, rows - len(one)), (40, 40)), mode="edge") for one in (hand, other[:, ::-1])]),
        "no hand": np.random.default_rng(0).uniform(0, 255, (300, 400)).astype(np.float32),
        "tiny": hand[::6, ::6],
    }


@pytest.mark.slow
@pytest.mark.skipif("EXPORTS" not in os.environ, reason="takes minutes: set EXPORTS=1")
def test_the_folder_predicts_as_predict_does_without_torch(written, tmp_path):
    """By its own command, in a process that cannot import torch or anything of this project."""
    predictor = Predictor(ROOT / "weights" / "scn_hand.pt", "cpu", precision="float32", check=False)
    for name, picture in conditions().items():
        np.save(tmp_path / "picture.npy", picture)
        alone = "import sys, runpy; sys.modules['torch'] = None; sys.argv = sys.argv[1:]"
        alone += "; runpy.run_path(sys.argv[0], run_name='__main__')"
        ran = subprocess.run(
            [sys.executable, "-c", alone, written / "landmarks.py", tmp_path / "picture.npy"],
            cwd=tmp_path, capture_output=True, text=True, check=True,
        )  # fmt: skip
        rows = list(csv.DictReader(io.StringIO(ran.stdout)))
        (hands,) = predictor.predict([picture])
        assert len(rows) == 37 * len(hands), name
        assert [row["flags"] for row in rows[::37]] == ["; ".join(hand.flags) for hand in hands], name
        if name == "no hand":  # whose landmarks the last digit decides
            continue
        assert [row["landmark_flags"] for row in rows] == [flag for hand in hands for flag in hand.landmark_flags], name
        assert [row["side"] for row in rows[::37]] == [hand.side for hand in hands], name
        found = np.array([[float(row["x"]), float(row["y"])] for row in rows])
        np.testing.assert_allclose(found, np.concatenate([hand.points_px for hand in hands]), atol=EXACT, err_msg=name)


def test_the_page_of_code_refuses_what_is_no_picture():
    pytest.importorskip("onnxruntime")
    from portable.landmarks import Model

    model, grey = Model.__new__(Model), np.arange(90.0).reshape(9, 10)
    for picture, words in (
        (np.stack([grey] * 3, -1), r"array of \(9, 10, 3\)"),
        (grey[:6], r"of 8 px or more, found an array of \(6, 10\)"),
        (0 * grey, "that differ, found 0 to 0"),
        (np.where(grey == 5, np.nan, grey), "expected finite grey values"),
    ):
        with pytest.raises(ValueError, match=words):
            model(picture)


def test_without_a_finder_the_whole_picture_is_of_the_kind_that_the_next_graph_takes():
    predictor = SimpleNamespace(finder=None, frame=(64, 48))
    *_, hand = graphs.opened(predictor, torch.zeros(30, 40))
    assert hand.tolist() == [0] * 10 and hand.dtype == torch.float64  # ONNX refuses another


@pytest.mark.parametrize("write", [export_model, export_demo])
def test_a_folder_that_is_there_is_refused(write, tmp_path):
    with pytest.raises(DataError, match="is there already"):
        write(None, tmp_path)
    assert not list(tmp_path.iterdir())
