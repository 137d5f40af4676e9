"""Calibration by hand: two clicks on the page and a size make millimetres, from the journal to the tables and predictions."""

import json
from contextlib import closing
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
from browser import CHROMIUM, MISSING, chromium
from conftest import command, make_raw, preprocess, rows_of, train
from test_dicom import made, saved
from test_label_server import serve as serve

from joints.description import Scale
from labelling.collection import open_collection
from labelling.rounds import new_round
from labelling.ruler import Ruler, ruler_from
from labelling.session import Options, Session
from labelling.store import AGAIN, FIRST, Item
from labelling.trust import differences, spacing_mm
from radiographs.pixel_size import sizes_in, stated_sizes, with_stated
from radiographs.radiograph import Radiograph
from radiographs.raw_folder import read_names, read_points
from runtime.files import DataError

ENDS = [[10, 20], [40, 60]]  # 50 px apart
BY_HAND = "calibrated by hand"
MM = 0.137  # a pixel of the drawn film
MARKS = np.array([[62.4, 80.7], [502.1, 211.9], [120.2, 640.6], [481.8, 590.3]])  # (x, y) px: two of a ruler, two landmarks


def calibrate(server, id: str, ends: object = ENDS, mm: object = 25, reading: int = FIRST, **more):
    """Status and answer of the server; `ends` None takes the calibration away."""
    version = server.get(f"/api/item?id={id}&reading={reading}")["version"]
    ruler = None if ends is None else {"ends": ends, "mm": mm}
    said = {"id": id, "reading": reading, "window": "w", "action": f"{version} {ends} {mm}", "base": version, "what": "calibrate"}
    status, _, content = server.ask("POST", "/api/act", said | {"ruler": ruler} | more)
    return status, json.loads(content)


def test_a_known_length_by_hand():
    """50 px are 25 mm. Of pixels that are twice as high as wide (30, 80) are 85.44 units."""
    ruler = ruler_from({"ends": ENDS, "mm": 25})
    assert ruler_from(json.loads(json.dumps(ruler.as_json()))) == ruler and ruler.pixel_mm(None) == (0.5, 0.5)
    x, y = ruler.pixel_mm((0.1, 0.2))
    assert (x, y) == pytest.approx((25 / 85.44004, 50 / 85.44004)) and np.hypot(30 * x, 40 * y) == pytest.approx(25)
    assert ruler_from({}) is None


@pytest.mark.parametrize(
    "ends, mm, why",
    [
        (ENDS, 0, "a size in mm above 0, found 0"),
        (ENDS, -3, "a size in mm above 0, found -3"),
        (ENDS, "25", "a finite number"),
        (ENDS, None, "a finite number"),
        (ENDS, True, "a finite number"),
        ([ENDS[0], ENDS[0]], 25, "ends that are 10 px apart or more, found 0 px; click the other end"),
        (ENDS, 501, r"0.001 to 10 mm a pixel, found 10, 501 mm over 50 px"),
        (ENDS, 0.04, "0.001 to 10 mm a pixel"),
        ([ENDS[0]], 25, "the two ends"),
        ([ENDS[0], [1, "x"]], 25, "a finite number"),
        ([ENDS[0], [1e6, 0]], 1e6, "points inside the radiograph"),
    ],
)
def test_what_is_no_known_length_is_refused_in_one_line(serve, ends, mm, why):
    server = serve(["a"], 1)
    status, answer = calibrate(server, "p0", ends, mm)
    assert status == 400 and answer["error"].startswith(f"expected {why}") and "\n" not in answer["error"]
    assert server.get("/api/item?id=p0")["ruler"] is None and not (server.session.labels / "journal.jsonl").read_bytes()


