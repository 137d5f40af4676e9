"""Annotations of other programs: where their half pixels go, by values worked out by hand; in, out and in again."""

import csv
import json
from collections.abc import Iterable
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
import SimpleITK as sitk

from joints.convert import main, names_in_order
from joints.description import read_description
from joints.formats import FORMATS
from radiographs.raw_folder import SPLITS, read_names, read_points

LABELME = {"imagePath": "..\\pictures\\r1.png", "shapes": [
    {"label": "a", "shape_type": "point", "points": [[0.5, 0.5]]},
    {"label": "outline", "shape_type": "polygon", "points": [[1, 1], [2, 2], [3, 1]]},
    {"label": "b", "shape_type": "point", "points": [[10.0, 20.25]]}]}  # fmt: skip
COCO = {"images": [{"id": 7, "file_name": "sub/r1.png"}],
        "categories": [{"id": 3, "name": "knee", "keypoints": ["a", "b", "c"], "skeleton": [[1, 2], [2, 3]]}],
        "annotations": [{"image_id": 7, "category_id": 3, "keypoints": [0.5, 0.5, 2, 10, 20.25, 1, 0, 0, 0]}]}  # fmt: skip
KEYPOINT = {"type": "keypointlabels", "original_width": 200, "original_height": 100}
TASK = {"data": {"image": "/data/upload/4/0a1b2c3d-r1.png"}, "annotations": [{"result": [
    KEYPOINT | {"value": {"x": 0.25, "y": 0.5, "keypointlabels": ["a"]}},
    KEYPOINT | {"value": {"x": 50.0, "y": 50.0, "keypointlabels": ["b"]}}]}]}  # fmt: skip
LOCAL = {"patient": "P7", "image": "/data/local-files/?d=wings%2F20230115-r1.png"}
DEEPLABCUT = """scorer,,,Anna,Anna,Anna,Anna
bodyparts,,,a,a,b,b
coords,,,x,y,x,y
labeled-data,film,r1.png,0,0,10,20.25
labeled-data,film,r2.png,,,3,4
"""
SLEAP = """track,frame_idx,instance.score,a.x,a.y,a.score,b.x,b.y,b.score
,0,1,0,0,1,10,20.25,1
,1,1,,,,3,4,1
"""


