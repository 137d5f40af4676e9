"""A training step per radiograph, forward and backward, and the same network as PyTorch would run it untuned.

    python benchmarks/step.py

Floor: its floating point operations at the rate of this machine's 5 x 5 convolution, which takes its turns with them.
"""

import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

import model
from benchmarks.machine import DEVICE, large_convolution, name, peaks, seconds
from heatmap import draw_heatmaps
from loss import ridge_loss
from model import SCN
from runtime.device import fastest_precision

BATCH, FRAME = 4, 256


def network(tuned: bool) -> SCN:
    """The SCN; untuned: default layout, PyTorch's own weight gradient of large kernels and bicubic upsampling."""
    kernel, model.LARGE_KERNEL = model.LARGE_KERNEL, model.LARGE_KERNEL if tuned else 99
    built = SCN().to(DEVICE)
    model.LARGE_KERNEL = kernel
    return built.to(memory_format=torch.channels_last) if tuned else built


def make_step(size: int, tuned: bool, bfloat16: bool, backward: bool):
    net = network(tuned)
    optimizer = torch.optim.Adam(net.parameters(), fused=tuned)
    images = torch.randn(BATCH, 1, size, size, device=DEVICE)
    if tuned:
        images = images.contiguous(memory_format=torch.channels_last)
    points = torch.rand(BATCH, 37, 2, device=DEVICE) * size
    kernels = [weight for weight in net.parameters() if weight.ndim == 4]

    def step() -> None:
        kept = model.upsample_bicubic
        if not tuned:
            model.upsample_bicubic = lambda x, factor: F.interpolate(x, scale_factor=factor, mode="bicubic")
        with torch.autocast(DEVICE.type, torch.bfloat16, enabled=bfloat16), torch.set_grad_enabled(backward):
            heatmaps, _, _ = net(images, 8 * size // FRAME)
        model.upsample_bicubic = kept
        if backward:
            loss, _ = ridge_loss(heatmaps, draw_heatmaps(points, size, size, 3.0), points, kernels, 1e-4)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return step


def main() -> None:
    print(name())
    usual = fastest_precision(DEVICE) == "bfloat16"
    for dtype in (torch.float32, torch.bfloat16):
        print(str(dtype), {key: round(value) for key, value in peaks(dtype).items()})
    convolve, convolve_flops = large_convolution(torch.bfloat16 if usual else torch.float32)
    print("\nsize     pass  GFLOP  untuned s  float32 s bfloat16 s speed-up % of peak")
    for size in (64, 128, 256):
        for backward in (False, True):
            counter = FlopCounterMode(display=False)
            untuned = make_step(size, tuned=False, bfloat16=False, backward=backward)
            with counter:
                untuned()
            work = [untuned, *(make_step(size, True, bfloat16, backward) for bfloat16 in (False, True))]
            *times, convolution = [taken / BATCH for taken in seconds(*work, convolve, repeats=3)]
            peak = convolve_flops / BATCH / convolution / 1e9
            flops, used = counter.get_total_flops() / BATCH / 1e9, times[2 if usual else 1]
            kind = "training" if backward else "forward"
            line = f"{size:4d} {kind:>8} {flops:6.1f} {times[0]:10.3f} {times[1]:10.3f} {times[2]:10.3f}"
            print(f"{line} {times[0] / used:8.2f} {100 * flops / used / peak:9.0f}", flush=True)


if __name__ == "__main__":
    main()