def test_it_is_kept_replaced_and_removed_and_survives_a_restart(serve):
    server = serve(["a", "b"], 2)
    raw = server.session.collection.raw
    assert server.get("/api/item?id=p0")["pixel"] == {"mm": None, "from": "unknown"}
    assert calibrate(server, "p0", mm=10)[0] == 200
    server.place("p0", 0, 5, 5)
    assert calibrate(server, "p0")[0] == 200 and calibrate(server, "p1")[0] == 200
    assert server.get("/api/item?id=p0&reading=1")["ruler"] == {"ends": ENDS, "mm": 25}
    for key in ({"reading": AGAIN}, {"settle": True}):
        assert "belongs to the first reading" in calibrate(server, "p0", **key)[1]["error"]
    assert server.session.store.items["p1", FIRST].state == "none"  # no landmark is decided by it
    server.close()

    server = serve(raw=raw)
    assert server.get("/api/item?id=p0")["ruler"] == {"ends": ENDS, "mm": 25}
    assert server.session.store.sizes() == {"p0": ((0.5, 0.5), BY_HAND), "p1": ((0.5, 0.5), BY_HAND)}
    table = server.session.labels / "readers" / "main.csv"
    server.session.closing.close()  # writes the table
    assert sizes_in(table) == {"p0": ((0.5, 0.5), BY_HAND)}
    assert read_points(table)["p0"][0].tolist() == [5, 5] and read_names(table) is None

    server = serve(raw=raw)  # which takes its own table for its own
    assert calibrate(server, "p0", None)[0] == 200
    assert server.get("/api/item?id=p0")["ruler"] is None
    server.session.closing.close()
    assert "pixel_mm" not in table.read_text() and read_points(table)["p0"][0].tolist() == [5, 5]


def test_one_that_a_table_has_too_can_be_taken_away(serve, tmp_path):
    """As after an export that became the set's table."""
    server = serve(["a"], 1)
    raw = server.session.collection.raw
    server.place("p0", 0, 5, 5)
    assert calibrate(server, "p0")[0] == 200
    server.close()
    assert command("label.py", "--raw", raw, "--export", raw / "all_coordinates.csv").returncode == 0
    server = serve(raw=raw)
    unknown = {"mm": None, "from": "unknown"}
    assert server.get("/api/item?id=p0")["pixel"] == unknown  # what it is without the calibration
    assert calibrate(server, "p0", None)[0] == 200
    assert server.get("/api/item?id=p0")["pixel"] == unknown and server.session.sizes() == {}
    server.close()
    assert command("label.py", "--raw", raw, "--export", tmp_path / "out.csv").returncode == 0
    assert "pixel_mm" not in (tmp_path / "out.csv").read_text()


def test_pixels_that_are_not_square_have_limits_both_ways(serve, tmp_path):
    """Twice as high as wide: 400 mm over 50 px across are 8 mm x 16 mm, which no table may hold."""
    raw = tmp_path / "raw"
    raw.mkdir()
    saved(made(film(), 8, PixelSpacing=[0.2, 0.1]), raw / "scan.dcm")
    server = serve(["a"], raw=raw)
    across, down = [[10, 20], [60, 20]], [[10, 20], [10, 70]]
    for ends, mm, found in ((across, 400, "16, 400 mm over 50 px"), (down, 0.06, "0.0006, 0.06 mm over 50 px")):
        status, answer = calibrate(server, "scan", ends, mm)
        assert status == 400 and answer["error"] == f"expected 0.001 to 10 mm a pixel, found {found}; correct the size"
    assert calibrate(server, "scan", down, 400)[0] == 200
    assert server.session.store.sizes()["scan"] == (pytest.approx((4, 8)), BY_HAND)


def test_a_third_look_has_what_the_two_readers_calibrated(serve):
    anna = serve(["a"], 1, reader="anna")
    raw = anna.session.collection.raw
    ben = serve(raw=raw, reader="ben")
    for server in (anna, ben):
        server.place("p0", 0, 20, 30)
    anna.session.store.changed.set()
    third = "/api/item?id=p0&settle=1&one=anna&two=ben"
    for server, mm, mean in ((anna, 25, 0.5), (ben, 35, 0.6)):
        assert calibrate(server, "p0", mm=mm)[0] == 200
        ben.session.readers = lambda: ["anna", "ben"]  # whose tables are written in the background
        item = ben.get(third)
        assert item["pixel"] == {"mm": pytest.approx([mean, mean]), "from": BY_HAND} and item["ruler"] is None


