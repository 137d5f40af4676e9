"""The size of a pixel that a person states, from the raw folder to the tables, and in predictions; a file's own goes first."""

import json
import re

import imageio.v3 as iio
import numpy as np
import pytest
import SimpleITK as sitk
from conftest import command, made_radiograph, preprocess, rows_of, train, write_weights

import predict
from joints.description import Description
from prediction.folder import check_rows
from prediction.listing import Item
from radiographs.pixel_size import read_size, stated_sizes, with_stated
from radiographs.radiograph import Radiograph
from radiographs.raw_folder import read_names, read_points
from runtime.files import DataError


def test_sizes_are_row_and_column_as_of_dicom():
    assert read_size(0.1, "here") == read_size("0.1", "here") == read_size([0.1], "here") == (0.1, 0.1)
    assert read_size([0.1, 0.12], "here") == read_size("0.1x0.12", "here") == (0.12, 0.1)  # (x, y)
    for wrong in (0, -1, 11, True, "0,1", "", "x", None, [], [0.1, 0.1, 0.1], [0.1, "a"], float("nan"), {"row": 1}):
        with pytest.raises(DataError, match=r"here: expected mm a pixel from 0\.001 to 10, .*found .*; correct it"):
            read_size(wrong, "here")


def test_a_description_keeps_it():
    given = {"landmarks": ["a", "b"], "pixel_mm": [0.2, 0.1]}
    joint = Description.of_file(given, "joint.json")
    assert joint.pixel_mm == (0.1, 0.2) and joint.to_file()["pixel_mm"] == [0.2, 0.1]
    assert Description.of_file(joint.to_file(), "joint.json") == joint
    assert "pixel_mm" not in Description.of_file({"landmarks": ["a"]}, "joint.json").to_file()
    with pytest.raises(DataError, match=r"^joint\.json: pixel_mm: expected mm a pixel"):
        Description.of_file(given | {"pixel_mm": "wide"}, "joint.json")


def test_the_file_goes_first_and_a_contradiction_is_said():
    pixels = np.zeros((2, 2), np.float32)
    unknown, known = Radiograph(pixels), Radiograph(pixels, (0.1, 0.2), "PixelSpacing")
    assert with_stated(unknown, None) == unknown and with_stated(known, None) == known
    stated = with_stated(unknown, (0.3, 0.3))
    assert (stated.spacing_mm, stated.spacing_from, stated.notes) == ((0.3, 0.3), "stated", [])
    assert with_stated(known, (0.1005, 0.2)).notes == with_stated(known, (0.1005, 0.2), "calibrated by hand").notes == []
    kept = with_stated(known, (0.1, 0.3))
    assert (kept.spacing_mm, kept.spacing_from) == ((0.1, 0.2), "PixelSpacing")
    (said,) = kept.notes
    assert said == "its pixels have 0.1 x 0.2 mm (x, y) by PixelSpacing, stated are 0.1 x 0.3: the file's size is taken"
    assert known.notes == []


