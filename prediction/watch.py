"""A folder that radiographs keep arriving in: each is predicted once, when its file has stopped changing."""

import os
import sys
from argparse import Namespace
from collections.abc import Callable
from time import sleep

from prediction.journal import state_of
from prediction.listing import FOUND_NONE, find
from radiographs.raw_folder import JOURNAL
from runtime.command import heed_signals
from runtime.files import DataError, write_whole

EVERY = 2.0  # seconds between two looks; a file whose size and time stay the same between them is whole
ARRIVED = "arrived.txt"  # in the journal: the list of files that is predicted


def watch(options: Namespace, check: Callable[[Namespace], object], predict: Callable[[Namespace], object]) -> int:
    """Call `predict` with the list of all whole files as its input, whenever one came or changed; 0 after SIGTERM or Ctrl-C.

    `options` are those of predict.py. Raises DataError where an input is no folder, and what `check` raises of them.
    """
    folders, out = options.inputs, options.out
    options.watched = folders
    options.inputs = [f"@{out / JOURNAL / ARRIVED}"]
    if strange := [folder for folder in folders if not os.path.isdir(folder)]:
        raise DataError(f"{strange[0]}: expected a folder to watch, found none; make it first")
    check(options)
    before, list_of = {}, out / JOURNAL / ARRIVED  # in the first look nothing is known to be whole
    done = dict.fromkeys(map(os.fsdecode, list_of.read_bytes().split(b"\n")), 0) if list_of.exists() else {}
    listed, said = done, set()  # what the tables hold now, of all that was done so far
    try:
        while True:
            errors: list[str] = []
            now = {os.path.abspath(item.path): state_of(item.path) for item in find(folders, out, [], errors, lambda _: None)}
            errors = [error for error in errors if not error.endswith(FOUND_NONE)]
            errors += [f"{path!r}: expected a name of one line, found several; rename it" for path in now if "\n" in path]
            for error in errors:
                if error not in said:
                    print(error, file=sys.stderr, flush=True)
            said = set(errors)
            whole = {path: state for path, state in now.items() if before.get(path) == state and "\n" not in path}
            before = now
            whole |= {path: state for path, state in done.items() if path not in now}  # moved on, and stay in the table
            if any(listed.get(path) != state for path, state in whole.items()):
                list_of.parent.mkdir(parents=True, exist_ok=True)
                write_whole(list_of, b"\n".join(map(os.fsencode, sorted(whole))))
                predict(options)
                listed, done = whole, done | whole
            heed_signals()
            sleep(EVERY)
    except KeyboardInterrupt:
        print(f"stopped; the same command goes on with {out}")
        return 0
