"""A linear classifier of the cells of an encoder's last features: what the features alone are worth.

"DINOv2: Learning Robust Visual Features without Supervision", Oquab et al., 2023,
https://arxiv.org/abs/2304.07193 (section 7.4, "Linear"): BatchNorm and a linear layer on the patch tokens
of a frozen transformer, its logits brought to the image's size bilinearly.
"""

from __future__ import annotations

from torch import Tensor, nn

from segtrain.layers.backbone import Backbone, use_stages
from segtrain.layers.resample import onto_image
from segtrain.layers.score import Score


class Linear(nn.Module):
    """Images N×C×H×W to {"out": logits N×K×h×w} of the backbone's last features; N×K×H×W where its
    cells do not lie on pixel stride·i (patches).

    Args:
        backbone: its last features are read: those of stride 32, or a plain transformer's.
        num_classes: K.

    Example:
        >>> segtrain.build_model("linear", num_classes=21, backbone={"name": "vit_small_patch14_dinov2"})
    """

    backbone: Backbone

    def __init__(self, *, backbone: Backbone, num_classes: int):
        super().__init__()
        self.backbone, self.stage = backbone, backbone.feature_info.last
        use_stages(self, backbone, [self.stage])
        channels = backbone.feature_info.channels[self.stage]
        self.norm = nn.BatchNorm2d(channels)
        self.score = Score(channels, num_classes)
        nn.init.normal_(self.score.weight, std=0.01)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        features, grid = self.backbone(images)[self.stage], self.backbone.feature_info.grids[self.stage]
        return {"out": onto_image(self.score(self.norm(features)), grid, images.shape[-2:])}