def test_a_table_and_a_description_keep_their_sizes_beside_it(raw, tmp_path):
    """In an export and in a round of training: calibrated by hand, or stated in the table; of the page also joint.json's."""
    table = raw / "all_coordinates.csv"
    rows = [line.split(",", 1) for line in table.read_text().splitlines()]
    header = "ID,pixel_mm," + ",".join(f"{axis}{k}" for k in range(5) for axis in "xy")
    stated = {"a1": "0.3", "a2": "0.1x0.2"}
    table.write_text("\n".join([header, *(f"{id},{stated.get(id, '')},{rest}" for id, rest in rows)]) + "\n")
    (raw / "joint.json").write_text(json.dumps({"landmarks": list("abcde"), "pixel_mm": 0.4}))
    collection = open_collection(raw, None)
    assert collection.pixel_size("a2", None, "unknown") == ((0.2, 0.1), "stated")
    assert collection.pixel_size("a3", None, "unknown") == ((0.4, 0.4), "stated")
    assert collection.pixel_size("a3", (0.15, 0.15), "PixelSpacing") == ((0.15, 0.15), "PixelSpacing")
    with closing(Session(collection, Options())) as session:
        session.store.act(("a1", FIRST), 1, "once", "calibrate", [], ruler={"ends": ENDS, "mm": 25})
        one = new_round(collection, "main", read_points(table), session.sizes())
    assert command("label.py", "--raw", raw, "--export", tmp_path / "out.csv").returncode == 0
    expected = {"a1": ((0.5, 0.5), BY_HAND), "a2": ((0.2, 0.1), "stated")}
    assert sizes_in(tmp_path / "out.csv") == sizes_in(one.folder / "raw" / "all_coordinates.csv") == expected


def test_annotators_who_calibrated_apart(raw, tmp_path, capsys):
    """Their mean counts, before what is stated; said where they are over 1 % apart. Each table stays as it is."""
    sizes = {"anna": "0.1", "ben": "0.12", "carl": "0.5"}
    tables = [tmp_path / f"{name}.csv" for name in sizes]
    for table, (name, size) in zip(tables, sizes.items()):
        source = "stated" if name == "carl" else BY_HAND
        table.write_text(f"ID,x0,y0,pixel_mm_from,pixel_mm\na1,1,2,{source},{size}\na2,1,2,{BY_HAND},0.2\na3,1,2,,\n")
    before = [table.read_bytes() for table in tables]
    assert stated_sizes(tables) == {
        "a1": (pytest.approx((0.11, 0.11)), BY_HAND),
        "a2": (pytest.approx((0.2, 0.2)), BY_HAND),
    }
    assert capsys.readouterr().out == "a1: calibrated by hand as 0.1, 0.12 mm a pixel (x): their mean is taken\n"
    tables[0].write_text(f"ID,x0,y0,pixel_mm_from,pixel_mm\na1,1,2,{BY_HAND},0.13x0.12\n")  # apart in y alone
    assert stated_sizes(tables[:2])["a1"] == (pytest.approx((0.12, 0.125)), BY_HAND)
    assert "their mean is taken" in capsys.readouterr().out
    tables[0].write_text("ID,x0,y0,pixel_mm\na1,1,2,0.1\na1,1,2,0.2\n")
    with pytest.raises(DataError, match="expected one pixel_mm of a1, found two"):
        sizes_in(tables[0])
    tables[0].write_bytes(before[0])
    assert [table.read_bytes() for table in tables] == before and read_points(tables[0])["a3"].tolist() == [[1, 2]]
    tables[0].write_text("ID,x0,y0,pixel_mm,pixel_mm_from\na1,1,2,0.1,by guess\n")
    with pytest.raises(DataError, match=r"anna\.csv: expected the pixel_mm_from of a1 to be .* found 'by guess'"):
        stated_sizes(tables)


