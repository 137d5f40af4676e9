"""The network as an ONNX file, for programs without PyTorch."""

import io
from pathlib import Path

import torch
from torch import Tensor, nn

from prediction.predictor import Predictor
from runtime.files import DataError, write_whole


class Heatmaps(nn.Module):
    """Pictures (B, 1, H, W) in [-1, 1], prepared and upright -> heatmaps (B, landmarks, H, W)."""

    def __init__(self, predictor: Predictor):
        super().__init__()
        self.model, self.spatial_factor = predictor.model, predictor.spatial_factor
        self.eval()

    def forward(self, pictures: Tensor) -> Tensor:
        return self.model(pictures, self.spatial_factor)[0]


def export_onnx(predictor: Predictor, path: Path) -> None:
    """Write the file; any number of pictures may go in at once. Raises DataError."""
    if path.exists():
        raise DataError(f"{path}: is there already; remove it, or choose another name")
    pictures = torch.zeros(2, 1, *predictor.input_frame)
    batch = {0: torch.export.Dim("batch", min=1, max=4096)}
    content = io.BytesIO()
    try:
        program = torch.onnx.export(
            Heatmaps(predictor), (pictures,), input_names=["pictures"], output_names=["heatmaps"], dynamic_shapes=(batch,),
            dynamo=True, verbose=False,
        )  # fmt: skip
    except ImportError as error:
        raise DataError(f"ONNX: {error}; pip install onnx onnxscript") from error
    program.save(content)
    write_whole(path, content.getbuffer())
    height, width = predictor.input_frame
    print(f"written to {path}: pictures (B, 1, {height}, {width}) in [-1, 1] -> heatmaps")
