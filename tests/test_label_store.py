"""What label.py keeps and says without a browser: journal, tables, order of work, trust, review."""

import errno
import json
import os
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from unittest.mock import Mock, patch

import imageio.v3 as iio
import numpy as np
import pytest
from conftest import as_process, made_radiograph, make_raw
from test_label_server import make_pictures
from test_label_server import serve as serve

import label
from joints.convert import radiographs_in
from joints.description import read_description
from joints.hand import HAND, MEAN_SHAPE, NAMES
from joints.known import moved
from labelling import order, propose
from labelling.api import Api
from labelling.collection import open_collection, radiographs_of
from labelling.jobs import Job, Step
from labelling.journal import Journal, entries_of
from labelling.marks import ABSENT, CONFIRMED, DONE, NONE, PARTLY, PROPOSED, REMOVED, Mark, as_json, mark_from, state_of
from labelling.order import Order, representatives
from labelling.pictures import Pictures, make_picture
from labelling.proposals import Proposal, read_predictions
from labelling.rounds import Flags, new_round, rounds_of, steps_of, write_figures
from labelling.session import Options, Session
from labelling.store import AGAIN, FIRST, Item, Store, TableWriter
from labelling.trust import anchoring_bias, differences, spacing_mm
from prediction.listing import write_listing
from prediction.outputs import COLUMNS
from radiographs.raw_folder import read_names, read_points
from runtime.files import DataError, csv_lines


def open_store(folder: Path, reader: str = "main", landmarks: int = 3) -> Store:
    store = Store(Journal(folder / "journal.jsonl"), reader, landmarks)
    store.load()
    return store


@pytest.fixture
def store(tmp_path) -> Store:
    """With a point of radiograph a."""
    store = open_store(tmp_path)
    place(store, "a", 0, 1, 2)
    return store


def session_of(raw: Path, names: list[str] | None = None, reader: str = "main", to_read: bool = False) -> Session:
    return Session(open_collection(raw, names), Options(reader), to_read=to_read)


def proposal(*points: tuple[float, float], doubt: float = 1.0, by: str = "w", **more) -> Proposal:
    return Proposal(np.array(points, np.float32), np.ones((len(points), 3), np.float32), by, doubt, **more)


def place(store: Store, id: str, k: int, x: float, y: float, reading: int = FIRST, **more) -> int:
    version = store.item((id, reading)).version
    mark = Mark(CONFIRMED, x, y, **more)
    return store.act((id, reading), version, f"{id} {reading} {k} {version}", "place", [(k, mark)], size=[90, 120])


def test_states():
    done, absent, moved, removed = Mark(CONFIRMED, 1.0, 2.0), Mark(ABSENT), Mark(PROPOSED, 1.0, 2.0), Mark(REMOVED)
    assert state_of([None, None]) == NONE and state_of([moved, None]) == PROPOSED
    assert state_of([done, moved]) == state_of([removed, None]) == PARTLY and state_of([done, absent]) == DONE
    for mark in (done, absent, moved, removed, Mark(CONFIRMED, 1.5, 2.0, True, "w", (3.0, 4.0), True)):
        assert str(mark_from(json.loads(json.dumps(as_json(mark))))) == str(mark)


@pytest.mark.parametrize("cut", [20, 1])
def test_a_line_that_was_cut_is_left_out_and_counts_once_when_it_is_sent_again(store, tmp_path, cut):
    """A server was killed within it; at the end, only its line break is missing."""
    place(store, "a", 1, 3, 4)
    store.journal.path.write_bytes(store.journal.path.read_bytes()[:-cut])
    again = open_store(tmp_path)
    assert again.item(("a", FIRST)).version == 1
    place(again, "a", 1, 3, 4)  # by the window, under the same name
    found = open_store(tmp_path).item(("a", FIRST))
    assert found.version == 2 and found.marks == store.item(("a", FIRST)).marks


def test_threads_and_servers_share_a_journal(tmp_path):
    """Four threads of two journals on one file: every line whole, each waits for the disk only as long as it must."""
    journals = [Journal(tmp_path / "journal.jsonl") for _ in range(2)]

    def write(number: int) -> None:
        for i in range(50):
            journals[number % 2].sync(journals[number % 2].write({"thread": number, "i": i}))

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(write, range(4)))
    entries = [(entry["thread"], entry["i"]) for entry in entries_of(tmp_path / "journal.jsonl")]
    assert len(set(entries)) == len(entries) == 200


def test_a_full_disk_leaves_the_journal_whole(store):
    before, file = store.journal.path.read_bytes(), store.journal.file

    def write(line: bytes) -> None:
        file.write(line[:10])
        raise OSError(errno.ENOSPC, "No space left on device")

    store.journal.file = Mock(wraps=file)
    store.journal.file.write = write
    with pytest.raises(OSError, match="No space"):
        place(store, "a", 1, 3, 4)
    assert store.journal.path.read_bytes() == before and store.item(("a", FIRST)).marks[1] is None


