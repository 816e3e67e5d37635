"""Optimizers over parameter groups: pretrained and new parts, weights and biases."""

import inspect
import re
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import nn
from torch.optim import Optimizer

from segtrain.errors import InputError

# What networks of libraries (model=smp, model=transformers) call their encoders, which may be pretrained.
LIBRARY_ENCODERS = {"encoder", "backbone", "segformer", "dpt", "beit", "mobilevit", "mobilevitv2"}


class Multipliers(NamedTuple):
    """Factors of the learning rate and the weight decay by kind of parameter.

    backbone: the rate of the encoder. head: the rate of everything outside of a `backbone`, and of the
    `pyramid` inside one: what is new. layer_decay: the rate of the encoder's layers falls by this
    factor from each layer to the one before it (layer-wise decay, Clark et al. 2020, Bao et al. 2022);
    1 for one rate. crf: the rate of what `model.mean_field` learns. bias: the rate of biases.
    bias_decay, norm_decay: the decay of biases and of normalisation layers. depthwise_decay: that of the
    weights of depthwise convolutions. head_bias, head_bias_decay: of the head's biases, norm_shift_decay:
    of the shifts (`bias`) of normalisation layers, where they differ from the others; None where not.
    """

    backbone: float = 1.0
    head: float = 1.0
    layer_decay: float = 1.0
    crf: float = 1.0
    bias: float = 1.0
    bias_decay: float = 1.0
    norm_decay: float = 1.0
    depthwise_decay: float = 1.0
    head_bias: float | None = None
    head_bias_decay: float | None = None
    norm_shift_decay: float | None = None


OPTIONAL = ("head_bias", "head_bias_decay", "norm_shift_decay")  # None: as the others of their kind
NORMS = (nn.modules.batchnorm._BatchNorm, nn.GroupNorm, nn.LayerNorm)


def param_groups(model: nn.Module, lr: float, weight_decay: float, factors: Multipliers) -> list[dict]:
    """Groups of the trainable parameters that share a rate and a decay, with `name`s for tables.

    A group holds `names` of its parameters in order and `base_lr`, which schedules multiply.
    """
    groups: dict[str, dict] = {}
    layers = backbone_layers(model) if factors.layer_decay != 1 else {}
    deepest = max(layers.values(), default=0) + 1
    for module_name, module in model.named_modules():
        for leaf, parameter in module.named_parameters(recurse=False):
            if not parameter.requires_grad:
                continue
            full = f"{module_name}.{leaf}" if module_name else leaf
            part, kind = part_of(full), kind_of(module, leaf, factors)
            rate = {"backbone": factors.backbone, "mean_field": factors.crf, "head": factors.head}[part] * lr
            of_kind, decay = rate_and_decay(part, kind, factors)
            rate *= of_kind
            if full in layers:
                rate *= factors.layer_decay ** (deepest - layers[full])
                part = f"{part} {layers[full]}"
            name = f"{part} {kind}"
            numbers = {"lr": rate, "base_lr": rate, "weight_decay": weight_decay * decay}
            group = groups.setdefault(name, {"name": name, "params": [], "names": []} | numbers)
            group["params"].append(parameter)
            group["names"].append(full)
    if not groups:
        raise InputError("freeze: leaves no parameter to train", do="leave out one of its names")
    return list(groups.values())


def kind_of(module: nn.Module, leaf: str, factors: Multipliers) -> str:
    """What kind of parameter `module.leaf` is; kinds that the factors treat alike have one name."""
    if isinstance(module, NORMS):
        apart = factors.norm_shift_decay not in (None, factors.norm_decay)
        return "normalisation shifts" if leaf == "bias" and apart else "normalisation"
    if leaf == "bias":
        return "biases"
    depthwise = isinstance(module, nn.Conv2d) and module.groups == module.in_channels > 1
    return "depthwise weights" if depthwise and factors.depthwise_decay != 1 else "weights"


def rate_and_decay(part: str, kind: str, factors: Multipliers) -> tuple[float, float]:
    """The factors of the rate and of the decay of a kind of parameter in a part of the model."""
    if kind == "biases":
        own = (factors.head_bias, factors.head_bias_decay) if part == "head" else (None, None)
        common = factors.bias, factors.bias_decay
        rate, decay = (every if one is None else one for one, every in zip(own, common, strict=True))
        return rate, decay
    decays = {
        "normalisation": factors.norm_decay,
        "normalisation shifts": factors.norm_shift_decay,
        "depthwise weights": factors.depthwise_decay,
    }
    own_decay = decays.get(kind)
    return 1.0, 1.0 if own_decay is None else own_decay


