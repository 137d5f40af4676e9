"""Every experiment in small, on made radiographs or a few synthetic ones: what it prints and writes, by value."""

import json
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
import torch
from conftest import LANDMARKS, ROOT, SMALL_RUN, SPLITS, make_raw, rows_of
from scipy.ndimage import center_of_mass, label

import export
import predict
from dataloader import RadiographDataset
from experiments import (
    atlas_folds,
    common,
    conditions,
    eleven_readers,
    few_radiographs,
    knee,
    prediction,
    results,
    stress,
)
from experiments.conditions import CONDITIONS
from experiments.non_hands import KINDS
from heatmap import draw_heatmaps
from joints.hand import NAMES
from phantom.data_set import write_data_set
from phantom.drawing import SHAPE
from phantom.shape import build, load
from prediction.held_out import HeldOut
from prediction.predictor import Predictor
from radiographs.raw_folder import read_points
from runtime.checkpoint import read_checkpoint
from runtime.files import DataError

SIZE = 64  # px of the network frame
TINY = ("--", *SMALL_RUN, "--stages", "32x1")  # flags of main.py: a small network, one short epoch
NETWORK = ("--channels", 8, "--levels", 3, "--spatial_kernel", 5, "--precision", "float32")  # the same, to be trained otherwise
HALF = 0.01  # px, by which half-precision weights may change an IPE


@dataclass
class Run:
    raw: Path
    data: Path  # the same, prepared
    result: Path  # of a training on it
    weights: Path  # of that, from export.py

    @property
    def ipe_px(self) -> float:
        return json.loads((self.result / "test.json").read_text())["ipe_px"]


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Run:
    """A network that has learnt the made radiographs; to read only."""
    folder = tmp_path_factory.mktemp("small")
    run = Run(make_raw(folder / "raw"), folder / "data", folder / "result", folder / "small.pt")
    common.prepare(run.raw, run.data, size=SIZE)
    common.train(run.data, run.result, *SMALL_RUN, "--stages", "32x10", "--learning_rate", "3e-3", "--warmup", "10")
    export.export(run.result / "best.pt", run.data, run.weights, seed=0, steps=2)
    return run


@pytest.fixture(scope="module")
def hands(tmp_path_factory) -> Path:
    """Four synthetic radiographs, prepared."""
    folder = tmp_path_factory.mktemp("hands")
    write_data_set(folder / "raw", {"train": 2, "valid": 1, "test": 1}, seed=5, workers=1)
    common.prepare(folder / "raw", folder / "data", size=SIZE)
    return folder / "data"


def run(module, *arguments: object) -> None:
    module.main([str(argument) for argument in arguments])


def tables(text: str) -> list[list[list[str]]]:
    """The cells of each Markdown table in a text, its header first."""
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")]
    starts = [number - 1 for number, row in enumerate(cells) if set(row) == {"---"}]
    return [[cells[start], *cells[start + 2 : end]] for start, end in zip(starts, [*starts[1:], None])]


