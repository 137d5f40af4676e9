"""Predictions as DICOM, for archives and their viewers: a report, a presentation state and a picture of each radiograph.

The report is a Structured Report of the template TID 1500 (PS3.16), the presentation state lays points, names and regions over
the radiograph, and the picture is the overlay as a secondary capture. DICOM counts pixels from the upper left corner of the
first one, so that its centre is (0.5, 0.5); here it is (0, 0).
"""

import logging
from copy import deepcopy
from dataclasses import dataclass, field
from hashlib import blake2b
from io import BytesIO
from pathlib import Path

import numpy as np
from highdicom import pr, sr
from highdicom.content import PresentationLUTTransformation
from highdicom.sc import SCImage
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from joints.description import Description
from prediction.calibration import OUTSIDE
from prediction.dicom_source import ADVICE, IDENTITY, IMAGE, UNKNOWN, read_with_source, settings_of, uid_of
from prediction.outputs import measure_rows
from prediction.overlay import flags_of, rim
from prediction.predictor import Prediction
from prediction.regions import semi_axes
from radiographs.radiograph import Radiograph
from runtime.files import DataError, write_whole
from runtime.version import VERSION

__all__ = ["ENDINGS", "Results", "read_with_source", "try_header", "write_dicom"]
NAME, SCHEME = "SpatialConfiguration-Net", "99SCN"  # the latter: of codes that the standard has no word for
NO_DEVICE = "not a medical device"
ENDINGS = ("sr", "pr", "sc")  # of files, the report first
SERIES = {"sr": 9701, "pr": 9702, "sc": 9703}  # numbers, beyond those of equipment
LONG, SHORT_TEXT = 64, 1024  # letters that DICOM's LO and ST can have
UNITS = {"mm": codes.UCUM.Millimeter, "degrees": codes.UCUM.Degree, "px": sr.CodedConcept("{pixels}", "UCUM", "pixels")}
logging.getLogger("highdicom").setLevel(logging.ERROR)  # it warns of names, and so tells them


@dataclass
class Results:
    """What is written of one radiograph."""

    source: Dataset  # by `read_source`
    radiograph: Radiograph
    joint: Description
    hands: list[Prediction]
    picture: Image.Image
    settings: str = ""  # by `settings_of`
    weights: str = ""  # their digest
    patient: Dataset = field(init=False)

    def __post_init__(self):
        """highdicom gets the header without the patient and the study, which it would judge and warn of."""
        self.patient, self.source = self.source, deepcopy(self.source)
        for name in IDENTITY:
            setattr(self.source, name, UNKNOWN)

    @property
    def image(self) -> sr.SourceImageForRegion:
        return sr.SourceImageForRegion(self.source.SOPClassUID, self.source.SOPInstanceUID)

    def uid(self, *parts: str) -> str:
        """Of something in these results: the same for the same radiograph, weights and settings.

        Copies that somebody put into other studies under the UID of the first have results of their own.
        """
        source = self.source
        return uid_of(self.settings, source.StudyInstanceUID, source.SeriesInstanceUID, source.SOPInstanceUID, *parts)

    def common(self, kind: str) -> dict:
        """What highdicom is to write into each of ENDINGS. All results of a series of radiographs are one series a kind."""
        return {
            "series_instance_uid": uid_of(self.settings, self.source.StudyInstanceUID, self.source.SeriesInstanceUID, kind),
            "series_number": SERIES[kind],
            "sop_instance_uid": self.uid(kind),
            "instance_number": int(self.source.get("InstanceNumber") or 0) or 1,
            "manufacturer": NAME,
            "manufacturer_model_name": NAME,
            "software_versions": VERSION,
            "device_serial_number": self.weights,
            "series_description": f"Landmarks, {NO_DEVICE}",
            "content_date": self.source.ContentDate,
            "content_time": self.source.ContentTime,
        }


def try_header(path: Path, source: Dataset, radiograph: Radiograph) -> None:
    """Raises DataError where highdicom can make nothing of a header, whose contents may name the patient and are not told."""
    try:
        datasets_of(Results(source, radiograph, Description(()), [], Image.new("L", (8, 8))))
    except Exception as error:  # it raises many kinds
        found = f"a {source.SOPClassUID.name} that gives {type(error).__name__}"
        raise DataError(f"{path}: expected a header that DICOM results can refer to, found {found}; {ADVICE}") from error


def write_dicom(stem: Path, call: dict, results: Results) -> None:
    """Write `stem`_sr.dcm, _pr.dcm and _sc.dcm; `call` is what predict.py keeps of its settings. The same bytes every time."""
    results.settings, results.weights = settings_of(call), call["weights"]
    for ending, dataset in zip(ENDINGS, datasets_of(results)):
        content = BytesIO()
        dataset.save_as(content, enforce_file_format=True)
        write_whole(stem.with_name(f"{stem.name}_{ending}.dcm"), content.getvalue())


