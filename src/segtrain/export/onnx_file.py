"""ONNX: written by torch's exporter, with what one must know to use it, and read back into onnxruntime."""

from __future__ import annotations

import json
import operator
from pathlib import Path
from typing import Any, cast

import torch
from torch.export import ExportedProgram

from segtrain.export.network import FullSize, Run, Size, trace

NEEDED = ("onnx", "onnxscript", "onnxruntime")  # the extra `export`


def write_onnx(network: FullSize, path: Path, size: Size, about: dict[str, Any], dynamic: bool) -> Run:
    """Writes ONNX and reads it back into onnxruntime.

    Args:
        network: with its logits at the image's size.
        path: of the file.
        size: height and width of the example.
        about: for the file's metadata: all of it as JSON under `segtrain`, and each key's JSON by its name.
        dynamic: whether images of any size are taken.

    Returns:
        A function that runs it on the CPU.
    """
    from segtrain.export.onnx_operators import TRANSLATIONS

    program = torch.onnx.export(
        _without_floors(trace(network, size, dynamic)),
        dynamo=True,
        verbose=False,
        input_names=["images"],
        output_names=[network.output],
        custom_translation_table=cast(Any, TRANSLATIONS),
    )
    assert program is not None
    program.model.metadata_props.update(metadata(about))
    program.save(path, external_data=False)
    return run_onnx(path)


def metadata(about: dict[str, Any]) -> dict[str, str]:
    """What a file of another format holds about the model, for its readers: JSON by each key, and whole.

    Example:
        >>> metadata({"class_names": ["sky"]})
        {'segtrain': '{"class_names": ["sky"]}', 'class_names': '["sky"]'}
    """
    return {"segtrain": json.dumps(about)} | {key: json.dumps(value) for key, value in about.items()}


def run_onnx(path: Path) -> Run:
    """A function that runs a file of ONNX on the CPU, by onnxruntime with torch's number of threads."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # its failures are raised too
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda images: torch.from_numpy(session.run(None, {"images": images.numpy()})[0])


def _without_floors(program: ExportedProgram) -> ExportedProgram:
    """a // b of sizes as (a - a % b) // b: ONNX rounds quotients towards zero, remainders as Python does."""
    graph = program.graph
    for node in graph.find_nodes(op="call_function", target=operator.floordiv):
        dividend, divisor = node.args
        values = [n.meta["val"] if isinstance(n, torch.fx.Node) else n for n in node.args]
        with graph.inserting_before(node):
            rest = graph.call_function(operator.mod, (dividend, divisor))
            rest.meta["val"] = values[0] % values[1]
            multiple = graph.call_function(operator.sub, (dividend, rest))
            multiple.meta["val"] = values[0] - rest.meta["val"]
        node.args = (multiple, divisor)
    return program
