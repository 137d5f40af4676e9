import hashlib
import json
import shutil
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
import torch
from conftest import LANDMARKS, SPLITS, command, made_radiograph, preprocess, row, rows_of, train

from data_preprocessing import Settings, run
from heatmap import decode_heatmaps, rescale
from radiographs.choices import choose_reference, typical
from radiographs.raw_folder import find_radiographs, read_annotations, read_names, read_points
from radiographs.view import View, sample
from runtime.files import DataError


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_writes_pictures_heatmaps_and_table(raw, tmp_path):
    ran = preprocess(raw, tmp_path / "out", "--sigma", 2)
    assert ran.returncode == 0, ran.stderr
    assert "train     4 radiographs,     20 landmarks, 0 missing" in ran.stdout
    assert "5 landmarks without names; a header ID,NAME_x,NAME_y,... gives them" in ran.stdout
    assert "SYNTHETIC" not in ran.stdout and "synthetic" not in (tmp_path / "out" / "settings.json").read_text()
    rows = rows_of(tmp_path / "out" / "landmarks.csv")
    assert [(line["split"], line["id"]) for line in rows] == [(split, id) for split, ids in SPLITS.items() for id in ids]
    for seed, line in enumerate(rows):
        _, truth = made_radiograph(seed)
        assert (line["width"], line["height"], line["spacing_x_mm"]) == ("90", "120", "")
        stem = tmp_path / "out" / line["split"] / line["id"]
        picture, heatmaps = iio.imread(f"{stem}.png"), np.load(f"{stem}.npz")["heatmaps"]
        assert picture.shape == (64, 64) and picture.dtype == np.uint8
        assert heatmaps.shape == (LANDMARKS, 64, 64) and heatmaps.dtype == np.float16
        network = points_of(line, "network_")
        assert points_of(line) == pytest.approx(truth, abs=1e-3)
        assert network == pytest.approx(rescale(truth, (64 / 90, 64 / 120)), abs=1e-3)
        decoded, _ = decode_heatmaps(torch.from_numpy(heatmaps))
        assert decoded.numpy() == pytest.approx(network, abs=0.05)
        assert_discs_at(picture, network)


def points_of(line: dict[str, str], frame: str = "", count: int = LANDMARKS) -> np.ndarray:
    return np.array([[float(line[f"{frame}{axis}{i}"]) for axis in "xy"] for i in range(count)])


def assert_discs_at(picture: np.ndarray, points: np.ndarray) -> None:
    """The disc drawn at each landmark is where the table says."""
    row, column = np.mgrid[: picture.shape[0], : picture.shape[1]]
    for x, y in points:
        near = (np.abs(column - x) < 5) & (np.abs(row - y) < 5)
        bright = np.where(near, picture - np.median(picture), 0).clip(0) ** 4
        assert (bright * column).sum() / bright.sum() == pytest.approx(x, abs=0.8)
        assert (bright * row).sum() / bright.sum() == pytest.approx(y, abs=0.8)


