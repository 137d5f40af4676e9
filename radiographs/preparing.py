"""One radiograph of a raw folder prepared: its picture in the network's frame, its heatmaps, its row of the table."""

import hashlib
import io
import json
import zipfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import torch

from heatmap import draw_heatmaps, rescale
from radiographs.detail import detail_frame, to_detail
from radiographs.network_frame import frame_of, hand_outline, outline_is_plausible, resize_to, to_8_bit
from radiographs.prepared_folder import FORMAT, SUFFIXES
from radiographs.raw_folder import COORDINATES, READERS
from radiographs.reading import read_radiograph
from radiographs.view import sample
from radiographs.volumes import files_of
from runtime.files import DataError, first_few, write_whole

COMPRESSION = 1  # of pictures and heatmaps: a fifth larger than by 6, and three times faster


@dataclass(frozen=True)
class Settings:
    size: int | str  # px, of the network frame: its side, or HEIGHTxWIDTH; "auto": by the form of the radiographs
    sigma: float | str  # px of the network frame, of the heatmaps on disk and in training; "auto": by the joint
    reference: str  # ID of the training radiograph that lends its histogram, a checkpoint that lends its own, "none", or "auto"
    crop: bool = False  # to the landmarks, upright: as a finder would show them
    detail: int | str = 0  # px of the longer side of pictures for a second look, 0: none; "auto": by the radiographs


@dataclass(frozen=True)
class Job:
    """One radiograph to prepare."""

    id: str
    split: str
    path: Path
    points_px: np.ndarray  # (landmarks, 2) as (x, y) px of the radiograph, NaN where missing
    settings: Settings
    reference: np.ndarray | None  # the intensity profile to match
    out: Path
    template: Any = None  # the finder's ShapeTemplate, of what is shown of a radiograph; none: all
    readings: dict[str, np.ndarray] = field(default_factory=dict)  # annotator: as points_px


def prepare(job: Job) -> dict:
    """Write one radiograph's picture and heatmaps, unless they stand there already, and return its row of the table."""
    picture_path, heatmaps_path, detail_path = (job.out / job.split / (job.id + suffix) for suffix in SUFFIXES)
    try:
        content = b"".join(path.read_bytes() for path in files_of(job.path))
    except OSError as error:
        raise DataError(f"{job.path}: cannot be read ({error.strerror}); replace or remove the file") from error
    digest = digest_of_job(job, content)
    stored = stored_row(picture_path, heatmaps_path, detail_path)
    if stored and stored["digest"] == digest:
        return stored
    radiograph = read_radiograph(job.path)
    pixels, points_px, readings = shown(job, radiograph.pixels)
    (height, width), frame = pixels.shape, frame_of(job.settings.size)
    points = rescale(points_px, (frame[1] / width, frame[0] / height))
    heatmaps = draw_heatmaps(torch.from_numpy(points), *frame, job.settings.sigma).half().numpy()
    framed = resize_to(pixels, frame)
    outline = None if job.reference is None else hand_outline(framed)
    picture = to_8_bit(framed, job.reference, outline)
    row = {
        "id": job.id,
        "split": job.split,
        "width": width,
        "height": height,
        "spacing_mm": radiograph.spacing_mm,
        "spacing_from": radiograph.spacing_from,
        "notes": radiograph.notes,
        "points_px": points_px.tolist(),
        "points_network_px": points.tolist(),
        "digest": digest,
        "file": hashlib.sha256(content).hexdigest()[:16],
        "picture": digest_of(picture),
    }
    if readings:
        row["readings_px"] = {annotator: given_px.tolist() for annotator, given_px in readings.items()}
    if outline is not None and not outline_is_plausible(outline):
        row["outlined"] = False
    write_picture(picture_path, picture)
    if job.settings.detail:
        detail = to_detail(resize_to(pixels, detail_frame(height, width, job.settings.detail)))
        row["detail"] = digest_of(detail)
        write_picture(detail_path, detail)
    write_whole(heatmaps_path, npz(heatmaps=heatmaps, row=np.array(json.dumps(row))))
    return row


def digest_of_job(job: Job, content: bytes) -> str:
    """A digest of all that a prepared radiograph is made from, `content` being that of its files."""
    made_by = {name: value for name, value in asdict(job.settings).items() if name != "detail" or value}
    made_from = [content, job.points_px.tobytes(), json.dumps([FORMAT, made_by]).encode()]
    if job.template:
        made_from += [job.template.shape.tobytes(), job.template.frame().tobytes(), bytes(job.template.reflections)]
    if job.reference is not None:
        made_from.append(job.reference.tobytes())
    for annotator, points_px in job.readings.items():
        made_from += [annotator.encode(), points_px.tobytes()]
    return hashlib.sha256(b"".join(made_from)).hexdigest()


def shown(job: Job, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """What is shown of a radiograph's pixels, and points and readings in it. Raises DataError for points outside or at (0, 0)."""
    height, width = pixels.shape
    for annotator, given_px in {**job.readings, None: job.points_px}.items():
        outside = ((given_px < -0.5) | (given_px > (width - 0.5, height - 0.5))).any(1)
        missing = (given_px == 0).all(1)
        if (wrong := outside | missing).any():
            if missing[landmark := int(wrong.argmax())]:
                what = f"{first_few([f'landmark {i}' for i in np.flatnonzero(missing)])} at (0, 0), as some write a missing one"
            else:
                x, y = given_px[landmark]
                what = f"landmark {landmark} at ({x:g}, {y:g}) lies outside the {width} x {height} picture"
            table = f"{READERS}/{annotator}.csv" if annotator else COORDINATES
            raise DataError(f"{job.path}: {what}; correct its row in {table} or leave it blank")
    if not job.template:
        return pixels, job.points_px, job.readings
    if (present := int(np.isfinite(job.points_px).all(1).sum())) < 2:
        raise DataError(f"{job.path}: --crop needs two landmarks or more, found {present}; annotate it, or remove the file")
    view = job.template.found(job.points_px, job.template.shows_other_side(job.points_px)).view()
    readings = {annotator: view.of_picture(given_px) for annotator, given_px in job.readings.items()}
    return sample(pixels, view), view.of_picture(job.points_px), readings


def stored_row(picture_path: Path, heatmaps_path: Path, detail_path: Path) -> dict | None:
    """The row of a radiograph that an earlier run prepared; None where its files are not there, damaged, or of older versions."""
    try:
        with np.load(heatmaps_path) as archive:
            row = json.loads(str(archive["row"]))
            archive["heatmaps"]  # reading it proves it whole
        pictures = {"picture": picture_path} | ({"detail": detail_path} if "detail" in row else {})
        return row if all(digest_of(iio.imread(path)) == row[name] for name, path in pictures.items()) else None
    except Exception:  # damaged files raise whatever zipfile, zlib, NumPy and imageio think of; they are made again
        return None


def write_picture(path: Path, picture: np.ndarray) -> None:
    write_whole(path, iio.imwrite("<bytes>", picture, extension=".png", compress_level=COMPRESSION))


def npz(**arrays: np.ndarray) -> bytes:
    """What `np.savez_compressed` makes of arrays, at a compression that can be chosen: its own takes half of all the time."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED, compresslevel=COMPRESSION) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w") as file:
                np.lib.format.write_array(file, array)
    return content.getvalue()


def digest_of(picture: np.ndarray) -> str:
    return hashlib.sha256(picture.tobytes()).hexdigest()
