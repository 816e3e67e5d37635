"""A network as a file has it: logits or labels at the image's size, and what differs between two of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from inspect import signature
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torch.fx.experimental import _config as shape_config
from torch.nn import functional as F

from segtrain.input_spec import InputSpec
from segtrain.layers.grid import SLICES_ARE_LOST, cut_out
from segtrain.sizes import stride_of
from segtrain.tasks import Task

Size = tuple[int, int]  # height, width
Run = Callable[[Tensor], Tensor]  # an image, uint8 1×3×H×W, to logits 1×C×H×W or labels uint8 1×H×W
CELL = 32  # the largest stride
Output = Literal["logits", "labels"]


class FullSize(nn.Module):
    """An image, uint8 RGB 1×3×H×W or of the model's own channels, to logits 1×C×H×W, or to labels: a model
    with `upsample_logits` behind it, and the argmax.

    Args:
        model: in eval mode, on the CPU.
        size: of any image; the strides of the output, which `sizes.py` finds by trying, are
            found on it and are the same for all.
        spec: of the images.
        output: logits float32 1×C×H×W, or labels as `Task.labels` gives them, uint8 1×H×W.
        task: what the logits mean.
    """

    def __init__(
        self,
        model: nn.Module,
        size: Size,
        spec: InputSpec,
        output: Output = "logits",
        task: Task = Task(),  # noqa: B008 (a tuple, which nobody can change)
    ):
        super().__init__()
        self.model, self.spec, self.output, self.task = model, spec, output, task
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
        logits = cut_out(logits, 0, 0, images.shape[-2:])
        return logits if self.output == "logits" else self._labels(logits)

    def _labels(self, logits: Tensor) -> Tensor:
        if self.task.name == "softmax":
            return logits.argmax(1).to(torch.uint8)
        yes = (logits > _logit(self.task.threshold)).to(torch.uint8)
        return yes.movedim(1, -1) if self.task.multilabel else yes[:, 0]


def _logit(probability: float) -> float:
    """The logit whose sigmoid a probability is."""
    if probability in (0, 1):
        return math.copysign(math.inf, probability - 0.5)
    return math.log(probability / (1 - probability))


class LogitDifference(NamedTuple):
    """Between the network and what was read back, on one image of noise.

    Attributes:
        size: height and width of the image.
        largest: of the logits; None of labels.
        range: of the network's own logits; None of labels.
        labels: share of pixels with another label.
    """

    size: Size
    largest: float | None
    range: float | None
    labels: float


def compare(network: FullSize, other: Run, size: Size) -> LogitDifference:
    """Compares two networks on an image of noise.

    Args:
        network: ours.
        other: what was read back.
        size: height and width of the image.

    Returns:
        The largest difference of the logits, their range, and the share of pixels with another label.

    Example:
        >>> compare(FullSize(model, (64, 64), RGB8), same, (64, 64)).largest
        0.0
    """
    generator, task = torch.Generator().manual_seed(0), network.task
    images = network.example(size, generator)
    with torch.inference_mode():
        own = network(images)
        theirs = other(images)
    if network.output == "labels":
        return LogitDifference(size, None, None, (own != theirs).float().mean().item())
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
    known = hasattr(shape_config, "backed_size_oblivious")
    options = {"backed_size_oblivious": dynamic} if known else {}
    if dynamic and SLICES_ARE_LOST:  # of two equal sides it takes one for the smaller; these are unequal
        size = (size[0] // CELL * CELL + 1, size[1] // CELL * CELL + 1)
    deferred: dict[str, Any] = {"prefer_deferred_runtime_asserts_over_guards": dynamic}
    if not deferred.keys() <= signature(torch.export.export).parameters.keys():  # torch 2.6
        deferred = {}
    config: Any = shape_config  # torch adds `patch` when it is imported
    with torch.no_grad(), config.patch(**options):
        return torch.export.export(
            network,
            (network.example(size),),
            dynamic_shapes=shapes,
            strict=False,
            **deferred,
        )