def convert(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def test_half_pixels_by_hand(tmp_path):
    """The centre of the first pixel is (0.5, 0.5) where a program counts from the corner, and (0, 0) here."""
    for name, kind, content, expected in (
        ("labelme", "labelme", json.dumps(LABELME), {"r1": [(0, 0), (9.5, 19.75)]}),
        ("coco", "coco", json.dumps(COCO), {"r1": [(0, 0), (9.5, 19.75), (np.nan, np.nan)]}),
        ("local", "labelstudio", json.dumps([TASK | {"data": LOCAL}]), {"20230115-r1": [(0, 0), (99.5, 49.5)]}),
        # 0.25 % of 200 px, 0.5 % of 100 px
        ("uploaded", "labelstudio", json.dumps([TASK]), {"r1": [(0, 0), (99.5, 49.5)]}),
        ("deeplabcut", "deeplabcut", DEEPLABCUT, {"r1": [(0, 0), (10, 20.25)], "r2": [(np.nan, np.nan), (3, 4)]}),
        ("sleap", "sleap", SLEAP, {"0": [(0, 0), (10, 20.25)], "1": [(np.nan, np.nan), (3, 4)]}),
    ):
        source = tmp_path / f"{kind}.txt"
        source.write_text(content)
        assert convert(source, "--from", kind, "--out", tmp_path / name) == 0
        found = read_points(tmp_path / name / "all_coordinates.csv")
        assert found.keys() == expected.keys(), kind
        for id, points in expected.items():
            assert found[id] == pytest.approx(np.array(points), nan_ok=True), kind
        assert read_names(tmp_path / name / "all_coordinates.csv") == tuple("abc"[: len(points)])
    assert read_description(tmp_path / "coco" / "joint.json", ("a", "b", "c")).skeleton == ((0, 1), (1, 2))


def test_markups_by_hand(tmp_path):
    """Pixels of 0.2 x 0.25 mm whose first centre is at (10, -5) mm in LPS: (12, -4) mm is pixel (10, 4), in RAS (-12, 4)."""
    image = sitk.GetImageFromArray(np.arange(900, dtype=np.float32).reshape(30, 30))
    image.SetSpacing((0.2, 0.25))
    image.SetOrigin((10.0, -5.0))
    (tmp_path / "images").mkdir()
    sitk.WriteImage(image, str(tmp_path / "images" / "r1.mha"))
    for system, position in (("LPS", [12.0, -4.0, 0.0]), ("RAS", [-12.0, 4.0, 0.0])):
        controls = [{"label": "a", "position": position}, {"label": "b", "positionStatus": "undefined", "position": [0, 0, 0]}]
        markup = {"markups": [{"coordinateSystem": system, "controlPoints": controls}]}
        (tmp_path / "r1.mha.mrk.json").write_text(json.dumps(markup))
        arguments = (tmp_path / "r1.mha.mrk.json", "--from", "slicer", "--out", tmp_path / system)
        assert convert(*arguments, "--images", tmp_path / "images") == 0
        assert read_points(tmp_path / system / "all_coordinates.csv")["r1"] == pytest.approx(np.array([[10.0, 4]]))


@pytest.fixture
def raw(tmp_path):
    """Three radiographs with geometry, four landmarks with names that need care, one missing."""
    folder, rng = tmp_path / "raw", np.random.default_rng(0)
    rows = [["ID", *(f"{name}_{axis}" for name in ("a", "b, left", "1", "d") for axis in "xy")]]
    for split in SPLITS:
        (folder / split).mkdir(parents=True)
        image = sitk.GetImageFromArray(rng.random((40, 30), np.float32))
        image.SetSpacing((0.2, 0.25))
        image.SetOrigin((10.0, -5.0))
        sitk.WriteImage(image, str(folder / split / f"{split}.mha"))
        rows.append([split, *rng.uniform(0, 29, 8).round(3)])
    rows[2][3:5] = ["", ""]
    with open(folder / "all_coordinates.csv", "w", newline="") as file:
        csv.writer(file).writerows(rows)
    skeleton = [["a", "b, left"], ["1", "d"]]
    (folder / "joint.json").write_text(json.dumps({"joint": "knee", "skeleton": skeleton}))
    return folder


@pytest.mark.parametrize("kind", FORMATS)
def test_out_and_in_again(raw, tmp_path, kind):
    assert convert(raw, "--to", kind, "--out", tmp_path / "other") == 0
    assert convert(tmp_path / "other", "--from", kind, "--out", tmp_path / "back", "--images", raw) == 0
    before, after = (read_points(folder / "all_coordinates.csv") for folder in (raw, tmp_path / "back"))
    assert before.keys() == after.keys()
    names, again = (read_names(folder / "all_coordinates.csv") for folder in (raw, tmp_path / "back"))
    if kind == "slicer":  # which refuses a file without it
        schemas = {json.loads(path.read_text())["@schema"].rsplit("/")[-1] for path in (tmp_path / "other").iterdir()}
        assert schemas == {"markups-schema-v1.0.3.json#"}
    order = [again.index(name) for name in names]
    for id, points in before.items():
        assert after[id][order] == pytest.approx(points, abs=2e-3, nan_ok=True)
    assert convert(raw, "--to", kind, "--out", tmp_path / "other") == 1  # not over what is there


def test_slips_of_names_are_told(tmp_path, capsys):
    shape = LABELME["shapes"][0]
    for i, label in enumerate(["sella", "sella", "sella", "sella", "sella", "selta"]):
        (tmp_path / f"r{i}.json").write_text(json.dumps({"imagePath": f"r{i}.png", "shapes": [shape | {"label": label}]}))
    assert convert(tmp_path, "--from", "labelme", "--out", tmp_path / "raw") == 0
    said = capsys.readouterr().out
    assert "seldom annotated: selta (1); if a name is a slip" in said and "no points" not in said
    assert f"next: radiographs into {tmp_path / 'raw'}/train, then python data_preprocessing.py --raw {tmp_path / 'raw'}" in said
    (tmp_path / "r5.json").write_text(json.dumps(LABELME | {"imagePath": "r5.png"}))
    assert convert(tmp_path, "--from", "labelme", "--out", tmp_path / "third") == 0
    assert "1 shapes that are no points are left out (outline)" in capsys.readouterr().out
    (tmp_path / "r5.json").write_text(json.dumps({"imagePath": "r5.png", "shapes": [shape | {"label": "Sella "}]}))
    assert convert(tmp_path, "--from", "labelme", "--out", tmp_path / "again") == 1
    assert "expected one spelling of a landmark, found 'sella' and 'Sella'; correct the labels" in capsys.readouterr().err
    (tmp_path / "r5.json").write_text(json.dumps({"imagePath": "r5.png", "shapes": [shape | {"label": " "}]}))
    assert convert(tmp_path, "--from", "labelme", "--out", tmp_path / "again") == 1
    assert "expected a name of every landmark of r5, found a blank one" in capsys.readouterr().err


def test_a_radiograph_that_cannot_be_read_leaves_no_part_of_an_export(raw, tmp_path, capsys):
    path = max(raw.glob("*/*.mha"))
    whole = path.read_bytes()
    path.write_bytes(whole[:60])
    assert convert(raw, "--to", "labelme", "--out", tmp_path / "other") == 1 and str(path) in capsys.readouterr().err
    path.write_bytes(whole)
    assert convert(raw, "--to", "labelme", "--out", tmp_path / "other") == 0


def test_readers_and_origins(tmp_path, capsys):
    (tmp_path / "coco.json").write_text(json.dumps(COCO))
    out = ("--from", "coco", "--out", tmp_path / "raw")
    assert convert(tmp_path / "coco.json", *out, "--reader", "anna", "--origin", "centre") == 0
    assert read_points(tmp_path / "raw" / "readers" / "anna.csv")["r1"][0] == pytest.approx([0.5, 0.5])
    assert convert(tmp_path / "coco.json", *out, "--reader", "../anna") == 1
    assert "--reader: expected a name that a file can have, found '../anna'" in capsys.readouterr().err
    (tmp_path / "sized.json").write_text(json.dumps(COCO | {"images": [COCO["images"][0] | {"width": 40, "height": 50}]}))
    pictures_in(tmp_path / "sized", ["r1.png"], "train")
    assert convert(tmp_path / "sized.json", "--from", "coco", "--out", tmp_path / "sized") == 1
    assert "px, found those of a picture of 40 x 50 px; give the pictures that were" in capsys.readouterr().err
    from_0 = COCO | {"categories": [COCO["categories"][0] | {"skeleton": [[0, 1], [1, 2]]}]}
    (tmp_path / "from_0.json").write_text(json.dumps(from_0))
    assert convert(tmp_path / "from_0.json", "--from", "coco", "--out", tmp_path / "from_0") == 1
    assert "expected a skeleton of keypoints numbered from 1 to 3, found [[0, 1], [1, 2]]" in capsys.readouterr().err
    whole = COCO | {"annotations": [COCO["annotations"][0] | {"keypoints": [1, 1, 2, 10, 20, 2, 0, 0, 0]}]}
    (tmp_path / "whole.json").write_text(json.dumps(whole))
    assert convert(tmp_path / "whole.json", *out) == 0
    corner = COCO | {"annotations": [COCO["annotations"][0] | {"keypoints": [0, 0, 2, 10, 20, 2, 0, 0, 0]}]}
    (tmp_path / "corner.json").write_text(json.dumps(corner))
    assert convert(tmp_path / "corner.json", "--from", "coco", "--out", tmp_path / "corner") == 1
    assert "'a' of r1 is at (0, 0), as some write a missing one; remove it there" in capsys.readouterr().err
    assert convert(tmp_path / "whole.json", "--from", "coco", "--out", tmp_path / "once") == 0
    assert "all coordinates are whole; if they number pixels" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("kind", "content", "expected"),
    [
        ("coco", "{", "expected JSON"),
        ("coco", "{}", "not as coco writes it (KeyError: 'categories'); export it again"),
        ("coco", json.dumps(COCO | {"annotations": COCO["annotations"] * 2}), "expected one annotation of r1, found another"),
        ("labelme", json.dumps(LABELME | {"shapes": LABELME["shapes"][:1] * 2}), "expected 'a' of r1 once, found it twice"),
        ("labelme", json.dumps(LABELME | {"shapes": []}), "expected landmarks, found none; is it of labelme?"),
        ("deeplabcut", DEEPLABCUT[: DEEPLABCUT.index("labeled")], "expected landmarks, found none; is it of deeplabcut?"),
        ("labelstudio", json.dumps([TASK | {"annotations": TASK["annotations"] * 2}]), "found 2; export those"),
        ("deeplabcut", "a,b\n1,2\n", "expected rows that begin with scorer, bodyparts and coords"),
        ("sleap", "a,b\n1,2\n", "expected columns frame_idx, NODE.x and NODE.y, found a, b"),
        ("slicer", json.dumps({"markups": []}), "expected its radiograph source"),
    ],
)
def test_mistakes_get_one_line(tmp_path, capsys, kind, content, expected):
    (tmp_path / "source").write_text(content)
    assert convert(tmp_path / "source", "--from", kind, "--out", tmp_path / "out") == 1
    said = capsys.readouterr().err
    assert expected in said and said.count("\n") == 1 and "source" in said
    assert convert(tmp_path / "none", "--from", kind, "--out", tmp_path / "out") == 1
    assert "none" in capsys.readouterr().err


