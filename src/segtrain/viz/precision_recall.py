"""Precision and recall of each class as the least confidence rises: `precision_recall.png`."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from segtrain.contracts import IGNORE_INDEX
from segtrain.viz.curves import BLUE, GREEN, ORANGE, PURPLE, SIZE, SKY, VERMILION
from segtrain.wording import how_many

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BINS = 256  # of confidence, equally wide: what bounds the memory
COLOURS, DASHES = (BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY), ("-", "--", ":", "-.")
LETTERS = 88  # of a line of the title
NAMED = 24  # classes that a legend names


class PrecisionRecall:
    """Counts pixels by their predicted class and its confidence.

    A pixel counts as its predicted class where the confidence is above a threshold, else as none; so a curve
    ends at the recall of the predictions. Where a pixel may have several classes, each class's probability
    counts, and the curve goes on to a recall of 1.

    Args:
        num_classes: C.

    Attributes:
        right, wrong: int64 C×256, pixels of the class and of others; `target`: int64 C, pixels that have it.
        images: so far.
    """

    def __init__(self, num_classes: int):
        self.right = np.zeros((num_classes, BINS), np.int64)
        self.wrong = np.zeros((num_classes, BINS), np.int64)
        self.target = np.zeros(num_classes, np.int64)
        self.images = 0

    def add(self, mask: np.ndarray, labels: np.ndarray, confidence: np.ndarray) -> None:
        """Adds an image.

        Args:
            mask: uint8 H×W; H×W×C of 0, 1 and 255 where a pixel may have several labels.
            labels: predicted, of its shape.
            confidence: of the labels, float32 of its shape.
        """
        self.images += 1
        if mask.ndim == 2:
            self._count(mask, labels, confidence)
            return
        for c in range(mask.shape[2]):
            yes = np.where(labels[..., c] == 1, confidence[..., c], 1 - confidence[..., c])
            known = mask[..., c] != IGNORE_INDEX
            self._into(c, _bins(yes)[known], mask[..., c][known] == 1)
            self.target[c] += int((mask[..., c] == 1).sum())

    def _count(self, mask: np.ndarray, labels: np.ndarray, confidence: np.ndarray) -> None:
        classes, known = len(self.target), mask != IGNORE_INDEX
        mask, labels = mask[known], labels[known]
        cells = labels.astype(np.int64) * BINS + _bins(confidence)[known]
        hit = labels == mask
        for counts, chosen in ((self.right, cells[hit]), (self.wrong, cells[~hit])):
            counts += np.bincount(chosen, minlength=classes * BINS)[: classes * BINS].reshape(classes, BINS)
        self.target += np.bincount(mask, minlength=classes)[:classes]

    def _into(self, c: int, bins: np.ndarray, hit: np.ndarray) -> None:
        self.right[c] += np.bincount(bins[hit], minlength=BINS)
        self.wrong[c] += np.bincount(bins[~hit], minlength=BINS)

    def merge(self, others: Sequence[PrecisionRecall]) -> None:
        """Takes the sums of these, which may hold this one, as its own."""
        self.right, self.wrong, self.target = (
            np.sum([getattr(each, name) for each in others], axis=0) for name in ("right", "wrong", "target")
        )
        self.images = sum(each.images for each in others)

    def curves(self) -> tuple[np.ndarray, np.ndarray]:
        """Recall and precision above each threshold, the highest first: float64 C×256, NaN where there is
        neither a pixel of the class nor one predicted as it."""
        right = self.right[:, ::-1].cumsum(1).astype(float)
        predicted = right + self.wrong[:, ::-1].cumsum(1)
        nothing = np.full(right.shape, np.nan)
        recall = np.divide(right, self.target[:, None], out=nothing.copy(), where=self.target[:, None] > 0)
        return recall, np.divide(right, predicted, out=nothing, where=predicted > 0)


def _bins(confidence: np.ndarray) -> np.ndarray:
    """The bin of each confidence; logits that are not finite have none, and fall into the first."""
    return np.clip((np.nan_to_num(confidence) * BINS).astype(np.int64), 0, BINS - 1)


def precision_recall_figure(found: PrecisionRecall, class_names: Sequence[str], title: str) -> Figure:
    """Draws a curve for each class that the masks have; many classes are drawn without their names.

    Returns:
        A matplotlib figure.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 6.4))
    figure.subplots_adjust(left=0.08, right=0.72, bottom=0.11, top=0.9)
    axes = figure.subplots()
    recall, precision = found.curves()
    present = np.flatnonzero(found.target).tolist()
    for k, c in enumerate(present):
        few = len(present) <= NAMED
        colour = COLOURS[k % len(COLOURS)] if few else "0.7"
        dash = DASHES[k // len(COLOURS) % len(DASHES)] if few else "-"
        name = class_names[c] if few else None
        axes.plot(recall[c], precision[c], color=colour, linestyle=dash, linewidth=1.8, label=name)
    axes.set(xlim=(0, 1.01), ylim=(0, 1.01))
    axes.set_xlabel("recall", fontsize=SIZE)
    axes.set_ylabel("precision", fontsize=SIZE)
    what = f"precision and recall by least confidence, {how_many(found.images, 'image')}"
    axes.set_title(f"{textwrap.fill(title, LETTERS)}\n{what}", fontsize=SIZE, loc="left")
    axes.tick_params(labelsize=SIZE)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.3)
    if 0 < len(present) <= NAMED:
        axes.legend(loc="upper left", bbox_to_anchor=(1.02, 1), frameon=False, fontsize=SIZE - 2)
    return figure
