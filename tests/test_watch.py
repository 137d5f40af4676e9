"""A folder that radiographs arrive in: each is predicted once, also after the process was killed."""

import configparser
import os
import re
import shlex
import signal
import time
from argparse import Namespace
from collections import Counter
from pathlib import Path

import imageio.v3 as iio
from conftest import ROOT, made_radiograph, rows_of, spawn, write_weights

import predict
from prediction import watch
from prediction.journal import whole_lines


def arrive(folder: Path, *numbers: int) -> None:
    for number in numbers:
        iio.imwrite(folder / f"{number}.png", made_radiograph(number)[0])


def lines(out: Path) -> Counter:
    """How many lines the journal has of each radiograph."""
    path = out / "journal" / "1-of-1.jsonl"
    return Counter(line[9:25] for _, line in whole_lines(path)) if path.exists() else Counter()


def wait_for(out: Path, count: int) -> None:
    until = time.monotonic() + 180
    while len(lines(out)) < count or not (out / "index.html").exists():
        assert time.monotonic() < until, lines(out)
        time.sleep(0.2)


def test_what_arrives_is_predicted_once(tmp_path):
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    write_weights(tmp_path / "tiny.pt")
    call = "predict.py", folder, "--watch", "--weights", tmp_path / "tiny.pt", "--out", out
    watching = spawn(*call)
    arrive(folder, 0, 1)
    (folder / "cut.png").write_bytes((folder / "0.png").read_bytes()[:100])
    wait_for(out, 3)
    watching.send_signal(signal.SIGKILL)
    watching.wait()
    (folder / "1.png").rename(tmp_path / "1.png")  # moved on, while nobody watched
    arrive(folder, 2)
    watching = spawn(*call)
    wait_for(out, 4)
    (folder / "0.png").rename(tmp_path / "0.png")
    arrive(folder, 3)
    wait_for(out, 5)
    watching.terminate()
    _, said = watching.communicate(timeout=60)
    assert watching.returncode == 0 and said.count("cut.png") <= 1  # said by the first one
    assert set(lines(out).values()) == {1}
    assert {Path(row["image"]).name for row in rows_of(out / "landmarks.csv")} >= {"0.png", "1.png", "2.png"}  # gone ones too


def test_a_folder_that_cannot_be_reached_is_told_once_each_time(tmp_path, monkeypatch, capsys):
    """It is gone in the second, third and fifth look of six; that it is empty is no fault."""
    folder, looks = tmp_path / "in", iter((False, True, True, False, True, False))

    def before_a_look(*seconds: float) -> None:
        gone = next(looks, None)
        if gone is None:
            raise KeyboardInterrupt
        if gone == folder.exists():
            folder.rmdir() if gone else folder.mkdir()

    before_a_look()
    monkeypatch.setattr(watch, "sleep", before_a_look)
    assert watch.watch(Namespace(inputs=[str(folder)], out=tmp_path / "out"), lambda _: None, predict.run) == 0
    assert capsys.readouterr().err == 2 * f"{folder}: no such file or folder\n"


def test_a_refused_call_leaves_no_file_in_the_list(tmp_path, monkeypatch, capsys):
    """Another folder into the same --out, and an --out of somebody else."""
    folder, other, out, theirs = (tmp_path / name for name in ("in", "other", "out", "theirs"))
    for path in (folder, other, theirs):
        path.mkdir()
    arrive(folder, 0)
    arrive(other, 1)
    (theirs / "note.txt").write_text("mine")
    write_weights(tmp_path / "tiny.pt")
    left = iter(range(3))

    def look(seconds: float) -> None:
        if next(left, None) is None:
            raise KeyboardInterrupt

    monkeypatch.setattr(watch, "sleep", look)
    call = ["--watch", "--weights", str(tmp_path / "tiny.pt"), "--out"]
    assert predict.main([str(folder), *call, str(out)]) == 0
    listed = (out / "journal" / watch.ARRIVED).read_bytes()
    assert listed.endswith(b"0.png")
    assert predict.main([str(other), *call, str(out)]) == 1
    assert "holds predictions of another call (watched: " in capsys.readouterr().err
    assert (out / "journal" / watch.ARRIVED).read_bytes() == listed
    assert predict.main([str(other), *call, str(theirs)]) == 1
    assert [path.name for path in theirs.iterdir() if not path.name.startswith(".")] == ["note.txt"]


def test_what_changes_and_is_then_moved_on_keeps_its_rows(tmp_path, monkeypatch, capsys):
    """0 is written anew in the third look and gone in the fourth, beside 2; 1 arrives then. A name of two lines is told."""
    folder, out, called = tmp_path / "in", tmp_path / "out", []
    folder.mkdir()
    arrive(folder, 0, 2)
    (folder / "0.png").with_name("two\nlines.png").write_bytes(b"")
    what = iter((None, "write", "move", None, None))

    def look(seconds: float) -> None:
        act = next(what, "end")
        if act == "end":
            raise KeyboardInterrupt
        if act == "write":
            iio.imwrite(folder / "0.png", made_radiograph(9)[0])
            os.utime(folder / "0.png", (1, 1))
        if act == "move":
            (folder / "0.png").unlink()
            arrive(folder, 1)

    monkeypatch.setattr(watch, "sleep", look)
    options = Namespace(inputs=[str(folder)], out=out)
    watch.watch(options, lambda _: None, lambda _: called.append((out / "journal" / watch.ARRIVED).read_bytes().split(b"\n")))
    assert [[Path(os.fsdecode(path)).name for path in one] for one in called] == [["0.png", "2.png"], ["0.png", "1.png", "2.png"]]
    assert "two\\nlines.png': expected a name of one line, found several; rename it" in capsys.readouterr().err


def test_only_folders_are_watched(tmp_path, capsys):
    write_weights(tmp_path / "tiny.pt")
    given = [str(tmp_path / "none"), "--watch", "--weights", str(tmp_path / "tiny.pt"), "--out", str(tmp_path / "out")]
    assert predict.main(given) == 1
    assert capsys.readouterr().err.endswith("none: expected a folder to watch, found none; make it first\n")


def test_the_systemd_unit_of_the_documentation_is_understood():
    text = (ROOT / "docs" / "prediction.md").read_text()
    unit = configparser.ConfigParser()
    unit.read_string(re.sub(r"^ +", "", text[text.index("    [Unit]") : text.index("## An archive")], flags=re.MULTILINE))
    interpreter, script, *words = shlex.split(unit["Service"]["ExecStart"])
    assert interpreter.endswith("/python") and script == "predict.py" and predict.read_options(words).watch
