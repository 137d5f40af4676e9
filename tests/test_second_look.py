"""Each landmark once more in a crop: points and pixels stay together to a hundredth of a px, and it learns."""

import copy
import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import LANDMARKS, command, make_raw, preprocess, rows_of, train

import evaluation
import export
import predict
from augment import Augment
from dataloader import RadiographDataset
from evaluation import target_px2
from heatmap import decode_heatmaps, draw_heatmaps
from main import read_settings
from metrics import point_errors
from model import SCN
from prediction import predictor as predictor_module
from prediction.predictor import Predictor
from radiographs.detail import to_detail, to_grey
from radiographs.reading import read_radiograph
from radiographs.view import View
from runtime.checkpoint import read_checkpoint
from runtime.files import DataError
from second_look.crops import cut, of_crops, to_crops
from second_look.network import SecondLook, locate, refine, refine_all
from second_look.training import Crops, Training
from solver import Solver
from training import first_look, recipe

RANGES = Augment(rotation=10, scaling=0.1, intensity_scale=0.2, intensity_shift=0.2)
LOOK = ("--crop", 32, "--second_look", 3, "--stages", "64x2")


def dots(points: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """(1, height, width) with a dot at each of some points (N, 2), far from each other."""
    return draw_heatmaps(points, height, width, 4.0).amax(0, keepdim=True)


@pytest.fixture(scope="module")
def detailed(tmp_path_factory):
    """Made radiographs of 90 x 120 px, prepared in a frame of 64 px and with pictures of 96 px; to read only."""
    folder = tmp_path_factory.mktemp("detailed")
    assert preprocess(make_raw(folder / "raw"), folder / "detailed", "--detail", 96).returncode == 0
    return folder / "detailed"


@pytest.fixture(scope="module")
def whole(detailed, tmp_path_factory):
    """An uninterrupted run, and what it said."""
    folder = tmp_path_factory.mktemp("whole")
    ran = train(detailed, folder, *LOOK)
    assert ran.returncode == 0, ran.stderr
    return folder, ran.stdout


def test_crops_and_points_stay_together():
    """Moved, turned and scaled: dots are found in their crops where the points say, and where they came from.

    Single ones are up to 0.04 px off, since a picture between pixels is interpolated; on average nothing is left of that.
    """
    generator = torch.Generator().manual_seed(0)
    points = torch.tensor([[90.3, 100.8]]).expand(60, 2)
    grey = dots(points[:1], 200, 180)
    centres = points + torch.randn(60, 2, generator=generator) * 4
    angle, zoom = 3 * torch.randn(60, generator=generator), 0.9 + 0.2 * torch.rand(60, generator=generator)
    turn = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], -1).reshape(-1, 2, 2) * zoom[:, None, None]
    found, _ = decode_heatmaps(cut(grey, centres, 64, turn)[:, 0])
    off = found - to_crops(points, centres, 64, turn)
    assert off.norm(dim=1).max() < 0.06 and off.mean(0).norm() < 0.01
    found, _ = decode_heatmaps(cut(grey, centres, 64)[:, 0])
    assert (of_crops(found, centres, 64) - points).norm(dim=1).max() < 0.02


def test_each_landmark_scales_and_shifts_the_features_of_its_crop():
    """As convolutions with other weights and biases would."""
    torch.manual_seed(0)
    look = SecondLook(num_landmarks=2, channels=6, levels=2).eval()
    for weight in (look.modulation, look.weight, *(level.first.bias for level in look.levels)):
        torch.nn.init.normal_(weight)
    crops = torch.randn(2, 1, 16, 16)
    for k in range(2):
        plain = copy.deepcopy(look)
        torch.nn.init.zeros_(plain.modulation)
        for level, (scale, shift) in zip(plain.levels, look.modulation[k]):
            level.first.weight.data *= (1 + scale)[:, None, None, None]
            level.first.bias.data.mul_(1 + scale).add_(shift)
        assert torch.allclose(look(crops)[k], plain(crops)[k], rtol=1e-4, atol=1e-4)


def test_it_starts_as_the_first_network():
    torch.manual_seed(0)
    first, look = SCN(num_landmarks=3, channels=8).eval(), SecondLook(num_landmarks=3, channels=8).eval()
    torch.nn.init.normal_(first.local_appearance.head.weight)
    look.start_from(first)
    crops = torch.randn(3, 1, 64, 64)
    local = first.local_appearance(crops)
    assert torch.allclose(look(crops), local[range(3), range(3)], atol=1e-3 * local.abs().max().item())


