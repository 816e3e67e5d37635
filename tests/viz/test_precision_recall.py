"""Curves of precision and recall of each class."""

import numpy as np
import pytest

from segtrain.viz.precision_recall import PrecisionRecall, precision_recall_figure


def test_a_curve_is_that_of_every_threshold():
    mask = np.array([[0, 0, 1, 1, 255]], np.uint8)
    labels = np.array([[0, 1, 1, 0, 1]], np.uint8)
    confidence = np.array([[0.9, 0.6, 0.8, 0.7, 0.99]], np.float32)
    found = PrecisionRecall(2)
    found.add(mask, labels, confidence)
    recall, precision = found.curves()
    assert found.target.tolist() == [2, 2]
    above = 255 - int(0.75 * 256)  # the place of a threshold, the highest first
    assert (recall[0, above], precision[0, above]) == (0.5, 1.0)  # 0.9 alone
    assert (recall[1, above], precision[1, above]) == (0.5, 1.0)  # 0.8 alone
    assert (recall[0, -1], precision[0, -1]) == (0.5, 0.5)
    assert (recall[1, -1], precision[1, -1]) == (0.5, 0.5)
    assert np.isnan(precision[1, 0])  # nothing is as sure


def test_a_pixel_of_several_classes_counts_by_each_probability():
    mask, labels = np.zeros((1, 2, 2), np.uint8), np.zeros((1, 2, 2), np.uint8)
    mask[0, 0, 1] = labels[0, 1, 1] = 1
    found = PrecisionRecall(2)
    found.add(mask, labels, np.full(mask.shape, 0.75, np.float32))
    recall, precision = found.curves()
    assert np.isnan(recall[0]).all()
    assert recall[1, -1] == 1  # its probability is 0.25
    assert precision[1, -1] == 0.5
    assert precision[1, 255 - 192] == 0


def test_processes_add_their_sums_up():
    parts = [PrecisionRecall(2), PrecisionRecall(2)]
    for part in parts:
        part.add(np.ones((2, 2), np.uint8), np.ones((2, 2), np.uint8), np.ones((2, 2), np.float32))
    parts[0].merge(parts)
    assert parts[0].images == 2
    assert parts[0].target.tolist() == [0, 8]


@pytest.mark.parametrize(("classes", "named"), [(3, True), (30, False)])
def test_many_classes_are_drawn_without_names(classes, named):
    found = PrecisionRecall(classes)
    mask = np.arange(classes, dtype=np.uint8)[None]
    found.add(mask, mask, np.full(mask.shape, 0.9, np.float32))
    axes = precision_recall_figure(found, [f"class {i}" for i in range(classes)], "a run").axes[0]
    assert len(axes.lines) == classes
    assert (axes.get_legend() is not None) == named
