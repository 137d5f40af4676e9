"""Finds the landmarks in radiographs: files, or folders of them.

    python predict.py FILE_OR_FOLDER ... --weights weights/scn_hand.pt --out result/predict

writes landmarks.csv (pixels of the radiograph, confidence, region, flags), index.html and overlays/ to look at; with --format
also 3D Slicer markups and COCO keypoints, with --measure also the lengths and angles that the joint's description names.

regions: a landmark lies within its ellipse (semi_major, semi_minor, angle from x towards y) with a probability of 95 %, on
average over radiographs like those that export.py measured, if there were 19 of them or more; of n fewer ones, with n/(n + 1).
It is no promise for radiographs of another kind.

Hands, or other joints, are found anywhere in a radiograph, lying anyhow, left or right, bone bright or dark. The columns hand
(1, 2, ... from left to right) and side say which one a row is of.

flags of landmarks:
  doubtful             its heatmap is lower than on nearly all radiographs that export.py measured
  outside the picture  it lies beyond the picture's edge, or is doubtful and at the edge: its x and y are no position
  misplaced            its distances to neighbours are unlike those of the training annotations
flags of radiographs:
  joints outside the picture, doubtful joints, implausible shape (misplaced)
                       some landmark has that flag
  unlike the training radiographs
                       a quarter of its landmarks or distances has: look at each of them
  not a hand           there is little in the picture that looks like one: no landmark is to be relied on (of other joints: not a
                       knee, as the joint is called)
  outline not found    plates, borders or a light box: the histogram of all of the picture was matched, so look twice
COCO keypoints have the visibility 0 outside the picture, and 1 with another flag. measures.csv has the flags of the landmarks
involved, and in plus_minus how far off a length or an angle is at most if each of these lies within its region.
"""

import argparse
import os
import shutil
import sys
from collections import Counter, deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from joints.description import Description
from prediction.onnx_export import export_onnx
from prediction.outputs import COLUMNS, MEASURE_COLUMNS, Coco, csv_lines, landmark_rows, measure_rows, write_slicer
from prediction.overlay import Page, base_picture, draw
from prediction.predictor import Prediction, Predictor
from radiographs.reading import Radiograph, is_radiograph, read_radiograph
from runtime.command import LOCK, alone_in, cores, exit_status
from runtime.device import PRECISIONS
from runtime.files import DataError, whole_file
from training.runs import WEIGHTS, newest_with

__all__ = ["Predictor"]
SHIPPED = Path(__file__).with_name("weights") / "scn_hand.pt"
FORMATS = ("csv", "slicer", "coco")
OUTPUTS = ("landmarks.csv", "measures.csv", "coco.json", "index.html")
FOLDERS = ("overlays", "slicer")
MAX_WORKERS = 8  # each holds some 100 MB of feature maps
GPU_BATCH = 4  # radiographs a step of the network


@dataclass
class Read:
    """A radiograph as far as outputs need it."""

    name: str  # as the outputs call it
    extent: tuple[int, int]  # width, height px
    radiograph: Radiograph  # its pixels are let go once they are predicted
    base: Image.Image


def read(path: Path, name: str) -> Read:
    radiograph = read_radiograph(path)
    height, width = radiograph.pixels.shape
    return Read(name, (width, height), radiograph, base_picture(radiograph.pixels))


def printable(name: str) -> str:
    """A file's name as text: bytes that are no UTF-8 are shown as question marks in a diamond."""
    return os.fsencode(name).decode("utf-8", "replace")


def find_files(inputs: list[Path], out: Path) -> tuple[list[tuple[Path, str]], list[str]]:
    """(path, name) of every radiograph, names relative to the folder given, and what is wrong. Files in `out` are no input."""
    files, errors = [], []
    for given in inputs:
        if given.is_dir():
            inside = files_below(given, out)
            taken = [path for path in inside if is_radiograph(path)]
            if len(taken) < len(inside):
                endings = sorted({printable(path.suffix) for path in inside} - {printable(path.suffix) for path in taken})
                print(f"{given}: left out {len(inside) - len(taken)} files that are no radiographs ({', '.join(endings)})")
            if not taken:
                errors.append(f"{given}: expected radiographs in this folder, found none")
            files += [(path, printable(path.relative_to(given).as_posix())) for path in taken]
        elif given.exists():
            files.append((given, printable(given.name)))
        else:
            errors.append(f"{given}: no such file or folder")
    taken_twice = {name for name, count in Counter(name for _, name in files).items() if count > 1}
    files = [(path, printable(str(path)) if name in taken_twice else name) for path, name in files]
    return files, [printable(error) for error in errors]


