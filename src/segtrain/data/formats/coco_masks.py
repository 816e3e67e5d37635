"""pycocotools, which makes masks of COCO's polygons and run lengths."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from segtrain.errors import InputError, how_to_install


def coco_tool() -> Any:
    """`pycocotools.mask`. Raises InputError where it is not installed."""
    try:
        from pycocotools import mask
    except ImportError as error:
        raise InputError("pycocotools is not installed", do=how_to_install("coco")) from error
    return mask


def fill_as_coco(rings: Sequence[np.ndarray], height: int, width: int) -> np.ndarray:
    """The union of polygons, bool H×W, as pycocotools' `annToMask` has it.

    Args:
        rings: N×2 of x, y in continuous coordinates.
        height, width: of the image.
    """
    tool = coco_tool()
    parts = tool.frPyObjects([np.asarray(ring, float).ravel().tolist() for ring in rings], height, width)
    return tool.decode(tool.merge(parts)).astype(bool)


def decode_rle(counts: list[int] | str, height: int, width: int) -> np.ndarray:
    """A run-length mask, bool H×W.

    Args:
        counts: of pixels outside and inside by turns, down the columns; as a list, or packed in a text.
        height, width: of the mask.

    Raises:
        ValueError: the counts do not add up to the mask's pixels.
    """
    tool = coco_tool()
    if isinstance(counts, list):
        if sum(counts) != height * width:
            raise ValueError(f"counts add up to {sum(counts)}, the mask has {height * width} pixels")
        return tool.decode(
            tool.frPyObjects({"counts": counts, "size": [height, width]}, height, width)
        ).astype(bool)
    mask = tool.decode({"counts": counts.encode(), "size": [height, width]})
    return mask.astype(bool)
