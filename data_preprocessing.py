"""Raw radiographs and a table of landmarks -> a data set ready for training.

    python data_preprocessing.py --raw dataset --out dataset/processed

reads RAW/{train,valid,test}/ID.* and RAW/all_coordinates.csv, where they are given also the joint's description RAW/joint.json
and the tables of several readers RAW/readers/NAME.csv, and writes

    OUT/{train,valid,test}/ID.png   the radiograph in the network's frame, histogram matched to a reference, 8 bit
    OUT/{train,valid,test}/ID.detail.png   with --detail, the radiograph for the second look: larger, not stretched, not matched
    OUT/{train,valid,test}/ID.npz   its Gaussian heatmaps, float16 (landmarks, height, width), and what they were made from
    OUT/landmarks.csv               one row per radiograph: size, spacing, and the points in both frames
    OUT/readers/NAME.csv            where there are readers, what each of them gave, in the radiograph's frame
    OUT/settings.json               the settings that all of it was made with, the histogram that was matched to, the description

The table is written last, and only when every radiograph is in order: where it stands, the data set is whole.
"""

import argparse
import hashlib
import io
import json
import sys
import zipfile
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from finder.template import ShapeTemplate
from heatmap import draw_heatmaps, rescale
from joints.description import DESCRIPTION, Description
from joints.known import described, shaped_as
from phantom.data_set import COUNTS, all_synthetic, files_of_others, write_data_set
from radiographs.annotators import READERS, Annotations, read_annotations
from radiographs.detail import detail_frame, to_detail
from radiographs.network_frame import (
    Frame,
    frame_of,
    hand_outline,
    intensity_profile,
    outline_is_plausible,
    resize_to,
    size_in_settings,
    suitable_frame,
    to_8_bit,
)
from radiographs.pixel_size import state_sizes, stated_sizes
from radiographs.prepared_folder import FORMAT, SETTINGS, TABLE
from radiographs.raw_folder import COORDINATES, SPLITS, find_radiographs, numbered
from radiographs.reading import read_radiograph
from radiographs.view import sample
from radiographs.volumes import files_of
from runtime.apart import Apart
from runtime.checkpoint import read_checkpoint
from runtime.command import FEWER_WORKERS, LOCK, alone_in, cores, exit_status
from runtime.files import DataError, write_csv, write_whole
from runtime.version import add_version
from runtime.workers import run_jobs

RAW = Path("dataset")  # the only folder that synthetic radiographs are made in
SUFFIXES = ".png", ".npz", ".detail.png"  # of what is made of a radiograph
DETAIL = 2  # times the network frame, that radiographs are shown larger for the second look; not more than they have
COMPRESSION = 1  # of pictures and heatmaps: a fifth larger than by 6, and three times faster
CHECKPOINT = ".pt"  # how the file names of checkpoints end
MARGIN = 0.06  # of the landmarks' extent, that --crop leaves at each side, as the atlas does on average
AUTO = "auto"
LOOKED_AT = 15  # training radiographs, for the form of the frame
FINE, WIDE = 2.0, 3.0  # px, of heatmaps for a network that starts from weights of its joint, and from random ones
USUAL_REFERENCE = "3209"  # the radiograph of the Digital Hand Atlas that the reference matches to


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
    template: ShapeTemplate | None = None  # what is shown of a radiograph; none: all
    readings: dict[str, np.ndarray] = field(default_factory=dict)  # annotator: as points_px


