"""Which files are radiographs, by their names and first bytes, and the IDs that their names stand for."""

import unicodedata
from pathlib import Path

PICTURES = {".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp"}  # their headers give dots per inch at best, no millimetres
DICOM = {".dcm", ".dicom", ".ima"}  # its files often have no ending, or a number of their name for one
VOLUMES = {".mha", ".mhd", ".nii", ".nrrd", ".nhdr", ".gz"}  # .gz: of .nii.gz alone


def is_dicom(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(132)[128:] == b"DICM"


def is_radiograph(path: Path) -> bool:
    """Whether a file is one to read, by its ending, or because it is DICOM; the table of contents of a DICOM medium is none."""
    if (ending := path.suffix.lower()) in PICTURES | DICOM | VOLUMES:
        return ending != ".gz" or path.name.lower().endswith(".nii.gz")
    try:
        return path.is_file() and path.name.upper() != "DICOMDIR" and is_dicom(path)
    except OSError:
        return False


def without_ending(name: str) -> str:
    """A file's name without the endings of formats: 1.2.840.dcm becomes 1.2.840, which stays as it is, and a.dcm.png a."""
    while (ending := Path(name).suffix).lower() in PICTURES | DICOM | VOLUMES:
        name = name[: -len(ending)]
    return name


def plain_id(text: str) -> str:
    """The ID that a cell of a table means."""
    return same_form(without_ending(text.strip()))


def same_form(id: str) -> str:
    """An ID without outer blanks and with accented letters in one form: file systems and tables write them differently."""
    return unicodedata.normalize("NFC", id.strip())
