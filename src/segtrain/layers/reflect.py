"""A mirrored border of any width."""

import torch
from torch import Tensor


def reflect_pad(x: Tensor, padding: tuple[int, int, int, int]) -> Tensor:
    """N×C×H×W mirrored at its outermost pixels, which are not repeated (OpenCV's REFLECT_101).

    As torch's "reflect", but of any width: a border wider than the image is mirrored to and fro,
    and that of a single pixel repeats it.

    Args:
        padding: left, right, top, bottom, as in `torch.nn.functional.pad`.
    """
    left, right, top, bottom = padding
    rows = _mirrored(x.shape[-2], top, bottom, x.device)
    columns = _mirrored(x.shape[-1], left, right, x.device)
    return x.index_select(-2, rows).index_select(-1, columns)


def _mirrored(size: int, before: int, after: int, device: torch.device) -> Tensor:
    """The indices -before … size+after-1 folded into 0 … size-1: a triangle wave."""
    last = size - 1
    index = torch.arange(-before, size + after, device=device)
    return last - (index % max(2 * last, 1) - last).abs()
