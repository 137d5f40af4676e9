"""What the benchmarks share: seconds as medians, and this machine's rate to compare them with."""

import re
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


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
