"""Joints that are no hand, end to end on small made pictures: prepared, trained, exported, predicted, as described."""

import csv
import json
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
import torch
from conftest import SMALL_RUN, rows_of

import export
import main
import predict
from data_preprocessing import AUTO, Settings, run
from dataloader import RadiographDataset
from evaluation import shrink
from heatmap import decode_heatmaps, draw_heatmaps, rescale
from joints.description import Description
from runtime.files import DataError, write_csv
from training.judgement import MEAN, compare

pytestmark = pytest.mark.slow

SPLITS = {"train": 6, "valid": 2, "test": 2}
# bright discs on a limb: femur and tibia, the lateral side on the picture's right
KNEE = np.array([[0.3, 0.3], [0.7, 0.32], [0.32, 0.7], [0.68, 0.72]])
DESCRIBED = {
    "joint": "knee",
    "landmarks": ["femur medial", "femur lateral", "tibia medial", "tibia lateral"],
    "skeleton": [["femur medial", "tibia medial"], ["femur lateral", "tibia lateral"]],
    "laterality": "right",
    "scale": {"name": "ball", "landmarks": ["femur medial", "femur lateral"], "mm": 25},
    "measures": {"width": {"length": ["tibia medial", "tibia lateral"]}},
}


def picture_of(points: np.ndarray, width: int, height: int, rng: np.random.Generator) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    picture = 20.0 + 60 * (np.abs(x - width / 2) < 0.42 * width) + rng.normal(0, 2, (height, width))
    for px, py in points[np.isfinite(points).all(1)]:
        picture += 100 * np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * 2.5**2))
    return picture.clip(0, 255).astype(np.uint8)


def made(
    folder: Path, shape: np.ndarray, width: int = 60, height: int = 80, missing: float = 0.0, mirrored: bool = False
) -> Path:
    """A raw folder of radiographs whose landmarks lie about as in a shape (L, 2), in parts of the picture."""
    rng = np.random.default_rng(0)
    rows = []
    for split, count in SPLITS.items():
        (folder / split).mkdir(parents=True)
        for i in range(count):
            points = (shape + rng.normal(0, 0.015, shape.shape)).clip(0.02, 0.98) * (width, height) - 0.5
            picture = picture_of(points, width, height, rng)
            if mirrored and i % 2:
                picture, points = picture[:, ::-1], (width - 1, 0) + points * (-1, 1)
            points[rng.random(len(points)) < missing] = np.nan
            iio.imwrite(folder / split / f"{split}{i}.png", picture)
            rows.append([f"{split}{i}", *("" if np.isnan(value) else round(value, 3) for value in points.ravel())])
    with open(folder / "all_coordinates.csv", "w", newline="") as file:
        csv.writer(file).writerows(rows)
    return folder


def trained(raw: Path, tmp_path: Path, size=64, stages: str = "32x2", sigma=2.0, finder_steps: int = 0) -> tuple[Path, Path]:
    """A radiograph folder through all commands: the folder of its run, and the weights that predict.py takes."""
    data, result, weights = tmp_path / "data", tmp_path / "run", tmp_path / "weights.pt"
    data.mkdir()
    run(raw, data, Settings(size, sigma, AUTO), workers=1)
    flags = ("--data", data, "--result", result, *SMALL_RUN, "--stages", stages)
    assert main.main([str(flag) for flag in flags]) == 0
    export.export(result / "best.pt", data, weights, seed=0, steps=finder_steps)
    return result, weights


def predicted(raw: Path, weights: Path, out: Path, *more: str) -> list[dict[str, str]]:
    assert (
        predict.main([str(raw / "test"), "--weights", str(weights), "--out", str(out), "--format", "csv,slicer,coco", *more]) == 0
    )
    return rows_of(out / "landmarks.csv")


