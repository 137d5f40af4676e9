"""The set to label: which radiographs there are, what its landmarks are called, and where labels are kept."""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from joints.description import DESCRIPTION, Description, read_description
from joints.hand import HAND
from joints.known import described, first_other, joint_called, joint_of, moved
from radiographs.names import is_radiograph
from radiographs.pixel_size import BY_HAND, STATED, Given, Size, choose, sizes_in
from radiographs.raw_folder import (
    COORDINATES,
    LABEL_SET,
    READERS,
    SPLITS,
    Annotations,
    below,
    by_id,
    maker_of,
    read_annotations,
    visible_files,
)
from runtime.files import DataError, write_whole

LABELS = "labels"  # inside RAW, where no other folder is named
MAX_LANDMARKS = 1000


@dataclass
class Collection:
    raw: Path
    paths: dict[str, Path]  # of every radiograph, by its ID
    splits: dict[str, str]  # train, valid or test; blank where the folder has no such folders
    joint: Description  # of the landmarks (L)
    labels: Path  # the folder with all that is made here
    table: dict[str, np.ndarray] = field(default_factory=dict)  # points (L, 2) px as RAW's tables say, NaN where missing
    sizes: dict[str, Given] = field(default_factory=dict)  # pixel sizes of all_coordinates.csv

    @property
    def names(self) -> list[str]:
        return list(self.joint.names)

    @property
    def is_hand(self) -> bool:
        """Whether the landmarks are those of the hand that ships, whatever they are called."""
        return self.joint.names == HAND.names or self.joint == replace(HAND, names=self.joint.names)

    def stated(self, id: str) -> Size | None:
        """mm (x, y) of a radiograph as the table and joint.json say now, whatever they said when it was labelled."""
        return self.pixel_size(id, None, "")[0]

    def pixel_size(self, id: str, own: Size | None, source: str, calibrated: bool = False) -> tuple[Size | None, str]:
        """mm (x, y) of a radiograph whose file says `own`, and where it is from: the table and joint.json state others.

        `calibrated`: the reader said something of it, which goes before a calibration in the table.
        """
        stated = self.joint.pixel_mm, STATED
        given = self.sizes.get(id, stated)
        return choose(own, source, *(stated if calibrated and given[1] == BY_HAND else given))[:2]


def open_collection(raw: Path, names: list[str] | None, labels: Path | None = None) -> Collection:
    """`names`: as the user gave them; none: those of the set's earlier labels or of its table. Raises DataError."""
    labels = labels or raw / LABELS
    if maker := maker_of(raw):
        raise DataError(f"{raw}: is what {maker} made of radiographs; give the folder of the radiographs themselves")
    paths, splits = radiographs_of(raw)
    annotated = (raw / COORDINATES).exists() or visible_files(raw / READERS)
    annotations = read_annotations(raw) if annotated else Annotations({}, {}, None)
    table = annotations.points
    known = stored_names(labels / LABEL_SET)
    of_raw = joint_in(raw, annotations)
    chosen = known or names or (list(of_raw.names) if of_raw else None)
    if chosen is None:
        raise DataError(
            f"{raw}: has no {COORDINATES} that tells the landmarks; give --landmarks hand, --landmarks NUMBER or --names a,b,c"
        )
    for source, others in (("the command", names), (COORDINATES if table else DESCRIPTION, of_raw and of_raw.names)):
        if others is not None and len(others) != len(chosen):
            raise DataError(
                f"{raw}: expected {len(chosen)} landmarks as in {LABEL_SET if known else 'the command'}, found {len(others)} in"
                f" {source}; take another --raw, or move {labels} away"
            )
    if of_raw and (raw / DESCRIPTION).exists() and (other := first_other(tuple(chosen), of_raw.names)):
        raise DataError(
            f"{raw / DESCRIPTION}: expected the landmarks of its labels or of --names, found that {other}; make them agree"
        )
    if of_raw and (other := moved(chosen, of_raw.names)):
        raise DataError(f"{raw}: expected the landmarks in the order of its labels or of --names, found {other}; make them agree")
    if names is not None and known is not None and names != known:
        raise DataError(f"{labels / LABEL_SET}: has other names of landmarks; leave --names and --landmarks out")
    if known is None:
        labels.mkdir(parents=True, exist_ok=True)
        content = json.dumps({"names": chosen}, indent=1, ensure_ascii=False) + "\n"
        write_whole(labels / LABEL_SET, content.encode(), shared=True)
    joint = of_raw if of_raw and list(of_raw.names) == chosen else joint_called(chosen, None)
    sizes = sizes_in(raw / COORDINATES) if (raw / COORDINATES).exists() else {}
    if unknown := [id for id in table if id not in paths]:
        rows = f"{raw / (READERS if annotations.readings else COORDINATES)}: {len(unknown)} of its {len(table)} rows"
        print(f"{rows} are of no radiograph here: {', '.join(unknown[:3])}")
    listed = set(paths.values())
    if others := [path for path in below(raw) if path.name[0] != "." and path not in listed and is_radiograph(path)]:
        print(f"{raw}: {len(others)} radiographs in other folders are left out, as {others[0]}")
    return Collection(raw, paths, splits, joint, labels, {id: points for id, points in table.items() if id in paths}, sizes)


