"""Files from outside that are damaged or made to do harm: each is told by its name, and costs itself alone."""

import faulthandler
import gzip
import os
import signal
import struct
import time
import zlib
from contextlib import suppress
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
from test_workers import hurry, linux, posix

from labelling.collection import radiographs_of
from labelling.pictures import Pictures
from prediction.journal import state_of
from radiographs import radiograph as limits
from radiographs.reading import read_radiograph
from radiographs.volumes import files_of
from runtime import apart
from runtime.files import DataError

GREY = made_radiograph(0)[0]
META = "ObjectType = Image\nNDims = {dims}\nDimSize = 120 90\nElementType = MET_UCHAR\n{more}ElementDataFile = {file}\n"
NRRD = "NRRD0004\ntype: uint8\ndimension: 2\nsizes: 90 120\nencoding: raw\n{more}data file: {file}\n\n"


def refused(path: Path, expected: str) -> None:
    with pytest.raises(DataError, match=expected) as error:
        read_radiograph(path)
    assert str(error.value).startswith(f"{path}: ") and "\n" not in str(error.value)


def meta(path: Path, dims: int = 2, more: str = "", file: str = "LOCAL", pixels: bytes = b"") -> Path:
    path.write_bytes(META.format(dims=dims, more=more, file=file).encode() + pixels)
    return path


def tiff(path: Path, **tags: tuple[int, int]) -> Path:
    """A header of 3000 x 3000 px with 16 bytes of pixels, and further tags (number, value)."""
    usual = {"width": (256, 3000), "length": (257, 3000), "bits": (258, 16), "packing": (259, 1), "photometric": (262, 1)}
    usual |= {"offsets": (273, 8), "samples": (277, 1), "rows": (278, 3000), "counts": (279, 16)}
    entries = sorted((usual | tags).values())
    head = b"II*\0" + struct.pack("<I", 24) + bytes(16) + struct.pack("<H", len(entries))
    path.write_bytes(head + b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries) + bytes(4))
    return path


def test_dimensions_values_and_slices_of_a_file_count(tmp_path):
    for dims in ("300", "-1"):  # SimpleITK has no room for the first
        refused(meta(tmp_path / "b.mha", dims=int(dims), pixels=GREY.tobytes()), f"expected NDims up to 5, found '{dims}'")
    refused(tiff(tmp_path / "b.tif", depth=(32997, 200)), "expected one picture, found 200")
    nrrd = "NRRD0004\ntype: uint8\ndimension: 3\nsizes: 200 90 120\nkinds: vector domain domain\nencoding: raw\n\n"
    (tmp_path / "a.nrrd").write_text(nrrd)
    meta(tmp_path / "a.mha", more="ElementNumberOfChannels = 200\n")
    tiff(tmp_path / "a.tif", samples=(277, 200))
    saved(made(np.zeros((16, 16, 200)), 8), tmp_path / "a.dcm")
    for path in tmp_path.glob("a.*"):
        refused(path, "expected at most 4 values a pixel, found 200")


def test_values_of_a_dicom_file_s_own_stream_count(tmp_path):
    stream = bytearray(imagecodecs.jpeg2k_encode(GREY, level=0, codecformat="j2k", reversible=True))
    path = saved(packed(made(GREY, 8), uid.JPEG2000Lossless, bytes(stream)), tmp_path / "b.dcm")
    assert read_radiograph(path).pixels.shape == GREY.shape
    place = stream.index(b"\xff\x51") + 38  # of the number of components
    assert stream[place : place + 2] == b"\0\1"
    many = stream[:place] + b"\0\xff" + stream[place + 2 : place + 5] * 255 + stream[place + 5 :]
    many[place - 36 : place - 34] = (38 + 3 * 255).to_bytes(2, "big")
    saved(packed(made(GREY, 8), uid.JPEG2000Lossless, bytes(many)), path)
    refused(path, "found 90 x 120 of 255 values")


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
    monkeypatch.setattr(limits, "MAX_PIXELS", 1_000_000)
    refused(tmp_path / "a.dcm", "expected at most 1,000,000 pixels")


def detached(folder: Path, ending: str, file: str, more: str = "") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"a{ending}"
    path.write_text((META if ending in (".mhd", ".mha") else NRRD).format(dims=2, more=more, file=file))
    return path


KINDS = pytest.mark.parametrize("ending", [".mhd", ".mha", ".nhdr", ".nrrd"])


@KINDS
def test_pixels_are_read_of_another_file_of_the_folder_and_of_no_other(tmp_path, ending):
    inside, outside = tmp_path / "set", tmp_path / "b.raw"
    (inside / "below").mkdir(parents=True)
    for file in ("a.raw", "./a.raw", "below/a.raw"):
        (inside / file).write_bytes(GREY.tobytes())
        path = detached(inside, ending, file)
        assert files_of(path) == [path, path.parent / file]
        assert read_radiograph(path).pixels.size == GREY.size
    outside.write_bytes(GREY.tobytes())
    elsewhere = ["../b.raw", str(outside), "below", "none.raw", "LIST", "b%d.raw 1 1 1"]
    with suppress(OSError):  # where not everybody may make links
        (inside / "link.raw").symlink_to(outside)
        elsewhere.append("link.raw")
    if hasattr(os, "mkfifo"):
        os.mkfifo(inside / "pipe.raw")
        elsewhere.append("pipe.raw")
    for file in elsewhere:
        refused(detached(inside, ending, file), "expected its pixels in one file of its folder")


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