def test_again_and_after_damage_it_gives_the_same_bytes(raw, tmp_path):
    out = tmp_path / "out"
    assert preprocess(raw, out).returncode == 0
    first = contents(out)
    assert preprocess(raw, out, "--workers", 1).returncode == 0
    assert contents(out) == first
    (out / "landmarks.csv").unlink()  # what a killed run leaves: no table, a file missing, a part of a file
    (out / "train" / "a2.npz").unlink()
    (out / "train" / "a2.npz.part").write_bytes(b"half")
    (out / "train" / "a1.npz").write_bytes(b"")  # and what a failing disk leaves
    damaged = bytearray((out / "valid" / "b1.npz").read_bytes())
    damaged[len(damaged) // 2] ^= 255
    (out / "valid" / "b1.npz").write_bytes(damaged)
    assert preprocess(raw, out).returncode == 0
    assert contents(out) == first


def test_changed_input_and_other_settings_are_made_again(raw, tmp_path):
    out = tmp_path / "out"
    assert preprocess(raw, out).returncode == 0
    first = contents(out)
    picture, _ = made_radiograph(99)
    iio.imwrite(raw / "train" / "a3.png", picture)
    assert preprocess(raw, out).returncode == 0
    second = contents(out)
    changed = {name for name in first if first[name] != second[name]}
    assert changed == {"train/a3.png", "train/a3.npz", "landmarks.csv"}  # the table says which file it was
    ran = preprocess(raw, out, "--sigma", 5)
    assert "other settings (sigma 2.0 -> 5.0): everything is made again" in ran.stdout
    assert json.loads((out / "settings.json").read_text())["sigma"] == 5
    third = contents(out)
    assert all((third[name] != second[name]) == name.endswith((".npz", "settings.json")) for name in third)

    (raw / "train" / "a4.png").unlink()  # which leaves nothing behind
    table = raw / "all_coordinates.csv"
    table.write_text("".join(line for line in table.read_text().splitlines(keepends=True) if not line.startswith("a4")))
    for folder in (out, tmp_path / "fresh"):
        assert preprocess(raw, folder).returncode == 0
    assert contents(out) == contents(tmp_path / "fresh")


def test_missing_landmarks_are_carried_through(raw, tmp_path):
    lines = (raw / "all_coordinates.csv").read_text().splitlines()
    cells = lines[0].split(",")
    lines[0] = ",".join([*cells[:3], "", "", "nan", "NaN", *cells[7:]])
    (raw / "all_coordinates.csv").write_text("\n".join(lines))
    ran = preprocess(raw, tmp_path / "out")
    assert "train     4 radiographs,     18 landmarks, 2 missing" in ran.stdout
    line = rows_of(tmp_path / "out" / "landmarks.csv")[0]
    assert line["x1"] == line["network_y1"] == line["x2"] == "" and line["x3"] != ""
    heatmaps = np.load(tmp_path / "out" / "train" / "a1.npz")["heatmaps"]
    assert (heatmaps.max((1, 2)) > 0).tolist() == [True, False, False, True, True]


def test_everything_wrong_is_named_and_nothing_is_called_whole(raw, tmp_path):
    table = raw / "all_coordinates.csv"
    lines = table.read_text().splitlines()
    _, points = made_radiograph(1)
    lines[1] = row("a2", points + np.array([80, 0]))
    lines[5] = row("b2", points * [[1], [0], [1], [0], [1]])
    table.write_text("\n".join([*lines[:-1], row("nobody", points)]))
    (raw / "train" / "notes.txt").write_text("age 7")
    (raw / "train" / "a3.png").write_bytes(b"")
    (raw / "valid" / "b1.png").write_bytes((raw / "valid" / "b1.png").read_bytes()[:500])
    shutil.copy(raw / "train" / "a4.png", raw / "test" / "a4.png")
    shutil.copy(raw / "train" / "a1.png", raw / "test" / "c1.png")
    ran = preprocess(raw, tmp_path / "out")
    assert ran.returncode == 1 and "Traceback" not in ran.stderr
    for expected in (
        "a2.png: landmark 0 at",
        "a3.png: cannot be read as a radiograph",
        "b1.png: cannot be read as a radiograph",
        "b2.png: landmark 1, landmark 3 at (0, 0), as some write a missing one; correct its row in all_coord",
        f"notes.txt: no row for notes.txt in {table}; add it, or remove the file, whose name is no radiograph's",
        f"c2.png: no row for c2 in {table}",
        f"{table}: no radiograph for the row of nobody",
        "the ID a4 is also that of",
        "test/c1: the same picture as train/a1",
        "9 problems",
    ):
        assert expected in ran.stderr, ran.stderr
    assert not (tmp_path / "out" / "landmarks.csv").exists()
    assert (tmp_path / "out" / "train" / "a1.png").exists()
    ran = train(tmp_path / "out", tmp_path / "run")
    assert ran.returncode == 1 and "landmarks.csv: not found; run data_preprocessing.py" in ran.stderr


def test_a_mistake_in_the_raw_folder_costs_nothing(raw, tmp_path):
    """What a look at the table, the names of the files and the reference tells, is told before anything is removed."""
    out = tmp_path / "out"
    assert preprocess(raw, out).returncode == 0
    first = contents(out)
    (tmp_path / "tables").mkdir()
    shutil.copy(raw / "all_coordinates.csv", tmp_path / "tables")
    broken = Path(shutil.copytree(raw, tmp_path / "broken"))
    (broken / "all_coordinates.csv").write_text("a1,1\n")
    rowless = Path(shutil.copytree(raw, tmp_path / "rowless"))
    (rowless / "test" / "c2.png").rename(rowless / "test" / "c3.png")
    zeros = Path(shutil.copytree(raw, tmp_path / "zeros"))
    (zeros / "test" / "c2.png").rename(zeros / "test" / "007.png")
    (zeros / "all_coordinates.csv").write_text((zeros / "all_coordinates.csv").read_text().replace("c2,", "7,"))
    unreadable = Path(shutil.copytree(raw, tmp_path / "unreadable"))
    (unreadable / "train" / "a1.png").write_bytes(b"")  # the reference
    settings = Settings(64, 2.0, "a1")
    for folder, given, expected in (
        (tmp_path / "typo", settings, "typo: expected radiographs in its folders train, valid, test"),
        (tmp_path / "tables", settings, "tables: expected radiographs in its folders train, valid, test"),
        (broken, settings, "line 1: expected an ID and pairs x, y"),
        (rowless, settings, f"no row for c3.*2 problems: {out} stays as it was"),
        (
            zeros,
            settings,
            "no radiograph for the row of 7; there is one for 007: spreadsheets take zeros away, so write 007 there as a text",
        ),
        (unreadable, settings, "a1.png: cannot be read as a radiograph"),
        (raw, Settings(64, 2.0, "a9"), "--reference a9: no such radiograph in train"),
    ):
        with pytest.raises(DataError, match=f"(?s){expected}"):
            run(folder, out, given, workers=1)
        assert contents(out) == first, expected


def test_a_preparation_that_fails_on_the_way_leaves_no_table(raw, tmp_path):
    out = tmp_path / "out"
    assert preprocess(raw, out).returncode == 0
    (raw / "valid" / "b2.png").write_bytes(b"")
    ran = preprocess(raw, out)
    assert ran.returncode == 1 and f"1 problems: {out} stays incomplete" in ran.stderr
    assert not (out / "landmarks.csv").exists()


def test_radiographs_without_an_outline_are_prepared_and_named_every_time(raw, tmp_path):
    """One by its name, many in one line."""
    first, *others = sorted(raw.glob("*/*.png"))
    put_a_plate_on(first)
    for _ in range(2):
        ran = preprocess(raw, tmp_path / "out")
        assert ran.returncode == 0 and ran.stdout.count("found no outline that can be a limb's") == 1, ran.stderr
        assert f"{first}: found no outline" in ran.stdout
    assert "found no outline" not in preprocess(raw, tmp_path / "as it is", "--reference", "none").stdout
    for path in others:
        put_a_plate_on(path)
    ran = preprocess(raw, tmp_path / "out")
    assert ran.returncode == 0 and ran.stdout.count("found no outline") == 1 and "8 of 8: found no outline" in ran.stdout


def put_a_plate_on(path: Path) -> None:
    picture = iio.imread(path).astype(np.uint16)
    picture[:40, :60] = 60_000
    iio.imwrite(path, picture)


def test_folder_of_someone_else_and_unknown_reference_are_refused(raw, tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years of work")
    ran = preprocess(raw, mine)
    assert ran.returncode == 1 and f"{mine}: expected an empty folder" in ran.stderr
    (mine / "settings.json").write_text('{"editor": 1}')
    ran = preprocess(raw, mine)
    assert ran.returncode == 1 and f"{mine}: expected an empty folder" in ran.stderr
    ran = preprocess(raw, mine / "thesis.txt")
    assert ran.returncode == 1 and "thesis.txt: expected a folder, found a file" in ran.stderr
    ran = preprocess(raw, tmp_path / "out", "--reference", "3209")
    assert ran.returncode == 1 and "--reference 3209: no such radiograph in train; name one that is, such as a1" in ran.stderr
    assert preprocess(raw, tmp_path / "none", "--reference", "none").returncode == 0


def test_radiographs_to_test_a_network_on_need_no_train(raw, trained, tmp_path):
    """Prepared as the network's own, whose checkpoint lends the settings and the reference, they have the same figures."""
    shutil.rmtree(raw / "train")
    shutil.rmtree(raw / "valid")
    table = raw / "all_coordinates.csv"
    table.write_text("".join(f"{line}\n" for line in table.read_text().split() if line.startswith("c")))
    refused = command("data_preprocessing.py", "--raw", raw, "--out", tmp_path / "out")
    assert refused.returncode == 1 and f"{raw / 'train'}: expected radiographs named" in refused.stderr
    assert "to test a network on others, give --reference CHECKPOINT" in refused.stderr
    best = trained / "best.pt"
    ran = command("data_preprocessing.py", "--raw", raw, "--out", tmp_path / "out", "--reference", best)
    assert ran.returncode == 0 and "test      2 radiographs" in ran.stdout and "no radiographs" not in ran.stdout, ran.stderr
    ran = train(tmp_path / "out", tmp_path / "result", "--mode", "test", "--checkpoint", best)
    assert ran.returncode == 0, ran.stderr
    own, there = (json.loads((folder / "test.json").read_text()) for folder in (trained, tmp_path / "result"))
    assert own["ipe_px"] == there["ipe_px"] and there["images"] == 2


def test_the_reference_is_a_typical_radiograph(raw, tmp_path):
    """Profiles of five values: a is nearly white, d dark, e blank; b, of 16 bits, and c are alike, c a little darker."""
    profiles = {
        "a": [0, 90, 95, 100, 100],
        "b": [0, 25_000, 55_000, 75_000, 100_000],
        "c": [0, 20, 50, 75, 100],
        "d": [5, 6, 6, 7, 105],
    }
    profiles["e"] = [7.0] * 5  # a blank picture
    assert typical({id: Path(id) for id in profiles}, lambda path: np.array(profiles[path.name], float)) == "c"
    ran = preprocess(raw, tmp_path / "auto", "--reference", "auto")
    chosen = json.loads((tmp_path / "auto" / "settings.json").read_text())["reference"]
    assert f"auto: --reference {chosen}, whose histogram is the most usual of 4 training radiographs" in ran.stdout
    with pytest.raises(DataError, match="cannot be read as a radiograph"):  # the first one's mistake is told
        choose_reference(Settings(64, 2.0, "auto"), {"a": ("train", tmp_path / "none.png")})


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"a,1,2,3\n", "line 1: expected an ID and pairs x, y, separated by commas; found 3 values"),
        (b"a;1;2\n", "found 0 values"),
        (b"a,1,2\nb,1,2,3,4\n", "line 2: expected 2 values as in the first row, found 4"),
        (b"a,1,2\na,3,4\n", "line 2: a second row for a"),
        (b"a,1,2\nb,1,left\n", "line 2: expected a number or a blank, found 'left'"),
        (b"a,NA,NA,NA,NA\nb,1,2,3,4\n", "line 1: expected a number or a blank, found 'NA'"),  # no header
        (b"a,1,2\nb,1,inf\n", "line 2: expected a number or a blank, found 'inf'"),
        (b"a,1,\n", "line 1: landmark 0 has one coordinate"),
        (b"id,x0,y0\n", "expected one row per radiograph, found none"),
        (b"", "expected one row per radiograph, found none"),
        (b"\xff\xfe\x00", "in UTF-8, found other bytes; save it as CSV UTF-8"),
        (None, "not found"),
    ],
)
def test_bad_tables(tmp_path, content, expected):
    path = tmp_path / "all_coordinates.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError) as error:
        read_points(path)
    assert expected in str(error.value) and str(path) in str(error.value)


