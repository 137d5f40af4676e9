"""The network as an ONNX file: for programs without PyTorch, and for `predict.py --engine`, also with whole numbers of 8 bits."""

import io
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from dataloader import RadiographDataset
from evaluation import shrink
from prediction.engine import MADE_OF
from prediction.predictor import Predictor
from radiographs.network_frame import size_in_settings
from runtime.checkpoint import digest_of
from runtime.files import DataError, write_whole

CALIBRATION = 8  # radiographs, evenly over the training ones


class Heatmaps(nn.Module):
    """Pictures (B, 1, H, W) in [-1, 1], prepared and upright -> heatmaps (B, landmarks, H, W)."""

    def __init__(self, predictor: Predictor):
        super().__init__()
        self.model, self.spatial_factor = predictor.model, predictor.spatial_factor
        self.eval()

    def forward(self, pictures: Tensor) -> Tensor:
        return self.model(pictures, self.spatial_factor)[0]


def export_onnx(predictor: Predictor, path: Path, calibrate_on: Path | None = None) -> None:
    """Write the file; any number of pictures may go in at once. Raises DataError.

    `calibrate_on`: a prepared folder, by whose training radiographs convolutions get whole numbers of 8 bits.
    """
    if path.exists():
        raise DataError(f"{path}: is there already; remove it, or choose another name")
    try:
        import onnx

        content = float_network(predictor)
        model = onnx.load_from_string(quantised(content, predictor, calibrate_on) if calibrate_on else content)
    except ImportError as error:
        raise DataError(f"ONNX: {error}; pip install onnx onnxscript onnxruntime") from error
    onnx.helper.set_model_props(model, {MADE_OF: digest_of(predictor.model.state_dict())})
    write_whole(path, model.SerializeToString())
    height, width = predictor.input_frame
    kind = ", whole numbers of 8 bits" if calibrate_on else ""
    print(f"written to {path}: pictures (B, 1, {height}, {width}) in [-1, 1] -> heatmaps{kind}")


def float_network(predictor: Predictor) -> bytes:
    pictures = torch.zeros(2, 1, *predictor.input_frame)
    batch = {0: torch.export.Dim("batch", min=1, max=4096)}
    content = io.BytesIO()
    program = torch.onnx.export(
        Heatmaps(predictor), (pictures,), input_names=["pictures"], output_names=["heatmaps"], dynamic_shapes=(batch,),
        dynamo=True, verbose=False,
    )  # fmt: skip
    program.save(content)
    return content.getvalue()


def quantised(content: bytes, predictor: Predictor, folder: Path) -> bytes:
    """The same network with convolutions in whole numbers, scaled by what they see of CALIBRATION training radiographs."""
    from onnxruntime.quantization import QuantType, quantize_static

    data = RadiographDataset(folder, "train")
    if data.frame != predictor.frame:
        expected, found = map(size_in_settings, (predictor.frame, data.frame))
        raise DataError(f"{folder}: expected radiographs prepared at {expected} px, found {found}; prepare others")
    logging.getLogger().setLevel(logging.ERROR)  # its advice to simplify the network first
    with tempfile.TemporaryDirectory() as work:
        (Path(work) / "float.onnx").write_bytes(content)
        quantize_static(
            Path(work) / "float.onnx",
            Path(work) / "int8.onnx",
            Pictures(data, predictor.size),
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=["Conv"],
        )
        return (Path(work) / "int8.onnx").read_bytes()


class Pictures:
    """Training radiographs as ONNX Runtime's quantisation asks for them."""

    def __init__(self, data: RadiographDataset, size: int):
        """`size` px of the longer side that the network sees."""
        self.left: Iterator[Tensor] = iter(
            shrink(data[i]["image"][None], size) for i in np.linspace(0, len(data) - 1, CALIBRATION).astype(int)
        )

    def get_next(self) -> dict[str, np.ndarray] | None:
        picture = next(self.left, None)
        return None if picture is None else {"pictures": picture.numpy()}
