"""Places and corrects landmarks in the browser, with a network in the loop.

    python label.py --raw dataset --landmarks hand     radiographs without landmarks: prints and opens an address
    python label.py --raw dataset --propose weights/scn_hand.pt
                                                       the network proposes, a person accepts or corrects
    python label.py --raw dataset --reader anna        a second reader, blind to the others
    python label.py --raw dataset --review result/predict
                                                       what predict.py found, least certain first
    python label.py --raw dataset --export landmarks.csv
                                                       the table of what is done, as data_preprocessing.py reads it

All that is placed stands in RAW/labels: journal.jsonl holds every action, readers/NAME.csv the points. RAW/all_coordinates.csv
is never written: its points, or the mean of those in RAW/readers, are where the reader without a name starts from.
"""

import argparse
import os
import re
import shlex
import sys
import tempfile
import threading
import webbrowser
from contextlib import ExitStack, closing, suppress
from pathlib import Path

from joints.description import Description
from joints.known import moved
from labelling.collection import names_from, open_collection, radiographs_of
from labelling.proposals import Proposal, read_predictions
from labelling.rounds import FEWEST, Flags
from labelling.session import MAIN, SETTLED, Options, Session
from radiographs.pixel_size import with_columns
from runtime.command import exit_status, parser_of
from runtime.files import DataError, first_few, write_csv

PORT = 8765
LOCAL = "127.0.0.1"
WARNING = """\
{host}: other machines can reach this server, and whoever reads along sees the radiographs and can write labels; the connection is
not encrypted. Safer, over ssh: leave --host out there, and run here: ssh -L {port}:127.0.0.1:{port} USER@MACHINE
Behind a proxy that encrypts, leave --host out too. What browsers ask for must be named: --served-as NAME or NAME:PORT"""


def review(folder: Path, raw: Path) -> tuple[dict[str, Proposal], list[str]]:
    """Proposals and names of landmarks of a folder of predict.py. Raises DataError."""
    paths, _ = radiographs_of(raw)
    found, names, unknown = read_predictions(folder, paths)
    if not found:
        raise DataError(f"{folder}: none of its {unknown} radiographs is in {raw}; name their folder with --raw")
    if unknown:
        print(f"{folder}: {unknown} of its radiographs are not in {raw}, and are left out")
    return found, names


def export(session: Session, out: Path) -> None:
    """Write the reader's radiographs that are done as a new table. Raises DataError."""
    if out.exists():
        raise DataError(f"{out}: is there already, and labels are not overwritten; choose another --export")
    done = set(session.store.done())
    if gone := sorted(done - session.collection.paths.keys()):
        print(f"left out {len(gone)} whose radiographs are no longer there ({first_few(gone)})")
        done -= set(gone)
    session.refuse_replaced(done)
    rows = [row for row in session.store.table_rows() if row["id"] in done]
    rows = with_columns(rows, session.sizes())
    if not rows:
        raise DataError(f"{session.labels}: {session.options.reader} has done no radiograph yet; nothing to export")
    names = session.collection.joint.names
    columns = {f"{axis}{i}": f"{name}_{axis}" for i, name in enumerate(names) for axis in "xy"}
    if names != Description.numbered(len(names)).names:
        rows = [{columns.get(column, column): value for column, value in row.items()} for row in rows]
    out.parent.mkdir(parents=True, exist_ok=True)
    write_csv(out, rows)
    print(f"written to {out}: {len(rows)} radiographs of {len(session.collection.paths)}")


def has_screen() -> bool:
    """Whether a browser can be opened that does not take over the terminal."""
    return sys.platform != "linux" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def page_that_leads_to(link: str, folder: Path) -> Path:
    """A file that only this user can read, in the place of a command line, which all users of a machine can."""
    handle, name = tempfile.mkstemp(".html", "open-", folder)
    with open(handle, "w") as file:
        file.write('<!doctype html><meta name="referrer" content="no-referrer">\n')
        file.write(f'<meta http-equiv="refresh" content="0; url={link}">\n')
    return Path(name)