def datasets_of(results: Results) -> list[Dataset]:
    """Those of ENDINGS, with the patient and the study of the radiograph, and no date of today."""
    made = [report(results), presentation(results), capture(results)]
    for dataset in made:
        for name in IDENTITY:
            dataset[name] = results.patient[name]
        if "ImageLaterality" not in dataset and dataset.Modality != "SR":
            dataset.Laterality = results.source.get("Laterality", UNKNOWN)
        for name in ("InstanceCreationDate", "InstanceCreationTime", "DateOfSecondaryCapture", "TimeOfSecondaryCapture"):
            dataset.pop(name, None)
        for equipment in dataset.get("ContributingEquipmentSequence", ()):  # highdicom itself, and when
            equipment.pop("ContributionDateTime", None)
    return made


def coded(meaning: str) -> sr.CodedConcept:
    """A concept that has no code in the standard."""
    shown = meaning.replace("\\", "/")[:LONG]
    return sr.CodedConcept(blake2b(meaning.encode(), digest_size=8).hexdigest(), SCHEME, shown)


def side_of(hand: Prediction) -> list[sr.QualitativeEvaluation]:
    codes_of = {"left": codes.SCT.Left, "right": codes.SCT.Right}
    return [sr.QualitativeEvaluation(codes.SCT.Laterality, codes_of[hand.side])] if hand.side else []


def judged(flags: list[str], question: str = "flag") -> list[sr.QualitativeEvaluation]:
    return [sr.QualitativeEvaluation(coded(question), coded(flag)) for flag in flags if flag]


def report(results: Results) -> Dataset:
    """A measurement report: one group about the radiograph, and of each hand one for each landmark and each measure."""
    group = {"algorithm_id": sr.AlgorithmIdentification(NAME, VERSION)}
    of_all = [f"weights {results.weights}", f"pixel size: {results.radiograph.spacing_from}", NO_DEVICE]
    about = sr.MeasurementsAndQualitativeEvaluations(
        sr.TrackingIdentifier(results.uid("radiograph"), "radiograph"),
        algorithm_id=sr.AlgorithmIdentification(NAME, VERSION, of_all),
        qualitative_evaluations=judged([NO_DEVICE], "intended use") + judged(flags_of(results.hands)),
    )
    groups = [about]
    for hand in results.hands:
        groups += landmark_groups(results, hand, group) + measure_groups(results, hand, group)
    device = sr.DeviceObserverIdentifyingAttributes(uid_of("device", results.weights), NAME, NAME, NAME, results.weights or None)
    return sr.ComprehensiveSR(
        evidence=[results.source],
        content=sr.MeasurementReport(
            sr.ObservationContext(observer_device_context=sr.ObserverContext(codes.DCM.Device, device)),
            codes.cid100.XRUnspecifiedBodyRegion,
            groups,
        ),
        is_complete=True,
        **results.common("sr"),
    )


def tracked(results: Results, hand: Prediction, name: str) -> sr.TrackingIdentifier:
    called = f"hand {hand.hand}: {name}" if len(results.hands) > 1 else name
    return sr.TrackingIdentifier(results.uid("finding", str(hand.hand), name), called)


def landmark_groups(results: Results, hand: Prediction, group: dict) -> list:
    """A point of each landmark with its confidence and flags; of one outside the picture the flags alone."""
    image, made = results.image, []
    for name, point, confidence, flags in zip(results.joint.names, hand.points_px, hand.confidence, hand.landmark_flags):
        tracking, evaluations = tracked(results, hand, name), side_of(hand) + judged(flags.split("; "))
        kind, said = sr.MeasurementsAndQualitativeEvaluations, {}
        if OUTSIDE not in flags:
            kind = sr.PlanarROIMeasurementsAndQualitativeEvaluations
            height = sr.Measurement(coded("confidence: height of the heatmap's peak"), float(confidence), codes.UCUM.NoUnits)
            said = {"referenced_region": sr.ImageRegion("POINT", point[None] + 0.5, image), "measurements": [height]}
        made.append(kind(tracking, finding_type=coded(name), qualitative_evaluations=evaluations, **said, **group))
    return made


