"""Watershed lines of a membrane's probability, and their fusion with it.

"Deep Contextual Networks for Neuronal Structure Segmentation", Chen, Qi, Cheng and Heng, AAAI 2016:
where a membrane is faint its crest is still a line that separates two cells.
"""

import numpy as np
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components, minimum_spanning_tree


def watershed_fusion(membrane: np.ndarray, *, weight: float, sigma: float) -> np.ndarray:
    """weight · the membrane's probability + (1 - weight) · its watershed lines, float32 H×W.

    Args:
        membrane: float H×W in 0..1.
        weight: from 0 to 1, which leaves the probability as it is.
        sigma: std in pixels of the Gaussian that smoothes the map for the lines: the larger, the
            fewer basins.
    """
    lines = watershed_lines(ndimage.gaussian_filter(membrane.astype(np.float64), sigma))
    return (weight * membrane + (1 - weight) * lines).astype(np.float32)


def watershed_lines(height: np.ndarray) -> np.ndarray:
    """bool H×W: crests between the basins of a float map, so that no two basins are 4-neighbours.

    Every pixel belongs to the minimum that it reaches over the lowest pass: the spanning forest of
    least weight that is rooted in the minima ("Watershed Cuts", Cousty et al., PAMI 2009). OpenCV's
    watershed and scipy's watershed_ift go by the difference of neighbours and stop at any step.
    """
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
    flat = ndimage.label(height == ndimage.minimum_filter(height, 3), np.ones((3, 3)))[0]
    around = ndimage.minimum_filter(np.where(flat, np.inf, height), 3)
    labels, first = np.unique(flat, return_index=True)
    closed = ndimage.minimum(around - height, flat, labels) > 0
    return first[closed & (labels > 0)]