def test_after_a_failed_fsync_what_waited_is_appended_again(store, tmp_path):
    """The system may have dropped the lines, and says nothing of it at the next fsync."""
    size = store.journal.path.stat().st_size
    with patch("labelling.journal.os.fsync", side_effect=OSError(errno.EIO, os.strerror(errno.EIO))):
        for k in (1, 2):
            with pytest.raises(OSError, match=os.strerror(errno.EIO)):
                place(store, "a", k, 3, 4)
    os.truncate(store.journal.path, size)  # what was lost
    store.act(("a", FIRST), 1, "a 0 1 1", "place", [(1, Mark(CONFIRMED, 3.0, 4.0))])  # sent again
    again = open_store(tmp_path).item(("a", FIRST))
    assert again.version == 3 and [mark.x for mark in again.marks] == [1, 3, 3]


def test_a_journal_that_another_program_replaces_loses_nothing(store, tmp_path):
    """As those that synchronise folders do: by a copy, between two lines and between a line and its fsync."""
    path, fsync = store.journal.path, os.fsync

    def replace(content: bytes) -> None:
        (tmp_path / "copy").write_bytes(content)
        (tmp_path / "copy").replace(path)

    replace(path.read_bytes())
    place(store, "a", 1, 3, 4)
    earlier = path.read_bytes()
    journal = Journal(path)  # of another server
    tickets = [journal.write({"id": "b", "reading": 0, "reader": "other", "changes": []})]
    replace(earlier)
    tickets.append(journal.write({"id": "c", "reading": 0, "reader": "other", "changes": []}))
    for ticket in tickets:
        journal.sync(ticket)
    assert {entry["id"] for entry in entries_of(path)} == {"a", "b", "c"}
    earlier = path.read_bytes()
    with patch("labelling.journal.os.fsync", side_effect=lambda file: (fsync(file), replace(earlier))):
        with pytest.raises(OSError, match="replaced by another program"):
            place(store, "a", 2, 5, 6)
    store.act(("a", FIRST), 2, "a 0 2 2", "place", [(2, Mark(CONFIRMED, 5.0, 6.0))])  # sent again
    assert [mark.x for mark in open_store(tmp_path).item(("a", FIRST)).marks] == [1, 3, 5]
    path.unlink()
    with pytest.raises(OSError, match="No such file"):
        place(store, "a", 0, 7, 8)


def test_a_table_that_somebody_changes_is_kept(store, tmp_path, capsys):
    table = tmp_path / "main.csv"
    writer = TableWriter(store, table)
    writer.close()
    assert table.read_text() == "id,x0,y0,x1,y1,x2,y2\na,1,2,,,,\n"
    table.write_text("id,x0,y0,x1,y1,x2,y2\na,11,2,,,,\n")
    place(store, "b", 0, 7, 8)
    writer.write()
    writer.write()
    (kept,) = tmp_path.glob("main.csv.changed-*")
    assert "a,11,2" in kept.read_text() and f"what it held is in {kept}" in capsys.readouterr().out
    assert table.read_text() == "id,x0,y0,x1,y1,x2,y2\na,1,2,,,,\nb,7,8,,,,\n"


def test_what_an_earlier_server_wrote_is_forced_to_the_disk_before_a_resend_is_answered(store, tmp_path):
    store = open_store(tmp_path)
    with patch("labelling.journal.os.fsync") as fsync:
        for _ in range(2):
            assert store.act(("a", FIRST), 0, "a 0 0 0", "place", [(0, Mark(CONFIRMED, 1.0, 2.0))]) == 1
    assert fsync.call_count == 1


def test_two_readers_may_begin_a_set_at_once(tmp_path, monkeypatch):
    """Both find no names of landmarks, and write them: each file is whole before it stands in its place."""
    raw, both = make_pictures(tmp_path / "raw", 2), threading.Barrier(2, timeout=20)
    monkeypatch.setattr("runtime.files.os.fsync", lambda handle: both.wait())
    with ThreadPoolExecutor(2) as threads:
        assert [one.names for one in threads.map(open_collection, [raw] * 2, [["a", "b"]] * 2)] == [["a", "b"]] * 2
    assert [path.name for path in (raw / "labels").iterdir()] == ["set.json"]


def test_names_of_landmarks_and_radiographs_are_passed_on_in_any_locale(tmp_path, monkeypatch):
    for name, value in (("LC_ALL", "C"), ("PYTHONUTF8", "0"), ("PYTHONCOERCECLOCALE", "0")):
        monkeypatch.setenv(name, value)
    raw = make_pictures(tmp_path / "raw", 1)
    open_collection(raw, ["Fußwurzel"])
    assert "has done no radiograph yet" in as_process("label.py", "--raw", raw, "--export", tmp_path / "out.csv").stderr
    job = Job("read", [Step("reading", ["-c", "print(ascii(input()))"], input="Łukasz\n")])
    job.thread.join(60)
    assert job.state == "done" and list(job.lines) == [ascii("Łukasz")]


