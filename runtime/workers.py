"""Jobs in worker processes; a job that makes its process die is found out, and the others go on."""

import multiprocessing
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import Connection
from typing import TypeVar

from runtime.apart import how_it_died
from runtime.command import NO_MEMORY, start_worker
from runtime.files import DataError

Job, Result = TypeVar("Job"), TypeVar("Result")


def work_off(
    function: Callable[[Job], Result], jobs: list[Job], workers: int, name: Callable[[Job], object]
) -> Iterator[Result | DataError]:
    """What `function` returns for each job, or the DataError that it raises, in the order in which they end.

    Any other error ends all at once: jobs that have not begun are dropped. Where a process dies, the jobs that it may have had
    are done again, each in a process of its own, and the one that kills that too gets a DataError with its `name`. If none
    does, it was most likely memory that lacked, and half as many processes go on.
    """
    while jobs:
        left = dict.fromkeys(range(len(jobs)))  # numbers of the jobs without an answer, in their order
        with ProcessPoolExecutor(workers, initializer=start_worker) as pool:
            try:
                futures = submit(pool, function, jobs)
                for future in as_completed(futures):
                    try:
                        answer = future.result()
                    except BrokenProcessPool:
                        continue
                    except DataError as error:
                        answer = error
                    del left[futures.pop(future)]
                    yield answer
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        jobs = [jobs[number] for number in left]
        begun, jobs = jobs[: 2 * workers + 1], jobs[2 * workers + 1 :]  # one in each process, the others in their queue
        died = False
        for job in begun:
            answer = alone(function, job, name)
            died |= isinstance(answer, Died)
            yield answer
        if begun and not died:
            workers = max(1, workers // 2)
            print(f"a worker process died: most likely {NO_MEMORY}; going on with {workers} at a time", file=sys.stderr)


def submit(pool: ProcessPoolExecutor, function: Callable[[Job], Result], jobs: list[Job]) -> dict[Future, int]:
    """The numbers of the jobs that a pool takes before one of its processes dies."""
    futures = {}
    for number, job in enumerate(jobs):
        try:
            futures[pool.submit(function, job)] = number
        except BrokenProcessPool:
            break
    return futures


class Died(DataError):
    """A job made its process die."""


def alone(function: Callable[[Job], Result], job: Job, name: Callable[[Job], object]) -> Result | DataError:
    """What `function` returns for a job, or the DataError that it raises, in a process of its own; Died where that dies."""
    receiver, sender = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.Process(target=answer_to, args=(sender, function, job))
    process.start()
    sender.close()
    try:
        answer, error = receiver.recv()
    except (EOFError, OSError):
        process.join()
        return Died(f"{name(job)}: {how_it_died(process.exitcode)}")
    process.join()
    if error is not None and not isinstance(error, DataError):
        raise error
    return answer if error is None else error


def answer_to(sender: Connection, function: Callable[[Job], Result], job: Job) -> None:
    start_worker()
    try:
        answer = function(job), None
    except Exception as error:
        answer = None, error
    sender.send(answer)
