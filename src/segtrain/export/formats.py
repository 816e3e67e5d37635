"""A trained network in the formats of other programs: written, read back, and compared with itself."""

import copy
import io
import json
import logging
import operator
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torch.fx.experimental import _config as shape_config
from torch.nn import functional as F

from segtrain.errors import InputError, SaveError, SegtrainError, how_to_install
from segtrain.input_spec import InputSpec
from segtrain.sizes import stride_of
from segtrain.tasks import Task

Size = tuple[int, int]  # height, width
Run = Callable[[Tensor], Tensor]  # an image, uint8 1×3×H×W, to logits 1×C×H×W

SUFFIX = {"onnx": ".onnx", "torch_export": ".pt2", "safetensors": ".safetensors"}
NEEDED = ("onnx", "onnxscript", "onnxruntime")  # for ONNX: the extra `export`
SMALLEST = 64  # a side of the example, on which every network has several cells
TOLERANCE = 1e-3  # of the logits' range


class FullSize(nn.Module):
    """An image, uint8 RGB 1×3×H×W or of the model's own channels, to logits 1×C×H×W: a model with
    `upsample_logits` behind it.

    Args:
        model: in eval mode, on the CPU.
        size: of any image; the strides of the output, which `sizes.py` finds by trying, are
            found on it and are the same for all.
    """

    def __init__(self, model: nn.Module, size: Size, spec: InputSpec):
        super().__init__()
        self.model, self.spec = model, spec
        with torch.inference_mode():
            cells = model(self.example(size))["out"].shape[-2:]
        self.strides = [stride_of(*sides) for sides in zip(cells, size, strict=True)]

    def example(self, size: Size, generator: torch.Generator | None = None) -> Tensor:
        """An image 1×C×H×W, black or, with a generator, noise: uint8, or float32 for all other numbers."""
        shape = (1, self.spec.channels, *size)
        if self.spec.dtype == "uint8":
            levels = 1 if generator is None else 256
            return torch.randint(0, levels, shape, dtype=torch.uint8, generator=generator)
        low, high = (torch.tensor(bound).view(1, -1, 1, 1) for bound in self.spec.range)
        share = torch.zeros(shape) if generator is None else torch.rand(shape, generator=generator)
        return low + share * (high - low)

    def forward(self, images: Tensor) -> Tensor:
        logits = self.model(images)["out"]
        if self.strides != [1, 1]:
            cells = zip(self.strides, logits.shape[-2:], strict=True)
            whole = [stride * (count - 1) + 1 for stride, count in cells]
            logits = F.interpolate(logits, whole, mode="bilinear", align_corners=True)
        return logits[..., : images.shape[-2], : images.shape[-1]]


class LogitDifference(NamedTuple):
    """Between the network and what was read back, on one image of noise."""

    size: Size
    largest: float  # of the logits
    range: float  # of the network's own logits
    labels: float  # share of pixels with another label


