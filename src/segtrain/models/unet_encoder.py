"""U-Net's decoder on any encoder.

"U-Net: Convolutional Networks for Biomedical Image Segmentation", Ronneberger, Fischer and Brox,
MICCAI 2015, https://arxiv.org/abs/1505.04597, as it is used on pretrained encoders since "TernausNet",
Iglovikov and Shvets, 2018, https://arxiv.org/abs/1801.05746.

From the coarsest stage on, features are brought to the cells of the next finer one, concatenated with it,
and go through two 3×3 convolutions (Figure 1). Logits are of the finest stage.
Departs: bilinear upsampling between the stages' grids instead of up-convolutions, which would lie half
a cell off on some encoders; BatchNorm; channels of the decoder are chosen, not the encoder's.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from segtrain.layers.backbone import Backbone, use_stages
from segtrain.layers.conv_bn_relu import ConvBNReLU
from segtrain.layers.grid import crop
from segtrain.layers.resample import lies_on_pixels, needed_cells, onto_image, resample
from segtrain.layers.score import Score
from segtrain.layers.width import scaled


class UNetEncoder(nn.Module):
    """Images N×C×H×W to {"out": logits N×K×h×w} of the finest stage that takes part; N×K×H×W where the
    backbone's cells do not lie on pixel stride·i (patches).

    Args:
        backbone: all of its stages up to 32 are read.
        num_classes: K.
        channels: of the decoder, from the coarsest stage but one to the finest; as many stages take
            part as there are numbers, if the backbone has them.
        width: multiplies `channels`; below 1 for tests only.

    Example:
        >>> segtrain.build_model("unet_encoder", num_classes=21, backbone="resnet50")
    """

    backbone: Backbone

    def __init__(
        self,
        *,
        backbone: Backbone,
        num_classes: int,
        channels: tuple[int, ...] = (256, 128, 64, 32),
        width: float = 1.0,
    ):
        super().__init__()
        self.backbone = backbone
        finest = [stage for stage in backbone.feature_info.stages if stage <= 32]
        self.stages = sorted(finest, reverse=True)[: len(channels) + 1]  # the coarsest first
        use_stages(self, backbone, self.stages)
        info = backbone.feature_info
        decoder = [info.channels[self.stages[0]], *(scaled(c, width) for c in channels)]
        self.merge = nn.ModuleList()
        for (below, out), stage in zip(pairwise(decoder), self.stages[1:], strict=False):
            convs = ConvBNReLU(below + info.channels[stage], out, 3), ConvBNReLU(out, out, 3)
            self.merge.append(nn.Sequential(*convs))
        self.score = Score(decoder[len(self.merge)], num_classes)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        features, grids = self.backbone(images), self.backbone.feature_info.grids
        x, size = features[self.stages[0]], images.shape[-2:]
        for merge, (coarse, fine) in zip(self.merge, pairwise(self.stages), strict=True):
            skip = features[fine]
            if lies_on_pixels(grids[fine]):  # images may be padded to whole cells of the coarsest stage
                skip = crop(skip, 0, 0, needed_cells(grids[fine], size))
            up = resample(x, grids[coarse], grids[fine], skip.shape[-2:])
            x = merge(torch.cat([up, skip], 1))
        return {"out": onto_image(self.score(x), grids[self.stages[len(self.merge)]], size)}
