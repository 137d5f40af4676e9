"""Agreement of raters against values worked out by hand, published ones and pingouin's; the methods of a run by its facts."""

import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import rows_of, train
from test_other_joints import DESCRIBED, KNEE, made, read_by_two

from data_preprocessing import AUTO, Settings, run
from dataloader import RadiographDataset
from heatmap import rescale
from main import main
from training import agreement
from training.agreement import agreement_rows, bland_altman, icc_2_1, rated
from training.methods import of_measures

# Shrout and Fleiss (1979), table 2: six targets, four judges; their table 4 has ICC(2,1) = 0.29
JUDGED = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]], float)


def test_bland_altman_by_hand():
    """Differences 1, 0, 2, 1: bias 1, sd √(2/3) = 0.8165, limits 1 ± 1.6003; t of 3 degrees of freedom 3.1824, half 1.2992."""
    found = bland_altman(np.array([2.0, 3, 6, 8]), np.array([1.0, 3, 4, 7]))
    assert found["bias"] == 1 and found["sd"] == pytest.approx(math.sqrt(2 / 3))
    assert (found["lower_limit"], found["upper_limit"]) == pytest.approx((-0.60033, 2.60033), abs=1e-5)
    assert (found["bias_low"], found["bias_high"]) == pytest.approx((-0.29923, 2.29923), abs=1e-4)
    assert all(math.isnan(value) for value in bland_altman(np.empty(0), np.empty(0)).values())
    assert bland_altman(np.ones(1), np.zeros(1))["bias"] == 1 and math.isnan(bland_altman(np.ones(1), np.zeros(1))["sd"])


@pytest.mark.parametrize(("annotators", "columns"), [(1, 1), (2, 3), (4, 4)])
def test_of_many_annotators_pairs_with_the_network_are_drawn(annotators, columns, monkeypatch):
    drawn = []
    monkeypatch.setattr(agreement.figures, "save", lambda figure, path: drawn.append(len(figure.axes)))
    raters = ["network", *(f"reader {i}" for i in range(annotators))]
    agreement.draw_agreement(
        raters, [agreement.Rated("width", "mm", np.random.default_rng(0).random((5, 1 + annotators)))] * 2, None
    )
    assert drawn == [2 * columns]


def test_icc_by_hand_and_as_published():
    """Raters 1, 2, 3 and 2, 3, 5: mean squares 19/6 of rows, 8/3 of raters, 1/6 of the rest; 3 / (10/3 + 2·2.5/3) = 0.6."""
    assert icc_2_1(np.array([[1.0, 2], [2, 3], [3, 5]]))["icc"] == pytest.approx(0.6)
    found = icc_2_1(JUDGED)
    assert found["icc"] == pytest.approx(0.29, abs=0.005)
    assert (found["icc_low"], found["icc_high"]) == pytest.approx((0.0188, 0.7611), abs=1e-4)
    constant = icc_2_1(np.array([[1.0, 2], [2, 3], [3, 4]]))  # one rater is always 1 above: 2 / (2 + 0 + 2·1.5/3)
    assert constant["icc"] == pytest.approx(2 / 3) and math.isnan(constant["icc_low"])
    exchanged = np.array([[100.0, 110], [110, 100]])  # 0 of rows and of raters, 100 of the rest: 0 / 0
    for nothing in (np.ones((4, 2)), np.ones((1, 2)), np.empty((0, 2)), np.array([[1.0], [2.0]]), exchanged):
        assert all(math.isnan(value) for value in icc_2_1(nothing).values())


@pytest.mark.parametrize("raters", [2, 3])
def test_icc_is_that_of_pingouin(raters):
    pingouin = pytest.importorskip("pingouin")
    pandas = pytest.importorskip("pandas")
    random = np.random.default_rng(raters)
    values = random.normal(80, 4, (25, 1)) + random.normal(0, 1.5, (25, raters)) + np.arange(raters) * 0.7
    long = [{"film": i, "rater": j, "value": value} for i, row in enumerate(values) for j, value in enumerate(row)]
    table = pingouin.intraclass_corr(pandas.DataFrame(long), "film", "rater", "value")
    (row,) = (row for _, row in table.iterrows() if row["Type"] in ("ICC2", "ICC(A,1)"))
    found = icc_2_1(values)
    assert found["icc"] == pytest.approx(row["ICC"], abs=1e-9)
    interval = next(row[name] for name in row.index if name.startswith("CI95"))
    assert [found["icc_low"], found["icc_high"]] == pytest.approx(list(interval), abs=0.0051)  # it rounds to two digits


def test_limits_are_those_of_pingouin():
    pingouin = pytest.importorskip("pingouin")
    random = np.random.default_rng(0)
    first, second = random.normal(50, 5, (2, 30))
    axes = pingouin.plot_blandaltman(first, second, confidence=None)
    lines = sorted(line.get_ydata()[0] for line in axes.get_lines() if len(set(line.get_ydata())) == 1)
    found = bland_altman(first, second)
    expected = {found["lower_limit"], found["bias"], found["upper_limit"]}
    assert all(any(value == pytest.approx(line, abs=1e-9) for line in lines) for value in expected)


