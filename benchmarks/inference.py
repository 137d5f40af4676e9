"""Inference per radiograph by batch size, the network alone and all from a picture in memory on; with --data, by engine.

    python -m benchmarks.inference --weights weights/scn_hand.pt
    python -m benchmarks.inference --data dataset/processed

The second compares PyTorch with ONNX Runtime: processor seconds of the network on one core, so that other work on the machine
does not count, and the errors on validation radiographs, which the engines take in turns.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.machine import DEVICE, large_convolution, name, seconds
from dataloader import RadiographDataset
from evaluation import shrink
from heatmap import decode_heatmaps, rescale
from phantom.drawing import draw_hand
from prediction.engine import OnnxNetwork
from prediction.onnx_export import export_onnx
from prediction.predictor import Predictor
from runtime.command import exit_status, parser_of
from runtime.device import autocast

FAR = 4  # px of the network's frame: a landmark farther off is an outlier
Engine = Callable[[Tensor], Tensor]  # pictures (1, 1, size, size) -> heatmaps (1, L, size, size)


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


def engines_of(predictor: Predictor, folder: Path, data: Path) -> dict[str, Engine]:
    """The network of weights by each engine and precision."""

    def by_torch(precision: str) -> Engine:
        def heatmaps(picture: Tensor) -> Tensor:
            with torch.inference_mode(), autocast(picture.device, precision):
                return predictor.model(picture, predictor.spatial_factor)[0]

        return heatmaps

    found = {f"PyTorch {precision}": by_torch(precision) for precision in ("float32", "bfloat16")}
    for kind, calibrate_on in (("float32", None), ("int8", data)):
        export_onnx(predictor, folder / f"{kind}.onnx", calibrate_on)
        network = OnnxNetwork(folder / f"{kind}.onnx", predictor.model)
        found[f"ONNX Runtime {kind}"] = lambda picture, network=network: network(picture, 0)[0]
    return found


@torch.inference_mode()
def by_engines(weights: Path, folder: Path) -> None:
    torch.set_num_threads(1)
    predictor, data = Predictor(weights, "cpu", precision="float32"), RadiographDataset(folder, "valid")
    with tempfile.TemporaryDirectory() as made:
        engines = engines_of(predictor, Path(made), folder)
        taken, points = ({word: [] for word in engines} for _ in range(2))
        for i in range(-1, len(data)):  # the first turn is to warm up
            picture = shrink(data[max(i, 0)]["image"][None], predictor.size).contiguous(memory_format=torch.channels_last)
            for word, engine in engines.items():
                start = time.process_time()
                heatmaps = engine(picture)
                if i >= 0:
                    taken[word].append(time.process_time() - start)
                    points[word].append(decode_heatmaps(heatmaps.float())[0][0].numpy())
    first = np.array(next(iter(points.values())))
    print(f"{name()}\n{'engine':22} {'s':>6} {'IPE px':>8} {'Or(4 px)':>9} {'moved px':>9}")
    for word in engines:
        found = np.array(points[word])
        errors = np.linalg.norm(rescale(found, predictor.network_size / predictor.size) - data.points_network_px, axis=-1)
        moved, outliers = np.linalg.norm(found - first, axis=-1).mean(), (errors > FAR).sum(1).mean()
        print(f"{word:22} {statistics.median(taken[word]):6.3f} {np.nanmean(errors):8.3f} {outliers:9.3f} {moved:9.3f}")


def main(arguments: list[str] | None = None) -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--weights", type=Path, default=Path("weights/scn_hand.pt"), help="a file of export.py")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 2, 4, 8], help="radiographs each")
    parser.add_argument("--repeats", type=int, default=5, help="runs that the median is taken of")
    parser.add_argument("--data", type=Path, help="prepared data, never their test radiographs, to compare engines on instead")
    options = parser.parse_args(arguments)
    if options.data:
        by_engines(options.weights, options.data)
    else:
        by_batches(options.weights, options.batches, options.repeats)


if __name__ == "__main__":
    raise SystemExit(exit_status(main))
