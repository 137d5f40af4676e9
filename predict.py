"""Finds the landmarks in radiographs: files, or folders of them.

    python predict.py FILE_OR_FOLDER ... --weights weights/scn_hand.pt --out result/predict

writes landmarks.csv (pixels of the radiograph, confidence, region, flags), index.html and overlays/ to look at; with --format
also 3D Slicer markups, COCO keypoints and Parquet, with --measure also the lengths and angles that the joint's description names.

An input may also be - (a list of files on standard input, one a line), @LIST.txt (such a list) or @TABLE.csv, a table with the
column "path" and others, which are carried into the outputs. The journal in the folder of results has each radiograph that is
done: after an interruption the same command goes on, and ends with the same outputs. Processes under torchrun, or jobs with
--shard 3/64, share the radiographs without talking; --merge then makes one set of outputs.

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
import hashlib
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import torch
from tqdm import tqdm

from prediction.folder import FILES, JOURNAL, begin, check_call, check_folder, check_lists, empty_folder, list_inputs, read_call
from prediction.journal import Index, Journal, Shard
from prediction.listing import Item, Listing, printable
from prediction.onnx_export import export_onnx
from prediction.outputs import COLUMNS, check_pyarrow
from prediction.predictor import Predictor
from prediction.results import PAGE, Summary, are_written, check_unchanged, write_results
from prediction.worker import Worker
from radiographs.header import check_keywords
from runtime import distributed
from runtime.command import alone_in, cores, exit_status
from runtime.device import PRECISIONS
from runtime.files import DataError
from runtime.version import add_version
from training.runs import WEIGHTS, newest_with

__all__ = ["Predictor"]
SHIPPED = Path(__file__).with_name("weights") / "scn_hand.pt"
FORMATS = ("csv", "slicer", "coco", "parquet")
SLURM = "slurm"  # of --shard: what the job array says
MAX_WORKERS = 8  # each holds some 100 MB of feature maps
GPU_BATCH = 4  # radiographs a step of the network


def shard_of(options: argparse.Namespace) -> Shard:
    """Which radiographs are this process's: those of --shard, divided further among the processes of torchrun.

    Raises DataError.
    """
    given, world = options.shard, distributed.WORLD
    if given == SLURM:
        try:
            number, first, of = (int(os.environ[f"SLURM_ARRAY_TASK_{name}"]) for name in ("ID", "MIN", "COUNT"))
        except (KeyError, ValueError):
            raise DataError("--shard slurm: expected a job of an array, found none; start it by sbatch --array=1-64") from None
        if number - first >= of:
            raise DataError(
                f"--shard slurm: expected an array without gaps, found job {number} of {of} from {first}; use --array=1-{of}"
            )
        given = Shard(number - first + 1, of)
    return Shard((given.number - 1) * world + distributed.RANK + 1, given.of * world)


def load(options: argparse.Namespace) -> Predictor:
    """The network, after a word about what it cannot do. Raises DataError."""
    device = "cpu" if options.engine else options.device
    if distributed.WORLD > 1 and device != "cpu" and torch.cuda.is_available():
        device = f"cuda:{distributed.LOCAL_RANK % torch.cuda.device_count()}"
    predictor = Predictor(options.weights, device, options.orientation, options.precision, options.engine, options.check)
    if options.measure and not predictor.joint.measures:
        raise DataError(
            f"--measure: {options.weights} has nothing to measure; describe it in joint.json, and prepare and train with that"
        )
    if options.orientation == "auto" and predictor.finder is None:
        print(f"{options.weights}: has no finder; every radiograph is taken as upright and filled by one joint")
    elif predictor.finder and not any(predictor.finder.template.reflections):
        print(f"{options.weights}: not made to recognise mirrored radiographs; such ones are taken as they come")
    return predictor


def describe(options: argparse.Namespace, predictor: Predictor) -> dict:
    """The settings that outputs depend on: a folder is gone on with only by a call with the same ones."""
    return {
        "weights": hashlib.sha256(options.weights.read_bytes()).hexdigest()[:16],
        "engine": hashlib.sha256(options.engine.read_bytes()).hexdigest()[:16] if options.engine else "",
        "inputs": [absolute(given) for given in options.inputs],
        "formats": sorted(options.format),
        "measure": options.measure,
        "with_names": options.names,
        "dicom": list(options.dicom),
        "orientation": options.orientation,
        "device": predictor.device.type,
        "precision": predictor.precision,
        "torch": torch.__version__,
        "joint": predictor.joint.to_file(),
    }


def absolute(given: str) -> str:
    if given == "-":
        return given
    return f"@{os.path.abspath(given[1:])}" if given.startswith("@") else os.path.abspath(given)


def with_columns(call: dict, listing: Listing, inputs: list[str]) -> dict:
    """The settings with the names of the columns that tables get in addition. Raises DataError where one is taken."""
    columns = [*listing.columns, *call["dicom"]]
    if taken := [name for name in columns if name in COLUMNS or columns.count(name) > 1]:
        raise DataError(f"{inputs[0]}: its column {taken[0]} is also one of landmarks.csv; give it another name")
    return call | {"columns": columns}


def run(options: argparse.Namespace) -> int:
    """Predict this process's radiographs; returns the exit status. Raises DataError where nothing can be done at all."""
    out, shard = options.out, shard_of(options)
    check_folder(out, options.resume)
    predictor = load(options)
    call = describe(options, predictor)
    if not options.overwrite:
        check_call(out, call)
    listing = list_inputs(options.inputs, out, shard)
    for error in listing.errors:
        print(error, file=sys.stderr)
    if not listing.count:
        listing.path.unlink()
        if not listing.errors:
            print(f"{' '.join(map(printable, options.inputs))}: expected radiographs, found none", file=sys.stderr)
        return 1
    call = with_columns(call, listing, options.inputs)
    if options.overwrite:
        empty_folder(out)
    listing = begin(out, call, listing, shard)
    with alone_in(out / JOURNAL, f".lock-{shard}"):
        if shard.of == 1:
            check_unchanged(out, out / JOURNAL)
        now, before, unread = predict(out, call, predictor, listing, shard)
        if shard.of > 1:
            said = f"shard {shard}: {now} radiographs predicted, {before} before, {unread} problems"
            print(f"{said}; when all shards are done: python predict.py --merge --out {out}")
            # torchrun ends all its processes where one says that a file was bad; --merge says it
            return 1 if unread + len(listing.errors) and distributed.WORLD == 1 else 0
        if not now + unread and are_written(out, out / JOURNAL, listing):
            print(f"all {before} radiographs were predicted before; see {out / PAGE}")
            return 1 if listing.errors else 0
        told = tell(out, write_results(out, out / JOURNAL, listing, call), f", {before} of them before" if before else "")
        return 1 if unread else told


