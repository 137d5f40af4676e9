"""Predictions of very many files: they go on, are shared among processes, come from lists, and are read apart."""

import codecs
import errno
import json
import os
import shutil
import sys
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
from conftest import LANDMARKS, made_radiograph, rows_of, write_weights
from pydicom import dcmread
from pydicom.data import get_testdata_file

import predict
from prediction import page, worker
from prediction.folder import empty_folder
from prediction.journal import Index, Journal
from prediction.listing import Item, write_listing
from prediction.page import worst_first, write_pages
from prediction.shard import Shard, shard_of
from runtime import distributed
from runtime.files import DataError


def run(*arguments: object) -> int:
    return predict.main([str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    """A tiny network of random weights: what it finds is not the matter here."""
    path = tmp_path_factory.mktemp("weights") / "tiny.pt"
    write_weights(path)
    return path


@pytest.fixture
def pictures(tmp_path) -> Path:
    """A folder of five radiographs, and one file that is none."""
    for number, name in enumerate(("a.png", "b/c.png", "b/d.png", "e.png", "f.png")):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        iio.imwrite(tmp_path / "in" / name, made_radiograph(number)[0])
    (tmp_path / "in" / "broken.png").write_text("no picture")
    return tmp_path / "in"


@pytest.fixture
def whole(pictures, weights, tmp_path) -> Path:
    """What one uninterrupted process makes of them."""
    assert run(pictures, "--weights", weights, "--out", tmp_path / "whole", "--format", "coco,slicer") == 1
    return tmp_path / "whole"


def outputs(folder: Path) -> dict[str, bytes]:
    """All files but those of the journal."""
    paths = [path for path in folder.rglob("*") if path.is_file() and path.name != ".lock" and path.parent.name != "journal"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def journal_lines(out: Path) -> list[bytes]:
    return [line for path in sorted((out / "journal").glob("*-of-*.jsonl")) for line in path.read_bytes().splitlines(True)]


# ---- the journal


def content(number: int) -> dict:
    return {"name": f"{number}.png", "least": number / 7}


def test_a_journal_knows_whole_lines_alone(tmp_path):
    """Whatever a killed process leaves of its last line, and a damaged one in the middle, costs these lines alone."""
    items = [Item(f"{number}.png", f"{number}.png", f"{number}.png") for number in range(4)]
    journal = Journal(tmp_path, Shard())
    for number, item in enumerate(items):
        journal.append(item, 5, 0, content(number))
    journal.close()
    path = tmp_path / "1-of-1.jsonl"
    whole = path.read_bytes()
    last = whole[:-1].rindex(b"\n") + 1
    for cut in range(last, len(whole)):
        path.write_bytes(whole[:cut])
        index = Index(tmp_path)
        assert len(index) == 3 and index.place(items[3]) is None
        Journal(tmp_path, Shard()).close()  # drops the cut line
        assert path.read_bytes() == whole[:last]
    damaged = bytearray(whole)
    damaged[whole.index(b"1.png")] ^= 1
    path.write_bytes(damaged)
    index = Index(tmp_path)
    known = [index.place(item) for item in items]
    assert known[1] is None and [index.content(known[number]) for number in (0, 2, 3)] == [content(n) for n in (0, 2, 3)]


# ---- going on


@pytest.mark.slow
def test_it_goes_on_where_it_was_cut(pictures, weights, whole, tmp_path, capsys):
    """From any part of the journal, in any order, its last line cut: the same bytes, and no line that stood is made again."""
    lines = [line for line in journal_lines(whole) if b"error" not in line]
    for kept, cut in (([], 0), ([4, 2, 1], 40), ([0, 1, 2, 3, 4], 0)):
        out = tmp_path / f"cut {len(kept)}"
        (out / "journal").mkdir(parents=True)
        shutil.copy(whole / "journal" / "call.json", out / "journal")
        shutil.copytree(whole / "overlays", out / "overlays")
        shutil.copytree(whole / "slicer", out / "slicer")
        (out / "journal" / "1-of-1.jsonl").write_bytes(b"".join(lines[number] for number in kept) + lines[0][:cut])
        arguments = (pictures, "--weights", weights, "--out", out, "--format", "coco,slicer")
        assert run(*arguments, *(["--resume"] if kept else [])) == 1
        said = capsys.readouterr()
        assert f"5 radiographs predicted, {len(kept)} of them before," in said.out or not kept
        assert "broken.png: cannot be read" in said.err  # once more, since somebody may have mended it
        assert outputs(out) == outputs(whole)
        assert sorted(line for line in journal_lines(out) if b"error" not in line) == sorted(lines)
    (pictures / "broken.png").unlink()
    assert run(*arguments) == 0 and "5 radiographs predicted, 5 of them before" in capsys.readouterr().out
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.*") if path.parent.name != "journal"}
    assert run(*arguments) == 0 and "all 5 radiographs were predicted before" in capsys.readouterr().out
    assert before == {path: path.stat().st_mtime_ns for path in out.rglob("*.*") if path.parent.name != "journal"}


@pytest.mark.slow
def test_a_changed_file_is_predicted_again_and_a_new_one_too(pictures, weights, whole, tmp_path, capsys):
    """Also one that is a picture no more, whose overlay and markups go."""
    arguments = (pictures, "--weights", weights, "--format", "coco,slicer", "--out")
    iio.imwrite(pictures / "b" / "c.png", made_radiograph(7)[0])
    iio.imwrite(pictures / "g.png", made_radiograph(8)[0])
    (pictures / "e.png").write_text("no picture any more")
    (pictures / "f.png").unlink()
    assert run(*arguments, whole) == 1
    assert "4 radiographs predicted, 2 of them before" in capsys.readouterr().out
    assert run(*arguments, tmp_path / "anew") == 1
    gone = {"overlays/f.png.png", "slicer/f.png.mrk.json"}  # of a radiograph that is no input any more
    assert {name: content for name, content in outputs(whole).items() if name not in gone} == outputs(tmp_path / "anew")


def test_a_file_that_is_not_there_for_a_while_keeps_its_prediction(pictures, weights, tmp_path, capsys):
    (tmp_path / "list.txt").write_text("".join(f"{pictures / name}\n" for name in ("a.png", "e.png")))
    arguments = (f"@{tmp_path / 'list.txt'}", "--weights", weights, "--out", tmp_path / "out")
    assert run(*arguments) == 0
    before = outputs(tmp_path / "out")
    (pictures / "e.png").rename(tmp_path / "away.png")
    assert run(*arguments) == 1 and "e.png: no such file" in capsys.readouterr().err
    assert outputs(tmp_path / "out") == before
    (tmp_path / "away.png").rename(pictures / "e.png")
    assert run(*arguments) == 0 and "all 2 radiographs were predicted before" in capsys.readouterr().out


def test_another_call_does_not_go_on(pictures, weights, whole, tmp_path, capsys):
    usual = (pictures, "--weights", weights, "--out", whole, "--format", "coco,slicer")
    other = tmp_path / "other.pt"
    other.write_bytes(weights.read_bytes() + b" ")
    (earlier := tmp_path / "earlier" / "journal").mkdir(parents=True)
    (earlier / "call.json").write_text("{}")
    for way in (("--merge",), (pictures, "--weights", weights)):
        assert run(*way, "--out", earlier.parent) == 1 and "of an earlier version; choose another" in capsys.readouterr().err
    for arguments, name in (
        ((*usual, "--names"), "with_names: False there, True now"),
        ((*usual, "--precision", "bfloat16"), "precision: float32 there, bfloat16 now"),
        ((pictures / "a.png", *usual[1:]), "inputs: "),
        ((*usual, "--weights", other), "weights: "),
        ((*usual[:-1], "coco"), "formats: "),
    ):
        assert run(*arguments) == 1
        said = capsys.readouterr().err
        assert f"{whole}: holds predictions of another call ({name}" in said and said.count("\n") == 1, said
    assert run(*usual[:4], tmp_path / "none", "--resume") == 1
    assert "expected predictions to go on with, found none" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        run(*usual, "--resume", "--overwrite")
    (pictures / "broken.png").unlink()
    with open(whole / "landmarks.csv", "a") as table:
        table.write("a correction\n")
    assert run(*usual) == 1 and "landmarks.csv: was changed since predict.py wrote it" in capsys.readouterr().err
    assert (whole / "landmarks.csv").read_text().endswith("a correction\n")


# ---- several processes


@pytest.mark.slow
def test_shards_and_torchrun_make_the_bytes_of_one_process(pictures, weights, whole, tmp_path, capsys, monkeypatch):
    arguments = (pictures, "--weights", weights, "--format", "coco,slicer", "--out")
    assert run(*arguments, tmp_path / "three", "--shard", "2/3") == 0  # the broken file is another's
    assert run("--merge", "--out", tmp_path / "three") == 1
    missing = "4 radiographs are missing (a.png, b/d.png, broken.png, f.png); start"
    assert f"{tmp_path / 'three'}: {missing}" in capsys.readouterr().err
    for shard in ("3/3", "1/3"):
        run(*arguments, tmp_path / "three", "--shard", shard)
    assert run("--merge", "--out", tmp_path / "three") == 1  # for the broken file
    said = capsys.readouterr()
    assert "broken.png: cannot be read" in said.err and "5 radiographs predicted, " in said.out
    assert outputs(tmp_path / "three") == outputs(whole)
    assert run(*arguments, tmp_path / "three") == 1 and "5 of them before" in capsys.readouterr().out  # one process goes on

    for rank in (1, 0):
        with monkeypatch.context() as patch:  # as torchrun says it
            patch.setattr(distributed, "RANK", rank)
            patch.setattr(distributed, "WORLD", 2)
            patch.setenv("LOCAL_WORLD_SIZE", "2")
            for part in ("1/2", "2/2"):  # torchrun would end all of them if one said that a file was broken
                assert run(*arguments, tmp_path / "two", "--shard", part) == 0
    journals = sorted(path.name for path in (tmp_path / "two" / "journal").glob("*-of-*.jsonl"))
    assert journals == [f"{k}-of-4.jsonl" for k in (1, 2, 3, 4)]
    assert run("--merge", "--out", tmp_path / "two") == 1
    assert outputs(tmp_path / "two") == outputs(whole)


def test_shards_that_see_other_files_are_not_merged(pictures, weights, whole, tmp_path, capsys):
    arguments = (pictures, "--weights", weights, "--format", "coco,slicer", "--out", tmp_path / "two", "--shard")
    run(*arguments, "1/2")
    (pictures / "b").rename(tmp_path / "elsewhere")
    run(*arguments, "2/2")
    assert run("--merge", "--out", tmp_path / "two") == 1
    assert "found 4 in the newest list, others in 1-of-2" in capsys.readouterr().err
    (tmp_path / "elsewhere").rename(pictures / "b")
    run(*arguments, "2/2")
    assert run("--merge", "--out", tmp_path / "two") == 1  # for the broken file
    assert outputs(tmp_path / "two") == outputs(whole)

    (pictures / "broken.png").unlink()  # a table that is older than the journal is written again
    assert run(*arguments[:-1]) == 0
    iio.imwrite(pictures / "a.png", made_radiograph(7)[0])
    for part in ("1/2", "2/2"):
        assert run(*arguments, part) == 0
    capsys.readouterr()
    assert run(*arguments[:-1]) == 0 and "5 radiographs predicted, 5 of them before" in capsys.readouterr().out
    assert run(*arguments[:-2], tmp_path / "anew") == 0 and outputs(tmp_path / "two") == outputs(tmp_path / "anew")


def test_a_job_array_says_which_part_is_a_jobs(monkeypatch):
    with pytest.raises(DataError, match="expected a job of an array"):
        shard_of("slurm")
    for number, first, count, expected in ((5, 1, 64, Shard(5, 64)), (0, 0, 2, Shard(1, 2)), (9, 9, 1, Shard())):
        for name, value in (("ID", number), ("MIN", first), ("COUNT", count)):
            monkeypatch.setenv(f"SLURM_ARRAY_TASK_{name}", str(value))
        assert shard_of(predict.read_options(["a.png", "--shard", "slurm"]).shard) == expected
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "10")
    with pytest.raises(DataError, match="without gaps"):
        shard_of("slurm")


def test_calls_that_are_refused_at_once(pictures, weights, tmp_path, capsys):
    for arguments, expected in (
        ((pictures, "--shard", "0/3"), "expected a part and their number"),
        ((pictures, "--shard", "4/3"), "expected a part and their number"),
        ((pictures, "--shard", "1/2", "--overwrite"), "others may be writing"),
        (("-", "--shard", "1/2"), "the others would not see the list"),
        (("--merge", pictures), "--merge takes no files"),
        (("--export", "x.onnx", pictures), "--export and --export-demo take no files"),
        ((pictures, ""), "expected a file or a folder, found an empty name"),  # as a variable that is not set
    ):
        with pytest.raises(SystemExit):
            run(*arguments, "--out", tmp_path / "out")
        assert expected in capsys.readouterr().err
    assert run("--merge", "--out", tmp_path / "out") == 1
    assert "expected predictions, found none" in capsys.readouterr().err and not (tmp_path / "out").exists()
    (tmp_path / "empty.txt").write_text("\n")
    assert run(f"@{tmp_path / 'empty.txt'}", "--weights", weights, "--out", tmp_path / "out") == 1
    assert "empty.txt: expected radiographs, found none" in capsys.readouterr().err


# ---- input


def names_of(inputs: list[object], folder: Path) -> list[str]:
    return [item.name for item in write_listing([str(given) for given in inputs], folder / "out", folder / ".list")]


def test_lists_of_files(pictures, tmp_path, monkeypatch):
    (tmp_path / "list.txt").write_bytes(b"in/f.png\r\n\nin/b/c.png\nin/not there.png\n")
    monkeypatch.chdir(tmp_path)
    assert names_of(["@list.txt"], tmp_path) == ["in/f.png", "in/b/c.png", "in/not there.png"]
    with open(tmp_path / "list.txt") as file:
        monkeypatch.setattr(sys, "stdin", file)
        assert names_of(["-"], tmp_path) == ["in/f.png", "in/b/c.png", "in/not there.png"]
    (tmp_path / "bom.txt").write_bytes(codecs.BOM_UTF8 + b"in/f.png\n")
    assert names_of(["@bom.txt"], tmp_path) == ["in/f.png"]
    (tmp_path / "wide.txt").write_text("in/f.png\n", encoding="utf-16")
    with pytest.raises(DataError, match=r"wide\.txt, line 1: expected a path, found a zero byte"):
        names_of(["@wide.txt"], tmp_path)
    found = write_listing(["@none.txt", "in/a.png"], tmp_path / "out", tmp_path / ".list")
    assert found.errors == ["none.txt: no such list of files"] and found.count == 1


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux takes these names")
def test_odd_entries_of_a_folder(pictures, weights, tmp_path, capsys):
    """A link to itself, a pipe, a carriage return, two names that are no UTF-8: each costs itself alone, and none is another."""
    (pictures / "broken.png").unlink()
    (pictures / "b" / "itself").symlink_to("itself")
    os.mkfifo(pictures / "b" / "pipe.png")
    for name in (b"m\xfc.png", b"m\xf6.png", b"r\rb.png"):
        shutil.copy(pictures / "a.png", os.path.join(os.fsencode(pictures), name))
    assert run(pictures, "--weights", weights, "--out", tmp_path / "out") == 1
    assert "pipe.png: expected a file, found a pipe" in capsys.readouterr().err
    names = [row["image"] for row in rows_of(tmp_path / "out" / "landmarks.csv")][::LANDMARKS]
    assert sorted(names) == ["a.png", "b/c.png", "b/d.png", "e.png", "f.png", "m\\xf6.png", "m\\xfc.png", "r\\rb.png"]


def test_a_folder_that_is_closed_to_us_costs_itself_alone(tmp_path, monkeypatch):
    for name in ("a.png", "closed/b.png"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_text("{}")
    closed = str(tmp_path / "in" / "closed")

    def refusing(call, is_closed):
        def refuse(path, *more, **options):
            if is_closed(str(path)):
                raise PermissionError(errno.EACCES, "Permission denied", str(path))
            return call(path, *more, **options)

        return refuse

    monkeypatch.setattr(os, "stat", refusing(os.stat, lambda path: path.startswith(closed + os.sep)))
    monkeypatch.setattr(os, "scandir", refusing(os.scandir, lambda path: path == closed))
    listing = write_listing([str(tmp_path / "in"), f"{closed}/b.png"], tmp_path / "out", tmp_path / "list", print)
    assert [item.name for item in listing] == ["a.png"]
    assert listing.errors == [
        f"{closed}: cannot be looked into (Permission denied); what lies there is left out",
        f"{closed}/b.png: no such file or folder",
    ]


def test_what_commands_made_of_radiographs_is_no_radiograph(tmp_path):
    """Nor secondary captures of results, which are DICOM. A prepared folder lies by default in that of its radiographs."""
    results = ("first/overlays/a.png.png", "first/dicom/a.dcm_sc.dcm", "first/journal/call.json")
    prepared = ("processed/settings.json", "processed/train/a.png", "processed/train/a.npz", "processed/train/a.detail.png")
    for name in ("a.png", "train/settings.json", "train/b.png", *results, *prepared):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_text("{}")
    said = []
    listing = write_listing([str(tmp_path / "in")], tmp_path / "second", tmp_path / "list", said.append)
    assert [item.name for item in listing] == ["a.png", "train/b.png"]
    for folder, maker in (("first", "predict.py"), ("processed", "data_preprocessing.py")):
        assert said.pop(0) == f"{tmp_path / 'in' / folder}: left out, since {maker} keeps there what it made of other radiographs"


def interrupted(*_, **__) -> None:
    raise KeyboardInterrupt


def test_what_predict_did_not_write_is_not_overwritten(pictures, weights, tmp_path, capsys, monkeypatch):
    """A web page of somebody's has the same names; its own folder is known by the journal, also one that was half removed."""
    site, out = tmp_path / "site", tmp_path / "out"
    (site / "pages").mkdir(parents=True)
    for name in ("index.html", "pages/about.html"):
        (site / name).write_text("years of work")
    assert run(pictures, "--weights", weights, "--out", site, "--overwrite") == 1
    assert "is not empty, and has no journal of predict.py" in capsys.readouterr().err
    assert sorted(path.name for path in site.rglob("*.html")) == ["about.html", "index.html"]

    run(pictures, "--weights", weights, "--out", out)
    before = outputs(out)
    for name in ("dicom/radiograph.dcm", "overlays/notes.txt"):
        (out / name).parent.mkdir(exist_ok=True)
        (out / name).write_text("years of work")
        assert run(pictures, "--weights", weights, "--out", out, "--overwrite") == 1
        assert f"{out / name}: is not of predict.py; move it elsewhere" in capsys.readouterr().err
        assert outputs(out) == before | {name: b"years of work"}
        (out / name).unlink()
    (out / "overlays" / "Thumbs.db").write_text("of a system that shows the folder")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("prediction.folder.shutil.rmtree", interrupted)
        empty_folder(out)
    assert (out / "index.html").exists() and not journal_lines(out)
    assert run(pictures, "--weights", weights, "--out", out, "--overwrite") == 1  # for the broken picture
    assert outputs(out) == before


def test_a_table_of_files_carries_its_columns_into_the_outputs(pictures, weights, tmp_path, capsys):
    (tmp_path / "cases.csv").write_text(f"case,path,=visit\n7,{pictures / 'f.png'},2\n\n=1+1,{pictures / 'a.png'},\n")
    out = tmp_path / "out"
    assert run(f"@{tmp_path / 'cases.csv'}", "--weights", weights, "--out", out, "--format", "coco") == 0
    rows = rows_of(out / "landmarks.csv")
    assert list(rows[0])[-2:] == ["case", "'=visit"]
    assert [(row["image"], row["case"]) for row in rows[::LANDMARKS]] == [
        (str(pictures / "f.png"), "7"),
        (str(pictures / "a.png"), "'=1+1"),
    ]
    images = json.loads((out / "coco.json").read_text())["images"]
    assert [image["ids"] for image in images] == [{"case": "7", "=visit": "2"}, {"case": "=1+1", "=visit": ""}]
    for text, expected in (
        ("case,file\n1,a\n", "expected a header with the column path"),
        ("path,case\na\n", "line 2: expected 2 cells, found 1"),
        ("path,case\na\0.png,1\n", "line 2: expected a path, found a zero byte"),
        ("path,case\na.png,1\n,2\n", "line 3: expected a path, found none"),
        ("path,flags\na.png,1\n", "its column flags is also one of landmarks.csv"),
    ):
        (tmp_path / "wrong.csv").write_text(text)
        assert run(f"@{tmp_path / 'wrong.csv'}", "--weights", weights, "--out", tmp_path / "none") == 1
        assert expected in capsys.readouterr().err


@pytest.mark.slow
def test_texts_of_dicom_headers_are_columns_if_asked(pictures, weights, tmp_path, capsys):
    dataset = dcmread(get_testdata_file("CT_small.dcm"))
    dataset.AccessionNumber, dataset.PatientName, dataset.PatientID = "A 17", "Secret^Name", "secret"
    dataset.save_as(tmp_path / "ct.dcm")
    files = (tmp_path / "ct.dcm", pictures / "a.png", "--weights", weights, "--format", "coco")
    assert run(*files, "--out", tmp_path / "plain") == 0
    assert run(*files, "--out", tmp_path / "asked", "--dicom", "AccessionNumber,SeriesInstanceUID,ImageType") == 0
    first, *_, last = rows_of(tmp_path / "asked" / "landmarks.csv")
    asked = ("AccessionNumber", "SeriesInstanceUID", "ImageType")
    assert [first[name] for name in asked] == ["A 17", dataset.SeriesInstanceUID, "\\".join(dataset.ImageType)]
    assert [last[name] for name in asked] == ["", "", ""]
    for folder in ("plain", "asked"):
        for path in (tmp_path / folder).rglob("*"):
            assert path.is_dir() or b"ecret" not in path.read_bytes(), path
    assert set(asked) & set(rows_of(tmp_path / "plain" / "landmarks.csv")[0]) == set()
    dataset.SeriesNumber, dataset.AcquisitionNumber = 1234, 0
    dataset.save_as(tmp_path / "ct.dcm")
    assert run(*files, "--out", tmp_path / "zero", "--dicom", "AcquisitionNumber,SeriesNumber") == 0
    first = rows_of(tmp_path / "zero" / "landmarks.csv")[0]
    assert (first["AcquisitionNumber"], first["SeriesNumber"]) == ("0", "1234")
    (tmp_path / "ct.dcm").write_bytes((tmp_path / "ct.dcm").read_bytes().replace(b"1234", b"inf "))
    assert run(*files, "--out", tmp_path / "odd", "--dicom", "SeriesNumber") == 1
    assert "ct.dcm: its SeriesNumber cannot be read" in capsys.readouterr().err
    for word in ("AccesionNumber", "PixelData", "TransferSyntaxUID", ""):
        assert run(*files, "--out", tmp_path / "wrong", "--dicom", word) == 1
        assert "--dicom: expected" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("names", "plain"),
    [
        (["a/b.png", "a_b.png", "A_B.png", "a_b.png_2"], ["a_b.png", "a_b.png_3", "A_B.png_4", "a_b.png_2"]),
        (["a.png", "b.png"], ["a.png", "b.png"]),
    ],
)
def test_plain_names_are_given_once(tmp_path, names, plain):
    (tmp_path / "list.txt").write_text("\n".join(names))
    found = write_listing([f"@{tmp_path / 'list.txt'}"], tmp_path / "out", tmp_path / ".list")
    assert [item.plain for item in found] == plain


@pytest.mark.slow
def test_no_other_radiograph_of_its_name_stands_behind_a_row(weights, tmp_path, capsys):
    """p/x.png takes the name that the pictures of p_x.png had, and is gone again; each call's pictures are of its own rows."""
    folder, out = tmp_path / "in", tmp_path / "out"
    (folder / "p").mkdir(parents=True)
    call = (folder, "--weights", weights, "--out", out, "--format", "slicer")
    iio.imwrite(folder / "p_x.png", made_radiograph(0)[0])
    assert run(*call) == 0
    drawn = {path.name: path.read_bytes() for path in out.glob("*/p_x*") if path.suffix == ".png"}
    iio.imwrite(folder / "p" / "x.png", made_radiograph(1)[0])
    assert run(*call) == 0 and len(list((out / "overlays").iterdir())) == 2
    assert (out / "overlays" / "p_x.png.png").read_bytes() != drawn["p_x.png.png"]
    (folder / "p" / "x.png").unlink()
    capsys.readouterr()
    assert run(*call) == 0
    assert "1 radiographs predicted, " in (said := capsys.readouterr().out) and "before" not in said
    assert "pictures of 2 radiographs that are no longer listed, or under other names, are still there" in said
    assert (out / "overlays" / "p_x.png.png").read_bytes() == drawn["p_x.png.png"]
    assert run(*call) == 0 and "all 1 radiographs were predicted before" in capsys.readouterr().out  # it was drawn last


@pytest.mark.slow
def test_a_file_that_is_listed_twice_is_refused(pictures, weights, tmp_path, capsys):
    (tmp_path / "list.txt").write_text(f"{pictures / 'a.png'}\n{pictures / 'e.png'}\n{pictures / 'a.png'}\n")
    for inputs in ([f"@{tmp_path / 'list.txt'}"], [pictures, pictures / "a.png"]):
        assert run(*inputs, "--weights", weights, "--out", tmp_path / "out") == 1
        assert "a.png: expected each file once, found it twice; list it once" in capsys.readouterr().err


# ---- pages and Parquet


def test_pages_are_worst_first_over_all_of_them(tmp_path, monkeypatch):
    monkeypatch.setattr(page, "CARDS", 2)
    monkeypatch.setattr(page, "ENTRIES", 3)
    least, flagged = np.array([0.5, 0.1, 0.9, 0.3, 0.3]), np.array([0, 0, 1, 0, 1], np.uint8)
    order = worst_first(flagged, least)
    assert order.tolist() == [4, 2, 1, 3, 0]

    def content(place: int) -> dict:
        flags = ["doubtful joints"] if flagged[place] else []
        about = {"card": f"<a>{place}</a>", "name": f"</script>{place}", "overlay": f"{place}.png"}
        return about | {"flags": flags, "least": least[place]}

    write_pages(tmp_path, order, content, ["doubtful joints"], 2, ["<b>: broken"], 3)
    texts = [(tmp_path / name).read_text() for name in ("index.html", "pages/2.html", "pages/3.html")]
    assert "<b>" not in texts[0]
    for text, shown, others in zip(texts, ("42", "13", "0"), ("<a>1", "<a>4", "<a>3")):
        assert text.index(f"<a>{shown[0]}</a>") < text.index(f"<a>{shown[-1]}</a>") + 1 and others not in text
        assert "5 radiographs, 2 flagged, 3 files not read" in text and 'data-parts="2"' in text
    assert "and 2 more" in texts[0] and '<base href="../">' in texts[1] and 'href="pages/3.html">next' in texts[1]
    assert not (tmp_path / "pages" / "4.html").exists() and (tmp_path / "pages" / "search.js").exists()
    parts = [(tmp_path / "pages" / f"entries-{part}.js").read_text() for part in (1, 2)]
    lines = [json.loads(line.rstrip(",")) for part in parts for line in part.splitlines() if line.startswith("[")]
    assert [line[1:] for line in lines] == [[f"{n}.png", [0] if flagged[n] else [], least[n]] for n in order]
    write_pages(tmp_path, order[:2], content, ["doubtful joints"], 2, [], 0)  # and none of the older pages is left
    assert sorted(path.name for path in (tmp_path / "pages").iterdir()) == ["entries-1.js", "search.js"]
    assert parts[0].startswith("entries(0, [\n") and parts[1].startswith("entries(1, [\n")


def test_pictures_of_many_radiographs_lie_in_several_folders(pictures, weights, tmp_path, monkeypatch):
    monkeypatch.setattr(worker, "MANY", 2)
    assert run(pictures, "--weights", weights, "--out", tmp_path / "out") == 1
    paths = sorted(path.relative_to(tmp_path / "out") for path in (tmp_path / "out" / "overlays").rglob("*.png"))
    assert len(paths) == 5 and all(len(path.parts) == 3 for path in paths)
    assert all(f'href="{path.as_posix()}"' in (tmp_path / "out" / "index.html").read_text() for path in paths)


def test_of_an_archive_that_has_grown_no_earlier_picture_stays(pictures, weights, whole, monkeypatch):
    """Among few radiographs it was drawn elsewhere; its file has changed since."""
    monkeypatch.setattr(worker, "MANY", 2)
    iio.imwrite(pictures / "a.png", made_radiograph(7)[0])
    assert run(pictures, "--weights", weights, "--out", whole, "--format", "coco,slicer") == 1
    for folder in ("overlays", "slicer"):
        (there,) = (path.relative_to(whole / folder) for path in (whole / folder).rglob("a.png*"))
        assert len(there.parts) == 2


def test_parquet_has_the_rows_of_the_table(pictures, weights, tmp_path, capsys, monkeypatch):
    parquet = pytest.importorskip("pyarrow.parquet")
    (tmp_path / "cases.csv").write_text(f'path,case\n{pictures / "a.png"},007\n{pictures / "f.png"},"two\nlines"\n')
    assert run(f"@{tmp_path / 'cases.csv'}", "--weights", weights, "--out", tmp_path / "out", "--format", "parquet") == 0
    table = parquet.read_table(tmp_path / "out" / "landmarks.parquet").to_pylist()
    rows = rows_of(tmp_path / "out" / "landmarks.csv")
    assert len(table) == len(rows) == 2 * LANDMARKS and list(table[0]) == list(rows[0])
    for one, other in zip(table, rows):
        assert one["case"] == other["case"] and one["x"] == float(other["x"]) and one["landmark"] == int(other["landmark"])
        assert one["x_mm"] is None and other["x_mm"] == "" and one["flags"] == other["flags"]
    capsys.readouterr()
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert run(pictures, "--weights", weights, "--out", tmp_path / "none", "--format", "parquet") == 1
    assert capsys.readouterr().err == "--format parquet: needs the package pyarrow, which is not installed; pip install pyarrow\n"
