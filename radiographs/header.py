"""Texts of a DICOM header that are asked for by name. Nothing of a header goes into a table unasked."""

import os
from pathlib import Path

from radiographs.names import PICTURES, VOLUMES, is_dicom
from radiographs.radiograph import Radiograph
from radiographs.reading import read_radiograph
from runtime.files import DataError


def read_with_header(path: Path, keywords: tuple[str, ...]) -> tuple[Radiograph, list[str]]:
    """A radiograph, and one text for each DICOM keyword, blank where the file has none. Raises DataError.

    The texts are in one line each, several of one element separated by a backslash as in DICOM.
    """
    if not os.path.lexists(path):
        raise DataError(f"{path}: no such file; correct the list, or copy the file there")
    radiograph = read_radiograph(path)
    if not keywords or (path.suffix.lower() in PICTURES | VOLUMES and not is_dicom(path)):
        return radiograph, [""] * len(keywords)
    from pydicom import dcmread  # here, since it takes 0.05 s to load, and most files need it not
    from pydicom.multival import MultiValue

    from radiographs.dicom_pixels import in_one_line

    header, texts = dcmread(path, force=True, stop_before_pixels=True, specific_tags=list(keywords)), []
    for keyword in keywords:
        try:
            value = header.get(keyword)
        except Exception as error:  # pydicom raises many kinds for what a header should not hold
            raise DataError(f"{path}: its {keyword} cannot be read ({error}); mend the file, or leave {keyword} out") from error
        values = value if isinstance(value, MultiValue) else [value]
        texts.append(in_one_line("\\".join("" if one is None else str(one) for one in values)))
    return radiograph, texts


def check_keywords(keywords: tuple[str, ...]) -> None:
    """Raises DataError for a word that is no DICOM keyword, or one of no text."""
    from pydicom.datadict import dictionary_VR, tag_for_keyword

    for keyword in keywords:
        tag = tag_for_keyword(keyword)
        if not keyword or tag is None:
            raise DataError(f"--dicom: expected DICOM keywords such as AccessionNumber or SeriesInstanceUID, found {keyword!r}")
        if tag >> 16 == 2:
            raise DataError(f"--dicom: expected keywords of the data set, found {keyword}, which is of the file's own header")
        if (kind := dictionary_VR(tag)).startswith(("O", "UN", "SQ")):
            raise DataError(f"--dicom: expected keywords of texts and numbers, found {keyword}, which is of kind {kind}")
