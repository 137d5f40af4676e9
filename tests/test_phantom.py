"""Synthetic radiographs of all kinds: plausible shapes, landmarks on their bones, the same bytes for a seed, a data set."""

import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, preprocess, rows_of

import data_preprocessing
import phantom.__main__ as command
from joints.hand import FINGERS, RAYS
from phantom import shape
from phantom.data_set import write_data_set
from phantom.drawing import SHAPE, draw_hand
from phantom.kinds import KINDS, in_turn, parse_kinds
from runtime.files import DataError

MODEL = shape.load(SHAPE)
NEAR = 40  # px, within which bones are looked for


Drawn = tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]  # picture, points, masks of the bones


def drawn(kind: str, seed: int) -> Drawn:
    masks: dict[str, np.ndarray] = {}
    return (*draw_hand(seed, masks, KINDS[kind]), masks)


@pytest.fixture(scope="module")
def hands() -> list[Drawn]:
    return [drawn("atlas", seed) for seed in range(4)]


@pytest.fixture(scope="module")
def of_kinds(hands) -> dict[str, Drawn]:
    return {kind: hands[2] if kind == "atlas" else drawn(kind, 4) for kind in KINDS}


def distance(mask: np.ndarray, point: np.ndarray) -> float:
    """From a point (x, y) to the nearest pixel of a mask, px; beyond NEAR infinite."""
    left, top = np.maximum(point.astype(int) - NEAR, 0)
    rows, columns = np.nonzero(mask[top : top + 2 * NEAR, left : left + 2 * NEAR])
    return float(np.hypot(columns + left - point[0], rows + top - point[1]).min(initial=np.inf))


def test_sampled_shapes_stay_within_the_atlas():
    model = MODEL
    assert np.allclose(model.modes @ model.modes.T, np.eye(len(model.modes)), atol=1e-5)
    rng = np.random.default_rng(1)
    shapes = np.array([shape.sample(model, rng) for _ in range(300)])
    weights = (shapes - model.mean).reshape(300, -1) @ model.modes.T / model.spread
    assert np.abs(weights).max() <= shape.MODE_LIMIT + 1e-6
    assert weights.std(0).mean() == pytest.approx(0.95, abs=0.08)  # the spread is the atlas's, less its tails
    measured = shape.lengths_and_bends(shapes)
    assert (measured >= model.bounds[:, 0] - 1e-9).all() and (measured <= model.bounds[:, 1] + 1e-9).all()


def test_the_model_of_turned_copies_has_no_modes_but_those_put_in():
    rng = np.random.default_rng(2)
    base = MODEL.mean
    bend = np.zeros_like(base)
    bend[20] = 0.02, 0.01
    shapes = base + rng.uniform(-2, 2, (60, 1, 1)) * bend + rng.normal(0, 2e-4, (60, 37, 2))
    turned = shape.rotate(shapes, rng.normal(0, 0.1, 60)) * rng.uniform(500, 900, (60, 1, 1)) + (30, 70)
    model, hands = shape.build(turned)
    assert hands == 60 and len(model.spread) == 1
    assert np.hypot(*(model.mean[25] - model.mean[15])) == pytest.approx(np.hypot(*(base[25] - base[15])), rel=0.01)
    assert model.mean[25, 0] == pytest.approx(model.mean[15, 0], abs=1e-3) and model.mean[25, 1] < model.mean[15, 1]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_a_left_hand_with_all_landmarks_in_the_picture(of_kinds, kind):
    picture, points, _ = of_kinds[kind]
    rows, columns = picture.shape
    assert picture.dtype == np.uint8 and rows == 1024 and 500 <= columns <= 950 and picture.std() > 8
    assert points.shape == (37, 2) and (points > 0).all() and (points < (columns - 1, rows - 1)).all()
    assert points[16, 0] > points[13, 0] and points[25, 1] < points[15, 1]  # thumb on the right, fingers up


def test_bone_is_bright(hands):
    for picture, points, _ in hands:
        assert np.median([picture[int(y), int(x)] for x, y in points[[3, 4, 7, 10]]]) > np.percentile(picture, 50)