def test_tables_with_a_header_a_byte_order_mark_and_blank_lines(tmp_path):
    path = tmp_path / "all_coordinates.csv"
    path.write_text("\ufeffid,x0,y0,x1,y1\n007, 1 ,2.5,,\n\nb.dcm.jpg,1,2,3e1,4\n1.2.840,5,6,7,8\n", encoding="utf-8")
    points = read_points(path)
    assert list(points) == ["007", "b", "1.2.840"]  # endings of pictures are no part of IDs
    assert points["007"][0].tolist() == [1, 2.5] and np.isnan(points["007"][1]).all()
    assert points["b"].tolist() == [[1, 2], [30, 4]]


@pytest.mark.parametrize(
    "header", ["x_a,x_b,y_a,y_b", "a-x,b-x,a-y,b-y", "y_a,x_a,y_b,x_b", "a (y),a (x),b (y),b (x)", "a_row,a_col,b_row,b_col"]
)
def test_a_header_of_another_form_is_refused(tmp_path, header):
    (tmp_path / "t.csv").write_text(f"ID,{header}\n007,1,2,3,4\n")
    with pytest.raises(DataError, match=r"line 1: expected .* make the header ID,(x0,y0|NAME)|correct the header"):
        read_names(tmp_path / "t.csv")


def test_readers_whose_columns_are_in_another_order_are_told(tmp_path):
    """By their names where both have some, else by where the landmarks lie."""
    points = np.random.default_rng(0).uniform(0, 100, (5, 4, 2)).round(1)

    def write(name: str, order: list[int], header: str) -> None:
        (tmp_path / "readers").mkdir(exist_ok=True)
        rows = [",".join([f"r{i}", *map(str, one[order].ravel())]) for i, one in enumerate(points)]
        (tmp_path / "readers" / f"{name}.csv").write_text("\n".join([f"ID,{header}", *rows]) + "\n")

    names = [",".join(f"{name}_{axis}" for name in order for axis in "xy") for order in ("abcd", "dcba")]
    (tmp_path / "all_coordinates.csv").write_text(
        "\n".join(f"r{i}," + ",".join(map(str, one.ravel())) for i, one in enumerate(points))
    )
    write("anna", [0, 1, 2, 3], names[0])
    write("ben", [3, 2, 1, 0], names[1])
    assert read_annotations(tmp_path).points["r1"] == pytest.approx(points[1])
    (tmp_path / "all_coordinates.csv").unlink()
    write("anna", [0, 1, 2, 3], "x0,y0,x1,y1,x2,y2,x3,y3")
    with pytest.raises(DataError, match=r"its landmark 3 lies where .* has landmark 0; put the columns into one order"):
        read_annotations(tmp_path)
    write("ben", [0, 1, 2, 3], names[0])
    assert read_annotations(tmp_path).names == ("a", "b", "c", "d")


