"""The input normalisation that a backbone owns, or a model without one."""

from typing import Literal

import torch
from torch import Tensor, nn

IMAGENET_MEAN = (123.675, 116.28, 103.53)  # torchvision's 0.485, 0.456, 0.406 of 255
IMAGENET_STD = (58.395, 57.12, 57.375)  # 0.229, 0.224, 0.225 of 255
GREY_MEAN = (117.04,)  # their sums, weighted as in a luminance
GREY_STD = (57.53,)


class Normalize(nn.Module):
    """uint8 or float RGB in 0..255, N×3×H×W, to float32 of about zero mean and unit variance."""

    def __init__(self, mean: tuple = IMAGENET_MEAN, std: tuple = IMAGENET_STD):
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        return (images.float() - self.mean) / self.std


class NormalizeGrey(Normalize):
    """uint8 or float pictures in 0..255, grey N×1×H×W or RGB N×3×H×W, to float32 N×1×H×W.

    RGB is turned into its luminance (ITU-R BT.601); grey that is stored as RGB keeps its values exactly.
    """

    def __init__(self):
        super().__init__(GREY_MEAN, GREY_STD)

    def forward(self, images: Tensor) -> Tensor:
        if images.shape[1] == 3:
            red, green, blue = images.float().split(1, dim=1)
            images = green + 0.299 * (red - green) + 0.114 * (blue - green)
        return super().forward(images)


def normalization(channels: Literal[1, 3]) -> Normalize:
    """That of a network that sees grey (1) or RGB (3)."""
    return {1: NormalizeGrey, 3: Normalize}[channels]()