@pytest.mark.parametrize("kind", KINDS)
def test_finger_landmarks_lie_on_the_bones_that_are_drawn(of_kinds, kind):
    _, points, masks = of_kinds[kind]
    near = 12 if kind == "bent" else 4  # a bent phalanx is seen from its end, its landmark lies in it
    for finger, (carpal, mcp, pip, dip, tip) in FINGERS.items():
        sites = {carpal: "metacarpal", mcp: "proximal", pip: "proximal", dip: "middle", tip: "distal"}
        for site, bone in sites.items():
            mask = masks[f"{finger} {bone}"]
            assert distance(mask, points[site]) < 4 and distance(~mask, points[site]) < near, (finger, bone)


def test_finger_joints_lie_between_the_ends_of_their_bones(hands):
    for _, points, masks in hands:
        for finger, (_, *joints, _) in FINGERS.items():
            bones = [masks[f"{finger} {kind}"] for kind in ("metacarpal", "proximal", "middle", "distal")]
            for joint, near, far in zip(joints, bones, bones[1:]):
                assert distance(near, points[joint]) < 24 and distance(far, points[joint]) < 14


def test_the_tip_is_the_far_end_of_the_distal_phalanx(hands):
    for _, points, masks in hands:
        for finger, (*_, dip, tip) in FINGERS.items():
            along = (points[tip] - points[dip]) / np.hypot(*(points[tip] - points[dip]))
            rows, columns = np.nonzero(masks[f"{finger} distal"])
            reach = np.stack([columns, rows], -1) @ along
            assert reach.max() == pytest.approx(points[tip] @ along, abs=2.5)


def test_wrist_and_thumb_landmarks_lie_on_the_edge_of_their_bones(hands):
    sites = {
        1: "ulna epiphysis", 5: "radius epiphysis", 6: "triquetrum", 7: "lunate", 8: "scaphoid", 9: "hamate", 10: "capitate",
        11: "trapezoid", 12: "trapezium", 17: "thumb metacarpal", 18: "thumb proximal", 19: "thumb proximal", 20: "thumb distal",
        0: "ulna", 2: "ulna", 3: "radius", 4: "radius",
    }  # fmt: skip
    for _, points, masks in hands:
        for site, bone in sites.items():
            assert distance(masks[bone], points[site]) < 5, bone
            assert distance(~masks[bone], points[site]) < 3, bone


@pytest.mark.parametrize("kind", ["atlas", "infant", "digital"])
def test_the_same_seed_draws_the_same_bytes(of_kinds, kind):
    picture, points = draw_hand(2 if kind == "atlas" else 4, steps=KINDS[kind])  # asking for masks changes nothing
    assert (picture == of_kinds[kind][0]).all() and (points == of_kinds[kind][1]).all()


def test_seeds_and_kinds_differ(hands, of_kinds):
    assert len({picture.tobytes() for picture, *_ in [*hands, *of_kinds.values()]}) == len(hands) + len(KINDS) - 1


def test_an_infant_has_gaps_and_few_carpal_bones():
    counts = []
    for age in (0.0, 1.0, 3.0):
        masks: dict[str, np.ndarray] = {}
        steps = replace(KINDS["infant"], maturity_of=lambda *_, age=age: -1 + age / 6)
        _, points = draw_hand(4, masks, steps)
        counts.append(len({"capitate", "hamate", "triquetrum", "lunate"} & masks.keys()))
        assert not {"scaphoid", "trapezium", "pisiform", "sesamoid"} & masks.keys()
        shafts = [masks["middle proximal"], masks["middle metacarpal"]]
        assert not (shafts[0] & shafts[1]).any() and distance(shafts[1], points[25]) > 8
    assert counts[0] == 0 and counts[1] == 2 and counts[2] in (3, 4)


def test_bent_phalanges_are_shorter_than_straight_ones():
    straight, bent = ([], [])
    for number in range(20):
        for lengths, kind in ((straight, "atlas"), (bent, "bent")):
            rng = np.random.default_rng(number)
            points = np.column_stack([shape.sample(MODEL, rng), np.zeros(37)])
            KINDS[kind].pose(points, rng)
            points = points[:, :2]
            whole = np.hypot(*(points[15] - points[14])) + np.hypot(*(points[25] - points[15]))
            lengths += [np.hypot(*(points[ray[-1]] - points[ray[-2]])) / whole for ray in RAYS.values()]
    assert np.mean(bent) < 0.9 * np.mean(straight)


