"""Rotations and mirror images: test-time augmentation (TTA)."""

import torch
from torch import Tensor

from segtrain.contracts import Network, Rows
from segtrain.inference.rows import all_rows, logits, rows_of


class Dihedral:
    """The mean of the class probabilities over the image's four right-angle rotations, each mirrored too.

    U-Net (Ronneberger et al. 2015, Table 1) averages over seven rotated versions of the image, which
    they are is not said; FusionNet (Quan et al. 2016) over those that it trains on. Rows of a rotated
    image are columns: the scores of the whole image exist.
    """

    def __call__(self, network: Network, images: Tensor, names: list[str]) -> Rows:
        total: Tensor | float = 0.0
        for quarters in range(4):
            rotated = images.rot90(quarters, (2, 3))
            views = (rotated, rotated.flip(3))
            upright, mirrored = (all_rows(network(view), view.shape[-2], softmax) for view in views)
            total = total + (upright + mirrored.flip(3)).rot90(-quarters, (2, 3))
        return rows_of(logits(torch.as_tensor(total) / 8))


def softmax(scores: Tensor) -> Tensor:
    return scores.softmax(1)