def test_landmarks_in_another_order_and_rows_of_no_radiograph_are_told(tmp_path, tiny, capsys):
    raw = make_pictures(tmp_path / "raw", 1)
    names = ["1", "0", "2", "3", "4"]  # the weights have 0 first
    with pytest.raises(DataError, match=r"tiny.pt: .* order of the set, found '1' as landmark 1 instead of 0"):
        propose.run(raw, tiny, tmp_path / "out", None, names)
    with pytest.raises(DataError, match="none: expected the names of the set"):
        propose.run(raw, tiny, tmp_path / "out", None, propose.names_in(tmp_path / "none"))
    assert moved("12345", "01234") is None and moved("ab", "ba") == "'a' as landmark 1 instead of 0"
    open_collection(raw, ["a", "b"])
    (raw / "joint.json").write_text(json.dumps({"landmarks": ["A", "b"], "pixel_mm": 0.2}))
    with pytest.raises(DataError, match=r"joint.json: .* found that landmark 0 is 'A' instead of 'a'; make them agree"):
        open_collection(raw, None)
    (raw / "joint.json").unlink()
    (raw / "all_coordinates.csv").write_text("ID,b_x,b_y,a_x,a_y\nP0,1,2,3,4\n")
    with pytest.raises(DataError, match="in the order of its labels or of --names, found 'a' as landmark 1 instead of 0"):
        open_collection(raw, None)
    (raw / "all_coordinates.csv").write_text("ID,a_x,a_y,b_x,b_y\nP0,1,2,3,4\np0,1,2,3,4\n")
    assert list(open_collection(raw, None).table) == ["p0"]
    assert "1 of its 2 rows are of no radiograph here: P0" in capsys.readouterr().out
    (raw / "all_coordinates.csv").unlink()
    (raw / "readers").mkdir()
    (raw / "readers" / "anna.csv").write_text("ID,a_x,a_y,b_x,b_y\np0,1,2,3,4\n")
    (raw / "readers" / "ben.csv").write_text("ID,a_x,a_y,b_x,b_y\np0,3,2,,\n")
    assert open_collection(raw, None).table["p0"].tolist() == [[2, 2], [3, 4]]  # what preparation learns


@pytest.mark.skipif(os.name == "nt", reason="Windows has no umask")
def test_who_may_read_labels_goes_by_the_umask(tmp_path):
    raw = make_raw(tmp_path / "raw")
    before = os.umask(0o027)
    try:
        session_of(raw).close()
    finally:
        os.umask(before)
    for name in ("journal.jsonl", "set.json", "readers/main.csv"):
        assert stat.S_IMODE((raw / "labels" / name).stat().st_mode) == 0o640


def test_the_table_of_the_set_is_where_the_nameless_reader_starts_and_is_never_written(serve, tmp_path):
    raw = make_raw(tmp_path / "raw")
    table = (raw / "all_coordinates.csv").read_bytes()
    truth = read_points(raw / "all_coordinates.csv")
    server = serve(raw=raw)
    assert server.get("/api/list")["counts"]["done"] == 8
    server.place("a1", 0, 5.5, 6.5)
    server.close()
    with closing(session_of(raw)) as again:  # what a person changed stays as it is
        assert again.store.points_of(("a1", FIRST))[0].tolist() == [5.5, 6.5]
        assert np.allclose(again.store.points_of(("a2", FIRST)), truth["a2"])
    assert serve(raw=raw, reader="anna").get("/api/list")["counts"]["none"] == 8
    assert (raw / "all_coordinates.csv").read_bytes() == table
    written = read_points(raw / "labels" / "readers" / "main.csv")
    assert set(written) == set(truth) and written["a1"][0].tolist() == [5.5, 6.5]


def test_export_writes_what_is_done_and_overwrites_nothing(tmp_path, capsys):
    raw = make_pictures(tmp_path / "raw", 2)
    with closing(session_of(raw, ["a", "b"])) as session:
        for id, k, x in (("p0", 0, 1), ("p0", 1, 3), ("p1", 0, 5)):
            place(session.store, id, k, x, x + 1)
    assert label.main(["--raw", str(raw), "--export", str(tmp_path / "out.csv")]) == 0
    assert {id: points.tolist() for id, points in read_points(tmp_path / "out.csv").items()} == {"p0": [[1, 2], [3, 4]]}
    assert read_names(tmp_path / "out.csv") == ("a", "b")
    assert label.main(["--raw", str(raw), "--export", str(tmp_path / "out.csv")]) == 1
    assert "not overwritten" in capsys.readouterr().err
    journal = (raw / "labels" / "journal.jsonl").read_bytes()
    with closing(session_of(raw)):  # while somebody works
        assert label.main(["--raw", str(raw), "--export", str(tmp_path / "again.csv")]) == 0
    assert (tmp_path / "again.csv").read_bytes() == (tmp_path / "out.csv").read_bytes()
    assert (raw / "labels" / "journal.jsonl").read_bytes() == journal
    with closing(session_of(raw)) as session:
        store, picture = session.store, session.pictures.get("p0")
        mark = [(0, Mark(CONFIRMED, 1, 2))]
        store.act(
            ("p0", FIRST), store.item(("p0", FIRST)).version, "size", "place", mark, size=(picture.width, picture.height + 1)
        )
    assert label.main(["--raw", str(raw), "--export", str(tmp_path / "replaced.csv")]) == 1
    assert "p0.png: was labelled on a picture of" in capsys.readouterr().err and not (tmp_path / "replaced.csv").exists()
    (raw / "p0.png").rename(tmp_path / "p0.png")
    with closing(session_of(raw)) as session:
        place(session.store, "p1", 1, 7, 8)
    assert label.main(["--raw", str(raw), "--export", str(tmp_path / "new" / "gone.csv")]) == 0
    assert "left out 1 whose radiographs are no longer there (p0)" in capsys.readouterr().out
    assert list(read_points(tmp_path / "new" / "gone.csv")) == ["p1"]
    (tmp_path / "p0.png").rename(raw / "p0.png")
    with closing(session_of(raw)) as session, pytest.raises(DataError, match=r"p0\.png: was labelled on a picture of"):
        session.start_job("train")