def test_shares_of_the_size_are_no_pixels_and_names_are_as_they_must_be(tmp_path):
    (tmp_path / "all_coordinates.csv").write_text("a,0.1,0.2,1,0.4\nb,0.3,0,,\n")
    with pytest.raises(DataError, match="expected px of the radiographs, found shares of their size"):
        read_annotations(tmp_path)
    (tmp_path / "all_coordinates.csv").write_text("a,0.1,0.2,1,0.4\nb,0.3,2,0,1\n")
    for name in ("Joint.json", "reader", "Readers"):
        (tmp_path / name).mkdir()
        with pytest.raises(DataError, match=f"{name}: expected it to be called (joint.json|readers); rename it"):
            read_annotations(tmp_path)
        (tmp_path / name).rmdir()
    (tmp_path / "readers").mkdir()
    (tmp_path / "readers" / ".hidden").touch()
    assert list(read_annotations(tmp_path).points) == ["a", "b"]
    (tmp_path / "readers" / "anna.CSV").write_text("a,1,2,3,4\n")
    with pytest.raises(DataError, match=r"anna.CSV: expected tables NAME.csv alone in .*readers; rename it"):
        read_annotations(tmp_path)


def test_what_readers_leave_out_and_train_does_not_show_is_told(raw, tmp_path):
    table = (raw / "all_coordinates.csv").read_text().splitlines()
    (raw / "readers").mkdir()
    row = next(line for line in table if line.startswith("a1,")).split(",")
    blank = f"a2{',' * (len(row) - 1)}\n"  # leaves a2 to the table
    (raw / "readers" / "anna.csv").write_text(",".join([*row[:3], *[""] * (len(row) - 3)]) + "\n" + blank)
    rows = [line if line.startswith(("b", "c")) else ",".join([*line.split(",")[:-2], "", ""]) for line in table]
    (raw / "all_coordinates.csv").write_text("\n".join(rows) + "\n")
    ran = preprocess(raw, tmp_path / "out")
    assert ran.returncode == 0 and "goes before all_coordinates.csv, which differs in 1 radiographs (a1)" in ran.stdout
    assert f"train: shows no landmark {LANDMARKS - 1}, so nothing can be learnt of it" in ran.stdout
    (raw / "readers" / "anna.csv").write_text(blank.replace("a2", "a9"))
    ran = preprocess(raw, tmp_path / "out")
    assert ran.returncode == 1 and "readers/anna.csv: no radiograph for the row of a9; add it or remove the row" in ran.stderr


