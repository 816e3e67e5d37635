"""Windows of a sample, which may leave the image."""

import numpy as np

from segtrain.contracts import IGNORE_INDEX, Sample
from segtrain.data.crops.boxes import Box
from segtrain.errors import InputError


def cut(sample: Sample, box: Box) -> Sample:
    """Cuts a window out of a sample; where it leaves the image it is black and its pixels are ignored.

    Padding follows DeconvNet's released window_seg_data_layer.cpp.

    Args:
        sample: of an image.
        box: the window, which may leave the image.

    Returns:
        Image and mask of the window's size; its name is the image's with the box: NAME_x_y_WIDTHxHEIGHT.

    Example:
        >>> cut(voc.train[0], Box(-10, -10, 64, 64)).image.shape
        (64, 64, 3)
    """
    image = np.zeros((box.height, box.width, sample.image.shape[2]), sample.image.dtype)
    mask = np.full((box.height, box.width), IGNORE_INDEX, np.uint8)
    x, y, width, height = box.inside(*sample.mask.shape)
    there = np.s_[y : y + height, x : x + width]
    here = np.s_[y - box.y : y - box.y + height, x - box.x : x - box.x + width]
    image[here], mask[here] = sample.image[there], sample.mask[there]
    name = f"{sample.name}_{box.x}_{box.y}_{box.width}x{box.height}"
    return sample._replace(image=image, mask=mask, name=name)


def check_context(context: float) -> None:
    """Raises InputError where a window would be smaller than what it is around."""
    if context < 1:
        raise InputError(f"crops.context must be at least 1, got {context}", do="1 is the tight box")
