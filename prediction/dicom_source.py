"""What DICOM results take from the header of their radiograph, and how their UIDs come about.

The patient and the study are taken over as they are, and nothing else that could name a patient. Nothing is made up: a header
that lacks a UID is refused. Dates are those of the radiograph, since a result must not depend on when it was computed.
"""

import json
import uuid
from copy import deepcopy
from pathlib import Path

from pydicom.config import RAISE
from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.uid import UID
from pydicom.valuerep import validate_value

from radiographs.dicom import is_inverted, read_data_set
from radiographs.dicom_pixels import first, text
from radiographs.header import read_with_header
from radiographs.names import PICTURES, VOLUMES, is_dicom
from radiographs.radiograph import Radiograph
from radiographs.reading import ReaderSettings
from runtime.files import DataError
from runtime.version import VERSION

UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")
PERSONS = ("PatientName", "ReferringPhysicianName")
IDENTITY = (*PERSONS, "PatientID", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate", "StudyTime")
LOSSY = ("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod")
IMAGE = ("InstanceNumber", "PatientOrientation", "Laterality", "ImageLaterality", "BurnedInAnnotation", *LOSSY)
DATES = ("Content", "Acquisition", "Series", "Study")  # the first that there is
NO_DATE = ("19000101", "000000")  # of results whose radiograph has none
NOT_SEEN = ("inputs", "formats", "measure", "dicom", "columns")  # settings that DICOM results do not depend on
UNKNOWN = ""  # what the standard has for a patient's or study's attribute that nobody knows
ROOT = uuid.uuid5(uuid.NAMESPACE_OID, "SpatialConfiguration-Net")
ADVICE = "correct the header, or leave out --format dicom"


def uid_of(*parts: str) -> str:
    """A UID of the root 2.25, from a name-based UUID (PS3.5, annex B.2): the same for the same parts."""
    return f"2.25.{uuid.uuid5(ROOT, json.dumps(parts)).int}"


def settings_of(call: dict) -> str:
    """What of a call of predict.py DICOM results depend on; with another of these they get other UIDs."""
    return json.dumps(
        {name: value for name, value in call.items() if name not in NOT_SEEN} | {"version": VERSION}, sort_keys=True
    )


def read_with_source(path: Path, keywords: tuple[str, ...]) -> tuple[Radiograph, list[str], Dataset]:
    """As `read_with_header`, and the header by `read_source`. Raises DataError."""
    radiograph, texts = read_with_header(path, keywords)
    with ReaderSettings():
        return radiograph, texts, read_source(path)


def read_source(path: Path) -> Dataset:
    """Attributes of a DICOM file that results refer to or take over, with what shows it in `SoftcopyVOILUTSequence`, the LUTs of
    the modality, and `PresentationLUTShape`; texts in UTF-8, `ContentDate` as results have it. Raises DataError."""
    if path.suffix.lower() in PICTURES | VOLUMES and not is_dicom(path):
        raise DataError(
            f"{path}: expected a DICOM file, found a {path.suffix} file, which names no study; leave out --format dicom"
        )
    header, source = read_data_set(path), Dataset()
    if (found := text(header, "PhotometricInterpretation")) not in ("MONOCHROME1", "MONOCHROME2"):
        raise DataError(f"{path}: expected a DICOM radiograph in shades of grey, found {found}; leave out --format dicom")
    for name in UIDS:
        if not (value := UID(text(header, name))).is_valid or (name == "SOPClassUID" and value.name == value):
            raise DataError(f"{path}: expected a {name} that the standard allows, found {text(header, name) or 'none'}; {ADVICE}")
        setattr(source, name, value)
    source.SpecificCharacterSet = "ISO_IR 192"
    for name in (*IDENTITY, *(name for name in IMAGE if header.get(name))):
        value = header.get(name) or UNKNOWN
        setattr(source, name, valid(path, name, str(value) if name in PERSONS else value))
    dates = ((header.get(f"{kind}Date"), header.get(f"{kind}Time") or NO_DATE[1]) for kind in DATES)
    day, time = next((date for date in dates if date[0]), NO_DATE)
    source.ContentDate, source.ContentTime = valid(path, "ContentDate", day), valid(path, "ContentTime", time)
    source.Rows, source.Columns, source.SamplesPerPixel = header.Rows, header.Columns, 1
    source.PresentationLUTShape = "INVERSE" if is_inverted(header, []) else "IDENTITY"
    source.update(shown_by(header))
    return source


def valid(path: Path, name: str, value: object) -> object:
    """The value of an attribute. Raises DataError, which does not tell it, where it is not of the standard's form."""
    try:
        for part in value if isinstance(value, MultiValue) else [value]:
            validate_value(dictionary_VR(name), str(part), RAISE)
    except ValueError:
        raise DataError(f"{path}: expected {name} in the form of VR {dictionary_VR(name)}, found another; {ADVICE}") from None
    return value


def shown_by(header: Dataset) -> Dataset:
    """How a viewer comes from stored to grey values: the modality's LUT or rescaling, and the VOI LUT or else the windows."""
    shown, voi = Dataset(), Dataset()
    if tables := header.get("ModalityLUTSequence"):
        shown.ModalityLUTSequence = whole_tables(header, tables)
    elif "RescaleSlope" in header or "RescaleIntercept" in header:
        shown.RescaleSlope, shown.RescaleIntercept = first(header, "RescaleSlope", 1) or 1, first(header, "RescaleIntercept", 0)
        shown.RescaleType = text(header, "RescaleType") or "US"  # unspecified
    if tables := header.get("VOILUTSequence"):
        voi.VOILUTSequence = whole_tables(header, tables)
    elif (width := first(header, "WindowWidth", 0)) >= 1:
        voi.WindowCenter, voi.WindowWidth = first(header, "WindowCenter", 0), width
        if function := text(header, "VOILUTFunction"):
            voi.VOILUTFunction = function
    if len(voi):
        shown.SoftcopyVOILUTSequence = [voi]
    return shown


def whole_tables(header: Dataset, tables: list[Dataset]) -> list[Dataset]:
    """LUTs of a header, copied without what somebody wrote into them, that say themselves of what kind their numbers are."""
    copied = [Dataset() for _ in tables]
    for table, copy in zip(tables, copied):
        for name in ("LUTDescriptor", "LUTData", "ModalityLUTType"):
            if name in table:
                copy[name] = deepcopy(table[name])
        for name, kind in (("LUTDescriptor", "SS" if header.get("PixelRepresentation") else "US"), ("LUTData", "OW")):
            if name in copy and " or " in copy[name].VR:
                copy[name].VR = kind
    return copied