def test_it_goes_before_the_size_of_the_file():
    known = Radiograph(np.zeros((2, 2), np.float32), (0.1, 0.2), "PixelSpacing")
    taken = with_stated(known, (0.1, 0.25), BY_HAND)
    assert (taken.spacing_mm, taken.spacing_from) == ((0.1, 0.25), BY_HAND)
    expected = "its pixels have 0.1 x 0.2 mm (x, y) by PixelSpacing, calibrated by hand are 0.1 x 0.25: the calibration is taken"
    assert taken.notes == [expected] and not known.notes


def test_readers_compare_in_the_millimetres_of_the_calibration(serve):
    """Points 3 px apart: 1.5 mm, whichever of the two calibrated, and before a scale of the joint."""
    anna = serve(["a", "b"], 1, reader="anna")
    raw = anna.session.collection.raw
    ben = serve(raw=raw, reader="ben")
    for server, x in ((anna, 20), (ben, 23)):
        for k in range(2):
            server.place("p0", k, x, 30 + 20 * k)
    assert calibrate(ben, "p0")[0] == 200
    stores, scale = (anna.session.store, ben.session.store), Scale("ball", (0, 1), 100.0)
    assert [row["mm"] for pair in (stores, stores[::-1]) for row in differences(*pair, scale, {}.get)] == [1.5] * 4
    ruler = Ruler(((10.0, 20.0), (40.0, 60.0)), 25.0)
    of_file, calibrated = Item([], spacing=(0.1, 0.1)), Item([], ruler=ruler)
    otherwise = Item([], ruler=Ruler(((10.0, 20.0), (40.0, 60.0)), 35.0))
    for readings, mm in ((of_file, calibrated), 0.5), ((Item([]), of_file), 0.1), ((calibrated, otherwise), 0.6):
        assert spacing_mm(readings, np.zeros((2, 2)), scale) == pytest.approx([mm, mm])


def film() -> np.ndarray:
    """Four bright dots on a dark film whose pixels have 0.137 mm."""
    y, x = np.mgrid[:720, :560]
    dots = sum(np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * 3.0**2)) for px, py in MARKS)
    return np.rint(30 + 220 * dots.clip(0, 1)).astype(np.uint8)


@pytest.fixture(scope="module")
def window():
    """Opens the page of a server in a browser."""
    pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip(MISSING)
    from test_label_page import Page

    with chromium() as browser:
        yield lambda server: Page(browser, server.link)


@pytest.mark.slow
def test_two_clicks_and_a_size_make_millimetres(serve, window, tmp_path):
    """From the page over the export to the prepared table, of a PNG file and a DICOM file that says something else."""
    raw = tmp_path / "raw"
    (raw / "train").mkdir(parents=True)
    iio.imwrite(raw / "train" / "film.png", film())
    saved(made(film()[::-1], 8, PixelSpacing=[0.15, 0.15]), raw / "train" / "scan.dcm")
    server = serve(["a", "b"], raw=raw)
    ruler_mm, landmarks_mm = (MM * np.linalg.norm(MARKS[i] - MARKS[i + 1]) for i in (0, 2))
    with window(server) as page:
        for id, file in (("film", "pixel size not known"), ("scan", "0.1500 mm per px, DICOM Pixel Spacing")):
            marks = MARKS if id == "film" else MARKS * (1, -1) + (0, 719)
            page.show(id)
            page.press("2")  # all values: no dot is cut off at the top
            page.settle()
            assert page.page.inner_text("#pixel-size") == file
            seen = [page.seen_at(page.place_of(*mark), 9) for mark in marks]
            page.press("d")
            page.page.mouse.click(*seen[0])
            page.page.mouse.click(*seen[1])
            page.page.fill("#ruler-mm", f"{ruler_mm:.2f}")
            page.press("Enter")
            for place in seen[2:]:
                page.page.mouse.click(*place)
            page.saved()
            page.settle()
            size, _, source = page.page.inner_text("#pixel-size").partition(" mm per px, ")
            assert float(size) == pytest.approx(MM, rel=2e-3)
            assert source == BY_HAND + (f", instead of {file}" if id == "scan" else "")
            assert page.page.text_content("#overlay .ruler text") == f"{float(f'{ruler_mm:.2f}'):g} mm"
    server.session.closing.close()
    assert command("label.py", "--raw", raw, "--export", raw / "all_coordinates.csv").returncode == 0
    ran = preprocess(raw, tmp_path / "data", "--reference", "none")
    said = "train/scan: its pixels have 0.15 x 0.15 mm (x, y) by DICOM Pixel Spacing, calibrated by hand are 0.13"
    assert ran.returncode == 0 and said in ran.stdout
    for row in rows_of(tmp_path / "data" / "landmarks.csv"):
        across = [(float(row[f"{axis}1"]) - float(row[f"{axis}0"])) * float(row[f"spacing_{axis}_mm"]) for axis in "xy"]
        assert row["spacing_from"] == BY_HAND and np.hypot(*across) == pytest.approx(landmarks_mm, rel=5e-3)


