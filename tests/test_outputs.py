"""What predictions say in files and pictures, from predictions made up."""

import csv
import io
import json

import numpy as np
import pytest

import predict
from joints.description import Description
from joints.hand import HAND as JOINT
from joints.hand import MEAN_SHAPE, NAMES
from joints.known import joint_called
from prediction.calibration import DOUBTFUL, MISPLACED, NO_HAND, NO_OUTLINE, OF_RADIOGRAPHS, OTHER_SIDE, OUTSIDE, UNLIKE_TRAINING
from prediction.outputs import COLUMNS, MEASURE_COLUMNS, Coco, annotation, image_of, landmark_rows, measure_rows, write_slicer
from prediction.overlay import COLOURS, base_picture, draw
from prediction.page import card
from prediction.predictor import Prediction
from radiographs.radiograph import Radiograph
from runtime.files import csv_lines

EXTENT = 400, 500  # width, height px
HAND = MEAN_SHAPE * 120 + (200, 260)


def made(points_px: np.ndarray = HAND, flags: dict[int, str] | None = None, of_radiograph: list[str] | None = None) -> Prediction:
    """A prediction of confidence 0.5 and ellipses of 3 by 1 px that lie along y, with flags of some landmarks."""
    count = len(points_px)
    ellipses = np.tile(np.diag([1.0, 9.0]), (count, 1, 1))
    return Prediction(
        points_px, np.full(count, 0.5), ellipses, of_radiograph or [], [(flags or {}).get(i, "") for i in range(count)]
    )


def radiograph(spacing_mm: tuple[float, float] | None = None) -> Radiograph:
    return Radiograph(np.empty(0), spacing_mm)


def table(columns: list[str], rows: list[list]) -> list[dict[str, str]]:
    """What a spreadsheet reads."""
    return list(csv.DictReader(io.StringIO(csv_lines([columns, *rows]).decode())))


def measured(prediction: Prediction, spacing_mm: tuple[float, float] | None = None) -> dict[str, dict[str, str]]:
    """Rows by measure."""
    rows = measure_rows("a.png", JOINT, radiograph(spacing_mm), prediction)
    return {row["measure"]: row for row in table(MEASURE_COLUMNS, rows)}


def coco_of(prediction: Prediction) -> dict:
    """The annotation that a COCO file has of it."""
    file = io.BytesIO()
    coco = Coco(file)
    coco.add(image_of("a.png", EXTENT, {}), [annotation(JOINT, prediction)])
    coco.close(JOINT)
    return json.loads(file.getvalue())["annotations"][0]


FLAGGED = {20: OUTSIDE, 24: f"{OUTSIDE}; {MISPLACED}", 3: DOUBTFUL, 4: MISPLACED, 5: f"{DOUBTFUL}; {MISPLACED}"}


def test_coco_tells_sure_doubtful_and_outside_landmarks_apart():
    annotation = coco_of(made(flags=FLAGGED, of_radiograph=list(OF_RADIOGRAPHS)))
    x, y, visible = np.reshape(annotation["keypoints"], (37, 3)).T
    assert visible.tolist() == [{3: 1, 4: 1, 5: 1, 20: 0, 24: 0}.get(i, 2) for i in range(37)]
    there = np.delete(np.arange(37), (20, 24))
    assert np.stack([x, y], 1)[there] == pytest.approx(HAND[there], abs=0.01) and not x[[20, 24]].any() and not y[[20, 24]].any()
    assert annotation["num_keypoints"] == 35
    assert annotation["regions"] == [[3, 1, 90]] * 37
    low, high = HAND[there].min(0), HAND[there].max(0)
    assert annotation["bbox"] == pytest.approx([*low, *(high - low)], abs=0.01)


def test_coco_knows_no_sure_landmark_in_what_is_no_hand():
    for alien in (NO_HAND, UNLIKE_TRAINING):
        annotation = coco_of(made(flags={20: OUTSIDE}, of_radiograph=["a note of the reader", alien]))
        assert [annotation["keypoints"][2::3].count(v) for v in (0, 1, 2)] == [1, 36, 0]
    annotation = coco_of(made(flags=dict.fromkeys(range(37), OUTSIDE), of_radiograph=[NO_HAND]))
    assert annotation["keypoints"] == [0] * 111 and annotation["num_keypoints"] == 0
    assert annotation["bbox"] == [0, 0, 0, 0] and annotation["area"] == 0


