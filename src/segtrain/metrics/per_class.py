"""Metrics where a pixel may have several labels: each class by itself, as yes or no."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from segtrain.contracts import Metric, Sample


class PerClass:
    """A metric of two classes for each class, no and yes.

    Args:
        make_metric: makes the metric, for two classes.
        class_names: of the data.

    Attributes:
        metrics: one a class.
        sums: those of all metrics, one after the other.

    Example:
        >>> PerClass(lambda: HD95(num_classes=2), ("road", "crack"))
    """

    def __init__(self, make_metric: Callable[[], Metric], class_names: tuple[str, ...]):
        self.class_names = class_names
        self.metrics = [make_metric() for _ in class_names]
        self.sums = torch.stack([metric.sums for metric in self.metrics])

    def update(self, sample: Sample, labels: np.ndarray, confidence: np.ndarray) -> None:
        """Adds an image: the predicted yes (1) or no of each class, uint8 H×W×C, and its probability."""
        for c, metric in enumerate(self.metrics):
            one = sample._replace(mask=sample.mask[..., c])
            metric.update(one, labels[..., c], confidence[..., c])
        self.sums = torch.stack([metric.sums for metric in self.metrics])

    def compute(self, sums: torch.Tensor) -> dict[str, dict[str, Any]]:
        """Each value by the class's name, from the `sums` of all processes."""
        result: dict[str, dict[str, Any]] = {}
        for name, metric, own in zip(self.class_names, self.metrics, sums, strict=True):
            for key, value in metric.compute(own).items():
                values = {f"{name} {k}": v for k, v in value.items()} if isinstance(value, Mapping) else None
                result.setdefault(key, {}).update(values or {name: value})
        return result
