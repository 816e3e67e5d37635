"""The four metrics of the FCN paper, from one confusion matrix over the whole data set."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Scores:
    """The metrics of one set of predictions, from 0 to 1; None where a metric is undefined.

    Attributes:
        pixel_accuracy, mean_accuracy, mean_iou, frequency_weighted_iou: see `scores`.
        conventions: the mean IoU as other tools count it, see `conventions`.
        per_class: class name -> {iou, accuracy, dice, precision, recall}.
        confusion_matrix: C×C pixels, rows are labels and columns predictions; where a pixel has several
            labels C×2×2, of each class no and yes.
        extra: the values of further metrics (`metric=`), by name.
        mean_iou_interval: 95 %, by bootstrap over the images; None with one image, or not computed.
    """

    pixel_accuracy: float | None
    mean_accuracy: float | None
    mean_iou: float | None
    frequency_weighted_iou: float | None
    conventions: dict[str, float | None]
    per_class: dict[str, dict[str, float | None]]
    confusion_matrix: list[Any]
    extra: dict[str, Any] = field(default_factory=dict)
    mean_iou_interval: tuple[float, float] | None = None

    @property
    def several_labels(self) -> bool:
        """Whether a pixel may have several labels: then the confusion matrix is one of each class."""
        return bool(self.confusion_matrix) and isinstance(self.confusion_matrix[0][0], list)


def confusion_matrix(labels: Tensor, predictions: Tensor, num_classes: int) -> Tensor:
    """Counts how often each class is predicted as each.

    Args:
        labels: integers of any shape; those outside 0..C-1 are ignored.
        predictions: integers of the same shape, in 0..C-1.
        num_classes: C.

    Returns:
        int64 C×C: rows are labels, columns predictions.

    Example:
        >>> confusion_matrix(torch.tensor([0, 1, 255]), torch.tensor([0, 0, 1]), 2)
        tensor([[1, 0], [1, 0]])
    """
    if labels.dtype == torch.uint8:  # one bin for each label that a byte can be: no mask is needed
        pairs = labels.flatten().to(torch.int32) * num_classes + predictions.flatten()
        if pairs.is_cuda:  # where bincount waits for the largest of them
            ones = torch.ones((), dtype=torch.int64, device=pairs.device).expand(len(pairs))
            counts = torch.zeros(256 * num_classes, dtype=torch.int64, device=pairs.device)
            counts.scatter_add_(0, pairs.long(), ones)
        else:
            counts = torch.bincount(pairs, minlength=256 * num_classes)
        return counts[: num_classes**2].view(num_classes, num_classes)
    labels, predictions = labels.flatten().long(), predictions.flatten().long()
    valid = (labels >= 0) & (labels < num_classes)
    pairs = labels[valid] * num_classes + predictions[valid]
    return torch.bincount(pairs, minlength=num_classes**2).view(num_classes, num_classes)


def label_matrices(labels: Tensor, predictions: Tensor) -> Tensor:
    """The confusion matrix of each class where a pixel has several labels.

    Args:
        labels: uint8 H×W×C of 0 and 1; others are ignored.
        predictions: 0 and 1, of the same shape.

    Returns:
        int64 C×2×2: rows are labels, no and yes, and columns predictions.
    """
    pairs = zip(labels.unbind(-1), predictions.unbind(-1), strict=True)
    return torch.stack([confusion_matrix(*pair, 2) for pair in pairs])


def class_counts(matrix: Tensor) -> Tensor:
    """Each class's correct, target and predicted pixels, int64 3×C, of a confusion matrix C×C, or C×2×2."""
    if matrix.ndim == 3:
        return torch.stack([matrix[:, 1, 1], matrix[:, 1].sum(-1), matrix[:, :, 1].sum(-1)])
    return torch.stack([matrix.diag(), matrix.sum(1), matrix.sum(0)])


def scores(matrix: Tensor, class_names: tuple[str, ...]) -> Scores:
    """The metrics of a confusion matrix (FCN, section 5).

    With n_ij the pixels of class i predicted as j and t_i their sum over j, pixel accuracy is
    sum n_ii / sum t_i, mean accuracy the mean of n_ii / t_i, mean IoU the mean of
    n_ii / (t_i + sum_j n_ji - n_ii), and frequency-weighted IoU the same weighted by t_i. A class in
    neither labels nor predictions is None and in no mean; one that is never a label but is
    predicted has IoU 0 and no accuracy. A class's accuracy is its recall, under both names. Where a pixel
    has several labels, its accuracy is the share of right answers, yes or no, over all classes.

    Args:
        matrix: int64 C×C, rows are labels; or C×2×2 of `label_matrices`.
        class_names: C of them, or none: then `per_class` is empty.
    """
    correct, target, predicted = class_counts(matrix).double()
    right = matrix.diagonal(dim1=-2, dim2=-1).sum().double()
    per_class = {  # 0/0 is NaN: the class is absent
        "iou": correct / (target + predicted - correct),
        "accuracy": correct / target,
        "dice": 2 * correct / (target + predicted),
        "precision": correct / predicted,
        "recall": correct / target,
    }
    iou, total = per_class["iou"], target.sum()
    return Scores(
        pixel_accuracy=_value(right / matrix.sum()),
        mean_accuracy=_value(per_class["accuracy"].nanmean()),
        mean_iou=_value(iou.nanmean()),
        frequency_weighted_iou=_value((target * iou).nansum() / total) if total else None,
        conventions=conventions(matrix),
        per_class={
            name: {key: _value(values[i]) for key, values in per_class.items()}
            for i, name in enumerate(class_names)
        },
        confusion_matrix=matrix.tolist(),
    )


def conventions(matrix: Tensor) -> dict[str, float | None]:
    """The mean IoU of a confusion matrix by what tools do about absent classes.

    A class is absent if it is in neither labels nor predictions. None where a mean is undefined.

    Returns:
        absent_skipped: ours; FCN's score.py, the Cityscapes scripts, Keras, MMSegmentation.
        absent_is_0: semseg, which adds 1e-10 to every union.
        absent_is_1: segmentation_models.pytorch.
        absent_is_nan: torchvision's reference, whose mean is then undefined.
        annotated_only: over classes with labels, as FCN does on SIFT Flow; predictions of others do
            not count.
        without_first: as ours, without the first class, which is often the background.
    """
    correct, target, predicted = class_counts(matrix).double()
    iou = correct / (target + predicted - correct)
    means = {
        "absent_skipped": iou.nanmean(),
        "absent_is_0": iou.nan_to_num(0).mean(),
        "absent_is_1": iou.nan_to_num(1).mean(),
        "absent_is_nan": iou.mean(),
        "annotated_only": iou[target > 0].mean(),
        "without_first": iou[1:].nanmean(),
    }
    return {name: _value(mean) for name, mean in means.items()}


def _value(x: Tensor) -> float | None:
    return None if x.isnan() else x.item()
