"""Optimizers over parameter groups: pretrained and new parts, weights and biases."""

import inspect
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import nn
from torch.optim import Optimizer

from segtrain.errors import InputError


class Multipliers(NamedTuple):
    """Factors of the learning rate and the weight decay by kind of parameter.

    head: the rate of everything outside of a `backbone`, which is new. crf: the rate of what
    `model.mean_field` learns. bias: the rate of biases. bias_decay, norm_decay: the decay of biases
    and of normalisation layers.
    """

    head: float = 1.0
    crf: float = 1.0
    bias: float = 1.0
    bias_decay: float = 1.0
    norm_decay: float = 1.0


def param_groups(model: nn.Module, lr: float, weight_decay: float, factors: Multipliers) -> list[dict]:
    """Groups of the trainable parameters that share a rate and a decay, with `name`s for tables.

    A group holds `names` of its parameters in order and `base_lr`, which schedules multiply.
    """
    norms = (nn.modules.batchnorm._BatchNorm, nn.GroupNorm, nn.LayerNorm)
    groups: dict[str, dict] = {}
    for module_name, module in model.named_modules():
        for leaf, parameter in module.named_parameters(recurse=False):
            if not parameter.requires_grad:
                continue
            full = f"{module_name}.{leaf}" if module_name else leaf
            is_norm, is_bias = isinstance(module, norms), leaf == "bias"
            part = next((p for p in ("backbone", "mean_field") if p in full.split(".")), "head")
            rate = lr * {"backbone": 1, "mean_field": factors.crf, "head": factors.head}[part]
            rate *= factors.bias if is_bias and not is_norm else 1
            decay = weight_decay * (factors.norm_decay if is_norm else factors.bias_decay if is_bias else 1)
            kind = "normalisation" if is_norm else "biases" if is_bias else "weights"
            name = f"{part} {kind}"
            group = groups.setdefault(
                name,
                {"name": name, "params": [], "names": [], "lr": rate, "base_lr": rate, "weight_decay": decay},
            )
            group["params"].append(parameter)
            group["names"].append(full)
    return list(groups.values())


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