NAMES = "a", 'b, "left"', "c"


def pictures_in(folder: Path, names: Iterable[str], split: str = "train") -> Path:
    (folder / split).mkdir(parents=True)
    for name in names:
        iio.imwrite(folder / split / name, np.arange(256, dtype=np.uint8).reshape(16, 16))
    return folder


def annotate(raw: Path, *rows: list) -> None:
    with open(raw / "all_coordinates.csv", "w", newline="") as file:
        csv.writer(file).writerows([["ID", *(f"{name}_{axis}" for name in NAMES for axis in "xy")], *rows])


def test_no_landmark_is_lost_where_the_description_has_fewer(tmp_path, capsys):
    pictures_in(tmp_path / "raw", ["p1.png"])
    (tmp_path / "raw" / "all_coordinates.csv").write_text("p1,1,2,3,4,5,6\n")
    (tmp_path / "raw" / "joint.json").write_text('{"landmarks": ["a", "b"]}')
    assert convert(tmp_path / "raw", "--to", "labelme", "--out", tmp_path / "other") == 1
    assert "joint.json: expected the 3 landmarks of the table, found 2; name every landmark" in capsys.readouterr().err


def test_points_stay_with_their_radiographs_in_sleap(tmp_path):
    """`p1-2.png` comes before `p1.png` where files are sorted, and behind it where IDs are; that of p0 is not annotated."""
    raw = pictures_in(tmp_path / "raw", ["p1.png", "p0.png", "p1-2.png"])
    annotate(raw, ["p1", *range(6)], ["p1-2", 7, 8, "", "", 9, 1])
    assert convert(raw, "--to", "sleap", "--out", tmp_path / "sleap.csv") == 0
    with open(tmp_path / "sleap.csv", newline="") as file:
        written = list(csv.DictReader(file))
    assert [(row["frame_idx"], row["a.x"]) for row in written] == [("1", "7.0"), ("2", "0.0")]
    for images in (raw, raw / "train"):
        out = tmp_path / f"back {images.name}"
        assert convert(tmp_path / "sleap.csv", "--from", "sleap", "--images", images, "--out", out) == 0
        back = read_points(out / "all_coordinates.csv")
        assert back["p1"].tolist() == [[0, 1], [2, 3], [4, 5]] and back["p1-2"][[0, 2]].tolist() == [[7, 8], [9, 1]]
        assert read_names(out / "all_coordinates.csv") == NAMES


