import pytest
import torch

from files import DataError
from solver import fastest_precision, progress_after_epochs, schedule_factor, stage_sizes


def test_schedules_by_hand():
    assert [schedule_factor("linear", p) for p in (0, 0.25, 1)] == [1, 0.75, 0]
    assert [schedule_factor("cosine", p) for p in (0, 0.5, 1)] == pytest.approx([1, 0.5, 0])
    assert schedule_factor("constant", 0.7) == 1


def test_stages_by_hand():
    assert stage_sizes("64x2 256x1", 256, 8) == [64, 64, 256]
    for wrong in ("", "64", "64x", "60x2", "96x2", "512x1", "0x3", "16x3", "64x2,128x1", "x3", "64x0"):
        with pytest.raises(DataError, match="stages"):
            stage_sizes(wrong, 256, 8)


def test_precision_is_one_that_exists():
    assert fastest_precision(torch.device("cpu")) in ("float32", "bfloat16")


def test_progress_by_hand():
    """With a frame of 16 px an epoch at 16 costs 256 + 32, one at 8 costs 64 + 32."""
    assert progress_after_epochs([8, 8, 16], 16) == pytest.approx([0, 0.2, 0.4, 1])