def part_of(name: str) -> str:
    """The part of the model that a parameter belongs to: `backbone`, `mean_field` or `head`."""
    words = name.split(".")
    if "pyramid" in words:  # new layers on a backbone without strides
        return "head"
    if words[0] == "net" and set(words) & LIBRARY_ENCODERS:
        return "backbone"
    return next((part for part in ("backbone", "mean_field") if part in words), "head")


def backbone_layers(model: nn.Module) -> dict[str, int]:
    """The layer of each parameter of the encoder, 0 for its stem, in the order in which they are defined.

    A layer is what shares a name up to its first number: `backbone.layer1.0`, `backbone.net.blocks.7`.
    Parameters without a number belong to the layer before them.
    """
    layers: dict[str, int] = {}
    numbers: dict[str, int] = {}
    number = 0
    for name, _ in model.named_parameters():
        if part_of(name) != "backbone":
            continue
        if found := re.match(r"(.*?\.\d+)\.", name):
            number = numbers.setdefault(found[1], len(numbers) + 1)
        layers[name] = number
    return layers


def sgd(
    model: nn.Module,
    *,
    lr: float,
    momentum: float = 0.9,
    weight_decay: float = 0.0,
    nesterov: bool = False,
    multipliers: dict | None = None,
) -> Optimizer:
    """Stochastic gradient descent with momentum."""
    groups = param_groups(model, lr, weight_decay, _multipliers(multipliers))
    return _eager(torch.optim.SGD)(groups, lr=lr, momentum=momentum, nesterov=nesterov, fused=_fused(model))


def adam(
    model: nn.Module,
    *,
    lr: float,
    betas: tuple[float, float] = (0.9, 0.999),
    weight_decay: float = 0.0,
    multipliers: dict | None = None,
) -> Optimizer:
    """Adam (Kingma and Ba 2015); the decay enters the gradient."""
    groups = param_groups(model, lr, weight_decay, _multipliers(multipliers))
    return _eager(torch.optim.Adam)(groups, lr=lr, betas=tuple(betas), fused=_fused(model))


def adamw(
    model: nn.Module,
    *,
    lr: float,
    betas: tuple[float, float] = (0.9, 0.999),
    weight_decay: float = 0.01,
    multipliers: dict | None = None,
) -> Optimizer:
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019)."""
    groups = param_groups(model, lr, weight_decay, _multipliers(multipliers))
    return _eager(torch.optim.AdamW)(groups, lr=lr, betas=tuple(betas), fused=_fused(model))


def rmsprop(
    model: nn.Module,
    *,
    lr: float,
    alpha: float = 0.99,
    eps: float = 1e-8,
    momentum: float = 0.0,
    weight_decay: float = 0.0,
    multipliers: dict | None = None,
) -> Optimizer:
    """RMSprop (Tieleman and Hinton 2012)."""
    groups = param_groups(model, lr, weight_decay, _multipliers(multipliers))
    return _eager(torch.optim.RMSprop)(groups, lr=lr, alpha=alpha, eps=eps, momentum=momentum)


def nadam(
    model: nn.Module,
    *,
    lr: float,
    betas: tuple[float, float] = (0.9, 0.999),
    weight_decay: float = 0.0,
    multipliers: dict | None = None,
) -> Optimizer:
    """Adam with Nesterov's momentum (Dozat 2016); the decay enters the gradient."""
    groups = param_groups(model, lr, weight_decay, _multipliers(multipliers))
    return _eager(torch.optim.NAdam)(groups, lr=lr, betas=tuple(betas))


def _multipliers(given: dict | None) -> Multipliers:
    """Raises InputError for one that there is not, or that is no number."""
    for name, factor in (given or {}).items():
        if name not in Multipliers._fields:
            raise InputError(
                f"optimizer.multipliers.{name}: no such key", do=f"there are {', '.join(Multipliers._fields)}"
            )
        if factor is None and name in OPTIONAL:
            continue
        if isinstance(factor, bool) or not isinstance(factor, int | float):
            raise InputError(f"optimizer.multipliers.{name}={factor}", do="give a number")
    return Multipliers(**given or {})


def _eager(optimizer: type[Optimizer]) -> Callable[..., Optimizer]:
    """`optimizer` without what torch wraps its methods in to keep torch.compile out of them.

    The wrappers load torch.compile, which takes as long as loading torch; nothing but models is compiled.
    Without this, FCN-8s on `shapes` takes its first step after 8.9 s instead of 7.8 s (medians of four runs
    in turns; `scripts/bench/startup.py`).
    """
    methods = {name: inspect.unwrap(getattr(optimizer, name)) for name in ("add_param_group", "zero_grad")}
    methods["step"] = torch.no_grad()(inspect.unwrap(optimizer.step))
    return type(optimizer.__name__, (optimizer,), methods)


def _fused(model: nn.Module) -> bool:
    """Whether the optimizer reads memory once instead of several times; the Metal backend lacks some."""
    return next(model.parameters()).device.type in ("cpu", "cuda")
