"""The membrane's probability fused with its watershed lines, as Deep Contextual Networks do.

"Deep Contextual Networks for Neuronal Structure Segmentation", Chen, Qi, Cheng and Heng, AAAI 2016:
where a membrane is faint its crest is still a line that separates two cells. scipy is imported in the
functions: only this inference needs it.
"""

from typing import Literal

import numpy as np
import torch
from torch import Tensor

from segtrain.contracts import Inference, Network, Rows
from segtrain.errors import InputError
from segtrain.inference.rows import all_rows, logits, rows_of


class Watershed:
    """A membrane's probability fused with its own watershed lines; for two classes.

    Args:
        base: the inference applied before.
        weight: of the probability, from 0 to 1; see `watershed_fusion`.
        sigma: std in pixels of the smoothing before the lines are found.
        membrane: the class of the membranes, 0 or 1.

    Raises:
        InputError: a weight outside of 0..1, a negative std; on use, a network with other than two classes.
    """

    def __init__(
        self, *, base: Inference, weight: float = 0.8, sigma: float = 2.0, membrane: Literal[0, 1] = 0
    ):
        if not 0 <= weight <= 1:
            raise InputError(
                f"inference.weight must be from 0 to 1, got {weight}", do="1 leaves the probability as it is"
            )
        if not sigma >= 0:
            raise InputError(f"inference.sigma={sigma}", do="give 0 or more; 2 is usual")
        self.base, self.weight, self.sigma, self.membrane = base, weight, sigma, membrane

    def __call__(self, network: Network, images: Tensor, names: list[str]) -> Rows:
        probabilities = all_rows(self.base(network, images, names), images.shape[-2]).softmax(1)
        classes = probabilities.shape[1]
        if classes != 2:
            raise InputError(
                "inference=watershed must have a network of 2 classes, membrane and cell, got"
                f" {classes} classes",
                do="use inference=whole",
            )
        maps = probabilities[:, self.membrane].cpu().numpy()
        fused = [watershed_fusion(p, weight=self.weight, sigma=self.sigma) for p in maps]
        membrane = torch.from_numpy(np.stack(fused)).to(images.device)
        pair = (membrane, 1 - membrane) if self.membrane == 0 else (1 - membrane, membrane)
        return rows_of(logits(torch.stack(pair, 1)))


def watershed_fusion(membrane: np.ndarray, *, weight: float, sigma: float) -> np.ndarray:
    """Computes weight · the membrane's probability + (1 - weight) · its watershed lines.

    Args:
        membrane: float H×W in 0..1.
        weight: from 0 to 1, which leaves the probability as it is.
        sigma: std in pixels of the Gaussian that smoothes the map for the lines: the larger, the
            fewer basins.

    Returns:
        The fused probability, float32 H×W.

    Example:
        >>> watershed_fusion(np.eye(9), weight=0.8, sigma=1.0).shape
        (9, 9)
    """
    from scipy import ndimage

    lines = watershed_lines(ndimage.gaussian_filter(membrane.astype(np.float64), sigma))
    return (weight * membrane + (1 - weight) * lines).astype(np.float32)


def watershed_lines(height: np.ndarray) -> np.ndarray:
    """bool H×W: crests between the basins of a float map, so that no two basins are 4-neighbours.

    Every pixel belongs to the minimum that it reaches over the lowest pass: the spanning forest of
    least weight that is rooted in the minima ("Watershed Cuts", Cousty et al., PAMI 2009). OpenCV's
    watershed and scipy's watershed_ift go by the difference of neighbours and stop at any step.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components, minimum_spanning_tree

    heights, size = height.ravel(), height.size
    pixels = np.arange(size).reshape(height.shape)
    first = np.concatenate([pixels[:-1].ravel(), pixels[:, :-1].ravel()])
    second = np.concatenate([pixels[1:].ravel(), pixels[:, 1:].ravel()])
    minima = minimum_pixels(height)
    # One more node is tied to every minimum by less than any pass; 0 would be no edge.
    passes = np.maximum(heights[first], heights[second]) - heights.min() + 2
    weights = np.concatenate([passes, np.ones(minima.size)])
    ends = np.concatenate([first, minima]), np.concatenate([second, np.full(minima.size, size)])
    forest = minimum_spanning_tree(coo_array((weights, ends), shape=(size + 1, size + 1)).tocsr())
    basins = connected_components(forest[:size, :size], directed=False)[1]

    crossing = basins[first] != basins[second]
    higher = np.where(heights[first] < heights[second], second, first)
    lines = np.zeros(size, bool)
    lines[higher[crossing]] = True
    return lines.reshape(height.shape)


def minimum_pixels(height: np.ndarray) -> np.ndarray:
    """The flat index of one pixel of each regional minimum: a plateau without a way down or along."""
    from scipy import ndimage

    flat = ndimage.label(height == ndimage.minimum_filter(height, 3), np.ones((3, 3)))[0]
    around = ndimage.minimum_filter(np.where(flat, np.inf, height), 3)
    labels, first = np.unique(flat, return_index=True)
    closed = ndimage.minimum(around - height, flat, labels) > 0
    return first[closed & (labels > 0)]
