"""The result of an evaluation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Interval = tuple[float, float]


@dataclass(frozen=True)
class Scores:
    """The metrics of one set of predictions, from 0 to 1; None where a metric is undefined.

    Attributes:
        per_class: class name -> {iou, accuracy, dice, precision, recall}.
        conventions: the mean IoU as other tools count it (`metrics.regions.conventions`).
        confusion_matrix: C×C pixels, rows are labels and columns predictions.
        extra: the metrics of `metric=`, by the names that they give.
        mean_iou_interval: 95 %, by bootstrap over the images; None with one image.
    """

    pixel_accuracy: float | None
    mean_accuracy: float | None
    mean_iou: float | None
    frequency_weighted_iou: float | None
    per_class: dict[str, dict[str, float | None]]
    conventions: dict[str, float | None]
    confusion_matrix: list[list[int]]
    extra: dict[str, Any] = field(default_factory=dict)
    mean_iou_interval: Interval | None = None


@dataclass(frozen=True)
class EvaluationResult:
    """What an evaluation found: the network's scores and, with a CRF, those after it.

    Attributes:
        network: before the CRF; `crf`: after it, None without one.
        images: how many were evaluated.
        seconds: wall time.
        crf_gain: of the mean IoU by the CRF: {mean_iou, interval}.
    """

    network: Scores
    crf: Scores | None
    images: int
    seconds: float
    crf_gain: dict[str, Any] | None = None

    @property
    def final(self) -> Scores:
        """The scores of what would be written as labels: after the CRF where there is one."""
        return self.crf or self.network