def test_tables_hold_no_formulas_and_are_read_again(tmp_path):
    """A file's name is an ID, and the first cell of a row; that of the second radiograph is as `safe` writes the first one's."""
    raw, ids = make_pictures(tmp_path / "raw", 3), ["=1+1", "'=1+1", "-7"]
    for number, id in enumerate(ids):
        (raw / f"p{number}.png").rename(raw / f"{id}.png")
    for x in (1.0, 2.0):  # the second time beside the table of the first
        with closing(session_of(raw, ["a"])) as session:
            for number, id in enumerate(ids):
                place(session.store, id, 0, x + number, 5)
    assert label.main(["--raw", str(raw), "--export", str(tmp_path / "out.csv")]) == 0
    for table in (tmp_path / "out.csv", raw / "labels" / "readers" / "main.csv"):
        assert {line.split(",")[0] for line in table.read_text().splitlines()} == {"id", "'=1+1", "''=1+1", "-7"}
        found = {id: points.tolist() for id, points in read_points(table).items()}
        assert found == {id: [[2.0 + number, 5]] for number, id in enumerate(ids)}


def test_the_first_radiographs_represent_the_set():
    """Three kinds, nine, four and two of them: the first three chosen are one of each, the most common first."""
    random = np.random.default_rng(0)
    kinds = np.eye(6)[[0] * 9 + [1] * 4 + [2] * 2] + random.normal(0, 0.05, (15, 6))
    features = (kinds / np.linalg.norm(kinds, axis=1, keepdims=True)).astype(np.float32)
    chosen = list(representatives(features))
    assert sorted(chosen) == list(range(15))
    assert chosen[0] < 9 and 9 <= chosen[1] < 13 and chosen[2] >= 13


def test_what_represents_the_set_comes_first_then_the_least_certain_and_what_was_left_comes_last(tmp_path, monkeypatch):
    store = open_store(tmp_path, landmarks=1)
    monkeypatch.setattr(order, "EARLY", 1)
    work = Order(store, list("abcdef"), ranked=["c", "f"], reading_again=False)
    proposals = {id: proposal((0, 0), doubt=doubt) for id, doubt in zip("abc", (1.0, 5.0, 3.0))}
    assert work.queue(proposals) == ["c", "f", "a", "b", "d", "e"] and work.next({}) == ("c", FIRST)
    place(store, "f", 0, 1, 1)
    assert work.queue(proposals) == ["b", "c", "a", "d", "e"]
    assert work.next(proposals, after="b") == ("c", FIRST) and work.next(proposals, after="c") == ("a", FIRST)
    place(store, "a", 0, 1, 1)
    assert work.next(proposals, after="a") == ("d", FIRST) and work.next(proposals, after="d") == ("e", FIRST)
    assert work.next(proposals, after="e") == ("b", FIRST)
    assert Order(store, list("abcdef")).queue(proposals)[0] == "b"  # as in a review: nothing is known of the set
    before = dict(work.passed)
    assert work.next(proposals, after="b", peek=True) == ("c", FIRST) and work.passed == before
    reviewed = {"c": proposal((0, 0), doubt=0.2, reviewed=True)}  # another unit: not compared with px
    assert Order(store, list("abcdef")).queue(proposals | reviewed) == ["c", "b", "d", "e"]
    disagrees = {"f": proposal((0, 0), doubt=0.1, reviewed=True, disagrees=True)}  # though it is done, until passed
    work = Order(store, list("abcdef"))
    assert work.queue(reviewed | disagrees)[:2] == ["c", "f"]
    work.next(reviewed | disagrees, after="f")
    assert "f" not in work.queue(reviewed | disagrees)


def test_a_radiograph_that_cannot_be_read_represents_the_set_least(tmp_path, monkeypatch):
    """And the others are not compared anew at each start."""

    class Here:
        def __init__(self, work):
            self.work, self.close = work, lambda: None

        def __call__(self, path):
            return self.work(path)

    monkeypatch.setattr("labelling.session.Apart", Here)
    raw = make_pictures(tmp_path / "raw")
    (raw / "p1.png").write_bytes(b"nothing")
    with closing(Session(open_collection(raw, ["a"]), Options())) as session:
        monkeypatch.setattr(session.ending, "wait", lambda seconds: False)
        session.compare_radiographs()
        assert session.order.ranked[-1] == "p1" and session.compared() == session.order.ranked
        assert sorted(session.order.ranked) == ["p0", "p1", "p2", "p3"]