def test_hidden_files_are_no_radiographs_and_there_must_be_some_to_train_on(tmp_path):
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / ".DS_Store").write_text("")
    (tmp_path / "train" / "a.nii.gz").write_text("")
    found, errors = find_radiographs(tmp_path)
    assert list(found) == ["a"] and not errors
    (tmp_path / "train" / "a.detail.png").write_text("")  # as preparation calls the larger picture of a
    (error,) = find_radiographs(tmp_path)[1]
    assert "a.detail.png: preparation writes a picture of this name for a; rename one" in error
    (tmp_path / "train" / "a.detail.png").unlink()
    (tmp_path / "val").mkdir()
    (tmp_path / "val" / "notes.txt").write_text("")
    assert not find_radiographs(tmp_path)[1]
    (tmp_path / "val" / "b.png").write_text("")
    with pytest.raises(DataError) as refused:
        find_radiographs(tmp_path)
    assert str(refused.value) == f"{tmp_path / 'val'}: expected it to be called valid; rename it, or move its radiographs there"
    shutil.rmtree(tmp_path / "val")


@pytest.mark.slow
def test_real_radiographs(atlas, tmp_path):
    """Every fifth of the reference's hand radiographs: points on bone, and a folder of modest size."""
    table = read_points(atlas / "all_coordinates.csv")
    chosen = sorted(path for split in SPLITS for path in (atlas / split).iterdir())[::5]
    for path in chosen:
        (tmp_path / "raw" / path.parent.name).mkdir(parents=True, exist_ok=True)
        (tmp_path / "raw" / path.parent.name / path.name).symlink_to(path)
    rows = [row(path.stem, table[path.stem]) for path in chosen]
    (tmp_path / "raw" / "all_coordinates.csv").write_text("\n".join(rows))
    ran = command("data_preprocessing.py", "--raw", tmp_path / "raw", "--out", tmp_path / "out")
    assert ran.returncode == 0, ran.stderr
    assert sum(path.stat().st_size for path in (tmp_path / "out").rglob("*")) < 190e3 * len(chosen)
    brighter = []
    for line in rows_of(tmp_path / "out" / "landmarks.csv"):
        picture = iio.imread(tmp_path / "out" / line["split"] / (line["id"] + ".png"))
        points = points_of(line, "network_", 37).round().astype(int)
        brighter.append(np.median(picture[points[:, 1], points[:, 0]]) - np.median(picture))
    assert len(brighter) == len(chosen) > 20 and np.mean(np.array(brighter) > 0) > 0.95


