"""The four metrics of the FCN paper, from one confusion matrix over the whole data set."""

import torch
from torch import Tensor


def confusion_matrix(labels: Tensor, predictions: Tensor, num_classes: int) -> Tensor:
    """int64 C×C: rows are labels, columns predictions. Labels outside 0..C-1 (void) do not count.

    Args:
        labels, predictions: integers of one shape; predictions lie in 0..C-1.
    """
    labels, predictions = labels.flatten().long(), predictions.flatten().long()
    valid = (labels >= 0) & (labels < num_classes)
    cells = labels[valid] * num_classes + predictions[valid]
    return torch.bincount(cells, minlength=num_classes**2).view(num_classes, num_classes)


def scores(matrix: Tensor, class_names: tuple[str, ...]) -> dict:
    """Pixel accuracy, mean accuracy, mean IoU, frequency-weighted IoU (FCN, section 5) and the
    IoU and accuracy of each class, as fractions from 0 to 1.

    With n_ij the pixels of class i predicted as j and t_i their sum over j: sum n_ii / sum t_i;
    mean n_ii / t_i; mean n_ii / (t_i + sum_j n_ji - n_ii); the last weighted by t_i. A class in
    neither labels nor predictions is None and in no mean; one that is never a label but is
    predicted has IoU 0 and no accuracy.
    """
    n = matrix.double()
    correct, labelled, predicted = n.diag(), n.sum(1), n.sum(0)
    union = labelled + predicted - correct
    iou = correct / union  # 0/0 is NaN: the class is absent
    accuracy = correct / labelled
    total = labelled.sum()
    return {
        "pixel_accuracy": _value(correct.sum() / total),
        "mean_accuracy": _value(accuracy.nanmean()),
        "mean_iou": _value(iou.nanmean()),
        "frequency_weighted_iou": _value((labelled * iou).nansum() / total) if total else None,
        "per_class": {
            name: {"iou": _value(iou[i]), "accuracy": _value(accuracy[i])}
            for i, name in enumerate(class_names)
        },
    }


def _value(x: Tensor) -> float | None:
    return None if x.isnan() else x.item()