def test_a_second_reading_can_be_left_and_the_guide_is_none(tmp_path):
    store = open_store(tmp_path, landmarks=1)
    ids = [f"p{number:02}" for number in range(30)]
    for id in reversed(ids[:14]):
        place(store, id, 0, 1, 1)
    work = Order(store, ids)
    assert store.first_done(ids) == "p13"
    given = [work.next({})]
    for _ in range(11):
        given.append(work.next({}, given[-1][0]))
    again = [id for id, reading in given if reading == AGAIN]
    assert again and len(set(again)) == len(again)
    assert "p13" not in again  # the guide shows it with its points
    assert next(id for id, reading in given if reading == FIRST) == "p14"


def test_what_was_moved_out_of_the_set_does_not_come_again(tmp_path):
    store = open_store(tmp_path, landmarks=1)
    ids = [f"p{number:02}" for number in range(14)]
    for id in ids:
        place(store, id, 0, 1, 1)
    for kept in ids[:2], ids[-2:]:
        assert Order(store, kept).next({}) in (None, (ids[1], AGAIN))
    store.act((ids[3], AGAIN), 0, "begun", "place", [])
    assert Order(store, ids[-2:]).next({}) is None


def test_some_come_again_unannounced_and_without_what_was_said(serve, monkeypatch):
    monkeypatch.setattr(order, "BLIND_SHARE", 0.0)
    server = serve(["a"], 9, reading_again=True)
    server.session.proposals |= {f"p{n}": proposal((30, 40)) for n in range(9)}
    for number in range(7):
        server.place(f"p{number}", 0, 30.0, 40.0 + (number == 3))
    key = server.get("/api/next?after=p6")
    assert key["reading"] == AGAIN and key["id"] in {"p0", "p1"}  # five others lie between
    item = server.get(f"/api/item?id={key['id']}&reading=1")
    assert item["marks"] == [None] and item["proposal"] is None
    server.place(key["id"], 0, 33.0, 44.0, reading=AGAIN)
    assert server.get("/api/next?after=p6")["reading"] == FIRST  # a tenth of them is enough
    again = server.get("/api/progress")["again"]
    off = float(np.hypot(3 * 256 / 90, 4 * 256 / 120))
    assert again == {"radiographs": 1, "px": {"n": 1, "mean": round(off, 4), "median": round(off, 4)}, "mm": None}
    assert server.session.store.points_of((key["id"], FIRST)).tolist() == [[30, 40]]


def test_a_share_is_shown_without_proposals_to_measure_anchoring_bias(serve, monkeypatch):
    for module in ("session", "trust"):
        monkeypatch.setattr(f"labelling.{module}.is_blind", lambda reader, id: id in ("p0", "p1"))
    server = serve(["a"])
    server.session.proposals |= {f"p{n}": proposal((45, 60)) for n in range(4)}
    assert [row["state"] for row in server.get("/api/list")["rows"]] == [NONE, NONE, PROPOSED, PROPOSED]
    assert server.get("/api/item?id=p0")["proposal"] is None and server.get("/api/item?id=p2")["proposal"]["by"] == "w"
    for id, x in (("p0", 45 + 90 / 256), ("p2", 45.0)):
        server.place(id, 0, x, 60.0)
    measured = anchoring_bias(server.session.store)
    assert measured["shown"] == {"n": 1, "mean": 0.0, "median": 0.0} and measured["hidden"]["mean"] == pytest.approx(1)
    mark = server.session.store.item(("p0", FIRST)).marks[0]
    assert mark.proposal == (45, 60) and not mark.shown and mark.by == "w"


def test_the_list_counts_what_each_of_its_filters_shows(serve):
    server = serve(["a", "b"])
    marked = {"p0": [(0, Mark(CONFIRMED, 1.0, 2.0, unsure=True))], "p1": [(k, Mark(CONFIRMED, 1.0, 2.0)) for k in (0, 1)]}
    for id, changes in marked.items():
        server.session.store.act((id, FIRST), 0, id, "place", changes, size=[90, 120], second_look=True)
    expected = {"all": 4, NONE: 2, PROPOSED: 0, PARTLY: 1, DONE: 1, "second look": 2, "unsure": 1}
    for kind, count in expected.items():
        answer = server.get(f"/api/list?filter={kind.replace(' ', '%20')}&search=p")
        assert answer["counts"] == expected and answer["found"] == count


def test_two_readers_differ_in_px_and_mm(tmp_path):
    """A hand's wrist, points 1 and 5, is 50 mm."""
    one, two = (open_store(tmp_path, reader, len(NAMES)) for reader in ("anna", "ben"))
    shape = MEAN_SHAPE * 100 + 200
    for store, away in ((one, 0.0), (two, 3.0)):
        marks = [(k, Mark(CONFIRMED, x + away * (k == 7), y)) for k, (x, y) in enumerate(shape.tolist())]
        marks[9] = (9, Mark(ABSENT) if away else marks[9][1])
        store.act(("a", FIRST), 0, store.reader, "place", marks, size=[512, 1024])
    rows = differences(one, two, HAND.scale, {}.get)
    assert rows[0]["absent"] and rows[0]["landmark"] == 9 and len(rows) == len(NAMES)
    wrist = np.linalg.norm(shape[1] - shape[5])
    assert rows[1] == {"id": "a", "landmark": 7, "px": 3.0, "frame_px": 1.5, "mm": round(150 / wrist, 3), "absent": False}
    assert rows[2]["px"] == 0
    assert differences(one, two, HAND.scale, {"a": (0.5, 0.5)}.get)[1]["mm"] == 1.5  # as stated now


