"""DICOM results: what a report, a presentation state and a secondary capture say, read back by highdicom and pydicom."""

import csv
import json
import shutil
import subprocess
import sys
from datetime import date
from pathlib import Path
from types import SimpleNamespace

import imageio.v3 as iio
import numpy as np
import pytest
from conftest import made_radiograph, write_weights
from pydicom import dcmread, uid
from pydicom.dataset import Dataset, FileMetaDataset

import predict
from joints.description import Description
from prediction.calibration import DOUBTFUL, OUTSIDE
from prediction.dicom_source import NO_DATE, read_source, settings_of
from prediction.listing import Item
from prediction.predictor import Prediction
from prediction.worker import Worker
from radiographs.radiograph import Radiograph
from runtime.command import need_package
from runtime.files import DataError

sr = pytest.importorskip("highdicom.sr", reason="needs the optional package highdicom")
from PIL import Image  # noqa: E402

from prediction import dicom_results  # noqa: E402
from prediction.dicom_results import ENDINGS, Results, datasets_of, write_dicom  # noqa: E402

MEASURES = {"width": {"length": ["a", "b"]}, "corner": {"angle": ["a", "b", "c"]}, "lost": {"length": ["a", "d"]}}
JOINT = Description.of_file({"joint": "knee", "measures": MEASURES}, "joint.json", ("a", "b", "c", "d"))
CALL = {"weights": "0123456789abcdef", "inputs": ["somewhere"], "joint": JOINT.to_file()}
NAME = "Müller^Jörg"


