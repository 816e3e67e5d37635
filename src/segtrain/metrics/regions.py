"""The four metrics of the FCN paper, from one confusion matrix over the whole data set."""

import torch
from torch import Tensor

from segtrain import kernels


def confusion_matrix(labels: Tensor, predictions: Tensor, num_classes: int) -> Tensor:
    """int64 C×C: rows are labels, columns predictions. Labels outside 0..C-1 (void) do not count.

    Args:
        labels, predictions: integers of one shape; predictions lie in 0..C-1.
    """
    of_bytes = labels.dtype == predictions.dtype == torch.uint8
    if of_bytes and kernels.pay(labels.numel(), labels, predictions):
        from segtrain.kernels.counting import count_pairs

        counts = count_pairs(labels.flatten().numpy(), predictions.flatten().numpy(), num_classes)
        return torch.from_numpy(counts)
    labels, predictions = labels.flatten().long(), predictions.flatten().long()
    valid = (labels >= 0) & (labels < num_classes)
    cells = labels[valid] * num_classes + predictions[valid]
    return torch.bincount(cells, minlength=num_classes**2).view(num_classes, num_classes)


def scores(matrix: Tensor, class_names: tuple[str, ...]) -> dict:
    """Pixel accuracy, mean accuracy, mean IoU, frequency-weighted IoU (FCN, section 5), the mean IoU
    by other conventions, and each class's IoU, accuracy, Dice, precision and recall, from 0 to 1.

    With n_ij the pixels of class i predicted as j and t_i their sum over j: sum n_ii / sum t_i;
    mean n_ii / t_i; mean n_ii / (t_i + sum_j n_ji - n_ii); the last weighted by t_i. A class in
    neither labels nor predictions is None and in no mean; one that is never a label but is
    predicted has IoU 0 and no accuracy. A class's accuracy is its recall, under both names.
    """
    n = matrix.double()
    correct, labelled, predicted = n.diag(), n.sum(1), n.sum(0)
    per_class = {  # 0/0 is NaN: the class is absent
        "iou": correct / (labelled + predicted - correct),
        "accuracy": correct / labelled,
        "dice": 2 * correct / (labelled + predicted),
        "precision": correct / predicted,
        "recall": correct / labelled,
    }
    iou, total = per_class["iou"], labelled.sum()
    return {
        "pixel_accuracy": _value(correct.sum() / total),
        "mean_accuracy": _value(per_class["accuracy"].nanmean()),
        "mean_iou": _value(iou.nanmean()),
        "frequency_weighted_iou": _value((labelled * iou).nansum() / total) if total else None,
        "conventions": conventions(matrix),
        "per_class": {
            name: {key: _value(values[i]) for key, values in per_class.items()}
            for i, name in enumerate(class_names)
        },
    }


def conventions(matrix: Tensor) -> dict[str, float | None]:
    """The mean IoU of a confusion matrix by what tools do about absent classes, those that are in
    neither labels nor predictions; None where it is undefined.

    absent_skipped: ours; FCN's score.py, the Cityscapes scripts, Keras, MMSegmentation.
    absent_is_0: semseg, which adds 1e-10 to every union. absent_is_1: segmentation_models.pytorch.
    absent_is_nan: torchvision's reference, whose mean is then undefined. labelled_only: the mean
    over classes with labels, as FCN does on SIFT Flow; false alarms of the others do not count.
    without_first: as ours, but the first class, often the background, is left out.
    """
    n = matrix.double()
    iou = n.diag() / (n.sum(1) + n.sum(0) - n.diag())
    means = {
        "absent_skipped": iou.nanmean(),
        "absent_is_0": iou.nan_to_num(0).mean(),
        "absent_is_1": iou.nan_to_num(1).mean(),
        "absent_is_nan": iou.mean(),
        "labelled_only": iou[n.sum(1) > 0].mean(),
        "without_first": iou[1:].nanmean(),
    }
    return {name: _value(mean) for name, mean in means.items()}


def _value(x: Tensor) -> float | None:
    return None if x.isnan() else x.item()
