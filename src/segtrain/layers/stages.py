"""What models and backbones agree on: features by stage, and where their cells lie.

A backbone has `channels` and `grids`, dicts from stage to channels and to `Grid`, and its forward
gives a dict from stage to features. A stage is named by the stride that it has in the classifier
(4, 8, 16, 32), also where dilation keeps the real stride (`grids[stage].stride`) smaller.
"""

from collections.abc import Iterable

from torch import nn

from segtrain.errors import InputError


def require_strides(user: nn.Module, backbone: nn.Module, strides: Iterable[int]) -> None:
    """Raises InputError unless `backbone` has features of these real strides, as FCN needs."""
    missing = [s for s in strides if s not in backbone.grids or backbone.grids[s].stride != s]
    if missing:
        _refuse(user, backbone, f"features of stride {' and '.join(map(str, missing))}")


def require_on_pixels(user: nn.Module, backbone: nn.Module, stages: Iterable[int]) -> None:
    """Raises InputError unless cell i of these stages lies on pixel stride·i, as `sizes.py` assumes."""
    for stage in stages:
        if stage not in backbone.grids or abs(backbone.grids[stage].offset) >= 1:
            _refuse(user, backbone, f"stage {stage} with cell i on pixel stride·i")


def _refuse(user: nn.Module, backbone: nn.Module, needed: str) -> None:
    raise InputError(
        f"model/backbone: {type(backbone).__name__} has no {needed}, which {type(user).__name__} needs",
        do="choose another model/backbone, or leave it out for the model's own",
    )
