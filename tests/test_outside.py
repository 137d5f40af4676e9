"""Files from outside that are damaged or made to do harm: each is told by its name, and costs itself alone."""

import faulthandler
import gzip
import os
import signal
import struct
import sys
import time
import zlib
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import SimpleITK as sitk
import tifffile
from conftest import command, made_radiograph, preprocess, rows_of, spawn
from PIL import Image
from pydicom import uid
from test_dicom import made, packed, saved

from benchmarks.archive import write_weights
from labelling.collection import radiographs_of
from labelling.pictures import Pictures
from prediction.journal import state_of
from radiographs import reading
from radiographs.reading import read_radiograph
from radiographs.volumes import files_of
from runtime import apart
from runtime.files import DataError

GREY = made_radiograph(0)[0]
META = "ObjectType = Image\nNDims = {dims}\nDimSize = 120 90\nElementType = MET_UCHAR\n{more}ElementDataFile = {file}\n"
NRRD = "NRRD0004\ntype: uint8\ndimension: 2\nsizes: 90 120\nencoding: raw\n{more}data file: {file}\n\n"

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps to a limit of memory")
posix = pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGSEGV and no SIGINT to send")
pipes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no named pipes")


def refused(path: Path, expected: str) -> None:
    with pytest.raises(DataError, match=expected) as error:
        read_radiograph(path)
    assert str(error.value).startswith(f"{path}: ") and "\n" not in str(error.value)


def meta(path: Path, dims: int = 2, more: str = "", file: str = "LOCAL", pixels: bytes = b"") -> Path:
    path.write_bytes(META.format(dims=dims, more=more, file=file).encode() + pixels)
    return path


def test_dimensions_that_simpleitk_has_no_room_for(tmp_path):
    refused(meta(tmp_path / "a.mha", dims=300, pixels=GREY.tobytes()), "expected NDims up to 5, found '300'")
    refused(meta(tmp_path / "b.mha", dims=-1, pixels=GREY.tobytes()), "expected NDims up to 5, found '-1'")


# ---- more than MAX_PIXELS, or values


def tiff(path: Path, **tags: tuple[int, int]) -> Path:
    """A header of 3000 x 3000 px with 16 bytes of pixels, and further tags (number, value)."""
    usual = {"width": (256, 3000), "length": (257, 3000), "bits": (258, 16), "packing": (259, 1), "photometric": (262, 1)}
    usual |= {"offsets": (273, 8), "samples": (277, 1), "rows": (278, 3000), "counts": (279, 16)}
    entries = sorted((usual | tags).values())
    head = b"II*\0" + struct.pack("<I", 24) + bytes(16) + struct.pack("<H", len(entries))
    path.write_bytes(head + b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries) + bytes(4))
    return path


def test_values_and_slices_of_a_file_count(tmp_path):
    refused(tiff(tmp_path / "b.tif", depth=(32997, 200)), "expected one picture, found 200")
    nrrd = "NRRD0004\ntype: uint8\ndimension: 3\nsizes: 200 90 120\nkinds: vector domain domain\nencoding: raw\n\n"
    (tmp_path / "a.nrrd").write_text(nrrd)
    meta(tmp_path / "a.mha", more="ElementNumberOfChannels = 200\n")
    tiff(tmp_path / "a.tif", samples=(277, 200))
    for path in tmp_path.glob("a.*"):
        refused(path, "expected at most 4 values a pixel, found 200")


def test_values_of_a_dicom_pixel_count(tmp_path):
    refused(saved(made(np.zeros((16, 16, 200)), 8), tmp_path / "a.dcm"), "expected at most 4 values a pixel, found 200")
    stream = bytearray(imagecodecs.jpeg2k_encode(GREY, level=0, codecformat="j2k", reversible=True))
    place = stream.index(b"\xff\x51") + 38  # of the number of components
    assert stream[place : place + 2] == b"\0\1"
    many = stream[:place] + b"\0\xff" + stream[place + 2 : place + 5] * 255 + stream[place + 5 :]
    many[place - 36 : place - 34] = (38 + 3 * 255).to_bytes(2, "big")
    for frame, found in ((stream, None), (many, "found 90 x 120 of 255 values")):
        path = saved(packed(made(GREY, 8), uid.JPEG2000Lossless, bytes(frame)), tmp_path / "b.dcm")
        if found:
            refused(path, found)
        else:
            assert read_radiograph(path).pixels.shape == GREY.shape


