"""What the commands share: how their flags are read, one line for a mistake, an exit status, one run at a time in a folder."""

import argparse
import errno
import math
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO

from runtime.apart import lacks_memory
from runtime.files import DataError
from runtime.version import VERSION

try:
    import fcntl
except ImportError:  # Windows, where two runs in one folder are not noticed
    fcntl = None

FEWER_WORKERS = "close other programs, or ask for fewer --workers"  # of commands that have this flag
LOCK = ".lock"  # of a folder that a run writes into
NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP}  # what file systems without locks answer
SIGNALLED = threading.Event()  # that the command is to end
CONTROL_GROUPS, OWN_GROUPS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")  # by which Linux limits containers


def parser_of(description: str | None, **more) -> argparse.ArgumentParser:
    """What reads a command's flags, with --version among them; `description` is shown as it is written."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter, **more)
    parser.add_argument("--version", action="version", version=f"SpatialConfiguration-Net {VERSION}")
    return parser


def need_package(name: str, flag: str) -> None:
    """Raises DataError where an optional package that a flag asks for is missing."""
    if find_spec(name) is None:
        raise DataError(f"{flag}: needs the package {name}, which is not installed; pip install {name}")


def exit_status(
    work: Callable[[], int | None], interrupted: str = "interrupted", less_memory: str = "close other programs"
) -> int:
    """Run a command: 0 or what `work` returns; 1 after a mistake, on a failing disk or without memory, told in one line; 130 when
    interrupted.

    `less_memory` says what to do where memory lacks, by flags that the command has. SIGTERM, by which schedulers end a job, is
    taken as Ctrl-C.
    """
    SIGNALLED.clear()
    for sent in (signal.SIGTERM, signal.SIGINT):
        if signal.getsignal(sent) != signal.SIG_IGN:
            signal.signal(sent, interrupt)
    try:
        return work() or 0
    except DataError as error:
        print(error, file=sys.stderr)
    except OSError as error:
        print(f"{error.filename}: {error.strerror}" if error.filename else str(error), file=sys.stderr)
    except (MemoryError, RuntimeError) as error:
        killed = isinstance(error, BrokenExecutor)  # most likely by the system, for want of memory
        if not killed and not lacks_memory(error):
            raise
        died = "a worker process died: most likely " if killed else ""
        print(f"{died}not enough memory; {less_memory}", file=sys.stderr)
    except KeyboardInterrupt:
        print(interrupted, file=sys.stderr)
        return 130
    return 1


def interrupt(sent: int, frame: object) -> None:
    """Python drops an exception that is raised while a destructor runs; so what was sent is also kept, for `heed_signals`."""
    SIGNALLED.set()
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a second Ctrl-C ends the command at once, without a traceback
    raise KeyboardInterrupt


def heed_signals() -> None:
    """For long work now and then. Raises KeyboardInterrupt where a signal came whose exception was dropped."""
    if SIGNALLED.is_set():
        raise KeyboardInterrupt


def cores() -> int:
    """How many this process may use: a scheduler or a container may have given it less than the machine has."""
    given = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(given, math.ceil(min(quotas(), default=given))))


def quotas() -> Iterator[float]:
    """The limits on this process in cores, those of the control groups that it is in: none outside Linux and its containers."""
    for controllers, place in re.findall(r"^[^:\n]*:([^:\n]*):(.*)$", text_of(OWN_GROUPS), re.MULTILINE):
        if controllers and "cpu" not in controllers.split(","):
            continue
        groups = CONTROL_GROUPS / "cpu" if controllers else CONTROL_GROUPS  # of version 1 and of version 2
        parts = [part for part in place.split("/") if part not in ("", "..")]
        for folder in (groups.joinpath(*parts[:depth]) for depth in range(len(parts) + 1)):
            given = text_of(folder / "cpu.max") or text_of(folder / "cpu.cfs_quota_us") + text_of(folder / "cpu.cfs_period_us")
            try:
                quota, period = map(int, given.split())
            except ValueError:  # no such limit
                continue
            if quota > 0 and period > 0:
                yield quota / period


def text_of(path: Path) -> str:
    """What a small file says; nothing where it cannot be read."""
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


@contextmanager
def alone_in(folder: Path, name: str = LOCK, shared: bool = False) -> Iterator[None]:
    """Make a folder and keep other runs of this program out of it. The lock goes with the process, however that ends.

    `shared`: out of it are only those that want it for themselves. Locks of several names know nothing of each other.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise DataError(f"{folder}: expected a folder, found a file; choose another name") from None
    if fcntl is None:  # and an open file cannot be removed
        yield
        return
    held = hold(folder / name, shared)
    if held is None:
        raise DataError(f"{folder}: another run is writing there; wait for it, or choose another folder")
    with held:
        try:
            yield
        finally:
            if not shared:  # else another one may still hold it
                (folder / name).unlink(missing_ok=True)


def hold(path: Path, shared: bool = False) -> BinaryIO | None:
    """A lock that goes with this process, however that ends; None where another process has it. A file system without is said."""
    file = open(path, "wb")
    try:
        if not flock(file, "LOCK_SH" if shared else "LOCK_EX", "LOCK_NB"):
            print(f"{path.parent}: its file system has no locks; see to it that no second run writes there", file=sys.stderr)
        if os.fstat(file.fileno()).st_nlink == 0:  # the run that held it has just removed it
            raise BlockingIOError
        return file
    except BlockingIOError:
        file.close()
        return None


def flock(file: BinaryIO, *flags: str) -> bool:
    """Lock a file by flags of fcntl; returns whether its file system has locks."""
    try:
        if fcntl:
            fcntl.flock(file, sum(getattr(fcntl, flag) for flag in flags))
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        return False
    return True