def test_kinds_are_read_and_take_turns():
    assert parse_kinds("atlas:4, infant:1") == {"atlas": 4, "infant": 1}
    assert parse_kinds("bent,infant") == {"bent": 1, "infant": 1}
    assert in_turn({"bent": 1, "infant": 1}) == ["bent", "infant"]
    assert in_turn({"atlas": 4, "infant": 1}) == ["atlas", "atlas", "infant", "atlas", "atlas"]
    assert sorted(in_turn({"atlas": 3, "bent": 2, "grown": 1})) == ["atlas"] * 3 + ["bent"] * 2 + ["grown"]


@pytest.mark.parametrize("kinds", ["adult", "", "infant:0", "infant:", "infant:x", "infant:-1", "infant,infant", "infant:1.5"])
def test_bad_kinds_are_told_in_one_line(monkeypatch, capsys, kinds):
    monkeypatch.setattr(sys, "argv", ["phantom", "--kinds", kinds])
    with pytest.raises(SystemExit) as error:
        command.main()
    said = capsys.readouterr().err.strip().splitlines()
    assert error.value.code == 2 and "--kinds" in said[-1]
    assert ("atlas, infant" in said[-1]) or ("share" in said[-1]) or ("twice" in said[-1])


def test_the_page_names_every_kind():
    page = (ROOT / "docs" / "training.md").read_text()
    assert all(f"`{kind}`" in page for kind in KINDS)


@pytest.mark.slow
def test_the_command_writes_what_preprocessing_reads_whatever_the_workers_and_other_kinds(tmp_path, monkeypatch):
    raw, again, alone = tmp_path / "raw", tmp_path / "again", tmp_path / "alone"
    for out, workers in ((raw, 2), (again, 1)):
        flags = f"--workers {workers} --seed 3 --kinds atlas:2,infant,hardware --train 2 --valid 1 --test 1"
        monkeypatch.setattr(sys, "argv", ["phantom", "--out", str(out), *flags.split()])
        assert command.main() == 0
    files = sorted(path.relative_to(raw) for path in raw.rglob("*") if path.is_file())
    assert [path.name for path in files] == ["all_coordinates.csv", *(f"synthetic_0000{n}.jpg" for n in (4, 1, 2, 3))]
    assert all((raw / path).read_bytes() == (again / path).read_bytes() for path in files)
    write_data_set(alone, NONE, seed=3, workers=1)
    first = "train/synthetic_00001.jpg"
    assert (raw / first).read_bytes() == (alone / first).read_bytes()
    assert preprocess(raw, tmp_path / "prepared", "--reference", "none").returncode == 0
    assert [row["split"] for row in rows_of(tmp_path / "prepared" / "landmarks.csv")] == ["train", "train", "valid", "test"]


NONE = {"train": 1, "valid": 0, "test": 0}
OTHERS = ["all_coordinates.csv", "train/3142.jpg", "1.2.840.113", "images/a/3142.dcm", "Train/3142.JPG", "atlas.zip",
          "train/synthetic_1.jpg", "synthetic_00001.jpg", "mine/settings.json"]  # fmt: skip


@pytest.mark.parametrize("taken", OTHERS)
def test_it_refuses_a_folder_with_anything_of_somebody_else_below_it(tmp_path, taken):
    (tmp_path / taken).parent.mkdir(exist_ok=True, parents=True)
    (tmp_path / taken).write_text("{}")
    with pytest.raises(DataError, match=re.escape(str(Path(taken)))) as error:
        write_data_set(tmp_path, NONE, seed=0, workers=1)
    assert "\n" not in str(error.value)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [Path(taken).name]


def test_what_an_unfinished_run_or_a_preparation_left_is_no_hindrance(tmp_path):
    for left in ("valid/synthetic_00007.jpg", "valid/synthetic_00008.jpg.part", "README.md", ".DS_Store", "train/.hidden.jpg"):
        (tmp_path / left).parent.mkdir(exist_ok=True)
        (tmp_path / left).write_bytes(b"half")
    (tmp_path / "processed" / "train").mkdir(parents=True)
    (tmp_path / "processed" / "train" / "3142.png").write_bytes(b"prepared")
    (tmp_path / "processed" / "settings.json").write_text('{"format": 3, "size": 256, "sigma": 2.0, "reference": "3142"}')
    write_data_set(tmp_path, NONE, seed=0, workers=1)
    assert sorted(path.name for path in tmp_path.rglob("*.*") if "processed" not in path.parts) == [
        ".DS_Store", ".hidden.jpg", "README.md", "all_coordinates.csv", "synthetic_00001.jpg"
    ]  # fmt: skip