def serve(session: Session, options: argparse.Namespace) -> None:
    """Answer until Ctrl-C or SIGTERM. Raises DataError where the port is taken."""
    session.next(None, peek=True)  # the first picture is read while what serves it is loaded
    from labelling.server import Server

    page = ExitStack()  # removes what leads the browser to the link

    def entered() -> None:
        page.close()
        with suppress(OSError):  # the terminal is gone; the window opens all the same
            print(f"for another window: {server.link}", flush=True)

    try:
        server = Server((options.host, options.port), session, options.served_as, entered)
    except OSError as error:
        raise DataError(f"--port {options.port}: cannot be opened ({error.strerror}); choose another") from None
    if options.host != LOCAL:
        print(WARNING.format(host=options.host, port=options.port), file=sys.stderr)
    print(f"{server.link}\n{len(session.collection.paths)} radiographs, reader {session.options.reader}; Ctrl-C ends", flush=True)
    session.begin()
    with page, suppress(KeyboardInterrupt):
        if options.browser and has_screen():
            path = page_that_leads_to(server.link, session.labels)
            page.callback(path.unlink, missing_ok=True)
            threading.Thread(target=webbrowser.open, args=(path.resolve().as_uri(),), daemon=True).start()
        server.run()


def run(options: argparse.Namespace) -> None:
    names = names_from(options.landmarks, options.names)
    if not re.fullmatch(r"\w[\w-]{0,39}", options.reader) or options.reader == SETTLED:
        raise DataError(f"--reader: expected a name of letters and digits other than {SETTLED}, found {options.reader!r}")
    if options.propose and not options.propose.is_file():
        raise DataError(f"{options.propose}: no such file; --propose takes weights that export.py wrote")
    reviewed = None
    if options.review:
        reviewed, of_review = review(options.review, options.raw)
        names = names or of_review
    collection = open_collection(options.raw, names, options.labels)
    if options.review and (other := moved(collection.names, of_review)):
        raise DataError(f"{options.review}: expected the landmarks in the order of the labels, found {other}; review another")
    flags = Flags(options.prepare_flags, options.train_flags, options.export_flags)
    chosen = Options(options.reader, options.propose, flags, options.folds, options.again, not options.all_proposals)
    with closing(Session(collection, chosen, reviewed, to_read=bool(options.export))) as session:
        if options.export:
            export(session, options.export)
        else:
            serve(session, options)


def main(arguments: list[str] | None = None) -> int:
    parser = parser_of(__doc__, allow_abbrev=False)
    add = parser.add_argument
    add("--raw", type=Path, default=Path("dataset"), help="folder of radiographs, or of train, valid and test")
    add("--landmarks", help="of a set without a table: hand, or how many")
    add("--names", help="of the landmarks, separated by commas, instead of --landmarks")
    add("--labels", type=Path, metavar="FOLDER", help="where everything is kept; none: RAW/labels")
    add("--reader", default=MAIN, help="who works; readers do not see each other's points")
    add("--propose", type=Path, metavar="WEIGHTS", help="weights from export.py that propose landmarks")
    add("--review", type=Path, metavar="FOLDER", help="predictions of predict.py to look through")
    add("--export", type=Path, metavar="TABLE", help="write what the reader has done into a new table, and end")
    add("--port", type=int, default=PORT)
    add("--no-browser", dest="browser", action="store_false", help="only print the address")
    add("--host", default=LOCAL, help="address to listen at; other than 127.0.0.1, other machines can reach it")
    add("--served-as", action="append", default=[], metavar="NAME:PORT", help="what browsers ask for, where a proxy leads here")
    add("--no-again", dest="again", action="store_false", help="no radiograph comes a second time")
    add("--all-proposals", action="store_true", help="show them on every radiograph, also where their pull is measured")
    for what, script in (("train", "main.py"), ("prepare", "data_preprocessing.py"), ("export", "export.py")):
        flag, words = f"--{what}-flags", f"of {script}, for training from the page"
        add(flag, type=shlex.split, default=[], help=words)
    add("--folds", type=int, default=3, help="of a round's cross-validation, each a training; 0: none")
    options = parser.parse_args(arguments)
    if not 0 <= options.port <= 65535:
        parser.error("expected --port from 0 to 65535")
    if options.folds != 0 and not 2 <= options.folds < FEWEST:
        parser.error(f"expected --folds from 2 to {FEWEST - 1}, or 0 for no cross-validation")
    return exit_status(lambda: run(options))


if __name__ == "__main__":
    raise SystemExit(main())
