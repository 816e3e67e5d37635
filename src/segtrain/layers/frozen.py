"""A backbone that is not trained."""

from typing import Any

from torch import nn


def keep_frozen(backbone: nn.Module, frozen: bool) -> None:
    """Where `frozen`, takes the gradient from every parameter, so that no activations are kept and no
    optimizer has state of them, and keeps the backbone in eval mode whenever it is used: BatchNorm does
    not drift, and dropout is off."""
    if frozen:
        backbone.requires_grad_(False)
        backbone.register_forward_pre_hook(_use_eval_mode)


def _use_eval_mode(backbone: nn.Module, _inputs: Any) -> None:
    if backbone.training:
        backbone.eval()
