"""Writes a complete model: a folder of ONNX graphs, model.json that says what they are, and landmarks.py that calls them."""

import hashlib
import json
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from finder.network import MOST, SIDE
from portable.graphs import Graph, graphs_of
from prediction.calibration import DOUBTFUL, MISPLACED, NO_OUTLINE, OF_LANDMARKS, OF_RADIOGRAPHS, OUTSIDE, UNLIKE_TRAINING
from prediction.candidate import SAME
from prediction.predictor import MAX_RUNS, UNSURE, Predictor
from prediction.regions import COVERAGE
from runtime.checkpoint import digest_of
from runtime.files import DataError, write_whole
from runtime.version import VERSION

CODE = Path(__file__).with_name("landmarks.py")
OPSET = 20
IN, OUT = "in_", "out_"  # what names begin with in the files, whose own names must differ from them
HALF_FROM = 1024  # numbers, from which on a constant is kept in half precision where that holds it exactly, as weights files do


def export_model(predictor: Predictor, folder: Path) -> None:
    """Write the folder. Raises DataError where it is there already."""
    if folder.exists():
        raise DataError(f"{folder}: is there already; remove it, or choose another name")
    predictor.precision = "float32"
    graphs = graphs_of(predictor)
    written = {name: shrunk(translated(graph)).SerializeToString() for name, graph in graphs.items()}
    folder.mkdir(parents=True)
    for name, content in written.items():
        write_whole(folder / f"{name}.onnx", content)
    about = about_of(predictor, graphs)
    for name, content in written.items():
        about["graphs"][name] |= {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    write_whole(folder / "model.json", (json.dumps(about, indent=1) + "\n").encode())
    write_whole(folder / CODE.name, CODE.read_bytes())
    print(f"written to {folder}: {len(graphs)} graphs, {sum(map(len, written.values())) / 1e6:.1f} MB; {CODE.name} calls them")


def about_of(predictor: Predictor, graphs: dict[str, Graph]) -> dict:
    """What model.json says."""
    joint, calibration, finder = predictor.joint, predictor.calibration, predictor.finder
    sided = finder is not None and any(finder.template.reflections)
    return {
        "about": "Landmarks in radiographs. landmarks.py calls the graphs in their order; bone may be bright or dark.",
        "version": VERSION,
        "weights": digest_of(predictor.model.state_dict()),
        "made_with": {"torch": torch.__version__, "opset": OPSET},
        "pixels": "Points are (x, y); (0, 0) is the centre of the first pixel: a picture reaches from -0.5 to its side - 0.5.",
        "names": f"A graph calls its inputs {IN}NAME, and its outputs {OUT}NAME.",
        "coverage": COVERAGE,
        "joint": joint.joint,
        "landmarks": predictor.names,
        "skeleton": [list(pair) for pair in joint.skeleton],
        "lengths": {one.name: list(one.of) for one in joint.measures if one.kind == "length"},
        "sides": [joint.side(mirrored) if sided else "" for mirrored in (False, True)],
        "finder": finder is not None,
        "finder_side": SIDE,
        "frame": list(predictor.frame),
        "most": MOST,
        "runs": MAX_RUNS,
        "unsure": UNSURE,
        "same": SAME,
        "least_evidence": float(calibration.least_evidence),
        "outlined": bool(calibration.outlined),
        "flags": {
            "of_landmarks": list(OF_LANDMARKS),
            "of_radiographs": dict(zip((OUTSIDE, DOUBTFUL, MISPLACED), OF_RADIOGRAPHS)),
            "alien": UNLIKE_TRAINING,
            "absent": joint.absent or UNLIKE_TRAINING,
            "no_outline": NO_OUTLINE,
        },
        "graphs": {
            name: {
                "file": f"{name}.onnx",
                "inputs": {of: described(value, graph.dynamic.get(of, ())) for of, value in graph.inputs.items()},
                "outputs": list(graph.outputs),
            }
            for name, graph in graphs.items()
        },
    }


def described(value: Tensor, dynamic: tuple[str, ...]) -> list:
    """A tensor's type and its sides, by their names where they differ from call to call."""
    return [str(value.dtype).removeprefix("torch."), *(dynamic or value.shape)]


def translated(graph: Graph):
    """An ONNX model. Raises DataError where a package is missing."""
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise DataError(f"ONNX: {error}; pip install onnx onnxscript onnxruntime") from error
    with warnings.catch_warnings(action="ignore"), torch.no_grad():
        shapes = tuple(dict.fromkeys(range(len(graph.dynamic.get(of, ()))), torch.export.Dim.DYNAMIC) for of in graph.inputs)
        program = torch.export.export(graph.module.eval(), tuple(graph.inputs.values()), dynamic_shapes=(shapes,), strict=False)
        aten = torch.ops.aten
        program = program.run_decompositions({aten.linalg_solve_ex.default: solved, aten._linalg_solve_ex.default: solved})
        made = torch.onnx.export(
            program,
            input_names=[IN + name for name in graph.inputs],
            output_names=[OUT + name for name in graph.outputs],
            opset_version=OPSET,
            verbose=False,
        )
    return made.model_proto


def solved(matrix: Tensor, right: Tensor, left: bool = True, check_errors: bool = False) -> tuple[Tensor, Tensor]:
    """Solutions of symmetric, positive definite equations (N, n, n) by elimination, since no operator solves them."""
    both, unit = torch.cat([matrix, right], -1), torch.eye(matrix.shape[-1], dtype=matrix.dtype)
    for i in range(len(unit)):
        row = both[:, i : i + 1] / both[:, i : i + 1, i : i + 1]
        both = both - (both[:, :, i : i + 1] - unit[:, i : i + 1]) * row  # the own row becomes the divided one
    found = both[..., len(unit) :]
    return found, torch.zeros(len(found), dtype=torch.int32)


def shrunk(model):
    """An ONNX model whose large constants are kept in half precision, or as one number, where that holds them exactly."""
    from onnx import helper, numpy_helper

    nodes = []
    for constant in list(model.graph.initializer):
        values, name = numpy_helper.to_array(constant), constant.name
        if values.size < HALF_FROM:
            continue
        if (values == values.flat[0]).all():
            constant.CopyFrom(numpy_helper.from_array(values.flat[0], f"{name}_one"))
            model.graph.initializer.append(numpy_helper.from_array(np.array(values.shape), f"{name}_shape"))
            nodes.append(helper.make_node("Expand", [f"{name}_one", f"{name}_shape"], [name]))
        elif values.dtype.kind == "f" and np.array_equal(half := values.astype(np.float16), values):
            nodes.append(helper.make_node("Cast", [f"{name}_half"], [name], to=constant.data_type))
            constant.CopyFrom(numpy_helper.from_array(half, f"{name}_half"))
    without_traces(model.graph)
    nodes += model.graph.node
    del model.graph.node[:], model.graph.value_info[:]
    model.graph.node.extend(nodes)
    return model


def without_traces(graph) -> None:
    """Remove where in which file each operator comes from: half of a small graph, with paths of this machine."""
    for part in (graph, *graph.node, *graph.initializer, *graph.input, *graph.output, *graph.value_info):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                without_traces(attribute.g)
