"""A data set's metrics on images whose pixels can be counted by hand."""

import numpy as np
import pytest
from torch.utils.data import Dataset

from segtrain.contracts import Sample
from segtrain.data.checks.frequencies import class_frequencies
from segtrain.data.checks.stats import split_stats, stats_figure, to_json
from segtrain.data.datasets.shapes import Shapes


class Two(Dataset):
    """A black image of 1×2 pixels and a coloured one of 1×4."""

    def __len__(self):
        return 2

    def __getitem__(self, index):
        size, colour, labels = ((1, 2), 0, [0, 255]) if index == 0 else ((1, 4), (60, 120, 240), [0, 1, 1, 1])
        return Sample(np.full((*size, 3), colour, np.uint8), np.array([labels], np.uint8), str(index))


def test_mean_std_sizes_and_classes_are_those_of_all_pixels():
    stats = split_stats(Two())
    assert stats.mean == pytest.approx([40, 80, 160])
    assert stats.std == pytest.approx([20 * 2**0.5, 40 * 2**0.5, 80 * 2**0.5])
    assert stats.sizes == {(2, 1): 1, (4, 1): 1}
    assert stats.images(3) == [2, 1, 0]
    assert stats.shares(3).tolist() == pytest.approx([0.4, 0.6, 0])
    record = to_json({"train": stats}, ("a", "b", "c"), [1.0, 2.0, 1.0])
    assert record["train"]["per_class"]["b"] == {"pixels": 3, "images": 1}
    assert record["train"]["ignored_pixels"] == 1
    assert record["train"]["sizes"] == {"2x1": 1, "4x1": 1}
    assert record["median_frequency_weights"] == {"a": 1.0, "b": 2.0, "c": 1.0}


def test_the_frequencies_are_those_that_the_losses_take():
    split = Shapes(size=32, train_images=5).train
    own, theirs = split_stats(split).frequencies(7), class_frequencies(split, 7)
    assert np.array_equal(own.pixels, theirs.pixels)
    assert np.array_equal(own.present, theirs.present)


@pytest.mark.parametrize("splits", [("train",), ("train", "val")])
def test_the_plot_has_a_bar_for_each_class_and_split(splits):
    drawn = stats_figure(dict.fromkeys(splits, split_stats(Two())), ("a", "b", "c"), ((0, 0, 0),) * 3)
    shares, images, sizes = drawn.axes
    assert len(shares.patches) == len(images.patches) == 3 * len(splits)
    assert [patch.get_width() for patch in images.patches[:3]] == [100, 50, 0]
    assert len(sizes.collections) == len(splits)
    drawn.canvas.draw()
