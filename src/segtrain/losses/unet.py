"""U-Net's weight map: the thin borders between touching cells count most."""

from collections.abc import Mapping

import cv2
import numpy as np
import torch
from scipy import ndimage
from torch import Tensor, nn

from segtrain.losses.outputs import pixel_losses, valid_pixels, weighted_outputs

CUTOFF = 4  # stds beyond which the map is left at 1: it would be 1 + w0 / 3000


class UNetLoss(nn.Module):
    """Cross-entropy times a weight map that is made of the labels, over the valid pixels.

    "U-Net", Ronneberger, Fischer and Brox, MICCAI 2015, section 3, equations 1 and 2:
    1 + w0·exp(-(d1 + d2)² / 2σ²), d1 and d2 the distances to the two nearest cells. As is common
    the second term stands outside of cells alone; the paper leaves that open, and its balance of
    class frequencies is left at 1. Cells are the 4-connected regions of one class.

    Args:
        weights: output name -> weight; `out`, and a model's auxiliaries by their names.
        w0: the largest addition; sigma: in pixels.
        cell: the class whose regions are the cells.
    """

    def __init__(self, *, weights: Mapping[str, float], w0: float = 10.0, sigma: float = 5.0, cell: int = 1):
        super().__init__()
        self.weights, self.w0, self.sigma, self.cell = dict(weights), w0, sigma, cell

    def forward(self, outputs: dict[str, Tensor], masks: Tensor) -> Tensor:
        """The weighted sum over pixels (a scalar), to be divided by the step's `count`s."""
        maps = [border_weights(m, self.w0, self.sigma, self.cell) for m in masks.cpu().numpy()]
        weight_map = torch.from_numpy(np.stack(maps)).to(masks.device)
        total = outputs["out"].new_zeros((), dtype=torch.float32)
        for _, logits, weight in weighted_outputs(outputs, self.weights):
            total = total + weight * (weight_map * pixel_losses(logits, masks)).sum()
        return total

    def count(self, masks: Tensor) -> Tensor:
        """What the batch adds to the divisor: its valid pixels (float32 scalar)."""
        return valid_pixels(masks)


def border_weights(mask: np.ndarray, w0: float, sigma: float, cell: int) -> np.ndarray:
    """The weight map, float32 H×W, of labels H×W.

    The distance to each cell is computed in its surroundings alone, so that the time goes with the
    area and not with the number of cells too.
    """
    nearest, second = np.full((2, *mask.shape), np.inf, np.float32)
    cutoff = int(np.ceil(CUTOFF * sigma))
    inside = mask == cell
    cells = cv2.connectedComponents(inside.astype(np.uint8), connectivity=4)[1]
    for number, (rows, columns) in enumerate(ndimage.find_objects(cells), start=1):
        around = np.s_[
            max(rows.start - cutoff, 0) : rows.stop + cutoff,
            max(columns.start - cutoff, 0) : columns.stop + cutoff,
        ]
        distance = ndimage.distance_transform_edt(cells[around] != number).astype(np.float32)
        second[around] = np.minimum(second[around], np.maximum(nearest[around], distance))
        nearest[around] = np.minimum(nearest[around], distance)
    addition = w0 * np.exp(-np.square(nearest + second) / (2 * sigma**2))
    return np.where(inside, 1, 1 + addition).astype(np.float32)
