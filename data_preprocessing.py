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
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from finder.template import ShapeTemplate
from joints.description import DESCRIPTION
from joints.known import described, shaped_as
from phantom.data_set import COUNTS, all_synthetic, files_of_others, write_data_set
from radiographs.choices import AUTO, CHECKPOINT, USUAL_REFERENCE, Files, choose_reference, choose_settings, training_files
from radiographs.names import is_radiograph
from radiographs.network_frame import frame_of, size_in_settings
from radiographs.pixel_size import state_sizes, stated_sizes
from radiographs.prepared_folder import TABLE, stored_settings, write_settings, write_tables
from radiographs.preparing import Job, Settings, prepare
from radiographs.raw_folder import COORDINATES, READERS, SPLITS, Annotations, find_radiographs, read_annotations, read_points
from radiographs.reading import itk
from runtime.apart import run_jobs
from runtime.command import FEWER_WORKERS, alone_in, cores, exit_status, parser_of
from runtime.files import DataError, first_few

RAW = Path("dataset")  # the only folder that synthetic radiographs are made in
SQUARE = 0.01  # share by which a pixel's sides may differ where radiographs are turned
MARGIN = 0.06  # of the landmarks' extent, that --crop leaves at each side, as the atlas does on average


def run(raw: Path, out: Path, settings: Settings, workers: int) -> None:
    """Prepare the data set; raises DataError with one line per thing that is wrong.

    The table of an earlier run stays until the new table, list of files and reference are known to be in order.
    """
    stored = stored_settings(out)
    found, annotations, errors = read_raw(raw, to_train=not settings.reference.endswith(CHECKPOINT))
    if errors and (out / TABLE).exists():
        raise DataError("\n".join([*errors, f"{len(errors)} problems: {out} stays as it was; correct them and run again"]))
    points, readings = annotations.points, annotations.readings
    tables = raw / COORDINATES, *(raw / READERS / f"{name}.csv" for name in readings)
    sizes = stated_sizes(path for path in tables if path.exists())
    all_points, template = np.stack(list(points.values())), None
    joint = described(raw / DESCRIPTION, all_points, annotations.names)
    if settings.crop:
        shown = [points[id] for id, (split, _) in found.items() if split == "train" and id in points]
        upright = np.array([one for one in shown if np.isfinite(one).all(1).sum() > 1])
        if not len(upright):
            problem = f"{raw}: --crop needs radiographs of train with two landmarks or more, found none; leave it out"
            raise DataError("\n".join([*errors, problem]))
        of_either = joint is not None and joint.laterality == "either"
        template = ShapeTemplate.of_landmarks(upright, np.full((2, 2), MARGIN), of_either)
    Image.init()  # here, or each process that is copied from this one loads Pillow's formats
    shipped = shaped_as(all_points)
    named = joint or shipped
    names = f": {first_few(list(named.names))}" if named else " without names; a header ID,NAME_x,NAME_y,... gives them"
    print(f"{all_points.shape[1]} landmarks{names}", flush=True)
    settings = choose_settings(settings, found, shipped.joint if shipped else "", template)
    settings, reference = choose_reference(settings, found)
    (out / TABLE).unlink(missing_ok=True)  # from here on nothing counts as prepared
    more = {"profile": None if reference is None else reference.tolist()}
    more |= {"synthetic": True} if all_synthetic(found) else {}
    write_settings(out, vars(settings), more | ({"joint": joint.to_file()} if joint else {}), stored)
    jobs = []
    for id, (split, path) in found.items():
        if id in points:
            given = {name: of_reader[id] for name, of_reader in readings.items() if id in of_reader}
            jobs.append(Job(id, split, path, points[id], settings, reference, out, template, given))
    rows, more_errors = prepare_all(jobs, workers)
    print_rows(rows, found, named.names if named else None)
    if errors := errors + more_errors:
        raise DataError("\n".join([*errors, f"{len(errors)} problems: {out} stays incomplete; correct them and run again"]))
    state_sizes(rows, sizes, joint.pixel_mm if joint else None)
    for row in rows:
        if settings.crop and row["spacing_mm"] and not math.isclose(*row["spacing_mm"], rel_tol=SQUARE):
            x, y = row["spacing_mm"]
            raise DataError(
                f"{found[row['id']][1]}: --crop turns radiographs, so pixels must be square, found {x:g} x {y:g} mm; "
                "leave --crop out, or make them square"
            )
    write_tables(out, rows, list(readings))
    print(f"written to {out}: {settings}")


