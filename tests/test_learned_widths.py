"""Targets that learn their widths: as prepared at first, of one volume, wider where points are uncertain, along their edges."""

import math

import pytest
import torch

from heatmap import draw_ellipses, draw_heatmaps
from training.learned_widths import SPEED, LearnedWidths

POINTS = torch.tensor([[[20.3, 31.0], [33.5, 12.25], [math.nan, 3.0]]])


def test_ellipses_by_hand():
    """Standard deviations 3 along (1, 1) and 1 across it: exp(-1/2) one of them away in either direction, one at the centre."""
    along, across = torch.tensor([1.0, 1.0]) / math.sqrt(2), torch.tensor([-1.0, 1.0]) / math.sqrt(2)
    covariance = 9 * torch.outer(along, along) + torch.outer(across, across)
    for step, height in ((3 * along, math.exp(-0.5)), (across, math.exp(-0.5)), (torch.zeros(2), 1.0)):
        drawn = draw_ellipses((torch.tensor([8.0, 6.0]) - step)[None], 16, 20, covariance[None])
        assert drawn.shape == (1, 16, 20) and drawn[0, 6, 8].item() == pytest.approx(height, abs=1e-5)
    circles = draw_ellipses(POINTS, 48, 64, 4 * torch.eye(2).expand(3, 2, 2))
    assert torch.allclose(circles, draw_heatmaps(POINTS, 48, 64, 2.0), atol=1e-6)


@pytest.mark.parametrize("anisotropic", [False, True])
def test_targets_begin_as_prepared_and_keep_their_volume(anisotropic):
    widths = LearnedWidths(3, sigma=4.0, anisotropic=anisotropic)
    assert torch.allclose(widths.draw(POINTS, (64, 64), 0.5), draw_heatmaps(POINTS, 64, 64, 2.0), atol=1e-6)
    assert widths.penalty().item() == pytest.approx(3 * 16)
    volume = widths.draw(POINTS, (64, 64), 0.5).sum((2, 3))
    with torch.no_grad():
        widths.logs += 0.25 / SPEED
        widths.turns += 0.5 / SPEED * anisotropic
    assert torch.allclose(widths.draw(POINTS, (64, 64), 0.5).sum((2, 3)), volume, rtol=1e-3)
    assert widths.draw(POINTS, (64, 64), 0.5)[0, 2].eq(0).all()


def test_widths_grow_along_an_uncertain_direction():
    """The first landmark's points scatter along (1, 1), and its target comes to lie along it; the second's stays round."""
    torch.manual_seed(0)
    widths = LearnedWidths(2, sigma=2.0, anisotropic=True)
    optimizer = torch.optim.Adam(widths.parameters(), 0.025 / SPEED)
    scatter = 2.5 * torch.randn(300, 1) * torch.tensor([[1.0, 1.0]]) / math.sqrt(2)
    points = torch.stack([scatter + 16, torch.full((300, 2), 16.0)], 1)
    for _ in range(150):
        targets = widths.draw(points[torch.randperm(300)[:60]], (33, 33), 1.0)
        loss = (targets - targets.mean(0)).square().sum() / 60 + widths.penalty()  # what the best network would still be off by
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    long, short = widths.deviations().detach().sort(-1, descending=True).values.T
    assert long[0] > 1.5 * short[0] and long[0] > 2 * long[1]
    drawn = widths.draw(torch.full((1, 2, 2), 16.0), (33, 33), 1.0)[0, 0].detach()
    assert drawn[18, 18] > 1.5 * drawn[18, 14]  # on the diagonal, and across it


def test_no_target_is_narrower_than_can_be_learnt():
    widths = LearnedWidths(1, sigma=2.0, anisotropic=True)
    with torch.no_grad():
        widths.logs -= 1
    drawn = widths.draw(torch.tensor([[[16.0, 16.0]]]), (33, 33), 0.5)[0, 0].detach()
    assert (drawn[16, 17] / drawn[16, 16]).item() == pytest.approx(math.exp(-0.5 / 0.7**2))
