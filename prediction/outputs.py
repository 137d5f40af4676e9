"""Predictions as files: a table, also in Parquet, 3D Slicer markups, COCO keypoints, measures."""

import json
import shutil
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO

import numpy as np

from joints.description import Description
from joints.formats import markups
from joints.lengths_angles import lengths_and_angles
from prediction.calibration import OUTSIDE, UNLIKE_TRAINING
from prediction.predictor import Prediction
from prediction.regions import conjugate, semi_axes
from radiographs.radiograph import Radiograph
from runtime.files import whole_file, write_whole

COLUMNS = ["image", "hand", "side", "landmark", "name", "x", "y", "confidence", "semi_major", "semi_minor", "angle"]
COLUMNS += ["x_mm", "y_mm", "semi_major_mm", "semi_minor_mm", "landmark_flags", "flags", "orientation", "spacing_from"]
WHOLE = ("hand", "landmark")  # columns of whole numbers
TEXTS = ("image", "side", "name", "landmark_flags", "flags", "orientation", "spacing_from")  # all others are numbers
MEASURE_COLUMNS = ["image", "hand", "side", "measure", "kind", "value", "unit", "plus_minus", "flags"]


def alien(joint: Description, prediction: Prediction) -> list[str]:
    """The flags of a radiograph that say that none of its landmarks can be trusted."""
    return [flag for flag in prediction.flags if flag in (joint.absent, UNLIKE_TRAINING)]


def landmark_rows(name: str, joint: Description, radiograph: Radiograph, prediction: Prediction) -> list[list]:
    """Rows of COLUMNS: pixels of the radiograph, and where the spacing is known millimetres from its first pixel's centre."""
    spacing = np.array(radiograph.spacing_mm or (np.nan, np.nan))
    points_mm = prediction.points_px * spacing
    long, short, degrees = semi_axes(prediction.ellipse_px2)
    long_mm, short_mm, _ = semi_axes(conjugate(np.diag(spacing), prediction.ellipse_px2))
    more = ["; ".join(prediction.flags), prediction.orientation, radiograph.spacing_from]
    hand = name, prediction.hand, prediction.side
    return [
        [
            *(*hand, i, joint.names[i], *prediction.points_px[i], prediction.confidence[i], long[i], short[i], degrees[i]),
            *(*points_mm[i], long_mm[i], short_mm[i], prediction.landmark_flags[i], *more),
        ]
        for i in range(len(joint.names))
    ]


def measure_rows(name: str, joint: Description, radiograph: Radiograph, prediction: Prediction) -> list[list]:
    """Rows of MEASURE_COLUMNS: lengths in mm where the spacing is known, else in px; angles in degrees.

    `flags` are those of the landmarks involved, and that of a radiograph none of whose landmarks can be trusted.
    """
    unit, spacing = ("px", (1.0, 1.0)) if radiograph.spacing_mm is None else ("mm", radiograph.spacing_mm)
    rows, hand = [], (name, prediction.hand, prediction.side)
    for measure in lengths_and_angles(joint, prediction.points_px * spacing, conjugate(np.diag(spacing), prediction.ellipse_px2)):
        flagged = [(joint.names[i], prediction.landmark_flags[i].replace("; ", ", ")) for i in measure.landmarks]
        flags = "; ".join([f"{landmark}: {flags}" for landmark, flags in flagged if flags] + alien(joint, prediction))
        one_unit = unit if measure.kind == "length" else "degrees"
        rows.append([*hand, measure.name, measure.kind, measure.value, one_unit, measure.plus_minus, flags])
    return rows


def write_slicer(path: Path, joint: Description, radiograph: Radiograph, prediction: Prediction) -> None:
    """Markups for 3D Slicer, in the file's physical space (LPS, mm); a pixel of unknown size counts as a millimetre, as there.

    The description has the flags. A landmark outside the picture is listed without a position, as "undefined": newer versions
    also know "missing", but the schema does not, and older ones refuse the whole file for it.
    """
    positions = prediction.points_px @ np.array(radiograph.steps_mm) + np.array(radiograph.origin_mm)
    long, short, degrees = semi_axes(prediction.ellipse_px2)
    points = []
    for i, flags in enumerate(prediction.landmark_flags):
        region = f"{long[i]:.1f} x {short[i]:.1f} px at {degrees[i]:.0f} degrees" if np.isfinite(long[i]) else "unknown"
        known = [f"confidence {prediction.confidence[i]:.2f}, region {region}", *([flags] if flags else [])]
        said = "; ".join(known + alien(joint, prediction))
        point = {"id": str(i + 1), "label": joint.names[i], "description": said}
        if OUTSIDE not in flags:
            point["position"] = [round(float(value), 4) for value in positions[i]]
        points.append(point | {"positionStatus": "defined" if "position" in point else "undefined"})
    write_whole(path, markups(points).encode())


