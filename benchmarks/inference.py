"""Inference per radiograph by batch size, the network alone and all from a picture in memory on.

    python -m benchmarks.inference --weights weights/scn_hand.pt

The peak is the rate of this machine's 5 x 5 convolution.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.machine import DEVICE, large_convolution, name, seconds
from phantom.drawing import draw_hand
from prediction.predictor import Predictor
from runtime.command import exit_status


def by_batches(weights: Path, batches: list[int], repeats: int) -> None:
    predictor = Predictor(weights)
    picture = draw_hand(0)[0].astype(np.float32)
    bfloat16 = predictor.precision == "bfloat16"
    convolve, flops = large_convolution(torch.bfloat16 if bfloat16 else torch.float32)
    peak = flops / seconds(convolve, repeats=repeats)[0] / 1e9
    print(f"{name()}; convolution {peak:.0f} GFLOP/s\nbatch  GFLOP  network s  all s  % of peak")
    for batch in batches:
        images = torch.zeros(batch, 1, predictor.size, predictor.size, device=DEVICE).to(memory_format=torch.channels_last)

        def network(images=images) -> None:
            with torch.inference_mode(), torch.autocast(DEVICE.type, torch.bfloat16, enabled=bfloat16):
                predictor.model(images, predictor.spatial_factor)

        def everything(batch=batch) -> None:
            predictor.predict([picture] * batch)

        with (counter := FlopCounterMode(display=False)):
            network()
        gflop = counter.get_total_flops() / batch / 1e9
        alone, whole = (taken / batch for taken in seconds(network, everything, repeats=repeats))
        print(f"{batch:5d} {gflop:6.1f} {alone:10.3f} {whole:6.3f} {100 * gflop / peak / alone:10.0f}", flush=True)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, default=Path("weights/scn_hand.pt"), help="a file of export.py")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 2, 4, 8], help="radiographs each")
    parser.add_argument("--repeats", type=int, default=5, help="runs that the median is taken of")
    options = parser.parse_args(arguments)
    by_batches(options.weights, options.batches, options.repeats)


if __name__ == "__main__":
    sys.exit(exit_status(main))
