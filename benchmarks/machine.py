"""What the benchmarks share: seconds as medians, peak memory of commands, and this machine's rate to compare them with."""

import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F

ROOT = Path(__file__).resolve().parents[1]
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
LOOK_EVERY_S = 0.1  # seconds between two looks at the memory of a command


def name() -> str:
    if DEVICE.type == "cuda":
        return torch.cuda.get_device_name()
    model = re.search(r"^model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return f"{model[1] if model else 'CPU'}, {torch.get_num_threads()} threads"


def seconds(*work: Callable[[], object], repeats: int = 5) -> list[float]:
    """Median seconds of each piece of work, the pieces taking turns, after one run each to warm up."""
    times: list[list[float]] = [[] for _ in work]
    for turn in range(repeats + 1):
        for piece, taken in zip(work, times):
            start = time.perf_counter()
            piece()
            if DEVICE.type == "cuda":
                torch.cuda.synchronize()
            if turn:
                taken.append(time.perf_counter() - start)
    return [statistics.median(taken) for taken in times]


def large_convolution(dtype: torch.dtype, channels: int = 64) -> tuple[Callable[[], object], float]:
    """A 5 x 5 convolution, with 64 channels the network's own kind, and its floating point operations."""
    x = torch.randn(4, channels, 128, 128, device=DEVICE, dtype=dtype).to(memory_format=torch.channels_last)
    kernel = torch.randn(channels, channels, 5, 5, device=DEVICE, dtype=dtype).to(memory_format=torch.channels_last)
    return lambda: F.conv2d(x, kernel, padding=2), 2 * 4 * 128**2 * channels**2 * 25


def convolution_rate(dtype: torch.dtype, channels: int = 64, repeats: int = 5) -> float:
    """GFLOP/s of `large_convolution`: what this machine can do at best."""
    convolve, flops = large_convolution(dtype, channels)
    return flops / seconds(convolve, repeats=repeats)[0] / 1e9


@dataclass
class Measured:
    """What a command took, from the start of Python to its end."""

    seconds: float
    peak_mb: float  # of the process and its children together
    output: str


def measure_command(*command: object) -> Measured:
    """Run one of the project's commands: ("main.py", "--data", ...) or ("-m", "phantom", ...). Ends this process if it fails."""
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        start = time.perf_counter()
        process = subprocess.Popen([sys.executable, *map(str, command)], cwd=ROOT, stdout=output, stderr=errors)
        peak = peak_megabytes(process)
        taken = time.perf_counter() - start
        if process.returncode:
            errors.seek(0)
            sys.exit(errors.read().decode())
        output.seek(0)
        return Measured(taken, peak, output.read().decode())


def peak_megabytes(process: subprocess.Popen) -> float:
    """The highest memory of a process and its children together until it ends, looked at every LOOK_EVERY_S."""
    peak = 0
    while process.poll() is None:
        total = 0
        for status in Path("/proc").glob("[0-9]*/status"):
            try:
                lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
            except OSError:  # it has just ended
                continue
            if str(process.pid) in (lines["Pid"].strip(), lines["PPid"].strip()):
                total += int(lines.get("VmRSS", "0").split()[0])
        peak = max(peak, total)
        time.sleep(LOOK_EVERY_S)
    return peak / 1024