def test_pace_leaves_out_pauses(tmp_path):
    store = open_store(tmp_path, landmarks=2)
    for id, k, time in (("a", 0, "00:00:00"), ("a", 1, "00:00:20"), ("b", 0, "01:00:00"), ("b", 1, "01:00:30")):
        changes = [{"landmark": k, "to": {"state": "absent"}}]
        store.apply({"id": id, "what": "place", "time": f"2026-01-01T{time}+00:00", "changes": changes})
    assert list(store.pace) == [80.0, 90.0]  # the pause before the first and the second counts for a minute


def test_pictures_keep_whole_numbers_and_a_limit(tmp_path):
    random = np.random.default_rng(0)
    wide = random.integers(0, 65536, (40, 30)).astype(np.uint16)
    iio.imwrite(tmp_path / "wide.png", wide)
    iio.imwrite(tmp_path / "narrow.png", made_radiograph(1)[0])
    iio.imwrite(tmp_path / "real.tif", (wide / 7).astype(np.float32))
    picture = make_picture(tmp_path / "wide.png")
    assert picture.bits == 16 and (picture.low, picture.step) == (wide.min(), 1)
    assert (np.frombuffer(picture.stored, "<u2").reshape(40, 30) + picture.low == wide).all()
    assert make_picture(tmp_path / "narrow.png").bits == 8
    real = make_picture(tmp_path / "real.tif")
    back = np.frombuffer(real.stored, "<u2").reshape(40, 30) * real.step + real.low
    assert np.abs(back - wide / 7).max() <= real.step / 2 + 1e-3
    pictures = Pictures({name: tmp_path / f"{name}.png" for name in ("wide", "narrow")}, budget=2500)
    for name in ("wide", "narrow", "wide"):
        pictures.get(name)
    assert list(pictures.held) == ["wide"]
    pictures.close()


def test_a_round_leaves_test_radiographs_out_and_links_the_others(tmp_path):
    raw = make_raw(tmp_path / "raw")
    collection = open_collection(raw, None)
    truth = read_points(raw / "all_coordinates.csv")
    with pytest.raises(DataError, match="training needs 6"):
        new_round(collection, "main", {id: truth[id] for id in ("a1", "a2", "c1")})
    one = new_round(collection, "main", truth)
    places = {path.name: path.parent.name for path in (one.folder / "raw").glob("*/*.png")}
    assert {name for name, split in places.items() if split == "test"} == {"c1.png", "c2.png"}
    assert sorted(places.values()).count("valid") == 2 and len(places) == 8
    other = new_round(collection, "other", {id: truth[id] for id in truth if not id.startswith("c")})
    assert sorted(path.parent.name for path in (other.folder / "raw").glob("*/*.png")) == ["train"] * 4 + ["valid"] * 2
    steps = steps_of(one, Flags(train=["--dropout", "0.2"]), lambda weights: Step("proposing", [weights]), 2)
    assert [step.title for step in steps] == ["preparing", "training", "calibrating", "proposing"]
    training = list(map(str, steps[1].arguments))
    assert training[-2:] == ["--dropout", "0.2"] and training[training.index("--folds") + 1] == "2"
    for expected in ({"radiographs": 8}, {"radiographs": 8, "error_px": 2.5, "of": 4}):
        write_figures(one)
        (figures,) = rounds_of(collection.labels / "rounds" / "main")
        assert {key: value for key, value in figures.items() if key not in ("round", "time")} == expected
        (one.folder / "network").mkdir(exist_ok=True)
        (one.folder / "network" / "out_of_fold.json").write_text(json.dumps({"ipe_px": 2.5, "images": 4}))


def test_radiographs_that_are_links_to_files_of_one_name_stay_apart(tmp_path, monkeypatch):
    """As where each patient's folder has its IM0001.png: each keeps its own name and picture, with links and without."""
    raw = make_pictures(tmp_path / "raw", 0)
    originals = [tmp_path / f"patient{number}" / "IM0001.png" for number in range(6)]
    for number, original in enumerate(originals):
        original.parent.mkdir()
        iio.imwrite(original, np.full((9, 9), number, np.uint8))
        os.symlink(original, raw / f"p{number}.png")
    collection = open_collection(raw, ["a", "b"])
    for reader in ("with links", "without"):
        one = new_round(collection, reader, {id: np.ones((2, 2)) for id in collection.paths})
        found = {path.stem: int(iio.imread(path)[0, 0]) for path in (one.folder / "raw").glob("*/*.png")}
        assert found == {f"p{number}": number for number in range(6)}
        assert [int(iio.imread(original)[0, 0]) for original in originals] == list(range(6))
        monkeypatch.setattr("labelling.rounds.os.symlink", Mock(side_effect=OSError))