def prepare(job: Job) -> dict:
    """Write one radiograph's picture and heatmaps, unless they stand there already, and return its row of the table."""
    picture_path, heatmaps_path, detail_path = (job.out / job.split / (job.id + suffix) for suffix in SUFFIXES)
    try:
        content = b"".join(path.read_bytes() for path in files_of(job.path))
    except OSError as error:
        raise DataError(f"{job.path}: cannot be read ({error.strerror}); replace or remove the file") from error
    made_from = hashlib.sha256(content + job.points_px.tobytes())
    made_by = {name: value for name, value in asdict(job.settings).items() if name != "detail" or value}
    made_from.update(json.dumps([FORMAT, made_by]).encode())
    if job.template:
        made_from.update(job.template.shape.tobytes() + job.template.frame().tobytes() + bytes(job.template.reflections))
    if job.reference is not None:
        made_from.update(job.reference.tobytes())
    for annotator, points_px in job.readings.items():
        made_from.update(annotator.encode() + points_px.tobytes())
    digest = made_from.hexdigest()
    stored = stored_row(picture_path, heatmaps_path, detail_path)
    if stored and stored["digest"] == digest:
        return stored

    radiograph = read_radiograph(job.path)
    height, width = radiograph.pixels.shape
    for annotator, given_px in {**job.readings, None: job.points_px}.items():
        outside = (given_px < -0.5) | (given_px > (width - 0.5, height - 0.5))
        if outside.any():
            landmark = int(outside.any(1).argmax())
            x, y = given_px[landmark]
            raise DataError(
                f"{job.path}: landmark {landmark} at ({x:g}, {y:g}) lies outside the {width} x {height} picture; "
                f"correct its row in {f'{READERS}/{annotator}.csv' if annotator else COORDINATES} or leave it blank"
            )
    frame, pixels, points_px, readings = frame_of(job.settings.size), radiograph.pixels, job.points_px, job.readings
    if job.template:
        if (present := int(np.isfinite(points_px).all(1).sum())) < 2:
            raise DataError(f"{job.path}: --crop needs two landmarks or more, found {present}; annotate it, or remove the file")
        view = job.template.found(points_px, job.template.shows_other_side(points_px)).view()
        pixels, points_px = sample(pixels, view), view.of_picture(points_px)
        height, width = pixels.shape
        readings = {annotator: view.of_picture(given_px) for annotator, given_px in readings.items()}
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
    write_whole(picture_path, iio.imwrite("<bytes>", picture, extension=".png", compress_level=COMPRESSION))
    if job.settings.detail:
        detail = to_detail(resize_to(pixels, detail_frame(height, width, job.settings.detail)))
        row["detail"] = digest_of(detail)
        write_whole(detail_path, iio.imwrite("<bytes>", detail, extension=".png", compress_level=COMPRESSION))
    write_whole(heatmaps_path, npz(heatmaps=heatmaps, row=np.array(json.dumps(row))))
    return row


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


def prepare_all(jobs: list[Job], workers: int) -> tuple[list[dict], list[str]]:
    """The rows of all radiographs that are in order, sorted as the jobs are, and what is wrong with the others."""
    rows, errors = [], []
    answers = run_jobs(prepare, jobs, workers, name=lambda job: job.path)
    for answer in tqdm(answers, total=len(jobs), unit=" radiographs", disable=None):
        if isinstance(answer, DataError):
            errors.append(str(answer))
        else:
            rows.append(answer)
    first: dict[str, dict] = {}
    rows.sort(key=lambda row: (SPLITS.index(row["split"]), row["id"]))
    for row in rows:
        twin = first.setdefault(row["picture"], row)
        if twin is not row:
            errors.append(f"{row['split']}/{row['id']}: the same picture as {twin['split']}/{twin['id']}; remove one")
    return rows, sorted(errors)


def write_table(path: Path, rows: list[dict]) -> None:
    """landmarks.csv: who, where, size, spacing, then the points in the radiograph's frame and in the network's."""
    table = []
    for row in rows:
        spacing_x, spacing_y = row["spacing_mm"] or (None, None)
        line = {name: row[name] for name in ("id", "split", "width", "height")}
        line |= {"spacing_x_mm": str(spacing_x or ""), "spacing_y_mm": str(spacing_y or ""), "spacing_from": row["spacing_from"]}
        line["file"] = row.get("file", "")  # none of what earlier versions prepared
        for frame, points in (("", row["points_px"]), ("network_", row["points_network_px"])):
            line |= {frame + column: value for column, value in numbered(points).items()}
        table.append(line)
    write_csv(path, table)


