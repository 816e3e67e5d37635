"""Polygons whose vertices are pixels and whose outline belongs to them, as OpenCV and Pillow draw them.

LabelMe, YOLO and Supervisely mean theirs so. COCO, CVAT and Label Studio have continuous coordinates, in
which the pixel in column x and row y covers [x, x+1) × [y, y+1): `coco_masks.py` fills those.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image, ImageDraw

Ring = np.ndarray  # float N×2: x, y
DECIMALS = 0.01  # pixels by which a share of the width in six decimals may fall short of a whole pixel


def fill_pixels(rings: Sequence[Ring], height: int, width: int, short: float = DECIMALS) -> np.ndarray:
    """As OpenCV's fillPoly draws it: vertices are cut to whole pixels, outlines belong to it, even-odd.

    Args:
        rings: N×2 of x, y in pixels.
        height, width: of the image.
        short: pixels by which a coordinate may fall short of the whole pixel that it means.

    Returns:
        bool H×W.
    """
    mask = np.zeros((height, width), np.uint8)
    cv2.fillPoly(mask, [np.floor(ring + short).astype(np.int32) for ring in rings], 1)
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
