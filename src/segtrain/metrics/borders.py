"""Borders of classes, for the trimap curve, Boundary IoU and the BF score.

Ignored pixels belong to no class, in the mask and in the prediction there; where a class meets them it
ends. So nothing depends on what is predicted there, and VOC's ignored seams, behind which the borders
lie, are the borders.
"""

import cv2
import numpy as np

from segtrain.contracts import IGNORE_INDEX


def contours(labels: np.ndarray) -> np.ndarray:
    """bool H×W: the pixels that have one of their four neighbours in another class, or ignored."""
    edge = np.zeros(labels.shape, bool)
    down, right = labels[1:] != labels[:-1], labels[:, 1:] != labels[:, :-1]
    edge[1:] |= down
    edge[:-1] |= down
    edge[:, 1:] |= right
    edge[:, :-1] |= right
    return edge


def class_border(inside: np.ndarray, width: int) -> np.ndarray:
    """The pixels of a bool H×W that `width` erosions by 3×3 take away; beyond its edge is outside."""
    left = cv2.erode(
        inside.astype(np.uint8),
        np.ones((3, 3), np.uint8),
        iterations=width,
        borderType=cv2.BORDER_CONSTANT,
        borderValue=0,
    )
    return inside & (left == 0)


def distance_to(pixels: np.ndarray) -> np.ndarray:
    """float32 H×W: the distance to the nearest of them in pixels, infinite where there are none."""
    if not pixels.any():
        return np.full(pixels.shape, np.inf, np.float32)
    return cv2.distanceTransform((~pixels).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)


def with_ignored_of(mask: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The predicted class indices, ignored where the mask is; uint8 H×W."""
    return np.where(mask == IGNORE_INDEX, np.uint8(IGNORE_INDEX), labels)


def classes_in(*labels: np.ndarray) -> list[int]:
    """The classes that occur in any of them."""
    found = np.bincount(np.concatenate([x.ravel() for x in labels]), minlength=IGNORE_INDEX + 1)
    return [c for c in np.flatnonzero(found).tolist() if c != IGNORE_INDEX]


def none_if_nan(x: float) -> float | None:
    return None if np.isnan(x) else x
