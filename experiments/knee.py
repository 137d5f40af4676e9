"""A joint to try docs/your_joint.md with: knees drawn as DICOM files, eight landmarks, two readers, a description.

    python -m experiments.knee --out FOLDER

makes the folder that data_preprocessing.py reads. The knees are simple shapes: they show how the commands go, and nothing of how
accurate a network is on real ones.
"""

import json
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from pydicom import Dataset, uid
from pydicom.dataset import FileMetaDataset
from scipy.ndimage import gaussian_filter

from runtime.command import exit_status, parser_of
from runtime.files import DataError, csv_lines, write_whole

WIDTH, HEIGHT, SPACING_MM = 300, 420, 0.4
COUNTS = {"train": 40, "valid": 12, "test": 20}
ANNOTATORS = {"anna": 1.5, "bela": 2.5}  # px, by which each annotator is off, a standard deviation along each axis
# of a right knee from the front, in parts of the width: x to the patient's left, y down from the joint line
SHAPE = {
    "femur lateral": (-0.25, -0.10), "femur notch": (0.0, -0.05), "femur medial": (0.26, -0.10),
    "tibia lateral": (-0.26, 0.07), "tibia spine": (0.0, 0.03), "tibia medial": (0.27, 0.07),
    "fibula tip": (-0.31, 0.16), "femur shaft": (0.02, -0.52),
}  # fmt: skip
DESCRIPTION = {
    "joint": "knee",
    "landmarks": list(SHAPE),
    "skeleton": [
        ["femur lateral", "femur notch"], ["femur notch", "femur medial"], ["femur notch", "femur shaft"],
        ["tibia lateral", "tibia spine"], ["tibia spine", "tibia medial"], ["tibia lateral", "fibula tip"],
    ],
    "laterality": "right",
    "scale": {"name": "tibial plateau", "landmarks": ["tibia lateral", "tibia medial"], "mm": 70},
    "measures": {
        "plateau width": {"length": ["tibia lateral", "tibia medial"]},
        "joint line": {"angle": ["femur lateral", "femur medial", "tibia lateral", "tibia medial"]},
    },
}  # fmt: skip
BONE, EDGE = 95, 50  # grey values of a bone above its surroundings, and of its rim
SHADE, SHADE_PX = 8, 25  # SD of the soft tissue's grey values, and over how many px: without it two knees look like copies


def knee(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A radiograph (HEIGHT, WIDTH) uint8 and its landmarks (8, 2) as (x, y) px."""
    size, angle = WIDTH * rng.uniform(0.85, 1.05), np.radians(rng.normal(0, 4))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    middle = np.array([WIDTH, HEIGHT]) * rng.normal(0.5, 0.02, 2)
    points = {name: np.array(at) + rng.normal(0, 0.012, 2) for name, at in SHAPE.items()}
    lateral, notch, medial = (points[f"femur {name}"] for name in ("lateral", "notch", "medial"))
    tibia = [points[f"tibia {name}"] for name in ("lateral", "spine", "medial")]
    tip, (shaft, top) = points["fibula tip"], points["femur shaft"]
    femur = [(shaft - 0.1, -1), (shaft - 0.1, top), lateral, lateral + np.array((0.1, 0.09)), notch]
    femur += [medial + np.array((-0.1, 0.09)), medial, (shaft, top), (shaft + 0.1, -1)]
    bones = [femur, [*tibia, (0.12, 0.3), (0.1, 1), (-0.12, 1), (-0.12, 0.3)]]
    bones += [[tip, *(tip + np.array(step) for step in ((0.05, 0.05), (0.03, 1), (-0.03, 1), (-0.04, 0.05)))]]
    picture = np.full((HEIGHT, WIDTH), 25.0)
    columns = np.arange(WIDTH)
    picture += 45 * np.exp(-(((columns - middle[0]) / (0.38 * size)) ** 4))
    for outline in bones:
        corners = [tuple(corner) for corner in np.array(outline) @ turn.T * size + middle]
        mask = Image.new("L", (WIDTH, HEIGHT))
        ImageDraw.Draw(mask).polygon(corners, fill=255)
        filled = np.asarray(mask) / 255
        rim = np.abs(gaussian_filter(filled, 1.5) - gaussian_filter(filled, 4))
        picture += BONE * gaussian_filter(filled, 1.2) + EDGE * rim / max(rim.max(), 1e-6)
    shade = gaussian_filter(rng.normal(size=picture.shape), SHADE_PX)
    picture += SHADE * shade / shade.std()
    picture = gaussian_filter(picture, 0.8) * rng.uniform(0.8, 1.1) + rng.normal(0, 4, picture.shape)
    return picture.clip(0, 255).astype(np.uint8), np.array(list(points.values())) @ turn.T * size + middle


def dicom(picture: np.ndarray) -> Dataset:
    """A digital X-ray image of 8 bits."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.SOPClassUID, made.SOPInstanceUID, made.Modality = uid.DigitalXRayImageStorageForPresentation, uid.generate_uid(), "DX"
    made.PixelSpacing = [SPACING_MM, SPACING_MM]
    made.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    made.set_pixel_data(picture, "MONOCHROME2", 8, generate_instance_uid=False)
    return made


def make(folder: Path) -> None:
    """Raises DataError for a folder that is there."""
    if folder.exists():
        raise DataError(f"{folder}: is there already; remove it, or choose another --out")
    rng = np.random.default_rng(0)
    tables = {annotator: [["ID", *(f"{name}_{axis}" for name in SHAPE for axis in "xy")]] for annotator in ANNOTATORS}
    for split, count in COUNTS.items():
        (folder / split).mkdir(parents=True)
        for i in range(1, count + 1):
            picture, points = knee(rng)
            dicom(picture).save_as(folder / split / f"{split}_{i:02d}.dcm", enforce_file_format=True)
            for annotator, off_px in ANNOTATORS.items():
                seen = (points + rng.normal(0, off_px, points.shape)).clip(0, (WIDTH - 1, HEIGHT - 1))
                tables[annotator].append([f"{split}_{i:02d}", *seen.ravel().round(2)])
    (folder / "readers").mkdir()
    for annotator, rows in tables.items():
        write_whole(folder / "readers" / f"{annotator}.csv", csv_lines(rows))
    write_whole(folder / "joint.json", (json.dumps(DESCRIPTION, indent=2) + "\n").encode())
    print(f"written to {folder}: {sum(COUNTS.values())} synthetic knees")


def main(arguments: list[str] | None = None) -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder to make")
    make(parser.parse_args(arguments).out)


if __name__ == "__main__":
    raise SystemExit(exit_status(main))