@pytest.mark.parametrize("preamble", [True, False])
def test_what_a_deflated_file_unfolds_to_counts_wherever_its_header_says_so(tmp_path, monkeypatch, preamble):
    """The transfer syntax stands behind 5,000 bytes of another element."""

    def element(number: int, kind: bytes, value: bytes) -> bytes:
        length = b"\0\0" + struct.pack("<I", len(value)) if kind == b"OB" else struct.pack("<H", len(value))
        return struct.pack("<HH", 2, number) + kind + length + value

    head = element(1, b"OB", bytes(5000)) + element(0x10, b"UI", uid.DeflatedExplicitVRLittleEndian.encode())
    deflater = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = deflater.compress(bytes(9_000_000)) + deflater.flush()
    content = element(0, b"UL", struct.pack("<I", len(head))) + head + body
    (tmp_path / "a.dcm").write_bytes((bytes(128) + b"DICM" if preamble else b"") + content)
    monkeypatch.setattr(reading, "MAX_PIXELS", 1_000_000)
    refused(tmp_path / "a.dcm", "expected at most 1,000,000 pixels")


# ---- pixels in another file


def detached(folder: Path, ending: str, file: str, more: str = "") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"a{ending}"
    path.write_text((META if ending in (".mhd", ".mha") else NRRD).format(dims=2, more=more, file=file))
    return path


KINDS = pytest.mark.parametrize("ending", [".mhd", ".mha", ".nhdr", ".nrrd"])


@KINDS
def test_pixels_in_another_file_of_the_folder_are_read(tmp_path, ending):
    (tmp_path / "set" / "below").mkdir(parents=True)
    for file in ("a.raw", "./a.raw", "below/a.raw"):
        (tmp_path / "set" / file).write_bytes(GREY.tobytes())
        path = detached(tmp_path / "set", ending, file)
        assert files_of(path) == [path, path.parent / file]
        assert read_radiograph(path).pixels.size == GREY.size


@KINDS
@pytest.mark.parametrize(
    "file", ["../b.raw", "{folder}/b.raw", "link.raw", "pipe.raw", "below", "none.raw", "LIST", "b%d.raw 1 1 1"]
)
def test_pixels_elsewhere_are_refused(tmp_path, ending, file):
    (tmp_path / "b.raw").write_bytes(GREY.tobytes())
    path = detached(tmp_path / "set", ending, file.format(folder=tmp_path))
    (path.parent / "below").mkdir()
    if file == "link.raw":
        try:
            (path.parent / file).symlink_to(tmp_path / "b.raw")
        except OSError:
            pytest.skip("this system does not let everybody make links")
    if file == "pipe.raw":
        if not hasattr(os, "mkfifo"):
            pytest.skip("Windows has no named pipes")
        os.mkfifo(path.parent / file)
    refused(path, "expected its pixels in one file of its folder")


@pytest.mark.parametrize(
    ("ending", "more"),
    [
        (".mhd", "Comment = x\nElementDataFile = /etc/hostname\n"),
        (".mhd", "nothing\nComment = ElementDataFile = LOCAL\nElementDataFile : /etc/hostname\n"),
        (".nhdr", "DATAFILE: /etc/hostname\n"),
    ],
)
def test_headers_that_name_two_files_are_refused(tmp_path, ending, more):
    (tmp_path / "a.raw").write_bytes(GREY.tobytes())
    refused(detached(tmp_path, ending, "a.raw", more), "expected (its pixels in one file|one file with its pixels)")


