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
  no bone seen         doubtful, of a bone that young patients lack, and so is another such
  outside the picture  it lies beyond the picture's edge, or is unsure and at the edge: its x and y are no position
  misplaced            its distances to neighbours are unlike those of the training annotations
flags of radiographs:
  joints outside the picture, doubtful joints, implausible shape (misplaced)
                       some landmark has that flag
  unlike the training radiographs
                       a quarter of its landmarks or distances has: look at each of them
  not a hand           there is little in the picture that looks like one: no landmark is to be relied on (of other joints: not a
                       knee, as the joint is called)
  outline not found    plates, borders or a light box: the histogram of all of the picture was matched, so look twice
  side other than the header's
                       the file's Laterality says that it shows the other one
COCO keypoints have the visibility 0 outside the picture, and 1 with another flag. measures.csv has the flags of the landmarks
involved, and in plus_minus how far off a length or an angle is at most if each of these lies within its region.
"""

import argparse
from functools import partial
from pathlib import Path

import torch

from prediction.folder import FILES, begin, check_call, check_folder, check_lists, describe, read_call
from prediction.listing import Listing
from prediction.onnx_export import export_onnx
from prediction.predictor import Predictor
from prediction.results import PAGE, are_written, check_unchanged, write_results
from prediction.shard import Shard, part, shard_of
from prediction.watch import watch
from prediction.worker import Worker
from radiographs.header import check_keywords
from radiographs.pixel_size import COLUMN, Given, Size, read_size, sizes_in
from radiographs.raw_folder import JOURNAL, read_rows
from runtime import distributed
from runtime.command import alone_in, exit_status, need_package, parser_of
from runtime.device import PRECISIONS
from runtime.files import DataError
from training.runs import WEIGHTS, newest_with

__all__ = ["Predictor"]
SHIPPED = Path(__file__).with_name("weights") / "scn_hand.pt"
FORMATS = ("csv", "slicer", "coco", "parquet", "dicom")


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


def check(options: argparse.Namespace) -> tuple[Predictor, dict]:
    """The network and the settings of a call. Raises DataError where --out cannot be begun or gone on with by it."""
    check_folder(options.out, options.resume)
    predictor = options.predictor = getattr(options, "predictor", None) or load(options)
    call = describe(options, predictor)
    if not options.overwrite:
        check_call(options.out, call)
    return predictor, call


def run(options: argparse.Namespace, shard: Shard) -> int:
    """Predict this process's radiographs; returns the exit status. Raises DataError where nothing can be done at all."""
    out = options.out
    predictor, call = check(options)
    listing = begin(options, call, shard)
    with alone_in(out / JOURNAL, f".lock-{shard}"):
        if shard.of == 1:
            check_unchanged(out)
        worker = Worker(out, call, predictor, listing, shard, try_again=not options.watch)
        worker.predict_all()
        if shard.of > 1:
            said = f"shard {shard}: {worker.now} radiographs predicted, {worker.before} before, {worker.unread} problems"
            print(f"{said}; when all shards are done: python predict.py --merge --out {out}")
            # torchrun ends all its processes where one says that a file was bad; --merge says it
            return 1 if worker.unread + len(listing.errors) and distributed.WORLD == 1 else 0
        if not worker.now + worker.unread and are_written(out, listing):
            print(f"all {worker.before} radiographs were predicted before; see {out / PAGE}")
            return 1 if listing.errors else 0
        status = write_results(out, listing, call, before=worker.before)
        return 1 if worker.unread else status


def merge(out: Path, call: dict) -> int:
    """Make one set of outputs of what all shards predicted; returns the exit status. Raises DataError."""
    if "parquet" in call["formats"]:
        need_package("pyarrow", "--format parquet")
    listing = Listing(out / JOURNAL / FILES)
    check_lists(out, listing)
    listing.tell_errors()
    return write_results(out, listing, call, say=True)


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


def pixel_mm(text: str) -> Size | dict[str, Given]:
    try:
        if not text.lower().endswith(".csv"):
            return read_size(text, "--pixel_mm")
        read_rows(Path(text))  # says what is wrong with a table
        if sizes := sizes_in(Path(text)):
            return sizes
        raise DataError(
            f"{text}: expected a column {COLUMN} with sizes, found none; separate cells by commas; label.py writes it of "
            "radiographs with a point"
        )
    except (DataError, OSError) as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def keywords(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text.split(",")))