def test_slicer_markups_place_no_landmark_that_is_outside(tmp_path):
    write_slicer(tmp_path / "a.json", JOINT, radiograph((0.2, 0.2)), made(flags=FLAGGED, of_radiograph=[NO_HAND]))
    points = json.loads((tmp_path / "a.json").read_text())["markups"][0]["controlPoints"]
    assert [i for i, point in enumerate(points) if point["positionStatus"] != "defined"] == [20, 24]
    assert {point["positionStatus"] for point in points} <= {"undefined", "preview", "defined"}  # the words of schema 1.0.3
    assert all(("position" in point) == (point["positionStatus"] == "defined") for point in points)
    assert points[24]["description"] == f"confidence 0.50, region 3.0 x 1.0 px at 90 degrees; {OUTSIDE}; {MISPLACED}; {NO_HAND}"
    assert points[0]["description"] == f"confidence 0.50, region 3.0 x 1.0 px at 90 degrees; {NO_HAND}"


def test_measures_name_flagged_landmarks_and_what_they_may_be_off():
    prediction = made(flags=FLAGGED)
    prediction.ellipse_px2[:] = np.eye(2) * np.arange(37)[:, None, None] ** 2
    rows = measured(prediction)
    assert rows["middle metacarpal"]["flags"] == "" and rows["index DIP"]["flags"] == f"index tip: {OUTSIDE}, {MISPLACED}"
    assert rows["thumb distal phalanx"]["flags"] == f"thumb tip: {OUTSIDE}"
    assert float(rows["middle distal phalanx"]["plus_minus"]) == pytest.approx(27 + 28, rel=1e-5)
    assert rows["middle distal phalanx"]["unit"] == "px"
    row = measured(prediction, (0.1, 0.2))["middle distal phalanx"]  # it lies nearly along y, where a pixel is 0.2 mm
    assert float(row["plus_minus"]) == pytest.approx(0.2 * (27 + 28), rel=1e-3) and row["unit"] == "mm"
    assert float(row["value"]) == pytest.approx(np.hypot(*((HAND[28] - HAND[27]) * (0.1, 0.2))), rel=1e-6)

    prediction.ellipse_px2[28] = np.nan  # a landmark that calibration has never seen
    rows = measured(prediction)
    assert rows["middle distal phalanx"]["plus_minus"] == rows["middle DIP"]["plus_minus"] == ""
    assert {row["flags"] for row in measured(made(of_radiograph=[NO_HAND])).values()} == {NO_HAND}


def test_tables_pages_and_overlays_say_outside():
    prediction = made(flags=FLAGGED, of_radiograph=[OF_RADIOGRAPHS[0]])
    rows = table(COLUMNS, landmark_rows("a.png", JOINT, radiograph(), prediction))
    assert rows[20]["landmark_flags"] == OUTSIDE == "outside the picture" and OUTSIDE in rows[0]["flags"]
    base = base_picture(np.full(EXTENT[::-1], 100, np.float32) + np.arange(EXTENT[0]))
    picture = draw(base, [prediction], EXTENT, JOINT, with_names=False)
    assert "joints outside the picture" in card("a.png", "a.png", picture, [prediction])["card"]
    pictures = [picture, *(draw(base, [made(flags=flags)], EXTENT, JOINT, with_names=False) for flags in (FLAGGED, None))]
    letters = [(np.array(one.convert("RGB"))[:20] == COLOURS[3]).all(-1).sum() for one in pictures]
    assert letters[0] > letters[1] + 100 > 200 and letters[2] == 0  # flags of the radiograph, and what a cross means
    cross, dot = (np.array(draw(base, [made(flags={20: flag})], EXTENT, JOINT, False)) for flag in (OUTSIDE, DOUBTFUL))
    assert (cross != dot).any()


def test_a_strip_of_a_picture_has_an_overlay():
    assert base_picture(np.random.default_rng(0).random((20, 60_000))).size == (720, 1)


def test_help_lists_every_flag():
    for flag in (OUTSIDE, DOUBTFUL, MISPLACED, NO_OUTLINE, OTHER_SIDE, *OF_RADIOGRAPHS, NO_HAND, UNLIKE_TRAINING):
        assert flag in " ".join(predict.__doc__.split()), flag


@pytest.mark.parametrize(("joint", "bones"), [(joint_called(NAMES, None), True), (Description.numbered(37), False)])
def test_bones_are_drawn_between_a_hands_landmarks_alone(joint, bones):
    """The names in the weights decide, not the number of landmarks."""
    base = base_picture(np.random.default_rng(0).integers(0, 255, EXTENT[::-1]).astype(np.float32))
    picture = np.array(draw(base, [made()], EXTENT, joint, with_names=False).convert("RGB"))
    assert (picture == COLOURS[2]).all(-1).any() == bones
