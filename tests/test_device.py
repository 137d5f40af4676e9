"""Precision is a rule, not a measurement: what the hardware says that it has decides."""

import pytest
import torch
from conftest import ROOT

from runtime.checkpoint import read_checkpoint
from runtime.device import choose_precision, native_precision
from runtime.files import DataError

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ({"avx512_bf16": True}, "bfloat16"),
        ({"amx_bf16": True, "avx512_bf16": False}, "bfloat16"),
        ({"amx_bf16": True, "avx512_bf16": True, "avx512_fp16": True}, "bfloat16"),
        ({"amx_bf16": False, "avx512_bf16": True, "avx512_fp16": True}, "float32"),
        ({"avx512_f": True}, "float32"),
    ],
)
def test_of_processors(monkeypatch, capabilities, expected):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert native_precision(CPU) == choose_precision("auto", CPU) == expected
    assert choose_precision("auto", CPU, "bfloat16") == expected  # never emulated
    assert choose_precision("auto", CPU, "float32") == "float32"  # as it was trained
    assert choose_precision("bfloat16", CPU) == "bfloat16"  # as told


@pytest.mark.parametrize(("capability", "expected"), [((7, 5), "float32"), ((8, 0), "bfloat16"), ((9, 0), "bfloat16")])
def test_of_gpus(monkeypatch, capability, expected):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert choose_precision("auto", GPU) == expected
    assert choose_precision("tf32", GPU) == "tf32"


def test_tf32_is_refused_on_a_cpu():
    with pytest.raises(DataError, match="found tf32"):
        choose_precision("tf32", CPU)


def test_checkpoints_are_read_on_the_cpu_and_carry_no_code(monkeypatch):
    """Those that a GPU wrote too, whatever the device of the run, since NumPy wants numbers of them."""
    given = {}
    monkeypatch.setattr(torch, "load", lambda path, usual=torch.load, **how: given.update(how) or usual(path, **how))
    read_checkpoint(ROOT / "weights" / "scn_hand.pt")
    assert given == {"map_location": "cpu", "weights_only": True}
