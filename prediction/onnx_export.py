"""The networks as ONNX files: for programs without PyTorch, and for `predict.py --engine`, also with whole numbers of 8 bits."""

import logging
import tempfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from torch import Tensor, nn

from augment import Augment
from dataloader import RadiographDataset
from evaluation import shrink
from prediction.engine import MADE_OF, of_second_look
from prediction.predictor import Predictor
from radiographs.network_frame import at_size, size_in_settings
from runtime.checkpoint import digest_of
from runtime.files import DataError, write_whole
from second_look.training import Crops

CALIBRATION = 8  # radiographs, evenly over the training ones


class Heatmaps(nn.Module):
    """Pictures (B, 1, H, W) in [-1, 1], prepared and upright -> heatmaps (B, landmarks, H, W)."""

    def __init__(self, predictor: Predictor):
        super().__init__()
        self.model, self.spatial_factor = predictor.model, predictor.spatial_factor

    def forward(self, pictures: Tensor) -> Tensor:
        return self.model(pictures, self.spatial_factor)[0]


def export_onnx(predictor: Predictor, path: Path, calibrate_on: Path | None = None) -> None:
    """Write the file, and one beside it of the second look where there is one; any number of pictures may go in at once.

    `calibrate_on`: a prepared folder, by whose training radiographs convolutions get whole numbers of 8 bits. Raises DataError.
    """
    pictures = torch.zeros(2, 1, *at_size(predictor.frame, predictor.size))
    networks = [(path, predictor.model, Heatmaps(predictor), {"pictures": pictures})]
    if predictor.second:
        size = predictor.second_look["size"]
        crops = {"crops": torch.zeros(2, 1, size, size), "landmarks": torch.arange(2)}
        networks.append((of_second_look(path), predictor.second, predictor.second, crops))
    for file, *_ in networks:
        if file.exists():
            raise DataError(f"{file}: is there already; remove it, or choose another name")
    path.parent.mkdir(parents=True, exist_ok=True)
    examples = shown(predictor, calibrate_on) if calibrate_on else {}
    kind = ", whole numbers of 8 bits" if calibrate_on else ""
    for file, network, module, inputs in networks:
        try:
            import onnx

            model = float_network(module, inputs)
            model = quantised(model, examples[network]) if calibrate_on else model
        except ImportError as error:
            raise DataError(f"ONNX: {error}; pip install onnx onnxscript onnxruntime") from error
        onnx.helper.set_model_props(model, {MADE_OF: digest_of(network.state_dict())})
        write_whole(file, model.SerializeToString())
        said = ", ".join(f"{name} ({', '.join(['N', *map(str, value.shape[1:])])})" for name, value in inputs.items())
        print(f"written to {file}: {said} -> heatmaps{kind}")


def float_network(module: nn.Module, inputs: dict[str, Tensor]):
    """An ONNX model."""
    batch = torch.export.Dim("batch", min=1, max=4096)
    return torch.onnx.export(
        module.eval(), tuple(inputs.values()), input_names=list(inputs), output_names=["heatmaps"],
        dynamic_shapes=({0: batch},) * len(inputs), dynamo=True, verbose=False,
    ).model_proto  # fmt: skip


def shown(predictor: Predictor, folder: Path) -> dict[nn.Module, list[dict[str, Tensor]]]:
    """What each network is shown of CALIBRATION training radiographs, evenly over all. Raises DataError."""
    data = RadiographDataset(folder, "train")
    if data.frame != predictor.frame:
        expected, found = map(size_in_settings, (predictor.frame, data.frame))
        raise DataError(f"{folder}: expected radiographs prepared at {expected} px, found {found}; prepare others")
    chosen = np.linspace(0, len(data) - 1, CALIBRATION).astype(int)
    examples = {predictor.model: [{"pictures": shrink(data[i]["image"][None], predictor.size)} for i in chosen]}
    if predictor.second:
        if data.detail != (longer := predictor.second_look["longer"]):
            raise DataError(f"{folder}: expected pictures for the second look; prepare it again with --detail {longer}")
        # changed as in training, so that pictures in use do not exceed the scales of the whole numbers
        ranges = Augment(rotation=10, scaling=0.1, intensity_scale=0.2, intensity_shift=0.2)
        of_crops = Crops(data, predictor.second_look["size"], 0, ranges)
        examples[predictor.second] = [{name: of_crops[0, i][name] for name in ("crops", "landmarks")} for i in chosen]
    return examples


def quantised(model, examples: list[dict[str, Tensor]]):
    """An ONNX model with its convolutions in whole numbers, scaled by what they see of examples."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_static

    left = iter([{name: value.numpy() for name, value in example.items()} for example in examples])
    shown = SimpleNamespace(get_next=lambda: next(left, None))  # as ONNX Runtime asks for them
    logging.getLogger().setLevel(logging.ERROR)  # its advice to simplify the network first
    with tempfile.TemporaryDirectory() as work:
        quantize_static(
            model, Path(work) / "int8.onnx", shown, per_channel=True, op_types_to_quantize=["Conv"],
            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
        )  # fmt: skip
        return onnx.load(Path(work) / "int8.onnx")
