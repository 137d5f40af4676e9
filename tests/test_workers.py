"""Jobs whose process dies, which fail or starve: told which, and the others are done."""

import errno
import faulthandler
import os
import signal
import sys
import threading
import time
from concurrent.futures import CancelledError, ThreadPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from dying_reader import read_or_die
from threadpoolctl import threadpool_info

import data_preprocessing
from data_preprocessing import Job, Settings, run
from runtime import apart
from runtime.apart import Apart, run_jobs
from runtime.files import DataError

LETTERS = list("abcdefghijklmnopqrstuvwxyz")
READ = data_preprocessing.prepare
TOO_LARGE = "file k: needs more memory than there is"
SEGFAULT = "its process died (Segmentation fault"

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps to a limit of memory")
posix = pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGSEGV and no SIGKILL to send")


def hurry(monkeypatch, bad: str) -> None:
    """The bad file has a second instead of `SECONDS`; the others have all their time, which they need on a busy machine."""

    def ask(reader: Apart, *arguments, usual=Apart.ask) -> None:
        usual(reader, *arguments)
        if bad in str(arguments[0]):
            reader.until = time.monotonic() + 1

    monkeypatch.setattr(Apart, "ask", ask)


def answers(action, bad: str = "k", workers: int = 3) -> tuple[list[str], list[str]]:
    """Of one job a letter, of which the bad ones do something: the results, sorted, and the errors."""
    given = list(run_jobs(partial(job, action, bad), LETTERS, workers, name=lambda letter: f"file {letter}"))
    errors = [str(answer) for answer in given if isinstance(answer, DataError)]
    return sorted(answer for answer in given if isinstance(answer, str)), errors


def job(action, bad: str, letter: str) -> str:
    if letter in bad:
        action()
    return letter.upper()


def test_numpy_has_one_thread_in_each_process():
    """Its own threads, for every product of matrices, would spin on the cores of the other processes."""
    (threads,) = run_jobs(threads_of_numpy, "a", workers=1, name=str)
    assert threads and set(threads) == {1}