@KINDS
def test_a_change_of_the_other_file_is_noticed(raw, tmp_path, ending):
    """By preparation, which makes the radiograph again, and by prediction's journal."""
    picture = raw / "train" / "a3.png"
    pixels = read_radiograph(picture).pixels.astype(np.uint8)
    picture.unlink()
    header = (META if ending in (".mhd", ".mha") else NRRD).format(dims=2, more="", file="files/a3.raw")
    header = header.replace("120 90", "90 120").encode()
    (raw / "train" / f"a3{ending}").write_bytes(header)
    (raw / "train" / "files").mkdir()
    (raw / "train" / "files" / "a3.raw").write_bytes(pixels.tobytes())
    assert (ran := preprocess(raw, tmp_path / "out")).returncode == 0, ran.stderr
    before, state = (tmp_path / "out" / "train" / "a3.png").read_bytes(), state_of(str(raw / "train" / f"a3{ending}"))
    (raw / "train" / "files" / "a3.raw").write_bytes((255 - pixels).tobytes())
    assert preprocess(raw, tmp_path / "out").returncode == 0
    assert (tmp_path / "out" / "train" / "a3.png").read_bytes() != before
    assert state_of(str(raw / "train" / f"a3{ending}")) != state


# ---- read wrong without a word


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_a_nifti_file_that_lacks_its_last_byte_is_cut(tmp_path, name):
    sitk.WriteImage(sitk.GetImageFromArray(GREY), str(tmp_path / "whole.nii"))
    content = (tmp_path / "whole.nii").read_bytes()
    pack = gzip.compress if name.endswith(".gz") else bytes
    (tmp_path / name).write_bytes(pack(content))
    assert (read_radiograph(tmp_path / name).pixels == GREY).all()
    (tmp_path / name).write_bytes(pack(content[:-1]))
    refused(tmp_path / name, f"expected {len(content)} bytes, found {len(content) - 1}; the file is cut")


def test_a_tiff_file_of_8_bits_with_a_sign(tmp_path):
    signed = (GREY.astype(int) - 128).astype(np.int8)
    tifffile.imwrite(tmp_path / "a.tif", signed)
    assert (read_radiograph(tmp_path / "a.tif").pixels == signed).all()


# ---- no files


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.dcm", "a.mha", "a.mhd", "a.nhdr", "a.nii", "a"])
def test_folders_and_pipes_named_like_pictures(tmp_path, name):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / name).mkdir()
    refused(tmp_path / "folder" / name, "expected a file, found a folder")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / name)
        refused(tmp_path / name, "expected a file, found a pipe or device")


