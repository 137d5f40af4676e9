"""The networks by ONNX Runtime instead of PyTorch, from files that `predict.py --export` wrote. The package is optional."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from runtime.checkpoint import digest_of
from runtime.command import need_package
from runtime.files import DataError

MADE_OF = "weights"  # what the file knows of the weights that it was made of


def of_second_look(path: Path) -> Path:
    """The file of the second look's network, beside that of the first one."""
    return path.with_name(f"{path.stem}_second_look{path.suffix}")


class OnnxFile:
    """Computes on the thread that calls it."""

    device = torch.device("cpu")

    def __init__(self, path: Path, model: nn.Module):
        """Raises DataError where the file is none, or was not made of the weights of `model`."""
        need_package("onnxruntime", "--engine")
        import onnxruntime

        if not path.is_file():
            raise DataError(f"{path}: no such file; write it by predict.py --export")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        try:
            self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its errors share no kind of their own
            raise DataError(f"{path}: cannot be read as an ONNX file ({type(error).__name__}); export it again") from error
        if self.session.get_modelmeta().custom_metadata_map.get(MADE_OF) != digest_of(model.state_dict()):
            raise DataError(f"{path}: was not made of these weights; export it again from them: predict.py --export")

    def run(self, **inputs: Tensor) -> Tensor:
        arrays = {name: np.ascontiguousarray(value.numpy()) for name, value in inputs.items()}
        return torch.from_numpy(self.session.run(None, arrays)[0])


class OnnxNetwork(OnnxFile):
    """Called as the network that it stands for."""

    spatial_factor = 0  # the file has the network's own in it

    def __call__(self, images: Tensor, _: int) -> tuple[Tensor, None, None]:
        """Images (B, 1, H, W) in [-1, 1] -> heatmaps (B, L, H, W), and nothing else."""
        return self.run(pictures=images), None, None


class OnnxSecondLook(OnnxFile):
    """Called as the network that it stands for."""

    def __call__(self, crops: Tensor, landmarks: Tensor) -> Tensor:
        return self.run(crops=crops, landmarks=landmarks)