def ruler_of(server, id: str = "p0"):
    return server.session.store.item((id, FIRST)).ruler


@pytest.mark.slow
def test_by_keyboard_undone_and_redone_and_wrong_sizes_are_said(serve, window):
    server = serve(["a", "b"], 2)
    with window(server) as page:
        page.show("p0")
        page.press("Shift+ArrowDown", "Enter")  # a landmark, which the arrows would move next
        page.press("[", "d", "Enter")
        page.settle()
        hint = page.page.inner_text("#hint")
        assert "arrows move the crosshair" in hint and "known length, as of a ruler or a marker ball: its first end" in hint
        page.press("Shift+ArrowUp", "Shift+ArrowUp", "Enter", "ArrowDown", "Enter")
        page.settle()
        assert "both ends lie on one spot" in page.page.inner_text("#hint") and not page.page.is_visible("#ruler-dialog")
        page.press(*["Shift+ArrowDown"] * 3, "Enter")
        assert page.page.is_visible("#ruler-dialog")
        assert page.page.evaluate("() => document.activeElement.id") == "ruler-mm"
        for wrong, why in (
            ("", "nothing"),
            ("0", "0"),
            ("-4", "-4"),
            ("2,5", "2,5"),
            ("thick", "thick"),
            ("Infinity", "Infinity"),
        ):
            page.page.fill("#ruler-mm", wrong)
            page.press("Enter")
            assert page.page.inner_text("#ruler-wrong") == f"expected a size above 0 in mm, as 25.4, found {why}"
        page.page.fill("#ruler-mm", "9999")
        page.press("Enter")
        assert page.page.inner_text("#ruler-wrong").startswith("expected 0.001 to 10 mm per px, found ")
        page.page.evaluate("() => { landmarks.marks.pixel = { mm: [0.2, 0.1], from: 'file' }; }")
        page.page.fill("#ruler-mm", str(6 * abs(np.diff(page.page.evaluate("() => landmarks.measuring"), axis=0)).sum()))
        page.press("Enter")
        assert page.page.inner_text("#ruler-wrong").startswith("expected 0.001 to 10 mm per px, found 12: ")
        page.page.evaluate("() => { landmarks.marks.pixel = { mm: null, from: 'unknown' }; }")
        assert ruler_of(server) is None
        page.page.fill("#ruler-mm", "12.5")
        page.press("Enter")
        page.saved()
        first = ruler_of(server)
        assert first.mm == 12.5 and first.ends[0][0] == first.ends[1][0]
        page.press("d", "Shift+ArrowRight", "Enter", *["Shift+ArrowLeft"] * 3, "Enter", "Escape")  # thought better of
        page.saved()
        assert ruler_of(server) == first and not page.page.is_visible("#ruler-dialog")
        page.press("d", "Shift+ArrowRight", "Enter", *["Shift+ArrowLeft"] * 3, "Enter")
        page.page.keyboard.type("20")  # over the size typed last, which is chosen
        page.press("Enter")
        page.saved()
        second = ruler_of(server)
        assert second.mm == 20 and second != first
        page.press("Shift+D")
        page.saved()
        assert ruler_of(server) is None
        page.show("p1")
        for expected in (second, first, None):  # undone from another radiograph
            page.press("Control+z")
            page.wait("() => landmarks.key.id === 'p0'")
            page.wait("mm => (landmarks.marks.ruler?.mm ?? null) === mm", expected and expected.mm)
            page.saved()
            assert ruler_of(server) == expected
        page.press("Control+y")
        page.saved()
        assert ruler_of(server) == first
        page.page.reload()
        page.wait("() => document.body.dataset.ready && landmarks.key")
        page.show("p0")
        page.settle()
        assert page.page.text_content("#overlay .ruler text") == "12.5 mm"
        page.page.click("#ruler-remove")
        page.saved()
        page.page.evaluate("by => { landmarks.marks.pixel = { mm: [0.2, 0.2], from: by }; }", BY_HAND)
        page.press("Shift+D")
        page.settle()
        assert "this calibration is of all_coordinates.csv" in page.page.inner_text("#hint")
        page.page.evaluate("() => { landmarks.marks.pixel = { mm: null, from: 'unknown' }; landmarks.draw(); }")
        page.settle()
        assert ruler_of(server) is None and page.page.is_disabled("#ruler-remove")
        page.press("Control+z")  # also over a reload
        page.saved()
        assert ruler_of(server) == first and server.session.store.item(("p0", FIRST)).marks[0].state == "confirmed"


