"""The folders of runs: result/001, result/002, ...: a new one for every training, the newest one to go on with."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from runtime import distributed
from runtime.checkpoint import read_checkpoint
from runtime.command import alone_in
from runtime.files import DataError
from training.settings import ASIDE, marked

RESULTS = Path("result")  # where runs are numbered, if no other folder is given
LAST, BEST = "last.pt", "best.pt"  # the state to resume from; that of the least validation IPE
PREVIOUS = "previous.pt"  # the last state but one, should last.pt be damaged
METRICS = "metrics.csv"
HELD_OUT, POOLED = "held_out", "out_of_fold"  # names of the tables of one fold, and of all together
WEIGHTS = "weights.pt"  # what export.py makes of the best
STATES = (LAST, PREVIOUS)


def numbered() -> list[Path]:
    """The folders with a number for a name, the newest last."""
    folders = RESULTS.iterdir() if RESULTS.is_dir() else []
    return sorted((path for path in folders if path.is_dir() and path.name.isdecimal()), key=lambda path: int(path.name))


def new_run() -> Path:
    """Make the next numbered folder; two runs that start together get two."""
    while True:
        folder = RESULTS / f"{1 + max((int(path.name) for path in numbered()), default=0):03d}"
        with suppress(FileExistsError):
            folder.mkdir(parents=True)
            return folder


@contextmanager
def working_in(folder: Path) -> Iterator[None]:
    """Keep other runs out of a folder; one that stays empty is not left behind, so that a mistake costs no number."""
    try:
        with alone_in(folder):
            yield
    finally:
        with suppress(OSError):  # the folder is not empty
            folder.rmdir()


def holds(folder: Path, *names: str | Path) -> bool:
    """Whether a folder has a file of one of these names."""
    return any((folder / name).exists() for name in names)


def newest_with(*names: str | Path) -> Path | None:
    """The newest run that holds a file of one of these names."""
    runs = [path for path in numbered() if holds(path, *names)]
    return runs[-1] if runs else None


def newest_run(*names: str | Path) -> Path:
    """The newest run that holds a file of one of these names. Raises DataError where there is none."""
    if run := newest_with(*names):
        return run
    raise DataError(f"{RESULTS}: expected a run with {' or '.join(map(str, names))}, found none; train first, or name a folder")


def folder_of(result: Path, fold: int) -> Path:
    """The folder of one fold's run; folds are counted from 1."""
    return result / f"fold_{fold}"


def checkpoint_of(run: str) -> Path:
    """The best network of a run's folder, or the file itself."""
    return Path(run, BEST) if Path(run).is_dir() else Path(run)


def folder_to_train_in(settings) -> Path:
    """The folder of a training: as told, or the next number, or to resume the newest one. Raises DataError."""
    to_resume = (*STATES, *(folder_of(Path(), 1) / name for name in STATES))
    if settings.resume:
        result = Path(settings.result or newest_run(*to_resume))
        if not holds(result, *to_resume):
            raise DataError(f"{result}: expected a run to go on with, found none; leave out --resume to begin, or name another")
        return result
    if not settings.result:
        return new_run() if distributed.FIRST else RESULTS  # the other processes write nothing
    result = Path(settings.result)
    for left in (result / name for name in (BEST, *to_resume)):
        if left.exists():
            raise DataError(f"{left}: an earlier run is there; go on with --resume, or choose another --result")
    return result


def list_runs(results: Path, defaults) -> list[str]:
    """A line for every run below a folder: settings other than the default ones, best validation IPE, test IPE."""
    folders = [path for path in sorted(results.glob("*")) if holds(path, BEST, LAST)]
    usual = {name: value for name, value in vars(defaults).items() if name not in marked(defaults, ASIDE)}
    lines = []
    for folder in sorted(folders, key=lambda path: (path.name.isdecimal() and int(path.name), path.name)):
        try:
            state = read_checkpoint(folder / (BEST if (folder / BEST).exists() else LAST))
        except DataError as error:
            lines.append(f"{folder.name:12s} {error}")
            continue
        tried, chosen = state["settings"], state["settings"].get("auto", "").split(",")
        differ = [key for key in tried if key in usual and key not in chosen and tried[key] != usual[key]]
        pooled = folder / f"{POOLED}.json"  # a cross-validation has no other validation
        valid = json.loads(pooled.read_text())["ipe_px"] if pooled.exists() else state["valid_ipe_px"]
        tested = folder / "test.json"
        test = json.loads(tested.read_text())["ipe_px"] if tested.exists() else None
        valid, test = ("-" if value is None else f"{value:.3f}" for value in (valid, test))
        best = f"{folder.name:12s} {state['epoch']:5d} {valid:>10s}"
        given = " ".join(f"--{key} {json.dumps(tried[key])}" for key in differ)
        lines.append(f"{best} {test:>8s}   {given or 'the defaults'}")
    return lines
