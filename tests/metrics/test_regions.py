import pytest
import torch

from segtrain.metrics.regions import confusion_matrix, scores


def test_22_of_25_pixels_right_is_an_accuracy_of_0_88():
    labels = torch.zeros(5, 5, dtype=torch.long)
    labels[:, 3:] = 1
    predictions = labels.clone()
    predictions[0, 0] = predictions[1, 0] = predictions[2, 4] = 2
    predictions[2, 4] = 0
    matrix = confusion_matrix(labels, predictions, 3)
    assert scores(matrix, ("a", "b", "c"))["pixel_accuracy"] == pytest.approx(0.88)


def test_the_four_metrics_of_a_worked_matrix():
    # rows are labels: class a has 10 pixels, b 6, c 4
    matrix = torch.tensor([[8, 1, 1], [2, 4, 0], [0, 1, 3]])
    figures = scores(matrix, ("a", "b", "c"))
    ious = 8 / 12, 4 / 8, 3 / 5
    assert figures["pixel_accuracy"] == pytest.approx(15 / 20)
    assert figures["mean_accuracy"] == pytest.approx((8 / 10 + 4 / 6 + 3 / 4) / 3)
    assert figures["mean_iou"] == pytest.approx(sum(ious) / 3)
    expected = (10 * ious[0] + 6 * ious[1] + 4 * ious[2]) / 20
    assert figures["frequency_weighted_iou"] == pytest.approx(expected)
    assert figures["per_class"]["b"] == {"iou": pytest.approx(0.5), "accuracy": pytest.approx(4 / 6)}


def test_rows_are_labels_and_columns_predictions():
    matrix = confusion_matrix(torch.tensor([0, 0, 1]), torch.tensor([1, 1, 0]), 2)
    assert matrix.tolist() == [[0, 2], [1, 0]]
    assert matrix.dtype == torch.int64


def test_ignored_pixels_count_nowhere():
    labels = torch.tensor([0, 1, 255, 255], dtype=torch.uint8)
    predictions = torch.tensor([0, 1, 0, 1], dtype=torch.uint8)
    assert confusion_matrix(labels, predictions, 2).tolist() == [[1, 0], [0, 1]]


def test_a_class_absent_from_labels_and_predictions_counts_in_no_mean():
    figures = scores(torch.tensor([[3, 1, 0], [0, 4, 0], [0, 0, 0]]), ("a", "b", "c"))
    assert figures["mean_iou"] == pytest.approx((3 / 4 + 4 / 5) / 2)
    assert figures["mean_accuracy"] == pytest.approx((3 / 4 + 1) / 2)
    assert figures["per_class"]["c"] == {"iou": None, "accuracy": None}


def test_a_class_that_is_only_predicted_has_iou_0():
    figures = scores(torch.tensor([[3, 1], [0, 0]]), ("a", "b"))
    assert figures["per_class"]["b"] == {"iou": 0.0, "accuracy": None}
    assert figures["mean_iou"] == pytest.approx(3 / 8)


def test_nothing_labelled_gives_no_figures_rather_than_an_error():
    figures = scores(torch.zeros(2, 2, dtype=torch.long), ("a", "b"))
    assert figures["mean_iou"] is None
    assert figures["pixel_accuracy"] is None