def joint_in(raw: Path, annotations: Annotations) -> Description | None:
    """What a folder says of its joint: joint.json, the header of its table, the shape of its annotations. Raises DataError."""
    if not annotations.points:
        return read_description(raw / DESCRIPTION)
    points = np.stack(list(annotations.points.values()))
    return described(raw / DESCRIPTION, points, annotations.names) or joint_of(points, None)


def radiographs_of(raw: Path) -> tuple[dict[str, Path], dict[str, str]]:
    """Path and split by ID: of RAW/{train,valid,test}, or where none of them is there, of RAW itself. Raises DataError."""
    if not raw.is_dir():
        raise DataError(f"{raw}: expected a folder with radiographs, found none; name it with --raw")
    errors: list[str] = []
    if any((raw / split).is_dir() for split in SPLITS):
        files = [(split, path) for split in SPLITS for path in visible_files(raw / split)]
    else:
        files = [("", path) for path in visible_files(raw) if is_radiograph(path)]
    found = by_id(files, errors)
    texts = {id: id.encode(errors="ignore").decode() for id in found}
    errors += [f"{raw}: expected names in UTF-8, found {id!a}; rename it" for id, text in texts.items() if id != text]
    if errors:
        raise DataError("\n".join(errors))
    if not found:
        raise DataError(
            f"{raw}: expected radiographs there or in its folders {', '.join(SPLITS)}, found none; dataset/README.md says how to"
            " place them, `python -m phantom --out FOLDER` makes synthetic ones to try"
        )
    return {id: path for id, (_, path) in found.items()}, {id: split for id, (split, _) in found.items()}


def stored_names(path: Path) -> list[str] | None:
    if not path.exists():
        return None
    try:
        names = json.loads(path.read_bytes())["names"]  # UTF-8, whatever the locale
        if not isinstance(names, list) or not names:
            raise ValueError("no list of names")
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: expected the names of the landmarks, found something else ({error}); remove it") from None
    return [str(name) for name in names]


def names_from(landmarks: str | None, names: str | None) -> list[str] | None:
    """What --landmarks and --names say; None where neither is given. Raises DataError."""
    if names is not None:
        chosen = [name.strip() for name in names.split(",")]
        if not all(chosen) or len(set(chosen)) < len(chosen):
            raise DataError(f"--names: expected different names, separated by commas, found {names!r}")
        return chosen
    if landmarks is None:
        return None
    if landmarks == "hand":
        return list(HAND.names)
    if landmarks.isdecimal() and 0 < int(landmarks) <= MAX_LANDMARKS:
        return [str(i) for i in range(int(landmarks))]
    raise DataError(f"--landmarks: expected hand or a number from 1 to {MAX_LANDMARKS}, found {landmarks!r}")
