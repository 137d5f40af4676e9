"""The network as it is, compiled, and compiled into CUDA graphs: seconds per radiograph of inference and of a training step.

python -m benchmarks.compiled --sizes 64,128,256 --batches 2,8,32
"""

import argparse
import sys

import torch
from torch import nn

from benchmarks.machine import DEVICE, name, seconds
from benchmarks.step import FRAME
from experiments.common import whole_numbers
from model import SCN
from runtime.command import exit_status
from runtime.device import autocast, native_precision

MODES = {"as it is": None, "compiled": "default", "CUDA graphs": "reduce-overhead"}


def work_of(network: nn.Module, size: int, batch: int, training: bool):
    """A forward pass, or a forward and a backward one, on random pictures."""
    precision, factor = native_precision(DEVICE), SCN().spatial_factor * size // FRAME
    images = torch.randn(batch, 1, size, size, device=DEVICE).contiguous(memory_format=torch.channels_last)

    def work() -> None:
        with torch.set_grad_enabled(training), autocast(DEVICE, precision):
            heatmaps, _, _ = network(images, factor)
        if training:
            heatmaps.square().sum().backward()

    return work


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=whole_numbers, default=[64, 128, 256], help="px of the network's input")
    parser.add_argument("--batches", type=whole_numbers, default=[2, 8, 32], help="radiographs each")
    parser.add_argument("--channels", type=int, default=64, help="of the network")
    parser.add_argument("--repeats", type=int, default=5, help="runs that the median is taken of")
    options = parser.parse_args(arguments)
    modes = MODES if DEVICE.type == "cuda" else {word: mode for word, mode in MODES.items() if mode != "reduce-overhead"}
    print(f"{name()}, {native_precision(DEVICE)}\nsize batch pass      {' '.join(f'{word:>12}' for word in modes)}  (ms each)")
    for size in options.sizes:
        for batch in options.batches:
            for training in (False, True):
                torch._dynamo.reset()
                pieces = []
                for mode in modes.values():
                    network = SCN(channels=options.channels).to(DEVICE, memory_format=torch.channels_last).train(training)
                    pieces.append(work_of(torch.compile(network, mode=mode) if mode else network, size, batch, training))
                taken = [1000 * whole / batch for whole in seconds(*pieces, repeats=options.repeats)]
                line = f"{size:4d} {batch:5d} {'training' if training else 'forward':8}"
                print(f"{line}  {' '.join(f'{one:12.3f}' for one in taken)}", flush=True)


if __name__ == "__main__":
    sys.exit(exit_status(main))
