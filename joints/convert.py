"""Annotations of other programs -> the table and description that data_preprocessing.py reads; and out again.

    python -m joints.convert annotations.json --from coco --out FOLDER
    python -m joints.convert FOLDER --to labelme --out FOLDER_of_json

The first writes FOLDER/all_coordinates.csv, with the landmarks' names in its header, and where the file knows lines between
landmarks FOLDER/joint.json; with --reader NAME it writes FOLDER/readers/NAME.csv. The radiographs then go to FOLDER/train, valid
and test, named by the IDs of the table. The second takes such a folder. `joints/formats.py` says where each program has its
origin: half a pixel is added or taken away.
"""

import json
import shlex
from pathlib import Path

import numpy as np

from joints.challenges import CHALLENGES
from joints.description import DESCRIPTION, Description, read_description
from joints.formats import CENTRE, CORNER, FORMATS, Annotations, Point, id_of
from radiographs.names import is_radiograph
from radiographs.raw_folder import COORDINATES, READERS, SPLITS, below, by_id, read_annotations, visible_files
from radiographs.reading import read_radiograph
from runtime.command import exit_status, parser_of
from runtime.files import DataError, csv_lines, first_few, write_whole

KNOWN = FORMATS | CHALLENGES  # that are read
RARE = 0.2  # share of the radiographs: landmarks that no more show may be slips of a name
HALF = {CORNER: 0.5, CENTRE: 0.0}  # px, of the first pixel's centre from the origin


def read(path: Path, kind: str, images: Path | None, origin: str | None) -> Annotations:
    """What another program's file or folder holds, (0, 0) being the centre of the first pixel. Raises DataError."""
    of_images = radiographs_in(images) if images else {}
    try:
        found = KNOWN[kind].read(path, of_images)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, StopIteration) as error:
        raise DataError(f"{path}: not as {kind} writes it ({type(error).__name__}: {error}); export it again") from error
    found.names = found.names or names_in_order(found.points)
    if not found.names or not found.points:
        raise DataError(f"{path}: expected landmarks, found none; is it of {kind}?")
    spelt: dict[str, str] = {}
    for name in found.names:
        other = spelt.setdefault("".join(name.casefold().split()), name)
        if other != name and not any(name in points and other in points for points in found.points.values()):
            raise DataError(f"{path}: expected one spelling of a landmark, found {other!r} and {name!r}; correct the labels")
    half = HALF[origin or KNOWN[kind].origin]
    whole = all(float(value).is_integer() for points in found.points.values() for at in points.values() for value in at)
    if kind == "coco" and origin is None and whole:
        print(f"{path}: all coordinates are whole; if they number pixels, as in the published COCO data, give --origin {CENTRE}")
    for id, points in found.points.items():
        if half and (corner := [name for name, at in points.items() if at == (0, 0)]):
            raise DataError(f"{path}: {corner[0]!r} of {id} is at (0, 0), as some write a missing one; remove it there")
        points.update({name: (x - half, y - half) for name, (x, y) in points.items()})
    return found


def refuse_other_sizes(source: Path, found: Annotations, files: dict[str, Path]) -> None:
    """Raises DataError where the file says that another size of a picture was annotated than the radiograph of that ID has."""
    for id in found.points.keys() & found.sizes.keys() & files.keys():
        try:
            rows, columns = read_radiograph(files[id]).pixels.shape
        except DataError:  # preparation names it
            continue
        if all(found.sizes[id]) and found.sizes[id] != (columns, rows):
            annotated = "{} x {}".format(*found.sizes[id])
            raise DataError(
                f"{source}: expected annotations of {files[id]}, which has {columns} x {rows} px, found those of a picture of "
                f"{annotated} px; give the pictures that were annotated"
            )


def names_in_order(points: dict[str, dict[str, Point]]) -> list[str]:
    """Landmarks in the order of the radiograph with most of them; others after what comes before them in theirs."""
    names: list[str] = []
    for own in sorted(map(list, points.values()), key=len, reverse=True):
        place = 0 if set(own) & set(names) else len(names)
        for name in own:
            if name not in names:
                names.insert(place, name)
            place = names.index(name) + 1
    return names


def radiographs_in(folder: Path) -> dict[str, Path]:
    """Radiographs by ID, sorted by file name: of train, valid and test, or without these anywhere below. Raises DataError."""
    splits = [folder / split for split in SPLITS if (folder / split).is_dir()]
    found = [path for split in splits for path in split.glob("*")] if splits else below(folder)
    shown = [path for path in found if path.is_file() and not path.name.startswith(".") and is_radiograph(path)]
    errors: list[str] = []
    files = by_id((("", path) for path in sorted(shown, key=lambda path: path.name)), errors)
    if not files:
        raise DataError(f"{folder}: expected radiographs in this folder, found none")
    if errors:
        raise DataError(errors[0])
    return {id: path for id, (_, path) in files.items()}


