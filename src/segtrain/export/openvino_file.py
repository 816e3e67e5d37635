"""OpenVINO: ONNX, read and written by OpenVINO itself, two files: the graph (.xml) and its numbers (.bin)."""

from pathlib import Path
from typing import Any

import torch

from segtrain.export.network import FullSize, Run, Size
from segtrain.export.onnx_file import metadata, write_onnx


def write_openvino(network: FullSize, path: Path, size: Size, about: dict[str, Any], dynamic: bool) -> Run:
    """Writes OpenVINO's format and reads it back.

    Args:
        network: with what it gives at the image's size.
        path: of the .xml; the .bin gets its name.
        size: height and width of the example.
        about: goes into the file's runtime information below `segtrain`.
        dynamic: whether images of any size are taken.

    Returns:
        A function that runs it on the CPU.
    """
    import openvino

    draft = path.with_suffix(".onnx")
    try:
        write_onnx(network, draft, size, about, dynamic)
        # read_model, and not OpenVINO's converter, which reports its use over the network.
        model = openvino.Core().read_model(draft)
    finally:
        draft.unlink(missing_ok=True)
    for key, text in metadata(about).items():
        model.set_rt_info(text, ["segtrain", "config" if key == "segtrain" else key])
    openvino.save_model(model, path, compress_to_fp16=False)
    return run_openvino(path)


def run_openvino(path: Path) -> Run:
    """A function that runs OpenVINO's file on the CPU in float32, with torch's number of threads."""
    import openvino

    options = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": torch.get_num_threads()}
    compiled = openvino.Core().compile_model(str(path), "CPU", options)
    return lambda images: torch.from_numpy(compiled(images.numpy())[0].copy())