def threads_of_numpy(_: str) -> list[int]:
    return [one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"]


def without(letters: str) -> list[str]:
    return [letter.upper() for letter in LETTERS if letter not in letters]


def fail(error: Exception) -> None:
    raise error


def die(sent: int) -> None:
    faulthandler.disable()  # pytest's, which would print where
    os.kill(os.getpid(), sent)


def die_once(sent: int, path: Path) -> None:
    if not path.exists():
        path.touch()
        die(sent)


@posix
@pytest.mark.parametrize(
    ("action", "expected"),
    [
        (partial(fail, DataError("k: is no file")), "k: is no file"),
        (partial(os._exit, 3), "file k: its process died (status 3)"),
        (partial(die, 9), "file k: its process was killed, most likely for want of memory"),  # again when alone
        (partial(fail, MemoryError()), TOO_LARGE),
        (partial(fail, RuntimeError("DefaultCPUAllocator: can't allocate memory")), TOO_LARGE),
        pytest.param(partial(bytearray, 1 << 30), TOO_LARGE, marks=linux),
        (partial(time.sleep, 60), "file k: was not read within 120 s"),
    ],
)
def test_what_ends_a_job_is_named_and_costs_it_alone(action, expected, monkeypatch, capfd):
    monkeypatch.setattr(apart, "MEMORY", 64 << 20)
    hurry(monkeypatch, "k")
    done, (said,) = answers(action)
    assert done == without("k") and said.startswith(expected) and "going on" not in capfd.readouterr().err


@posix
@pytest.mark.parametrize(("bad", "workers"), [("k", 1), ("abcdez", 3)])
def test_jobs_that_kill_their_processes_are_named_and_the_others_are_done(bad, workers):
    done, errors = answers(partial(die, signal.SIGSEGV), bad, workers)
    assert done == without(bad)
    assert sorted(error.partition(":")[0] for error in errors) == [f"file {letter}" for letter in bad]
    assert all(SEGFAULT in error and "memory" not in error for error in errors)


@posix
@pytest.mark.parametrize(("workers", "then"), [(4, 2), (1, 1)])
def test_where_jobs_lack_memory_only_together_fewer_go_on(tmp_path, capfd, workers, then):
    assert answers(partial(die_once, 9, tmp_path / "killed"), workers=workers) == (without(""), [])
    said = capfd.readouterr().err
    assert said == f"a worker process died: most likely not enough memory; going on with {then} at a time\n"


def full_disk(folder: Path, letter: str) -> None:
    (folder / letter).touch()
    if letter == "a":
        raise OSError(errno.ENOSPC, "No space left on device", "a.png")


def test_another_error_ends_all_at_once(tmp_path):
    """As a full disk: only what the processes have begun is still done."""
    with pytest.raises(OSError, match="No space left"):
        list(run_jobs(partial(full_disk, tmp_path), LETTERS, 1, name=str))
    assert len(list(tmp_path.iterdir())) == 1


def hang(folder: Path, _: str) -> None:
    (folder / str(os.getpid())).touch()
    time.sleep(100)


def hang_in_workers(folder: Path) -> None:
    list(run_jobs(partial(hang, folder), LETTERS, 2, name=str))


@linux
def test_workers_end_with_a_killed_main_process(tmp_path):
    def within_a_minute(condition) -> bool:
        until = time.monotonic() + 60
        while not condition() and time.monotonic() < until:
            time.sleep(0.02)
        return condition()

    main = get_context("fork").Process(target=hang_in_workers, args=(tmp_path,))
    main.start()
    assert within_a_minute(lambda: len(list(tmp_path.iterdir())) == 2)
    main.kill()
    main.join()
    ended = [Path("/proc", path.name, "fd") for path in tmp_path.iterdir()]  # which a process has not that nobody has waited for
    assert within_a_minute(lambda: not any(folder.exists() for folder in ended))


@posix
def test_a_file_that_kills_its_reader_costs_itself_alone(monkeypatch):
    """Also where the process imports the reader anew."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    reader = Apart(read_or_die)
    assert reader(Path("a")) == "a"
    memory = "needs more memory"
    for name, expected in (("dies", SEGFAULT), ("leaves", "status 3"), ("wrong", "wrong"), ("large", memory)):
        with pytest.raises(DataError, match=f"{name}: ") as error:
            reader(Path(name))
        assert expected in str(error.value)
        assert reader(Path("b")) == "b"
    for ending in (signal.SIGTERM, signal.SIGINT):  # as a cluster, or Ctrl-C, sends to all processes of a job
        os.kill(reader.process.pid, ending)
        assert reader(Path("c")) == "c"
    reader.close()
    with pytest.raises(CancelledError):
        reader(Path("d"))


@posix
def test_a_process_is_ended_also_while_it_is_started(monkeypatch):
    """Of all that closes and starts at once, one sees the other: nobody waits for a file that hangs."""
    reader, starting = Apart(time.sleep, fork=True), threading.Event()

    def slow_start(start=reader.start) -> None:
        starting.set()
        time.sleep(0.3)
        start()

    monkeypatch.setattr(reader, "start", slow_start)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(reader, 60)
        assert starting.wait(10)
        reader.close()
        with pytest.raises(CancelledError):
            asked.result(20)
    assert reader.process is None


def prepare_unless_a3(job) -> dict:
    if job.id == "a3":
        die(signal.SIGSEGV)
    return READ(job)


@posix
def test_a_reader_that_dies_of_one_radiograph_costs_only_that_one(raw, tmp_path, monkeypatch):
    monkeypatch.setattr(data_preprocessing, "prepare", prepare_unless_a3)
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(DataError) as error:
        run(raw, out, Settings(64, 2.0, "a1"), workers=2)
    named, count = str(error.value).splitlines()
    assert named.startswith(f"{raw / 'train' / 'a3.png'}: {SEGFAULT}") and count.startswith("1 problems")
    assert sorted(path.stem for path in out.rglob("*.png")) == ["a1", "a2", "a4", "b1", "b2", "c1", "c2"]
    assert not (out / "landmarks.csv").exists()
    monkeypatch.undo()
    run(raw, out, Settings(64, 2.0, "a1"), workers=2)
    assert (out / "landmarks.csv").exists()


def test_a_file_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    """As `chmod 000` makes it for anybody but root."""
    path = tmp_path / "a3.png"
    path.touch()
    refusal = PermissionError(errno.EACCES, "Permission denied", str(path))
    monkeypatch.setattr(Path, "read_bytes", lambda _: fail(refusal))
    job = Job("a3", "train", path, np.zeros((1, 2)), Settings(64, 2.0, "none"), None, tmp_path)
    with pytest.raises(DataError, match=r"a3.png: cannot be read \(Permission denied\)"):
        READ(job)
