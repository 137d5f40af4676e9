"""predict.py as a user runs it: a network made ready by export.py, files of every kind, outputs by value."""

import json
import os
import struct
import sys
import zlib
from collections import Counter
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
import SimpleITK as sitk
import torch
from conftest import LANDMARKS, ROOT, SPLITS, made_radiograph, rows_of, weights_of
from PIL import Image

import export
import predict
from main import Settings
from predict import Predictor
from prediction.engine import MADE_OF
from prediction.listing import Listing, write_listing
from prediction.overlay import COLOURS
from runtime.checkpoint import digest_of, read_checkpoint, write_checkpoint
from runtime.files import DataError
from training.settings import PLACE, marked

GREY = made_radiograph(0)[0]


def list_files(inputs: list[Path], out: Path, path: Path) -> Listing:
    return write_listing([str(given) for given in inputs], out, path)


def run(*arguments: object) -> int:
    return predict.main([str(argument) for argument in arguments])


def test_the_same_points_as_the_test_of_main(weights, trained, prepared, tmp_path):
    """From the raw files, through predict.py, as main.py finds in the prepared ones, in the frame of the file."""
    raw = prepared.parent / "raw" / "test"
    assert run(raw, "--weights", weights, "--out", tmp_path / "out", "--orientation", "keep") == 0
    tested = rows_of(trained / "test_landmarks.csv")
    found = rows_of(tmp_path / "out" / "landmarks.csv")
    expected = [(f"{id}.png", str(i)) for id in SPLITS["test"] for i in range(LANDMARKS)]
    assert [(row["image"], row["landmark"]) for row in found] == expected
    for one, other in zip(tested, found, strict=True):
        assert (float(other["x"]) + 0.5) * 64 / 90 - 0.5 == pytest.approx(float(one["x_px"]), abs=0.03)
        assert (float(other["y"]) + 0.5) * 64 / 120 - 0.5 == pytest.approx(float(one["y_px"]), abs=0.03)
        assert float(other["semi_major"]) >= float(other["semi_minor"]) > 0 and other["x_mm"] == ""


def test_outputs(weights, tmp_path):
    image = sitk.GetImageFromArray(GREY)
    image.SetSpacing((0.2, 0.25))
    image.SetOrigin((10.0, -5.0))
    sitk.WriteImage(image, str(tmp_path / "a.mha"))
    out = tmp_path / "out"
    assert run(tmp_path / "a.mha", "--weights", weights, "--out", out, "--format", "csv,slicer,coco", "--names") == 0
    rows = rows_of(out / "landmarks.csv")
    assert list(rows[0])[:6] == ["image", "hand", "side", "landmark", "name", "x"]
    points = np.array([[float(row["x"]), float(row["y"])] for row in rows])
    assert float(rows[2]["x_mm"]) == pytest.approx(points[2, 0] * 0.2, rel=1e-5)
    px, mm = ([float(rows[2][f"semi_{axis}{unit}"]) for axis in ("major", "minor")] for unit in ("", "_mm"))
    assert np.prod(mm) == pytest.approx(np.prod(px) * 0.2 * 0.25, rel=1e-5)  # an ellipse's area goes with that of the pixels
    assert 0.2 * px[0] <= mm[0] <= 0.25 * px[0] and -90 < float(rows[2]["angle"]) <= 90
    markups = json.loads((out / "slicer" / "a.mha.mrk.json").read_text())["markups"][0]
    assert markups["coordinateSystem"] == "LPS" and len(markups["controlPoints"]) == LANDMARKS
    expected = 10 + points[1, 0] * 0.2, -5 + points[1, 1] * 0.25, 0
    assert markups["controlPoints"][1]["position"] == pytest.approx(expected, abs=1e-3)
    coco = json.loads((out / "coco.json").read_text())
    assert coco["images"] == [{"id": 1, "file_name": "a.mha", "width": 90, "height": 120}]
    assert coco["annotations"][0]["keypoints"][:2] == pytest.approx(points[0], abs=0.01)
    assert coco["categories"][0]["keypoints"] == [str(i) for i in range(LANDMARKS)]
    overlay = iio.imread(out / "overlays" / "a.mha.png")
    x, y = ((points[0] + 0.5) * 6).astype(int)  # shown six times as large
    assert tuple(overlay[y, x]) in COLOURS[:2]
    assert "a.mha" in (out / "index.html").read_text()

    assert run(tmp_path / "a.mha", "--weights", weights, "--out", out) == 1  # not over what is there
    assert run(tmp_path / "a.mha", "--weights", weights, "--out", out, "--overwrite") == 0
    before = (out / "landmarks.csv").read_bytes()
    assert run(tmp_path / "b.mha", "--weights", weights, "--out", out, "--overwrite") == 1  # nothing there to put in its place
    assert (out / "landmarks.csv").read_bytes() == before
    (out / "thesis.txt").write_text("years of work")
    assert run(tmp_path / "a.mha", "--weights", weights, "--out", out, "--overwrite") == 1  # a folder of somebody else
    assert run(tmp_path / "a.mha", "--weights", weights, "--out", tmp_path / "m", "--measure") == 1  # no hand's landmarks


