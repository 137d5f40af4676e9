"""Which device computes, and in which precision."""

import os
import time

import torch
from torch import nn

from runtime.files import DataError


def choose_device(name: str) -> torch.device:
    """Raises DataError."""
    if name == "cuda" and not torch.cuda.is_available():
        raise DataError("device: expected a CUDA GPU, found none; use --device cpu or auto")
    return torch.device(name if name != "auto" else "cuda" if torch.cuda.is_available() else "cpu")


def be_deterministic() -> None:
    """From now on a GPU gives the same bytes for the same input, or an error where it cannot. To be called before it is used."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)


def fastest_precision(device: torch.device) -> str:
    """bfloat16 where a typical convolution runs faster in it than in float32, by trying: some processors only emulate it."""
    seconds = {}
    for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        convolution = nn.Conv2d(64, 64, 5, padding=2, device=device, dtype=dtype).to(memory_format=torch.channels_last)
        x = torch.ones(4, 64, 64, 64, device=device, dtype=dtype).to(memory_format=torch.channels_last)
        for _ in range(3):  # the last run counts: the first one also prepares
            start = time.perf_counter()
            convolution(x).sum().item()
            seconds[name] = time.perf_counter() - start
    return min(seconds, key=seconds.get)


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """A context in which a network computes in float32 or bfloat16."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")
