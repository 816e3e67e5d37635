import pytest
import torch

from segtrain.metrics.regions import confusion_matrix, conventions, scores


def test_22_of_25_pixels_right_is_an_accuracy_of_0_88():
    labels = torch.zeros(5, 5, dtype=torch.long)
    labels[:, 3:] = 1
    predictions = labels.clone()
    predictions[0, 0] = predictions[1, 0] = predictions[2, 4] = 2
    predictions[2, 4] = 0
    matrix = confusion_matrix(labels, predictions, 3)
    assert scores(matrix, ("a", "b", "c")).pixel_accuracy == pytest.approx(0.88)


def test_the_four_metrics_of_a_worked_matrix():
    # rows are labels: class a has 10 pixels, b 6, c 4
    matrix = torch.tensor([[8, 1, 1], [2, 4, 0], [0, 1, 3]])
    metrics = scores(matrix, ("a", "b", "c"))
    ious = 8 / 12, 4 / 8, 3 / 5
    assert metrics.pixel_accuracy == pytest.approx(15 / 20)
    assert metrics.mean_accuracy == pytest.approx((8 / 10 + 4 / 6 + 3 / 4) / 3)
    assert metrics.mean_iou == pytest.approx(sum(ious) / 3)
    expected = (10 * ious[0] + 6 * ious[1] + 4 * ious[2]) / 20
    assert metrics.frequency_weighted_iou == pytest.approx(expected)
    b = {"iou": 4 / 8, "accuracy": 4 / 6, "dice": 8 / 12, "precision": 4 / 6, "recall": 4 / 6}
    assert metrics.per_class["b"] == pytest.approx(b)
    assert metrics.per_class["a"]["precision"] == pytest.approx(8 / 10)
    assert metrics.per_class["c"]["dice"] == pytest.approx(6 / 8)


def test_rows_are_labels_and_columns_predictions(device):
    matrix = confusion_matrix(*torch.tensor([[0, 0, 1], [1, 1, 0]], device=device), 2)
    assert matrix.tolist() == [[0, 2], [1, 0]]
    assert matrix.dtype == torch.int64


def test_ignored_pixels_count_nowhere(device):
    labels = torch.tensor([0, 1, 255, 255], dtype=torch.uint8, device=device)
    predictions = torch.tensor([0, 1, 0, 1], dtype=torch.uint8, device=device)
    assert confusion_matrix(labels, predictions, 2).tolist() == [[1, 0], [0, 1]]


def test_a_class_absent_from_labels_and_predictions_counts_in_no_mean():
    metrics = scores(torch.tensor([[3, 1, 0], [0, 4, 0], [0, 0, 0]]), ("a", "b", "c"))
    assert metrics.mean_iou == pytest.approx((3 / 4 + 4 / 5) / 2)
    assert metrics.mean_accuracy == pytest.approx((3 / 4 + 1) / 2)
    assert set(metrics.per_class["c"].values()) == {None}


def test_a_class_that_is_only_predicted_has_iou_0():
    metrics = scores(torch.tensor([[3, 1], [0, 0]]), ("a", "b"))
    b = {"iou": 0.0, "accuracy": None, "dice": 0.0, "precision": 0.0, "recall": None}
    assert metrics.per_class["b"] == b
    assert metrics.mean_iou == pytest.approx(3 / 8)


def test_nothing_annotated_gives_no_metrics_rather_than_an_error():
    metrics = scores(torch.zeros(2, 2, dtype=torch.long), ("a", "b"))
    assert metrics.mean_iou is None
    assert metrics.pixel_accuracy is None


def test_one_matrix_has_a_mean_iou_for_every_convention():
    # the third class is absent: 8/11 and 9/12 are all there is
    metrics = conventions(torch.tensor([[8, 2, 0], [1, 9, 0], [0, 0, 0]]))
    percent = {name: value and round(100 * value, 2) for name, value in metrics.items()}
    assert percent == {
        "absent_skipped": 73.86,
        "absent_is_0": 49.24,
        "absent_is_1": 82.58,
        "absent_is_nan": None,
        "annotated_only": 73.86,
        "without_first": 75.0,
    }


def test_false_alarms_of_a_class_without_labels_count_by_all_conventions_but_one():
    metrics = conventions(torch.tensor([[3, 1], [0, 0]]))
    assert metrics["annotated_only"] == pytest.approx(3 / 4)
    assert {v for k, v in metrics.items() if k.startswith("absent")} == {3 / 8}


@pytest.mark.parametrize("classes", [1, 2, 21, 255])
def test_bytes_and_other_integers_are_counted_alike(classes):
    random = torch.Generator().manual_seed(classes)
    for shape in [(1, 1), (3, 5), (63, 65)]:
        labels = torch.randint(0, 256, shape, generator=random, dtype=torch.uint8)  # mostly beyond C
        predictions = torch.randint(0, classes, shape, generator=random, dtype=torch.uint8)
        for mask in (labels, labels % classes, torch.full(shape, 255, dtype=torch.uint8)):
            wide = confusion_matrix(mask.long(), predictions.long(), classes)
            assert torch.equal(confusion_matrix(mask, predictions, classes), wide)


def test_cuts_of_larger_images_are_counted_as_they_lie():
    labels = torch.arange(36, dtype=torch.uint8).view(6, 6) % 3
    cut = labels[1:5, 2:5]
    assert confusion_matrix(cut, cut, 3).tolist() == torch.diag(torch.bincount(cut.flatten())).tolist()
