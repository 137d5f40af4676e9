"""Jobs in processes of their own; one that makes its process die is found out, and the others go on."""

import sys
from collections import deque
from collections.abc import Callable, Iterator
from multiprocessing.connection import wait
from time import monotonic
from typing import TypeVar

from runtime.apart import Apart, WorkerKilled
from runtime.command import NO_MEMORY
from runtime.files import DataError

Job, Result = TypeVar("Job"), TypeVar("Result")


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
            for process in answered(list(busy)):
                job = busy.pop(process)
                alone = bool(again) and job is again[0]
                idle.append(process)
                try:
                    answer = process.answer()
                except WorkerKilled as error:
                    if not alone:
                        again.append(job)
                        continue
                    answer = error
                except DataError as error:
                    answer = error
                if alone:
                    again.popleft()
                    if not isinstance(answer, WorkerKilled):
                        workers = max(1, workers // 2)
                        said = f"a worker process died: most likely {NO_MEMORY}; going on with {workers} at a time"
                        print(said, file=sys.stderr)
                yield answer
    finally:
        for process in (*idle, *busy):
            process.close()


def answered(busy: list[Apart]) -> list[Apart]:
    """Wait for the first of some processes: those that have answered, died, or reached their limit of time."""
    ready = wait([process.pipe for process in busy], max(0, min(process.until for process in busy) - monotonic()))
    return [process for process in busy if process.pipe in ready or monotonic() >= process.until]