def made(path: Path, number: int = 0, **tags) -> Path:
    """A radiograph of 90 x 120 px as DICOM; an attribute whose value is None is left out."""
    pixels = made_radiograph(number)[0]
    one = Dataset()
    one.file_meta = FileMetaDataset()
    one.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    one.SOPClassUID, one.SOPInstanceUID, one.Modality = uid.ComputedRadiographyImageStorage, f"1.2.3.{number}", "CR"
    one.StudyInstanceUID, one.SeriesInstanceUID = "1.2.3.100", "1.2.3.101"
    one.SpecificCharacterSet, one.PatientName, one.PatientID, one.PatientSex = "ISO_IR 100", NAME, "P1", "F"
    one.PatientComments, one.InstitutionName = "a comment", "a hospital"
    one.StudyDate, one.StudyTime, one.AccessionNumber, one.InstanceNumber = "20200102", "101112", "A1", "7"
    one.ImagerPixelSpacing, one.WindowCenter, one.WindowWidth, one.RescaleIntercept = [0.5, 0.5], "100", "200", "-3"
    one.PhotometricInterpretation, one.SamplesPerPixel = "MONOCHROME1", 1
    one.Rows, one.Columns = pixels.shape
    one.BitsAllocated, one.BitsStored, one.HighBit, one.PixelRepresentation = 8, 8, 7, 0
    one.PixelData = pixels.tobytes()
    one["PixelData"].VR = "OB"
    for name, value in tags.items():
        delattr(one, name) if value is None else setattr(one, name, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    one.save_as(path, enforce_file_format=True)
    return path


def hand(number: int = 1, side: str = "") -> Prediction:
    """Landmarks a to d: b is 30 px to the right of a and 40 below, c beside b, and d was lost."""
    points = np.array([[10.0, 20.0], [40.0, 60.0], [80.0, 30.0], [-4.0, 5.0]])
    ellipses = np.tile(np.diag([4.0, 9.0]), (4, 1, 1))
    ellipses[2] = np.diag([400.0, 9.0])  # reaches over the right edge
    return Prediction(points, np.full(4, 0.5), ellipses, ["doubtful joints"], ["", DOUBTFUL, "", OUTSIDE], side=side, hand=number)


def results(path: Path, *hands: Prediction) -> Results:
    radiograph = Radiograph(np.empty(0), (0.5, 0.5), "DICOM Imager Pixel Spacing")
    return Results(read_source(path), radiograph, JOINT, list(hands or [hand()]), Image.new("P", (54, 72)))


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> dict[str, Path]:
    """The three files of one radiograph."""
    folder = tmp_path_factory.mktemp("written")
    write_dicom(folder / "a", CALL, results(made(folder / "in.dcm")))
    return {ending: folder / f"a_{ending}.dcm" for ending in ENDINGS}


def test_the_report_has_points_measures_and_flags(written):
    content = sr.srread(written["sr"]).content
    groups = {group.tracking_identifier: group for group in content.get_planar_roi_measurement_groups()}
    assert {name: group.roi.value.tolist() for name, group in groups.items()} == {
        "a": [[10.5, 20.5]], "b": [[40.5, 60.5]], "c": [[80.5, 30.5]]
    }  # fmt: skip
    assert {group.roi.graphic_type.value for group in groups.values()} == {"POINT"}
    (source,) = groups["a"].roi.ContentSequence
    assert source.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == "1.2.3.0"
    assert [one.value.meaning for one in groups["b"].get_qualitative_evaluations()] == [DOUBTFUL]
    others = {group.tracking_identifier: group for group in content.get_image_measurement_groups()}
    said = {name: [one.value.meaning for one in group.get_qualitative_evaluations()] for name, group in others.items()}
    assert said["radiograph"] == ["not a medical device", "doubtful joints"] and said["d"] == [OUTSIDE]
    assert said["lost"] == [f"d: {OUTSIDE}"] and not others["lost"].get_measurements()
    (width,), (corner,) = others["width"].get_measurements(), others["corner"].get_measurements()
    assert (width.value, width.unit.value, width.name.meaning) == (25.0, "mm", "Length")  # 3, 4, 5 by 10 px of 0.5 mm
    bounds = [item for item in width[0].ContentSequence if item.ValueType == "NUM"]
    assert {(item.value, item.unit.value) for item in bounds} == {(bounds[0].value, "mm")} and 1 < bounds[0].value < 3
    assert corner.value == pytest.approx(90) and corner.unit.value == "deg"  # (30, 40) against (-40, 30)
    (line,) = width.referenced_coordinates
    assert line.value.tolist() == [[10.5, 20.5], [40.5, 60.5]] and line.graphic_type.value == "POLYLINE"


def test_the_report_says_the_side(tmp_path):
    write_dicom(tmp_path / "a", CALL, results(made(tmp_path / "in.dcm"), hand(side="left")))
    content = sr.srread(tmp_path / "a_sr.dcm").content
    others = content.get_image_measurement_groups()[1:]
    said = [group.get_qualitative_evaluations()[0] for group in [*content.get_planar_roi_measurement_groups(), *others]]
    assert [(one.name.value, one.value.meaning) for one in said] == [("272741003", "Left")] * 7  # 4 landmarks, 3 measures


def test_a_measure_without_bounds_is_written(tmp_path):
    """Of landmarks that no held-out radiograph showed, as a's region here."""
    one = hand()
    one.ellipse_px2[0] = np.nan
    write_dicom(tmp_path / "a", CALL, results(made(tmp_path / "in.dcm"), one))
    groups = {
        group.tracking_identifier: group for group in sr.srread(tmp_path / "a_sr.dcm").content.get_image_measurement_groups()
    }
    (width,), (corner,) = (groups[name].get_measurements() for name in ("width", "corner"))
    assert (width.value, corner.value) == (25.0, pytest.approx(90))
    assert not [item for item in width[0].get("ContentSequence", ()) if item.ValueType == "NUM"]


def test_several_hands_are_told_apart(tmp_path):
    write_dicom(tmp_path / "a", CALL, results(made(tmp_path / "in.dcm"), hand(1), hand(2)))
    groups = sr.srread(tmp_path / "a_sr.dcm").content.get_planar_roi_measurement_groups()
    assert [group.tracking_identifier for group in groups] == [f"hand {number}: {name}" for number in (1, 2) for name in "abc"]
    assert len({group.tracking_uid for group in groups}) == 6


def test_the_presentation_state_shows_the_radiograph_with_regions(written):
    state = dcmread(written["pr"])
    objects = [one for layer in state.GraphicAnnotationSequence for one in layer.get("GraphicObjectSequence", ())]
    assert [one.GraphicData for one in objects if one.GraphicType == "POINT"] == [[10.5, 20.5], [40.5, 60.5], [80.5, 30.5]]
    first = next(one for one in objects if one.GraphicType == "ELLIPSE").GraphicData  # 3 px along y, 2 px along x
    assert np.abs(np.reshape(first, (4, 2)) - (10.5, 20.5)) == pytest.approx(np.array([[0, 3], [0, 3], [2, 0], [2, 0]]), abs=1e-5)
    (cut,) = (np.reshape(one.GraphicData, (-1, 2)) for one in objects if one.GraphicType == "POLYLINE")
    assert cut[:, 0].max() == 90 and cut[:, 0].min() == pytest.approx(60.5) and cut.min() >= 0
    texts = [one.UnformattedTextValue for layer in state.GraphicAnnotationSequence for one in layer.get("TextObjectSequence", ())]
    assert texts == ["a", f"b ({DOUBTFUL})", "c", "not a medical device; doubtful joints"]
    assert state.PresentationLUTShape == "INVERSE" and state.RescaleIntercept == -3 and state.RescaleSlope == 1
    (voi,) = state.SoftcopyVOILUTSequence
    assert (voi.WindowCenter, voi.WindowWidth) == (100, 200)


def test_a_look_up_table_goes_before_a_window(tmp_path):
    table = Dataset()
    table.LUTDescriptor, table.LUTData = [256, 0, 8], bytes(range(256))
    table["LUTDescriptor"].VR, table["LUTData"].VR = "US", "OW"
    table.LUTExplanation = "for Doe"
    path = made(tmp_path / "in.dcm", VOILUTSequence=[table])
    one = dcmread(path)
    one.decode()
    one.file_meta.TransferSyntaxUID = uid.ImplicitVRLittleEndian  # where the table does not say of what kind its numbers are
    one.save_as(path, implicit_vr=True, little_endian=True)
    state = datasets_of(results(path))[1]
    (voi,) = state.SoftcopyVOILUTSequence
    assert voi.VOILUTSequence[0].LUTData == bytes(range(256)) and "WindowWidth" not in voi
    assert "LUTExplanation" not in voi.VOILUTSequence[0]  # which may say whose it is


def test_files_name_the_patient_as_the_radiograph_does_and_no_more(written):
    for path in written.values():
        one = dcmread(path)
        assert (str(one.PatientName), one.PatientID, one.PatientSex, one.PatientBirthDate) == (NAME, "P1", "F", "")
        found = one.StudyInstanceUID, one.StudyDate, one.AccessionNumber, one.InstanceNumber
        assert found == ("1.2.3.100", "20200102", "A1", 7)
        assert "PatientComments" not in one and "InstitutionName" not in one
    capture = dcmread(written["sc"])
    assert capture.pixel_array.shape == (72, 54, 3) and "not a medical device" in capture.DerivationDescription
    assert capture.SourceImageSequence[0].ReferencedSOPInstanceUID == "1.2.3.0"


def test_the_same_input_gives_the_same_bytes_and_other_settings_other_uids(written, tmp_path):
    """Nothing of the clock is written."""
    before, source = {ending: path.read_bytes() for ending, path in written.items()}, written["sr"].parent / "in.dcm"
    write_dicom(tmp_path / "a", CALL | {"inputs": ["elsewhere"]}, results(source))
    assert {ending: (tmp_path / f"a_{ending}.dcm").read_bytes() for ending in ENDINGS} == before
    clock = b"DateTime", date.today().strftime("%Y%m%d").encode()
    assert dcmread(written["sr"]).ContentDate == "20200102"
    assert not any(word in content for content in before.values() for word in clock)
    write_dicom(tmp_path / "a", CALL | {"weights": "another"}, results(source))
    others = [tmp_path / f"a_{ending}.dcm" for ending in ENDINGS]
    uids, other_uids = (
        {getattr(one, name) for one in map(dcmread, paths) for name in ("SeriesInstanceUID", "SOPInstanceUID")}
        for paths in (written.values(), others)
    )
    assert len(uids) == 6 and not uids & other_uids
    assert settings_of(CALL) == settings_of(CALL | {"inputs": []}) != settings_of(CALL | {"weights": "another"})


def test_a_radiograph_without_a_date_gets_one_that_nobody_takes_for_real(tmp_path):
    source = read_source(made(tmp_path / "in.dcm", StudyDate="", StudyTime=None))
    assert (source.ContentDate, source.ContentTime) == NO_DATE and source.StudyDate == source.StudyTime == ""


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        ({"StudyInstanceUID": None}, "expected a StudyInstanceUID that the standard allows, found none"),
        ({"SeriesInstanceUID": ""}, "expected a SeriesInstanceUID that the standard allows, found none"),
        ({"SOPClassUID": "1.2.3.4"}, "expected a SOPClassUID that the standard allows, found 1.2.3.4"),
        ({"PatientBirthDate": "spring 1990"}, "expected PatientBirthDate in the form of VR DA, found another"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "in shades of grey, found PALETTE COLOR"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_a_header_that_lacks_what_the_standard_needs_is_refused(tmp_path, tags, said):
    with pytest.raises(DataError, match=said) as refused:
        read_source(made(tmp_path / "in.dcm", **tags))
    assert "1990" not in str(refused.value) and "\n" not in str(refused.value)


def test_without_highdicom_one_line_says_so(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "highdicom", None)
    with pytest.raises(DataError, match="pip install highdicom"):
        need_package("highdicom", "--format dicom")


@pytest.mark.skipif(not shutil.which("dciodvfy"), reason="needs dciodvfy of Debian's package dicom3tools")
def test_dicom3tools_find_no_error(written):
    for path in written.values():
        ran = subprocess.run(["dciodvfy", "-new", path], capture_output=True, text=True)
        assert not [line for line in (ran.stdout + ran.stderr).splitlines() if line.startswith("Error")]


def run(*arguments: object) -> int:
    return predict.main([str(argument) for argument in arguments])


def test_shards_give_the_files_of_one_process(tmp_path, capsys):
    """One of the five radiographs is a picture without a header: it is named, and the others go on."""
    for number in range(4):
        made(tmp_path / "in" / f"{number}.dcm", number)
    iio.imwrite(tmp_path / "in" / "a.png", made_radiograph(9)[0])
    write_weights(tmp_path / "tiny.pt")
    call = [tmp_path / "in", "--weights", tmp_path / "tiny.pt", "--format", "dicom"]
    assert run(*call, "--out", tmp_path / "one") == 1
    said = capsys.readouterr()
    assert "name the patients as the radiographs do" in said.out
    assert said.err.count("a.png: expected a DICOM file, found a .png file") == 1 and NAME not in said.out + said.err
    assert run(*call, "--out", tmp_path / "two", "--shard", "2/2") == 0
    assert run(*call, "--out", tmp_path / "two", "--shard", "1/2") == 1
    assert run("--merge", "--out", tmp_path / "two") == 1
    one, two = ({path.name: path.read_bytes() for path in (tmp_path / out / "dicom").iterdir()} for out in ("one", "two"))
    assert len(one) == 12 and one == two
    rows = list(csv.DictReader(open(tmp_path / "one" / "landmarks.csv")))
    report = sr.srread(tmp_path / "one" / "dicom" / "0.dcm_sr.dcm").content
    points = {group.tracking_identifier: group.roi.value[0] for group in report.get_planar_roi_measurement_groups()}
    for row in rows:
        if row["image"] == "0.dcm" and OUTSIDE not in row["landmark_flags"]:
            assert points[row["name"]] - 0.5 == pytest.approx((float(row["x"]), float(row["y"])), abs=0.01)
    assert run(*call, "--out", tmp_path / "one", "--overwrite") == 1
    assert {path.name: path.read_bytes() for path in (tmp_path / "one" / "dicom").iterdir()} == one


def test_results_of_a_file_that_is_a_radiograph_no_more_go(tmp_path):
    """Also where those of very many lie in several folders."""
    one, item = Worker.__new__(Worker), Item("a.dcm", "a.dcm", "a.dcm")
    one.out, one.call, one.many, one.dicom = tmp_path / "out", {"formats": ["dicom"]}, True, dicom_results
    one.index = SimpleNamespace(was_drawn=lambda _: True)
    write_dicom(one.place("dicom", item.plain), CALL, results(made(tmp_path / "in.dcm")))
    assert len(list((tmp_path / "out").rglob("*.dcm"))) == len(ENDINGS)
    one.remove_pictures(item)
    assert not list((tmp_path / "out").rglob("*.dcm"))


def test_codes_are_short_and_the_same_every_time():
    one = dicom_results.coded("a" * 70 + "\\b")
    assert len(one.value) == 16 and len(one.meaning) == 64 and one.value != dicom_results.coded("a" * 70).value
    assert json.dumps(one.value) == json.dumps(dicom_results.coded("a" * 70 + "\\b").value)