@pytest.mark.slow
def test_an_older_checkpoint_is_exported(trained, prepared, tmp_path, capsys):
    """One that does not say which radiographs it has seen; two of validation promise little of radii, nothing of sides."""
    state = torch.load(trained / "best.pt", weights_only=True)
    del state["seen"]
    write_checkpoint(tmp_path / "old.pt", state)
    export.export(tmp_path / "old.pt", prepared, tmp_path / "weights.pt", seed=0, steps=1)
    said = capsys.readouterr().out
    assert "exchangeable with the 2 held-out ones lies within its own with a probability of at least 2/3" in said
    assert "mirrored radiographs are not looked for (too few held-out radiographs to tell)" in said
    assert "finder: left out, since it is lost in" in said
    exported = torch.load(tmp_path / "weights.pt", weights_only=True)
    assert "finder" not in exported and exported["names"] == [str(i) for i in range(LANDMARKS)]


def test_weights_tell_nothing_of_the_machine_that_made_them(weights):
    for path in (weights, *(ROOT / "weights").glob("*.pt")):
        settings = torch.load(path, weights_only=True)["settings"]
        assert not any(settings.get(place) for place in marked(Settings, PLACE))


def test_mistakes_get_one_line(weights, trained, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    for arguments, expected in (
        ((tmp_path / "none.png", "--weights", weights), "none.png: no such file or folder"),
        ((tmp_path / "empty", "--weights", weights), "expected radiographs in this folder, found none"),
        ((tmp_path, "--weights", trained / "best.pt"), "expected weights made ready by export.py"),
        ((tmp_path, "--weights", tmp_path / "none.pt"), "none.pt: no such checkpoint"),
    ):
        assert run(*arguments, "--out", tmp_path / "out", "--overwrite") == 1
        said = capsys.readouterr().err
        assert expected in said and "Traceback" not in said, said
    with pytest.raises(SystemExit):
        run(tmp_path, "--format", "pdf")
    with pytest.raises(DataError, match="is there already"):
        export.export(trained / "best.pt", tmp_path, weights, seed=0)


def test_files_are_found_whatever_lies_between_them(tmp_path, monkeypatch, capsys):
    """Hidden files and folders, links to folders and what predict.py wrote are left out; names are relative, and told apart."""
    for name in ("b.png", "a/b.PNG", "a/c.dcm", "a/notes.txt", ".hidden.png", ".git/d.png", "out/overlays/b.png", "no_ending"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "no_ending").write_bytes(bytes(128) + b"DICM")
    if os.name != "nt":
        (tmp_path / "link").symlink_to(tmp_path / "a")
    expected = ["a/b.PNG", "a/c.dcm", "b.png", "no_ending"]
    for out in (tmp_path / "out", Path("out")):
        monkeypatch.chdir(tmp_path)
        listing = list_files([tmp_path], out, tmp_path / ".list")
        assert [item.name for item in listing] == expected and listing.errors == []
        assert [item.path for item in listing] == [str(tmp_path / name) for name in expected]
        assert "left out 1 files that are no radiographs (.txt)" in capsys.readouterr().out
    for inside in (tmp_path / "out", tmp_path / "out" / "overlays"):
        listing = list_files([inside], tmp_path / "out", tmp_path / ".list")
        assert listing.count == 0 and listing.errors == [f"{inside}: expected radiographs in this folder, found none"]
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "b.png").write_text("")
    listing = list_files([tmp_path / "a", tmp_path / "b.png", tmp_path / "other"], tmp_path / "out", tmp_path / ".list")
    same = [str(tmp_path / "b.png"), str(tmp_path / "other" / "b.png")]
    assert [item.name for item in listing if item.name.lower().endswith("b.png")] == ["b.PNG", *same]


