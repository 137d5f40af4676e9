"""Predictions as files: a table, 3D Slicer markups, COCO keypoints, measures."""

import csv
import io
import json
from pathlib import Path
from typing import BinaryIO

import numpy as np

from joints.hand import NAMES, SKELETON
from joints.lengths_angles import lengths_and_angles
from prediction.predictor import Prediction
from radiographs.reading import Radiograph
from runtime.files import cell, write_whole

COLUMNS = ["image", "landmark", "name", "x", "y", "confidence", "radius", "x_mm", "y_mm", "radius_mm", "landmark_flags", "flags"]
COLUMNS += ["orientation", "spacing_from"]
MEASURE_COLUMNS = ["image", "measure", "kind", "value", "unit"]


def safe(text: str) -> str:
    """Text that a spreadsheet shows instead of computing: a leading =, +, - or @ gets an apostrophe."""
    return "'" + text if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def csv_lines(rows: list[list]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([[cell(value) for value in row] for row in rows])
    return text.getvalue().encode()


def landmark_rows(name: str, names: list[str], radiograph: Radiograph, prediction: Prediction) -> list[list]:
    """Rows of COLUMNS: pixels of the radiograph, and where the spacing is known millimetres from its first pixel's centre."""
    spacing = np.array(radiograph.spacing_mm or (np.nan, np.nan))
    points_mm = prediction.points_px * spacing
    radius_mm = prediction.radius_px * np.sqrt(spacing.prod())
    more = ["; ".join(prediction.flags), str(prediction.orientation), radiograph.spacing_from]
    return [
        [
            *(safe(name), i, names[i], *prediction.points_px[i], prediction.confidence[i], prediction.radius_px[i]),
            *(*points_mm[i], radius_mm[i], prediction.landmark_flags[i], *more),
        ]
        for i in range(len(names))
    ]


def measure_rows(name: str, radiograph: Radiograph, prediction: Prediction) -> list[list]:
    """Rows of MEASURE_COLUMNS: lengths in mm where the spacing is known, else in px; angles in degrees."""
    unit = "px" if radiograph.spacing_mm is None else "mm"
    measures = lengths_and_angles(prediction.points_px * (radiograph.spacing_mm or (1.0, 1.0)))
    return [[safe(name), measure, kind, value, unit if kind == "length" else "degrees"] for measure, kind, value in measures]


def write_slicer(path: Path, names: list[str], radiograph: Radiograph, prediction: Prediction) -> None:
    """Markups for 3D Slicer, in the file's physical space (LPS, mm); a pixel of unknown size counts as a millimetre, as there."""
    offsets = prediction.points_px @ np.array(radiograph.steps_mm)
    points = [
        {
            "id": str(i + 1),
            "label": names[i],
            "description": f"confidence {prediction.confidence[i]:.2f}, radius {prediction.radius_px[i]:.1f} px",
            "position": [round(float(value), 4) for value in offset + np.array(radiograph.origin_mm)],
            "positionStatus": "defined",
        }
        for i, offset in enumerate(offsets)
    ]
    markup = {"type": "Fiducial", "coordinateSystem": "LPS", "coordinateUnits": "mm", "controlPoints": points}
    schema = "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/Schema/markups-schema-v1.0.3.json#"
    write_whole(path, json.dumps({"@schema": schema, "markups": [markup]}, indent=1).encode())


class Coco:
    """COCO keypoints. Pixels are those of the other files: (0, 0) is the centre of the first one."""

    def __init__(self):
        self.images, self.annotations = [], []

    def add(self, name: str, extent: tuple[int, int], prediction: Prediction) -> None:
        number = len(self.images) + 1
        self.images.append({"id": number, "file_name": name, "width": extent[0], "height": extent[1]})
        keypoints = [round(float(value), 2) for x, y in prediction.points_px for value in (x, y, 2)]
        low, high = prediction.points_px.min(0), prediction.points_px.max(0)
        box = [round(float(value), 2) for value in (*low, *(high - low))]
        self.annotations.append(
            {"id": number, "image_id": number, "category_id": 1, "iscrowd": 0, "num_keypoints": len(prediction.points_px)}
            | {"keypoints": keypoints, "bbox": box, "area": round(box[2] * box[3], 2)}
            | {"score": round(float(prediction.confidence.mean()), 4)}
        )  # fmt: skip

    def write(self, file: BinaryIO, names: list[str]) -> None:
        skeleton = [[a + 1, b + 1] for a, b in SKELETON] if names == list(NAMES) else []
        category = {"id": 1, "name": "hand" if skeleton else "landmarks", "keypoints": names, "skeleton": skeleton}
        content = {"images": self.images, "annotations": self.annotations, "categories": [category]}
        file.write(json.dumps(content).encode())
