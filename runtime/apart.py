"""A function in a process of its own that is asked again and again: a call that kills the process costs only itself.

The process imports the function's module and nothing else of the program, so that it starts fast and stays small. It ends with
its main process, however that ends, since its input ends then.
"""

import os
import pickle
import signal
import subprocess
import sys
from importlib import import_module
from pathlib import Path

from runtime.files import DataError

ROOT = Path(__file__).resolve().parents[1]


class Apart:
    """`Apart("radiographs.reading", "read_radiograph")(path)` -> what the function returns, or the exception that it raises.

    Where the process dies of a call, DataError says so with the call's first argument, and the next call has a new process.
    One thread at a time may ask.
    """

    def __init__(self, module: str, function: str):
        self.command = [sys.executable, "-P", "-m", "runtime.apart", module, function]
        self.start()

    def start(self) -> None:
        paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self.process = subprocess.Popen(self.command, **pipes, env=os.environ | {"PYTHONPATH": paths})

    def __call__(self, *arguments):
        try:
            pickle.dump(arguments, self.process.stdin)
            self.process.stdin.flush()
            answer, error = pickle.load(self.process.stdout)
        except (EOFError, BrokenPipeError, pickle.UnpicklingError):
            self.close()
            code = self.process.returncode
            self.start()
            raise DataError(f"{arguments[0]}: {how_it_died(code)}") from None
        except Exception:  # as of want of memory for the answer, whose rest the next one would be taken for
            self.close()
            self.start()
            raise
        if error is not None:
            raise error
        return answer

    def close(self) -> None:
        try:
            self.process.stdin.close()
        except BrokenPipeError:  # what it was asked last is still on its way
            pass
        self.process.stdout.close()
        self.process.wait()


def how_it_died(code: int) -> str:
    """What an exit code of a process says, in words for the one who gave it the file."""
    if hasattr(signal, "SIGKILL") and code == -signal.SIGKILL:
        return "its process was killed, most likely for want of memory; close other programs, or make the file smaller"
    how = signal.strsignal(-code) if code < 0 else f"status {code}"
    return f"its process died ({how}), most likely of a damaged file; replace or remove it"


def serve(module: str, function: str) -> None:
    """Answer calls from standard input until it ends. Whatever else is printed goes to standard error."""
    for ending in (signal.SIGINT, signal.SIGTERM):  # are for the main process, and reach its whole group
        signal.signal(ending, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    work = getattr(import_module(module), function)
    while True:
        try:
            arguments = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        try:
            answer = work(*arguments), None
        except Exception as error:
            answer = None, error
        try:
            pickle.dump(answer, answers, pickle.HIGHEST_PROTOCOL)
            answers.flush()
        except BrokenPipeError:  # nobody waits any more
            return


if __name__ == "__main__":
    serve(*sys.argv[1:])
