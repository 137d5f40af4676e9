import math

import pytest
import torch

from heatmap import draw_heatmaps
from loss import SPEED, LearnedWidths, ridge_loss


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


POINTS = torch.tensor([[[20.3, 31.0], [33.5, 12.25], [math.nan, 3.0]]])


def test_learnt_targets_begin_as_prepared_and_keep_their_volume():
    widths = LearnedWidths(3, sigma=4.0)
    assert torch.allclose(widths.draw(POINTS, (64, 64), 0.5), draw_heatmaps(POINTS, 64, 64, 2.0), atol=1e-6)
    assert widths.penalty().item() == pytest.approx(3 * 16)
    volume = widths.draw(POINTS, (64, 64), 0.5).sum((2, 3))
    with torch.no_grad():
        widths.logs += 0.25 / SPEED
    drawn = widths.draw(POINTS, (64, 64), 0.5)
    assert torch.allclose(drawn.sum((2, 3)), volume, rtol=1e-3) and drawn[0, 2].eq(0).all()
    assert drawn[0, 0].max().item() == pytest.approx(math.exp(-0.5), rel=0.02)  # 1.28 times as wide
    drawn.square().sum().backward()
    assert widths.logs.grad.isfinite().all() and widths.logs.grad[2] == 0  # a missing point says nothing


def test_targets_grow_where_points_are_uncertain():
    """The first landmark's points scatter, the second's do not."""
    torch.manual_seed(0)
    widths = LearnedWidths(2, sigma=2.0)
    optimizer = torch.optim.Adam(widths.parameters(), 0.025 / SPEED)
    points = torch.stack([2.5 * torch.randn(300, 2) + 16, torch.full((300, 2), 16.0)], 1)
    for _ in range(150):
        targets = widths.draw(points[torch.randperm(300)[:60]], (33, 33), 1.0)
        loss = (targets - targets.mean(0)).square().sum() / 60 + widths.penalty()  # what the best network would still be off by
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    uncertain, certain = widths.sigmas().tolist()
    assert uncertain > 2 * certain


def test_no_learnt_target_is_narrower_than_can_be_learnt():
    widths = LearnedWidths(1, sigma=2.0)
    with torch.no_grad():
        widths.logs -= 1
    drawn = widths.draw(torch.tensor([[[16.0, 16.0]]]), (33, 33), 0.5)[0, 0].detach()
    assert (drawn[16, 17] / drawn[16, 16]).item() == pytest.approx(math.exp(-0.5 / 0.7**2))