def predict(out: Path, call: dict, predictor: Predictor, listing: Listing, shard: Shard) -> tuple[int, int, int]:
    """Predict what is not done yet: numbers of radiographs predicted now and before, and of files that could not be read."""
    now, before, unread = 0, [0], 0
    on_gpu = predictor.device.type == "cuda"
    batch, share = GPU_BATCH if on_gpu else 1, -(-listing.count // shard.of)
    own_cores = max(1, cores() // int(os.environ.get("LOCAL_WORLD_SIZE", 1)))
    workers = max(1, min(own_cores, MAX_WORKERS, share // batch))
    with ExitStack() as stack:
        journal, index = Journal(out / JOURNAL, shard), Index(out / JOURNAL)
        stack.callback(journal.close)
        if len(index):
            print(f"{out}: going on; {len(index)} radiographs are in its journal")
        worker = Worker(out, call, predictor, journal, index, listing.count)
        bar = stack.enter_context(tqdm(total=share, unit=" radiographs", disable=None if shard.number == 1 else True))
        for error in worker.predict_all(pending(listing, shard, index, before), workers, batch, max(1, own_cores // workers)):
            if error:
                unread += 1
                tqdm.write(error, file=sys.stderr)
            else:
                now += 1
            bar.update(now + unread + before[0] - bar.n)
    return now, before[0], unread


def pending(listing: Listing, shard: Shard, index: Index, done: list[int]) -> Iterator[Item]:
    """The radiographs of a shard that are still to be predicted; the others are counted in `done`."""
    for place, item in enumerate(listing):
        if not shard.has(place):
            continue
        if len(index) and index.is_done(item):
            done[0] += 1
        else:
            yield item


def merge(out: Path) -> int:
    """Make one set of outputs of what all shards predicted; returns the exit status. Raises DataError."""
    call = read_call(out)
    if "parquet" in call["formats"]:
        check_pyarrow()
    listing = Listing(out / JOURNAL / FILES)
    check_lists(out, listing)
    for error in listing.errors:
        print(error, file=sys.stderr)
    return tell(out, write_results(out, out / JOURNAL, listing, call, say=lambda error: print(error, file=sys.stderr)))


def tell(out: Path, summary: Summary, more: str = "") -> int:
    """Say what the outputs hold; returns the exit status."""
    if summary.missing:
        named = ", ".join(summary.some_missing) + (", ..." if summary.missing > len(summary.some_missing) else "")
        print(
            f"{out}: {summary.missing} radiographs are missing ({named}); start their shards again, then --merge", file=sys.stderr
        )
    print(
        f"{summary.predicted} radiographs predicted{more}, {summary.flagged} flagged, {summary.unread} problems; see {out / PAGE}"
    )
    return 1 if summary.unread or summary.missing else 0


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


def keywords(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text.split(",")))


def part(text: str) -> Shard | str:
    if text == SLURM:
        return text
    number, slash, of = text.partition("/")
    if not (slash and number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of)):
        raise argparse.ArgumentTypeError(f"expected a part and their number, such as 3/64, found {text!r}")
    return Shard(int(number), int(of))


def read_options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    add_version(parser)
    parser.add_argument(
        "inputs", nargs="*", metavar="FILE_OR_FOLDER", help="radiographs, folders to walk through, @LIST.txt, @TABLE.csv or -"
    )
    parser.add_argument("--weights", type=Path, help="from export.py; none: of the newest run, else the hand's that come along")
    parser.add_argument("--out", type=Path, default=Path("result/predict"), help="folder to write")
    parser.add_argument(
        "--format",
        type=formats,
        default={"csv"},
        help="slicer, coco, parquet or several, separated by commas; landmarks.csv is always written",
    )
    parser.add_argument("--measure", action="store_true", help="also write measures.csv: bone lengths and joint angles")
    parser.add_argument("--names", action="store_true", help="write the landmarks' names into the overlays")
    parser.add_argument(
        "--dicom",
        type=keywords,
        default=(),
        help="keywords of DICOM headers that become columns, such as AccessionNumber,SeriesInstanceUID,SOPInstanceUID",
    )
    parser.add_argument(
        "--orientation",
        choices=("auto", "keep"),
        default="auto",
        help="keep: every picture is one upright joint that fills it, bone bright",
    )
    parser.add_argument("--resume", action="store_true", help="go on; also done without it where --out holds the same call")
    parser.add_argument("--overwrite", action="store_true", help="begin anew in a folder that predict.py wrote")
    parser.add_argument(
        "--shard", type=part, default=Shard(), help="3/64: every 64th radiograph, from the third on; slurm: by the job array"
    )
    parser.add_argument("--merge", action="store_true", help="make the outputs of all shards in --out, and predict nothing")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument(
        "--precision",
        choices=("auto", *PRECISIONS),
        default="auto",
        help="auto: that of the training, where the hardware has it, else float32",
    )
    parser.add_argument(
        "--check",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="first predict the known picture of the weights, and refuse to go on where this machine computes it wrongly",
    )
    parser.add_argument(
        "--export",
        type=Path,
        help="predict nothing: NAME.onnx is the network alone as an ONNX file, any other name a folder of graphs that do all",
    )
    parser.add_argument(
        "--export-demo", type=Path, help="predict nothing, but write a page that does, in any browser, as a folder"
    )
    parser.add_argument(
        "--int8",
        type=Path,
        help="with --export: in whole numbers of 8 bits, scaled on the training radiographs of this prepared folder",
    )
    parser.add_argument(
        "--engine", type=Path, help="such an ONNX file of the same weights, which ONNX Runtime computes on the CPU"
    )
    options = parser.parse_args(arguments)
    several = options.shard != Shard() or distributed.WORLD > 1
    for wrong, expected in (
        (not (options.inputs or options.export or options.export_demo or options.merge), "expected a file or a folder"),
        (options.merge and options.inputs, "--merge takes no files: it makes the outputs of those that --out knows"),
        (options.merge and several, "--merge is for one process"),
        (options.int8 and not options.export, "--int8 says how --export writes the network; give both"),
        (options.int8 and options.export and options.export.suffix != ".onnx", "--int8 is for --export NAME.onnx alone"),
        (options.engine and options.device == "cuda", "--engine computes on the CPU; leave out --device"),
        (options.resume and options.overwrite, "expected --resume or --overwrite, found both"),
        (several and options.overwrite, "--overwrite is for one process: others may be writing; choose another --out"),
        (several and "-" in options.inputs, "- is for one process: the others would not see the list; write it to a file"),
    ):
        if wrong:
            parser.error(expected)
    return options


def main(arguments: list[str] | None = None) -> int:
    options = read_options(arguments)

    def work() -> int:
        if options.merge:
            read_call(options.out)
            with alone_in(options.out):
                return merge(options.out)
        options.weights = options.weights or default_weights()
        if options.export:
            predictor = Predictor(options.weights, "cpu")
            if options.export.suffix == ".onnx":
                export_onnx(predictor, options.export, options.int8)
            else:
                from portable.export import export_model  # here, since only this needs it, and what it imports takes time

                export_model(predictor, options.export)
            return 0
        if options.export_demo:
            from portable.demo import export_demo

            export_demo(Predictor(options.weights, "cpu"), options.export_demo)
            return 0
        check_keywords(options.dicom)
        if "parquet" in options.format:
            check_pyarrow()
        with alone_in(options.out, shared=shard_of(options).of > 1):
            return run(options)

    return exit_status(work, f"interrupted; the same command goes on with {options.out}")


if __name__ == "__main__":
    sys.exit(main())