def test_sleap_numbers_only_what_it_reads(tmp_path, capsys):
    raw = pictures_in(tmp_path / "raw", ["a.PNG", "b.png"])
    (raw / "all_coordinates.csv").write_text("a,1,2\nb,3,4\n")
    assert convert(raw, "--to", "sleap", "--out", tmp_path / "sleap.csv") == 1
    assert "a.PNG: expected no file that SLEAP passes over" in capsys.readouterr().err
    (raw / "train" / "b.tif").write_bytes((raw / "train" / "b.png").read_bytes())
    assert convert(raw, "--to", "coco", "--out", tmp_path / "coco.json") == 1
    assert "b.tif: the ID b is also that of" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["labelme", "slicer"])
def test_a_landmark_that_the_first_file_lacks_keeps_its_column(tmp_path, kind):
    """The order is that of the radiograph with most landmarks; a seventh digit of a coordinate is kept."""
    raw = pictures_in(tmp_path / "raw", ["p0.png", "p1.png", "p2.png"])
    header = "ID,a_x,a_y,b_x,b_y,c_x,c_y"
    (raw / "all_coordinates.csv").write_text(f"{header}\np0,1,1,,,3,3\np1,1,1,1234.567,1,3,3\np2,,,2,2,3,3\n")
    assert convert(raw, "--to", kind, "--out", tmp_path / "files") == 0
    assert convert(tmp_path / "files", "--from", kind, "--images", raw, "--out", tmp_path / "back") == 0
    assert (tmp_path / "back" / "all_coordinates.csv").read_text().startswith(header)
    assert read_points(tmp_path / "back" / "all_coordinates.csv")["p1"][1, 0] == 1234.567


