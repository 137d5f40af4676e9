"""What the commands share: how many cores there are, one run at a time in a folder."""

import errno
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

import data_preprocessing
import phantom.__main__ as phantom
import predict
from runtime import command
from runtime.command import exit_status, heed_signals
from runtime.files import DataError


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        ("0::/\n", {"cpu.max": "max 100000\n"}, 64),
        ("0::/\n", {"cpu.max": "400000 100000\n"}, 4),
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 2),
        ("0::/\n", {"cpu.max": "10000 100000\n"}, 1),
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000\n", "a/cpu.max": "300000 100000\n"}, 3),
        ("3:cpuset:/\n2:cpu,cpuacct:/docker/x\n", {"cpu/cpu.cfs_quota_us": "250000\n", "cpu/cpu.cfs_period_us": "50000\n"}, 5),
        ("2:cpu:/x\n0::/\n", {"cpu/x/cpu.cfs_quota_us": "200000\n", "cpu/x/cpu.cfs_period_us": "100000\n"}, 2),
        ("2:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 64),
        ("0::/../..\n", {"cpu.max": "700000 100000\n"}, 7),
        ("0::/\n", {"cpu.max": "a lot\n"}, 64),
        ("0::/\n", {"cpu.max": "400000 0\n"}, 64),
        ("0::/\n", {}, 64),
        ("nonsense\n", {"cpu.max": "400000 100000\n"}, 64),
        (None, {"cpu.max": "400000 100000\n"}, 64),
    ],
)
def test_cores_are_those_of_the_scheduler_and_of_the_container(tmp_path, monkeypatch, groups, files, expected):
    """Control groups of version 2 (cpu.max) and 1 (cpu.cfs_quota_us), of this process and around it."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    monkeypatch.setattr(command, "CONTROL_GROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(command, "OWN_GROUPS", tmp_path / "own")
    if groups is not None:
        (tmp_path / "own").write_text(groups)
    for name, text in files.items():
        (tmp_path / "cgroup" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "cgroup" / name).write_text(text)
    assert command.cores() == expected


def no_locks(number: int):
    def flock(*_) -> None:
        raise OSError(number, os.strerror(number))

    return flock


def lock_names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


@pytest.mark.skipif(command.fcntl is None, reason="Windows has no flock")
@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_where_the_file_system_has_no_locks_a_run_goes_on_with_a_warning(tmp_path, monkeypatch, capsys, number):
    monkeypatch.setattr(command.fcntl, "flock", no_locks(number))
    with command.alone_in(tmp_path / "out"):
        said = capsys.readouterr().err
        assert said.startswith(f"{tmp_path / 'out'}: ") and said.count("\n") == 1 and "no second run" in said
    assert lock_names(tmp_path / "out") == []


@pytest.mark.skipif(command.fcntl is None, reason="Windows has no flock")
def test_a_second_run_and_a_failing_disk_are_no_want_of_locks(tmp_path, monkeypatch):
    with command.alone_in(tmp_path), pytest.raises(DataError, match="another run is writing there"), command.alone_in(tmp_path):
        pass
    monkeypatch.setattr(command.fcntl, "flock", no_locks(errno.EIO))
    with pytest.raises(OSError, match=os.strerror(errno.EIO)), command.alone_in(tmp_path):
        pass


@pytest.mark.parametrize(
    ("main", "inner", "flags"),
    [
        pytest.param(data_preprocessing.main, "run", {"--workers"}, id="data_preprocessing"),
        pytest.param(phantom.main, "write_data_set", {"--workers"}, id="phantom"),
        pytest.param(predict.main, "run", set(), id="predict"),
    ],
)
def test_advice_names_flags_that_the_command_has(tmp_path, monkeypatch, capsys, main, inner, flags):
    def starve(*_, **__) -> None:
        raise MemoryError

    given = ["--out", str(tmp_path / "out")] + (["--raw", "raw"] if main is data_preprocessing.main else [])
    monkeypatch.setattr(sys, "argv", ["command", *given, *(["a.png"] if main is predict.main else [])])
    monkeypatch.setattr(sys.modules[main.__module__], inner, starve)
    assert main() == 1
    said = capsys.readouterr().err
    assert said.startswith("not enough memory; close other programs") and set(re.findall(r"--\w+", said)) == flags
    monkeypatch.setattr(sys, "argv", ["command", "--help"])
    with pytest.raises(SystemExit):
        main()
    assert flags <= set(re.findall(r"--\w+", capsys.readouterr().out))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_signal_whose_exception_a_destructor_drops_still_ends_the_command(capsys):
    class Dropping:
        def __del__(self):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1)  # the exception comes here, and Python drops it

    before = signal.getsignal(signal.SIGINT)

    def work():
        Dropping()
        heed_signals()
        return 7

    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        assert exit_status(work) == 130 and exit_status(lambda: heed_signals() or 3) == 3
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT to send")
def test_a_second_ctrl_c_ends_the_command_at_once_without_a_traceback():
    code = """
        import os, signal, time
        from runtime.command import exit_status
        signal.signal(signal.SIGINT, signal.default_int_handler)

        def work():
            try:
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(60)
            finally:  # what the first one lets end in order
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(60)

        exit_status(work)
    """
    ended = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=50)
    assert ended.returncode == -signal.SIGINT and ended.stderr == ""


def test_without_flock_no_lock_is_left_behind(tmp_path, monkeypatch):
    """As on Windows, where an open file cannot be removed."""
    monkeypatch.setattr(command, "fcntl", None)
    with command.alone_in(tmp_path / "out"):
        assert lock_names(tmp_path / "out") == []
    with open(tmp_path / "out" / "file", "wb") as file:
        assert command.flock(file, "LOCK_EX")
