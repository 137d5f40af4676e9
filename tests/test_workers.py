"""Jobs whose process dies, which fail or starve: told which, and the others are done."""

import errno
import faulthandler
import os
import signal
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import data_preprocessing
from data_preprocessing import Job, Settings, run
from runtime import apart
from runtime.apart import run_jobs
from runtime.files import DataError

LETTERS = list("abcdefghijklmnopqrstuvwxyz")
READ = data_preprocessing.prepare


def answers(function, workers: int = 3) -> tuple[list[str], list[str]]:
    """Of one job a letter: the results, sorted, and the errors."""
    given = list(run_jobs(function, LETTERS, workers, name=lambda letter: f"file {letter}"))
    errors = [str(answer) for answer in given if isinstance(answer, DataError)]
    return sorted(answer for answer in given if isinstance(answer, str)), errors


def without(*letters: str) -> list[str]:
    return [letter.upper() for letter in LETTERS if letter not in letters]


def upper(letter: str) -> str:
    if letter == "k":
        raise DataError("k: is no file")
    return letter.upper()


def crash() -> None:
    faulthandler.disable()  # pytest's, which would print where
    os.kill(os.getpid(), signal.SIGSEGV)


def segfault(bad: str, letter: str) -> str:
    if letter in bad:
        crash()
    return letter.upper()


def leave(letter: str) -> str:
    if letter == "k":
        os._exit(3)
    return letter.upper()


def killed(letter: str) -> str:
    if letter == "k":
        os.kill(os.getpid(), signal.SIGKILL)
    return letter.upper()


def killed_once(folder: Path, letter: str) -> str:
    (folder / f"{os.getpid()} {letter}").touch()
    if letter == "k" and not (folder / "killed").exists():
        (folder / "killed").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return letter.upper()


def full_disk(folder: Path, letter: str) -> str:
    (folder / letter).touch()
    if letter == "a":
        raise OSError(errno.ENOSPC, "No space left on device", "a.png")
    time.sleep(0.1)
    return letter.upper()


def no_memory(error: Exception, letter: str) -> str:
    if letter == "k":
        raise error
    return letter.upper()


def greedy(letter: str) -> str:
    return (letter * ((128 << 20) if letter == "k" else 1))[0].upper()


def hang(letter: str) -> str:
    if letter == "k":
        time.sleep(60)
    return letter.upper()


def wrong(letter: str) -> str:
    return str(1 / 0)


def test_a_mistake_is_an_answer():
    assert answers(upper) == (without("k"), ["k: is no file"])


linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps to a limit of memory")
posix = pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGSEGV and no SIGKILL to send")


@pytest.mark.slow
@posix
@pytest.mark.parametrize("bad", ["k", "a", "akz", "abcdefghijk"])
@pytest.mark.parametrize("workers", [1, 3])
def test_a_job_that_kills_its_process_is_named_and_the_others_are_done(bad, workers):
    done, errors = answers(partial(segfault, bad), workers)
    assert done == without(*bad)
    assert sorted(error.partition(":")[0] for error in errors) == [f"file {letter}" for letter in bad]
    assert all("its process died (Segmentation fault" in error and "memory" not in error for error in errors)


def test_a_job_that_ends_its_process_is_named():
    done, (error,) = answers(leave)
    assert done == without("k") and error.startswith("file k: its process died (status 3)")


@posix
def test_a_job_that_is_killed_again_when_alone_wants_too_much_memory(capfd):
    done, (error,) = answers(killed)
    assert done == without("k") and error.startswith("file k: its process was killed, most likely for want of memory")
    assert "going on" not in capfd.readouterr().err


@posix
@pytest.mark.parametrize(("workers", "then"), [(4, 2), (1, 1)])
def test_where_jobs_lack_memory_only_together_fewer_go_on(tmp_path, capfd, workers, then):
    assert answers(partial(killed_once, tmp_path), workers) == (without(), [])
    said = capfd.readouterr().err
    assert said == f"a worker process died: most likely not enough memory; going on with {then} at a time\n"


def test_a_full_disk_ends_all_at_once(tmp_path):
    """Only what the processes have begun and what lies in their queue is still done."""
    with pytest.raises(OSError, match="No space left"):
        answers(partial(full_disk, tmp_path), workers=2)
    assert len(list(tmp_path.iterdir())) <= 2 * 2 + 2


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")])
def test_want_of_memory_costs_the_job_alone(error):
    done, (said,) = answers(partial(no_memory, error))
    assert done == without("k") and said.startswith("file k: needs more memory than there is")


@linux
def test_a_job_has_a_limit_of_memory(monkeypatch):
    monkeypatch.setattr(apart, "MEMORY", 64 << 20)
    done, (said,) = answers(greedy)
    assert done == without("k") and said.startswith("file k: needs more memory than there is")


def test_a_job_has_a_limit_of_time(monkeypatch):
    monkeypatch.setattr(apart, "SECONDS", 0.5)
    done, (said,) = answers(hang)
    assert done == without("k") and said.startswith("file k: was not read within 0.5 s")


def test_another_error_ends_all():
    with pytest.raises(ZeroDivisionError):
        answers(wrong)


def prepare_unless_a3(job) -> dict:
    if job.id == "a3":
        crash()
    return READ(job)


@posix
def test_a_reader_that_dies_of_one_radiograph_costs_only_that_one(raw, tmp_path, monkeypatch):
    monkeypatch.setattr(data_preprocessing, "prepare", prepare_unless_a3)
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(DataError) as error:
        run(raw, out, Settings(64, 2.0, "a1"), workers=2)
    named, count = str(error.value).splitlines()
    assert named.startswith(f"{raw / 'train' / 'a3.png'}: its process died") and count.startswith("1 problems")
    assert sorted(path.stem for path in out.rglob("*.png")) == ["a1", "a2", "a4", "b1", "b2", "c1", "c2"]
    assert not (out / "landmarks.csv").exists()
    monkeypatch.undo()
    run(raw, out, Settings(64, 2.0, "a1"), workers=2)
    assert (out / "landmarks.csv").exists()


def test_a_file_that_may_not_be_read_is_named(raw, tmp_path, monkeypatch):
    """As `chmod 000` makes it for anybody but root."""
    read = Path.read_bytes

    def refused(path: Path) -> bytes:
        if path.name == "a3.png":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", refused)
    path, settings = raw / "train" / "a3.png", Settings(64, 2.0, "none")
    job = Job("a3", "train", path, np.zeros((1, 2)), settings, None, tmp_path)
    with pytest.raises(DataError, match=r"a3.png: cannot be read \(Permission denied\)"):
        READ(job)
