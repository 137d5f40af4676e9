"""Killed, starved and misled: nothing whole is lost, nothing half is taken for whole. KILLS=50 kills more often."""

import hashlib
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from conftest import ROOT, SMALL_RUN, preprocess

KILLS = int(os.environ.get("KILLS", 2))
RUN = [*SMALL_RUN, "--stages", "32x2 64x4"]

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")


def contents(folder: Path) -> dict[str, str]:
    """A digest of each file; of checkpoints of their weights, since a file tells when it was made."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix in (".png", ".npz", ".csv", ".json") and path.name not in ("metrics.csv", "curves.png"):
            found[str(path.relative_to(folder))] = hashlib.sha256(path.read_bytes()).hexdigest()
        if path.suffix == ".pt" and path.name != "previous.pt":
            weights = torch.load(path, weights_only=True)["weights"]
            together = torch.cat([weight.ravel() for weight in weights.values()]).numpy().tobytes()
            found[str(path.relative_to(folder))] = hashlib.sha256(together).hexdigest()
    return found


def spawn(*arguments: object, **more) -> subprocess.Popen:
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True, "start_new_session": True}
    return subprocess.Popen([sys.executable, *map(str, arguments)], cwd=ROOT, **quiet | more)


def kill_now_and_then(start, seconds: float, seed: int) -> int:
    """Start a command, kill it and its children at random moments, and at last let it end; returns the number of kills."""
    rng, kills = random.Random(seed), 0
    for _ in range(KILLS):
        process = start()
        try:
            process.wait(rng.uniform(0, seconds))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            kills += 1
        process.communicate()
    process = start()
    _, said = process.communicate()
    assert process.returncode == 0, said
    return kills


def test_killed_preparation_ends_as_an_uninterrupted_one(raw, tmp_path):
    began = time.perf_counter()
    assert preprocess(raw, tmp_path / "whole").returncode == 0
    seconds = time.perf_counter() - began
    command = ("data_preprocessing.py", "--raw", raw, "--out", tmp_path / "killed", "--size", 64, "--reference", "a1")
    kill_now_and_then(lambda: spawn(*command), seconds, seed=1)
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")
    assert not list((tmp_path / "killed").rglob("*.part"))


def test_killed_training_ends_as_an_uninterrupted_one(prepared, tmp_path):
    began = time.perf_counter()
    process = spawn("main.py", "--data", prepared, "--result", tmp_path / "whole", *RUN)
    assert process.wait() == 0
    seconds = time.perf_counter() - began

    def start() -> subprocess.Popen:
        result = tmp_path / "killed"
        resume = ["--resume"] if (result / "last.pt").exists() or (result / "previous.pt").exists() else []
        if not resume and result.exists():
            shutil.rmtree(result)  # killed before its first epoch
        return spawn("main.py", "--data", prepared, "--result", result, *RUN, *resume)

    kill_now_and_then(start, seconds, seed=2)
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")


@pytest.mark.parametrize("limit", [3_000, 100_000, 300_000])
def test_a_full_disk_is_named_and_loses_nothing(prepared, tmp_path, limit):
    """No file may grow beyond a limit: the table, the best or the last state cannot be written, and what was there stays."""
    result = tmp_path / "run"
    first = spawn("main.py", "--data", prepared, "--result", result, *SMALL_RUN, "--stages", "32x3")
    while not (result / "last.pt").exists():
        time.sleep(0.02)
        assert first.poll() is None
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    before = {name: torch.load(result / name, weights_only=True)["epoch"] for name in ("best.pt", "last.pt")}

    def starve() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    resumed = ("main.py", "--data", prepared, "--result", result, *SMALL_RUN, "--stages", "32x3", "--resume")
    if before["last.pt"] < 3:
        starved = spawn(*resumed, preexec_fn=starve)
        _, said = starved.communicate()
        assert starved.returncode == 1 and said.strip().count("\n") == 0 and str(result) in said, said
        states = [path for path in (result / "last.pt", result / "previous.pt") if path.exists()]
        assert any(torch.load(path, weights_only=True)["epoch"] >= before["last.pt"] for path in states)
    process = spawn(*resumed)
    _, said = process.communicate()
    assert process.returncode == 0, said


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root writes into read-only folders")
def test_a_read_only_folder_is_named(prepared, tmp_path):
    result = tmp_path / "run"
    result.mkdir()
    result.chmod(0o500)
    process = spawn("main.py", "--data", prepared, "--result", result, *SMALL_RUN, "--stages", "32x1")
    _, said = process.communicate()
    assert process.returncode == 1 and said.strip().count("\n") == 0 and str(result) in said


def test_two_runs_give_the_same_bytes(prepared, tmp_path):
    for name in ("one", "two"):
        assert spawn("main.py", "--data", prepared, "--result", tmp_path / name, *SMALL_RUN, "--stages", "32x2").wait() == 0
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