def test_a_second_look_that_knows_is_right(monkeypatch):
    """Heatmaps drawn at the true points of crops around wrong ones: decoded in the picture, with their width."""
    truth = torch.tensor([[40.3, 50.8], [140.6, 60.2]])
    found, size = truth + torch.tensor([[5.0, -3.0], [-4.0, 4.5]]), 64
    look = SecondLook(num_landmarks=2, channels=4, levels=2)
    drawn = draw_heatmaps(to_crops(truth, found, size, torch.eye(2)), size, size, 3.0)
    monkeypatch.setattr(look, "forward", lambda crops, _: drawn)
    points, covariances = refine(look, np.zeros((200, 180), np.uint8), found, size, "float32")
    assert (points - truth).norm(dim=1).max() < 0.02
    assert torch.allclose(covariances, 9.0 * torch.eye(2).expand(2, 2, 2), atol=0.3)


def test_a_landmark_lies_at_the_centroid_of_its_likely_peak():
    """Of three annotators in ten who chose 5 px further right, the highest pixel knows little; a peak far away counts nothing."""
    at = torch.tensor([[20.0, 24.0], [25.0, 24.0], [45.0, 3.0]])
    often, seldom, far = draw_heatmaps(at, 48, 48, 2.5)
    (point, empty), covariances = locate(torch.stack([0.7 * often + 0.3 * seldom + 2 * far, torch.zeros(48, 48)]))
    highest, _ = decode_heatmaps((0.7 * often + 0.3 * seldom)[None])
    mean, variance = 0.7 * 20 + 0.3 * 25, 2.5**2 + 0.7 * 0.3 * 5**2
    assert abs(point[0] - mean) < 0.5 < mean - highest[0, 0] and abs(point[1] - 24) < 0.01
    (along, tilt), (_, across) = covariances[0]
    assert abs(along - variance) < 1.5 and abs(across - 2.5**2) < 0.5 and abs(tilt) < 0.01
    assert torch.equal(empty, torch.tensor([23.5, 23.5]))


def test_a_few_crops_at_once_are_the_same(monkeypatch):
    torch.manual_seed(0)
    look = SecondLook(num_landmarks=5, channels=6, levels=2).eval()
    torch.nn.init.normal_(look.weight)
    torch.nn.init.normal_(look.modulation)
    detail, found = np.random.default_rng(0).integers(0, 255, (90, 80), np.uint8), torch.rand(5, 2) * 60 + 10
    together = refine(look, detail, found, 16, "float32")
    monkeypatch.setattr("second_look.network.CACHED", 2)
    assert all(torch.allclose(*both, atol=1e-4) for both in zip(together, refine(look, detail, found, 16, "float32")))


def test_preparation_keeps_the_radiograph_for_it(detailed):
    data = RadiographDataset(detailed, "train")
    assert data.detail == 96 and data.detail_picture(0).shape == (96, 72)
    for i in range(len(data)):  # the dots of made radiographs are where the points say
        crops = cut(to_grey(data.detail_picture(i)), torch.from_numpy(data.points_detail_px[i]).float(), 16)[:, 0]
        assert (decode_heatmaps((crops - crops.amin((1, 2), keepdim=True)) ** 2)[0] - 7.5).norm(dim=1).median() < 0.5
    assert {path.name for path in (detailed / "valid").iterdir()} == {
        f"b{n}{end}" for n in "12" for end in (".png", ".npz", ".detail.png")
    }


