"""What the benchmarks share: times as medians, and the peaks of this machine to compare them with."""

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "experiments")]

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def name() -> str:
    if DEVICE.type == "cuda":
        return torch.cuda.get_device_name()
    models = [
        line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")
    ]
    return f"{models[0] if models else 'CPU'}, {torch.get_num_threads()} threads"


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


def large_convolution(dtype: torch.dtype) -> tuple[Callable[[], object], float]:
    """A 5 x 5 convolution of 64 channels, the network's own kind, and its floating point operations."""
    x = torch.randn(4, 64, 128, 128, device=DEVICE, dtype=dtype).to(memory_format=torch.channels_last)
    kernel = torch.randn(64, 64, 5, 5, device=DEVICE, dtype=dtype).to(memory_format=torch.channels_last)
    return lambda: F.conv2d(x, kernel, padding=2), 2 * 4 * 128**2 * 64 * 64 * 25


def peaks(dtype: torch.dtype) -> dict[str, float]:
    """GFLOP/s of a large matrix product and of a large convolution, GB/s of a large copy."""
    side = 2048 if DEVICE.type == "cpu" else 8192
    a = torch.randn(side, side, device=DEVICE, dtype=dtype)
    b = torch.empty(64 << 20, device=DEVICE)
    convolve, flops = large_convolution(dtype)
    product, convolution, copy = seconds(lambda: a @ a, convolve, lambda: b.clone())
    return {
        "matrix product, GFLOP/s": 2 * side**3 / product / 1e9,
        "convolution, GFLOP/s": flops / convolution / 1e9,
        "copy, GB/s": 2 * b.nbytes / copy / 1e9,
    }
