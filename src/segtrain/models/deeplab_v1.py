"""DeepLab v1: DeepLab-LargeFOV, DeepLab-7x7, DeepLab-4x4 and DeepLab-MSc-LargeFOV.

"Semantic Image Segmentation with Deep Convolutional Nets and Fully Connected CRFs", Chen,
Papandreou, Kokkinos, Murphy and Yuille, ICLR 2015, https://arxiv.org/abs/1412.7062.

One 1×1 classifier on a VGG16 whose dilation keeps the stride at 8; the variants of Table 2 differ in
the backbone only. Training compares the logits with every 8th label (`loss=deeplab`), prediction
upsamples them by 8 with corners aligned, and the dense CRF restores the borders (`crf=true`,
`dense_crf=deeplabv1`). The classifier starts from a Gaussian of std 0.01, and learns ten
times as fast as the backbone. MSc (section 4.3) adds scores of the image and of pool1 to pool4;
its layers are the released config/DeepLab-MSc-LargeFOV/train.prototxt, which sums scores where
the paper concatenates features before one classifier: the same function.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segtrain.layers.backbone import Backbone, require_on_pixels
from segtrain.layers.score import Score
from segtrain.layers.upsample import upsample
from segtrain.layers.whole_cells import pad_to_whole_cells
from segtrain.layers.width import scaled

# Name in the prototxt -> its backbone's stage (the image is 1), stride of its 3×3 convolution,
# stds of the Gaussians that its 1×1 and its scores start from. pool3_ms names no filler,
# which in Caffe means zeros.
BRANCHES = {
    "data": (1, 8, 0.001, 0.01),
    "pool1": (2, 4, 0.001, 0.01),
    "pool2": (4, 2, 0.001, 0.01),
    "pool3": (8, 1, 0.001, 0.0),
    "pool4": (16, 1, 0.005, 0.01),
}
HIDDEN = 128
VALUES = 1 << 24  # of a branch's features at a time in eval mode: 64 MB; of a 513×513 image they are 33.7 M


class DeepLabV1(nn.Module):
    """Images N×3×H×W (uint8 or float RGB in 0..255) to {"out": logits N×C×⌈(H-1)/8⌉+1×⌈(W-1)/8⌉+1}.

    Args:
        backbone: its last stage, of stride 8, is scored.
        num_classes: C.
    """

    backbone: Backbone

    def __init__(self, *, backbone: Backbone, num_classes: int):
        super().__init__()
        self.backbone = backbone
        require_on_pixels(self, backbone, [32])
        self.score = Score(backbone.feature_info.channels[32], num_classes)
        nn.init.normal_(self.score.weight, std=0.01)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return {"out": self.score(self.backbone(images)[32])}


class MLP(nn.Module):
    """N×channels×H×W to N×hidden×h×w: 3×3 with a stride and 1×1, each with ReLU and dropout.

    In eval mode the stride is 1, whose outputs at every stride-th place are those of training.
    """

    def __init__(self, channels: int, hidden: int, stride: int, *, fc_std: float, dropout: float):
        super().__init__()
        self.stride = stride
        self.conv = nn.Conv2d(channels, hidden, 3, stride, padding=1)
        self.fc = nn.Conv2d(hidden, hidden, 1)
        self.dropout = nn.Dropout(dropout)
        for layer, std in ((self.conv, 0.001), (self.fc, fc_std)):
            nn.init.normal_(layer.weight, std=std)
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        stride = self.stride if self.training else 1
        x = F.conv2d(pad_to_whole_cells(x, stride), self.conv.weight, self.conv.bias, stride, padding=1)
        x = self.dropout(F.relu(x, inplace=True))
        return self.dropout(F.relu(self.fc(x), inplace=True))


class DeepLabV1MSc(nn.Module):
    """Images N×3×H×W (uint8 or float RGB in 0..255) to {"out": logits}: in training
    N×C×⌈(H-1)/8⌉+1×⌈(W-1)/8⌉+1, in eval mode N×C×H×W.

    Args:
        backbone: its stages 2, 4, 8, 16 and 32 have cells on pixel stride·i.
        num_classes: C.
        branches_only: backbone and classifier stay fixed, as in the paper: they are those of a
            trained LargeFOV (`init_from=`).
        dropout: after each layer of the branches.
        width: multiplies the branches' 128 channels.
    """

    backbone: Backbone

    def __init__(
        self,
        *,
        backbone: Backbone,
        num_classes: int,
        branches_only: bool = False,
        dropout: float = 0.5,
        width: float = 1.0,
    ):
        super().__init__()
        self.backbone = backbone
        require_on_pixels(self, backbone, [2, 4, 8, 16, 32])
        self.score = Score(backbone.feature_info.channels[32], num_classes)
        nn.init.normal_(self.score.weight, std=0.01)
        if branches_only:
            self.requires_grad_(False)  # what there is so far

        hidden = scaled(HIDDEN, width)
        first: Any = backbone  # a VGG16: the branch on the image has its channels
        channels = {1: first.in_channels} | backbone.feature_info.channels
        self.mlps, self.scores = nn.ModuleDict(), nn.ModuleDict()
        for name, (stage, stride, fc_std, score_std) in BRANCHES.items():
            self.mlps[name] = MLP(channels[stage], hidden, stride, fc_std=fc_std, dropout=dropout)
            score = Score(hidden, num_classes)
            nn.init.normal_(score.weight, std=score_std)
            self.scores[name] = score

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        backbone: Any = self.backbone  # a VGG16, whose input normalisation the branch on the image shares
        features = {1: backbone.normalize(images)} | backbone(images)
        out = self.score(features[32])
        if not self.training:
            height, width = images.shape[-2:]
            return {"out": self._at_full_size(features, out, (height, width))}
        for name, (stage, *_) in BRANCHES.items():
            out = out + self.scores[name](self.mlps[name](features[stage]))
        return {"out": out}

    def _at_full_size(self, features: dict[int, Tensor], scores: Tensor, size: tuple[int, int]) -> Tensor:
        """The sum of all scores upsampled to `size`; of the branches' features few rows exist at a time."""
        strides = {1: 1} | {stage: self.backbone.feature_info.stride(stage) for stage in (2, 4, 8, 16, 32)}
        out = upsample(scores, strides[32], size)
        for name, (stage, *_) in BRANCHES.items():
            branch = nn.Sequential(self.mlps[name], self.scores[name])
            out = out + upsample(by_rows(branch, features[stage], HIDDEN), strides[stage], size)
        return out


def by_rows(network: nn.Module, x: Tensor, channels: int) -> Tensor:
    """network(x) of a network that sees a row above and below and pads with zeros, blocks of rows at a time.

    Args:
        channels: of its widest features, of which no more than VALUES exist.
    """
    height = x.shape[-2]
    if not isinstance(height, int):  # exported for any size: one pass
        return network(x)
    rows = max(VALUES // (len(x) * channels * x.shape[-1]), 1)
    blocks = []
    for top in range(0, height, rows):
        first, last = max(top - 1, 0), min(top + rows + 1, height)
        block = network(x[..., first:last, :])
        blocks.append(block[..., top - first : top - first + min(rows, height - top), :])
    return torch.cat(blocks, -2)
