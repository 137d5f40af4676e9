import math

import pytest
import torch

from loss import ridge_loss


def test_by_hand():
    """Two radiographs of two landmarks, 1 x 2 px: squares 1 + 4 and 9 + 0, one landmark missing; kernels 1, 2 and 3."""
    heatmaps = torch.tensor([[[[1.0, 0.0]], [[0.0, 2.0]]], [[[3.0, 0.0]], [[100.0, 100.0]]]])
    targets = torch.zeros_like(heatmaps)
    points = torch.tensor([[[0.0, 0.0], [1.0, 0.0]], [[0.0, 0.0], [math.nan, math.nan]]])
    weights = [torch.tensor([1.0, 2.0]), torch.tensor([[3.0]])]
    total, parts = ridge_loss(heatmaps, targets, points, weights, ridge=0.1)
    assert parts["heatmaps"].item() == pytest.approx((1 + 4 + 9) / 2)
    assert parts["ridge"].item() == pytest.approx(1.4)
    assert total.item() == pytest.approx(8.4)


def test_missing_landmark_has_no_gradient():
    heatmaps = torch.ones(1, 2, 4, 4, requires_grad=True)
    points = torch.tensor([[[1.0, 1.0], [math.nan, 1.0]]])
    total, _ = ridge_loss(heatmaps, torch.zeros(1, 2, 4, 4), points, [], 0)
    total.backward()
    assert (heatmaps.grad[0, 0] == 2).all() and (heatmaps.grad[0, 1] == 0).all()
