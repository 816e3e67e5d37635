"""An exported file as a function, by its suffix: what reads it back, compares it and evaluates it."""

from collections.abc import Callable
from pathlib import Path

import torch

from segtrain.export.network import Run
from segtrain.export.onnx_file import run_onnx
from segtrain.export.openvino_file import run_openvino


def run_torch_export(path: Path) -> Run:
    """A function that runs a program of torch.export."""
    return torch.export.load(path).module()


RUNNERS: dict[str, Callable[[Path], Run]] = {
    ".onnx": run_onnx,
    ".xml": run_openvino,
    ".pt2": run_torch_export,
}


def runner(path: Path) -> Run:
    """A function that runs an exported file on the CPU.

    Args:
        path: of ONNX, OpenVINO or torch.export.

    Returns:
        A function of images 1×C×H×W, which gives what the file gives.
    """
    return RUNNERS[path.suffix](path)
