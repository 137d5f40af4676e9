"""The description of a joint: what it may say, what is refused and how, and that it reaches every output."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from dataloader import RadiographDataset
from joints.description import Defined, Description, Scale, read_description
from joints.hand import HAND, MEAN_SHAPE
from joints.known import joint_called, joint_of, shaped_as
from joints.lengths_angles import lengths_and_angles
from joints.shape import mirror_order, of_the_other_side
from radiographs.raw_folder import read_annotations, read_names
from runtime.files import DataError
from training.check import misread, of_other_size, wrong_pairs

KNEE = {
    "joint": "knee",
    "landmarks": ["fm", "fl", "tm", "tl"],
    "skeleton": [["fm", "tm"], ["fl", "tl"]],
    "laterality": "right",
    "mirror": [["fm", "fl"], ["tm", "tl"]],
    "scale": {"name": "ball", "landmarks": ["fm", "fl"], "mm": 25},
    "measures": {
        "width": {"length": ["tm", "tl"]},
        "corner": {"angle": ["fl", "fm", "tl"]},
        "wedge": {"angle": ["fm", "fl", "tm", "tl"]},
        "turn": {"bend": ["fm", "tm", "tl"]},
        "less": {"difference": ["corner", "wedge"]},
        "Cobb": {"largest angle": [["fm", "fl"], ["tm", "tl"], ["tl", "fl"]]},
    },
    "bends": ["fm", "tm", "fl"],
    "late": ["tl"],
}
DIFFERENCES = {  # of lengths, and of angles
    "l": {"length": ["fm", "fl"]}, "k": {"length": ["tm", "tl"]}, "l - k": {"difference": ["l", "k"]},
    "v": {"angle": ["fl", "fm", "tl"]}, "w": {"bend": ["fm", "tm", "tl"]}, "v - w": {"difference": ["v", "w"]},
}  # fmt: skip


def test_a_description_by_hand():
    knee = Description.of_file(KNEE, "joint.json")
    assert knee.names == ("fm", "fl", "tm", "tl") and knee.joint == "knee" and knee.skeleton == ((0, 2), (1, 3))
    assert knee.scale == Scale("ball", (0, 1), 25) and str(knee.scale) == "ball = 25 mm (points 0 and 1)"
    assert knee.measures[2] == Defined("wedge", "angle", (0, 1, 2, 3)) and knee.bends == (0, 2, 1) and knee.late == (3,)
    assert knee.exchanged == [1, 0, 3, 2]
    assert (knee.side(False), knee.side(True), HAND.side(False), HAND.side(True)) == ("right", "left", "left", "right")
    assert (knee.absent, HAND.absent, Description(("a",), joint="ankle").absent) == ("not a knee", "not a hand", "not an ankle")
    assert Description.numbered(2) == Description(("0", "1")) and Description.numbered(2).absent == ""


@pytest.mark.parametrize(
    "joint", [HAND, Description.of_file(KNEE, ""), Description(("a",)), Description(("a", "b"), laterality="none")]
)
def test_what_is_written_is_read_again(joint):
    assert Description.of_file(json.loads(json.dumps(joint.to_file())), "joint.json") == joint


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"bones": []}, "only the keys joint, landmarks, skeleton, laterality, mirror, scale, measures, bends, late"),
        ({"skeleton": [["fm", "patella"]]}, "a landmark in skeleton, found 'patella'; its landmarks are fm, fl, tm, tl"),
        ({"skeleton": [["fm"]]}, '2 names of landmarks in skeleton, found ["fm"]'),
        ({"skeleton": "fm-fl"}, "skeleton to be a list, found fm-fl"),
        ({"mirror": [["fm", "fl"], ["fm", "tl"]]}, "every landmark in one pair of mirror at most, found 'fm' in two"),
        ({"laterality": "both"}, "laterality to be one of left, right, either, none, found both"),
        ({"landmarks": ["fm", "fl", "fm", "tl"]}, "every landmark once, found 'fm' twice"),
        ({"landmarks": [1, 2, 3, 4]}, "landmarks to be a list of names, found [1, 2, 3, 4]"),
        ({"scale": {"landmarks": ["fm", "fl"]}}, 'scale to have "landmarks", "mm" and maybe "name"'),
        ({"scale": {"landmarks": ["fm", "fl"], "mm": "25"}}, "millimetres above 0"),
        ({"measures": {"width": ["tm", "tl"]}}, "measure 'width' to be one of length, angle, bend, largest angle, difference"),
        ({"measures": {"Cobb": {"largest angle": [["tm", "tl"]]}}}, "measure 'Cobb' to be a list of two lines or more"),
        ({"measures": {"Cobb": {"largest angle": [["tm", "tl"], ["fm"]]}}}, "2 names of landmarks in measure 'Cobb'"),
        ({"measures": {"width": {"length": ["tm", "tx"]}}}, "a landmark in measure 'width', found 'tx'"),
        ({"measures": {"width": {"length": ["tm", "tm"]}}}, "different landmarks in measure 'width'"),
        ({"measures": {"a": {"difference": [["b"], "c"]}}}, "measure 'a' to be the difference of two measures above it"),
        ({"measures": {"a": {"difference": ["b", "c"]}}}, "measure 'a' to be the difference of two measures above it"),
        (
            {"measures": {"a": {"length": ["fm", "fl"]}, "b": {"angle": ["fm", "fl", "tm"]}, "c": {"difference": ["a", "b"]}}},
            "measure 'c' to be the difference of two lengths, or of two angles",
        ),
        (
            {"measures": DIFFERENCES | {"d": {"difference": ["l - k", "v - w"]}}},
            "measure 'd' to be the difference of two lengths",
        ),
        ({"measures": DIFFERENCES | {"d": {"difference": ["v", "l - k"]}}}, "measure 'd' to be the difference of two lengths"),
        ({"joint": 7}, "joint to be its name, found 7"),
    ],
)
def test_mistakes_are_refused_by_name(tmp_path, change, expected):
    (tmp_path / "joint.json").write_text(json.dumps(KNEE | change))
    with pytest.raises(DataError) as refused:
        read_description(tmp_path / "joint.json")
    assert str(refused.value).startswith(f"{tmp_path / 'joint.json'}: expected ") and expected in str(refused.value)
    assert "\n" not in str(refused.value)


def test_differences_of_differences():
    more = {"d": {"difference": ["l - k", "l"]}, "e": {"difference": ["w", "v - w"]}}
    assert len(Description.of_file(KNEE | {"measures": DIFFERENCES | more}, "joint.json").measures) == 8


def test_a_file_that_is_no_description(tmp_path):
    path = tmp_path / "joint.json"
    assert read_description(path) is None and read_description(path, ("a", "b")) == Description(("a", "b"))
    mistakes = {"{": "expected JSON", "[]": "expected an object", '{"joint": "knee"}': "or a header NAME_x,NAME_y"}
    for text, expected in mistakes.items():
        path.write_text(text)
        with pytest.raises(DataError, match=expected):
            read_description(path)
    path.write_text('{"landmarks": ["a", "b"]}')
    with pytest.raises(DataError, match="expected the landmarks of the table's header, 'c' here, found 'b'; make them agree"):
        read_description(path, ("a", "c"))
    path.write_text('{"joint": "knee"}')
    assert read_description(path, ("a", "c")) == Description(("a", "c"), joint="knee")


def test_names_of_a_header(tmp_path):
    path = tmp_path / "all_coordinates.csv"
    for header, names in (
        ("ID,sella_x,sella_y,A point_X,A point_Y", ("sella", "A point")),
        ("id, sella_x , sella_y,nasion.x,nasion.y", ("sella", "nasion")),
        ("ID,A1X,A1Y,A2X,A2Y", ("A1", "A2")),
        ("ID,x0,y0,x1,y1", None),
        ("ID,x,y,x,y,,", None),
        ("image,a,b,c,d", None),
    ):
        path.write_text(f"{header}\nr1,1,2,3,4\n")
        assert read_names(path) == names
    path.write_text("r1,1,2,3,4\n")
    assert read_names(path) is None
    for header, expected in (
        ("ID,sella_x,sella_y,nasion_x,nasion", "names of landmark 1 as NAME_x,NAME_y, found 'nasion_x' and 'nasion'"),
        ("ID,sella_x,sella_y,nasion_y,nasion_x", "names of landmark 1 as NAME_x,NAME_y, found 'nasion_y' and 'nasion_x'"),
        ("ID,sella_x,sella_y,sella_x,sella_y", "every landmark once, found 'sella' twice"),
        ("ID,a_x,b_x,a_y,b_y", "names of landmark 0 as NAME_x,NAME_y, found 'a_x' and 'b_x'"),
        ("ID,x1,x2,y1,y2", "x and y of one landmark after the other, found 'x1' and 'x2'"),
        ("ID,y1,x1,y2,x2", "x and y of one landmark after the other, found 'y1' and 'x1'"),
        ("ID,x1,y2,x2,y1", "x and y of one landmark after the other, found 'x1' and 'y2'"),
        ("ID,A1Y,A1X,A2Y,A2X", "names of landmark 0 as NAME_x,NAME_y, found 'A1Y' and 'A1X'"),
        ("ID,x1,y1,x0,y0", "in the order of their numbers"),
        ("ID,row0,col0,row1,col1", "found 'row0'"),
        ("ID,age,weight,x0,y0", "found 'age'"),
        ("ID,x0,y0", "expected as many values as its header names, 2, found 4"),
        ("ID,sella_x,sella_y", "expected as many values as its header names, 2, found 4"),
    ):
        path.write_text(f"{header}\nr1,1,2,3,4\n")
        with pytest.raises(DataError) as refused:
            read_names(path)
        assert expected in str(refused.value)


def test_measures_by_hand():
    """A square of 10 px, one corner moved: fm (0, 0), fl (10, 0), tm (0, 10), tl (10, 20)."""
    points = np.array([[0.0, 0], [10, 0], [0, 10], [10, 20]])
    ellipses = np.eye(2) * np.array([1.0, 1, 1, 2])[:, None, None] ** 2  # circles
    values = {one.name: one for one in lengths_and_angles(Description.of_file(KNEE, ""), points, ellipses)}
    assert list(values) == list(KNEE["measures"])
    width = values["width"]
    assert (width.value, width.plus_minus) == pytest.approx((200**0.5, 3)) and width.kind == "length"
    assert values["corner"].value == pytest.approx(np.degrees(np.arctan2(20, 10)))
    assert values["wedge"].value == pytest.approx(45)
    # from straight down to down and right: 45 degrees, towards fl, which lies on the right of the line down
    assert values["turn"].value == pytest.approx(45) and values["turn"].kind == "angle"
    assert values["less"].value == pytest.approx(values["corner"].value - 45) and values["less"].landmarks == (1, 0, 3, 2)
    first, second, third = (np.degrees(np.arcsin(slack / length)) for slack, length in ((2, 10), (3, 200**0.5), (3, 500**0.5)))
    assert values["corner"].plus_minus == pytest.approx(first + third, abs=0.1)  # turns come in steps of a twentieth of a degree
    assert values["wedge"].plus_minus == pytest.approx(first + second, abs=0.1)
    assert values["less"].plus_minus == pytest.approx(2 * first + second + third, abs=0.2)
    # lines at 0, 45 and -90 degrees, of which the last one can turn least
    assert values["Cobb"].value == pytest.approx(135) and values["Cobb"].kind == "angle"
    assert values["Cobb"].plus_minus == pytest.approx(first + second, abs=0.1)
    mirrored = {one.name: one.value for one in lengths_and_angles(Description.of_file(KNEE, ""), points * (-1, 1), ellipses)}
    assert mirrored == pytest.approx({name: one.value for name, one in values.items()})


def test_the_joint_that_ships_is_known_by_shape_and_by_names():
    points = np.stack([MEAN_SHAPE * 100])
    assert shaped_as(points) is HAND is joint_of(points, None) is joint_called(list(HAND.names), None)
    assert shaped_as(points[:, ::-1]) is None and joint_of(points[:, ::-1], None).names == tuple(map(str, range(37)))
    assert joint_called(["a", "b"], None) == Description(("a", "b"))
    assert joint_of(points, KNEE).joint == joint_called(["x"], KNEE).joint == "knee"


def test_shapes_of_the_other_side():
    rng = np.random.default_rng(0)
    shapes = np.array([[0.0, 0], [10, 1], [4, 9], [1, 6]]) + rng.normal(0, 0.5, (9, 4, 2))
    shapes[2, 1] = np.nan
    assert not of_the_other_side(shapes).any()
    shapes[[1, 4, 5]] *= (-1, 1)
    assert of_the_other_side(shapes + 100).tolist() == [False, True, False, False, True, True, False, False, False]
    assert of_the_other_side(shapes * (-1, 1)).tolist() == of_the_other_side(shapes).tolist()
    assert of_the_other_side(shapes[[1, 0, 2, 3]]).tolist() == [True, False, False, False]  # the first is not always right


def annotated(shapes: np.ndarray, joint: Description) -> SimpleNamespace:
    """A data set as far as the check of shapes needs it."""
    return type("Data", (SimpleNamespace,), {"__len__": lambda self: len(self.ids)})(
        points_px=shapes, points_network_px=shapes, joint=joint, ids=[f"r{i}" for i in range(len(shapes))], split="train"
    )


def test_landmarks_that_a_mirrored_radiograph_exchanges():
    """Spines, bent to either side, have left and right corners; hands and ladders of five unlike rungs are not symmetric."""
    rng = np.random.default_rng(0)
    rungs = np.stack([np.tile([20.0, 40.0], 5), np.repeat(10.0 * np.arange(5), 2)], 1)
    bent = rungs + rng.normal(0, 3, (30, 1, 2)) + rng.normal(0, 2, (30, 10, 2)) + [(4, 0)]
    bent[3, 2], bent[:, 4] = np.nan, bent[:, 4] + (0.5, 0)
    assert mirror_order(bent).tolist() == mirror_order(bent[:1], np.inf).tolist() == [1, 0, 3, 2, 5, 4, 7, 6, 9, 8]
    assert mirror_order(bent * (1, 1) + np.outer(np.arange(10), (8, 0))) is None
    assert mirror_order(MEAN_SHAPE + rng.normal(0, 0.01, (30, 37, 2))) is None
    bent[:, 7] = np.nan
    assert mirror_order(bent) is None


@pytest.mark.parametrize(
    ("joint", "count", "symmetric"),
    [
        (Description(tuple("abcd")), 30, True),
        (Description(tuple("abcd")), 19, False),  # too few to tell
        (Description(tuple("abcd"), laterality="left"), 30, False),
        (Description(tuple("abcd"), mirror=((0, 1), (2, 3))), 3, True),
        (Description(tuple("abcd"), laterality="right", mirror=((0, 1), (2, 3))), 30, False),
    ],
)
def test_which_radiographs_are_shown_mirrored(joint, count, symmetric):
    class Data(RadiographDataset):
        def __init__(self):
            self.joint, self.ids = joint, list(range(count))
            square = np.array([[0.0, 0], [30, 0], [0, 30], [30, 30]])
            self.points_network_px = square + np.random.default_rng(0).normal(0, 2, (count, 4, 2))

    assert Data().is_symmetric() == symmetric and Data().mirror_order().tolist() == [1, 0, 3, 2]


def test_a_single_landmark_may_be_one_of_two_sides():
    class Data(RadiographDataset):
        def __init__(self):
            self.joint, self.ids = Description(("hip",)), list(range(30))
            self.points_network_px = np.random.default_rng(0).normal((20, 40), 2, (30, 1, 2))

    assert not Data().is_symmetric() and Data().mirror_order().tolist() == [0]


def test_the_check_knows_sides_and_mirror_pairs():
    """A mirrored radiograph is suspicious unless both sides are there; exchanged landmarks are, where pairs are named."""
    names, rng = ("left", "right", "top", "spine"), np.random.default_rng(0)
    pelvis = np.array([[0.0, 0], [10, 0], [5, -9], [6, 4]]) + rng.normal(0, 0.2, (9, 4, 2))
    pelvis[3] = pelvis[3][[1, 0, 2, 3]]
    found = list(misread([annotated(pelvis, Description(names, mirror=((0, 1),)))]))
    assert found == ["train/r3: left and right landmarks may be exchanged: its points then lie like the others'"]
    wing = np.array([[0.0, 0], [20, 1], [14, 5], [4, 9]]) + rng.normal(0, 0.2, (9, 4, 2))
    wing[4] = wing[4] * (1, -1)
    assert ["counted from below" in line for line in misread([annotated(wing, Description(names))])] == [True]
    foot = np.array([[0.0, 0], [10, 1], [4, 9], [1, 6]]) + rng.normal(0, 0.2, (9, 4, 2))
    foot[[1, 2, 5]] *= (-1, 1)
    assert len(list(misread([annotated(foot, Description(names))]))) == 3
    assert not list(misread([annotated(foot, Description(names, laterality="either"))]))


def test_the_check_finds_landmarks_in_another_order_and_radiographs_on_their_side():
    """Two exchanged, all one on, and turned by a quarter. Landmarks near each other are not."""
    names = tuple("abcde")
    points = np.array([[0.0, 0], [10, 1], [18, 9], [3, 14], [9, 30]]) + np.random.default_rng(0).normal(0, 0.3, (12, 5, 2))
    assert not list(misread([annotated(points, Description(names))]))
    points[2, [0, 3]] = points[2, [3, 0]]
    points[4] = np.roll(points[4], 1, axis=0)
    points[6] = points[6, :, ::-1] * (1, -1)  # (x, y) -> (y, -x): what lay to the right lies above
    points[7] = points[7, :, ::-1] * (-1, 1)
    points[9, [1, 4]] += np.array([[-0.6, 17.4], [0.6, -17.4]])  # 0.6 of the way between them: 2/3 as far when exchanged
    points[11, 2] = np.nan
    points[11, [1, 4]] = points[11, [4, 1]]
    found = list(misread([annotated(points, Description(names))]))
    assert found == [
        "train/r2: landmarks a, d may be exchanged: they then lie like the others'",
        "train/r4: landmarks a, b, c, d, e may be exchanged: they then lie like the others'",
        "train/r6: may be turned by a quarter to the left: its points then lie like the others'",
        "train/r7: may be turned by a quarter to the right: its points then lie like the others'",
        "train/r11: landmarks b, e may be exchanged: they then lie like the others'",
    ]
    near = np.array([[0.0, 0], [10, 1], [5, 20], [5, 20.4]]) + np.random.default_rng(0).normal(0, 0.3, (30, 4, 2))
    assert not list(misread([annotated(near, Description(tuple("abcd")))]))  # the last two are often nearer each other's place


def test_the_check_finds_points_of_another_size():
    """In mm of 0.1 a px, and of a copy twice as large; not where landmarks are missing, hands turned, or sizes differ anyhow."""
    rng = np.random.default_rng(0)
    shape = np.array([[10.0, 10], [50, 10], [10, 90], [30, 20]]) + rng.normal(0, 0.2, (30, 4, 2))

    def found(points: np.ndarray) -> list[str]:
        return [line[:29] for line in of_other_size([annotated(points, Description(tuple("abcd")))])]

    shape[3, 2], shape[5, 1:], shape[6], shape[8] = np.nan, np.nan, np.nan, shape[8, :, ::-1] * (-1, 1)
    assert not found(shape)
    assert not found(shape * np.exp(rng.normal(0, 0.4, (30, 1, 1))))
    shape[[1, 2, 4, 7]] *= [[[0.1]], [[2]], [[0.1]], [[0]]]
    expected = {"r1": "0.1", "r2": "2.0", "r4": "0.1", "r7": "0.0"}
    assert found(shape) == [f"train/{id}: its points span {times}" for id, times in expected.items()]


def test_readers_may_name_their_columns_in_another_order(tmp_path):
    (tmp_path / "readers").mkdir()
    (tmp_path / "readers" / "anna.csv").write_text("ID,a_x,a_y,b_x,b_y\nr,1,2,3,4\n")
    (tmp_path / "readers" / "ben.csv").write_text("ID,b_x,b_y,a_x,a_y\nr,5,6,7,8\n")
    annotations = read_annotations(tmp_path)
    assert annotations.names == ("a", "b") and annotations.points["r"].tolist() == [[4, 5], [4, 5]]
    assert annotations.readings["ben"]["r"].tolist() == [[7, 8], [5, 6]]
    (tmp_path / "readers" / "ben.csv").write_text("ID,b_x,b_y,c_x,c_y\nr,5,6,7,8\n")
    with pytest.raises(DataError, match="expected the landmark 'a'"):
        read_annotations(tmp_path)
    (tmp_path / "readers" / "ben.csv").write_text("ID,x0,y0,x1,y1\nr,5,6,7,8\n")
    assert read_annotations(tmp_path).points["r"].tolist() == [[3, 4], [5, 6]]
    (tmp_path / "readers" / "ben.csv").write_text("r,5,6,7,8\n")
    with pytest.raises(DataError, match="ben\\.csv: expected a header ID,NAME_x,NAME_y,"):
        read_annotations(tmp_path)
    (tmp_path / "readers" / "ben.csv").unlink()
    (tmp_path / "all_coordinates.csv").write_text("r,5,6,7,8\n")  # whose order a reader of label.py has
    assert read_annotations(tmp_path).points["r"].tolist() == [[1, 2], [3, 4]]


def test_mirror_pairs_that_the_mean_shape_does_not_have_are_found():
    """A pelvis of two hips and two knees, and a symphysis between; a wing that is no mirror image of itself."""
    rng, names = np.random.default_rng(0), ("left hip", "right hip", "left knee", "right knee", "symphysis")
    pelvis = np.array([[60.0, 40], [20, 40], [62, 90], [18, 90], [40, 50]]) + rng.normal(0, 1, (20, 5, 2))
    wing = np.array([[10.0, 20], [90, 30], [60, 80], [30, 70], [80, 60]]) + rng.normal(0, 1, (20, 5, 2))

    def found(points, mirror, laterality=""):
        data = annotated(points, Description(names, mirror=mirror, laterality=laterality))
        data.points_network_px = points
        data.is_symmetric = lambda: bool(mirror) and laterality != "left"
        return list(wrong_pairs([data]))

    assert not found(pelvis, ((0, 1), (2, 3))) and not found(pelvis, ())
    (line,) = found(pelvis, ((0, 2), (1, 3)))
    assert line.startswith("joint.json: mirrored radiographs rather exchange left hip and right hip, left knee and right knee;")
    (line,) = found(pelvis, ((0, 1),))
    assert "rather exchange left knee and right knee; correct" in line
    assert "the landmarks are not symmetric" in found(wing, ((0, 1),))[0] and not found(wing, ((0, 1),), "left")
