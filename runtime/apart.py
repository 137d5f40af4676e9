"""Work in processes of its own, with limits of memory and time: the one door for files from outside.

A call that kills its process, or goes beyond a limit, costs only itself. pebble's pool is not used: its processes import the
whole command, which takes seconds with PyTorch, and their answers share one pipe and one thread.
"""

import os
import pickle
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import suppress
from importlib import import_module
from multiprocessing import Pipe, Process, parent_process
from multiprocessing.connection import Connection, wait
from pathlib import Path
from queue import SimpleQueue
from time import monotonic
from typing import TypeVar

from threadpoolctl import threadpool_limits

from runtime.files import DataError

try:
    import resource
except ImportError:  # Windows
    resource = None

ROOT = Path(__file__).resolve().parents[1]
MEMORY = 5 << 30  # bytes that a process may ask for beyond those it has at its start: 50 for each of MAX_PIXELS
SECONDS = 120  # for a call, which is a file
SIZES = Path("/proc/self/statm")  # of a process on Linux, in pages
TOO_LARGE = f"needs more memory than there is, or than {MEMORY >> 30} GB; make it smaller, or replace it if it is damaged"
Job, Result = TypeVar("Job"), TypeVar("Result")


class WorkerKilled(DataError):
    """The system ended a process, most likely for want of memory."""


class Apart:
    """A function in a process: `ask` for an answer and wait for it, or both by a call; one thread at a time.

    The process begins with the first call. It imports the function's module and nothing else of the command. `fork`: it is a copy
    of this one instead, where the system has that, and at once ready; for a process of one thread.
    """

    def __init__(self, function: Callable, fork: bool = False, name: Callable[[object], object] = lambda first: first):
        """`name` says of a call's first argument what file it is about."""
        self.function, self.fork, self.name = function, fork or os.name == "nt", name
        self.process, self.closed, self.lock = None, False, threading.Lock()

    def start(self) -> None:
        self.pipe, other = Pipe()
        if self.fork:
            self.process = Process(target=serve, args=(other, self.function), daemon=True)
            self.process.start()
        else:
            paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
            called = self.function.__module__, self.function.__name__, str(other.fileno())
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "runtime.apart", *called],
                pass_fds=[other.fileno()],
                env=os.environ | {"PYTHONPATH": paths},
                stdin=subprocess.DEVNULL,
                stdout=2,  # whatever is printed goes to standard error
            )
        other.close()

    def ask(self, *arguments) -> None:
        """Raises CancelledError once this is closed."""
        if self.process and self.pipe.poll():  # it died while it had nothing to do
            self.end()
        with self.lock:
            if self.closed:
                raise CancelledError
            if self.process is None:
                self.start()
        self.about, self.until = arguments[0], monotonic() + SECONDS
        with suppress(ConnectionError):  # `answer` says that it died
            send(self.pipe, arguments)

    def answer(self) -> object:
        """What the function returns or raises. Raises DataError beyond a limit, and where the process died."""
        try:
            if not self.pipe.poll(max(0, self.until - monotonic())):
                raise TimeoutError
            answer, error = receive(self.pipe)
        except Exception as failed:
            code, error = self.end(), failed
            if self.closed:
                raise CancelledError from None
            if isinstance(failed, TimeoutError):
                error = DataError(f"was not read within {SECONDS:g} s; copy it to a faster disk, or replace it if it is damaged")
            elif isinstance(failed, EOFError | ConnectionError | pickle.UnpicklingError):
                error = crash_error(code)
            if isinstance(error, DataError):
                error.args = (f"{self.name(self.about)}: {error}",)
        if lacks_memory(error):
            error = DataError(f"{self.name(self.about)}: {TOO_LARGE}")
        if error is not None:
            raise error
        return answer

    def __call__(self, *arguments) -> object:
        self.ask(*arguments)
        return self.answer()

    def end(self) -> int | None:
        """Kill the process and return its exit code, which is that of its death where it had died before; none without one."""
        with self.lock:
            process, self.process = self.process, None
        if process is None:
            return None
        process.kill()
        if isinstance(process, subprocess.Popen):
            return process.wait()
        process.join()
        return process.exitcode

    def close(self) -> None:
        """End at once. Any thread may call this; one that waits for an answer gets CancelledError."""
        self.closed = True
        self.end()  # also a process that another thread is starting


class Crew:
    """Several processes for a function, to be called by as many threads or more.

    `fork`: the first ones are copies of this process, made now, while it has one thread.
    """

    def __init__(self, function: Callable, count: int, fork: bool = False):
        self.members = [Apart(function, fork) for _ in range(count)]
        self.idle: SimpleQueue[Apart] = SimpleQueue()
        for member in self.members:
            if fork:
                member.start()
                member.fork = os.name == "nt"
            self.idle.put(member)

    def __call__(self, *arguments) -> object:
        """What the function returns or raises; DataError as `Apart` has it."""
        member = self.idle.get()
        try:
            return member(*arguments)
        finally:
            self.idle.put(member)

    def close(self) -> None:
        for member in self.members:
            member.close()