def with_column(raw, sizes: dict[str, str], place: int) -> None:
    """The table gets a header and a column of pixel sizes."""
    table = raw / "all_coordinates.csv"
    rows = [line.split(",") for line in table.read_text().splitlines()]
    header = ["ID", *(f"{axis}{i}" for i in range(len(rows[0]) // 2) for axis in "xy")]
    lines = [[*header[:place], "pixel_mm", *header[place:]]]
    lines += [[*row[:place], sizes.get(row[0], ""), *row[place:]] for row in rows]
    table.write_text("\n".join(map(",".join, lines)) + "\n")


def test_a_column_goes_through_preparation_training_and_test(raw, tmp_path):
    before = read_points(raw / "all_coordinates.csv")
    with_column(raw, {"a1": "0.3", "c1": "0.1x0.2", "c2": "0.5"}, place=1)
    after = read_points(raw / "all_coordinates.csv")
    assert read_names(raw / "all_coordinates.csv") is None
    assert all(np.array_equal(before[id], after[id]) for id in before) and before.keys() == after.keys()
    own = sitk.GetImageFromArray(iio.imread(raw / "train" / "a1.png"))
    own.SetSpacing((0.25, 0.25))
    sitk.WriteImage(own, str(raw / "train" / "a1.mha"))
    (raw / "train" / "a1.png").unlink()
    ran = preprocess(raw, tmp_path / "data")
    assert ran.returncode == 0, ran.stderr
    said = "train/a1: its pixels have 0.25 x 0.25 mm (x, y) by "
    assert said in ran.stdout and "stated are 0.3 x 0.3: the file's size is taken" in ran.stdout
    spacings = {row["id"]: (row["spacing_x_mm"], row["spacing_y_mm"]) for row in rows_of(tmp_path / "data" / "landmarks.csv")}
    assert (spacings["a1"], spacings["a2"], spacings["c1"]) == (("0.25", "0.25"), ("", ""), ("0.2", "0.1"))

    result = tmp_path / "run"
    assert train(tmp_path / "data", result, "--stages", "32x1").returncode == 0
    assert json.loads((result / "test.json").read_text())["mm_from"] == "stated for 2 of 2"
    for row in rows_of(result / "test_landmarks.csv"):  # frame of 64 px, pictures of 90 x 120
        x, y = (abs(float(row[f"true_{axis}_px"]) - float(row[f"{axis}_px"])) for axis in "xy")
        mm = {"c1": (0.2, 0.1), "c2": (0.5, 0.5)}[row["image"]]
        assert float(row["error_mm"]) == pytest.approx(np.hypot(x * 90 / 64 * mm[0], y * 120 / 64 * mm[1]), rel=1e-4)
    assert "stated for 2 of 2" in (result / "test_methods.md").read_text()


def test_tables_that_contradict_each_other_are_refused(raw, tmp_path):
    with_column(raw, {"a2": "0.1", "a3": "0.2"}, place=1)
    (raw / "readers").mkdir()
    table, other = raw / "all_coordinates.csv", raw / "readers" / "anna.csv"
    other.write_text(table.read_text().replace("a2,0.1,", "a2,,"))
    assert stated_sizes([table, other]) == {"a2": ((0.1, 0.1), "stated"), "a3": ((0.2, 0.2), "stated")}
    other.write_text(table.read_text().replace("a3,0.2,", "a3,0.3,"))
    ran = preprocess(raw, tmp_path / "data")
    assert (
        ran.returncode == 1
        and ran.stderr == f"{other}: expected the pixel_mm of a3 as in {table}, found another; make them agree\n"
    )


def test_wrong_sizes_in_tables_are_one_line(raw, tmp_path):
    with_column(raw, {"a2": "thick"}, place=11)
    ran = preprocess(raw, tmp_path / "data")
    assert ran.returncode == 1 and ran.stderr.count("\n") == 1
    assert f"{raw / 'all_coordinates.csv'}: pixel_mm of a2: expected mm a pixel from 0.001 to 10" in ran.stderr
    assert not (tmp_path / "data" / "landmarks.csv").exists()


def test_the_description_states_it_for_all_but_those_of_the_column(raw, tmp_path):
    with_column(raw, {"c1": "0.5"}, place=11)
    names = [f"point {i}" for i in range(5)]
    (raw / "joint.json").write_text(json.dumps({"landmarks": names, "pixel_mm": 0.1}))
    assert preprocess(raw, tmp_path / "data").returncode == 0
    rows = {row["id"]: row for row in rows_of(tmp_path / "data" / "landmarks.csv")}
    assert rows["c1"]["spacing_x_mm"] == "0.5" and rows["c2"]["spacing_x_mm"] == "0.1" and rows["c2"]["spacing_from"] == "stated"
    (raw / "joint.json").write_text(json.dumps({"landmarks": names, "pixel_mm": 0.2}))
    assert preprocess(raw, tmp_path / "data").returncode == 0
    rows = {row["id"]: row for row in rows_of(tmp_path / "data" / "landmarks.csv")}
    assert rows["c1"]["spacing_x_mm"] == "0.5" and rows["c2"]["spacing_x_mm"] == "0.2"


@pytest.mark.slow
def test_rows_are_of_files_by_their_ids_or_paths(tmp_path, capsys):
    """Files of one name in two folders share no size unsaid."""
    for folder in ("one", "two"):
        (tmp_path / "in" / folder).mkdir(parents=True)
        iio.imwrite(tmp_path / "in" / folder / "a.png", made_radiograph(0)[0])
    iio.imwrite(tmp_path / "in" / "two" / "b.png", made_radiograph(1)[0])
    weights, table, out = (tmp_path / name for name in ("tiny.pt", "sizes.csv", "out"))
    write_weights(weights)

    def run(*rows: str) -> int:
        table.write_text("\n".join(["ID,pixel_mm", *rows]))
        given = (tmp_path / "in", "--weights", weights, "--out", out, "--pixel_mm", table)
        return predict.main([str(argument) for argument in given])

    assert run("a,0.1", "b,0.2") == 1
    both = f"{tmp_path / 'in' / 'one' / 'a.png'} and {tmp_path / 'in' / 'two' / 'a.png'}"
    expected = f"--pixel_mm: expected a pixel_mm of each file, found one of a for {both}; give it as paths\n"
    assert capsys.readouterr().err == expected
    assert run("./one/a.png,0.1", "two/a,0.3x0.4", "b,0.2", *(f"c{i},0.1" for i in range(50))) == 0
    rows = [row for row in rows_of(out / "landmarks.csv") if row["landmark"] == "0"]
    by_hand = {"one/a.png": (0.1, 0.1), "two/a.png": (0.4, 0.3), "two/b.png": (0.2, 0.2)}
    for row in rows:
        sizes = float(row["x_mm"]) / float(row["x"]), float(row["y_mm"]) / float(row["y"])
        assert sizes == pytest.approx(by_hand.pop(row["image"]), rel=1e-4)
    assert not by_hand and "of no radiograph here" not in capsys.readouterr().out

    assert run("one/a,0.1", "two/a,0.3x0.4", "b,0.2", *(f"c{i},0.1" for i in range(49)), "c49,0.5") == 1
    there, now = re.search(r"\(pixel_mm: (.*) there, (.*) now\)", capsys.readouterr().err).groups()
    assert "'c49': [[0.1, 0.1]" in there and "'c49': [[0.5, 0.5]" in now and len(there + now) < 220
    said = []
    check_rows([Item("in/a.png", "a.png")], {"z": [[0.1, 0.1], "stated"]}, said.append)
    said_of_z = "--pixel_mm: 1 radiographs are in no row, 1 IDs of the table are of no radiograph here (z)"
    check_rows([Item("in/a.png", "a.png")], {"a": [[0.1, 0.1], "stated"], "z": [[0.1, 0.1], "stated"]}, said.append)
    assert said == [said_of_z]
    check_rows([Item("a.png", "a.png"), Item("b.png", "b.png")], {"a": [[1, 1], ""], "z": [[1, 1], ""]}, said.append)
    assert said == [said_of_z] * 2


def test_predictions_are_in_mm_by_the_flag(raw, weights, tmp_path):
    out = tmp_path / "out"
    given = ("--weights", weights, "--out", out, "--no-check")
    ran = command("predict.py", raw / "test", *given, "--pixel_mm", "0.1x0.2")
    assert ran.returncode == 0, ran.stderr
    rows = rows_of(out / "landmarks.csv")
    assert {row["spacing_from"] for row in rows} == {"stated"} and len(rows) == 10
    for row in rows:
        assert float(row["x_mm"]) == pytest.approx(0.2 * float(row["x"]), rel=1e-4)
        assert float(row["y_mm"]) == pytest.approx(0.1 * float(row["y"]), rel=1e-4)
    refused = command("predict.py", raw / "test", *given)
    assert refused.returncode == 1 and "(pixel_mm: [0.2, 0.1] there, None now)" in refused.stderr
    (tmp_path / "folder.csv").mkdir()
    wrong = command("predict.py", raw / "test", *given, "--pixel_mm", tmp_path / "folder.csv")
    assert wrong.returncode == 2 and f"argument --pixel_mm: [Errno 21] Is a directory: '{tmp_path}" in wrong.stderr
    wrong = command("predict.py", raw / "test", *given, "--pixel_mm", "0,1")
    assert wrong.returncode == 2 and "expected mm a pixel from 0.001 to 10" in wrong.stderr
