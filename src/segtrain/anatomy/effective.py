"""The effective receptive field: how much each pixel changes a logit, by gradients.

"Understanding the Effective Receptive Field in Deep Convolutional Neural Networks", Luo, Li, Urtasun and
Zemel, NIPS 2016, https://arxiv.org/abs/1701.04128: in the middle of the theoretical one, and much smaller.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

SHARE = 0.9545  # within two stds of a Gaussian, as the paper measures


def effective_field(network: nn.Module, images: Sequence[Tensor]) -> np.ndarray:
    """The gradient of the middle logits to the pixels, its absolute value averaged over images.

    Args:
        network: images N×C×H×W to {"out": logits}, in eval mode.
        images: 1×C×H×W each, of one size, on the network's device.

    Returns:
        float32 H×W, its largest value 1; zeros where no gradient comes through.

    Example:
        >>> effective_field(network, [torch.rand(1, 3, 321, 321) * 255]).max()
        1.0
    """
    total = torch.zeros(images[0].shape[-2:])
    for image in images:
        pixels = image.detach().float().requires_grad_(True)
        out = network(pixels)["out"]
        middle = out[0, :, out.shape[2] // 2, out.shape[3] // 2]
        (gradient,) = torch.autograd.grad(middle.abs().sum(), pixels)
        total += gradient[0].abs().sum(0).cpu()
    return (total / total.max().clamp(min=torch.finfo(total.dtype).tiny)).numpy()


def effective_size(field: np.ndarray, share: float = SHARE) -> int:
    """The side of the square around the middle that holds a share of a field H×W.

    Example:
        >>> effective_size(np.ones((101, 101), np.float32), share=0.25)
        51
    """
    total, middle = float(field.sum()), (field.shape[0] // 2, field.shape[1] // 2)
    for extent in range(max(field.shape)):
        top, left = max(middle[0] - extent, 0), max(middle[1] - extent, 0)
        inside = field[top : middle[0] + extent + 1, left : middle[1] + extent + 1]
        if float(inside.sum()) >= share * total:
            return 2 * extent + 1
    return max(field.shape)