def write_readings(folder: Path, rows: list[dict], annotators: list[str]) -> None:
    """One table an annotator: the points of the radiographs that they annotated, in the radiograph's frame."""
    for old in folder.glob("*.csv"):
        if old.stem not in annotators:
            old.unlink()
    for annotator in annotators:
        given = {row["id"]: row["readings_px"][annotator] for row in rows if annotator in row.get("readings_px", {})}
        if given:
            folder.mkdir(exist_ok=True)
            write_csv(folder / f"{annotator}.csv", [{"id": id} | numbered(points) for id, points in given.items()])


def stored_settings(out: Path) -> dict:
    """The settings of an earlier run; none for an empty folder. Raises DataError where an earlier run did not make it."""
    mine = DataError(f"{out}: expected an empty folder or an earlier result, found other files; choose another --out")
    try:
        stored = json.loads((out / SETTINGS).read_text())
    except FileNotFoundError:
        if any(path.name != LOCK and path.suffix != ".part" for path in out.iterdir()):  # of a run that was killed as it began
            raise mine from None
        return {}
    except ValueError:
        raise mine from None
    if not isinstance(stored, dict) or not {"format", "size", "sigma", "reference"} <= set(stored):
        raise mine
    stored.setdefault("crop", False)  # folders of earlier versions
    stored.setdefault("detail", 0)
    return stored


def write_settings(
    out: Path, settings: Settings, reference: np.ndarray | None, synthetic: bool, joint: Description | None, stored: dict
) -> None:
    """Write what OUT is made with, saying what is different from an earlier run, and make its folders."""
    wanted = {"format": FORMAT, **asdict(settings)}
    changed = [f"{key} {stored[key]} -> {wanted[key]}" for key in wanted if stored and stored[key] != wanted[key]]
    wanted["profile"] = None if reference is None else reference.tolist()
    if synthetic:
        wanted["synthetic"] = True
    if joint:
        wanted["joint"] = joint.to_file()
    if changed:
        print(f"{out} was made with other settings ({', '.join(changed)}): everything is made again")
    out.mkdir(parents=True, exist_ok=True)
    write_whole(out / SETTINGS, (json.dumps(wanted, indent=2) + "\n").encode())
    for split in SPLITS:
        (out / split).mkdir(exist_ok=True)


def print_without_outline(paths: list[Path], of: int) -> None:
    """Say whose histogram was matched as a whole: each file, or where they are many, that this is so."""
    if len(paths) > of / 2:
        print(
            f"{len(paths)} of {of}: found no outline that can be a limb's (as {paths[0]}), so whole histograms are matched: "
            "right where pictures show no limb on a darker ground; else crop them to the joint, or try --reference none"
        )
        return
    for path in paths:
        print(
            f"{path}: found no outline that can be a limb's, so all of its histogram is matched; "
            "crop it to the joint, or cover plates and borders"
        )


def remove_left_over(out: Path, rows: list[dict]) -> None:
    """Remove what earlier runs made of radiographs that are gone."""
    suffixes = {row["id"]: SUFFIXES if "detail" in row else SUFFIXES[:2] for row in rows}
    wanted = {out / row["split"] / (row["id"] + suffix) for row in rows for suffix in suffixes[row["id"]]}
    for split in SPLITS:
        for path in (out / split).iterdir():
            if path not in wanted and path.suffix in (".png", ".npz", ".part"):
                path.unlink()