def test_finding_files_asks_of_no_file_by_itself(tmp_path):
    """Calls of the file system are counted, since seconds depend on the machine."""
    asking, counted = (os.stat, os.lstat, os.readlink, os.scandir), Counter()
    for i in range(400):
        (tmp_path / f"{i}.png").touch()
    sys.setprofile(lambda _, event, called: counted.update([event == "c_call" and called in asking]))
    listing = list_files([tmp_path], tmp_path / "out", tmp_path / ".list")
    sys.setprofile(None)
    assert listing.count == 400 and counted[True] < 50


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def bomb(path: Path) -> None:
    """A PNG that unfolds to 30,000 x 30,000 pixels."""
    rows = zlib.compress(bytes(30_001) * 30_000, 9)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 30_000, 30_000, 8, 0, 0, 0, 0)) + chunk(b"IDAT", rows)
    )


def small_bomb(path: Path, bits: int = 8) -> None:
    """A TIFF of 10 kB that unfolds to 30,000 x 30,000 pixels: a hundred strips that all point to the same few bytes."""
    strip = zlib.compress(bytes(300 * 30_000), 9)
    offsets, counts = 8 + len(strip), 408 + len(strip)
    tags = ((256, 4, 1, 30_000), (257, 4, 1, 30_000), (258, 3, 1, bits), (259, 3, 1, 8), (262, 3, 1, 1), (273, 4, 100, offsets),
            (277, 3, 1, 1), (278, 4, 1, 300), (279, 4, 100, counts))  # fmt: skip
    lists = struct.pack("<200I", *[8] * 100, *[len(strip)] * 100)
    directory = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags) + bytes(4)
    path.write_bytes(b"II*\0" + struct.pack("<I", 808 + len(strip)) + strip + lists + directory)


def medical(path: Path, pixels: np.ndarray, tags: dict[str, str] | None = None, vector: bool = False) -> None:
    image = sitk.GetImageFromArray(pixels, isVector=vector)
    for tag, value in (tags or {}).items():
        image.SetMetaData(tag, value)
    sitk.WriteImage(image, str(path))