def import_to(folder: Path, found: Annotations, annotator: str | None) -> None:
    """Write the table, and the description where lines are known. Raises DataError for what is there already."""
    if annotator and Path(annotator).name != annotator:
        raise DataError(f"--reader: expected a name that a file can have, found {annotator!r}")
    table = folder / READERS / f"{annotator}.csv" if annotator else folder / COORDINATES
    if table.exists():
        raise DataError(f"{table}: is there already; remove it, or choose another --out")
    rows: list[list] = [["ID", *(f"{name}_{axis}" for name in found.names for axis in "xy")]]
    for id, points in found.points.items():
        rows.append([id, *(value for name in found.names for value in points.get(name, ("", "")))])
    table.parent.mkdir(parents=True, exist_ok=True)
    write_whole(table, csv_lines(rows))
    if found.skeleton and not (folder / DESCRIPTION).exists():
        number = {name: i for i, name in enumerate(found.names)}
        joint = Description(tuple(found.names), skeleton=tuple((number[a], number[b]) for a, b in found.skeleton))
        write_whole(folder / DESCRIPTION, (json.dumps(joint.to_file(), indent=2) + "\n").encode())
    missing = sum(len(found.names) - len(points) for points in found.points.values())
    print(f"written to {table}: {len(found.points)} radiographs, {len(found.names)} landmarks, {missing} missing")
    counts = {name: sum(name in points for points in found.points.values()) for name in found.names}
    if rare := [f"{name} ({count})" for name, count in counts.items() if count <= RARE * len(found.points)]:
        print(f"seldom annotated: {first_few(rare)}; if a name is a slip, correct the label, remove {table}, and convert again")
    if not annotator:
        print(f"next: radiographs into {folder / SPLITS[0]}, then python data_preprocessing.py --raw {shlex.quote(str(folder))}")


def export_from(raw: Path, kind: str, out: Path, origin: str | None) -> None:
    """Write a raw folder's annotations as another program keeps them. Raises DataError."""
    annotated = read_annotations(raw)
    files = radiographs_in(raw)
    count = len(next(iter(annotated.points.values())))
    joint = read_description(raw / DESCRIPTION, annotated.names, count) or Description.numbered(count)
    if lacking := [id for id in annotated.points if id not in files]:
        raise DataError(f"{raw}: expected a radiograph {lacking[0]}, found none; add it or remove its row")
    if out.exists():
        raise DataError(f"{out}: is there already; remove it, or choose another --out")
    half = HALF[origin or FORMATS[kind].origin]
    found = Annotations(names=list(joint.names), skeleton=[(joint.names[a], joint.names[b]) for a, b in joint.skeleton])
    for id, points in annotated.points.items():
        shifted = (points + half).tolist()
        found.points[id] = {name: tuple(at) for name, at in zip(joint.names, shifted) if np.isfinite(at).all()}
    ending, write = FORMATS[kind].ending, FORMATS[kind].write
    if not ending:
        texts = {out: write(found, files)}
    else:
        texts = {out / (id + ending): write(points, files[id]) for id, points in found.points.items()}
    for path, text in texts.items():  # once every radiograph has been read
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text.encode())
    print(f"written to {out}: {len(found.points)} radiographs, {len(found.names)} landmarks")


def main(arguments: list[str] | None = None) -> int:
    parser = parser_of(__doc__)
    add = parser.add_argument
    add("source", type=Path, help="the other program's file, or folder of files; with --to the folder of radiographs")
    way = parser.add_mutually_exclusive_group(required=True)
    way.add_argument("--from", dest="kind", choices=KNOWN, help="the program or challenge that the annotations come from")
    way.add_argument("--to", choices=FORMATS, help="the program that they go to")
    add("--out", type=Path, required=True, help="folder for table and radiographs; with --to a file or folder")
    add("--images", type=Path, help="folder of the radiographs: for slicer, the challenges, and names of sleap's frames")
    add("--reader", help="name of who annotated, where there are several")
    add("--origin", choices=HALF, help="of the first pixel, where (0, 0) lies; none: as the program usually has it")
    options = parser.parse_args(arguments)

    def work() -> None:
        if options.to:
            export_from(options.source, options.to, options.out, options.origin)
        else:
            found = read(options.source, options.kind, options.images, options.origin)
            there = [path for split in SPLITS for path in visible_files(options.out / split) if is_radiograph(path)]
            of_out = {id_of(path.name): path for path in there}
            refuse_other_sizes(options.source, found, radiographs_in(options.images) if options.images else of_out)
            import_to(options.out, found, options.reader)

    return exit_status(work)


if __name__ == "__main__":
    raise SystemExit(main())