def export_model(
    model: nn.Module,
    form: str,
    path: Path,
    size: Size,
    about: dict[str, Any],
    *,
    dynamic: bool,
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
    if form == "onnx" and not all(map(find_spec, NEEDED)):
        missing = next(name for name in NEEDED if not find_spec(name))
        raise InputError(f"format=onnx: {missing} is not installed", do=how_to_install("export"))
    whole = FullSize(model, size, InputSpec.of_json(about.get("input"))).eval()
    draft = path.with_name(f".{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        differences = _write(whole, form, draft, size, about, dynamic=dynamic, task=task)
        draft.replace(path)
    except SegtrainError:
        raise
    except OSError as error:
        raise SaveError.of(path, error) from error
    except Exception as error:  # exporters raise whatever they like
        sizes = "images of any size" if dynamic else f"images of {size[0]}×{size[1]}"
        what = f"format={form}: {type(model).__name__} cannot be exported for {sizes} ({_reason(error)})"
        one = "add dynamic=false size=[HEIGHT,WIDTH], for images of that size alone"
        raise InputError(what, do=one if dynamic else "try another format") from error
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
    return differences


def _write(
    network: FullSize, form: str, path: Path, size: Size, about: dict[str, Any], *, dynamic: bool, task: Task
) -> list[LogitDifference]:
    """Raises SegtrainError where what is read back differs, and whatever exporters raise."""
    height, width = size
    sizes = [size, (height + 1, width + 35), (height // 2 + 33, width - 15)] if dynamic else [size]
    with _silent():
        run = WRITERS[form](network, path, size, json.dumps(about), dynamic)
        differences = [compare(network, run, each, task) for each in sizes]
    for difference in differences:
        if not difference.largest <= TOLERANCE * max(difference.range, 1e-9):
            raise SegtrainError(
                f"format={form}: read back, logits of up to {difference.range:.2g} differ by"
                f" {difference.largest:.2g}",
                do="use another format; the file was not kept",
            )
    return differences


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0][:150]}"


def compare(network: FullSize, other: Run, size: Size, task: Task) -> LogitDifference:
    """Compares two networks on an image of noise.

    Args:
        network: ours.
        other: what was read back.
        size: height and width of the image.
        task: what the logits mean.

    Returns:
        The largest difference of the logits, their range, and the share of pixels with another label.

    Example:
        >>> compare(FullSize(model, (64, 64), RGB8), same, (64, 64), Task()).largest
        0.0
    """
    generator = torch.Generator().manual_seed(0)
    images = network.example(size, generator)
    with torch.inference_mode():
        own = network(images)
        theirs = other(images)
    a, b = (task.labels(task.unfolded(task.class_logits(x).softmax(1), 1)) for x in (own, theirs))
    others = (a != b).float().mean().item()
    return LogitDifference(size, (own - theirs).abs().max().item(), own.abs().max().item(), others)


def trace(network: FullSize, size: Size, dynamic: bool) -> ExportedProgram:
    """Traces a network to a graph.

    Args:
        network: with its logits at the image's size.
        size: height and width of the example.
        dynamic: whether the graph takes images of any size, or of the example's.

    Returns:
        torch's exported program.
    """
    shapes = {"images": {2: Dim.DYNAMIC, 3: Dim.DYNAMIC}} if dynamic else None
    # Otherwise the graph asserts of each crop whether it takes anything away, as on the example.
    known = hasattr(shape_config, "backed_size_oblivious")  # torch 2.6 and 2.7 lack it
    options = {"backed_size_oblivious": dynamic} if known else {}
    config: Any = shape_config  # torch adds `patch` when it is imported
    with torch.no_grad(), config.patch(**options):
        return torch.export.export(
            network,
            (network.example(size),),
            dynamic_shapes=shapes,
            strict=False,
            prefer_deferred_runtime_asserts_over_guards=dynamic,
        )


def write_torch_export(network: FullSize, path: Path, size: Size, about: str, dynamic: bool) -> Run:
    """Writes torch's own format (.pt2) and reads it back.

    Args:
        network: with its logits at the image's size.
        path: of the file.
        size: height and width of the example.
        about: JSON, for the file's metadata.
        dynamic: whether images of any size are taken.

    Returns:
        The program that was read back.
    """
    program = io.BytesIO()  # of a full disk torch says nothing that one understands
    torch.export.save(trace(network, size, dynamic), program, extra_files={"segtrain.json": about})
    path.write_bytes(program.getbuffer())
    return torch.export.load(path).module()


def write_onnx(network: FullSize, path: Path, size: Size, about: str, dynamic: bool) -> Run:
    """Writes ONNX and reads it back into onnxruntime.

    Args:
        network: with its logits at the image's size.
        path: of the file.
        size: height and width of the example.
        about: JSON, for the file's metadata.
        dynamic: whether images of any size are taken.

    Returns:
        A function that runs it on the CPU.
    """
    import onnxruntime

    from segtrain.export.onnx_operators import TRANSLATIONS

    program = torch.onnx.export(
        _without_floors(trace(network, size, dynamic)),
        dynamo=True,
        verbose=False,
        input_names=["images"],
        output_names=["logits"],
        custom_translation_table=cast(Any, TRANSLATIONS),
    )
    assert program is not None
    program.model.metadata_props["segtrain"] = about
    program.save(path, external_data=False)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # its failures are raised too
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


def write_safetensors(network: FullSize, path: Path, size: Size, about: str, dynamic: bool) -> Run:
    """Writes the tensors alone, by the names of the model's state dict, and reads them back.

    Args:
        network: ours.
        path: of the file.
        size: not used: tensors take images of any size.
        about: JSON, for the file's metadata.
        dynamic: not used.

    Returns:
        A copy of the network with the tensors that were read back.
    """
    from safetensors.torch import load_file, save

    tensors = {name: value.contiguous() for name, value in network.model.state_dict().items()}
    path.write_bytes(save(tensors, metadata={"segtrain": about}))
    again = copy.deepcopy(network)
    again.model.load_state_dict(load_file(path))
    return again


WRITERS = {"onnx": write_onnx, "torch_export": write_torch_export, "safetensors": write_safetensors}


@contextmanager
def _silent() -> Iterator[None]:
    """Without the warnings and the pages of graphs that exporters log."""
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)
