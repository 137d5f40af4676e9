import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from model import SCN, Dropout, LargeKernelConv2d


def described_network(weights: list[tuple[torch.Tensor, torch.Tensor]], image: torch.Tensor) -> torch.Tensor:
    """The published architecture written out once more, from the kernels in the order in which they are used."""
    kernels = iter(weights)

    def conv(x: torch.Tensor) -> torch.Tensor:
        weight, bias = next(kernels)
        return F.conv2d(x, weight, bias, padding=weight.shape[-1] // 2)

    def act(x: torch.Tensor) -> torch.Tensor:
        return torch.where(x > 0, x, 0.1 * x)

    x, skips = image, []
    for _ in range(4):
        x = act(conv(act(conv(x))))
        skips.append(act(conv(x)))
        x = F.avg_pool2d(x, 2)
    up = skips[3]
    for level in (2, 1, 0):
        up = skips[level] + F.interpolate(up, scale_factor=2, mode="bilinear", align_corners=False)
    local = conv(up)
    small = F.avg_pool2d(local, 8)
    for _ in range(3):
        small = act(conv(small))
    spatial = F.interpolate(torch.tanh(conv(small)), scale_factor=8, mode="bicubic", align_corners=False)
    return local * spatial


def test_is_the_described_architecture():
    torch.manual_seed(0)
    model = SCN().eval()
    assert sum(parameter.numel() for parameter in model.parameters()) == 4_097_034
    convolutions = [module for module in model.modules() if isinstance(module, nn.Conv2d)]
    shapes = [tuple(module.weight.shape) for module in convolutions]
    level, large = [(64, 64, 5, 5)] * 3, [(64, 64, 15, 15)] * 2
    assert shapes == [
        *[(64, 1, 5, 5), *level[1:]],
        *level * 3,
        (37, 64, 5, 5),
        *[(64, 37, 15, 15), *large, (37, 64, 15, 15)],
    ]
    for module in (model.local_appearance.head, model.spatial_configuration.head):
        nn.init.normal_(module.weight, std=0.01)  # large enough for the comparison to see them
    image = torch.randn(2, 1, 64, 48)
    expected = described_network([(module.weight, module.bias) for module in convolutions], image)
    heatmaps, local, spatial = model(image)
    assert heatmaps.shape == (2, 37, 64, 48)
    assert torch.allclose(heatmaps, expected, rtol=1e-3, atol=1e-5 * float(expected.detach().abs().max()))
    assert torch.equal(heatmaps, local * spatial)
    assert spatial.abs().max() < 1.3


def test_initial_weights():
    """Kaiming's standard deviation with the LeakyReLU's slope, zero biases, and heatmaps that start near zero."""
    torch.manual_seed(0)
    model = SCN()
    weight = model.local_appearance.levels[1].second.weight
    assert weight.std().item() == pytest.approx(math.sqrt(2 / (1 + 0.1**2) / (64 * 25)), rel=0.02)
    weight = model.spatial_configuration.convolutions[0].weight
    assert weight.std().item() == pytest.approx(math.sqrt(2 / (1 + 0.1**2) / (37 * 225)), rel=0.02)
    assert all((parameter == 0).all() for name, parameter in model.named_parameters() if name.endswith("bias"))
    heatmaps, _, _ = model(torch.randn(1, 1, 64, 64))
    assert heatmaps.abs().max() < 0.1


def test_dropout_follows_the_first_convolution_of_each_level():
    model = SCN(channels=8, dropout=0.5)
    seen = []
    for level in model.local_appearance.levels:
        level.dropout.register_forward_hook(lambda module, inputs, output: seen.append((inputs[0], output)))
        level.first.register_forward_hook(lambda module, inputs, output: seen.append(output.clone()))
    model.train()(torch.randn(1, 1, 64, 64))
    assert len(seen) == 8
    for first, (before, after) in zip(seen[::2], seen[1::2], strict=True):
        assert torch.equal(F.leaky_relu(first, 0.1), before)
        dropped = after == 0
        assert 0.3 < dropped.float().mean() < 0.7
        assert torch.allclose(after[~dropped], 2 * before[~dropped])


@pytest.mark.parametrize(("landmarks", "channels_in", "sides"), [(1, 1, (64, 64)), (53, 3, (72, 40))])
def test_any_number_of_landmarks_and_any_size(landmarks, channels_in, sides):
    model = SCN(in_channels=channels_in, num_landmarks=landmarks, channels=4)
    for output in model(torch.randn(2, channels_in, *sides)):
        assert output.shape == (2, landmarks, *sides)


def test_size_that_does_not_divide_is_refused():
    with pytest.raises(ValueError, match=r"divisible by 8, found \(64, 60\)"):
        SCN(channels=4)(torch.randn(1, 1, 64, 60))


def test_same_spatial_grid_at_half_resolution():
    model = SCN(num_landmarks=2, channels=4)
    grids = []
    model.spatial_configuration.head.register_forward_hook(lambda module, inputs, output: grids.append(output.shape[-2:]))
    model(torch.randn(1, 1, 128, 128))
    model(torch.randn(1, 1, 64, 64), spatial_factor=4)
    assert grids == [(16, 16), (16, 16)]


def test_large_kernel_has_the_gradients_of_the_plain_convolution():
    torch.manual_seed(0)
    layer = LargeKernelConv2d(3, 5, 15, padding=7)
    x = torch.randn(2, 3, 16, 12, requires_grad=True)
    weights = torch.randn(2, 5, 16, 12)
    expected = torch.autograd.grad(
        (F.conv2d(x, layer.weight, layer.bias, padding=7) * weights).sum(), [x, layer.weight, layer.bias]
    )
    found = torch.autograd.grad((layer(x) * weights).sum(), [x, layer.weight, layer.bias])
    for one, other in zip(found, expected, strict=True):
        assert torch.allclose(one, other, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_dropout_drops_as_often_as_it_says_and_scales_the_rest(layout):
    """Of 150,000 elements a tenth, within five standard deviations; gradients pass where values do; each element by itself."""
    x = torch.ones(2, 3, 125, 200).contiguous(memory_format=layout).requires_grad_()
    dropout = Dropout(0.1)
    torch.manual_seed(0)
    y = dropout(x)
    dropped = (y == 0).float().mean().item()
    assert abs(dropped - 0.1) < 5 * (0.1 * 0.9 / x.numel()) ** 0.5
    assert y[y != 0].unique().tolist() == pytest.approx([1 / 0.9]) and y.stride() == x.stride()
    y.sum().backward()
    assert torch.equal(x.grad, y.detach())
    kept = (y != 0).flatten().float()
    for apart in (1, 4, 200):  # neighbours in a draw of 64 bits, and beyond
        assert abs(torch.corrcoef(torch.stack([kept[:-apart], kept[apart:]]))[0, 1]) < 5 / x.numel() ** 0.5
    torch.manual_seed(0)
    assert torch.equal(dropout(x), y) and not torch.equal(dropout(x), y)
    part = x[:, :, ::2]  # of a layout with gaps
    assert dropout(part).shape == part.shape and 0.08 < (dropout(part) == 0).float().mean() < 0.12


def test_dropout_without_effect():
    x = torch.ones(1, 1, 3, 3)  # not a multiple of four
    assert torch.equal(Dropout(0.5).eval()(x), x) and torch.equal(Dropout(0.0)(x), x)
    assert not Dropout(1.0)(x).any() and set(Dropout(0.5)(x).unique().tolist()) <= {0, 2}
