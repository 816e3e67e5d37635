import numpy as np
import pytest
import torch

from segtrain.evaluation import bootstrap
from segtrain.metrics.regions import class_counts, scores


def images(number: int, share: float, seed: int = 0, classes: int = 3) -> np.ndarray:
    """Confusion matrices of images with about `share` of their pixels right."""
    random = np.random.default_rng(seed)
    matrices = random.integers(0, 100, (number, classes, classes)) * (1 - share)
    return (matrices + random.integers(100, 200, (number, 1, 1)) * share * np.eye(classes)).astype(np.int64)


def image_counts(matrices: np.ndarray) -> np.ndarray:
    """int64 N×3×C of confusion matrices N×C×C."""
    counts = [class_counts(torch.from_numpy(matrix)).numpy() for matrix in matrices]
    return np.array(counts, np.int64).reshape(-1, 3, matrices.shape[-1])


def test_the_counts_of_images_give_the_mean_iou_of_their_matrix():
    matrices = images(7, 0.8)
    counts = image_counts(matrices)
    assert counts.shape == (7, 3, 3)
    expected = scores(torch.from_numpy(matrices.sum(0)), ("a", "b", "c")).mean_iou
    assert bootstrap.mean_iou(counts.sum(0)) == pytest.approx(expected)


def test_classes_that_are_absent_count_in_no_mean():
    # correct, annotated, predicted of three classes: 3/5, absent, never annotated
    assert bootstrap.mean_iou(np.array([[3, 0, 0], [4, 0, 0], [4, 0, 2]])) == pytest.approx(0.6 / 2)
    assert np.isnan(bootstrap.mean_iou(np.zeros((3, 2), np.int64)))


def test_the_interval_holds_the_figure_and_narrows_with_the_root_of_the_images():
    widths = []
    for number in (25, 400):
        counts = image_counts(images(number, 0.7))
        low, high = bootstrap.interval(counts)
        assert low < bootstrap.mean_iou(counts.sum(0)) < high
        widths.append(high - low)
    assert widths[0] / widths[1] == pytest.approx(4, rel=0.3)


def test_two_images_have_three_draws():
    # IoU 1 and 0 in images of the same size: drawn twice the one, both, or twice the other
    counts = np.array([[[5], [5], [5]], [[0], [5], [0]]])
    assert bootstrap.interval(counts) == (0.0, 1.0)
    draws = np.concatenate([bootstrap.mean_iou(drawn) for drawn in bootstrap.resampled(counts, 0)])
    assert set(draws.tolist()) == {0.0, 0.5, 1.0}
    assert (draws == 0.5).mean() == pytest.approx(0.5, abs=0.05)


def test_the_interval_is_the_same_every_time():
    counts = image_counts(images(20, 0.5))
    assert bootstrap.interval(counts) == bootstrap.interval(counts)


@pytest.mark.parametrize("number", [0, 1])
def test_fewer_than_two_images_have_no_interval(number):
    assert bootstrap.interval(image_counts(images(number, 0.5))) is None


def test_a_model_and_itself_differ_by_nothing():
    counts = image_counts(images(20, 0.5))
    same = bootstrap.difference(counts, counts)
    assert same.mean_iou == 0
    assert same.interval == (0, 0)
    assert not same.is_significant


def test_a_small_gain_on_every_image_is_said_apart_though_the_intervals_overlap():
    matrices = images(40, 0.5)
    better = matrices + 4 * np.eye(3, dtype=np.int64)
    before, after = map(image_counts, (matrices, better))
    found = bootstrap.difference(before, after)
    assert found.is_significant
    assert found.interval[0] < found.mean_iou < found.interval[1]
    assert bootstrap.interval(before)[1] > bootstrap.interval(after)[0]
    assert bootstrap.difference(after, before).mean_iou == pytest.approx(-found.mean_iou)


def test_gains_and_losses_that_even_out_cannot_be_separated():
    one, other = (image_counts(images(40, 0.5, seed)) for seed in (1, 2))
    assert not bootstrap.difference(one, other).is_significant
