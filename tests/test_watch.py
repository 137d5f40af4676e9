"""A folder that radiographs arrive in: each is predicted once, also after the process was killed."""

import configparser
import re
import shlex
import signal
import time
from collections import Counter
from pathlib import Path

import imageio.v3 as iio
from conftest import ROOT, made_radiograph, rows_of, spawn

import predict
from benchmarks.archive import write_weights
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
    arrive(folder, 2)
    watching = spawn(*call)
    wait_for(out, 4)
    arrive(folder, 3)
    wait_for(out, 5)
    watching.terminate()
    _, said = watching.communicate(timeout=60)
    assert watching.returncode == 0 and said.count("cut.png") <= 1  # said by the first one
    assert set(lines(out).values()) == {1}
    assert {Path(row["image"]).name for row in rows_of(out / "landmarks.csv")} >= {"0.png", "1.png", "2.png"}


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
