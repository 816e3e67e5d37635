"""The membrane's probability fused with its watershed lines, as Deep Contextual Networks do."""

from typing import Literal

import numpy as np
import torch
from torch import Tensor

from segtrain.contracts import Inference, Network, Rows
from segtrain.errors import InputError
from segtrain.inference.rows import logits, rows_of, whole


class Watershed:
    """A membrane's probability fused with its own watershed lines (`segtrain.inference.watershed_lines`).

    Deep Contextual Networks, Chen et al. 2016; for two classes.

    Args:
        base: the inference applied before.
        weight, sigma: see `watershed_fusion`.
        membrane: the class of the membranes, 0 or 1.

    Raises:
        InputError: a weight outside of 0..1; on use, a network with other than two classes.
    """

    def __init__(
        self, *, base: Inference, weight: float = 0.8, sigma: float = 2.0, membrane: Literal[0, 1] = 0
    ):
        if not 0 <= weight <= 1:
            raise InputError(
                f"inference.weight must be from 0 to 1, got {weight}", do="1 leaves the probability as it is"
            )
        self.base, self.weight, self.sigma, self.membrane = base, weight, sigma, membrane

    def __call__(self, network: Network, images: Tensor, names: list[str]) -> Rows:
        probabilities = whole(self.base(network, images, names), images.shape[-2]).softmax(1)
        classes = probabilities.shape[1]
        if classes != 2:
            raise InputError(
                f"inference=watershed: the network has {classes} classes, not membrane and cell",
                do="use inference=whole",
            )
        from segtrain.inference.watershed_lines import watershed_fusion  # and scipy with it, for this alone

        maps = probabilities[:, self.membrane].cpu().numpy()
        fused = [watershed_fusion(p, weight=self.weight, sigma=self.sigma) for p in maps]
        membrane = torch.from_numpy(np.stack(fused)).to(images.device)
        pair = (membrane, 1 - membrane) if self.membrane == 0 else (1 - membrane, membrane)
        return rows_of(logits(torch.stack(pair, 1)))
