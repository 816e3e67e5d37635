"""Logits that a network stretches over the image itself, as libraries do whose weights we take."""

from collections.abc import Sequence
from typing import Literal

from torch import Tensor
from torch.nn import functional as F

from segtrain.errors import InputError
from segtrain.layers.backbone import Backbone, PadsImages

# `none` leaves cell i on pixel stride·i, at the output stride. Otherwise the cells cover the image:
# each the middle of its share (`centres`: torchvision, deeplab-pytorch), or from corner to corner
# (`corners`: segmentation_models.pytorch).
Upsampling = Literal["none", "centres", "corners"]


def stretch(outputs: dict[str, Tensor], size: Sequence[int], upsampling: Upsampling) -> dict[str, Tensor]:
    """Every N×C×h×w bilinearly at `size` (H, W), or as it is."""
    if upsampling == "none":
        return outputs
    corners = upsampling == "corners"
    return {
        name: F.interpolate(logits, list(size), mode="bilinear", align_corners=corners)
        for name, logits in outputs.items()
    }


def choose_cells(user: object, backbone: Backbone, upsampling: str) -> None:
    """Keeps `backbone` from padding images to whole cells where its cells are stretched over them.

    Raises:
        InputError: it pads them always.
    """
    if upsampling == "none":
        return
    if not isinstance(backbone, PadsImages):
        raise InputError(
            f"model.upsampling={upsampling}: {type(backbone).__name__} pads images to whole cells, which"
            f" {type(user).__name__} cannot stretch",
            do="leave it at none, or choose the model's own backbone",
        )
    backbone.whole_cells = False