def read_raw(raw: Path, to_train: bool) -> tuple[Files, Annotations, list[str]]:
    """The radiographs of a raw folder, their annotations, and what is wrong. Raises DataError without any, or any `to_train`."""
    table = raw / COORDINATES
    found, errors = find_radiographs(raw)
    if not found:
        elsewhere = next((f", but {path}" for path in files_of_others(raw) if path != table), "")
        raise DataError(
            f"{raw}: expected radiographs in its folders {', '.join(SPLITS)}, and their table {COORDINATES}; found none there"
            f"{elsewhere}; dataset/README.md says how to place them"
        )
    if untaught := to_train and not training_files(found):
        expected = "expected radiographs named ID.jpg, .png, .tif, .dcm, .mha or .nii, found none"
        errors.insert(0, f"{raw / 'train'}: {expected}; to test a network on others, give --reference CHECKPOINT")
    if all_synthetic(found):
        print("SYNTHETIC radiographs: they serve to try the program; no figure from them says anything of real ones", flush=True)
    annotations = read_annotations(raw)
    points, readings = annotations.points, annotations.readings
    if readings:
        read = [sum(np.isfinite(given[id]).any() for given in readings.values() if id in given) for id in found]
        counts = ", ".join(f"{read.count(n)} by {n}" for n in sorted(set(read) - {0}))
        print(f"readers: {', '.join(readings)}; radiographs annotated {counts}: their mean is learnt", flush=True)
        of_table = read_points(table) if table.exists() else {}
        if other := [id for id in of_table if not np.array_equal(of_table[id], points[id], equal_nan=True)]:
            print(f"{raw / READERS} goes before {COORDINATES}, which differs in {len(other)} radiographs ({first_few(other)});")
            print(f"move {READERS} away to learn the table")
    whole = {id.lstrip("0"): id for id in found}
    lone = [id for id in points if id not in found]
    for id, (_, path) in found.items():
        if id not in points and id.lstrip("0") not in lone:
            do = "add it" if is_radiograph(path) else "add it, or remove the file, whose name is no radiograph's"
            errors.append(f"{path}: no row for {id} in {table if table.exists() else raw / READERS}; {do}")
    for id in lone:
        of_reader = next((raw / READERS / f"{name}.csv" for name, given in readings.items() if id in given), table)
        do = "add it or remove the row"
        if len(other := whole.get(id.lstrip("0"), id)) > len(id):
            do = f"there is one for {other}: spreadsheets take zeros away, so write {other} there as a text"
        errors.append(f"{of_reader}: no radiograph for the row of {id}; {do}")
    if untaught:
        raise DataError("\n".join(errors))
    return found, annotations, errors


def prepare_all(jobs: list[Job], workers: int) -> tuple[list[dict], list[str]]:
    """The rows of all radiographs that are in order, sorted as the jobs are, and what is wrong with the others."""
    itk()  # once, before the workers are copies of this process
    answers = list(
        tqdm(run_jobs(prepare, jobs, workers, name=lambda job: job.path), total=len(jobs), unit=" radiographs", disable=None)
    )
    errors = [str(answer) for answer in answers if isinstance(answer, DataError)]
    rows = [answer for answer in answers if not isinstance(answer, DataError)]
    rows.sort(key=lambda row: (SPLITS.index(row["split"]), row["id"]))
    first: dict[str, dict] = {}
    for row in rows:
        twin = first.setdefault(row["picture"], row)
        if twin is not row:
            errors.append(f"{row['split']}/{row['id']}: the same picture as {twin['split']}/{twin['id']}; remove one")
    return rows, sorted(errors)