def read_options(arguments: list[str] | None) -> argparse.Namespace:
    parser = parser_of(__doc__, allow_abbrev=False)
    add = parser.add_argument
    add("inputs", nargs="*", metavar="FILE_OR_FOLDER", help="radiographs, folders to walk through, @LIST.txt, @TABLE.csv or -")
    add("--weights", type=Path, help="from export.py; none: of the newest run, else the hand's that come along")
    add("--out", type=Path, default=Path("result/predict"), help="folder to write")
    several = "slicer, coco, parquet, dicom or several, separated by commas; landmarks.csv is always written. Files of dicom name"
    several += " the patient as their radiograph does"
    add("--format", type=formats, default={"csv"}, help=several)
    add("--measure", action="store_true", help="also write measures.csv: bone lengths and joint angles")
    add("--names", action="store_true", help="write the landmarks' names into the overlays")
    asked = "keywords of DICOM headers that become columns, such as AccessionNumber,SeriesInstanceUID,SOPInstanceUID"
    add("--dicom", type=keywords, default=(), help=asked)
    size = "mm a pixel of radiographs whose files do not say it: 0.1, or 0.1x0.12, between rows x between columns, or a table of"
    size += " label.py that says it of each ID, or path; a calibration by hand goes before the file"
    add("--pixel_mm", type=pixel_mm, help=size)
    keep = "keep: every picture is one upright joint that fills it, bone bright"
    add("--orientation", choices=("auto", "keep"), default="auto", help=keep)
    add("--watch", action="store_true", help="go on and predict what arrives in the folders, until the command is ended")
    add("--resume", action="store_true", help="go on; also done without it where --out holds the same call")
    add("--overwrite", action="store_true", help="begin anew in a folder that predict.py wrote")
    add("--shard", type=part, default=Shard(), help="3/64: every 64th radiograph, from the third on; slurm: by the job array")
    add("--merge", action="store_true", help="make the outputs of all shards in --out, and predict nothing")
    add("--device", choices=("auto", "cpu", "cuda"), default="auto")
    auto = "auto: that of the training, where the hardware has it, else float32"
    add("--precision", choices=("auto", *PRECISIONS), default="auto", help=auto)
    known = "first predict the known picture of the weights, and refuse to go on where this machine computes it wrongly"
    add("--check", action=argparse.BooleanOptionalAction, default=True, help=known)
    graphs = "predict nothing: NAME.onnx is the network alone as an ONNX file, any other name a folder of graphs that do all"
    add("--export", type=Path, help=graphs)
    add("--export-demo", type=Path, help="predict nothing, but write a page that does, in any browser, as a folder")
    int8 = "with --export: in whole numbers of 8 bits, scaled on the training radiographs of this prepared folder"
    add("--int8", type=Path, help=int8)
    add("--engine", type=Path, help="such an ONNX file of the same weights, which ONNX Runtime computes on the CPU")
    options = parser.parse_args(arguments)
    if wrong := mistake(options):
        parser.error(wrong)
    return options


def mistake(options: argparse.Namespace) -> str:
    """What is wrong with flags that do not go together; "" where they do."""
    several, exporting = options.shard != Shard() or distributed.WORLD > 1, options.export or options.export_demo
    for wrong, expected in (
        (not (options.inputs or exporting or options.merge), "expected a file or a folder"),
        ("" in options.inputs, "expected a file or a folder, found an empty name"),  # which would mean the folder that one is in
        (options.merge and options.inputs, "--merge takes no files: it makes the outputs of those that --out knows"),
        (options.merge and several, "--merge is for one process"),
        (
            options.merge and (options.measure or options.format != {"csv"}),
            "--merge makes the outputs that the calls were given; leave out --format and --measure",
        ),
        (exporting and options.orientation != "auto", "--export and --export-demo write the finder too; leave out --orientation"),
        (exporting and options.inputs, "--export and --export-demo take no files; predict them apart"),
        (options.export and options.export_demo, "expected --export or --export-demo, found both"),
        (options.int8 and not options.export, "--int8 says how --export writes the network; give both"),
        (options.int8 and options.export and options.export.suffix.lower() != ".onnx", "--int8 is for --export NAME.onnx alone"),
        (options.engine and options.device == "cuda", "--engine computes on the CPU; leave out --device"),
        (options.resume and options.overwrite, "expected --resume or --overwrite, found both"),
        (options.watch and (several or options.overwrite), "--watch is for one process, without --overwrite"),
        (several and options.overwrite, "--overwrite is for one process: others may be writing; choose another --out"),
        (several and "-" in options.inputs, "- is for one process: the others would not see the list; write it to a file"),
    ):
        if wrong:
            return expected
    return ""


def main(arguments: list[str] | None = None) -> int:
    options = read_options(arguments)

    def work() -> int:
        if options.merge:
            call = read_call(options.out)
            with alone_in(options.out):
                return merge(options.out, call)
        options.weights = options.weights or default_weights()
        if options.export:
            predictor = Predictor(options.weights, "cpu")
            if options.export.suffix.lower() == ".onnx":
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
            need_package("pyarrow", "--format parquet")
        if "dicom" in options.format:
            need_package("highdicom", "--format dicom")
            print(f"{options.out / 'dicom'}: its files name the patients as the radiographs do; keep them as you keep those")
        shard = shard_of(options.shard)
        with alone_in(options.out, shared=shard.of > 1):
            return watch(options, check, partial(run, shard=shard)) if options.watch else run(options, shard)

    return exit_status(work, f"interrupted; the same command goes on with {options.out}")


if __name__ == "__main__":
    raise SystemExit(main())
