"""Rotations and mirror images: test-time augmentation (TTA)."""

import torch
from torch import Tensor

from segtrain.contracts import Network, Rows
from segtrain.inference.rows import logits, rows_of, whole


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
            upright, mirrored = (whole(network(x), x.shape[-2], softmax) for x in (rotated, rotated.flip(3)))
            total = total + (upright + mirrored.flip(3)).rot90(-quarters, (2, 3))
        return rows_of(logits(torch.as_tensor(total) / 8))


def softmax(scores: Tensor) -> Tensor:
    return scores.softmax(1)