@pipes
def test_the_page_leaves_them_out(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", GREY)
    (tmp_path / "b.tif").mkdir()
    os.mkfifo(tmp_path / "c.tif")
    assert list(radiographs_of(tmp_path)[0]) == ["a"]


# ---- the door: whatever reads a file, its limits and its death are its own

FAULTS = """\
import os, signal, time
from pathlib import Path
from PIL import Image
true = Image.open
def faulty(path, *more):
    if "killer" in str(path):
        os.kill(os.getpid(), signal.SIGSEGV)
    if "hung" in str(path):
        Path(str(path) + ".begun").touch()
        time.sleep(100)
    return true(path, *more)
Image.open = faulty
"""


@pytest.fixture
def faults(tmp_path, monkeypatch) -> None:
    """In this process, and by a site's own start-up file in all that it starts: Pillow dies of some files, or hangs."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(FAULTS)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    monkeypatch.setattr(Image, "open", Image.open)  # is put back
    exec(FAULTS, {})
    faulthandler.disable()  # pytest's, which would print where


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Path:
    """A network of random weights: what it finds is not the matter here."""
    path = tmp_path_factory.mktemp("weights") / "tiny.pt"
    write_weights(path)
    return path


def with_file(raw: Path, name: str) -> Path:
    """The raw folder with one of its radiographs under another name."""
    (raw / "train" / "a3.png").rename(raw / "train" / name)
    table = raw / "all_coordinates.csv"
    table.write_text(table.read_text().replace("a3,", f"{Path(name).stem},"))
    return raw / "train" / name


@posix
@pytest.mark.parametrize("more", [[], ["--reference", "killer"]])
def test_preparation_tells_a_file_that_kills_its_reader(raw, tmp_path, faults, more):
    """Also where it reads the file for the reference, or for settings that are to be chosen."""
    path = with_file(raw, "killer.png")
    ran = preprocess(raw, tmp_path / "out", "--size", "auto", *more)
    assert ran.returncode == 1 and f"{path}: its process died (Segmentation fault)" in ran.stderr


def huge_picture(path: Path) -> None:
    """37 million pixels, 147 MB in single precision."""
    Image.fromarray(np.tile(GREY, (50, 68))).save(path)


def huge_tiff(path: Path) -> None:
    """3000 x 3000 px of 60,000 values are more than any memory."""
    tiff(path, samples=(277, 60_000))


@pytest.mark.parametrize(
    ("name", "write", "limit", "expected"),
    [
        ("hung.png", None, {"SECONDS": 6}, "was not read within 6 s"),
        ("a3.tif", huge_tiff, {}, "expected at most 4 values a pixel"),
        pytest.param("a3.png", huge_picture, {"MEMORY": 24 << 20}, "needs more memory than there is", marks=linux),
    ],
)
def test_preparation_goes_on_after_a_file_beyond_its_limits(raw, tmp_path, faults, monkeypatch, name, write, limit, expected):
    path = with_file(raw, name)
    if write:
        write(path)
    for word, value in limit.items():
        monkeypatch.setattr(apart, word, value)
    ran = preprocess(raw, tmp_path / "out")
    assert ran.returncode == 1 and f"{path}: {expected}" in ran.stderr and "not enough memory" not in ran.stderr
    assert (tmp_path / "out" / "train" / "a4.png").exists()


@posix
def test_prediction_with_a_file_that_hangs_ends_at_once_when_it_is_told_to(raw, tiny, tmp_path, faults):
    path, begun = with_file(raw, "hung.png"), raw / "train" / "hung.png.begun"

    def heard() -> None:  # also where these tests run in the background, without Ctrl-C
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})

    running = spawn("predict.py", path, "--weights", tiny, "--out", tmp_path / "out", env=os.environ, preexec_fn=heard)
    until = time.monotonic() + 200  # a busy machine takes half a minute to import PyTorch
    while not begun.exists() and running.poll() is None and time.monotonic() < until:
        time.sleep(0.02)
    began = time.monotonic()
    os.killpg(running.pid, signal.SIGINT if begun.exists() else signal.SIGKILL)
    said = running.stderr.readline()  # what is left then is the end of Python, which takes its time on a busy machine
    took = time.monotonic() - began
    status = running.wait(60)
    assert begun.exists() and status == 130 and "interrupted" in said and took < 2, (status, said, took)
    assert "hung" not in (tmp_path / "out" / "journal" / "1-of-1.jsonl").read_text()  # it is predicted when the command goes on


@posix
def test_prediction_tells_files_that_kill_and_hang_and_goes_on(raw, tiny, tmp_path, faults, monkeypatch):
    hung, killer = with_file(raw, "hung.png"), raw / "train" / "killer.png"
    (raw / "train" / "a2.png").rename(killer)
    monkeypatch.setattr(apart, "SECONDS", 15)  # starting a process takes some of them on a busy machine
    ran = command("predict.py", raw / "train", "--weights", tiny, "--out", tmp_path / "out")
    assert ran.returncode == 1 and f"{hung}: was not read within 15 s" in ran.stderr
    assert f"{killer}: its process died (Segmentation fault)" in ran.stderr
    assert "2 radiographs predicted" in ran.stdout and "2 problems" in ran.stdout
    assert {row["image"] for row in rows_of(tmp_path / "out" / "landmarks.csv")} == {"a1.png", "a4.png"}


@posix
def test_the_page_goes_on_after_files_that_kill_and_hang(tmp_path, faults, monkeypatch):
    paths = {name: tmp_path / f"{name}.png" for name in ("killer", "hung", "good")}
    for path in paths.values():
        Image.fromarray(GREY).save(path)
    monkeypatch.setattr(apart, "SECONDS", 15)  # starting a process takes some of them on a busy machine
    pictures = Pictures(paths)
    for name, said in (("killer", "its process died"), ("hung", "was not read within 15 s")):
        with pytest.raises(DataError, match=said) as error:
            pictures.get(name)
        assert str(error.value).startswith(f"{paths[name]}: ")
    assert (pictures.get("good").pixels == GREY - GREY.min()).all()
    pictures.close()