@pytest.fixture(scope="module")
def read(tmp_path_factory):
    """Made knees that A and B read, B 4 px to the right of A; prepared."""
    folder = tmp_path_factory.mktemp("read")
    raw = made(folder / "raw", KNEE)
    read_by_two(raw)
    angle = {"angle": ["femur lateral", "femur medial", "tibia lateral", "tibia medial"]}
    described = {key: value for key, value in DESCRIBED.items() if key != "scale"}
    described["measures"] = DESCRIBED["measures"] | {"joint line": angle}
    (folder / "data").mkdir()
    (raw / "joint.json").write_text(json.dumps(described))
    run(raw, folder / "data", Settings(64, 2.0, AUTO), workers=1)
    return folder / "data"


def test_measures_of_raters(read):
    """A network that sees what A sees; lengths in px without a pixel size, in mm with one, angles by the pixels' form."""
    data = RadiographDataset(read, "test")
    as_a = rescale(data.readings_px[:, 0], (64 / data.sizes_px)[:, None])
    raters, measures = rated(data, as_a)
    assert raters == ["network", "A", "B"] and [one.name for one in measures] == [one.name for one in data.joint.measures]
    by_hand = {"length": 0}
    for one, defined in zip(measures, data.joint.measures):
        assert one.values[:, 0] == pytest.approx(one.values[:, 1])
        if defined.kind == "length":
            a, b = (data.readings_px[:, 0, i] for i in defined.of)
            whole = np.isfinite(data.readings_px[:, :, list(defined.of)]).all((1, 2, 3))
            assert one.unit == "px" and one.values[:, 1] == pytest.approx(np.linalg.norm(a - b, axis=1)[whole], rel=1e-6)
            assert one.values[:, 1] == pytest.approx(one.values[:, 2], abs=1e-3)  # moved, not stretched
            by_hand["length"] += 1
    assert by_hand["length"]
    data.spacings_mm[1:] = 0.5
    in_mm = rated(data, as_a)[1]
    for px, mm in zip(measures, in_mm):
        if px.unit == "px":
            assert mm.unit == "mm" and len(mm.values) < len(px.values) and mm.values[-1] == pytest.approx(px.values[-1] / 2)
        else:
            assert mm.unit == "degrees" and mm.values == pytest.approx(px.values)
    rows = agreement_rows(raters, measures)
    assert len(rows) == 3 * len(measures) and [rows[i]["first"] + rows[i]["second"] for i in range(3)] == [
        "networkA",
        "networkB",
        "AB",
    ]
    of_four = agreement_rows([*raters, "C"], [agreement.Rated("judged", "px", JUDGED)])
    assert of_four[-1]["first"] == "all annotators" and of_four[-1]["icc"] == pytest.approx(icc_2_1(JUDGED[:, 1:])["icc"])


def test_training_and_mode_test_write_the_same_agreement_and_methods(read, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr("training.figures.save", lambda figure, path: drawn.append(path.name))
    result = tmp_path / "run"
    ran = train(read, result, "--stages", "32x1")
    assert ran.returncode == 0, ran.stderr
    rows, text = rows_of(result / "test_agreement.csv"), (result / "test_methods.md").read_text()
    assert drawn.count("test_agreement.png") == 1 and {row["second"] for row in rows} == {"A", "B"}
    again = ("--mode", "test", "--data", read, "--checkpoint", result / "best.pt", "--result", tmp_path / "again")
    assert main([*map(str, again), "--precision", "float32"]) == 0
    for name in ("test_agreement.csv", "test_methods.md"):
        assert (tmp_path / "again" / name).read_bytes() == (result / name).read_bytes()

    sizes = {split: len(RadiographDataset(read, split)) for split in ("train", "valid", "test")}
    state = torch.load(result / "best.pt", weights_only=True)
    for fact in (
        f"{sizes['test']} radiographs (knee) were measured",
        "placed by A, B, whose mean is the truth",
        f"learnt from {sizes['train']} radiographs. By {sizes['valid']} others its epoch was chosen. Those measured are others",
        "resized to 64 × 64 px",
        "3 levels of 8 channels",
        "started from random weights, with Adam (learning rate 0.0006, β 0.9 and 0.99), 2 radiographs a step",
        "in stages of 32x1 (px of the longer side), and ended with the weights of epoch 1",
        f"{sum(weight.numel() for weight in state['weights'].values()):,} parameters",
        f"revision {state['provenance']['revision']}, Python ",
        "Agreement of the network and A, B on " + ", ".join(one.name for one in RadiographDataset(read, "test").joint.measures),
    ):
        assert fact in text, fact
    assert "None" not in text and "nan" not in text and "{" not in text

    for_use = {name: value for name, value in state["settings"].items() if name != "init"}  # as export.py makes them
    torch.save(state | {"settings": for_use}, tmp_path / "for_use.pt")
    assert main([*map(str, again[:4]), "--checkpoint", str(tmp_path / "for_use.pt"), "--result", str(tmp_path / "use")]) == 0
    assert "It started from [random or other weights], with Adam" in (tmp_path / "use" / "test_methods.md").read_text()


def test_the_interval_is_of_the_radiographs_with_landmarks():
    points = np.full((3, 2, 2), 10.0)
    points[1] = np.nan
    data = SimpleNamespace(points_px=points, joint=SimpleNamespace(measures=()), annotators=[], split="test")
    found = of_measures(data, {"images": 3, "ipe_px": 20.0, "ipe_px_sd": 1.0, "median_px": 20.0, "pe_mm": None})
    assert found["interval"].startswith("95 % interval of the mean error: 7.294 to 32.706 px")  # t of 1 degree: 12.706