def test_a_damaged_picture_of_the_second_look_is_told_before_training(detailed, tmp_path):
    shutil.copytree(detailed, tmp_path / "data")
    (tmp_path / "data" / "train" / "a1.detail.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"a1\.detail\.png: cannot be read"):
        RadiographDataset(tmp_path / "data", "train")


@pytest.mark.slow
def test_it_learns(detailed):
    """From a first look that is some px off: after eighty steps it is not."""
    sets = {"train": RadiographDataset(detailed, "train")}
    settings = read_settings("--crop 32 --second_look 80 --channels 16 --levels 3".split())
    torch.manual_seed(0)
    first = SCN(num_landmarks=LANDMARKS, channels=16, levels=3)
    look = Training(settings, sets, first, "float32", 0, {})
    for epoch in range(1, 81):
        look.train_epoch(epoch, lambda i, n, epoch=epoch: 1 - (epoch - 1) / 80)
    valid = RadiographDataset(detailed, "valid")
    wrong = valid.points_network_px + np.random.default_rng(0).normal(0, 2.0, valid.points_network_px.shape)
    points, _ = refine_all(look.average, valid, wrong, 32, "float32")
    again = Training(settings, sets, first, "float32", 0, look.average.state_dict())  # as --init of weights that have one
    assert all(torch.equal(a, b) for a, b in zip(again.model.parameters(), look.average.parameters(), strict=True))
    before, after = (point_errors(found, valid.points_network_px).mean() for found in (wrong, points))
    assert before > 2 and after < 0.4
    with pytest.raises(DataError, match="crop: expected a multiple of 4 px, found 30"):
        Training(read_settings("--crop 30 --second_look 1 --levels 3".split()), sets, first, "float32", 0, {})


def test_a_radiograph_without_landmarks_teaches_nothing(detailed, monkeypatch):
    monkeypatch.setattr("second_look.training.CROPS", LANDMARKS)  # so that a step sees one radiograph
    data = RadiographDataset(detailed, "train")
    data.points_detail_px[1] = np.nan
    settings = read_settings("--crop 32 --second_look 1 --channels 4 --levels 3".split())
    look = Training(settings, {"train": data}, SCN(num_landmarks=LANDMARKS, channels=4, levels=3), "float32", 0, {})
    _, loss, errors = look.train_epoch(1, lambda i, n: 1.0)
    assert look.steps == len(data) and np.isfinite(loss) and len(errors) == (len(data) - 1) * LANDMARKS


def test_heatmap_and_distance_are_minimised(detailed):
    """Of a network that finds nothing, the energy of each target, 2.5² pi, and its distance from the middle."""
    data = RadiographDataset(detailed, "train")
    settings = read_settings("--crop 32 --second_look 1 --channels 4 --levels 3".split())
    first = SCN(num_landmarks=LANDMARKS, channels=4, levels=3)
    look = Training(settings, {"train": data.subset(np.arange(1), "train")}, first, "float32", 0, {})
    for weight in (look.model.weight, look.model.bias):
        torch.nn.init.zeros_(weight)
    _, loss, errors = look.train_epoch(1, lambda i, n: 1.0)
    assert loss == pytest.approx(2.5**2 * np.pi + errors.mean(), rel=0.01) and errors.min() > 0.5


@pytest.mark.slow
def test_it_is_kept_where_it_pays_and_tested(detailed, whole, tmp_path):
    run, said = whole
    rows, state, last = rows_of(run / "metrics.csv"), read_checkpoint(run / "best.pt"), read_checkpoint(run / "last.pt")
    assert [row["size"] for row in rows] == ["64"] * 2 + ["96"] * 3
    first, second = (min(float(row["valid_ipe_px"]) for row in part) for part in (rows[:2], rows[2:]))
    left_out = "" if second <= first else "; it is left out"
    assert f"second look: validation IPE {first:.3f} -> {second:.3f} px{left_out}\n" in said
    assert ("second_look" in state) == (second <= first)
    assert {"size": 32, "longer": 96, "sigma": 2.5}.items() <= last["second_look"].items()
    assert target_px2(last) == pytest.approx((2.5 * 64 / 96) ** 2) and target_px2({"data": {"sigma": 2.0}}) == 4
    assert preprocess(detailed.parent / "raw", tmp_path / "without").returncode == 0
    measured, refused = (
        command("main.py", "--mode", "test", "--data", data, "--checkpoint", run / "last.pt", "--result", tmp_path / data.name)
        for data in (detailed, tmp_path / "without")
    )
    assert measured.returncode == 0, measured.stderr
    assert json.loads((tmp_path / "detailed" / "test.json").read_text())["first_look_ipe_px"] > 0
    assert refused.returncode == 1 and "prepare it again with --detail 96" in refused.stderr


@pytest.mark.slow
def test_a_training_by_validation_goes_on_and_ends_as_an_uninterrupted_one(detailed, tmp_path, monkeypatch):
    """Rounds of an epoch; killed after every epoch, in stages, falls and the second look."""
    monkeypatch.setattr("solver.SHOWN_A_ROUND", 1)
    monkeypatch.setattr("solver.STEPS_A_ROUND", 1)
    monkeypatch.setattr("training.plan.MOST", 3)
    flags = ("--crop", 32, "--stages", "32 64", "--shape_tree", "auto")
    assert train(detailed, tmp_path / "whole", *flags).returncode == 0
    rows = rows_of(tmp_path / "whole" / "metrics.csv")
    assert [row["look"] for row in rows] == sorted(row["look"] for row in rows) and {row["look"] for row in rows} == {"1", "2"}
    assert {float(row["fall"]) for row in rows} > {0, 1}
    keep = Solver.keep

    def keep_and_die(solver):
        keep(solver)
        raise KeyboardInterrupt

    folder = tmp_path / "killed"
    with monkeypatch.context() as patch:
        patch.setattr(Solver, "keep", keep_and_die)
        for n in range(len(rows)):
            assert train(detailed, folder, *flags, *(["--resume"] if n else [])).returncode == 130
    assert train(detailed, folder, *flags, "--resume").returncode == 0
    whole, again = (read_checkpoint(path / "best.pt")["weights"] for path in (tmp_path / "whole", folder))
    assert all(torch.equal(whole[name], again[name]) for name in whole)
    assert (folder / "test.json").read_text() == (tmp_path / "whole" / "test.json").read_text()
    assert [row | {"seconds": ""} for row in rows_of(folder / "metrics.csv")] == [row | {"seconds": ""} for row in rows]


def test_crops_are_changed_within_the_ranges_of_the_settings(detailed):
    """Turned crops show their landmarks as far from the middle as others; shifts of intensities differ by crop alone."""
    data = RadiographDataset(detailed, "train")
    plain = Crops(data, 32, 0, Augment())[1, 0]
    turned, brighter = (Crops(data, 32, 0, ranges)[1, 0] for ranges in (Augment(rotation=90), Augment(intensity_shift=0.5)))
    middle = torch.tensor([15.5, 15.5])
    assert torch.allclose((plain["points"] - middle).norm(dim=1), (turned["points"] - middle).norm(dim=1), atol=1e-4)
    assert (plain["points"] - turned["points"]).norm(dim=1).median() > 1
    assert torch.equal(plain["points"], brighter["points"])
    shifts = (brighter["crops"] - plain["crops"]).flatten(1)
    assert (shifts.std(1) < 1e-5).all() and 0.1 < shifts.abs().max() <= 0.5 and shifts.mean(1).std() > 0.05


def test_other_equipment_changes_greys_and_no_point(detailed):
    data = RadiographDataset(detailed, "train")
    plain, other = (Crops(data, 32, 0, Augment(processing=share))[1, 0] for share in (0.0, 1.0))
    assert torch.equal(plain["points"], other["points"]) and torch.equal(plain["landmarks"], other["landmarks"])
    assert (plain["crops"] - other["crops"]).abs().mean() > 0.01


def test_mirrored_crops_show_the_landmark_that_takes_the_place():
    """A dark dot, landmark 0, and a bright one: about half of the crops are of their mirror images, where 0 is the bright one."""
    places = torch.tensor([[30.0, 40.0], [90.0, 55.0]])
    dark, bright = (draw_heatmaps(place[None], 100, 140, 3.0) for place in places)
    data = SimpleNamespace(
        detail_picture=lambda i: to_detail((bright - dark)[0].numpy() * 50 + np.linspace(-50, 50, 140)),
        points_detail_px=places[None].double().numpy(),
    )
    crops = Crops(data, 32, 0, RANGES, mirror=np.array([1, 0]))
    brighter = []
    for epoch in range(40):
        item = crops[epoch, 0]
        at = item["points"].round().long()
        greys = item["crops"][torch.arange(2), 0, at[:, 1], at[:, 0]] - item["crops"].flatten(1).median(1).values
        assert greys.abs().min() > 0.3 and greys.prod() < 0
        brighter.append(int(greys.argmax()))
    assert 10 <= sum(brighter) <= 30


@pytest.mark.slow
def test_it_is_measured_in_the_precision_that_its_convolutions_are_right_in(detailed, tmp_path, monkeypatch):
    monkeypatch.setattr("second_look.training.settle", lambda *_: "float32")
    asked = []
    monkeypatch.setattr("solver.refine_all", lambda *given: asked.append(given[-1]) or refine_all(*given))
    ran = train(detailed, tmp_path / "run", *LOOK[:2], "--second_look", 1, "--stages", "64x1", "--precision", "bfloat16")
    assert ran.returncode == 0 and asked == ["float32"], ran.stderr
    assert json.loads((tmp_path / "run" / "test.json").read_text())["precision"] == "float32"


def test_switched_off_it_changes_nothing(detailed, prepared, tmp_path):
    assert train(detailed, tmp_path / "off", *LOOK, "--second_look", 0).returncode == 0
    ran = train(prepared, tmp_path / "without", *LOOK)
    assert ran.returncode == 1 and "second_look: expected data prepared with --detail, found" in ran.stderr
    assert train(prepared, tmp_path / "without", *LOOK, "--second_look", 0).returncode == 0
    for name in ("test_landmarks.csv", "test_by_landmark.csv"):
        assert (tmp_path / "off" / name).read_bytes() == (tmp_path / "without" / name).read_bytes()


@pytest.mark.slow
def test_onnx_files_of_both_networks_predict_the_same(detailed, whole, exported_once, tmp_path):
    """With the last epoch's second look, whether it pays or not; also in whole numbers of 8 bits, though not as exactly."""
    pytest.importorskip("onnxruntime")
    weights, raw = tmp_path / "two.pt", detailed.parent / "raw"
    export.export(whole[0] / "last.pt", detailed, weights, seed=0, steps=0)
    assert predict.main(["--weights", str(weights), "--export", str(tmp_path / "scn.onnx")]) == 0
    assert predict.main(["--weights", str(weights), "--export", str(tmp_path / "int8.onnx"), "--int8", str(detailed)]) == 0
    assert {path.name for path in tmp_path.glob("*.onnx")} >= {"scn_second_look.onnx", "int8_second_look.onnx"}
    picture = read_radiograph(next((raw / "test").iterdir())).pixels
    by_torch = Predictor(weights, "cpu", precision="float32")
    alone = copy.copy(by_torch)
    alone.second = None
    first = alone(picture)[0]
    expected, *_ = by_torch(picture)
    assert np.linalg.norm(first - expected, axis=1).max() > 0.1
    for name, within in (("scn", 0.01), ("int8", 4.0)):  # hardly trained, its peaks are flat
        found, *_ = Predictor(weights, "cpu", engine=tmp_path / f"{name}.onnx")(picture)
        assert found == pytest.approx(expected, abs=within), name


@pytest.mark.parametrize("matrix", [np.eye(2) * 2, np.array([[0.0, -3.0], [2.5, 0.0]]), np.array([[-1.8, 0.6], [0.6, 1.8]])])
def test_prediction_looks_through_the_view(matrix, monkeypatch):
    """A first look that is some px off, turned, mirrored, stretched: the second one finds the dots where they are."""
    truth = np.array([[60.0, 70.0], [110.0, 90.0], [80.0, 130.0]])
    picture = (40 + 200 * dots(torch.from_numpy(truth), 200, 180)[0].numpy()).astype(np.float32)
    predictor = object.__new__(Predictor)
    view = View(matrix, truth.mean(0) - matrix @ (31.5, 31.5), (64, 64))
    predictor.frame, predictor.precision, predictor.second_look = (64, 64), "float32", {"longer": 160, "size": 32}
    predictor.second = SecondLook(num_landmarks=3, channels=4, levels=2)
    monkeypatch.setattr(SecondLook, "forward", lambda self, crops, _: crops[:, 0].clamp_min(-1) + 1)
    monkeypatch.setattr(predictor_module, "to_detail", lambda shown: shown.clip(0, 255).astype(np.uint8))
    found = view.of_picture(truth) + np.array([1.0, -0.8])
    candidate = predictor_module.Candidate(0, view, None, points_view_px=found)
    candidate.found = predictor_module.Found  # anything: the view is not the whole picture
    predictor.refine_candidate(picture, candidate)
    assert np.linalg.norm(candidate.points_px - truth, axis=1).max() < 0.3  # of radiograph px, up to 3 a px of the view
    assert np.isfinite(candidate.covariances_view_px2).all()


class Own(torch.nn.Module):
    """A network with batch normalisation in the SCN's place, as somebody may write one."""

    multiple, spatial_factor = 4, 8

    def __init__(self, num_landmarks: int, **_):
        super().__init__()
        first, last = (torch.nn.Conv2d(*widths, 5, padding=2) for widths in ((1, 8), (8, num_landmarks)))
        self.body = torch.nn.Sequential(first, torch.nn.BatchNorm2d(8), torch.nn.ReLU(), last)

    def forward(self, image: torch.Tensor, spatial_factor: int | None = None) -> tuple[torch.Tensor, ...]:
        return (self.body(image),) * 3


def test_a_network_of_ones_own_goes_through_both_looks(detailed, tmp_path, monkeypatch):
    for module in (first_look, evaluation):
        monkeypatch.setattr(module, "SCN", Own)
    sets = {split: RadiographDataset(detailed, split) for split in ("train", "valid")}
    flags = "--stages 64x1 --second_look 1 --channels 4 --levels 3 --crop 16 --precision float32".split()
    solver = Solver(recipe.choose(read_settings(flags), sets["train"])[0], tmp_path, sets)
    solver.first_look.settle_precision([64])
    norm, average = solver.first_look.model.body[1], solver.first_look.average.body[1]
    assert norm.num_batches_tracked == 0  # the check of the arithmetic leaves no trace
    solver.train()
    assert [row["look"] for row in solver.history] == [1, 2] and average.num_batches_tracked == norm.num_batches_tracked > 0
    assert torch.equal(average.running_mean, norm.running_mean) and norm.running_mean.any()
