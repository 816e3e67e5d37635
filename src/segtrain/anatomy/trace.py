"""A network taken apart by one forward pass without numbers: its layers, their costs and receptive fields."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from segtrain.anatomy.calls import Call, Note
from segtrain.anatomy.costs import multiply_adds_of
from segtrain.anatomy.kinds import ACTIVATIONS, channels_and_cells, describe, layer_kind
from segtrain.anatomy.layer import Anatomy, Layer
from segtrain.anatomy.receptive_field import ReceptiveField
from segtrain.anatomy.rules import FRESH, moved
from segtrain.layers.fc_conv import FCConv, FCDeconv

PACKAGE = Path(__file__).parent.parent
# What only wraps an operation of torch: the place that calls it says more.
WRAPPERS = {"score.py", "fc_conv.py", "bilinear.py", "upsample.py", "grid.py", "normalize.py", "separable.py"}
WRAPPERS |= {"reflect.py", "unpool.py", "whole_cells.py", "resample.py"}
Costs = Callable[[Any, tuple[Tensor, ...]], int]


def take_apart(
    network: nn.Module, size: tuple[int, int], *, channels: int = 3, costs: Mapping[type, Costs] | None = None
) -> Anatomy:
    """Takes a network apart for an image of one size; nothing is computed, and no weights are needed.

    Args:
        network: images N×C×H×W to {"out": logits}; it is seen in eval mode, and may be on the meta device.
        size: H, W.
        channels: C.
        costs: modules by class that are not looked into, and their multiply-adds by their inputs: each gives
            its last input back, and sees the whole image.

    Returns:
        Its layers.

    Example:
        >>> with torch.device("meta"):
        ...     network = segtrain.build_model("fcn8s", num_classes=21)
        >>> take_apart(network, (500, 500)).parameters
        134362751
    """
    was_training = network.training
    network.eval()
    try:
        with torch.no_grad(), ExitStack() as stack:
            tracer = _Tracer(network, size, channels, costs or {})
            stack.enter_context(_no_autocast_on_meta())
            stack.enter_context(torch.device("cpu"))  # where constants are made, whatever the caller's is
            stack.enter_context(tracer.hooks())
            stack.enter_context(tracer)
            outputs = torch.func.functional_call(network, tracer.tensors, (tracer.image,))
    finally:
        network.train(was_training)
    return tracer.anatomy(outputs["out"] if isinstance(outputs, dict) else outputs)


@contextmanager
def _no_autocast_on_meta() -> Iterator[None]:
    """torch.autocast knows no meta device, where there is nothing to cast."""
    own = torch.autocast

    def autocast(device_type: str, *args: Any, **kwargs: Any) -> Any:
        return nullcontext() if device_type == "meta" else own(device_type, *args, **kwargs)

    torch.autocast = autocast  # type: ignore[misc, assignment]
    try:
        yield
    finally:
        torch.autocast = own  # type: ignore[misc]


class _Tracer(TorchFunctionMode):
    """Sees every call of a function of torch, and notes what it makes of the image."""

    def __init__(self, network: nn.Module, size: tuple[int, int], channels: int, costs: Mapping[type, Costs]):
        super().__init__()
        self.network, self.size, self.costs = network, size, costs
        named = [*network.named_parameters(), *network.named_buffers()]
        self.tensors = {name: tensor.detach().to("meta") for name, tensor in named}
        self.owners = {id(self.tensors[name]): name for name, _ in network.named_parameters()}
        self.uncounted = {name: p.numel() for name, p in network.named_parameters()}
        self.image = torch.zeros(1, channels, *size, device="meta")
        self.notes = {id(self.image): Note(self.image, ReceptiveField.of_image(size[0]), 2, -1)}
        self.constants: dict[int, tuple[Tensor, Tensor]] = {}  # with numbers, by the number-less one
        self.layers: list[Layer] = []
        self.stack: list[str] = [""]
        self.inside: nn.Module | None = None  # one that is a layer as a whole

    @contextmanager
    def hooks(self) -> Iterator[None]:
        """The names of the modules that run, and those that are a layer as a whole."""
        handles = []
        replaced: list[Any] = []
        for name, module in self.network.named_modules():
            handles.append(module.register_forward_pre_hook(self._enter(name)))
            handles.append(module.register_forward_hook(self._leave))
            if any(isinstance(module, known) for known in self.costs):
                replaced.append(module)
                replaced[-1].forward = lambda *inputs: inputs[-1]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()
            for module in replaced:
                del module.forward

    def _enter(self, name: str) -> Callable[..., None]:
        def enter(module: nn.Module, inputs: tuple) -> None:
            self.stack.append(name)
            if self.inside is None and isinstance(module, (FCConv, FCDeconv, *self.costs)):
                self.inside = module

        return enter

    def _leave(self, module: nn.Module, inputs: tuple, output: Any) -> None:
        if module is self.inside:
            self.inside = None
            note = self.notes.get(id(inputs[-1]))
            if note:
                self._whole_module(module, inputs, output, note)
        self.stack.pop()

    def _whole_module(self, module: nn.Module, inputs: tuple, output: Tensor, note: Note) -> None:
        layer = self._layer("mean field", output)
        receptive = ReceptiveField.empty(output.shape[-2], everywhere=True)
        if isinstance(module, FCConv | FCDeconv):
            layer.kernel, layer.in_channels = module.kernel, inputs[-1].shape[1]
            taps = module.kernel**2 * layer.in_channels * layer.out_channels
            receptive = note.receptive or receptive
            if isinstance(module, FCConv):
                layer.kind, layer.padding, layer.dilation = "convolution", module.padding, module.dilation
                layer.multiply_adds = taps * layer.rows * layer.columns
                receptive = receptive.window(module.kernel, padding=module.padding, dilation=module.dilation)
            else:
                layer.kind = "transposed convolution"
                layer.multiply_adds = taps * inputs[-1].shape[-2] * inputs[-1].shape[-1]
                receptive = receptive.spread(module.kernel, stride=1, rows=layer.rows)
        else:
            cost = next(cost for known, cost in self.costs.items() if isinstance(module, known))
            layer.multiply_adds = cost(module, inputs)
        below = f"{self.stack[-1]}."
        layer.parameters = sum(self._count(name) for name in list(self.uncounted) if name.startswith(below))
        self._add(layer, output, receptive, 2, [note])

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs, name = kwargs or {}, getattr(func, "__name__", "")
        # Without numbers torch takes BatchNorm apart in Python, which is most of the time.
        out = torch.empty_like(args[0]) if name == "batch_norm" else func(*args, **kwargs)
        if self.inside is not None:
            return out
        tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
        notes = [self.notes[id(x)] for x in tensors if id(x) in self.notes]
        if notes and name not in FRESH:
            self._follow(Call(name, args, kwargs, tensors), out, notes)
        elif isinstance(out, Tensor) and out.is_meta and all(id(x) in self.constants for x in tensors):
            self._keep_constant(func, args, kwargs, out)
        return out

    def _keep_constant(self, func: Any, args: tuple, kwargs: dict, out: Tensor) -> None:
        """Indices and weights that the network makes itself are made with numbers too."""

        def real(x: Any) -> Any:
            if isinstance(x, Tensor):
                return self.constants[id(x)][1]
            return torch.device("cpu") if isinstance(x, torch.device) else x

        made = func(*map(real, args), **{key: real(value) for key, value in kwargs.items()})
        if isinstance(made, Tensor) and not made.is_meta:
            self.constants[id(out)] = (out, made)

    def _follow(self, call: Call, out: Any, notes: list[Note]) -> None:
        main = notes[-1] if call.name == "scatter" else notes[0]  # the values, not where they go
        outputs = [x for x in tree_leaves(out) if isinstance(x, Tensor)]
        if not outputs:
            return
        owners = [self.owners[id(x)] for x in call.tensors if id(x) in self.owners]
        constants = {
            i: self.constants[id(x)][1] for i, x in enumerate(call.tensors) if id(x) in self.constants
        }
        receptive, axis, cells = moved(call, outputs[0], main, notes, constants)
        kind = layer_kind(call, outputs[0], notes, bool(owners))
        if kind is None:
            for x in outputs:
                self.notes[id(x)] = Note(x, receptive, axis, main.layer, cells)
            self._note_activation(call, main)
            if call.name == "unflatten" and axis == 2 and main.layer >= 0:
                layer = self.layers[main.layer]  # an unpooling, whose map has its rows again
                layer.out_channels, layer.rows, layer.columns = channels_and_cells(outputs[0])
                layer.receptive = receptive
            return
        if kind == "BatchNorm" and main.layer >= 0 and main.layer == len(self.layers) - 1:
            last = self.layers[main.layer]
            if "convolution" in last.kind and not last.after:
                last.after.append(kind)
                last.parameters += sum(map(self._count, owners))
                self.notes[id(outputs[0])] = Note(outputs[0], receptive, axis, main.layer)
                return
        layer = self._layer(kind, outputs[0], owners[0] if owners else None)
        describe(layer, call, notes)
        layer.multiply_adds = multiply_adds_of(call, outputs[0])
        layer.parameters = sum(map(self._count, owners))
        self._add(layer, out, receptive, axis, notes, cells)

    def _note_activation(self, call: Call, note: Note) -> None:
        shown = ACTIVATIONS.get(call.name)
        if shown and note.layer >= 0 and shown not in self.layers[note.layer].after:
            self.layers[note.layer].after.append(shown)

    def _layer(self, kind: str, out: Tensor, parameter: str | None = None) -> Layer:
        name = parameter.rpartition(".")[0] if parameter else self.stack[-1]
        channels, rows, columns = channels_and_cells(out)
        return Layer(name, kind, channels, rows, columns, source=_source())

    def _add(
        self,
        layer: Layer,
        out: Any,
        receptive: ReceptiveField | None,
        axis: int,
        notes: list[Note],
        cells: Any = None,
    ) -> None:
        layer.receptive = receptive
        layer.inputs = tuple(dict.fromkeys(note.layer for note in notes))
        self.layers.append(layer)
        for x in tree_leaves(out):
            if isinstance(x, Tensor):
                self.notes[id(x)] = Note(x, receptive, axis, len(self.layers) - 1, cells)

    def _count(self, parameter: str) -> int:
        """The numbers of a parameter, when it is met first."""
        return self.uncounted.pop(parameter, 0)

    def anatomy(self, logits: Tensor) -> Anatomy:
        unused: dict[str, int] = {}
        for name, numbers in self.uncounted.items():
            owner = name.rpartition(".")[0]
            unused[owner] = unused.get(owner, 0) + numbers
        note = self.notes[id(logits)]
        cells = (logits.shape[-2], logits.shape[-1])
        modules = self.network.named_modules()
        lists = frozenset(name for name, m in modules if isinstance(m, nn.ModuleList | nn.ModuleDict))
        return Anatomy(self.size, self.layers, unused, note.layer, cells, note.receptive, lists)


def _source() -> tuple[str, int] | None:
    """Where the running code stands, as said by its innermost frame in segtrain's own files."""
    frame, found = sys._getframe(1), None
    while frame is not None:
        name = _below_package(frame.f_code.co_filename)
        if name is not None:
            if name.rpartition("/")[2] not in WRAPPERS:
                return name, frame.f_lineno
            found = found or (name, frame.f_lineno)
        frame = frame.f_back  # type: ignore[assignment]
    return found


@cache
def _below_package(filename: str) -> str | None:
    """`models/fcn.py` for a file of segtrain's networks, None for all others."""
    path = Path(filename)
    inside = PACKAGE in path.parents and path.parent.name != "anatomy"
    return path.relative_to(PACKAGE).as_posix() if inside else None
