"""The network learns on this machine: judged on synthetic radiographs, so that any machine can be, in each precision it has."""

import pytest
import torch
from conftest import ROOT
from test_arithmetic import amx_swapped

import data_preprocessing
import model
from main import main
from phantom.data_set import write_data_set
from runtime.checkpoint import read_checkpoint, write_checkpoint
from runtime.device import native_precision
from training import first_look
from training.report import warning, warning_at_end

pytestmark = pytest.mark.slow

LEARNT_PX, LOST_PX = 2.0, 20.0  # validation IPE: 0.94 px with right gradients, 70 to 120 with wrong ones
PRECISIONS = sorted({"float32", native_precision(torch.device("cpu"))})
SETTINGS = ("--warmup", 4, "--averaging", 0, "--learning_rate", 1e-3, "--test_on", "valid")


@pytest.fixture(scope="module")
def hands(tmp_path_factory):
    """Eight synthetic radiographs to learn from and two that validate, prepared."""
    folder = tmp_path_factory.mktemp("hands")
    write_data_set(folder / "raw", {"train": 8, "valid": 2, "test": 1}, seed=5, workers=1)
    prepare = ("--raw", folder / "raw", "--out", folder / "prepared", "--workers", 1, "--detail", 0)
    assert data_preprocessing.main([str(argument) for argument in prepare]) == 0
    return folder / "prepared"


@pytest.fixture(scope="module")
def beginning(tmp_path_factory):
    """The shipped synthetic weights, whose spatial configuration has to be learnt anew."""
    state = read_checkpoint(ROOT / "weights" / "scn_synthetic.pt")
    generator = torch.Generator().manual_seed(0)
    for name, weight in state["weights"].items():
        if name.startswith("spatial_configuration") and name.endswith("weight"):
            std = model.HEAD_STD if "head" in name else weight.float().std()
            state["weights"][name] = std * torch.randn(weight.shape, generator=generator)
    path = tmp_path_factory.mktemp("beginning") / "local.pt"
    write_checkpoint(path, state)
    return path


def validation_ipe(hands, beginning, result, precision: str) -> float:
    arguments = ("--data", hands, "--init", beginning, "--result", result, "--precision", precision, "--stages", "128x1")
    assert main([str(argument) for argument in (*arguments, *SETTINGS)]) == 0
    return read_checkpoint(result / "best.pt")["valid_ipe_px"]


@pytest.mark.parametrize("precision", PRECISIONS)
def test_an_epoch_teaches_the_spatial_configuration(hands, beginning, tmp_path, precision):
    assert validation_ipe(hands, beginning, tmp_path / "run", precision) < LEARNT_PX


def test_wrong_gradients_would_be_seen_by_it(hands, beginning, tmp_path, monkeypatch):
    """The wrong weight gradients of one processor, made here on purpose and not looked for."""
    monkeypatch.setattr(model, "by_products", amx_swapped)
    monkeypatch.setattr(model, "by_convolution", amx_swapped)
    monkeypatch.setattr(first_look, "settle", lambda network, shapes, precision: precision)
    assert validation_ipe(hands, beginning, tmp_path / "run", PRECISIONS[0]) > LOST_PX


def rows(*errors: tuple[int, float, float]) -> list[dict]:
    return [
        {"epoch": epoch, "size": size, "train_ipe_px": train, "valid_ipe_px": valid}
        for epoch, (size, train, valid) in enumerate(errors, 1)
    ]


def test_a_training_that_goes_wrong_is_told_of():
    """By hand: more than twice the least of the same resolution; at the end more than twice validation's. Else nothing."""
    sound = rows((64, 8.0, 7.0), (64, 4.0, 3.0), (128, 9.0, 5.0), (128, 2.0, 1.9), (128, 3.9, 2.0))
    assert [warning(sound[: n + 1], 20) for n in range(5)] == [None] * 5 and warning_at_end(sound, 20) is None
    wrong = rows((128, 1.3, 1.1), (128, 11.9, 1.2), (128, 12.0, 1.2))
    assert warning(wrong[:2], 20).startswith(
        "epoch 2: the training error, 11.90 px, is 9.2 times the least so far; if it stays so, try a lower --learning_rate"
    )
    assert warning(wrong, 20) is None  # it was said
    assert "2.5 times that of validation" in warning_at_end(rows((128, 2.5, 1.0)), 20)
    assert warning(rows((128, 2.5, 1.0)), 20) is None
    assert warning_at_end(rows((128, 2.5, float("nan"))), 20) is None  # of folds, without validation


def test_of_few_radiographs_several_epochs_are_taken_together():
    """By hand, four epochs of five radiographs: means 1, 1, 1.5, 1.75, 2.75 px: the last is 2.75 times the least."""
    few = rows(*((128, error, 1.0) for error in (1, 1, 1, 1, 1, 3, 2, 5)))
    assert [warning(few[: n + 1], 5) for n in range(7)] == [None] * 7
    assert "epoch 8: the training error, 2.75 px, is 2.8 times the least so far" in warning(few, 5)
    assert "2.75 px, is 2.8 times that of validation" in warning_at_end(few, 5)
