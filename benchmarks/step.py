"""A training step per radiograph, forward and backward, and the same network as PyTorch would run it untuned.

    python -m benchmarks.step

The peak is the rate of this machine's 5 x 5 convolution, which takes its turns with the steps.
"""

import argparse
import sys
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.machine import DEVICE, convolution_rate, large_convolution, name, seconds
from experiments.common import whole_numbers
from heatmap import draw_heatmaps
from joints.hand import NAMES
from loss import ridge_loss
from model import SCN, SpatialConfiguration, activate
from runtime.command import exit_status
from runtime.device import native_precision

FRAME = 256  # px of the network frame
SIGMA = 3.0  # px, of the heatmaps
RIDGE = 1e-4


class UntunedSpatialConfiguration(SpatialConfiguration):
    """The same function with PyTorch's own weight gradient of large kernels and its bicubic upsampling."""

    def forward(self, local: Tensor, factor: int) -> Tensor:
        x = F.avg_pool2d(local, factor)
        for convolution in self.convolutions:
            x = activate(nn.Conv2d.forward(convolution, x))
        return F.interpolate(torch.tanh(nn.Conv2d.forward(self.head, x)), scale_factor=factor, mode="bicubic")


class UntunedSCN(SCN):
    def __init__(self, num_landmarks: int = 37, channels: int = 64, spatial_kernel: int = 15):
        super().__init__(num_landmarks=num_landmarks, channels=channels, spatial_kernel=spatial_kernel)
        self.spatial_configuration = UntunedSpatialConfiguration(num_landmarks, channels, spatial_kernel)


def make_step(
    size: int, backward: bool, batch: int, channels: int, tuned: bool = True, bfloat16: bool = False
) -> Callable[[], None]:
    """A step on random pictures of `size` px in a network frame of FRAME px; untuned: in PyTorch's default layout too."""
    network = (SCN if tuned else UntunedSCN)(num_landmarks=len(NAMES), channels=channels).to(DEVICE)
    images = torch.randn(batch, 1, size, size, device=DEVICE)
    if tuned:
        network = network.to(memory_format=torch.channels_last)
        images = images.contiguous(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(network.parameters(), fused=tuned)
    points = torch.rand(batch, len(NAMES), 2, device=DEVICE) * size
    kernels = [weight for weight in network.parameters() if weight.ndim == 4]

    def step() -> None:
        with torch.autocast(DEVICE.type, torch.bfloat16, enabled=bfloat16), torch.set_grad_enabled(backward):
            heatmaps, _, _ = network(images, network.spatial_factor * size // FRAME)
        if backward:
            loss, _ = ridge_loss(heatmaps, draw_heatmaps(points, size, size, SIGMA), points, kernels, RIDGE)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return step


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=whole_numbers, default=[64, 128, 256], help="px of the network's input")
    parser.add_argument("--batch", type=int, default=4, help="radiographs a step")
    parser.add_argument("--channels", type=int, default=64, help="of the network, and of the convolution at its peak")
    parser.add_argument("--repeats", type=int, default=3, help="runs that the median is taken of")
    options = parser.parse_args(arguments)
    print(name())
    usual = native_precision(DEVICE) == "bfloat16"
    for dtype in (torch.float32, torch.bfloat16):
        print(f"convolution in {dtype}: {convolution_rate(dtype, options.channels, options.repeats):.0f} GFLOP/s")
    convolve, convolve_flops = large_convolution(torch.bfloat16 if usual else torch.float32, options.channels)
    print("\nsize     pass  GFLOP  untuned s  float32 s bfloat16 s speed-up % of peak")
    for size in options.sizes:
        for backward in (False, True):
            step = partial(make_step, size, backward, options.batch, options.channels)
            work = [step(tuned=False), step(), step(bfloat16=True)]
            with (counter := FlopCounterMode(display=False)):
                work[0]()
            *taken, convolution = seconds(*work, convolve, repeats=options.repeats)
            times = [whole / options.batch for whole in taken]
            peak = convolve_flops / convolution / 1e9
            gflop, used = counter.get_total_flops() / options.batch / 1e9, times[2 if usual else 1]
            kind = "training" if backward else "forward"
            line = f"{size:4d} {kind:>8} {gflop:6.1f} {times[0]:10.3f} {times[1]:10.3f} {times[2]:10.3f}"
            print(f"{line} {times[0] / used:8.2f} {100 * gflop / used / peak:9.0f}", flush=True)


if __name__ == "__main__":
    sys.exit(exit_status(main))