@pytest.mark.slow
def test_clicks_of_a_calibration_grab_no_point_and_place_none(serve, window):
    server = serve(["a", "b"], 1)
    with window(server) as page:
        page.show("p0")
        at, other = page.place_of(30, 40), page.place_of(60, 80)
        page.page.mouse.click(*at)
        page.page.click("#ruler")
        page.page.mouse.click(*at)
        page.page.mouse.click(*other)
        page.page.click("#ruler-cancel")
        page.saved()
        first, second = server.session.store.item(("p0", FIRST)).marks
        assert ruler_of(server) is None and first.state == "confirmed" and second is None
        page.page.mouse.click(*other)  # places again
        page.saved()
        assert server.session.store.item(("p0", FIRST)).marks[1].state == "confirmed"


@pytest.mark.slow
def test_tests_and_predictions_are_in_its_millimetres(weights, tmp_path):
    raw = make_raw(tmp_path / "raw")
    with closing(Session(open_collection(raw, None), Options())) as session:
        for id, mm in (("c1", 25), ("c2", 10)):
            session.store.act((id, FIRST), 1, id, "calibrate", [], ruler={"ends": ENDS, "mm": mm})
    table = raw / "labels" / "readers" / "main.csv"
    (raw / "all_coordinates.csv").write_bytes(table.read_bytes())
    assert preprocess(raw, tmp_path / "data").returncode == 0
    result = tmp_path / "run"
    assert train(tmp_path / "data", result, "--stages", "32x1").returncode == 0
    assert json.loads((result / "test.json").read_text())["mm_from"] == f"{BY_HAND} for 2 of 2"
    assert f"{BY_HAND} for 2 of 2" in (result / "test_methods.md").read_text()

    given = "--weights", weights, "--out", tmp_path / "out", "--no-check"
    ran = command("predict.py", raw / "test", raw / "valid", *given, "--pixel_mm", table)
    assert ran.returncode == 0, ran.stderr
    rows = rows_of(tmp_path / "out" / "landmarks.csv")
    for row in rows:
        size = {"c1": 0.5, "c2": 0.2}.get(Path(row["image"]).stem)
        assert row["spacing_from"] == (BY_HAND if size else "unknown")
        assert row["x_mm"] == "" if size is None else float(row["x_mm"]) == pytest.approx(size * float(row["x"]), rel=1e-4)
    assert command("predict.py", raw / "test", raw / "valid", *given, "--pixel_mm", table).returncode == 0  # goes on
    table.write_text("ID,x0,y0\na1,1,2\n")
    wrong = command("predict.py", raw / "test", *given, "--pixel_mm", table)
    assert wrong.returncode == 2 and f"{table}: expected a column pixel_mm with sizes, found none" in wrong.stderr