def test_cropped_to_the_landmarks(raw, tmp_path):
    """However radiographs are framed and tilted: upright, with the same room around the landmarks; points move along."""
    table = read_points(raw / "all_coordinates.csv")
    lines = []
    for seed, (id, points) in enumerate(table.items()):
        path = next(path for path in raw.rglob(f"{id}.png"))
        picture, angle = iio.imread(path).astype(np.float32), np.radians(20 * (seed % 3) - 20)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        inverse, shift = turn.T, np.array([60.0, 40.0 + seed])
        lying = sample(picture, View(inverse, -inverse @ shift, (250, 240)), "median")
        iio.imwrite(path, lying.round().astype(np.uint8))
        lines.append(row(id, points @ turn.T + shift))
    (raw / "all_coordinates.csv").write_text("\n".join(lines) + "\n")
    assert preprocess(raw, tmp_path / "out", "--crop").returncode == 0
    for line in rows_of(tmp_path / "out" / "landmarks.csv"):
        own, extent = points_of(line), np.array([float(line["width"]), float(line["height"])])
        low, high = own.min(0) + 0.5, extent - 0.5 - own.max(0)
        assert np.stack([low, high]) / np.ptp(own, axis=0) == pytest.approx(np.full((2, 2), 0.06), abs=0.02)
        picture = iio.imread(tmp_path / "out" / line["split"] / f"{line['id']}.png").astype(float)
        assert_discs_at(picture, rescale(own, 64 / extent))
    (raw / "joint.json").write_text(json.dumps({"landmarks": [*"abcde"], "pixel_mm": [0.1, 0.2]}))
    ran = preprocess(raw, tmp_path / "out", "--crop")
    assert ran.returncode == 1 and "--crop turns radiographs, so pixels must be square, found 0.2 x 0.1 mm" in ran.stderr


def test_one_landmark_is_nothing_to_crop_to(raw, tmp_path):
    lines = (raw / "all_coordinates.csv").read_text().splitlines()
    id, x, y, *rest = lines[0].split(",")
    lines[0] = ",".join([id, x, y, *[""] * len(rest)])
    (raw / "all_coordinates.csv").write_text("\n".join(lines) + "\n")
    ran = preprocess(raw, tmp_path / "out", "--crop")
    assert ran.returncode == 1 and f"{id}.png: --crop needs two landmarks or more, found 1" in ran.stderr
    assert "Traceback" not in ran.stderr and "Warning" not in ran.stderr
    lines = [",".join([line.split(",")[0], "1", "2", *[""] * len(rest)]) for line in lines]
    for left in (lines, lines[4:]):  # one landmark in all; no row of train at all
        (raw / "all_coordinates.csv").write_text("\n".join(left) + "\n")
        ran = preprocess(raw, tmp_path / "none", "--crop")
        assert ran.returncode == 1 and "--crop needs radiographs of train with two landmarks or more, found none" in ran.stderr
        assert "Traceback" not in ran.stderr and ("no row for a1" in ran.stderr) == (left is not lines)