def test_a_table_that_the_journal_did_not_make_is_neither_removed_nor_overwritten(tmp_path):
    """One of an earlier moment, as a killed server leaves it, is written anew; for a third look, too, no lock is kept."""
    raw = make_pictures(tmp_path / "raw", 2)
    with closing(session_of(raw, ["a"])) as session:
        for x in (1.5, 2.25):
            place(session.store, "p0", 0, x, 3.0)
    table = raw / "labels" / "readers" / "main.csv"
    now = table.read_text()
    table.write_text(now.replace("2.25", "1.5"))
    session_of(raw).close()
    assert table.read_text() == now and "2.25" in now
    strange = now.replace("2.25", "1.75")
    for reader in ("main", "anna"):  # anna has placed nothing
        table = raw / "labels" / "readers" / f"{reader}.csv"
        table.write_text(strange)
        with pytest.raises(DataError, match=rf"{reader}.csv: expected .* found others in 1 rows \(p0\); .* move it away"):
            session_of(raw, None, reader)
        session_of(raw, None, reader, to_read=True).close()  # as for --export, which writes no table
        assert table.read_text() == strange
    with closing(session_of(raw, None, "ben")) as session:
        table = raw / "labels" / "readers" / "settled.csv"
        table.write_text(strange)
        for _ in range(2):
            with pytest.raises(DataError, match=r"settled\.csv: expected"):
                session.store_of(settle=True)
        table.unlink()
        assert session.store_of(settle=True).reader == "settled"


def test_a_row_of_blank_cells_is_still_to_be_done(tmp_path):
    """In a row with some points a blank cell is a landmark that cannot be seen; one with more digits is taken over once."""
    raw = make_pictures(tmp_path / "raw", 3)
    table = raw / "all_coordinates.csv"
    table.write_text("id,x0,y0,x1,y1\np0,12.3456789012,7.0000000001,3,4\np1,,,,\np2,5,6,,\n")
    with closing(session_of(raw)) as session:
        assert [session.state(f"p{n}") for n in range(3)] == [DONE, NONE, DONE]
        assert session.next(None) == ("p1", FIRST) and session.guide_source()[0] == "p0"
        session.store.act(("p1", FIRST), session.store.item(("p1", FIRST)).version, "look", "second look", [], second_look=True)
        table.write_text(table.read_text().replace("p1,,,,", "p1,7,8,,"))
    with closing(session_of(raw)) as session:  # nobody has placed a point there: it follows the table
        assert session.state("p1") == DONE and session.store.items["p1", FIRST].second_look
        assert session.store.items["p0", FIRST].version == 1
    assert "p0,12.345679,7,3,4\n" in (raw / "labels" / "readers" / "main.csv").read_text()


def test_a_described_joint_is_labelled_and_trained_as_described(tmp_path):
    """Of joint.json, or of the table's header; hands by another name are still hands."""
    raw = make_raw(tmp_path / "raw")
    described = {"joint": "knee", "landmarks": list("abcde"), "skeleton": [["a", "b"], ["c", "e"]]}
    described["scale"] = {"name": "ball", "landmarks": ["a", "b"], "mm": 25}
    (raw / "joint.json").write_text(json.dumps(described))
    collection = open_collection(raw, None)
    with closing(session_of(raw)) as session:
        about = Api(session).get_session({})
    assert about["names"] == list("abcde") and json.loads(json.dumps(about["skeleton"])) == [[0, 1], [2, 4]]
    one = new_round(collection, "main", read_points(raw / "all_coordinates.csv"))
    assert read_description(one.folder / "raw" / "joint.json") == collection.joint and not collection.is_hand
    training = steps_of(one, Flags(), lambda weights: Step("proposing", [weights]), 2)[1].arguments
    assert "--init" not in training and "64x40 128x120" in training  # main.py chooses what a joint that is no hand starts from
    unit = spacing_mm((Item([]),), np.array([[0, 0], [3, 4], [0, 0], [0, 0], [0, 0.0]]), collection.joint.scale)
    assert unit.tolist() == [5, 5]
    with pytest.raises(DataError, match=r"expected 5 landmarks as in set\.json, found 4 in the command"):
        open_collection(raw, list("abcd"))

    hands = tmp_path / "hands"
    hands.mkdir()
    (raw / "train" / "a1.png").rename(hands / "a1.png")
    names = [f"point {k}" for k in range(len(NAMES))]
    header = ",".join(f"{name}_x,{name}_y" for name in names)
    row = ",".join(str(value) for value in (MEAN_SHAPE * 20 + 45).ravel())
    (hands / "all_coordinates.csv").write_text(f"ID,{header}\na1,{row}\n")
    collection = open_collection(hands, None)
    assert collection.is_hand and collection.names == names and collection.joint.skeleton == HAND.skeleton


def write_predictions(out: Path, hands: list[tuple[str, int, float, float]], landmarks: int) -> None:
    """A table as predict.py writes it; `hands`: picture, number of the hand, its confidence, x of its first landmark."""
    out.mkdir()
    lines, ellipse = [], {"semi_major": 2.5, "semi_minor": 1.5, "angle": 30}
    for image, hand, confidence, left in hands:
        for k in range(landmarks):
            line = {"image": image, "hand": hand, "name": str(k), "x": left + k, "y": 30.5, "confidence": confidence} | ellipse
            line["landmark_flags"] = "outside the picture" if k == 4 else ""
            lines.append([line.get(name, "") for name in COLUMNS])
    (out / "landmarks.csv").write_bytes(csv_lines([COLUMNS, *lines]))