def choose_reference(settings: Settings, found: dict[str, tuple[str, Path]]) -> tuple[Settings, np.ndarray | None]:
    """The settings with the ID of the reference radiograph, or "none", and its intensity profile.

    "auto" is the usual one, else the first of train; a checkpoint lends the one that it was trained with. Raises DataError.
    """
    wanted, train = settings.reference, [id for id, (split, _) in found.items() if split == "train"]
    if wanted == "none":
        return settings, None
    if wanted.endswith(CHECKPOINT):
        data = read_checkpoint(Path(wanted))["data"]
        if frame_of(data["size"]) != frame_of(settings.size):
            raise DataError(f"--reference {wanted}: was trained on data of {data['size']} px; prepare with --size {data['size']}")
        return replace(settings, reference=data["reference"]), None if data["profile"] is None else np.array(data["profile"])
    if wanted == "auto":
        wanted = USUAL_REFERENCE if USUAL_REFERENCE in train else train[0]
    if wanted not in train:
        raise DataError(
            f"--reference {wanted}: no such radiograph in train; name one that is, such as {train[0]}, a checkpoint "
            f"(*{CHECKPOINT}), or none to leave the histograms as they are"
        )
    with closing(Apart(profile_of, fork=True)) as profile:
        return replace(settings, reference=wanted), profile(found[wanted][1], frame_of(settings.size))


def profile_of(path: Path, frame: Frame) -> np.ndarray:
    """The intensity profile of a radiograph in the network's frame. Raises DataError."""
    return intensity_profile(resize_to(read_radiograph(path).pixels, frame))


def shape_of(path: Path) -> Frame:
    """(rows, columns) of a radiograph. Raises DataError."""
    return read_radiograph(path).pixels.shape


def describe(raw: Path, annotations: Annotations) -> Description | None:
    """What RAW says of the joint, in a file or in the table's header; None where it says nothing. Raises DataError."""
    points = np.stack(list(annotations.points.values()))
    joint = described(raw / DESCRIPTION, points, annotations.names)
    if joint and len(joint.names) != points.shape[1]:
        raise DataError(
            f"{raw / DESCRIPTION}: expected the {points.shape[1]} landmarks of {raw / COORDINATES}, found {len(joint.names)}; "
            "name every landmark, in the order of the columns"
        )
    return joint


def choose_settings(
    settings: Settings, found: dict[str, tuple[str, Path]], annotations: Annotations, template: ShapeTemplate | None
) -> Settings:
    """The settings without "auto", each choice told with its reason. Raises DataError."""

    def chosen(name: str, choose: Callable[[], tuple[object, str]]) -> object:
        if getattr(settings, name) != AUTO:
            return getattr(settings, name)
        value, reason = choose()
        print(f"auto: --{name} {value}, {reason}", flush=True)
        return value

    of_checkpoint = read_checkpoint(Path(settings.reference))["data"] if settings.reference.endswith(CHECKPOINT) else {}
    shipped = shaped_as(np.stack(list(annotations.points.values())))
    shapes = [] if template else training_shapes(found)

    def choice(name: str, otherwise: Callable[[], tuple[object, str]]) -> object:
        as_there = name in of_checkpoint
        return chosen(name, lambda: (of_checkpoint[name], f"as {settings.reference} has") if as_there else otherwise())

    size = choice("size", lambda: frame_by_form(shapes, template))
    sigma = choice(
        "sigma",
        lambda: (
            (FINE, f"for landmarks of a {shipped.joint}, whose weights training starts from")
            if shipped
            else (WIDE, "since wide heatmaps are learnt more easily where the landmarks' own weights are random")
        ),
    )
    detail = choice("detail", lambda: detail_by_size(max(frame_of(size)), shapes))
    return replace(settings, size=size, sigma=sigma, detail=detail)


