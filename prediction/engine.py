"""The network by ONNX Runtime instead of PyTorch, from a file that `predict.py --export` wrote. The package is optional."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from runtime.checkpoint import digest_of
from runtime.files import DataError

MADE_OF = "weights"  # what the file knows of the weights that it was made of


class OnnxNetwork:
    """Called as the network that it stands for, it gives heatmaps alone: (heatmaps (B, L, H, W), None, None).

    Each call computes on the thread that makes it.
    """

    def __init__(self, path: Path, model: nn.Module):
        """Raises DataError where the file is none, or was not made of the weights of `model`."""
        try:
            import onnxruntime
        except ImportError:
            raise DataError("--engine: needs the package onnxruntime, which is not installed; pip install onnxruntime") from None
        if not path.is_file():
            raise DataError(f"{path}: no such file; write it by predict.py --export {path}")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        try:
            self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its errors share no kind of their own
            raise DataError(f"{path}: cannot be read as an ONNX file ({type(error).__name__}); export it again") from error
        if self.session.get_modelmeta().custom_metadata_map.get(MADE_OF) != digest_of(model.state_dict()):
            raise DataError(f"{path}: was not made of these weights; export it again from them: predict.py --export")
        self.spatial_factor = model.spatial_factor

    def __call__(self, images: Tensor, spatial_factor: int) -> tuple[Tensor, None, None]:
        """Images (B, 1, H, W) in [-1, 1]; the file has its spatial factor in it."""
        (heatmaps,) = self.session.run(None, {"pictures": np.ascontiguousarray(images.numpy())})
        return torch.from_numpy(heatmaps), None, None
