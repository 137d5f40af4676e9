"""Which device computes, and in which precision."""

import os

import torch

from runtime.command import cores
from runtime.files import DataError

PRECISIONS = ("float32", "tf32", "bfloat16")
NATIVE_BFLOAT16 = ("amx_bf16", "avx512_bf16", "bf16")  # what processors call that they multiply it themselves
AMPERE = (8, 0)  # the first GPUs that do
MAX_WORKERS = 8  # of a loader: more than keep a GPU fed


def choose_device(name: str) -> torch.device:
    """Raises DataError."""
    if name == "cuda" and not torch.cuda.is_available():
        raise DataError("device: expected a CUDA GPU, found none; use --device cpu or auto")
    return torch.device(name if name != "auto" else "cuda" if torch.cuda.is_available() else "cpu")


def be_deterministic() -> None:
    """From now on a GPU gives the same bytes for the same input, or an error where it cannot. To be called before it is used."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False


def native_precision(device: torch.device) -> str:
    """bfloat16 where the hardware computes in it, else float32; by a rule, and so always the same on a machine.

    Measured with avx512_bf16, a step at 256 px takes 0.45 of float32's time on an AMD EPYC, and a convolution 1.8 times it on an
    Intel Xeon whose AMX is hidden from a virtual machine, which avx512_fp16 without amx_bf16 tells; where emulated, 2.7 times.
    """
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.get_device_capability(device) >= AMPERE else "float32"
    capabilities = torch.cpu.get_capabilities()
    if capabilities.get("avx512_fp16") and not capabilities.get("amx_bf16"):
        return "float32"
    return "bfloat16" if any(capabilities.get(name) for name in NATIVE_BFLOAT16) else "float32"


def choose_precision(name: str, device: torch.device, trained_in: str | None = None) -> str:
    """What "auto" means here: the precision that a network was trained in, if the hardware has it. Raises DataError."""
    native = native_precision(device)
    if name == "tf32" and device.type == "cpu":
        raise DataError("precision: expected float32 or bfloat16 on a CPU, found tf32, which is of GPUs alone")
    if name != "auto":
        return name
    if trained_in in ("bfloat16", "tf32") and native == "float32":
        return "float32"  # where it is emulated, it is slower and no closer to the truth
    return trained_in or native


def choose_workers(setting: int | str, device: torch.device) -> int:
    """How many processes prepare batches beside this one. "auto": none on a CPU, whose cores the network fills; for a GPU, which
    must not wait, this process's cores but one, up to MAX_WORKERS.
    """
    if setting != "auto":
        return setting
    own = cores() // int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    return 0 if device.type == "cpu" else max(1, min(own - 1, MAX_WORKERS))


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """A context in which a network computes in one of PRECISIONS. Convolutions of float32 use TF32 only if that is asked for."""
    if device.type == "cuda":
        kind = "tf32" if precision == "tf32" else "ieee"
        torch.backends.cudnn.conv.fp32_precision = torch.backends.cuda.matmul.fp32_precision = kind
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")
