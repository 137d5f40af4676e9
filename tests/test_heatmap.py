import math

import numpy as np
import pytest
import torch

from heatmap import decode_heatmaps, draw_heatmaps, rescale


def test_values_by_hand():
    """One at the centre, exp(-1/2) one sigma away in x, exp(-1) one sigma away in both."""
    heatmap = draw_heatmaps(torch.tensor([[5.0, 3.0]]), height=8, width=12, sigma=2.0)[0]
    assert heatmap.shape == (8, 12)
    assert heatmap[3, 5] == 1
    assert heatmap[3, 7] == pytest.approx(math.exp(-0.5))
    assert heatmap[5, 7] == pytest.approx(math.exp(-1))
    assert heatmap[7, 5] == pytest.approx(math.exp(-2))
    between = draw_heatmaps(torch.tensor([5.5, 3.25]), 8, 12, 2.0)
    assert between[3, 5] == between[3, 6] == pytest.approx(math.exp(-0.5 * (0.25 + 0.0625) / 4))
    missing = torch.tensor([[math.nan, 4.0], [3.0, math.nan], [4.0, 4.0]])
    first, second, third = draw_heatmaps(missing, 8, 8, 1.0).sum((1, 2))
    assert first == second == 0 and third > 6


@pytest.mark.parametrize("sigma", [0.75, 1.5, 3.0, 6.0])
@pytest.mark.parametrize(("height", "width"), [(64, 64), (40, 56)])
def test_round_trip_in_the_interior_and_at_the_border(sigma, height, width):
    random = torch.Generator().manual_seed(1)
    points = torch.rand(4, 500, 2, generator=random) * torch.tensor([width - 1.0, height - 1.0])
    decoded, peaks = decode_heatmaps(draw_heatmaps(points, height, width, sigma))
    assert decoded.shape == (4, 500, 2) and peaks.shape == (4, 500)
    assert (decoded - points).abs().max() < 0.01


def test_decoding_survives_noise_and_half_precision():
    random = torch.Generator().manual_seed(2)
    points = 10 + torch.rand(2, 200, 2, generator=random) * 40
    heatmaps = draw_heatmaps(points, 64, 64, 3.0)
    half, _ = decode_heatmaps(heatmaps.half())
    assert (half - points).abs().max() < 0.05
    noisy, _ = decode_heatmaps(heatmaps + 0.01 * torch.randn(heatmaps.shape, generator=random))
    assert (noisy - points).norm(dim=-1).mean() < 0.1


def test_decoding_finds_the_highest_peak_and_its_height():
    points = torch.tensor([[20.3, 12.6], [41.0, 30.0]])
    low, high = draw_heatmaps(points, 64, 64, 2.0)
    decoded, peak = decode_heatmaps(0.6 * low + 1.7 * high)
    assert torch.allclose(decoded, points[1], atol=1e-3)
    assert peak == pytest.approx(1.7, abs=1e-3)


def test_heatmap_without_a_peak_decodes_to_its_highest_pixel():
    empty = torch.zeros(1, 16, 16)
    _, peak = decode_heatmaps(empty)
    assert peak == 0
    negative = torch.full((16, 16), -3.0)
    negative[5, 9] = -1
    points, peak = decode_heatmaps(negative)
    assert points.tolist() == [9, 5] and peak == -1


def test_rescale_keeps_the_edges():
    """A 512 x 1024 picture seen at 256 x 256: the left edge -0.5 stays -0.5, the right edge 511.5 becomes 255.5."""
    edges = np.array([[-0.5, -0.5], [511.5, 1023.5], [0.0, 0.0]])
    assert rescale(edges, (256 / 512, 256 / 1024)).tolist() == [[-0.5, -0.5], [255.5, 255.5], [-0.25, -0.375]]
