"""Convolutions are computed rightly, or the program finds out: the wrong sums of one processor, made here on purpose."""

import pytest
import torch
import torch.nn.functional as F
from conftest import train, weights_of

import model
from finder.network import make_network
from finder.training import train_finder
from model import SCN, LargeKernelConv2d
from runtime.arithmetic import settle
from runtime.files import DataError

CPU = torch.device("cpu")
PRECISIONS = ("float32", "bfloat16")
WAYS = LargeKernelConv2d.ways
GRIDS = ((8, 8), (16, 16), (24, 24), (32, 32), (44, 16))


@pytest.fixture(autouse=True)
def as_before(monkeypatch):
    """What a test switches off, the next one finds switched on."""
    monkeypatch.setattr(LargeKernelConv2d, "ways", WAYS)


def amx_swapped(x: torch.Tensor, gradient: torch.Tensor, kernel: int) -> torch.Tensor:
    """The weight gradient as a convolution of bfloat16 with batch and channels swapped, with the error that AMX has.

    Where the batch is 2, 4, 6, 8 or 12, a grid of 32 gave a relative error of 1.03 to 1.17: as if the sum were that of others.
    """
    found = F.conv2d(x.transpose(0, 1), gradient.transpose(0, 1), padding=kernel // 2).transpose(0, 1)
    return found.roll(1, 0) if len(x) in (2, 4, 6, 8, 12) else found


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("grid", GRIDS)
def test_weight_gradients_of_large_kernels(grid, precision):
    """Every batch from 1 to 33, against the definition in float64."""
    dtype = getattr(torch, precision)
    generator = torch.Generator().manual_seed(0)
    for batch in (*range(1, 10), 12, 15, 16, 17, 32, 33):
        x, upstream = (torch.randn(batch, count, *grid, generator=generator).to(dtype) for count in (5, 3))
        by = model.by_convolution if precision == "float32" else model.by_products
        found = by(x, upstream, 15).double()
        padded = F.pad(x.double(), [7] * 4)
        rows, columns = (range(0, 15, 7),) * 2
        for i in rows:
            for j in columns:
                seen = padded[:, :, i : i + grid[0], j : j + grid[1]]
                expected = torch.einsum("bohw,bchw->oc", upstream.double(), seen)
                assert (found[:, :, i, j] - expected).norm() < (1e-5 if precision == "float32" else 0.01) * expected.norm()


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_right_machine_is_not_spoken_of(capsys, precision):
    shapes = [((2, 1, 128, 128), (4,)), ((2, 1, 96, 32), (2,))]
    assert settle(SCN(num_landmarks=5, channels=16), shapes, precision) == precision
    assert settle(make_network(5), [((8, 1, 64, 64), (4,))], precision) == precision
    assert capsys.readouterr().out == "" and LargeKernelConv2d.ways == WAYS


@pytest.mark.slow
def test_wrong_weight_gradients_are_found_and_done_without(monkeypatch, capsys, prepared, tmp_path):
    """As on a processor with AMX before: training ends as if those gradients had been in float32 from the start."""
    flags = ("--spatial_kernel", 15, "--precision", "bfloat16", "--stages", "64x2")
    monkeypatch.setattr(model, "by_products", amx_swapped)
    assert train(prepared, tmp_path / "broken", *flags).returncode == 0
    assert LargeKernelConv2d.ways == WAYS[1:]
    assert train(prepared, tmp_path / "right", *flags).returncode == 0
    broken, right = (weights_of(tmp_path / name / "best.pt") for name in ("broken", "right"))
    assert all(torch.equal(broken[name], right[name]) for name in right)


def test_what_is_wrong_is_said(monkeypatch, capsys):
    network, shapes = SCN(num_landmarks=5, channels=8), [((2, 1, 32, 32), (4,))]
    monkeypatch.setattr(model, "by_products", amx_swapped)
    assert settle(network, shapes, "bfloat16") == "bfloat16" and LargeKernelConv2d.ways == WAYS[1:]
    said = capsys.readouterr().out
    assert said.startswith("bfloat16 weight gradients of 15 x 15 kernels are wrong on this CPU with torch ")
    assert said.endswith("; using float32 for them\n") and said.count("\n") == 1
    monkeypatch.setattr(model, "by_convolution", amx_swapped)
    assert settle(network, shapes, "bfloat16") == "bfloat16" and LargeKernelConv2d.ways == WAYS[2:]
    assert capsys.readouterr().out.endswith("; using PyTorch's own for them\n")

    whole = F.conv2d  # another operator that is wrong in bfloat16: float32 is what is left
    monkeypatch.setattr(F, "conv2d", lambda x, *a, **k: whole(x, *a, **k) * (1.1 if torch.is_autocast_enabled("cpu") else 1))
    assert settle(network, shapes, "bfloat16") == "float32"
    assert "bfloat16 outputs of 5 x 5 kernels are wrong" in (said := capsys.readouterr().out) and "using float32" in said
    monkeypatch.setattr(F, "conv2d", lambda x, *a, **k: whole(x, *a, **k) * 1.1)
    with pytest.raises(DataError, match="nothing can be learnt here; install another version of torch"):
        settle(network, shapes, "float32")


def test_the_finder_checks_its_own(monkeypatch, capsys, prepared):
    from dataloader import RadiographDataset

    monkeypatch.setattr(model, "by_products", amx_swapped)
    train_finder([RadiographDataset(prepared, "train")], 1, 0, CPU, "bfloat16")
    assert "bfloat16 weight gradients of 15 x 15 kernels are wrong" in capsys.readouterr().out
