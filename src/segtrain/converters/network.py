"""How the tensors of a published network become those of one of our models, each accounted for."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from segtrain.errors import InputError
from segtrain.input_spec import RGB_CHANNELS
from segtrain.layers.normalize import Normalize
from segtrain.weights import fit_image_kernels

State = Mapping[str, Tensor]
Node = Mapping[str, Any]  # the keys of a model's YAML
Numbers = tuple[float, ...]  # one a channel


class Input(NamedTuple):
    """The images that a network was trained on: (pixel of 0..255 - mean) / std.

    mean, std: of R, G and B, or of each of its channels; a mean that differs from data set to data
        set may be None here.
    bgr: whether the channels came as B, G, R.
    candidates: where the mean is None, what the network may have seen -> the keys that say so.
    """

    mean: Numbers | None
    std: Numbers = (1.0, 1.0, 1.0)
    bgr: bool = True
    candidates: Mapping[str, str] = {}


class PublishedNetwork(NamedTuple):
    """What is known of a published network that goes into one of our models.

    Tensors are named by layers: a layer, or the start of a tensor's name that ends at a dot.

    Attributes:
        layers: theirs -> ours.
        form: keys of our YAML that give the model the published form.
        derived: those that depend on others, from our YAML with `form` and the user's own keys.
        input: what it was trained on, where our model was not built for that.
        images: our convolutions that see the image.
        dropped: their layer -> why it is not needed.
        part: the start of the names that it fills; all else in the model is new.
        new: our layers that it has not.
        prepare: from our model and their tensors, those that come about by a computation.
        note: what remains different, or was assumed.
        doubts: their layer -> why it may not be what it is taken for, and what to do; `allow` takes it.
    """

    layers: Mapping[str, str]
    form: Mapping[str, Any] = {}
    derived: Callable[[Node], Mapping[str, Any]] = lambda node: {}
    input: Input | None = None
    images: tuple[str, ...] = ()
    dropped: Mapping[str, str] = {}
    part: str = ""
    new: tuple[str, ...] = ()
    prepare: Callable[[nn.Module, State], dict[str, Tensor]] = lambda model, state: {}
    note: str = ""
    doubts: Mapping[str, tuple[str, str]] = {}


class OtherModel(InputError):
    """The format has no network of the model's class, or of its backbone's.

    Args:
        what: what is wrong.
        classes: those that would do.
        group: whose options they are: `model` or `model/backbone`.

    Attributes: as the arguments.
    """

    def __init__(self, what: str, classes: tuple[str, ...], group: str = "model", *, do: str = ""):
        super().__init__(what, do=do or f"choose a {group} of {' or '.join(classes)}")
        self.what, self.classes, self.group = what, classes, group


class Account(NamedTuple):
    """Where every tensor went: their name -> ours, their name -> why not, and ours without any."""

    loaded: dict[str, str]
    dropped: dict[str, str]
    new: list[str]


def target(node: Node) -> str:
    """Reads the class that a node of the config names.

    Args:
        node: with a `_target_`.

    Returns:
        The name without its module.

    Example:
        >>> target({"_target_": "segtrain.models.fcn.FCN"})
        "FCN"
    """
    return str(node["_target_"]).rpartition(".")[2]


def require(node: Node, *classes: str) -> None:
    """Refuses a model that a format has no network for.

    Args:
        node: the config of our model, as its YAML composes.
        classes: the names of those it has.

    Raises:
        OtherModel: the model is another one.
    """
    if target(node) not in classes:
        raise OtherModel(f"model= must be one that the format has, got {target(node)}", classes)


def image_channels(model: nn.Module, network: PublishedNetwork, state: State) -> int | None:
    """How many channels a published network's images have.

    Args:
        model: ours, built for RGB.
        network: how their tensors become ours.
        state: the published tensors by their names.

    Returns:
        The channels of its first convolution, where ours differs from it in nothing else; None where
        no convolution of our model sees RGB.
    """
    own = model.state_dict()
    for name, tensor in state.items():
        ours = own.get(_rename(name, network.layers) or "")
        if ours is None or ours.ndim != 4 or tensor.ndim != 4 or ours.shape[1] != RGB_CHANNELS:
            continue
        if tensor.shape[0] == ours.shape[0] and tensor.shape[2:] == ours.shape[2:]:
            return tensor.shape[1]
    return None


def take(model: nn.Module, network: PublishedNetwork, state: State, allow: Iterable[str] = ()) -> Account:
    """Loads the tensors of a published network into our model, which then takes images of 0..255.

    Kernels over RGB are fitted to a model that was built for other channels.

    Args:
        model: ours, built in the published form.
        network: how their tensors become ours.
        state: the published tensors by their names.
        allow: names or layers, theirs or ours, that may stay over, be missing or be of another shape.

    Returns:
        Where every tensor went.

    Raises:
        InputError: a tensor that is not allowed to stays over, is missing or has another shape.

    Example:
        >>> take(model, FORMATS["torchvision"](state, node), state).new
        []
    """
    own, allowed = model.state_dict(), set(allow)
    for layer, (what, do) in network.doubts.items():
        if layer not in allowed:
            raise InputError(what, do=f"{do}, or add allow=[{layer}] if they are what they should be")
    tensors: dict[str, Tensor] = {}
    loaded: dict[str, str] = {}
    dropped: dict[str, str] = {}
    left: list[str] = []
    misfits: list[str] = []
    expected = allowed | set(network.new)
    for name, tensor in (dict(state) | network.prepare(model, state)).items():
        ours, why = _rename(name, network.layers), _look_up(name, network.dropped)
        tensor = _as_rgb(tensor, ours, network)
        fitting = _fit(tensor, own[ours]) if ours is not None and ours in own else None
        if why is not None:
            dropped[name] = why
        elif ours is not None and fitting is not None and ours not in tensors:
            tensors[ours], loaded[name] = fitting, ours
        elif allowed & {*_layers(name), *_layers(ours or name)}:
            dropped[name] = "it does not fit, which was allowed"
            expected.add(ours or name)
        elif ours is not None and ours in own and fitting is None:
            misfits.append(_shapes(name, tensor, own[ours]))
        else:
            left.append(name)
    # Files from before it was counted lack the number of batches, which nothing depends on.
    new = [name for name in own if name not in tensors and not name.endswith(".num_batches_tracked")]
    missing = [name for name in new if name.startswith(network.part) and not expected & {*_layers(name)}]
    faults = {"left over": left, "of another shape": misfits, "missing": [] if misfits else missing}
    said = [f"{fault}: {_few(names)}" for fault, names in faults.items() if names]
    if said:
        raise InputError(
            f"the weights do not fit the model: {'; '.join(said)}",
            do="choose the model= and the data= that they were made for, or allow=[NAME,...]",
        )
    model.load_state_dict(tensors | _normalization(model, network.input), strict=False)
    return Account(loaded, dropped, new)


def _as_rgb(tensor: Tensor, ours: str | None, network: PublishedNetwork) -> Tensor:
    """First convolutions that see R, G, B instead of B, G, R."""
    if network.input is None or not network.input.bgr or tensor.ndim != 4 or tensor.shape[1] != RGB_CHANNELS:
        return tensor
    return tensor.flip(1) if ours in [f"{layer}.weight" for layer in network.images] else tensor


def _normalization(model: nn.Module, seen: Input | None) -> dict[str, Tensor]:
    """The published input's mean and std, of each channel that our model sees."""
    if seen is None or seen.mean is None:
        return {}
    changed = {}
    for name, module in model.named_modules():
        if isinstance(module, Normalize):
            channels = module.mean.numel()
            for kind, values in (("mean", seen.mean), ("std", seen.std)):
                changed[f"{name}.{kind}"] = _of_channels(torch.tensor(values), channels).view(-1, 1, 1)
    return changed


