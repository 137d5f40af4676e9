"""A training step per radiograph, forward and backward.

    python -m benchmarks.step

The peak is the rate of this machine's 5 x 5 convolution, which takes its turns with the steps.
"""

from collections.abc import Callable

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.machine import DEVICE, large_convolution, name, seconds
from heatmap import draw_heatmaps
from joints.hand import NAMES
from loss import ridge_loss
from model import SCN
from runtime.command import exit_status, parser_of
from runtime.device import native_precision

FRAME = 256  # px of the network frame
SIGMA = 3.0  # px, of the heatmaps
RIDGE = 1e-4


def make_step(size: int, backward: bool, batch: int, channels: int, bfloat16: bool) -> Callable[[], None]:
    """A step on random pictures of `size` px in a network frame of FRAME px."""
    network = SCN(num_landmarks=len(NAMES), channels=channels).to(DEVICE, memory_format=torch.channels_last)
    images = torch.randn(batch, 1, size, size, device=DEVICE).contiguous(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(network.parameters(), fused=True)
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
    parser = parser_of(__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 128, 256], help="px of the network's input")
    parser.add_argument("--batch", type=int, default=4, help="radiographs a step")
    parser.add_argument("--channels", type=int, default=64, help="of the network, and of the convolution at its peak")
    parser.add_argument("--repeats", type=int, default=3, help="runs that the median is taken of")
    options = parser.parse_args(arguments)
    usual = native_precision(DEVICE) == "bfloat16"
    convolve, convolve_flops = large_convolution(torch.bfloat16 if usual else torch.float32, options.channels)
    print(f"{name()}\nsize     pass  GFLOP  float32 s bfloat16 s  GFLOP/s of the convolution, share of it")
    for size in options.sizes:
        for backward in (False, True):
            steps = [make_step(size, backward, options.batch, options.channels, bfloat16) for bfloat16 in (False, True)]
            with (counter := FlopCounterMode(display=False)):
                steps[0]()
            *taken, convolution = seconds(*steps, convolve, repeats=options.repeats)
            whole, half = (step / options.batch for step in taken)
            peak = convolve_flops / convolution / 1e9
            gflop, used = counter.get_total_flops() / options.batch / 1e9, half if usual else whole
            line = f"{size:4d} {'training' if backward else 'forward':>8} {gflop:6.1f} {whole:10.3f} {half:10.3f}"
            print(f"{line} {peak:8.0f} {100 * gflop / used / peak:9.0f} %", flush=True)


if __name__ == "__main__":
    raise SystemExit(exit_status(main))