@pytest.fixture
def preprocess_here(tmp_path, monkeypatch, capfd):
    """data_preprocessing.py in an empty working folder, with fewer synthetic radiographs than usual: its status and output."""
    monkeypatch.chdir(tmp_path)
    for split in data_preprocessing.COUNTS:
        monkeypatch.setitem(data_preprocessing.COUNTS, split, 1)

    def run() -> tuple[int, str, str]:
        return data_preprocessing.main(["--size", "32", "--workers", "1"]), *capfd.readouterr()

    return run


def test_preprocessing_makes_synthetic_radiographs_only_in_an_empty_folder_and_says_so(preprocess_here):
    for made in (True, False):
        status, out, err = preprocess_here()
        assert status == 0, err
        assert out.startswith("SYNTHETIC radiographs: ")
        assert ("made 3 synthetic radiographs" in out) == made
        assert Path("dataset/processed/test/synthetic_00003.png").exists()
        assert json.loads(Path("dataset/processed/settings.json").read_text())["synthetic"] is True


@pytest.mark.parametrize("table", [False, True])
def test_radiographs_in_the_wrong_place_are_told_and_none_are_made(preprocess_here, table):
    Path("dataset/hands").mkdir(parents=True)
    Path("dataset/hands/3142.jpg").write_text("a radiograph")
    if table:
        Path("dataset/all_coordinates.csv").write_text("3142,1,2\n")
    status, out, err = preprocess_here()
    assert status == 1 and out == ""
    assert err.count("\n") == 1 and "train, valid, test" in err and "dataset/README.md" in err
    assert f"but {Path('dataset/hands/3142.jpg')}" in err
    assert not list(Path().rglob("synthetic_*"))


def test_a_shape_model_knows_nothing_of_excluded_radiographs(tmp_path):
    """Hands of one shape, and a second half of another: with that excluded the model is the first half's."""
    mean = MODEL.mean
    rng = np.random.default_rng(1)
    narrow = 900 * (mean + rng.normal(0, 2e-3, (60, 37, 2)))
    wide = 900 * (mean * (1.2, 1) + rng.normal(0, 2e-3, (60, 37, 2)))
    for name, hands in (("narrow", narrow), ("both", np.concatenate([narrow, wide]))):
        rows = [f"{i:03d}," + ",".join(f"{value:.6f}" for value in hand.ravel()) for i, hand in enumerate(hands)]
        (tmp_path / f"{name}.csv").write_text("\n".join(rows))
    (tmp_path / "list.txt").write_text("".join(f"{i:03d}\n" for i in range(60, 120)))
    (tmp_path / "files.txt").write_text("".join(f"{i:03d}.jpg\n" for i in range(60, 120)))
    (tmp_path / "table.csv").write_text("".join(f"{i:03d},0,0\n" for i in range(60, 120)))
    shape.build_table(tmp_path / "narrow.csv", tmp_path / "narrow.npz")
    shape.build_table(tmp_path / "both.csv", tmp_path / "all.npz")
    narrow_mean, all_mean = shape.load(tmp_path / "narrow.npz").mean, shape.load(tmp_path / "all.npz").mean
    for exclude in ("list.txt", "files.txt", "table.csv"):
        shape.build_table(tmp_path / "both.csv", tmp_path / "rest.npz", [tmp_path / exclude])
        assert shape.load(tmp_path / "rest.npz").mean == pytest.approx(narrow_mean, abs=1e-7)
    assert np.abs(all_mean - narrow_mean).max() > 0.01
    (tmp_path / "none.txt").write_text("another\n")
    with pytest.raises(DataError, match=r"none\.txt: expected IDs to exclude, found none"):
        shape.build_table(tmp_path / "both.csv", tmp_path / "x.npz", [tmp_path / "none.txt"])
    rows = (tmp_path / "both.csv").read_text().splitlines()
    (tmp_path / "blank.csv").write_text("\n".join([*rows[:-1], rows[-1].split(",")[0] + 74 * ","]))
    with pytest.raises(DataError, match=r"blank\.csv: expected 37 landmarks of each hand, found 37 or blanks"):
        shape.build_table(tmp_path / "blank.csv", tmp_path / "x.npz")
    with pytest.raises(DataError, match=r"none\.txt: expected a table that python -m phantom\.shape writes"):
        shape.load(tmp_path / "none.txt")
