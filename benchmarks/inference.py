"""Prediction per radiograph by batch size: the network alone, and from a picture in memory to landmarks in its pixels.

python benchmarks/inference.py --weights weights/scn_hand.pt
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.machine import DEVICE, name, peaks, seconds
from phantom.drawing import draw_hand
from prediction.predictor import Predictor
from radiographs.network_frame import resize_square


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, default=Path("weights/scn_hand.pt"))
    options = parser.parse_args()
    predictor = Predictor(options.weights)
    picture, _ = draw_hand(0)
    bfloat16 = predictor.precision == "bfloat16"
    peak = peaks(torch.bfloat16 if bfloat16 else torch.float32)["convolution, GFLOP/s"]
    print(f"{name()}; convolution {peak:.0f} GFLOP/s\nbatch  network s  all s  % of peak")
    for batch in (1, 2, 4, 8):
        images = torch.zeros(batch, 1, predictor.size, predictor.size, device=DEVICE).contiguous(
            memory_format=torch.channels_last
        )
        counter = FlopCounterMode(display=False)

        def network(images=images) -> None:
            with torch.inference_mode(), torch.autocast(DEVICE.type, torch.bfloat16, enabled=bfloat16):
                predictor.model(images, predictor.spatial_factor)

        def everything(batch=batch) -> None:
            squares = [resize_square(picture.astype(np.float32), predictor.network_size) for _ in range(batch)]
            predictor.predict(squares, [picture.shape[::-1]] * batch)

        with counter:
            network()
        alone, whole = (taken / batch for taken in seconds(network, everything))
        floor = counter.get_total_flops() / batch / 1e9 / peak
        print(f"{batch:5d} {alone:10.3f} {whole:6.3f} {100 * floor / alone:10.0f}", flush=True)


if __name__ == "__main__":
    main()