def test_orders_of_landmarks_are_put_together():
    for texts in ("ac abc abc", "bc abc abc", "ab cd abcd", "bcd ab df abcdf"):
        *orders, expected = texts.split()
        points = {str(i): {name: (0.0, 0.0) for name in order} for i, order in enumerate(orders)}
        assert "".join(names_in_order(points)) == expected


def test_pictures_may_be_named_by_any_ending(tmp_path):
    images = pictures_in(tmp_path, ["x2.png", "x1.tif"], "images") / "images"
    (tmp_path / "sleap.csv").write_text(SLEAP)
    assert convert(tmp_path / "sleap.csv", "--from", "sleap", "--out", tmp_path / "raw", "--images", images) == 0
    assert list(read_points(tmp_path / "raw" / "all_coordinates.csv")) == ["x1", "x2"]


def test_a_file_of_labelme_that_names_no_picture_is_of_its_own_name(tmp_path):
    (tmp_path / "r7.json").write_text(json.dumps({"shapes": LABELME["shapes"]}))
    assert convert(tmp_path / "r7.json", "--from", "labelme", "--out", tmp_path / "raw") == 0
    assert list(read_points(tmp_path / "raw" / "all_coordinates.csv")) == ["r7"]


def test_cephalograms_as_the_challenge_publishes_them(tmp_path, capsys):
    """19 lines of x,y, and then eight of a classification; whole px from the first pixel's centre."""
    lines = [f"{835 + i},{996 + 2 * i}" for i in range(19)] + ["1"] * 8
    (tmp_path / "400_senior").mkdir()
    (tmp_path / "400_senior" / "001.txt").write_text("\n".join(lines) + "\n")
    assert convert(tmp_path / "400_senior", "--from", "isbi2015", "--reader", "senior", "--out", tmp_path / "raw") == 0
    table = tmp_path / "raw" / "readers" / "senior.csv"
    points = read_points(table)["001"]
    assert points.tolist() == [[835 + i, 996 + 2 * i] for i in range(19)]
    assert read_names(table)[:2] == ("sella", "nasion") and read_names(table)[-1] == "articulare"
    (tmp_path / "400_senior" / "002.txt").write_text("\n".join(lines[:9]))
    (tmp_path / "train").mkdir()
    iio.imwrite(tmp_path / "train" / "001.bmp", np.zeros((20, 10), np.uint8))
    some = ("--from", "isbi2015", "--images", tmp_path / "train", "--out", tmp_path / "one")
    assert convert(tmp_path / "400_senior", *some) == 0 and "1 of 2 left out" in capsys.readouterr().out
    assert convert(tmp_path / "400_senior", "--from", "isbi2015", "--out", tmp_path / "other") == 1


def test_spines_as_the_challenge_publishes_them_are_put_in_order(tmp_path, capsys):
    """Shares of 100 x 200 px; the second spine begins with the last vertebra, which lies at the top."""
    right = np.array([(10 + 50 * (k % 2), 5 + 5 * (k // 2)) for k in range(68)], float)
    (tmp_path / "pictures").mkdir()
    for name in ("a.jpg", "b AP.jpg"):
        iio.imwrite(tmp_path / "pictures" / name, np.zeros((200, 100), np.uint8))
    beside = np.roll(right, -4, 0)
    beside[0] = (100, 30)  # the right edge of a picture of 100 px is at 99.5
    shares = [(points / (100, 200)).T.ravel() for points in (right, beside)]
    np.savetxt(tmp_path / "landmarks.csv", shares, delimiter=",")
    (tmp_path / "filenames.csv").write_text("a.jpg\nb AP.jpg\n")
    source = tmp_path / "landmarks.csv", "--from", "aasce2019"
    assert convert(*source, "--out", tmp_path / "raw", "--images", tmp_path / "pictures") == 0
    said = capsys.readouterr().out
    assert "1 spines whose last vertebra was the first (b AP)" in said and "outside their picture (b AP: T2 upper left)" in said
    points, blank = read_points(tmp_path / "raw" / "all_coordinates.csv"), right.copy()
    blank[4] = np.nan
    assert points["a"] == pytest.approx(right) and points["b AP"] == pytest.approx(blank, nan_ok=True)
    assert read_names(tmp_path / "raw" / "all_coordinates.csv")[5] == "T2 upper right"
    assert convert(*source, "--out", tmp_path / "none") == 1 and "expected --images" in capsys.readouterr().err
