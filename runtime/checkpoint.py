"""Trained weights, and what they need to be used, as one file that is whole or not there, and carries no code."""

import hashlib
import io
import zipfile
from pathlib import Path

import torch
from torch import Tensor

from runtime.files import DataError, write_whole

NEEDED = {"weights", "network", "size", "network_size", "precision", "settings", "data"}


def write_checkpoint(path: Path, state: dict) -> None:
    """Write a dictionary of tensors, numbers, texts and lists of these."""
    content = io.BytesIO()
    torch.save(state, content)
    write_whole(path, content.getbuffer())


def read_checkpoint(path: Path) -> dict:
    """What `write_checkpoint` wrote, on the CPU: networks take it from there to their device. Raises DataError."""
    try:
        with zipfile.ZipFile(path) as archive:
            if damaged := archive.testzip():  # torch itself does not look at the checksums
                raise ValueError(f"{damaged} is damaged")
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise DataError(f"{path}: no such checkpoint; train first, or name another") from None
    except (MemoryError, PermissionError):
        raise
    except Exception as error:  # a damaged archive makes torch raise many kinds
        raise DataError(f"{path}: cannot be read as a checkpoint ({type(error).__name__}); use another") from error
    if not isinstance(state, dict) or not set(state) >= NEEDED:
        raise DataError(f"{path}: expected a checkpoint of this program, found other contents; use another")
    return state


def digest_of(weights: dict[str, Tensor]) -> str:
    """The same for the same weights, in any order, on any device, in any precision that holds them."""
    content = hashlib.sha256()
    for name in sorted(weights):
        content.update(weights[name].float().cpu().contiguous().numpy().tobytes())
    return content.hexdigest()[:16]
