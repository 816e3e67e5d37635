"""Networks as libraries have them whose weights we take: they stretch their cells over the image.

Ours have cell i on pixel s·i, s the output stride, and pad images so that cells cover every pixel.
torchvision, deeplab-pytorch, segmentation_models.pytorch and mmsegmentation pad nothing; the cells share
the image: each lies in the middle of its share, or the outer ones lie on the corners (`align_corners`). The
logits are resized to the image within the network. Weights and names are those of our networks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from segtrain.layers.backbone import Backbone, require_choice_of_padding
from segtrain.layers.multi_scale import over_stretched_scales
from segtrain.models.deeplab_v2 import DeepLabV2
from segtrain.models.deeplab_v3 import DeepLabV3
from segtrain.models.deeplab_v3plus import DeepLabV3Plus
from segtrain.models.pspnet import PSPNet


def stretch(outputs: dict[str, Tensor], size: Sequence[int], *, align_corners: bool) -> dict[str, Tensor]:
    """Resizes logits bilinearly.

    Args:
        outputs: N×C×h×w by name.
        size: (H, W) of the image.
        align_corners: whether the outer cells lie on the image's corners, as in `F.interpolate`.

    Returns:
        N×C×H×W by name.

    Example:
        >>> stretch({"out": torch.zeros(1, 21, 8, 8)}, (64, 64), align_corners=False)["out"].shape
        torch.Size([1, 21, 64, 64])
    """
    return {
        name: F.interpolate(logits, list(size), mode="bilinear", align_corners=align_corners)
        for name, logits in outputs.items()
    }


class StretchedDeepLabV2(DeepLabV2):
    """DeepLab v2 as kazuto1011/deeplab-pytorch: scales are stretched too; maps are N×C×H×W.

    Args: see DeepLabV2.
    """

    def __init__(
        self,
        *,
        backbone: Backbone,
        num_classes: int,
        rates: tuple[int, ...] = (6, 12, 18, 24),
        branches: int = 1,
        scales: tuple[float, ...] = (1.0,),
    ):
        super().__init__(
            backbone=backbone, num_classes=num_classes, rates=rates, branches=branches, scales=scales
        )
        require_choice_of_padding(self, backbone)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        def network(images: Tensor) -> dict[str, Tensor]:
            return {"out": self.score(self.backbone(images, whole_cells=False)[32])}

        maps = over_stretched_scales(network, images, self.scales)
        return stretch(maps, images.shape[-2:], align_corners=False)


class StretchedDeepLabV3(DeepLabV3):
    """DeepLab v3 as torchvision and mmsegmentation (`align_corners=False`), and segmentation_models.pytorch;
    `out` is N×C×H×W.

    Args: see DeepLabV3; `align_corners`: whether the outer cells lie on the image's corners.
    """

    def __init__(
        self,
        *,
        backbone: Backbone,
        num_classes: int,
        output_stride: Literal[8, 16, 32] = 16,
        rates: tuple[int, ...] = (6, 12, 18),
        dropout: float = 0.1,
        head: Literal["paper", "torchvision"] = "paper",
        align_corners: bool = False,
        channels: int = 256,
        project_kernel: int = 1,
        width: float = 1.0,
    ):
        super().__init__(
            backbone=backbone,
            num_classes=num_classes,
            output_stride=output_stride,
            rates=rates,
            dropout=dropout,
            head=head,
            channels=channels,
            project_kernel=project_kernel,
            width=width,
        )
        require_choice_of_padding(self, backbone)
        self.align_corners = align_corners

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        features = self.backbone(images, whole_cells=False)
        return stretch(self.outputs(features), images.shape[-2:], align_corners=self.align_corners)


class StretchedDeepLabV3Plus(DeepLabV3Plus):
    """DeepLab v3+ as mmsegmentation; `out` is N×C×H×W.

    Args: see DeepLabV3Plus; `align_corners`: whether the outer cells lie on the image's corners.
    """

    def __init__(
        self,
        *,
        backbone: Backbone,
        num_classes: int,
        output_stride: Literal[8, 16, 32] = 16,
        rates: tuple[int, ...] = (6, 12, 18),
        separable: bool = False,
        dropout: float = 0.1,
        align_corners: bool = False,
        channels: int = 256,
        project_kernel: int = 1,
        width: float = 1.0,
    ):
        super().__init__(
            backbone=backbone,
            num_classes=num_classes,
            output_stride=output_stride,
            rates=rates,
            separable=separable,
            dropout=dropout,
            channels=channels,
            project_kernel=project_kernel,
            width=width,
        )
        require_choice_of_padding(self, backbone)
        self.align_corners = align_corners

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        features = self.backbone(images, whole_cells=False)
        low, encoded = self.low(features[4]), {"out": self.aspp(features[32])}
        encoded = stretch(encoded, low.shape[-2:], align_corners=self.align_corners)
        logits = self.score(self.refine(torch.cat([encoded["out"], low], 1)))
        return stretch({"out": logits}, images.shape[-2:], align_corners=self.align_corners)


class StretchedPSPNet(PSPNet):
    """PSPNet as mmsegmentation; `out` and `aux` are N×C×H×W.

    Args: see PSPNet; `align_corners`: whether the outer cells lie on the image's corners, and those of the
        pyramid on the features'.
    """

    def __init__(
        self,
        *,
        backbone: Backbone,
        num_classes: int,
        output_stride: Literal[8, 16, 32] = 8,
        bins: tuple[int, ...] = (1, 2, 3, 6),
        pooling: Literal["average", "maximum"] = "average",
        aux: bool = True,
        align_corners: bool = False,
        width: float = 1.0,
    ):
        super().__init__(
            backbone=backbone,
            num_classes=num_classes,
            output_stride=output_stride,
            bins=bins,
            pooling=pooling,
            aux=aux,
            width=width,
        )
        require_choice_of_padding(self, backbone)
        self.align_corners = self.pyramid.align_corners = align_corners

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        features = self.backbone(images, whole_cells=False)
        return stretch(self.outputs(features), images.shape[-2:], align_corners=self.align_corners)