def run_jobs(
    function: Callable[[Job], Result], jobs: list[Job], workers: int, name: Callable[[Job], object]
) -> Iterator[Result | DataError]:
    """What `function` returns for each job, or the DataError that it raises, in the order in which they end.

    Any other error ends all at once. So does the end of the main process or of this iterator. A job beyond the limits of `Apart`,
    or whose process dies, gets a DataError with its `name`. One that the system kills is done again while no other is; if it
    ends well, it was most likely memory that lacked, and half as many go on.
    """
    left, again, busy = deque(jobs), deque(), {}
    idle = [Apart(function, fork=True, name=name) for _ in range(min(workers, len(jobs)))]
    try:
        while left or again or busy:
            while idle and (again or left) and len(busy) < (1 if again else workers):
                process = idle.pop()
                busy[process] = again[0] if again else left.popleft()
                process.ask(busy[process])
            wait([process.pipe for process in busy], max(0, min(process.until for process in busy) - monotonic()))
            for process in [one for one in busy if one.pipe.poll() or monotonic() >= one.until]:
                job = busy.pop(process)
                idle.append(process)
                alone = bool(again) and job is again[0]
                try:
                    answer = process.answer()
                except DataError as error:
                    answer = error
                killed = isinstance(answer, WorkerKilled)
                if killed and not alone:
                    again.append(job)
                    continue
                if alone:
                    again.popleft()
                    if not killed:
                        workers = max(1, workers // 2)
                        said = f"a worker process died: most likely not enough memory; going on with {workers} at a time"
                        print(said, file=sys.stderr)
                yield answer
    finally:
        for process in (*idle, *busy):
            process.close()


def crash_error(code: int) -> DataError:
    """What an exit code of a process says, in words for the one who gave it the file."""
    if hasattr(signal, "SIGKILL") and code == -signal.SIGKILL:
        return WorkerKilled(
            "its process was killed, most likely for want of memory; close other programs, or make the file smaller"
        )
    how = signal.strsignal(-code) if code < 0 else f"status {code}"
    return DataError(f"its process died ({how}), most likely of a damaged file; replace or remove it")


def lacks_memory(error: object) -> bool:
    """Whether an error, of whatever library, is for want of memory."""
    words = str(error).lower()
    return isinstance(error, MemoryError) or "out of memory" in words or "allocate memory" in words


def send(pipe: Connection, what: object) -> None:
    if os.name == "nt":
        return pipe.send(what)
    with open(pipe.fileno(), "wb", closefd=False) as file:  # three times as fast with large arrays as `pipe.send`
        pickle.dump(what, file, pickle.HIGHEST_PROTOCOL)


def receive(pipe: Connection) -> object:
    if os.name == "nt":
        return pipe.recv()
    with open(pipe.fileno(), "rb", closefd=False) as file:
        return pickle.load(file)


def start_worker(_: int = 0) -> None:
    """For every worker process, whatever its number: it fills one core, leaves Ctrl-C to the main process, and ends with that."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def leave() -> None:
        parent_process().join()
        os._exit(1)

    threading.Thread(target=leave, daemon=True).start()  # before anything that may take its time
    threadpool_limits(1, "blas")
    if torch := sys.modules.get("torch"):  # which label.py does without
        torch.set_num_threads(1)


def serve(pipe: Connection, function: Callable) -> None:
    """Answer calls until the pipe ends, as it does with the main process, however that ends."""
    if parent_process():
        start_worker()
    if SIZES.exists():  # on Linux; other systems do not keep to such a limit
        used = int(SIZES.read_text().split()[5]) * resource.getpagesize()
        hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
        wanted = used + MEMORY if hard == resource.RLIM_INFINITY else min(used + MEMORY, hard)
        resource.setrlimit(resource.RLIMIT_DATA, (wanted, hard))
    with suppress(EOFError, ConnectionError):  # nobody waits any more
        while True:
            arguments = receive(pipe)
            try:
                answer = function(*arguments), None
            except Exception as error:
                answer = None, error
            send(pipe, answer)


if __name__ == "__main__":
    for ending in (signal.SIGINT, signal.SIGTERM):  # are for the main process, and reach its whole group
        signal.signal(ending, signal.SIG_IGN)  # before the function's module is imported, which takes its time
    serve(Connection(int(sys.argv[3])), getattr(import_module(sys.argv[1]), sys.argv[2]))
