"""The last convolution of a segmentation network: one score map a class."""

import torch
from torch import Tensor, nn


class Score(nn.Conv2d):
    """1×1 convolution to `num_classes` logits, zero-initialised (FCN, section 4.3); SegNet's is 3×3.

    Always in float32, also under autocast: logits are compared with one another, and on CPUs with
    AMX oneDNN 3.13 (torch 2.15) corrupts memory ("free(): invalid next size") in the bfloat16
    weight gradient of a 1×1 convolution from 4096 channels to few: 7, 8 and 11 failed; 16, 19 and
    21, and fewer than 4096 inputs, passed.
    """

    def __init__(self, channels: int, num_classes: int, *, kernel: int = 1):
        super().__init__(channels, num_classes, kernel, padding=kernel // 2)
        nn.init.zeros_(self.weight)
        assert self.bias is not None
        nn.init.zeros_(self.bias)

    def forward(self, features: Tensor) -> Tensor:
        with torch.autocast(features.device.type, enabled=False):
            return super().forward(features.float())
