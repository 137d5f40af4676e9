"""The version stands in one place: commands print it, what they write carries it."""

import json
import re

import pytest
import torch
from conftest import command

from runtime.version import VERSION


def test_the_version_is_one_that_pip_could_compare():
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.dev\d+)?", VERSION)


@pytest.mark.parametrize("script", ["main.py", "predict.py", "data_preprocessing.py", "label.py", "export.py"])
def test_each_command_prints_it(script):
    ran = command(script, "--version")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, f"SpatialConfiguration-Net {VERSION}\n", "")


@pytest.mark.slow
def test_checkpoints_exported_weights_and_test_figures_carry_it(trained, weights):
    """With what else made them, which an export leaves as it is."""
    trained_by = torch.load(trained / "best.pt", weights_only=True)["provenance"]
    assert list(trained_by) == ["version", "revision", "python", "torch", "hardware"]
    assert trained_by["version"] == VERSION
    assert torch.load(weights, weights_only=True)["provenance"] == trained_by
    figures = json.loads((trained / "test.json").read_text())
    assert {name: figures[name] for name in trained_by} == trained_by
