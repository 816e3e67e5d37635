import numpy as np
import pytest
import torch

from segtrain.contracts import IGNORE_INDEX, Sample
from segtrain.metrics.bf_score import BFScore
from segtrain.metrics.borders import class_border, contours
from segtrain.metrics.boundary_iou import BoundaryIoU
from segtrain.metrics.trimap import Trimap

CERTAIN = np.ones(1, np.float32)  # borders do not depend on how sure a prediction is


def sample(labels: np.ndarray) -> Sample:
    return Sample(np.zeros((*labels.shape, 3), np.uint8), labels, "a")


def halves(column: int, side: int = 40) -> np.ndarray:
    """Class 0 on the left of `column`, class 1 from there on."""
    return np.broadcast_to((np.arange(side) >= column).astype(np.uint8), (side, side)).copy()


def metrics(metric, *pairs) -> dict:
    for labels, predicted in pairs:
        metric.update(sample(labels), predicted, CERTAIN)
    return metric.compute(metric.sums)


METRICS = [lambda: Trimap(num_classes=2), lambda: BoundaryIoU(num_classes=2), BFScore]


def test_contours_are_both_sides_of_a_border():
    assert np.flatnonzero(contours(halves(3, 8))[0]).tolist() == [2, 3]


@pytest.mark.parametrize("metric", METRICS)
def test_a_perfect_prediction_scores_1_whatever_it_says_in_ignored(metric):
    labels = halves(20)
    labels[:7] = labels[:, 19:21] = IGNORE_INDEX  # a seam where the border is, as in VOC
    guesses = [np.where(labels == IGNORE_INDEX, fill, labels) for fill in (0, 1)]
    for guess in guesses:
        found = metrics(metric(), (labels, guess))
        found = found.get("trimap_mean_iou", found)
        assert set(found.values()) == {1.0}


@pytest.mark.parametrize("metric", METRICS)
def test_sums_of_processes_add_up(metric):
    pairs = [(halves(20), halves(c)) for c in (18, 21, 30)]
    shares = [metric(), metric()]
    for i, (labels, predicted) in enumerate(pairs):
        shares[i % 2].update(sample(labels), predicted, CERTAIN)
    together = shares[0].compute(shares[0].sums + shares[1].sums)
    assert str(together) == str(metrics(metric(), *pairs))


@pytest.mark.parametrize("metric", METRICS)
def test_without_a_border_there_is_no_figure_rather_than_an_error(metric):
    for labels in (np.zeros((9, 9), np.uint8), np.full((1, 1), IGNORE_INDEX, np.uint8)):
        found = metrics(metric(), (labels, np.zeros_like(labels)))
        values = found.get("trimap_mean_iou", found).values()
        assert set(values) <= {None, 1.0}  # the image's edge is a border of Boundary IoU


def test_the_trimap_curve_of_a_border_off_by_two_columns():
    # Columns 18 and 19 are of class 0 and predicted as 1. Within w pixels of the border there are w
    # columns of each class: for w = 1 one column of 0 is lost, beyond that two of w.
    curve = metrics(Trimap(num_classes=2), (halves(20), halves(18)))["trimap_mean_iou"]
    assert curve["1"] == pytest.approx((0 / 1 + 1 / 2) / 2)
    for width in (2, 4, 8, 16):
        assert curve[str(width)] == pytest.approx(((width - 2) / width + width / (width + 2)) / 2)
    assert curve["32"] == pytest.approx((18 / 20 + 20 / 22) / 2)  # the whole image


def test_the_trimap_counts_a_distance_in_a_straight_line():
    labels = np.zeros((21, 21), np.uint8)
    labels[10, 10] = 1
    metric = Trimap(num_classes=2)
    metric.update(sample(labels), np.zeros((21, 21), np.uint8), CERTAIN)
    annotated = metric.sums.cumsum(0)[:, 1].tolist()
    # The border is a plus of five pixels. Nearer than 2 to it are those at 1 and √2: with it, all of
    # the 5×5 around but the corners.
    assert annotated[0] == [4, 1]
    assert annotated[1] == [25 - 4 - 1, 1]


def test_the_nested_border_is_what_erosions_take_and_the_images_edge_is_outside():
    inside = np.zeros((9, 9), bool)
    inside[2:, 2:] = True  # touches two edges of the image
    assert class_border(inside, 2).sum() == 49 - 9
    assert class_border(np.ones((5, 5), bool), 1).sum() == 16


def test_the_boundary_iou_of_squares_that_are_shifted():
    # The diagonal is 50·√2 = 70.7 and 2 % of it one pixel: a 10×10 square has a border of 36 pixels.
    labels, predicted = np.zeros((50, 50), np.uint8), np.zeros((50, 50), np.uint8)
    labels[20:30, 20:30] = predicted[20:30, 21:31] = 1
    # Of class 1 the rows 20 and 29 overlap in 9 columns each, and no column of the sides does.
    one = 18 / (36 + 36 - 18)
    # The background's own border: the image's edge (196 pixels) and the ring around the square: 12
    # above, 12 below, 10 on either side; shifted by one, 11 + 11 of it meet.
    zero = (196 + 22) / (2 * (196 + 44) - (196 + 22))
    metric = BoundaryIoU(num_classes=2)
    assert metrics(metric, (labels, predicted))["boundary_iou"] == pytest.approx((one + zero) / 2)


def test_contours_within_the_tolerance_are_met_and_no_others():
    # The diagonal of 400×300 is 500: 0.75 % is 3.75 pixels.
    def wide(column):
        return np.broadcast_to((np.arange(400) >= column).astype(np.uint8), (300, 400)).copy()

    assert metrics(BFScore(), (wide(200), wide(203)))["bf_score"] == 1
    assert metrics(BFScore(), (wide(200), wide(204)))["bf_score"] == 0
    assert metrics(BFScore(), (wide(200), wide(400)))["bf_score"] == 0  # no contour at all
    both = metrics(BFScore(), (wide(200), wide(203)), (wide(200), wide(204)))
    assert both["bf_score"] == pytest.approx(0.5)


def test_a_worked_precision_and_recall():
    # Two borders are annotated and one of them is found: precision 1, recall 1/2 for the middle class.
    labels, predicted = np.zeros((30, 300), np.uint8), np.zeros((30, 300), np.uint8)
    labels[:, 100:200] = 1
    predicted[:, 100:] = 1
    # Class 0 has the same two contours (columns 99 and 200) and one predicted at 99.
    assert metrics(BFScore(), (labels, predicted))["bf_score"] == pytest.approx(2 * 0.5 / 1.5)


def test_a_class_that_is_only_predicted_has_no_part_in_the_bf_score():
    labels, predicted = halves(20), halves(20)
    predicted[2:5, 2:5] = 2
    score = BFScore()
    score.update(sample(labels), predicted, CERTAIN)
    # Class 0 has the square's ring as a false contour, class 1 is perfect, class 2 is not counted.
    assert 0.5 < score.compute(score.sums)["bf_score"] < 1
    assert torch.equal(score.sums[1:], torch.ones(1, dtype=torch.float64))