def files_below(folder: Path, out: Path) -> list[Path]:
    """The visible files anywhere below a folder but for those in `out`, sorted; links to folders are not followed."""
    root, out = folder.resolve(), out.resolve()
    if out == root or out in root.parents:
        return []
    inner = out.relative_to(root).parts if root in out.parents else ()
    found = []
    for place, folders, names in os.walk(folder):
        parts = Path(place).relative_to(folder).parts
        folders[:] = [name for name in folders if not name.startswith(".") and (*parts, name) != inner]
        found += [Path(place, name) for name in names if not name.startswith(".")]
    return sorted(found)


def read_and_predict(
    files: list[tuple[Path, str]], predictor: Predictor
) -> tuple[list[tuple[Read, list[Prediction]]], list[DataError]]:
    """What is found in some files, and which cannot be read."""
    items, errors = [], []
    for path, name in files:
        try:
            items.append(read(path, name))
        except DataError as error:
            errors.append(error)
    found = predictor.predict([item.radiograph.pixels for item in items]) if items else []
    for item, hands in zip(items, found):
        item.radiograph.pixels = np.empty(0)
        for hand in hands:
            hand.flags[:0] = item.radiograph.notes
    return list(zip(items, found)), errors


def predict_all(
    files: list[tuple[Path, str]], predictor: Predictor, errors: list[str]
) -> Iterator[tuple[Read, list[Prediction]]]:
    """All radiographs in their order, with the hands in each; those that cannot be read go to `errors`, and are told at once.

    Each worker takes whole radiographs, read and predicted on one core (of few): no core ever waits for another one.
    """
    batch = GPU_BATCH if predictor.device.type == "cuda" else 1
    workers = max(1, min(cores(), MAX_WORKERS, len(files) // batch))
    batches = iter([files[i : i + batch] for i in range(0, len(files), batch)])
    with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(max(1, cores() // workers),)) as pool:
        waiting = deque(pool.submit(read_and_predict, files, predictor) for files in islice(batches, 2 * workers))
        while waiting:
            found, unread = waiting.popleft().result()
            waiting.extend(pool.submit(read_and_predict, files, predictor) for files in islice(batches, 1))
            for error in unread:
                errors.append(printable(str(error)))
                tqdm.write(errors[-1], file=sys.stderr)
            yield from found


class Writer:
    """The files of one run of predict.py, in a folder of their own."""

    def __init__(self, out: Path, formats: set[str], measure: bool, with_names: bool, joint: Description, stack: ExitStack):
        self.out, self.formats, self.with_names, self.joint = out, formats, with_names, joint
        (out / "overlays").mkdir(parents=True, exist_ok=True)
        self.taken: set[str] = set()
        self.table = stack.enter_context(whole_file(out / "landmarks.csv"))
        self.table.write(csv_lines([COLUMNS]))
        self.measures = stack.enter_context(whole_file(out / "measures.csv")) if measure else None
        if self.measures:
            self.measures.write(csv_lines([MEASURE_COLUMNS]))
        if "slicer" in formats:
            (out / "slicer").mkdir(exist_ok=True)
        self.coco = Coco(joint) if "coco" in formats else None
        self.page = Page(out / "index.html")

    def plain_name(self, name: str) -> str:
        """A file name without folders, not given twice, and short enough to get endings."""
        plain = base = name.replace("/", "_").replace("\\", "_").encode()[-200:].decode(errors="ignore")
        number = 1
        while plain.lower() in self.taken:
            number += 1
            plain = f"{base}_{number}"
        self.taken.add(plain.lower())
        return plain

    def add(self, item: Read, hands: list[Prediction]) -> None:
        plain = self.plain_name(item.name)
        for hand in hands:
            self.table.write(csv_lines(landmark_rows(item.name, self.joint, item.radiograph, hand)))
            if self.measures:
                self.measures.write(csv_lines(measure_rows(item.name, self.joint, item.radiograph, hand)))
            if "slicer" in self.formats:
                ending = f"_hand_{hand.hand}" if len(hands) > 1 else ""
                write_slicer(self.out / "slicer" / f"{plain}{ending}.mrk.json", self.joint, item.radiograph, hand)
        if self.coco:
            self.coco.add(item.name, item.extent, hands)
        picture = draw(item.base, hands, item.extent, self.joint, self.with_names)
        overlay = self.out / "overlays" / f"{plain}.png"
        try:
            picture.save(overlay, compress_level=1)
        except OSError as error:  # a full disk, which has no name
            error.filename = str(overlay)
            raise
        self.page.add(item.name, f"{plain}.png", picture, hands)

    def close(self, errors: list[str]) -> None:
        self.page.write(errors)
        if self.coco:
            with whole_file(self.out / "coco.json") as file:
                self.coco.write(file)


def run(options: argparse.Namespace) -> int:
    """Predict all files; returns the exit status. Raises DataError where nothing can be done at all."""
    there = {path.name.removesuffix(".part") for path in options.out.iterdir()} - {LOCK}
    if there and not options.overwrite:
        raise DataError(f"{options.out}: is not empty; choose another --out, or give --overwrite to replace what is there")
    if strange := there - {*OUTPUTS, *FOLDERS}:
        raise DataError(f"{options.out}: holds {sorted(strange)[0]}, which predict.py did not write; choose another --out")
    predictor = Predictor(options.weights, options.device, options.orientation, options.precision)
    if options.measure and not predictor.joint.measures:
        raise DataError(
            f"--measure: {options.weights} has nothing to measure; describe it in joint.json, and prepare and train with that"
        )
    if options.orientation == "auto" and predictor.finder is None:
        print(f"{options.weights}: has no finder; every radiograph is taken as upright and filled by one joint")
    elif predictor.finder and not any(predictor.finder.canon.reflections):
        print(f"{options.weights}: not made to recognise mirrored radiographs; such ones are taken as they come")
    files, errors = find_files(options.inputs, options.out)
    for error in errors:
        print(error, file=sys.stderr)
    if not files:
        return 1
    for old in OUTPUTS:
        (options.out / old).unlink(missing_ok=True)
    for old in FOLDERS:
        shutil.rmtree(options.out / old, ignore_errors=True)
    flagged = done = 0
    with ExitStack() as stack:
        bar = stack.enter_context(tqdm(total=len(files), unit=" radiographs", disable=None))
        writer = Writer(options.out, options.format, options.measure, options.names, predictor.joint, stack)
        for item, hands in predict_all(files, predictor, errors):
            writer.add(item, hands)
            flagged, done = flagged + any(hand.flags for hand in hands), done + 1
            bar.update(done + len(errors) - bar.n)
        writer.close(errors)
    print(f"{done} radiographs predicted, {flagged} flagged, {len(errors)} problems; see {options.out / 'index.html'}")
    return 1 if errors else 0


def default_weights() -> Path:
    """What export.py made of the newest run that it was called for, or while there is none the weights of this project."""
    run = newest_with(WEIGHTS)
    weights = run / WEIGHTS if run else SHIPPED
    print(f"weights: {weights}" + (f", of the newest run; for a hand as in the atlas: --weights {SHIPPED}" if run else ""))
    return weights


def formats(text: str) -> set[str]:
    chosen = set(text.split(","))
    if not chosen <= set(FORMATS):
        raise argparse.ArgumentTypeError(f"expected some of {', '.join(FORMATS)}, separated by commas, found {text!r}")
    return chosen


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("inputs", type=Path, nargs="*", metavar="FILE_OR_FOLDER", help="radiographs, or folders to walk through")
    parser.add_argument("--weights", type=Path, help="from export.py; none: of the newest run, else the hand's that come along")
    parser.add_argument("--out", type=Path, default=Path("result/predict"), help="folder to write")
    parser.add_argument(
        "--format",
        type=formats,
        default={"csv"},
        help="slicer, coco or both, separated by commas; landmarks.csv is always written",
    )
    parser.add_argument("--measure", action="store_true", help="also write measures.csv: bone lengths and joint angles")
    parser.add_argument("--names", action="store_true", help="write the landmarks' names into the overlays")
    parser.add_argument(
        "--orientation",
        choices=("auto", "keep"),
        default="auto",
        help="keep: every picture is one upright joint that fills it, bone bright",
    )
    parser.add_argument("--overwrite", action="store_true", help="write into a folder that is not empty")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument(
        "--precision",
        choices=("auto", *PRECISIONS),
        default="auto",
        help="auto: that of the training, where the hardware has it, else float32",
    )
    parser.add_argument("--export", type=Path, help="write the network as an ONNX file, and predict nothing")
    options = parser.parse_args(arguments)
    if not options.inputs and not options.export:
        parser.error("expected a file or a folder")

    def work() -> int:
        options.weights = options.weights or default_weights()
        if options.export:
            export_onnx(Predictor(options.weights, "cpu"), options.export)
            return 0
        with alone_in(options.out):
            return run(options)

    return exit_status(work, f"interrupted; what is in {options.out} is incomplete")


if __name__ == "__main__":
    sys.exit(main())
