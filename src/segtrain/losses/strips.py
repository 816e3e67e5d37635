"""Coarse logits against labels of full size, without the logits at full size.

Upsampled logits are the largest tensors of a training step, and a loss makes several of that size. Cell
i lies on pixel stride·i (`sizes`), so cells a..b upsampled alone are those rows of the whole: a strip is
upsampled, its loss and its gradient are computed while it is in the cache, and only the gradient of the
coarse logits is kept.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from segtrain.sizes import stride_of, upsample_cells, upsample_logits

VALUES = {"cpu": 1 << 20, "cuda": 1 << 26}  # of a strip: a processor's cache, or a GPU kept busy

PixelLoss = Callable[[Tensor, Tensor], Tensor]  # logits N×C×H×W, labels N×H×W to a sum over their pixels


def summed(loss: PixelLoss, logits: Tensor, masks: Tensor) -> Tensor:
    """`loss` of logits N×C×h×w upsampled to masks N×H×W, a scalar; equal in value and gradient to
    `loss(upsample_logits(logits, (H, W)), masks)`, but not to be differentiated twice.

    Args:
        loss: a sum over pixels, in which no pixel asks for another one's.
    """
    size = masks.shape[-2:]
    if logits.shape[-2:] == size or 1 in (logits.shape[-2], size[0]):
        return loss(upsample_logits(logits, size), masks)
    return _OverStrips.apply(logits, masks, loss)


class _OverStrips(torch.autograd.Function):
    @staticmethod
    def forward(ctx, logits: Tensor, masks: Tensor, loss: PixelLoss) -> Tensor:
        (images, classes, cells, _), (height, width) = logits.shape, masks.shape[-2:]
        stride = stride_of(cells, height)
        values = VALUES.get(logits.device.type, VALUES["cuda"])
        step = max(values // (images * classes * stride * width), 1)
        total, gradient = logits.new_zeros(()), torch.zeros_like(logits)
        for first in range(0, -(-(height - 1) // stride), step):
            last = min(first + step, cells - 1)
            bottom = height if last * stride >= height - 1 else last * stride
            labels = masks[:, first * stride : bottom]
            with torch.enable_grad():
                strip = logits[:, :, first : last + 1].detach().requires_grad_()
                part = loss(upsample_cells(strip, stride, labels.shape[-2:]), labels)
            total += part.detach()
            if ctx.needs_input_grad[0]:
                gradient[:, :, first : last + 1] += torch.autograd.grad(part, strip)[0]
        ctx.save_for_backward(gradient)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx, factor: Tensor) -> tuple[Tensor, None, None]:
        return ctx.saved_tensors[0] * factor, None, None