def test_review_of_a_prediction_folder(serve, tmp_path, capsys):
    """What predict.py wrote, least certain first; names of files as it writes them, and nothing of it confirmed by itself."""
    raw = make_raw(tmp_path / "raw")
    (raw / "all_coordinates.csv").unlink()
    out = tmp_path / "predicted"
    two = [("train/a1.png", 1, 0.4, 40), ("train/a1.png", 2, 0.9, 20)]
    write_predictions(out, [*two, ("valid/b1.png", 1, 0.2, 20), ("other/x.png", 1, 0.1, 20)], 5)
    found, names = label.review(out, raw)
    assert set(found) == {"a1", "b1"} and names == list("01234") and "1 of its radiographs are not in" in capsys.readouterr().out
    assert found["a1"].points_px[2].tolist() == [22, 30.5]  # of the surer of two hands
    assert found["a1"].regions[2].tolist() == [2.5, 1.5, 30]
    assert np.isnan(found["a1"].points_px[4]).all()  # outside the picture: no position
    whole = (out / "landmarks.csv").read_text()
    (out / "landmarks.csv").write_text(whole[: whole.index("valid/b1.png") + 20])
    with pytest.raises(DataError, match=r"not as predict\.py writes it"):
        label.review(out, raw)
    (out / "landmarks.csv").write_text(whole)
    server = serve(names, raw=raw, reviewed=found)
    first = server.get("/api/next?after=")["id"]
    assert first == "b1" and server.get("/api/list")["counts"]["proposed"] == 2
    server.place(first, 0, 10.0, 10.0)
    mark = server.session.store.item((first, FIRST)).marks[0]
    assert mark.by == str(out) and mark.shown


def test_a_review_goes_by_whole_paths(tmp_path):
    """As predict.py names them: of the folder given, of one above it, or whole; accents as file systems write them."""
    raw, name = make_pictures(tmp_path / "raw", 1), "Fu\N{COMBINING DIAERESIS}sse"
    (raw / "p0.png").rename(raw / f"{name}.png")
    paths, _ = radiographs_of(raw)
    composed = "F\N{LATIN SMALL LETTER U WITH DIAERESIS}sse"
    of_set = [f"{name}.png", f"{composed}.dcm", f"raw/{name}.png", f"../raw/{name}.png", f"{raw}/{name}.png"]
    for number, image in enumerate([*of_set, f"sub/{name}.png", f"{raw}/other/{name}.png"]):
        write_predictions(tmp_path / str(number), [(image, 1, 0.4, 40), ("x.png", 1, 0.4, 40)], 5)
        found, _, unknown = read_predictions(tmp_path / str(number), paths)
        assert (len(found), unknown) == ((1, 1) if image in of_set else (0, 2)), image
    write_predictions(tmp_path / "twice", [(image, 1, 0.4, 40) for image in of_set[:2]], 5)
    with pytest.raises(DataError, match=r"can both be .*; predict its folder alone"):
        read_predictions(tmp_path / "twice", paths)


def test_what_label_made_is_no_input(tmp_path, capsys):
    """A round's raw folder holds radiographs of the set once more; a folder that is only called alike is one as others are."""
    raw, said = make_pictures(tmp_path / "raw", 2), []
    session_of(raw, ["a"]).close()
    of_round, other = raw / "labels" / "rounds" / "main" / "001" / "raw" / "train", raw / "more" / "labels"
    for folder, name in ((of_round, "p0.png"), (other, "p2.png")):
        folder.mkdir(parents=True)
        (folder / name).write_bytes((raw / "p1.png").read_bytes())
    listing = write_listing([str(raw)], tmp_path / "out", tmp_path / "list", said.append)
    assert [item.name for item in listing] == ["more/labels/p2.png", "p0.png", "p1.png"] and "labels: left out, since" in said[0]
    assert list(radiographs_in(raw)) == ["p0", "p1", "p2"]
    assert "left out" not in capsys.readouterr().out
    session_of(raw, ["a"]).close()
    assert f"{raw}: 1 radiographs in other folders are left out, as {other / 'p2.png'}" in capsys.readouterr().out
    assert write_listing([str(of_round)], tmp_path / "out", tmp_path / "list", said.append).count == 1  # where it is asked for


def test_ten_thousand_radiographs(tmp_path, monkeypatch):
    """Lists are paged and quick, and what is held for a radiograph without marks is next to nothing."""
    paths = {f"id{n:05d}": tmp_path / f"id{n:05d}.png" for n in range(10_000)}
    monkeypatch.setattr("labelling.collection.radiographs_of", lambda raw: (paths, dict.fromkeys(paths, "")))
    with closing(session_of(tmp_path, list(NAMES))) as session:
        api = Api(session)
        answer = api.get_list({"filter": "none", "offset": "9900"})
        assert len(answer["rows"]) == 100 and answer["found"] == 10_000 and not session.store.items
        assert api.get_list({"search": "ID0012"})["found"] == 10
        assert api.get_next({})["id"] == "id00000" and api.get_progress({})["total"] == 10_000


def test_what_preparation_made_is_not_labelled(prepared):
    with pytest.raises(DataError, match=r"is what data_preprocessing\.py made of radiographs; give the folder"):
        open_collection(prepared, None)
