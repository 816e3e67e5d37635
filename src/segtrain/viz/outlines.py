"""Labels where a pixel may have several: outlines of the classes, and maps at another size."""

from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image

from segtrain.contracts import IGNORE_INDEX, Colour

LINES = 400  # pixels of an image's shorter side for each of an outline's


def outlined(image: np.ndarray, labels: np.ndarray, palette: Sequence[Colour]) -> np.ndarray:
    """Draws each class's outline, inside the class, over an image.

    Args:
        image: uint8 H×W×3.
        labels: uint8 H×W×C of 0, 1 and 255.
        palette: the RGB colour of each class, 0..255.

    Returns:
        uint8 H×W×3.
    """
    drawn, width = image.copy(), 1 + min(labels.shape[:2]) // LINES
    for c, colour in enumerate(palette):
        inside = (labels[..., c] == 1).astype(np.uint8)
        within = cv2.erode(inside, np.ones((3, 3), np.uint8), iterations=width, borderValue=0)
        drawn[inside > within] = colour
    return drawn


def borders(labels: np.ndarray) -> np.ndarray:
    """Where a region of labels uint8 H×W ends, on both sides: bool H×W, as wide as `outlined` draws."""
    width = 1 + min(labels.shape[:2]) // LINES
    around = np.ones((2 * width + 1, 2 * width + 1) if width > 1 else (2, 2), np.uint8)
    return cv2.dilate(labels, around) != cv2.erode(labels, around)


def mixed_colours(labels: np.ndarray, palette: Sequence[Colour], ignored: Colour) -> np.ndarray:
    """The mean colour of each pixel's classes, uint8 H×W×3; black where it has none, `ignored` where all of
    its labels are."""
    present = (labels == 1).astype(np.float32)
    colours = present @ np.asarray(palette, np.float32) / np.maximum(present.sum(-1, keepdims=True), 1)
    result = colours.round().astype(np.uint8)
    result[(labels == IGNORE_INDEX).all(-1)] = ignored
    return result


def nearest(labels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Labels, uint8 H×W or H×W×C, at another size (width, height), each pixel's the nearest."""
    if labels.ndim == 3:
        return np.stack([nearest(labels[..., c], size) for c in range(labels.shape[2])], -1)
    return np.asarray(Image.fromarray(labels).resize(size, Image.Resampling.NEAREST))


def labels_in(labels: np.ndarray) -> list[int]:
    """The labels that occur in uint8 H×W; of H×W×C the classes, and 255 where a pixel is ignored."""
    if labels.ndim == 2:
        return np.unique(labels).tolist()
    classes = np.flatnonzero((labels == 1).any((0, 1))).tolist()
    return classes + ([IGNORE_INDEX] if (labels == IGNORE_INDEX).any() else [])
