"""Annotations as other programs keep them: COCO keypoints, 3D Slicer markups, labelme, Label Studio, DeepLabCut, SLEAP.

Here (0, 0) is the centre of the first pixel. Where each program has its origin:

- COCO: the corner of the first pixel. Detectron2 takes the published keypoints, which are whole numbers, for numbers of pixels
  instead (detectron2/data/datasets/coco.py), and so does what predict.py writes: `centre` says so.
- labelme: the corner; coordinates reach from 0 to the picture's width (github.com/wkentaro/labelme/issues/278).
- Label Studio: the corner, in percent of the picture's sides (labelstud.io/tags/keypointlabels).
- 3D Slicer: millimetres in physical space, whose origin is the centre of the first pixel
  (discourse.slicer.org/t/ras-to-lps-origin-shift/7075), LPS or RAS as the file says.
- DeepLabCut: the centre, as napari and matplotlib have it, in which it labels (github.com/napari/napari/issues/310).
- SLEAP: the centre; its training draws a heatmap around whole numbers at the pixels of these numbers.
"""

import csv
import io
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np

from radiographs.names import without_ending
from radiographs.raw_folder import same_form
from radiographs.reading import read_radiograph
from runtime.files import DataError, first_few

Point = tuple[float, float]
CORNER, CENTRE = "corner", "centre"  # of the first pixel, where a program has its origin
MARKUP = ".mrk.json"
SCHEMA = (
    "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/Schema/markups-schema-v1.0.3.json#"
)
SLEAP_READS = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp"}  # of a folder, in lower case (sleap-io, ImageVideo)


@dataclass
class Annotations:
    """Points by radiograph and landmark, in a program's own pixels; what is not there is missing."""

    points: dict[str, dict[str, Point]] = field(default_factory=dict)  # ID: landmark: x, y
    names: list[str] = field(default_factory=list)  # of the landmarks, in their order, where the program tells it
    skeleton: list[tuple[str, str]] = field(default_factory=list)
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)  # ID: width, height px of the picture that was annotated

    def add(self, source: object, file: str, points: Iterable[tuple[str, Point]]) -> None:
        """Raises DataError for a radiograph or a landmark that comes twice, or a landmark without a name."""
        id = id_of(file)
        if id in self.points:
            raise DataError(f"{source}: expected one annotation of {id}, found another; remove one")
        self.points[id] = {}
        placed = [(name.strip(), point) for name, point in points if np.isfinite(point).all()]  # some write NaN for a missing one
        for name, point in placed:
            if not name:
                raise DataError(f"{source}: expected a name of every landmark of {id}, found a blank one; name it or remove it")
            if name in self.points[id]:
                raise DataError(f"{source}: expected {name!r} of {id} once, found it twice; remove one")
            self.points[id][name] = point


def id_of(file: str) -> str:
    return same_form(without_ending(re.split(r"[/\\]", file)[-1]))


