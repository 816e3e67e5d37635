"""A trained network in the formats of other programs: written, read back, and compared with itself."""

import copy
import io
import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import nn

from segtrain.errors import InputError, SaveError, SegtrainError, how_to_install
from segtrain.export.network import FullSize, LogitDifference, Output, Run, Size, compare, trace
from segtrain.export.onnx_file import NEEDED, write_onnx
from segtrain.export.openvino_file import write_openvino
from segtrain.export.runners import run_torch_export
from segtrain.input_spec import InputSpec
from segtrain.layers.grid import SLICES_ARE_LOST
from segtrain.tasks import Task

SUFFIX = {"onnx": ".onnx", "openvino": ".xml", "torch_export": ".pt2", "safetensors": ".safetensors"}
SMALLEST = 64  # a side of the example, on which every network has several cells
TOLERANCE = 1e-3  # of the logits' range
OTHER_LABELS = 0.01  # share of the pixels of an image of noise, where many classes are nearly as likely


def export_model(
    model: nn.Module,
    form: str,
    path: Path,
    size: Size,
    about: dict[str, Any],
    *,
    dynamic: bool,
    output: Output = "logits",
    task: Task = Task(),  # noqa: B008 (a tuple, which nobody can change)
) -> list[LogitDifference]:
    """Writes a model in another format and compares what is read back, on images of several sizes.

    Args:
        model: in eval mode, on the CPU.
        form: the format, a key of SUFFIX.
        path: of the file.
        size: height and width of the example that the exporter follows through the network.
        about: goes into the file, as JSON.
        dynamic: any size is taken; otherwise that of the example alone.
        output: what the file gives; the state dict of safetensors gives neither.
        task: what the logits mean.

    Returns:
        The differences, one for each size that was compared.

    Raises:
        InputError: what the format needs is not installed, or the network cannot be exported.
        SegtrainError: what is read back differs.
        SaveError: the file cannot be written.

    Example:
        >>> export_model(model, "onnx", Path("fcn8s.onnx"), (360, 480), {}, dynamic=True)[0].labels
        0.0
    """
    needed = {"onnx": NEEDED, "openvino": (*NEEDED, "openvino")}.get(form, ())
    if missing := next((name for name in needed if not find_spec(name)), None):
        extra = "export" if form == "onnx" else "openvino"
        raise InputError(f"format={form}: {missing} is not installed", do=how_to_install(extra))
    spec = InputSpec.of_json(about.get("input"))
    whole = FullSize(model, size, spec, output, task).eval()
    draft = path.with_name(f".{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        differences = _write(whole, form, draft, size, about, dynamic)
        if form == "openvino":
            draft.with_suffix(".bin").replace(path.with_suffix(".bin"))
        draft.replace(path)
    except SegtrainError:
        raise
    except OSError as error:
        raise SaveError.of(path, error) from error
    except Exception as error:  # exporters raise whatever they like
        sizes = "images of any size" if dynamic else f"images of {size[0]}×{size[1]}"
        what = f"format={form}: {type(model).__name__} cannot be exported for {sizes} ({_reason(error)})"
        one = "add dynamic=false size=[HEIGHT,WIDTH], for images of that size alone"
        one += ", or take torch 2.11 or newer" if SLICES_ARE_LOST and form == "onnx" else ""
        raise InputError(what, do=one if dynamic else "try another format") from error
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
            draft.with_suffix(".bin").unlink(missing_ok=True)
    return differences


def _write(
    network: FullSize, form: str, path: Path, size: Size, about: dict[str, Any], dynamic: bool
) -> list[LogitDifference]:
    """Raises SegtrainError where what is read back differs, and whatever exporters raise."""
    height, width = size
    sizes = [size, (height + 1, width + 35), (height // 2 + 33, width - 15)] if dynamic else [size]
    with silent():
        run = WRITERS[form](network, path, size, about, dynamic)
        differences = [compare(network, run, each) for each in sizes]
    for difference in differences:
        if said := _too_large(difference):
            do = "use another format; the file was not kept"
            raise SegtrainError(f"format={form}: read back, {said}", do=do)
    return differences


def _too_large(found: LogitDifference) -> str:
    """What differs too much; an empty string where nothing does."""
    if found.largest is None or found.range is None:
        return f"{found.labels:.1%} of the labels differ" if found.labels > OTHER_LABELS else ""
    if found.largest <= TOLERANCE * max(found.range, 1e-9):
        return ""
    return f"logits of up to {found.range:.2g} differ by {found.largest:.2g}"


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0][:150]}"


def write_torch_export(
    network: FullSize, path: Path, size: Size, about: dict[str, Any], dynamic: bool
) -> Run:
    """Writes torch's own format (.pt2) and reads it back.

    Args:
        network: with its logits at the image's size.
        path: of the file.
        size: height and width of the example.
        about: goes into the file's metadata, as JSON.
        dynamic: whether images of any size are taken.

    Returns:
        The program that was read back.
    """
    program = io.BytesIO()  # of a full disk torch says nothing that one understands
    torch.export.save(
        trace(network, size, dynamic), program, extra_files={"segtrain.json": json.dumps(about)}
    )
    path.write_bytes(program.getbuffer())
    return run_torch_export(path)


def write_safetensors(network: FullSize, path: Path, size: Size, about: dict[str, Any], dynamic: bool) -> Run:
    """Writes the tensors alone, by the names of the model's state dict, and reads them back.

    Args:
        network: ours.
        path: of the file.
        size: not used: tensors take images of any size.
        about: goes into the file's metadata, as JSON.
        dynamic: not used.

    Returns:
        A copy of the network with the tensors that were read back.
    """
    from safetensors.torch import load_file, save

    tensors = {name: value.contiguous() for name, value in network.model.state_dict().items()}
    path.write_bytes(save(tensors, metadata={"segtrain": json.dumps(about)}))
    again = copy.deepcopy(network)
    again.model.load_state_dict(load_file(path))
    return again


WRITERS = {
    "onnx": write_onnx,
    "openvino": write_openvino,
    "torch_export": write_torch_export,
    "safetensors": write_safetensors,
}


@contextmanager
def silent() -> Iterator[None]:
    """Without the warnings and the pages of graphs that exporters log."""
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)