def print_rows(rows: list[dict], found: Files, names: tuple[str, ...] | None) -> None:
    """Say what is odd about radiographs, how many landmarks there are, and whose histogram was matched as a whole."""
    for row in rows:
        for note in row["notes"]:
            print(f"{row['split']}/{row['id']}: {note}")
    for split in SPLITS:
        of_split = [row["points_px"] for row in rows if row["split"] == split]
        missing = int(np.isnan(of_split).any(-1).sum()) if of_split else 0
        print(f"{split:5s} {len(of_split):5d} radiographs, {sum(map(len, of_split)) - missing:6d} landmarks, {missing} missing")
        if split == "train" and of_split and len(unseen := np.flatnonzero(np.isnan(of_split).any(-1).all(0))):
            told = first_few([names[i] if names else f"landmark {i}" for i in unseen])
            print(f"train: shows no {told}, so nothing can be learnt of it; annotate it, or leave it out of the table")
        if not of_split and training_files(found) and not any(split == one for one, _ in found.values()):
            print(f"{split}: no radiographs; `--folds 5` of main.py does without, and measures on those of train")
    whole = [found[row["id"]][1] for row in rows if not row.get("outlined", True)]
    if len(whole) > len(rows) / 2:
        print(
            f"{len(whole)} of {len(rows)}: found no outline that can be a limb's (as {whole[0]}), so whole histograms are matched"
            ": right where pictures show no limb on a darker ground; else crop them to the joint, or try --reference none"
        )
        return
    for path in whole:
        print(
            f"{path}: found no outline that can be a limb's, so all of its histogram is matched; "
            "crop it to the joint, or cover plates and borders"
        )


def auto_or(read: Callable[[str], object], wanted: str) -> Callable[[str], object]:
    """A type for argparse: auto, or what `read` makes of the text unless it raises ValueError."""

    def auto_or_read(text: str) -> object:
        try:
            return AUTO if text == AUTO else read(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"expected auto, or {wanted}, found {text!r}") from None

    return auto_or_read


def whole_px(text: str) -> int:
    if not text.isdecimal():
        raise ValueError
    return int(text)


def px_above_0(text: str) -> float:
    if not 0 < float(text) < float("inf"):
        raise ValueError
    return float(text)


def main(arguments: list[str] | None = None) -> int:
    parser = parser_of("Prepare radiographs and landmarks for training.", allow_abbrev=False)
    parser.add_argument("--raw", type=Path, default=RAW, help="folder with train, valid, test and " + COORDINATES)
    parser.add_argument("--out", type=Path, default=Path("dataset/processed"), help="folder to write")
    parser.add_argument(
        "--size",
        type=auto_or(lambda text: size_in_settings(frame_of(text)), "multiples of 8 px as 256 or 512x256 (height x width)"),
        default=AUTO,
        help="px of the network frame, multiples of 8: one number for a square, or HEIGHTxWIDTH; auto: 256, or where "
        "the training radiographs are more than half as long again one way, a frame of their form with no more pixels",
    )
    parser.add_argument(
        "--sigma",
        type=auto_or(px_above_0, "px above 0"),
        default=AUTO,
        help="px of the network frame, of the heatmaps; auto: 2 for hands, whose starting weights know them, 3 for others",
    )
    parser.add_argument(
        "--reference",
        default=AUTO,
        help="ID of the training radiograph to match histograms to, or a checkpoint, to match to its own reference, or none; "
        "with a checkpoint train may be missing: to test a network on radiographs from elsewhere; "
        f"auto: {USUAL_REFERENCE}, else a typical one",
    )
    parser.add_argument(
        "--detail",
        type=auto_or(whole_px, "a whole number of px"),
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
    raise SystemExit(main())