@pytest.mark.parametrize(("landmarks", "header"), [(1, False), (100, True)])
def test_a_joint_of_few_or_many_landmarks(tmp_path, landmarks, header):
    """In numbers where nothing names them, else by the names of the table's header."""
    raw = made(tmp_path / "raw", np.random.default_rng(1).uniform(0.1, 0.9, (landmarks, 2)))
    names = [f"point {i}" if header else str(i) for i in range(landmarks)]
    if header:
        table = raw / "all_coordinates.csv"
        table.write_text("ID," + ",".join(f"{name}_x,{name}_y" for name in names) + "\n" + table.read_text())
    result, weights = trained(raw, tmp_path)
    assert [row["name"] for row in predicted(raw, weights, tmp_path / "out")] == names * SPLITS["test"]
    assert len(rows_of(result / "test_by_landmark.csv")) == landmarks
    coco = json.loads((tmp_path / "out" / "coco.json").read_text())
    assert coco["categories"] == [{"id": 1, "name": "landmarks", "keypoints": names, "skeleton": []}]


def test_a_described_joint_is_called_so_everywhere(tmp_path, capsys):
    raw = made(tmp_path / "raw", KNEE, missing=0.1)
    (raw / "joint.json").write_text(json.dumps(DESCRIBED))
    result, weights = trained(raw, tmp_path)
    assert "auto: --reference" in capsys.readouterr().out
    rows = predicted(raw, weights, tmp_path / "out", "--measure")
    names = DESCRIBED["landmarks"]
    assert [row["name"] for row in rows] == names * SPLITS["test"]
    assert [row["name"] for row in rows_of(result / "test_by_landmark.csv")] == names
    assert json.loads((result / "test.json").read_text())["mm_from"].startswith("ball = 25 mm (points 0 and 1) for ")
    measures = rows_of(tmp_path / "out" / "measures.csv")
    assert [(row["measure"], row["kind"], row["unit"]) for row in measures] == [("width", "length", "px")] * SPLITS["test"]
    (category,) = json.loads((tmp_path / "out" / "coco.json").read_text())["categories"]
    assert category == {"id": 1, "name": "knee", "keypoints": names, "skeleton": [[1, 3], [2, 4]]}
    markup = json.loads(next((tmp_path / "out" / "slicer").iterdir()).read_text())["markups"][0]
    assert [point["label"] for point in markup["controlPoints"]] == names
    state = torch.load(weights, weights_only=True)
    assert state["names"] == names and Description.of_file(state["data"]["joint"], "").side(mirrored=True) == "left"
    (raw / "joint.json").write_text(json.dumps(DESCRIBED | {"measures": {"height": {"length": [names[0], names[1]]}}}))
    run(raw, tmp_path / "data", Settings(64, 2.0, AUTO), workers=1)
    export.export(result / "best.pt", tmp_path / "data", tmp_path / "again.pt", seed=0, steps=0)
    assert "data: its description is taken, which is another than that at the training" in capsys.readouterr().out
    predicted(raw, tmp_path / "again.pt", tmp_path / "corrected", "--measure")
    assert {row["measure"] for row in rows_of(tmp_path / "corrected" / "measures.csv")} == {"height"}

    (raw / "joint.json").write_text(json.dumps(DESCRIBED | {"landmarks": names[::-1]}))
    (tmp_path / "other").mkdir()
    run(raw, tmp_path / "other", Settings(64, 2.0, str(result / "best.pt")), workers=1)
    flags = ("--mode", "test", "--checkpoint", result / "best.pt", "--data", tmp_path / "other", "--result", tmp_path / "r")
    assert main.main([str(flag) for flag in flags]) == 1
    assert "landmark 0 is 'tibia lateral' instead of 'femur medial'" in capsys.readouterr().err


@pytest.mark.parametrize(("laterality", "reflections"), [("none", [False]), ("either", [False, True])])
def test_sides_are_looked_for_where_there_are_any(tmp_path, monkeypatch, laterality, reflections):
    """Half of the radiographs of either side: the mean shape is that of one side, not a mixture."""
    monkeypatch.setattr(export, "MOST_LOST", 1.0)  # two steps of training find nothing; the finder is to stay
    raw = made(tmp_path / "raw", np.array([[0.2, 0.3], [0.7, 0.2], [0.6, 0.8]]), mirrored=laterality == "either")
    (raw / "joint.json").write_text(json.dumps({"landmarks": ["a", "b", "c"], "laterality": laterality}))
    _, weights = trained(raw, tmp_path, finder_steps=2)
    finder = torch.load(weights, weights_only=True)["finder"]
    assert finder["reflections"] == reflections
    width, height = np.ptp(finder["shape"].numpy(), axis=0)
    assert width / height == pytest.approx(0.5 * 60 / (0.6 * 80), rel=0.1)
    assert {row["side"] for row in predicted(raw, weights, tmp_path / "out")} == {""}