def cut(path: Path, write) -> None:
    """Write a file and keep its first half."""
    write(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def save(pixels: np.ndarray, mode: str | None = None, **more):
    return lambda path: (Image.fromarray(pixels).convert(mode) if mode else Image.fromarray(pixels)).save(path, **more)


GREY16 = GREY.astype(np.uint16) * 200
COLOUR = np.repeat(GREY[..., None], 3, 2)
MHD = "NDims = 2\nDimSize = 9 9\nElementType = MET_UCHAR\nElementDataFile = gone.raw\n"
READ = {
    "plain.png": save(GREY),
    "with spaces and ümläuts.png": save(GREY),
    "=1+1.png": save(GREY),
    "long" + "g" * 230 + ".png": save(GREY),
    "no_ending": lambda path: (medical(path.with_suffix(".dcm"), GREY[None]), path.with_suffix(".dcm").rename(path)),
    "sub/folder/plain.png": save(GREY),
    "UPPER.PNG": save(GREY),
    "really_a.jpg": save(GREY, format="png"),
    "grey16.png": save(GREY16),
    "grey_alpha.png": save(GREY, "LA"),
    "rgba.png": save(COLOUR, "RGBA"),
    "palette.png": save(COLOUR, "P"),
    "one_bit.png": save(GREY, "1"),
    "cmyk.jpg": save(COLOUR, "CMYK"),
    "lab.tif": save(COLOUR, "LAB"),
    "float.tif": save((GREY / 255).astype(np.float32)),
    "rgb16.tif": lambda path: iio.imwrite(path, np.repeat(GREY16[..., None], 3, 2)),
    "worst_quality.jpg": save(GREY, quality=1),
    "progressive.jpg": save(GREY, progressive=True),
    "rotated.jpg": save(GREY, exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"),
    "plain.bmp": save(GREY),
    "negative.mha": lambda path: medical(path, GREY.astype(np.int16) - 1000),
    "huge_values.mha": lambda path: medical(path, GREY.astype(np.float32) * 1e30),
    "tiny_values.mha": lambda path: medical(path, GREY.astype(np.float64) * 1e-30),
    "one_slice.nii.gz": lambda path: medical(path, GREY[None].astype(np.int32)),
    "vector.mha": lambda path: medical(path, COLOUR, vector=True),
    "plain.dcm": lambda path: medical(path, GREY[None]),
    "window_of_nothing.dcm": lambda path: medical(path, GREY16[None], {"0028|1050": "60000", "0028|1051": "5"}),
    "window_of_words.dcm": lambda path: medical(path, GREY16[None], {"0028|1050": "", "0028|1051": "0"}),
    "one_bright_pixel.png": save(np.where(np.arange(GREY.size).reshape(GREY.shape) == 5000, 255, 0).astype(np.uint8)),
    "long_strip.png": save(np.tile(GREY[:50], (1, 223))[:, :20_000]),
    "tall_strip.png": save(np.tile(GREY[:, :8], (34, 1))),
    "noise.png": save(np.random.default_rng(0).integers(0, 256, (300, 200), np.uint8)),
}  # fmt: skip
REFUSED = {
    "cut.jpg": (lambda path: cut(path, save(GREY)), "cannot be read"),
    "cut.png": (lambda path: cut(path, save(GREY)), "cannot be read"),
    "cut.dcm": (lambda path: cut(path, lambda path: medical(path, GREY16[None])), "the file is cut"),
    **{f"cut.{ending}": (lambda path: cut(path, lambda path: medical(path, GREY16)), expected)
       for ending, expected in (("mha", "cannot be read"), ("nii", "the file is cut"), ("nii.gz", "cannot be read"))},
    "empty.png": (lambda path: path.write_bytes(b""), "cannot be read"),
    "empty.dcm": (lambda path: path.write_bytes(b""), "expected a DICOM file"),
    "text.dcm": (lambda path: path.write_text("no picture"), "expected a DICOM file"),
    **{f"text.{ending}": (lambda path: path.write_text("no picture"), "cannot be read") for ending in ("png", "tif", "nii.gz")},
    "header_alone.mhd": (lambda path: path.write_text(MHD),
                         "expected its pixels in one file of its folder"),
    "no_pixels.dcm": (lambda path: path.write_bytes(bytes(128) + b"DICM"), "expected a DICOM file with a picture"),
    "picture.dcm": (lambda path: save(GREY, format="gif")(path), "expected a DICOM file"),
    "one_pixel.png": (save(GREY[:1, :1]), "found 1 x 1 pixels"),
    "constant.png": (save(np.full((90, 80), 7, np.uint8)), "found 80 x 90 pixels with values from 7 to 7"),
    "nan.mha": (lambda path: medical(path, np.where(GREY > 100, np.nan, GREY).astype(np.float32)), "expected finite pixels"),
    "infinite.mha": (lambda path: medical(path, np.where(GREY > 100, np.inf, GREY).astype(np.float32)), "expected finite pixels"),
    "volume.mha": (lambda path: medical(path, np.stack([GREY] * 5)), "expected one picture"),
    "volume.dcm": (lambda path: medical(path, np.stack([GREY] * 5)), "expected one picture"),
    "pages.tif": (lambda path: Image.fromarray(GREY).save(path, save_all=True, append_images=[Image.fromarray(GREY)]),
                  "expected one picture, found 2"),
    "animated.png": (lambda path: Image.fromarray(GREY).save(path, save_all=True, append_images=[Image.fromarray(255 - GREY)]),
                     "expected one picture, found 2"),
    "bomb.png": (bomb, "expected at most 100,000,000 pixels, found 30000 x 30000"),
    "bomb.tif": (small_bomb, "expected at most 100,000,000 pixels, found 30000 x 30000"),
    "bomb_of_doubles.tif": (lambda path: small_bomb(path, 64), "expected at most 100,000,000 pixels, found 30000 x 30000"),
    "bomb.mhd": (lambda path: path.write_text(MHD.replace("9 9", "90000 90000").replace("gone.raw", "LOCAL")),
                 "expected at most 100,000,000 pixels"),
}  # fmt: skip


def predicted(read: dict, refused: dict, weights: Path, folder: Path, capfd) -> list[dict[str, str]]:
    """The rows of some files: one a landmark, or one line that names the file; nothing is lost, nothing breaks."""
    for name, write in (read | {name: write for name, (write, _) in refused.items()}).items():
        (folder / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        write(folder / "in" / name)
    (folder / "in" / ".hidden.png").write_text("not looked at")
    (folder / "in" / "notes.txt").write_text("not a radiograph")
    status = run(folder / "in", "--weights", weights, "--out", folder / "out", "--format", "csv,slicer,coco")
    assert status == (1 if refused else 0)
    said = capfd.readouterr()
    assert "left out 1 files that are no radiographs (.txt)" in said.out
    lines = [line for line in said.err.splitlines() if line.startswith(str(folder / "in"))]
    assert len(lines) == len(refused), said.err
    for name, (_, expected) in refused.items():
        assert any(line.startswith(str(folder / "in" / name)) and expected in line for line in lines), (name, said.err)
    assert "Traceback" not in said.err

    rows = rows_of(folder / "out" / "landmarks.csv")
    assert len(rows) == LANDMARKS * len(read) and len({row["image"] for row in rows}) == len(read)
    assert all(np.isfinite([float(row[name]) for name in ("x", "y", "confidence", "semi_major")]).all() for row in rows)
    assert len(list((folder / "out" / "overlays").iterdir())) == len(read)
    return rows


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such file names, and links only for some users")
def test_odd_names(weights, tmp_path, capfd):
    names = ("<script>alert(1)<script>.png", 'quote".png', "new\nline.png", "back\\slash.png")
    dangling = {"dangling.png": (lambda path: path.symlink_to("nowhere.png"), "cannot be read")}
    predicted(dict.fromkeys(names, save(GREY)), dangling, weights, tmp_path, capfd)
    page = (tmp_path / "out" / "index.html").read_text()
    assert "<script>" not in page and "&lt;script&gt;alert(1)" in page


@pytest.mark.slow
def test_odd_files(weights, tmp_path, capfd):
    rows = predicted(READ, REFUSED, weights, tmp_path, capfd)
    assert {"'=1+1.png", "sub/folder/plain.png"} <= {row["image"] for row in rows}


@pytest.mark.slow
def test_onnx_gives_the_same_heatmaps_and_is_an_engine(weights, prepared, exported_once, tmp_path, capsys):
    onnxruntime = pytest.importorskip("onnxruntime")
    assert run("--weights", weights, "--export", tmp_path / "new" / "scn.onnx") == 0  # in a folder that is not there yet
    (tmp_path / "new" / "scn.onnx").rename(tmp_path / "scn.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "scn.onnx")
    made_of = session.get_modelmeta().custom_metadata_map[MADE_OF]
    assert made_of == digest_of(weights_of(weights))  # the very name that figures of these weights have
    predictor = Predictor(weights)
    pictures = torch.rand(3, 1, predictor.size, predictor.size) * 2 - 1
    with torch.no_grad():
        expected = predictor.model(pictures, predictor.spatial_factor)[0].numpy()
    (found,) = session.run(None, {"pictures": pictures.numpy()})
    assert found == pytest.approx(expected, abs=1e-4)
    assert run("--weights", weights, "--export", tmp_path / "scn.onnx") == 1
    assert run("--weights", weights, "--export", tmp_path / "int8.onnx", "--int8", prepared) == 0
    counts = [(tmp_path / name).read_bytes().count(b"QuantizeLinear") for name in ("scn.onnx", "int8.onnx")]
    assert counts[0] == 0 < counts[1]

    raw = prepared.parent / "raw" / "test"
    for name, engine, within in (("torch", (), 0), ("float", ("scn.onnx",), 0.01), ("int8", ("int8.onnx",), 1.0)):
        given = [part for file in engine for part in ("--engine", tmp_path / file)]
        assert run(raw, "--weights", weights, "--out", tmp_path / name, *given) == 0
        rows = [rows_of(tmp_path / folder / "landmarks.csv") for folder in ("torch", name)]
        expected, found = (np.array([[float(row[axis]) for axis in "xy"] for row in one]) for one in rows)
        assert found == pytest.approx(expected, abs=within) and (name != "int8" or (found != expected).any())

    capsys.readouterr()
    other = torch.load(weights, weights_only=True)
    other["weights"] = {name: weight * 1.001 for name, weight in other["weights"].items()}
    write_checkpoint(tmp_path / "other.pt", other)
    (tmp_path / "text.onnx").write_text("no network")
    for arguments, expected in (
        (("--weights", tmp_path / "other.pt", "--engine", tmp_path / "int8.onnx"), "was not made of these weights"),
        (("--weights", weights, "--engine", tmp_path / "text.onnx"), "cannot be read as an ONNX file"),
        (("--weights", weights, "--engine", tmp_path / "none.onnx"), "no such file"),
    ):
        assert run(raw, *arguments, "--out", tmp_path / "none") == 1
        said = capsys.readouterr().err
        assert expected in said and said.count("\n") == 1, said


def test_a_radiograph_whose_outline_is_not_found_is_flagged(weights, tmp_path, capsys):
    """A grey border around the film: all of its histogram is matched, as in preparation, and the flag says so."""
    iio.imwrite(tmp_path / "plain.png", GREY)
    boxed = np.pad(GREY, 20, constant_values=int(GREY.max()) * 3 // 4)
    iio.imwrite(tmp_path / "boxed.png", boxed)
    assert run(tmp_path / "plain.png", tmp_path / "boxed.png", "--weights", weights, "--out", tmp_path / "out") == 0
    said = capsys.readouterr().out
    assert f"{weights}: has no finder; every radiograph is taken as upright" in said and "2 radiographs predicted" in said
    flags = {row["image"]: row["flags"] for row in rows_of(tmp_path / "out" / "landmarks.csv")}
    assert "outline not found" in flags["boxed.png"] and "outline" not in flags["plain.png"]
    state = read_checkpoint(weights)  # of a joint whose held-out radiographs have no outlines either
    write_checkpoint(tmp_path / "bright.pt", state | {"trust": state["trust"] | {"outlined": torch.tensor(False)}})
    assert run(tmp_path / "boxed.png", "--weights", tmp_path / "bright.pt", "--out", tmp_path / "bright") == 0
    assert not any("outline" in row["flags"] for row in rows_of(tmp_path / "bright" / "landmarks.csv"))