def _of_channels(values: Tensor, channels: int) -> Tensor:
    """Numbers of R, G, B for other channels, as the kernels are: repeated, or one for all."""
    if channels == len(values):
        return values
    return values.mean(0, keepdim=True) if channels == 1 else values[torch.arange(channels) % len(values)]


def _layers(name: str) -> Iterator[str]:
    """A tensor's name and all that it begins with, the longest first: a.b.c, a.b, a."""
    yield name
    while "." in name:
        name = name.rpartition(".")[0]
        yield name


def _look_up(name: str, table: Mapping[str, str]) -> str | None:
    return next((table[layer] for layer in _layers(name) if layer in table), None)


def _rename(name: str, layers: Mapping[str, str]) -> str | None:
    layer = next((layer for layer in _layers(name) if layer in layers), None)
    return None if layer is None else layers[layer] + name.removeprefix(layer)


def _fit(tensor: Tensor, own: Tensor) -> Tensor | None:
    """Their tensor in our shape: Caffe stores vectors as 1×1×1×n, and fc6 may be a convolution."""
    tensor = fit_image_kernels(tensor, own)
    if tensor.dim() == own.dim() and tensor.shape != own.shape:
        return None
    if tensor.dim() == 4 and own.dim() == 2:
        tensor = tensor.flatten(1)
    without_ones = [[side for side in shape if side != 1] for shape in (tensor.shape, own.shape)]
    if without_ones[0] != without_ones[1]:
        return None
    return tensor.reshape(own.shape).to(own.dtype)


def _shapes(name: str, theirs: Tensor, ours: Tensor) -> str:
    shapes = ("×".join(map(str, tensor.shape)) or "a number" for tensor in (theirs, ours))
    return "{} ({}, here {})".format(name, *shapes)


def _few(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
