"""The network by PyTorch, ONNX Runtime and OpenVINO: processor seconds of a radiograph on one core, and the errors beside them.

    python -m benchmarks.engines --data dataset/processed --weights weights/scn_hand.pt

The engines take turns on each validation radiograph. Processor seconds count, so that other work on the machine does not. An
engine whose package is missing is left out.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.machine import name
from dataloader import RadiographDataset
from evaluation import shrink
from heatmap import decode_heatmaps, rescale
from prediction.engine import OnnxNetwork
from prediction.onnx_export import export_onnx
from prediction.predictor import Predictor
from runtime.command import exit_status
from runtime.device import autocast

FAR = 4  # px of the network's frame: a landmark farther off is an outlier


def engines_of(predictor: Predictor, folder: Path, data: Path) -> dict[str, Callable[[Tensor], Tensor]]:
    """Pictures (1, 1, size, size) -> heatmaps (1, L, size, size), by name."""

    def by_torch(precision: str) -> Callable[[Tensor], Tensor]:
        def heatmaps(picture: Tensor) -> Tensor:
            with torch.inference_mode(), autocast(picture.device, precision):
                return predictor.model(picture, predictor.spatial_factor)[0]

        return heatmaps

    found = {f"PyTorch {precision}": by_torch(precision) for precision in ("float32", "bfloat16")}
    for kind, calibrate_on in (("float32", None), ("int8", data)):
        path = folder / f"{kind}.onnx"
        export_onnx(predictor, path, calibrate_on)
        network = OnnxNetwork(path, predictor.model)
        found[f"ONNX Runtime {kind}"] = lambda picture, network=network: network(picture, 0)[0]
    return found | by_openvino(folder)


def by_openvino(folder: Path) -> dict[str, Callable[[Tensor], Tensor]]:
    try:
        from openvino import Core
    except ImportError:
        return {}
    core, found = Core(), {}
    for word, kind, precision in (("float32", "float32", "f32"), ("bfloat16", "float32", "bf16"), ("int8", "int8", "bf16")):
        settings = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": precision}
        network = core.compile_model(core.read_model(folder / f"{kind}.onnx"), "CPU", settings)
        found[f"OpenVINO {word}"] = lambda picture, network=network: torch.from_numpy(network(picture.numpy())[0].copy())
    return found


@torch.inference_mode()
def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", type=Path, default=Path("dataset/processed"), help="prepared data, never their test radiographs"
    )
    parser.add_argument("--weights", type=Path, default=Path("weights/scn_hand.pt"), help="a file of export.py")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    predictor, data = Predictor(options.weights, "cpu", precision="float32"), RadiographDataset(options.data, "valid")
    with tempfile.TemporaryDirectory() as folder:
        engines = engines_of(predictor, Path(folder), options.data)
        taken, points = ({word: [] for word in engines} for _ in range(2))
        for i in range(-1, len(data)):  # the first turn is to warm up
            picture = shrink(data[max(i, 0)]["image"][None], predictor.size).contiguous(memory_format=torch.channels_last)
            for word, engine in engines.items():
                start = time.process_time()
                heatmaps = engine(picture)
                if i >= 0:
                    taken[word].append(time.process_time() - start)
                    points[word].append(decode_heatmaps(heatmaps.float())[0][0].numpy())
    truth, first = data.points_network_px, np.array(next(iter(points.values())))
    print(f"{name()}\n{'engine':22} {'s':>6} {'IPE px':>8} {'Or(4 px)':>9} {'moved px':>9}")
    for word in engines:
        found = rescale(np.array(points[word]), predictor.network_size / predictor.size)
        errors = np.linalg.norm(found - truth, axis=-1)
        moved = np.linalg.norm(np.array(points[word]) - first, axis=-1).mean()
        outliers = (errors > FAR).sum(1).mean()
        print(f"{word:22} {statistics.median(taken[word]):6.3f} {np.nanmean(errors):8.3f} {outliers:9.3f} {moved:9.3f}")


if __name__ == "__main__":
    sys.exit(exit_status(main))