def training_shapes(found: dict[str, tuple[str, Path]]) -> list[Frame]:
    """(rows, columns) of some of the training radiographs."""
    train, shapes = [path for split, path in found.values() if split == "train"], []
    with closing(Apart(shape_of, fork=True)) as shape:
        for path in train[:: -(-len(train) // LOOKED_AT)]:
            with suppress(DataError):  # it is told where all are prepared
                shapes.append(shape(path))
    return shapes


def frame_by_form(shapes: list[Frame], template: ShapeTemplate | None) -> tuple[int | str, str]:
    """The frame that suits what is shown of the training radiographs (rows, columns), and why."""
    width, height = np.subtract(*template.frame()[::-1]) if template else (0, 0)
    aspects = [height / width] if template else [rows / columns for rows, columns in shapes]
    aspect = float(np.median(aspects or [1.0]))
    frame: Frame = suitable_frame(aspect)
    return size_in_settings(frame), f"for radiographs {aspect:.2f} times as high as wide (median of {len(aspects)})"


def detail_by_size(frame_px: int, shapes: list[Frame]) -> tuple[int, str]:
    """How large pictures for the second look are, and why; cropped ones are taken for large enough."""
    longer = int(np.median([max(shape) for shape in shapes])) if shapes else DETAIL * frame_px
    if longer <= frame_px:
        return 0, f"no second look, since the radiographs have no more than the frame (median of {len(shapes)})"
    return min(DETAIL * frame_px, longer), f"for a second look; the radiographs have {longer} px (median of {len(shapes)})"


def run(raw: Path, out: Path, settings: Settings, workers: int) -> None:
    """Prepare the data set; raises DataError with one line per thing that is wrong.

    The table of an earlier run stays until the new table, list of files and reference are known to be in order.
    """
    stored = stored_settings(out)
    table = raw / COORDINATES
    found, errors = find_radiographs(raw)
    if not found:
        elsewhere = next((f", but {path}" for path in files_of_others(raw) if path != table), "")
        raise DataError(
            f"{raw}: expected radiographs in its folders {', '.join(SPLITS)}, and their table {COORDINATES}; found none there"
            f"{elsewhere}; dataset/README.md says how to place them"
        )
    if synthetic := all_synthetic(found):
        print("SYNTHETIC radiographs: they serve to try the program; no figure from them says anything of real ones", flush=True)
    annotations = read_annotations(raw)
    points = annotations.points
    if annotations.readings:
        read = [sum(id in given for given in annotations.readings.values()) for id in points]
        counts = ", ".join(f"{read.count(n)} by {n}" for n in sorted(set(read) - {0}))
        print(f"readers: {', '.join(annotations.readings)}; radiographs annotated {counts}: their mean is learnt", flush=True)
    errors += [f"{path}: no row for {id} in {table}; add it" for id, (_, path) in found.items() if id not in points]
    errors += [f"{table}: no radiograph for the row of {id}; add it or remove the row" for id in points if id not in found]
    if not any(split == "train" for split, _ in found.values()):
        raise DataError("\n".join(errors))
    if errors and (out / TABLE).exists():
        raise DataError("\n".join([*errors, f"{len(errors)} problems: {out} stays as it was; correct them and run again"]))
    joint = describe(raw, annotations)
    sizes = stated_sizes(
        path for path in (table, *(raw / READERS / f"{name}.csv" for name in annotations.readings)) if path.exists()
    )
    template = None
    if settings.crop:
        upright = np.array([points[id] for id, (split, _) in found.items() if split == "train" and id in points])
        template = ShapeTemplate.of_landmarks(
            upright, np.full((2, 2), MARGIN), of_either=joint is not None and joint.laterality == "either"
        )
    Image.init()  # here, or each process that is copied from this one loads Pillow's formats
    settings = choose_settings(settings, found, annotations, template)
    settings, reference = choose_reference(settings, found)
    (out / TABLE).unlink(missing_ok=True)  # from here on nothing counts as prepared
    write_settings(out, settings, reference, synthetic, joint, stored)
    known = ((id, *of_it) for id, of_it in found.items() if id in points)
    readings = {id: {name: given[id] for name, given in annotations.readings.items() if id in given} for id in points}
    jobs = [Job(id, split, path, points[id], settings, reference, out, template, readings[id]) for id, split, path in known]
    rows, more_errors = prepare_all(jobs, workers)
    for row in rows:
        for note in row["notes"]:
            print(f"{row['split']}/{row['id']}: {note}")
    for split in SPLITS:
        of_split = [row["points_px"] for row in rows if row["split"] == split]
        missing = int(np.isnan(of_split).any(-1).sum()) if of_split else 0
        print(f"{split:5s} {len(of_split):5d} radiographs, {sum(map(len, of_split)) - missing:6d} landmarks, {missing} missing")
        if not of_split:
            print(f"{split}: no radiographs; `python main.py --folds 5` does without, and measures on those of train")
    print_without_outline([found[row["id"]][1] for row in rows if not row.get("outlined", True)], len(rows))
    if errors := errors + more_errors:
        errors.append(f"{len(errors)} problems: {out} stays incomplete; correct them and run again")
        raise DataError("\n".join(errors))
    remove_left_over(out, rows)
    state_sizes(rows, sizes, joint.pixel_mm if joint else None)
    write_readings(out / READERS, rows, list(annotations.readings))
    write_table(out / TABLE, rows)
    print(f"written to {out}: {settings}")


def size(text: str) -> int | str:
    """A type for argparse: auto, or px, multiples of 8, as 256 or 512x256 (height x width)."""
    try:
        return AUTO if text == AUTO else size_in_settings(frame_of(text))
    except ValueError:
        wanted = "auto, or multiples of 8 px as 256 or 512x256 (height x width)"
        raise argparse.ArgumentTypeError(f"expected {wanted}, found {text!r}") from None


def detail(text: str) -> int | str:
    """A type for argparse: auto, or px from 0."""
    if text != AUTO and not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected auto, or a whole number of px, found {text!r}")
    return AUTO if text == AUTO else int(text)


def sigma(text: str) -> float | str:
    """A type for argparse: auto, or px above 0."""
    if text == AUTO:
        return AUTO
    try:
        px = float(text)
    except ValueError:
        px = 0.0
    if not 0 < px < float("inf"):
        raise argparse.ArgumentTypeError(f"expected auto, or px above 0, found {text!r}")
    return px


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Prepare radiographs and landmarks for training.", allow_abbrev=False)
    add_version(parser)
    parser.add_argument("--raw", type=Path, default=RAW, help="folder with train, valid, test and " + COORDINATES)
    parser.add_argument("--out", type=Path, default=Path("dataset/processed"), help="folder to write")
    parser.add_argument(
        "--size",
        type=size,
        default=AUTO,
        help="px of the network frame, multiples of 8: one number for a square, or HEIGHTxWIDTH; auto: 256, or where "
        "the training radiographs are more than half as long again one way, a frame of their form with no more pixels",
    )
    parser.add_argument(
        "--sigma",
        type=sigma,
        default=AUTO,
        help="px of the network frame, of the heatmaps; auto: 2 for hands, whose starting weights know them, 3 for others",
    )
    parser.add_argument(
        "--reference",
        default="auto",
        help="ID of the training radiograph to match histograms to, or a checkpoint, to match to its own reference, or none; "
        f"auto: {USUAL_REFERENCE}, else the first one",
    )
    parser.add_argument(
        "--detail",
        type=detail,
        default=AUTO,
        help="px of the longer side of the pictures that the second look is taught on; auto: twice the network frame, "
        "or what the training radiographs have; 0: none, and no second look",
    )
    parser.add_argument(
        "--crop",
        action="store_true",
        help="show of every radiograph what lies around its landmarks, upright: for radiographs framed in many ways; width, "
        "height and points of the table are then those of the part that is shown; a joint of either side is shown as of one",
    )
    parser.add_argument("--workers", type=int, default=cores(), help="processes")
    options = parser.parse_args(arguments)
    if options.workers < 1:
        parser.error("expected --workers >= 1")
    settings = Settings(options.size, options.sigma, options.reference, options.crop, options.detail)

    def work() -> None:
        if options.raw == RAW and not any(files_of_others(RAW)):
            print(f"SYNTHETIC radiographs: {RAW} is empty, so they are made there; {RAW}/README.md says how to place real ones")
            with alone_in(RAW):
                write_data_set(RAW, COUNTS, seed=0, workers=options.workers)
        with alone_in(options.out):
            run(options.raw, options.out, settings, options.workers)

    return exit_status(work, "interrupted; run the same command again and it goes on", FEWER_WORKERS)


if __name__ == "__main__":
    sys.exit(main())