def test_a_frame_that_is_not_square(exported_once, tmp_path, capsys):
    """Chosen by the pictures' form; and what main.py tests is what predict.py finds, in the pixels of the file."""
    width, height, frame = 40, 120, (384, 128)
    raw = made(tmp_path / "raw", KNEE, width, height)
    result, weights = trained(raw, tmp_path, size=AUTO, stages="96x1", sigma=AUTO)
    settings = json.loads((tmp_path / "data" / "settings.json").read_text())
    assert settings["size"] == f"{frame[0]}x{frame[1]}" and settings["sigma"] == 3
    data = RadiographDataset(tmp_path / "data", "test")
    assert data.frame == data.picture(0).shape == frame and data.size == 384
    assert data.points_network_px == pytest.approx((data.points_px + 0.5) * (frame[1] / width, frame[0] / height) - 0.5, abs=1e-3)
    found = predicted(raw, weights, tmp_path / "out", "--orientation", "keep")
    for one, other in zip(rows_of(result / "test_landmarks.csv"), found, strict=True):
        assert (float(other["x"]) + 0.5) * frame[1] / width - 0.5 == pytest.approx(float(one["x_px"]), abs=1.0)
        assert (float(other["y"]) + 0.5) * frame[0] / height - 0.5 == pytest.approx(float(one["y_px"]), abs=1.0)
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    assert predict.main(["--weights", str(weights), "--export", str(tmp_path / "scn.onnx")]) == 0
    (picture,) = onnx.load(tmp_path / "scn.onnx").graph.input
    assert [side.dim_value for side in picture.type.tensor_type.shape.dim[1:]] == [1, frame[0] // 4, frame[1] // 4]
    pytest.importorskip("onnxruntime")
    assert predict.main(["--weights", str(weights), "--export", str(tmp_path / "i.onnx"), "--int8", str(tmp_path / "data")]) == 0
    keep = ("--orientation", "keep", "--engine")
    by_engine = predicted(raw, weights, tmp_path / "float", *keep, str(tmp_path / "scn.onnx"))
    for one, other in zip(found, by_engine, strict=True):
        assert [float(other[axis]) for axis in "xy"] == pytest.approx([float(one[axis]) for axis in "xy"], abs=0.05)
    assert len(predicted(raw, weights, tmp_path / "int8", *keep, str(tmp_path / "i.onnx"))) == len(found)
    made(tmp_path / "square", KNEE)
    (tmp_path / "other").mkdir()
    run(tmp_path / "square", tmp_path / "other", Settings(384, 3.0, AUTO), workers=1)
    assert predict.main(["--weights", str(weights), "--export", str(tmp_path / "j.onnx"), "--int8", str(tmp_path / "other")]) == 1
    assert f"expected radiographs prepared at {frame[0]}x{frame[1]} px, found 384" in capsys.readouterr().err


def test_dots_in_a_frame_that_is_not_square():
    """Heatmaps of 256 x 512 px shrunk to 64 x 128: a dot at (x, y) = (300, 40) lies at (74.625, 9.625), not exchanged."""
    points = torch.tensor([[[300.0, 40.0], [20.0, 200.0]]])
    shrunk = shrink(draw_heatmaps(points, 256, 512, 6.0), 128)
    assert shrunk.shape == (1, 2, 64, 128)
    decoded, _ = decode_heatmaps(shrunk)
    assert decoded[0, 0] == pytest.approx(torch.tensor([74.625, 9.625]), abs=0.02)
    assert (decoded - rescale(points, 1 / 4)).abs().max() < 0.02


def read_by_two(raw: Path) -> None:
    """The table becomes that of reader A; B sees every landmark 4 px to the right and misses one; nobody reads the last one."""
    with open(raw / "all_coordinates.csv", newline="") as file:
        rows = list(csv.reader(file))
    (raw / "readers").mkdir()
    (raw / "all_coordinates.csv").rename(raw / "readers" / "A.csv")
    moved = [[row[0], *(str(float(value) + 4 * (i % 2 == 0)) for i, value in enumerate(row[1:]))] for row in rows]
    moved[-1][3:5] = ["", ""]
    with open(raw / "readers" / "B.csv", "w", newline="") as file:
        csv.writer(file).writerows(moved)


def test_the_mean_of_readers_is_learnt_and_the_report_sets_the_network_beside_them(tmp_path, capsys):
    raw = made(tmp_path / "raw", KNEE)
    read_by_two(raw)
    result, _ = trained(raw, tmp_path)
    said = capsys.readouterr().out
    assert "readers: A, B; radiographs annotated 10 by 2: their mean is learnt" in said
    data = RadiographDataset(tmp_path / "data", "test")
    assert data.annotators == ["A", "B"]
    assert data.points_px[0] == pytest.approx(data.readings_px[0, 0] + (2, 0), abs=1e-3)
    assert data.points_px[1, 1] == pytest.approx(data.readings_px[1, 0, 1], abs=1e-3)  # that A alone placed
    figures = json.loads((result / "test.json").read_text())["readers"]
    assert figures["px"]["A to B"] == pytest.approx(4) and figures["landmarks"] == 7 and figures["mm"]["A to B"] is None
    assert "to their mean" in said and "A to B 4.00" in said
    rows = rows_of(result / "test_readers.csv")
    assert [row["radiographs"] for row in rows] == ["2", "1", "2", "2"] and float(rows[0]["A_to_B_px"]) == pytest.approx(4)

    table = tmp_path / "data" / "readers" / "B.csv"  # B is of train alone now
    write_csv(table, [row if row["id"] not in data.ids else dict.fromkeys(row, "") | {"id": row["id"]} for row in rows_of(table)])
    only_a = tmp_path / "only_a"
    call = ["--data", str(tmp_path / "data"), "--mode", "test", "--checkpoint", str(result / "best.pt"), "--result", str(only_a)]
    assert main.main(call) == 0
    assert "readers: B placed nothing in test, so the others are compared" in capsys.readouterr().out
    assert "readers" not in json.loads((only_a / "test.json").read_text())
    assert "by A, " not in (only_a / "test_methods.md").read_text()

    # a network that finds what A sees, in the frame of 64 x 64 px, is 0 from A, 4 px of the radiographs from B, 2 from the mean
    as_a = rescale(data.readings_px[:, 0], (64 / data.sizes_px)[:, None])
    unit_mm = np.full((2, 1, 2), (0.5, 2)) * data.sizes_px[:, None] / 64  # mm per network px of pixels of 0.5 x 2 mm
    figures, _ = compare(data, as_a, unit_mm)
    expected = {"network to " + MEAN: 2, "network to A": 0, "network to B": 4, "A to B": 4}
    assert figures["px"] == pytest.approx(expected, abs=1e-3)
    assert figures["mm"] == pytest.approx({names: value / 2 for names, value in expected.items()}, abs=1e-3)
    assert figures["share_of_readers_distance"] == pytest.approx(0.5, abs=1e-3)


def test_readers_that_do_not_fit_together_are_refused(tmp_path):
    raw = made(tmp_path / "raw", KNEE)
    read_by_two(raw)
    reader = raw / "readers" / "B.csv"
    whole = reader.read_text()
    (tmp_path / "data").mkdir()
    for text, expected in (
        ("train0,1,2\n", r"B\.csv: expected 4 landmarks as in .*A\.csv, found 1"),
        (whole.replace("train0,", "train0,900", 1), r"train0\.png: landmark 0 at \(900.* correct its row in readers/B\.csv"),
    ):
        reader.write_text(text)
        with pytest.raises(DataError, match=expected):
            run(raw, tmp_path / "data", Settings(64, 2.0, AUTO), workers=1)