def parsed(path: Path, parse: Callable[[TextIO], list | dict] = json.load, wanted: str = "JSON") -> list | dict:
    """What `parse` makes of a text file. Raises DataError."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            return parse(file)
    except FileNotFoundError:
        raise DataError(f"{path}: not found; name a file that is there") from None
    except (ValueError, csv.Error) as error:
        raise DataError(f"{path}: expected {wanted}, found something else ({error}); export it again") from error


def read_rows(path: Path) -> list[list[str]]:
    return parsed(path, lambda file: [row for row in csv.reader(file) if any(row)], "a comma-separated text file")


def files_of(path: Path, ending: str) -> list[Path]:
    found = sorted(path.glob(f"*{ending}")) if path.is_dir() else [path]
    if not found:
        raise DataError(f"{path}: expected files *{ending} in this folder, found none")
    return found


def read_coco(path: Path, images: dict[str, Path]) -> Annotations:
    stored = parsed(path)
    categories = {one["id"]: one for one in stored["categories"] if one.get("keypoints")}
    used = {one["category_id"] for one in stored["annotations"]} & categories.keys()
    if len(used) != 1:
        found = [categories[id]["name"] for id in sorted(used)]
        raise DataError(f"{path}: expected annotations of one category with keypoints, found {found}; export one")
    category = categories[used.pop()]
    names, lines = [name.strip() for name in category["keypoints"]], category.get("skeleton", [])
    if not all(1 <= number <= len(names) for line in lines for number in line):
        raise DataError(
            f"{path}: expected a skeleton of keypoints numbered from 1 to {len(names)}, found {lines}; mend or remove it"
        )
    found = Annotations(names=names, skeleton=[(names[a - 1], names[b - 1]) for a, b in lines])
    files = {one["id"]: one["file_name"] for one in stored["images"]}
    found.sizes = {id_of(one["file_name"]): (one.get("width"), one.get("height")) for one in stored["images"]}
    for one in stored["annotations"]:
        if one["category_id"] == category["id"]:
            triples = np.reshape(one["keypoints"], (-1, 3)).tolist()
            found.add(path, files[one["image_id"]], [(name, (x, y)) for name, (x, y, seen) in zip(names, triples) if seen])
    return found


def read_labelme(path: Path, images: dict[str, Path]) -> Annotations:
    found, others = Annotations(), []
    for file in files_of(path, ".json"):
        stored = parsed(file)
        points = [(one["label"], tuple(one["points"][0])) for one in stored["shapes"] if one["shape_type"] == "point"]
        others += [one["label"] for one in stored["shapes"] if one["shape_type"] != "point"]
        name = stored.get("imagePath") or file.stem
        found.add(file, name, points)
        found.sizes[id_of(name)] = stored.get("imageWidth"), stored.get("imageHeight")
    if others:
        print(f"{path}: {len(others)} shapes that are no points are left out ({first_few(sorted(set(others)))})")
    return found


def read_label_studio(path: Path, images: dict[str, Path]) -> Annotations:
    found = Annotations()
    for task in parsed(path):
        file = label_studio_file(task["data"])
        given = [one["result"] for one in task.get("annotations", []) if not one.get("was_cancelled")]
        if len(given) > 1:
            raise DataError(f"{path}: expected one annotation of {file}, found {len(given)}; export those of one annotator")
        for results in given:
            keypoints = [(one["value"], one) for one in results if one["type"] == "keypointlabels"]
            if any(one.get("image_rotation") for _, one in keypoints):
                raise DataError(f"{path}: expected {file} as it came, found it turned; turn the file itself")
            sizes = [(value, one["original_width"], one["original_height"]) for value, one in keypoints]
            points = [(at["keypointlabels"][0], (at["x"] * width / 100, at["y"] * height / 100)) for at, width, height in sizes]
            found.add(path, file, points)
            found.sizes |= {id_of(file): (width, height) for _, width, height in sizes}
    return found


def label_studio_file(data: dict) -> str:
    """The name of a task's picture: of its fields the first that looks like a file's, without what an upload put before it."""
    parts = [urlsplit(value) for value in data.values() if isinstance(value, str)]
    names = [unquote(parse_qs(part.query).get("d", [part.path])[0]).split("/")[-1] for part in parts]  # ?d= of local files
    name = next((name for name in names if without_ending(name) != name), names[0])
    uploaded = any("/upload/" in part.path for part in parts)
    return re.sub(r"^[0-9a-f]{8}-", "", name) if uploaded else name


def read_slicer(path: Path, images: dict[str, Path]) -> Annotations:
    found = Annotations()
    for file in files_of(path, MARKUP):
        id = id_of(file.name.removesuffix(MARKUP))
        if id not in images:
            raise DataError(f"{file}: expected its radiograph {id} in --images, whose geometry tells pixels; found none")
        radiograph = read_radiograph(images[id])
        origin, steps = np.array(radiograph.origin_mm), np.array(radiograph.steps_mm).T
        points = []
        for markup in parsed(file)["markups"]:
            to_lps = np.array([-1, -1, 1]) if markup.get("coordinateSystem", "LPS") == "RAS" else np.ones(3)
            for one in markup["controlPoints"]:
                if one.get("positionStatus", "defined") == "defined":
                    at = np.linalg.lstsq(steps, one["position"] * to_lps - origin, rcond=None)[0]  # px in the radiograph's plane
                    points.append((one["label"], tuple(at.tolist())))
        found.add(file, id, points)
    return found


def read_deeplabcut(path: Path, images: dict[str, Path]) -> Annotations:
    rows = read_rows(path)
    head = {row[0]: row for row in rows if row[0] in ("scorer", "individuals", "bodyparts", "coords")}
    if not {"bodyparts", "coords"} <= head.keys():
        raise DataError(f"{path}: expected rows that begin with scorer, bodyparts and coords, found others; export it again")
    columns = [i for i, coordinate in enumerate(head["coords"]) if coordinate == "x"]
    if len(set(head.get("individuals", ["", "one"])[columns[0] :])) > 1:
        raise DataError(f"{path}: expected one individual, found several; export one")
    found = Annotations(names=[head["bodyparts"][i].strip() for i in columns])
    for row in rows[len(head) :]:
        file = next(cell for cell in reversed(row[: columns[0]]) if cell)  # the path may be in three columns
        found.add(path, file, present(found.names, row, columns))
    return found


def read_sleap(path: Path, images: dict[str, Path]) -> Annotations:
    """Frames are those of the pictures in --images; without it their numbers are the IDs."""
    header, *rows = read_rows(path)
    columns = [i for i, name in enumerate(header) if name.endswith(".x")]
    if "frame_idx" not in header or not columns:
        found = ", ".join(header[:5])
        raise DataError(f"{path}: expected columns frame_idx, NODE.x and NODE.y, found {found}; export analysis CSV")
    found, ids = Annotations(names=[header[i][:-2].strip() for i in columns]), frames_of(images)
    for row in rows:
        frame = int(float(row[header.index("frame_idx")]))
        if ids and not 0 <= frame < len(ids):
            raise DataError(f"{path}: expected frames from 0 to {len(ids) - 1}, the pictures of --images; found {frame}")
        found.add(path, ids[frame] if ids else str(frame), present(found.names, row, columns))
    return found


def present(names: list[str], row: list[str], columns: list[int]) -> list[tuple[str, Point]]:
    """Landmarks whose x stands in a column and y in the next one."""
    pairs = [(name, row[i : i + 2]) for name, i in zip(names, columns)]
    return [(name, (float(pair[0]), float(pair[1]))) for name, pair in pairs if all(cell.strip() for cell in pair)]


def write_coco(found: Annotations, files: dict[str, Path]) -> str:
    skeleton = [[found.names.index(name) + 1 for name in line] for line in found.skeleton]
    category = {"id": 1, "name": "landmarks", "keypoints": found.names, "skeleton": skeleton}
    pictures, annotations = [], []
    for i, (id, points) in enumerate(found.points.items(), 1):
        height, width = read_radiograph(files[id]).pixels.shape
        pictures.append({"id": i, "file_name": files[id].name, "width": width, "height": height})
        low, high = (part(list(points.values()) or [(0, 0)], axis=0) for part in (np.min, np.max))
        box = four_digits((*low, *(high - low)))
        triples = [[*four_digits(points[name]), 2] if name in points else [0, 0, 0] for name in found.names]
        one = {"id": i, "image_id": i, "category_id": 1, "iscrowd": 0, "num_keypoints": len(points), "bbox": box}
        annotations.append(one | {"area": box[2] * box[3], "keypoints": [part for triple in triples for part in triple]})
    return json.dumps({"images": pictures, "annotations": annotations, "categories": [category]}, indent=1)


def write_labelme(points: dict[str, Point], file: Path) -> str:
    height, width = read_radiograph(file).pixels.shape
    kind = {"group_id": None, "shape_type": "point", "flags": {}}
    shapes = [{"label": name, "points": [four_digits(at)]} | kind for name, at in points.items()]
    about = {"imagePath": file.name, "imageData": None, "imageHeight": height, "imageWidth": width}
    return json.dumps({"version": "5.4.1", "flags": {}, "shapes": shapes} | about, indent=1)


def write_label_studio(found: Annotations, files: dict[str, Path]) -> str:
    tasks = []
    for id, points in found.points.items():
        height, width = read_radiograph(files[id]).pixels.shape
        about = {"type": "keypointlabels", "from_name": "label", "to_name": "image", "image_rotation": 0}
        about |= {"original_width": width, "original_height": height}
        results = [
            about | {"value": {"x": 100 * x / width, "y": 100 * y / height, "width": 0.5, "keypointlabels": [name]}}
            for name, (x, y) in points.items()
        ]
        tasks.append({"data": {"image": files[id].name}, "annotations": [{"result": results}]})
    return json.dumps(tasks, indent=1)


def write_slicer(points: dict[str, Point], file: Path) -> str:
    radiograph, controls = read_radiograph(file), []
    for i, (name, at) in enumerate(points.items(), 1):
        at_mm = (np.array(at) @ np.array(radiograph.steps_mm) + radiograph.origin_mm).round(5).tolist()
        controls.append({"id": str(i), "label": name, "position": at_mm, "positionStatus": "defined"})
    return markups(controls)


def markups(controls: list[dict]) -> str:
    """Control points as a file of 3D Slicer, which refuses one that names no schema."""
    one = {"type": "Fiducial", "coordinateSystem": "LPS", "coordinateUnits": "mm", "controlPoints": controls}
    return json.dumps({"@schema": SCHEMA, "markups": [one]}, indent=1)


def write_deeplabcut(found: Annotations, files: dict[str, Path]) -> str:
    rows = [["scorer", *["reader"] * 2 * len(found.names)], ["bodyparts", *(name for name in found.names for _ in "xy")]]
    rows += [["coords", *"xy" * len(found.names)]]
    return lines(rows + [[files[id].name, *cells(found.names, points)] for id, points in found.points.items()])


def write_sleap(found: Annotations, files: dict[str, Path]) -> str:
    head = ["track", "frame_idx", "instance.score", *(f"{name}.{axis}" for name in found.names for axis in "xy")]
    annotated = [(i, id) for i, id in enumerate(frames_of(files)) if id in found.points]
    return lines([head, *(["", str(i), "1", *cells(found.names, found.points[id])] for i, id in annotated)])


def frames_of(files: dict[str, Path]) -> list[str]:
    """The IDs of a folder's radiographs as SLEAP numbers them: by file name. Raises DataError where it would leave some out."""
    seen = [path for path in files.values() if path.suffix in SLEAP_READS]
    if unseen := [path for path in files.values() if seen and path not in seen]:
        beside = f"beside those that it numbers, as {seen[0].name}; make it such a picture"
        raise DataError(f"{unseen[0]}: expected no file that SLEAP passes over {beside}")
    return list(files)


def cells(names: list[str], points: dict[str, Point]) -> list[str]:
    return [str(value) for name in names for value in (four_digits(points[name]) if name in points else ("", ""))]


def four_digits(values: Iterable[float]) -> list[float]:
    return [round(float(value), 4) for value in values]


def lines(rows: list[list[str]]) -> str:
    """Rows as other programs read them: names as they are, whatever a spreadsheet makes of them."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


@dataclass(frozen=True)
class Format:
    origin: str  # CORNER or CENTRE
    read: Callable[[Path, dict[str, Path]], Annotations]  # of a file or folder, and the radiographs by ID, sorted by file name
    write: Callable  # of annotations and such radiographs one file of all, or for a folder of files one of each radiograph
    ending: str = ""  # of a folder's files; blank: one file of all


FORMATS = {
    "coco": Format(CORNER, read_coco, write_coco),
    "labelme": Format(CORNER, read_labelme, write_labelme, ".json"),
    "labelstudio": Format(CORNER, read_label_studio, write_label_studio),
    "slicer": Format(CENTRE, read_slicer, write_slicer, MARKUP),
    "deeplabcut": Format(CENTRE, read_deeplabcut, write_deeplabcut),
    "sleap": Format(CENTRE, read_sleap, write_sleap),
}
