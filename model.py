"""SpatialConfiguration-Net (Payer et al., Medical Image Analysis 54, 2019), for any number of landmarks and any input size.

Two components see the radiograph one after the other. *Local appearance* answers accurately but ambiguously: every
finger joint looks like its neighbours. *Spatial configuration* takes those candidates at low resolution, with kernels
that span nearly half the hand, and says roughly where each landmark can be. Their product is accurate and unambiguous.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NEGATIVE_SLOPE = 0.1  # of every LeakyReLU, and of Kaiming's initialisation
LARGE_KERNEL = 11  # px, from which on `ConvolveLarge` pays
SWAPPED_BATCH = 8  # radiographs at once in its weight gradient
HEAD_STD = 1e-3  # of the two heatmap convolutions' weights: see `SCN`


class ConvolveLarge(torch.autograd.Function):
    """A size-preserving convolution with its own way to its weight gradient: on a CPU three times faster than PyTorch's."""

    @staticmethod
    @torch.amp.custom_fwd(device_type="cpu")
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor, in_float32: bool) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.in_float32 = in_float32
        return F.conv2d(x, weight, bias, padding=weight.shape[-1] // 2)

    @staticmethod
    @torch.amp.custom_bwd(device_type="cpu")
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        x, weight = ctx.saved_tensors
        kernel = weight.shape[-1]
        to_x = F.conv_transpose2d(gradient, weight, padding=kernel // 2)
        if ctx.in_float32 or gradient.dtype == torch.float32:
            with torch.autocast("cpu", enabled=False):
                to_weight = by_convolution(x.float(), gradient.float(), kernel)
        else:
            to_weight = by_products(x.to(gradient.dtype), gradient, kernel)
        return to_x, to_weight, gradient.sum((0, 2, 3)), None


def by_convolution(x: Tensor, gradient: Tensor, kernel: int) -> Tensor:
    """Input (B, C, H, W) and gradient of the output (B, O, H, W) of a convolution -> that of its weights (O, C, kernel, kernel).

    It is a convolution too, batch and channels swapped; a few radiographs at a time, since with more than SWAPPED_BATCH channels
    it takes four times as long. Not in bfloat16: with AMX, oneDNN sums wrongly for most numbers of channels, here radiographs.
    """
    parts = zip(x.split(SWAPPED_BATCH), gradient.split(SWAPPED_BATCH))
    each = (F.conv2d(a.transpose(0, 1), b.transpose(0, 1), padding=kernel // 2) for a, b in parts)
    return sum(each, start=torch.zeros(())).transpose(0, 1)


def by_products(x: Tensor, gradient: Tensor, kernel: int) -> Tensor:
    """The same as a product of matrices for each row of the kernel: in bfloat16 as fast, and right on every processor."""
    half, (batch, channels, height, width) = kernel // 2, x.shape
    padded = F.pad(x.permute(2, 0, 3, 1), [0, 0, half, half, 0, 0, half, half])  # rows first: a kernel's row sees one piece of it
    columns = padded.unfold(2, kernel, 1).transpose(3, 4).reshape(len(padded), batch * width, kernel * channels)
    upstream = gradient.permute(1, 2, 0, 3).flatten(1)
    rows = torch.stack([upstream @ columns[row : row + height].flatten(0, 1) for row in range(kernel)])
    return rows.view(kernel, -1, kernel, channels).permute(1, 3, 0, 2)


class LargeKernelConv2d(nn.Conv2d):
    # ways to the weight gradient on a CPU, the fastest first: runtime/arithmetic.py drops those that are wrong on this machine
    ways = ("the precision of the run", "float32", "PyTorch's own")

    def forward(self, x: Tensor) -> Tensor:
        if len(self.ways) > 1 and x.device.type == "cpu" and torch.is_grad_enabled():
            return ConvolveLarge.apply(x, self.weight, self.bias, self.ways[0] == "float32")
        return super().forward(x)


def convolution(in_channels: int, out_channels: int, kernel: int) -> nn.Conv2d:
    """A size-preserving convolution with Kaiming weights for LeakyReLU and zero biases."""
    kind = LargeKernelConv2d if kernel >= LARGE_KERNEL else nn.Conv2d
    conv = kind(in_channels, out_channels, kernel, padding=kernel // 2)
    nn.init.kaiming_normal_(conv.weight, a=NEGATIVE_SLOPE, nonlinearity="leaky_relu")
    assert conv.bias is not None
    nn.init.zeros_(conv.bias)
    return conv


def heatmap_convolution(in_channels: int, num_landmarks: int, kernel: int) -> nn.Conv2d:
    """The last convolution of a component, with weights so small that its first heatmaps are near zero."""
    conv = convolution(in_channels, num_landmarks, kernel)
    nn.init.normal_(conv.weight, std=HEAD_STD)
    return conv


def activate(x: Tensor) -> Tensor:
    return F.leaky_relu(x, NEGATIVE_SLOPE, inplace=True)


def upsample_bicubic(x: Tensor, factor: int) -> Tensor:
    """(B, C, H, W) -> (B, C, factor * H, factor * W), the same as `F.interpolate(mode="bicubic")`.

    Upsampling is linear and separable, so it is two small matrix products, which run eight times faster on a CPU.
    """
    rows, columns = (
        F.interpolate(torch.eye(n, device=x.device)[None, None], size=(factor * n, n), mode="bicubic")[0, 0].to(x.dtype)
        for n in x.shape[-2:]
    )
    x = torch.einsum("Hh,bhwc->bHwc", rows, x.permute(0, 2, 3, 1))  # channels stay last, as in the local heatmaps
    return torch.matmul(columns, x).permute(0, 3, 1, 2)


class Dropout(nn.Dropout):
    """Dropout that draws sixteen random bits an element on a CPU, where PyTorch's own takes three times as long.

    The probability is met to 1/65,536. The numbers are those of torch.manual_seed, but others than PyTorch's dropout draws.
    """

    def forward(self, x: Tensor) -> Tensor:
        dense = x.is_contiguous() or x.is_contiguous(memory_format=torch.channels_last)
        if not (self.training and 0 < self.p < 1 and x.device.type == "cpu" and dense):
            return super().forward(x)
        bits = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(2**63), None).view(torch.int16)
        dropped = min(round(self.p * 2**16), 2**16 - 1) - 2**15
        keep = bits[: x.numel()].as_strided(x.shape, x.stride()) >= dropped
        return (x * keep).mul_(1 / (1 - self.p))


class Level(nn.Module):
    """One resolution of the local appearance: three convolutions, dropout after the first."""

    def __init__(self, in_channels: int, channels: int, kernel: int, dropout: float):
        super().__init__()
        self.first = convolution(in_channels, channels, kernel)
        self.second = convolution(channels, channels, kernel)
        self.third = convolution(channels, channels, kernel)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, modulation: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Features (B, in_channels, H, W) -> (what the level below pools, the skip), both (B, channels, H, W).

        modulation (B, 2, channels): scales, less 1, and shifts of what the first convolution says.
        """
        x = self.first(x)
        if modulation is not None:
            scale, shift = modulation.to(x.dtype)[..., None, None].unbind(1)
            x = x + x * scale + shift
        x = self.dropout(activate(x))
        x = activate(self.second(x))
        return x, activate(self.third(x))


def pyramid(levels: nn.ModuleList, x: Tensor, modulation: Tensor | None = None) -> Tensor:
    """Pictures (B, C, H, W) -> features (B, channels, H, W): down through the levels, and up again adding their skips.

    modulation (B, levels, 2, channels): see `Level`.
    """
    skips = []
    for depth, level in enumerate(levels):
        x, skip = level(F.avg_pool2d(x, 2) if depth else x, None if modulation is None else modulation[:, depth])
        skips.append(skip)
    x = skips.pop()
    while skips:
        x = skips.pop() + F.interpolate(x, scale_factor=2, mode="bilinear")
    return x


class LocalAppearance(nn.Module):
    """A U-shaped pyramid whose skips are added: accurate heatmaps that may also answer at look-alike sites."""

    def __init__(self, in_channels: int, num_landmarks: int, channels: int, levels: int, dropout: float):
        super().__init__()
        widths = [in_channels] + [channels] * (levels - 1)
        self.levels = nn.ModuleList(Level(width, channels, 5, dropout) for width in widths)
        self.head = heatmap_convolution(channels, num_landmarks, 5)

    def forward(self, x: Tensor) -> Tensor:
        """Image (B, in_channels, H, W) -> local heatmaps (B, landmarks, H, W), unbounded."""
        return self.head(pyramid(self.levels, x))


class SpatialConfiguration(nn.Module):
    """Large kernels on small local heatmaps: for each landmark, where it can be given the others' candidates."""

    def __init__(self, num_landmarks: int, channels: int, kernel: int):
        super().__init__()
        widths = [num_landmarks] + [channels] * 2
        self.convolutions = nn.ModuleList(convolution(width, channels, kernel) for width in widths)
        self.head = heatmap_convolution(channels, num_landmarks, kernel)

    def forward(self, local: Tensor, factor: int) -> Tensor:
        """Local heatmaps (B, landmarks, H, W), worked on at 1/factor -> (B, landmarks, H, W) in about (-1, 1).

        TanH comes before the bicubic upsampling, which may overshoot the range by a few percent.
        """
        x = F.avg_pool2d(local, factor)
        for conv in self.convolutions:
            x = activate(conv(x))
        return upsample_bicubic(torch.tanh(self.head(x)), factor)


class SCN(nn.Module):
    """SpatialConfiguration-Net. The defaults are the published architecture: 4,097,034 parameters."""

    def __init__(
        self,
        in_channels: int = 1,
        num_landmarks: int = 37,
        channels: int = 64,
        levels: int = 4,
        spatial_kernel: int = 15,
        spatial_factor: int = 8,
        dropout: float = 0.5,
    ):
        super().__init__()
        self.spatial_factor = spatial_factor
        self.multiple = 2 ** (levels - 1)
        self.local_appearance = LocalAppearance(in_channels, num_landmarks, channels, levels, dropout)
        self.spatial_configuration = SpatialConfiguration(num_landmarks, channels, spatial_kernel)

    def forward(self, image: Tensor, spatial_factor: int | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Image (B, in_channels, H, W), about in [-1, 1] -> (heatmaps, local, spatial), each (B, landmarks, H, W).

        heatmaps = local * spatial. Local is unbounded, spatial lies in about (-1, 1). H and W must be divisible by 8 (by
        2^(levels - 1) and the spatial factor), or ValueError is raised. `spatial_factor` replaces the model's own, so
        that a smaller picture can be worked on with the same spatial grid.
        """
        factor = spatial_factor or self.spatial_factor
        multiple = math.lcm(self.multiple, factor)
        if any(side % multiple for side in image.shape[-2:]):
            raise ValueError(f"expected an image with sides divisible by {multiple}, found {tuple(image.shape[-2:])}")
        local = self.local_appearance(image)
        spatial = self.spatial_configuration(local, factor)
        return local * spatial, local, spatial
