"""How well borders are met: the trimap curve, Boundary IoU and the BF score.

Void is part of no class, in the labels and in what is predicted there; where a class meets void it
ends. So nothing depends on what is predicted in void, and VOC's ignored seams, behind which the borders
lie, are the borders.
"""

import cv2
import numpy as np
import torch

from segtrain.contracts import IGNORE_INDEX, Sample

WIDTHS = (1, 2, 4, 8, 16, 32)  # of the trimap's band, in pixels on either side of a border
DIAGONAL_SHARE = 0.02  # Boundary IoU's width
TOLERANCE = 0.0075  # of the diagonal, within which the BF score takes two contours for one


class Trimap:
    """The mean IoU of the pixels near a border of the labels, by the width of the band: Kohli, Ladický
    and Torr, "Robust Higher Order Potentials", IJCV 2009; DeepLab v1 to v3+ on VOC's seams of void.

    `sums` is float64 W×3×C: correct, labelled and predicted pixels of each class, by the narrowest
    band that they are in.
    """

    def __init__(self, num_classes: int):
        self.sums = torch.zeros(len(WIDTHS), 3, num_classes, dtype=torch.float64)

    def add(self, sample: Sample, labels: np.ndarray, _confidence: np.ndarray) -> None:
        """Adds an image: the most probable classes, uint8 H×W."""
        predicted = _predicted(sample.mask, labels)
        labels, classes = sample.mask, self.sums.shape[-1]
        # How far the pixels are behind those at a border, which have distance 0.
        distance = _distance(contours(labels))
        band = np.searchsorted(WIDTHS, distance, side="right")
        near = (band < len(WIDTHS)) & (labels != IGNORE_INDEX)
        band, labels, predicted = band[near].astype(np.int64), labels[near], predicted[near]
        hit = labels == predicted
        for row, (bands, values) in enumerate(
            [(band[hit], labels[hit]), (band, labels), (band, predicted)],
        ):
            counts = np.bincount(bands * classes + values, minlength=len(WIDTHS) * classes)
            self.sums[:, row] += torch.from_numpy(counts.reshape(len(WIDTHS), classes))

    def metrics(self, sums: torch.Tensor) -> dict[str, dict[str, float | None]]:
        """The mean IoU within each width, from the `sums` of all processes."""
        correct, labelled, predicted = sums.cumsum(0).unbind(1)
        means = (correct / (labelled + predicted - correct)).nanmean(1).tolist()
        return {"trimap_mean_iou": {str(w): _value(mean) for w, mean in zip(WIDTHS, means, strict=True)}}


class BoundaryIoU:
    """The IoU of the classes' inner borders, mean over classes: Cheng, Girshick, Dollár, Berg and
    Kirillov, "Boundary IoU", CVPR 2021. A class's border is those of its pixels that are within 2 %
    of the image's diagonal from a pixel of another class or the image's edge.

    `sums` is float64 2×C: the pixels in both borders and in either, over all images.
    """

    def __init__(self, num_classes: int):
        self.sums = torch.zeros(2, num_classes, dtype=torch.float64)

    def add(self, sample: Sample, labels: np.ndarray, _confidence: np.ndarray) -> None:
        """Adds an image: the most probable classes, uint8 H×W."""
        predicted = _predicted(sample.mask, labels)
        width = max(1, round(DIAGONAL_SHARE * np.hypot(*sample.mask.shape)))
        for c in _classes(sample.mask, predicted):
            truth, guess = inner_border(sample.mask == c, width), inner_border(predicted == c, width)
            self.sums[0, c] += int((truth & guess).sum())
            self.sums[1, c] += int((truth | guess).sum())

    def metrics(self, sums: torch.Tensor) -> dict[str, float | None]:
        """The mean over the classes that occur, from the `sums` of all processes."""
        return {"boundary_iou": _value((sums[0] / sums[1]).nanmean().item())}


class BFScore:
    """The F1 score of contours: Csurka et al., BMVC 2013, as SegNet reports it (section 3.3, Table 3).

    Precision is the share of a class's predicted contour within 0.75 % of the diagonal of the
    labelled one, recall the reverse. Mean over an image's classes with a labelled contour, then over
    the images that have one. SegNet's script also counts classes that are predicted alone, and
    matches contour pixels one to one.

    `sums` is float64 2: the images' scores, and their number.
    """

    def __init__(self):
        self.sums = torch.zeros(2, dtype=torch.float64)

    def add(self, sample: Sample, labels: np.ndarray, _confidence: np.ndarray) -> None:
        """Adds an image: the most probable classes, uint8 H×W."""
        predicted = _predicted(sample.mask, labels)
        tolerance = TOLERANCE * np.hypot(*sample.mask.shape)
        truth, guess = contours(sample.mask), contours(predicted)
        of_classes = []
        for c in _classes(sample.mask[truth]):
            of_classes.append(contour_f1(truth & (sample.mask == c), guess & (predicted == c), tolerance))
        if of_classes:
            self.sums += torch.tensor([np.mean(of_classes), 1], dtype=torch.float64)

    def metrics(self, sums: torch.Tensor) -> dict[str, float | None]:
        """The mean over images, from the `sums` of all processes."""
        return {"bf_score": _value((sums[0] / sums[1]).item())}


def contours(labels: np.ndarray) -> np.ndarray:
    """bool H×W: the pixels that have one of their four neighbours in another class, or in void."""
    edge = np.zeros(labels.shape, bool)
    down, right = labels[1:] != labels[:-1], labels[:, 1:] != labels[:, :-1]
    edge[1:] |= down
    edge[:-1] |= down
    edge[:, 1:] |= right
    edge[:, :-1] |= right
    return edge


def inner_border(inside: np.ndarray, width: int) -> np.ndarray:
    """The pixels of a bool H×W that `width` erosions by 3×3 take away; beyond its edge is outside."""
    left = cv2.erode(
        inside.astype(np.uint8),
        np.ones((3, 3), np.uint8),
        iterations=width,
        borderType=cv2.BORDER_CONSTANT,
        borderValue=0,
    )
    return inside & (left == 0)


def contour_f1(truth: np.ndarray, guess: np.ndarray, tolerance: float) -> float:
    """2PR / (P + R) of two contours, bool H×W, met where the other is within `tolerance` pixels."""
    if not guess.any():
        return 0.0
    precision = (_distance(truth)[guess] <= tolerance).mean()
    recall = (_distance(guess)[truth] <= tolerance).mean()
    return float(2 * precision * recall / (precision + recall)) if precision + recall else 0.0


def _distance(pixels: np.ndarray) -> np.ndarray:
    """float32 H×W: the distance to the nearest of them in pixels, infinite where there are none."""
    if not pixels.any():
        return np.full(pixels.shape, np.inf, np.float32)
    return cv2.distanceTransform((~pixels).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)


def _predicted(truth: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The likeliest classes, void where the truth is."""
    return np.where(truth == IGNORE_INDEX, np.uint8(IGNORE_INDEX), labels)


def _classes(*labels: np.ndarray) -> list[int]:
    """The classes that occur in any of them."""
    found = np.bincount(np.concatenate([x.ravel() for x in labels]), minlength=IGNORE_INDEX + 1)
    return [c for c in np.flatnonzero(found).tolist() if c != IGNORE_INDEX]


def _value(x: float) -> float | None:
    return None if np.isnan(x) else x
