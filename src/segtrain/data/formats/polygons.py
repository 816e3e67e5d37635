"""Polygons to masks, by the two conventions that annotation tools have.

`fill_centres`: coordinates are continuous, the pixel in column x and row y covers [x, x+1) × [y, y+1), and
is inside where its centre (x + 0.5, y + 0.5) is. COCO, CVAT and Label Studio mean their polygons so.
`fill_pixels`: vertices are pixels, and the outline belongs to the polygon, as OpenCV and Pillow draw it.
LabelMe, YOLO and Supervisely do.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image, ImageDraw

Ring = np.ndarray  # float N×2: x, y
DECIMALS = 0.01  # pixels by which a share of the width in six decimals may fall short of a whole pixel


def fill_centres(rings: Sequence[Ring], height: int, width: int) -> np.ndarray:
    """Where a pixel's centre is inside an odd number of rings (the even-odd rule).

    Args:
        rings: N×2 of x, y in continuous coordinates; parts outside the image are cut off.
        height, width: of the image.

    Returns:
        bool H×W.

    Example:
        >>> fill_centres([np.array([[0, 0], [2, 0], [2, 1], [0, 1]])], 2, 3)[0].tolist()
        [True, True, False]
    """
    mask = np.zeros((height, width), bool)
    low = np.floor(np.min([ring.min(0) for ring in rings], axis=0)).astype(int).clip(0, (width, height))
    high = np.ceil(np.max([ring.max(0) for ring in rings], axis=0)).astype(int).clip(0, (width, height))
    columns, rows = np.maximum(high - low, 0)
    toggled = np.zeros((rows, columns + 1), bool)  # of the rings' box alone
    for ring in rings:
        x, y = (ring - low).T
        _toggle_crossings(toggled, x, y, np.roll(x, -1), np.roll(y, -1))
    inside = np.logical_xor.accumulate(toggled, axis=1)[:, :-1]
    mask[low[1] : low[1] + rows, low[0] : low[0] + columns] = inside
    return mask


def _toggle_crossings(toggled: np.ndarray, x0: Ring, y0: Ring, x1: Ring, y1: Ring) -> None:
    """Flips, for each row of centres that an edge crosses, the first pixel right of the crossing."""
    height, columns = toggled.shape
    first = np.clip(np.ceil(np.minimum(y0, y1) - 0.5), 0, height).astype(np.int64)
    last = np.clip(np.ceil(np.maximum(y0, y1) - 0.5), 0, height).astype(np.int64)
    counts = last - first  # rows of an edge; none of a level one
    edge = np.repeat(np.arange(len(counts)), counts)
    rows = np.arange(len(edge)) - np.repeat(np.cumsum(counts) - counts, counts) + first[edge]
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = ((x1 - x0) / (y1 - y0))[edge]
    crossing = x0[edge] + (rows + 0.5 - y0[edge]) * slope
    column = np.clip(np.ceil(crossing - 0.5), 0, columns - 1).astype(np.int64)
    np.logical_xor.at(toggled, (rows, column), True)


def fill_pixels(rings: Sequence[Ring], height: int, width: int) -> np.ndarray:
    """As OpenCV's fillPoly draws it: vertices are cut to whole pixels, outlines belong to it, even-odd.

    Args:
        rings: N×2 of x, y in pixels.
        height, width: of the image.

    Returns:
        bool H×W.
    """
    mask = np.zeros((height, width), np.uint8)
    cv2.fillPoly(mask, [np.floor(ring + DECIMALS).astype(np.int32) for ring in rings], 1)
    return mask.astype(bool)


def fill_with_outline(ring: Ring, height: int, width: int) -> np.ndarray:
    """As Pillow draws one polygon and its outline, and so LabelMe.

    Args:
        ring: N×2 of x, y in pixels, with fractions.
        height, width: of the image.

    Returns:
        bool H×W.
    """
    image = Image.new("1", (width, height))
    ImageDraw.Draw(image).polygon([(float(x), float(y)) for x, y in ring], fill=1, outline=1)
    return np.array(image)