def measure_groups(results: Results, hand: Prediction, group: dict) -> list:
    """A number of each measure with its bounds, its landmarks and its flags; where one lies outside the picture flags alone."""
    image, made = results.image, []
    rows = measure_rows("", results.joint, results.radiograph, hand)
    for (*_, name, kind, value, unit, plus_minus, flags), defined in zip(rows, results.joint.measures):
        said = {"qualitative_evaluations": side_of(hand) + judged(flags.split("; "))}
        if OUTSIDE not in flags:
            known = np.isfinite(plus_minus)
            bounds = sr.MeasurementProperties(None, None, None, None, None, *[float(plus_minus)] * 2) if known else None
            for bound in bounds or ():  # highdicom gives them no unit
                bound.MeasuredValueSequence[0].MeasurementUnitsCodeSequence = [sr.CodedConcept.from_code(UNITS[unit])]
            places = [] if defined.kind == "difference" else hand.points_px[list(defined.of)] + 0.5
            shape = "POLYLINE" if len(places) < 4 else "MULTIPOINT"
            measured = sr.Measurement(
                codes.SCT.Length if kind == "length" else codes.SCT.Angle,
                float(value),
                UNITS[unit],
                properties=bounds,
                referenced_coordinates=[sr.CoordinatesForMeasurement(shape, places, image)] if len(places) else None,
            )
            said["measurements"] = [measured]
        made.append(sr.MeasurementsAndQualitativeEvaluations(tracked(results, hand, name), **said, **group))
    return made


def presentation(results: Results) -> Dataset:
    """A Grayscale Softcopy Presentation State: points, their names with flags, regions, and flags of the radiograph."""
    source, objects = results.source, {"POINTS": [], "REGIONS": [], "NAMES": []}
    for hand in results.hands:
        for i, flags in enumerate(hand.landmark_flags):
            if OUTSIDE in flags:
                continue
            place, said = hand.points_px[i] + 0.5, f"{results.joint.names[i]}{f' ({flags})' if flags else ''}"
            objects["POINTS"].append(pr.GraphicObject("POINT", place[None], "PIXEL"))
            objects["NAMES"].append(text_object(said, anchor_point=tuple(place.tolist()), anchor_point_visible=False))
            if np.isfinite(hand.ellipse_px2[i]).all():
                objects["REGIONS"].append(region(place, hand.ellipse_px2[i], (source.Columns, source.Rows)))
    objects["NOTES"] = [text_object("; ".join([NO_DEVICE, *flags_of(results.hands)]), "DISPLAY", bounding_box=(0, 0, 1, 0.05))]
    layers, annotations = [], []
    for name in (name for name in objects if objects[name]):
        layers.append(pr.GraphicLayer(name, len(layers) + 1))
        kind = "text_objects" if name in ("NAMES", "NOTES") else "graphic_objects"
        annotations.append(pr.GraphicAnnotation([source], layers[-1], **{kind: objects[name]}))
    state = pr.GrayscaleSoftcopyPresentationState(
        [source],
        content_label="LANDMARKS",
        content_description=f"Landmarks by {NAME}, {NO_DEVICE}",
        graphic_annotations=annotations,
        graphic_layers=layers,
        presentation_lut_transformation=PresentationLUTTransformation(source.PresentationLUTShape),
        **{name: value for name, value in results.common("pr").items() if not name.startswith("content")},
    )
    state.PresentationCreationDate, state.PresentationCreationTime = source.ContentDate, source.ContentTime
    for name in ("ModalityLUTSequence", "RescaleSlope", "RescaleIntercept", "RescaleType", "SoftcopyVOILUTSequence"):
        if name in source:
            state[name] = source[name]
    if (spacing := results.radiograph.spacing_mm) and spacing[0] != spacing[1]:
        aspect = [round(spacing[1] / spacing[0] * 10_000), 10_000]  # vertical over horizontal
        state.DisplayedAreaSelectionSequence[0].PresentationPixelAspectRatio = aspect
    return state


def text_object(said: str, units: str = "PIXEL", **place) -> pr.TextObject:
    return pr.TextObject(said.replace("\\", "/")[:SHORT_TEXT], units, text_justification="LEFT", **place)


def region(place: np.ndarray, ellipse: np.ndarray, extent: tuple[int, int]) -> pr.GraphicObject:
    """The ellipse (2, 2) around a place (2) in DICOM's pixels; one that reaches over the picture's edge as a line along it."""
    long, short, degrees = semi_axes(ellipse)
    along = np.array([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))])
    across = along[::-1] * (-1, 1)
    ends = place + np.stack([long * along, -long * along, short * across, -short * across])
    if (ends >= 0).all() and (ends <= extent).all():
        return pr.GraphicObject("ELLIPSE", ends, "PIXEL")
    return pr.GraphicObject("POLYLINE", (place + rim(ellipse)).clip(0, extent), "PIXEL")


def capture(results: Results) -> Dataset:
    """The overlay as a secondary capture in colour, which refers to the radiograph."""
    source = results.source
    made = SCImage.from_ref_dataset(
        source,
        np.asarray(results.picture.convert("RGB")),
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=("L", "F"),  # asked for by highdicom; that of the radiograph takes its place
        **results.common("sc"),
    )
    made.PatientOrientation = None
    for name in IMAGE[1:]:
        if name in source:
            made[name] = source[name]
    made.DerivationDescription = f"Landmarks drawn by {NAME} {VERSION}, {NO_DEVICE}"
    reference = Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = source.SOPClassUID, source.SOPInstanceUID
    made.SourceImageSequence = [reference]
    return made