@pytest.mark.parametrize("ending", [".mhd", ".nrrd"])
def test_a_change_of_the_other_file_is_noticed(raw, tmp_path, ending):
    """By preparation, which makes the radiograph again, and by prediction's journal."""
    picture = raw / "train" / "a3.png"
    pixels = read_radiograph(picture).pixels.astype(np.uint8)
    picture.unlink()
    header, values, made_of_it = picture.with_suffix(ending), raw / "train" / "files" / "a3.raw", tmp_path / "out/train/a3.png"
    content = (META if ending == ".mhd" else NRRD).format(dims=2, more="", file="files/a3.raw")
    header.write_text(content.replace("120 90", "90 120"))
    values.parent.mkdir()
    values.write_bytes(pixels.tobytes())
    assert (ran := preprocess(raw, tmp_path / "out")).returncode == 0, ran.stderr
    before, state = made_of_it.read_bytes(), state_of(str(header))
    values.write_bytes((255 - pixels).tobytes())
    assert preprocess(raw, tmp_path / "out").returncode == 0
    assert made_of_it.read_bytes() != before and state_of(str(header)) != state


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


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.dcm", "a.mha", "a.mhd", "a.nhdr", "a.nii", "a"])
def test_folders_and_pipes_named_like_pictures(tmp_path, name):
    (tmp_path / "folder" / name).mkdir(parents=True)
    refused(tmp_path / "folder" / name, "expected a file, found a folder")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / name)
        refused(tmp_path / name, "expected a file, found a pipe or device")
    tifffile.imwrite(tmp_path / "b.tif", GREY)
    (tmp_path / "c.tif").mkdir()
    assert list(radiographs_of(tmp_path)[0]) == ["b"]  # the page leaves them out


# ---- the door: whatever reads a file, its limits and its death are its own

FAULTS = """\
import os, signal, time
from pathlib import Path
from PIL import Image
true = Image.open
def faulty(file, *more):
    name = str(getattr(file, "name", file))
    if "killer" in name:
        os.kill(os.getpid(), signal.SIGSEGV)
    if "hung" in name:
        Path(name + ".begun").touch()
        time.sleep(100)
    return true(file, *more)
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
    hurry(monkeypatch, "hung")
    faulthandler.disable()  # pytest's, which would print where


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


@linux
def test_preparation_tells_files_beyond_its_limits_and_goes_on(raw, tmp_path, faults, monkeypatch):
    """A file that hangs, 3000 x 3000 px of 60,000 values, and 37 million pixels, which are 147 MB in single precision."""
    hung = with_file(raw, "hung.png")
    deep, large = raw / "train" / "a2.tif", raw / "train" / "a4.png"
    (raw / "train" / "a2.png").unlink()
    tiff(deep, samples=(277, 60_000))
    Image.fromarray(np.tile(GREY, (50, 68))).save(large, compress_level=1)
    monkeypatch.setattr(apart, "MEMORY", 24 << 20)
    ran = preprocess(raw, tmp_path / "out")
    assert ran.returncode == 1 and "not enough memory" not in ran.stderr
    reasons = {hung: "was not read within", deep: "expected at most 4 values a pixel", large: "needs more memory than there is"}
    assert all(f"{path}: {expected}" in ran.stderr for path, expected in reasons.items()), ran.stderr
    assert (tmp_path / "out" / "train" / "a1.png").exists() and (tmp_path / "out" / "test" / "c2.png").exists()


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
    said = running.stderr.readline()
    took = time.monotonic() - began
    status = running.wait(60)
    assert begun.exists() and status == 130 and "interrupted" in said and took < 30, (status, said, took)
    assert "hung" not in (tmp_path / "out" / "journal" / "1-of-1.jsonl").read_text()  # it is predicted when the command goes on


@posix
def test_prediction_tells_files_that_kill_and_hang_and_goes_on(raw, tiny, tmp_path, faults):
    hung, killer = with_file(raw, "hung.png"), raw / "train" / "killer.png"
    (raw / "train" / "a2.png").rename(killer)
    ran = command("predict.py", raw / "train", "--weights", tiny, "--out", tmp_path / "out")
    assert ran.returncode == 1 and f"{hung}: was not read within" in ran.stderr
    assert f"{killer}: its process died (Segmentation fault)" in ran.stderr
    assert "2 radiographs predicted" in ran.stdout and "2 problems" in ran.stdout
    assert {row["image"] for row in rows_of(tmp_path / "out" / "landmarks.csv")} == {"a1.png", "a4.png"}


@posix
def test_the_page_goes_on_after_files_that_kill_and_hang(tmp_path, faults):
    paths = {name: tmp_path / f"{name}.png" for name in ("killer", "hung", "good")}
    for path in paths.values():
        Image.fromarray(GREY).save(path)
    pictures = Pictures(paths)
    for name, said in (("killer", "its process died"), ("hung", "was not read within")):
        with pytest.raises(DataError, match=said) as error:
            pictures.get(name)
        assert str(error.value).startswith(f"{paths[name]}: ")
    assert (pictures.get("good").pixels == GREY - GREY.min()).all()
    pictures.close()
