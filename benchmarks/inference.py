"""Inference per radiograph by batch size: the network alone, and from a picture in memory to landmarks in its pixels.

python -m benchmarks.inference --weights weights/scn_hand.pt
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.machine import DEVICE, convolution_rate, name, seconds
from experiments.common import whole_numbers
from phantom.drawing import draw_hand
from prediction.predictor import Predictor
from runtime.command import exit_status


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, default=Path("weights/scn_hand.pt"), help="a file of export.py")
    parser.add_argument("--batches", type=whole_numbers, default=[1, 2, 4, 8], help="radiographs each, separated by commas")
    parser.add_argument("--repeats", type=int, default=5, help="runs that the median is taken of")
    options = parser.parse_args(arguments)
    predictor = Predictor(options.weights)
    picture = draw_hand(0)[0].astype(np.float32)
    bfloat16 = predictor.precision == "bfloat16"
    peak = convolution_rate(torch.bfloat16 if bfloat16 else torch.float32, repeats=options.repeats)
    print(f"{name()}; convolution {peak:.0f} GFLOP/s\nbatch  GFLOP  network s  all s  % of peak")
    for batch in options.batches:
        images = torch.zeros(batch, 1, predictor.size, predictor.size, device=DEVICE).contiguous(
            memory_format=torch.channels_last
        )

        def network(images=images) -> None:
            with torch.inference_mode(), torch.autocast(DEVICE.type, torch.bfloat16, enabled=bfloat16):
                predictor.model(images, predictor.spatial_factor)

        def everything(batch=batch) -> None:
            predictor.predict([picture] * batch)

        with (counter := FlopCounterMode(display=False)):
            network()
        gflop = counter.get_total_flops() / batch / 1e9
        alone, whole = (taken / batch for taken in seconds(network, everything, repeats=options.repeats))
        print(f"{batch:5d} {gflop:6.1f} {alone:10.3f} {whole:6.3f} {100 * gflop / peak / alone:10.0f}", flush=True)


if __name__ == "__main__":
    sys.exit(exit_status(main))
