"""MetaImage, NIfTI and NRRD files, by SimpleITK. Headers of the first and the last may name another file with their pixels."""

import gzip
import os
import re
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from radiographs.names import DICOM, PICTURES
from radiographs.radiograph import Radiograph, check_size, grey
from runtime.files import DataError

META = (".mha", ".mhd")
HEADER = 1 << 16  # bytes, that a text header may have
MAX_DIMENSIONS = 5  # of MetaImage files; SimpleITK writes beyond its memory for some hundred


def read_volume(path: Path) -> Radiograph:
    """A file that SimpleITK reads; a spacing of exactly 1 x 1 mm, which is the formats' default, counts as unknown.

    In three dimensions the picture may lie across any axis.
    """
    held = sum(map(unfolded_bytes, files_of(path)))
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    if path.suffix.lower() in META:  # which ITK tells by endings in lower case alone
        reader.SetImageIO("MetaImageIO")
    reader.ReadImageInformation()
    columns, *others = reader.GetSize()
    check_size(path, columns, int(np.prod(others, dtype=float)), reader.GetNumberOfComponents())
    if "bitpix" in reader.GetMetaDataKeys():  # NIfTI, where SimpleITK takes the missing end of a cut file for zeros
        sides = [float(reader.GetMetaData(f"dim[{axis}]")) for axis in range(1, 1 + int(reader.GetMetaData("dim[0]")))]
        needed = float(reader.GetMetaData("vox_offset")) + np.prod(sides) * int(reader.GetMetaData("bitpix")) / 8
        if held < needed:
            raise DataError(f"{path}: expected {needed:.0f} bytes, found {held}; the file is cut, copy it again")
    image = reader.Execute()
    pixels, dimension = sitk.GetArrayFromImage(image), image.GetDimension()
    pixels = grey(path, pixels.squeeze() if dimension > 2 else pixels)
    axes = [axis for axis, side in enumerate(image.GetSize()) if side > 1 or dimension == 2][-2:]
    spacing = tuple(image.GetSpacing()[axis] for axis in axes)
    known = spacing != (1.0, 1.0) and min(spacing) > 0
    steps = np.reshape(image.GetDirection(), (dimension, dimension))[:, axes] * spacing
    physical = np.zeros((3, max(3, dimension)))  # origin and the steps along x and y, padded to three dimensions
    physical[:, :dimension] = image.GetOrigin(), *steps.T
    origin, *steps = map(tuple, physical[:, :3].tolist())
    return Radiograph(pixels, spacing if known else None, "header" if known else "unknown", origin, tuple(steps))


def files_of(path: Path) -> list[Path]:
    """A radiograph's file, and the one that its header names for the pixels, if any.

    Raises DataError where that is no regular file in the header's folder or below, and OSError.
    """
    if (ending := path.suffix.lower()) in PICTURES | DICOM or not path.is_file():
        return [path]
    with open(path, "rb") as file:
        head = file.read(HEADER)
    name = named_by_meta(path, head) if ending in META else named_by_nrrd(path, head) if head.startswith(b"NRRD") else None
    if name is None:
        return [path]
    pixels = path.parent / os.fsdecode(name)
    folders = path.parent.resolve(), path.resolve().parent
    if name.upper().startswith(b"LIST") or not pixels.is_file() or not any(at in pixels.resolve().parents for at in folders):
        raise DataError(
            f"{path}: expected its pixels in one file of its folder, found {os.fsdecode(name)[:99]!r}; copy that file there, or"
            " export it as one file"
        )
    return [path, pixels]


def named_by_meta(path: Path, head: bytes) -> bytes | None:
    """The file with the pixels of a MetaImage header; None for its own. Raises DataError where the header is damaged."""
    at = 0
    while separator := re.compile(rb"[=:]").search(head, at):  # lines KEY = VALUE, of which pixels may follow
        end = head.find(b"\n", separator.end())
        end = end if end >= 0 else len(head)
        key, value = head[at : separator.start()].strip(), head[separator.end() : end].strip()
        if key == b"NDims" and not (value.isdigit() and int(value) <= MAX_DIMENSIONS):
            raise DataError(
                f"{path}: expected NDims up to {MAX_DIMENSIONS}, found {os.fsdecode(value)[:40]!r}; copy the file again"
            )
        if key == b"ElementDataFile":
            return None if value.upper() == b"LOCAL" else value
        at = end
    raise DataError(
        f"{path}: expected lines KEY = VALUE down to ElementDataFile, found others; the file is damaged, copy it again"
    )


def named_by_nrrd(path: Path, head: bytes) -> bytes | None:
    """The file with the pixels of an NRRD header; None for its own. Raises DataError for several."""
    header = re.split(rb"\r?\n\r?\n", head, maxsplit=1)[0]
    names = re.findall(rb"(?:^|[\r\n])[ \t]*data ?file[ \t]*:(?!=)[ \t]*([^\r\n]*)", header, re.IGNORECASE)
    if len(names) > 1:
        raise DataError(f"{path}: expected one file with its pixels, found {len(names)}; export it as one file")
    return names[0].strip() if names else None


def unfolded_bytes(path: Path) -> int:
    """The size of a file, of a .gz file unfolded. Raises EOFError for a cut .gz file, and DataError for one far too large."""
    if path.suffix.lower() != ".gz":
        return path.stat().st_size
    unfolded = 0
    with gzip.open(path) as file:
        while part := file.read(1 << 20):
            unfolded += len(part)
            check_size(path, unfolded // 8, 1)
    return unfolded