class Coco:
    """COCO keypoints. Pixels are those of the other files: (0, 0) is the centre of the first one.

    Visibility is 2 for a landmark without a flag, and 1 for a doubtful or misplaced one and for all of a radiograph that is not
    of the network's kind: labelled, but not to be relied on. It is 0, with x = y = 0 as COCO wants it, for a landmark outside the
    picture: its point says only at which edge it was lost, and a 1 would hand it on as a position. Box and number of keypoints
    are those of the landmarks with 1 or 2. "regions", which COCO does not know, has the long and short semi-axis (px) and the
    angle (degrees) of each landmark's ellipse.
    """

    def __init__(self, file: BinaryIO, folder: Path | None = None):
        """`file` is written to as radiographs come; annotations wait in a temporary file in `folder`."""
        self.file, self.annotations = file, TemporaryFile(dir=folder)
        self.images = self.hands = 0
        file.write(b'{"images": [')

    def add(self, image: dict, hands: list[dict]) -> None:
        """A radiograph by `image_of`, and its hands by `annotation`."""
        self.images += 1
        self.file.write(b", " * (self.images > 1) + json.dumps({"id": self.images} | image).encode())
        for hand in hands:
            self.hands += 1
            line = json.dumps({"id": self.hands, "image_id": self.images} | hand)
            self.annotations.write(b", " * (self.hands > 1) + line.encode())

    def close(self, joint: Description) -> None:
        """Write what comes last. The file is the caller's to close."""
        skeleton = [[a + 1, b + 1] for a, b in joint.skeleton]
        category = {"id": 1, "name": joint.joint or "landmarks", "keypoints": list(joint.names), "skeleton": skeleton}
        self.file.write(b'], "annotations": [')
        self.annotations.seek(0)
        shutil.copyfileobj(self.annotations, self.file)
        self.annotations.close()
        self.file.write(f'], "categories": {json.dumps([category])}}}'.encode())


def image_of(name: str, extent: tuple[int, int], ids: dict[str, str]) -> dict:
    """A radiograph of `extent` (width, height) px as COCO has it, but for its number."""
    return {"file_name": name, "width": extent[0], "height": extent[1]} | ({"ids": ids} if ids else {})


def annotation(joint: Description, hand: Prediction) -> dict:
    """A hand as COCO has it, but for the IDs."""
    sure = 1 if alien(joint, hand) else 2
    visible = [0 if OUTSIDE in flags else 1 if flags else sure for flags in hand.landmark_flags]
    keypoints = []
    for (x, y), v in zip(hand.points_px.tolist(), visible):
        keypoints += [round(x, 2), round(y, 2), v] if v else [0, 0, 0]
    there_px = hand.points_px[np.array(visible) > 0]
    low, high = (there_px.min(0), there_px.max(0)) if len(there_px) else (np.zeros(2), np.zeros(2))
    box = [round(float(value), 2) for value in (*low, *(high - low))]
    regions = zip(*semi_axes(hand.ellipse_px2))
    return (
        {"category_id": 1, "iscrowd": 0, "num_keypoints": len(there_px), "keypoints": keypoints, "bbox": box}
        | {"regions": [[None if np.isnan(part) else round(float(part), 2) for part in region] for region in regions]}
        | {"area": round(box[2] * box[3], 2), "score": round(float(hand.confidence.mean()), 4)}
        | ({"attributes": {"side": hand.side}} if hand.side else {})
    )


def write_parquet(table: Path, columns: list[str], ids: list[str], path: Path) -> None:
    """Write the rows of a table in CSV with these columns; `ids` of them are texts too. Blank numbers become nulls."""
    from pyarrow import csv, float64, int64, string
    from pyarrow.parquet import ParquetWriter

    kinds = {name: string() if name in (*TEXTS, *ids) else int64() if name in WHOLE else float64() for name in columns}
    options = csv.ConvertOptions(column_types=kinds)
    parse = csv.ParseOptions(newlines_in_values=True)
    with csv.open_csv(table, parse_options=parse, convert_options=options) as rows, whole_file(path) as file:
        with ParquetWriter(file, rows.schema) as writer:
            for batch in rows:
                writer.write_batch(batch)