MODULES = sorted(path for folder in ("experiments", "benchmarks") for path in (ROOT / folder).glob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_commands_say_how_they_are_called_and_nothing_changes_the_search_path(path):
    text = path.read_text()
    assert not re.search(r"sys\.path|noqa", text)
    if "__main__" in text:
        assert f"\npython -m {path.parent.name}.{path.stem}" in text.split('"""')[1].replace("    ", "")


def test_tables():
    assert common.table(["a", "b"], [["x", 1.23456], [7, 0.0]]) == "| a | b |\n| --- | --- |\n| x | 1.23 |\n| 7 | 0 |"


def test_a_mistake_of_main_ends_the_experiment(tmp_path, capsys):
    with pytest.raises(SystemExit, match="1"):
        common.train(tmp_path / "nowhere", tmp_path / "result", *SMALL_RUN)
    assert str(tmp_path / "nowhere") in capsys.readouterr().err


def test_errors_out_of_fold_are_those_of_the_network_of_each_radiographs_own_fold(small, tmp_path, capsys):
    common.train(small.data, tmp_path / "run", "--folds", 3, *SMALL_RUN, "--stages", "32x3")
    export.export(tmp_path / "run" / "best.pt", small.data, tmp_path / "weights.pt", seed=0, steps=0)
    capsys.readouterr()
    run(prediction, "--run", tmp_path / "run", "--weights", tmp_path / "weights.pt")
    printed = capsys.readouterr().out
    rows = rows_of(tmp_path / "run" / "out_of_fold_landmarks.csv")
    errors = np.array([float(row["error_px"]) for row in rows])
    said = float(re.search(r"6 radiographs: IPE ([\d.]+) ±", printed)[1])
    assert said == pytest.approx(errors.mean(), rel=0.02)  # a picture for the network is made of the kept one
    ((_, row),) = tables(printed)
    assert 0 <= float(row[1]) <= float(row[0]) <= 100 and 0 <= float(row[2]) and 0 < float(row[3])


def test_regions_are_calibrated_on_the_other_folds():
    """Where one fold's errors are ten times the others', hardly any of them lies within; of the others all do."""
    rng, fold_of = np.random.default_rng(0), np.repeat([1, 2, 3], 40)
    residuals = rng.normal(size=(120, 2, 2)) * np.where(fold_of == 3, 10, 1)[:, None, None]
    round_ones = np.tile(4 * np.eye(2), (120, 2, 1, 1))
    nothing = np.zeros(120, bool)
    found = HeldOut(residuals, round_ones, np.ones((120, 2)), np.ones(120), nothing, nothing, ~nothing, ~nothing)
    distance = common.mahalanobis(residuals, prediction.out_of_fold_regions(found, fold_of, 4.0))
    assert (distance[fold_of == 3] <= 1).mean() < 0.2 and (distance[fold_of < 3] <= 1).all()


def test_results(small, tmp_path, capsys):
    other, figure = tmp_path / "other", tmp_path / "errors.png"
    other.mkdir()
    rows = (small.result / "test_landmarks.csv").read_text().splitlines()
    header = rows[0].split(",")
    cells = [row.split(",") for row in rows[1:]]
    for row in cells:  # a second run whose errors are twice as large
        row[header.index("error_px")] = str(2 * float(row[header.index("error_px")]))
    (other / "test_landmarks.csv").write_text("\n".join(",".join(row) for row in [header, *cells]))
    run(results, small.result, other, "--figure", figure, "--resamples", 200)
    printed = capsys.readouterr().out
    assert printed.startswith(f"2 radiographs, {2 * LANDMARKS} landmarks\n")
    of_one, of_both, of_landmarks = tables(printed)
    figures = json.loads((small.result / "test.json").read_text())
    assert of_one[1][:2] == ["IPE, px", f"{small.ipe_px:.3f}"] and of_one[2][1] == f"{figures['median_px']:.3f}"
    low, high = map(float, of_one[1][2].split(" to "))
    assert small.ipe_px - figures["ipe_px_sd"] <= low + 1e-3 < high <= small.ipe_px + figures["ipe_px_sd"] + 1e-3
    ipe = np.array([1, 2]) * small.ipe_px
    assert of_both[1] == ["IPE, px", *(f"{value:.3f}" for value in ipe), f"{ipe.mean():.3f} ± {np.std(ipe, ddof=1):.3f}"]
    by_landmark = {row["landmark"]: float(row["mean_px"]) for row in rows_of(small.result / "test_by_landmark.csv")}
    assert [row[0] for row in of_landmarks[1:]] == sorted(by_landmark, key=by_landmark.get, reverse=True)
    assert float(of_landmarks[1][2]) == pytest.approx(max(by_landmark.values()), abs=6e-3)
    assert re.search(r"^worst radiographs: c\d \(IPE [\d.]+\), c\d \(IPE", printed, re.MULTILINE)
    assert figure.read_bytes().startswith(b"\x89PNG") and iio.imread(figure).std() > 5


def test_atlas_folds(hands, tmp_path, capsys):
    """Two folds, the second of which an earlier call has finished."""
    ids = [f"synthetic_{number:05d}" for number in (1, 2, 3, 4)]
    (tmp_path / "set1_train.txt").write_text("\n".join(ids[:2]))
    (tmp_path / "set1_test.txt").write_text("\n".join(ids[2:]))
    first, second = tmp_path / "folds" / "1", tmp_path / "folds" / "2"
    second.mkdir(parents=True)
    (second / "test.json").write_text("{}")
    (second / "test_landmarks.csv").write_text("image,error_px,error_mm\n" + "synthetic_00004,1,3\n" * len(NAMES))
    arguments = ("--data", hands, "--lists", tmp_path, "--folds", 2, "--work", tmp_path / "folds", "--size", SIZE)
    run(atlas_folds, *arguments, *TINY)
    ((_, row),) = tables(capsys.readouterr().out)
    rows = rows_of(first / "test_landmarks.csv")
    assert [row["image"] for row in rows[:: len(NAMES)]] == ids[2:]
    mm = np.array([*(float(row["error_mm"]) for row in rows), *[3.0] * len(NAMES)])
    assert row[:3] == ["3", f"{mm.mean():.2f} ± {mm.std():.2f}", f"{np.median(mm):.2f}"]
    assert row[3:5] == [f"{100 * np.mean(mm <= 2):.2f}", str((mm > 2).sum())]
    with pytest.raises(SystemExit, match="2"):
        run(atlas_folds, *arguments)  # from weights that may know the annotations


def test_few_radiographs(hands, tmp_path, capsys):
    """A network of one of the two training radiographs, beside one that an earlier call has trained."""
    by_count = tmp_path / "few" / "1"
    (by_count / "1").mkdir(parents=True)
    kept = {"ipe_px": 1.5, "pe_mm": 2.0, "median_mm": 1.0, "sdr_mm": {"2": 50.0}}
    (by_count / "1" / "test.json").write_text(json.dumps(kept))
    arguments = (tmp_path / "few", "--data", hands, "--n", 1, "--draws", 2, "--flags", shlex.join(map(str, TINY[1:])))
    run(few_radiographs, *arguments, "--figure", tmp_path / "curve.png")
    tested = json.loads((by_count / "0" / "test.json").read_text())
    assert not (by_count / "1_train.txt").exists()  # the list of a network that is kept is left alone
    assert (by_count / "0_train.txt").read_text().split() == few_radiographs.draw(RadiographDataset(hands, "train").ids, 1, 0)
    ((_, row),) = tables(capsys.readouterr().out)
    mean, half = (tested["ipe_px"] + 1.5) / 2, abs(tested["ipe_px"] - 1.5) / 2
    assert row[:4] == [str(tmp_path / "few"), "1", "2", f"{mean:.3f} ± {half * 2**0.5:.3f}"]
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert few_radiographs.draw(["c", "a", "b", "d"], 2, 0) == few_radiographs.draw(["d", "c", "b", "a"], 2, 0)
    assert few_radiographs.draw([*"abcdefgh"], 2, 0) != few_radiographs.draw([*"abcdefgh"], 2, 1)
    (by_count / "0" / "last.pt").rename(by_count / "0" / "previous.pt")  # killed between two files
    (by_count / "0" / "test.json").unlink()
    run(few_radiographs, *arguments)
    assert json.loads((by_count / "0" / "test.json").read_text())["ipe_px"] == tested["ipe_px"]
    for counts in ((1, 3), (0,)):
        with pytest.raises(DataError, match="expected 1 to 2 of its training radiographs, found --n "):
            run(few_radiographs, tmp_path / "none", "--data", hands, "--n", *counts)
    assert not (tmp_path / "none").exists()
    with pytest.raises(DataError, match="expected 10 hands or more"):
        run(few_radiographs, tmp_path / "own", "--data", hands, "--n", 1, "--own_shapes")
    drawn = tmp_path / "own" / "1"
    assert list(read_points(drawn / "0_synthetic" / "all_coordinates.csv")) == (drawn / "0_train.txt").read_text().split()
    with pytest.raises(DataError, match="expected networks that --data has trained, found none"):
        run(few_radiographs, tmp_path)
    (by_count / "1" / "test.json").write_text(json.dumps(kept | {"pe_mm": None}))
    with pytest.raises(DataError, match="expected millimetres for the curve"):
        run(few_radiographs, tmp_path / "few", "--figure", tmp_path / "curve.png")
    assert tables(capsys.readouterr().out)[-1][1][4] == "-"


@pytest.mark.slow
def test_folds_of_the_atlas_know_nothing_of_their_test_annotations(hands, tmp_path, monkeypatch):
    """Each starts from weights whose synthetic radiographs come from a shape model without them."""
    ids = [f"synthetic_{number:05d}" for number in (1, 2, 3, 4)]
    for name, some in (("train", ids[:3]), ("test", ids[3:])):
        (tmp_path / f"set1_{name}.txt").write_text("\n".join(some))
    annotations, mean = tmp_path / "annotations.csv", load(SHAPE).mean
    shapes = 900 * (mean + np.random.default_rng(0).normal(0, 2e-3, (60, 37, 2)))
    shapes[3] *= (1.04, 1)  # the test radiograph's
    names = [*ids, *(f"other_{number}" for number in range(56))]
    annotations.write_text("".join(",".join([i, *map(str, shape.ravel())]) + "\n" for i, shape in zip(names, shapes)))
    monkeypatch.setattr(common, "COUNTS", {"train": 2, "valid": 1, "test": 1})
    work = ("--work", tmp_path / "folds", "--annotations", annotations, "--synthetic", 2, "--folds", 1, "--size", SIZE)
    run(atlas_folds, "--data", hands, "--lists", tmp_path, *work, "--", *NETWORK, "--stages", "32x1", "--learning_rate", "1e-12")
    expected, _ = build(np.delete(shapes, 3, 0))
    folder = tmp_path / "folds" / "synthetic_1"
    assert load(folder / "shape.npz").mean == pytest.approx(expected.mean, abs=1e-7)
    assert len(rows_of(folder / "processed" / "landmarks.csv")) == 4
    first, second = (read_checkpoint(path / "best.pt")["weights"] for path in (folder / "run", tmp_path / "folds" / "1"))
    assert all(torch.allclose(first[name], second[name], atol=1e-4) for name in first)


@pytest.mark.slow
def test_prediction(small, tmp_path, capsys):
    flags = ("--raw", small.raw, "--data", small.data, "--weights", small.weights)
    run(prediction, *flags, "--split", "test")
    printed = capsys.readouterr().out

    def number(pattern: str) -> float:
        return float(re.search(pattern, printed)[1])

    assert "flags on 2 hands: {" in printed
    assert predict.main([str(small.raw / "test"), "--weights", str(small.weights), "--out", str(tmp_path)]) == 0
    rows = rows_of(tmp_path / "landmarks.csv")
    names = "x", "y", "semi_major", "semi_minor", "angle"
    x, y, long, short, degrees = (np.array([float(row[name]) for row in rows]) for name in names)
    truth = rows_of(small.data / "landmarks.csv")[-len(SPLITS["test"]) :]
    true_x, true_y = (np.array([float(row[f"{axis}{i}"]) for row in truth for i in range(LANDMARKS)]) for axis in "xy")
    assert number(r"2 radiographs: IPE ([\d.]+) ±") == pytest.approx(
        np.hypot((x - true_x) * SIZE / 90, (y - true_y) * SIZE / 120).mean(), abs=1e-3
    )
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    along, across = cos * (true_x - x) + sin * (true_y - y), cos * (true_y - y) - sin * (true_x - x)
    covered = np.hypot(along / long, across / short) <= 1
    ((_, row),) = tables(printed)
    assert float(row[0]) == pytest.approx(100 * covered.mean(), abs=0.06) and row[2] == ""
    areas = np.pi * long * short * SIZE**2 / (90 * 120)
    assert [float(row[3]), float(row[4])] == pytest.approx([np.median(areas), areas.mean()], rel=0.01, abs=0.02)


def test_knees_are_what_preparation_reads(tmp_path, monkeypatch):
    monkeypatch.setattr(knee, "COUNTS", {"train": 2, "valid": 1, "test": 1})
    run(knee, "--out", tmp_path / "knee")
    common.prepare(tmp_path / "knee", tmp_path / "data", size=SIZE)
    rows = rows_of(tmp_path / "data" / "landmarks.csv")
    assert [row["split"] for row in rows] == ["train", "train", "valid", "test"]
    assert len(list((tmp_path / "data" / "readers").iterdir())) == 2
    with pytest.raises(DataError, match="is there already"):
        run(knee, "--out", tmp_path / "knee")


MOVES = re.compile("turned|%|mirrored|rows|collimation|light box")
MOVING = [name for name in CONDITIONS if MOVES.search(name) and "CLAHE" not in name]


DOTS = np.array([[40.3, 60.8], [90.5, 31.2], [100.0, 150.0], [60.2, 120.4]])


def dots() -> np.ndarray:
    return draw_heatmaps(torch.from_numpy(DOTS), 200, 160, 4.0).sum(0).numpy().astype(np.float32) * 255


def dots_at(picture: np.ndarray, points: np.ndarray) -> int:
    """How many dots lie at points (n, 2) of a picture, where all must that are not cut off."""
    grey = picture if np.median(picture) < 128 else 255 - picture
    rows, columns = np.mgrid[: grey.shape[0], : grey.shape[1]]
    checked = 0
    for x, y in points:
        if min(x, y) < 8 or x > grey.shape[1] - 9 or y > grey.shape[0] - 9:
            continue  # cut off, or nearly
        near = np.where((np.abs(columns - x) < 6) & (np.abs(rows - y) < 6), grey.clip(40) - 40, 0).astype(float) ** 2
        found = np.array([(near * columns).sum(), (near * rows).sum()]) / near.sum()
        assert found == pytest.approx((x, y), abs=0.4)
        checked += 1
    return checked


@pytest.mark.parametrize("name", MOVING)
def test_under_stress_landmarks_move_with_their_picture(name):
    changed = CONDITIONS[name](dots(), np.random.default_rng(0))
    assert dots_at(changed.picture, changed.moved(DOTS)) >= 2
    assert changed.moved_back(changed.moved(DOTS)) == pytest.approx(DOTS)


@pytest.mark.parametrize("seed", [1, 4])
def test_on_a_film_of_two_landmarks_lie_where_one_hand_does_and_its_mirror_image_beside_it(monkeypatch, seed):
    monkeypatch.setattr(conditions, "FILM_ROWS", 200)  # as many as the dots have
    changed = conditions.film_of_two(dots(), np.random.default_rng(seed))
    places = changed.moved(DOTS)
    assert changed.hands == 2 and np.linalg.det(changed.matrix) > 0 and dots_at(changed.picture, places) >= 2
    bright, count = label(changed.picture > 120)
    spots = np.array(center_of_mass(bright, bright, range(1, count + 1)))[:, ::-1]
    others = spots[np.linalg.norm(spots[:, None] - places, axis=-1).min(1) > 3]
    assert len(others) >= 2 and (places[:, 0].max() < others[:, 0].min()) == (seed == 4)
    assert (others[:, 0].max() < places[:, 0].min()) == (seed == 1)


def error_px(small: Run, id: str, predictor: Predictor) -> np.ndarray:
    """Errors (L) of a validation radiograph, as it came."""
    points, _, _ = predictor(iio.imread(small.raw / "valid" / f"{id}.png"))
    truth = read_points(small.raw / "all_coordinates.csv")[id]
    return np.linalg.norm((points - truth) * (stress.FRAME / np.array([90, 120])), axis=1)


def test_stress(small, capsys):
    names = ("as it came", "mirrored", "inverted")
    run(stress, "--raw", small.raw, "--weights", small.weights, "--conditions", *names, "--non_hands", len(KINDS) + 1)
    printed = capsys.readouterr().out
    of_conditions, (_, *kinds, whole) = tables(printed)
    assert [row[:2] for row in kinds] == [[kind.__name__.replace("_", " "), "2" if kind is KINDS[0] else "1"] for kind in KINDS]
    assert whole == ["all", "6", str(sum(int(row[2]) for row in kinds)), "0"]  # five landmarks are no hand to be denied
    assert [row[0] for row in of_conditions[1:]] == [*names, "mean over conditions"]
    errors = np.array([error_px(small, id, Predictor(small.weights)) for id in SPLITS["valid"]])
    assert float(of_conditions[1][1]) == pytest.approx(errors.mean(), abs=6e-3)
    assert float(of_conditions[1][2]) == pytest.approx(100 * np.mean(errors > stress.FAR), abs=0.06)
    assert float(of_conditions[2][1]) > float(of_conditions[1][1])  # this network knows no sides
    assert "in 4 the side is right" in printed and "in 0 of 6 pictures too many hands are found, in 0 too few" in printed


def test_what_is_found_in_other_radiographs_is_the_truth_of_their_changed_copies(small, capsys):
    flags = ("--foreign", small.raw / "test", "--conditions", "as it came", "turned by 180 degrees")
    run(stress, "--weights", small.weights, *flags)
    ((_, same, turned, _),) = tables(capsys.readouterr().out)
    assert same[1] == "0.00" and float(turned[1]) > 5  # this network knows no way up


def test_what_stress_says_by_hand():
    """Four radiographs of two landmarks: right; right, but one doubtful; one cut off, and said so; one wrong, and not said."""
    errors = np.array([[1, 2], [1, 2], [1, np.nan], [1, 20.0]])
    flags, no = np.array([["", ""], ["", "doubtful"], ["", "outside the picture"], ["", ""]]), np.zeros(4, bool)
    result = stress.Result(errors, errors < 3, no, flags, np.array([0, 0, 1, -1]), np.array([1, 1, 0, 1]))
    assert result.row() == ["3.62", "14.3", "0", "0.25", "85.7"]
    said = "100.0 % of 1 landmarks .* 50.0 % of 2 pictures .* in 1 of 4 pictures too many .* in 1 too few; in 3 the side is right"
    assert re.match(said, stress.in_words([result]))


def test_stress_of_folds_takes_for_each_radiograph_the_network_that_has_not_seen_it(small, tmp_path, capsys):
    common.train(small.data, tmp_path, "--folds", 2, *SMALL_RUN, "--stages", "32x1")
    capsys.readouterr()
    run(stress, "--raw", small.raw, "--weights", small.weights, "--run", tmp_path, "--conditions", "as it came")
    printed = float(tables(capsys.readouterr().out)[0][1][1])
    errors = []
    for id in SPLITS["valid"]:
        (k,) = [k for k in (1, 2) if id in {row["image"] for row in rows_of(tmp_path / f"fold_{k}" / "held_out_landmarks.csv")}]
        weights = read_checkpoint(tmp_path / f"fold_{k}" / "best.pt")["weights"]
        state = read_checkpoint(small.weights) | {"weights": {name: weight.half() for name, weight in weights.items()}}
        errors.append(error_px(small, id, Predictor(state)))
    assert printed == pytest.approx(np.mean(errors), abs=6e-3) and printed > 5  # hardly trained


def test_eleven_readers(small, tmp_path, capsys):
    """Two readers 4 px right and left of the network's own points: it lies at their mean, and each 8 px from the other's."""
    rows = [row for row in rows_of(small.result / "test_landmarks.csv") if row["image"] == "c1"]
    data = RadiographDataset(small.data, "test")
    found = np.array([[float(row["x_px"]), float(row["y_px"])] for row in rows])
    own = (found + 0.5) * data.sizes_px[data.ids.index("c1")] / SIZE - 0.5
    table = tmp_path / "table.csv"
    names = data.joint.names
    lines = [",".join(["ID,reader", *(f"{name}_{axis}" for name in names for axis in "xy")])]
    placed = {"a": own + np.array([4.0, 0.0]), "b": own - np.array([4.0, 0.0])}
    lines += [",".join(["c1", reader, *map(str, points.ravel())]) for reader, points in placed.items()]
    table.write_text("\n".join(lines) + "\n")
    flags = ("--checkpoint", small.result / "best.pt", "--data", small.data, "--table", table, "--pixel_mm", 0.25)
    eleven_readers.main([str(flag) for flag in flags])
    said = capsys.readouterr().out
    assert "1 radiographs, 2 readers, regions calibrated on 1 others" in said
    assert "mean of all readers 0.00 mm" in said and "a 2.00, b 2.00; median 2.00 mm" in said
    assert re.search(r"\| 95 % \| [\d.]+ \([\d.]+ to [\d.]+\) \|", said)
