import pytest
import torch
from torch import nn

from segtrain.errors import InputError
from segtrain.layers.pyramid_pooling import PyramidPooling


def pyramid(bins=(1, 2, 3, 6), pooling="average"):
    """Each level gives the mean of the four channels, so that sums can be worked by hand."""
    module = PyramidPooling(4, bins=bins, pooling=pooling).eval()
    for level in module.levels:
        nn.init.constant_(level[0].weight, 0.25)
        level[1].eps = 1e-12  # torch 2.11 refuses 0
    return module


@pytest.fixture
def features():
    """0 to 35 in rows of 6, in each of four channels."""
    return torch.arange(36.0).view(1, 1, 6, 6).expand(1, 4, 6, 6)


def test_levels_of_1_2_3_and_6_bins_follow_the_features(features):
    out = pyramid()(features)
    assert out.shape == (1, 8, 6, 6)
    assert torch.equal(out[:, :4], features)
    assert out[0, 4].eq(17.5).all()  # the mean of 0..35
    assert out[0, 5, 0, 0] == 7  # of rows 0..2 and columns 0..2
    assert out[0, 5, 0, 5] == 10
    assert out[0, 5, 5, 5] == 28
    assert out[0, 6, 0, 0] == 3.5  # of 0, 1, 6 and 7
    assert torch.equal(out[0, 7], features[0, 0])


def test_maximum_pooling_takes_the_largest_of_a_bin(features):
    out = pyramid(pooling="maximum")(features)
    assert out[0, 4].eq(35).all()
    assert out[0, 5, 0, 0] == 14
    assert out[0, 6, 0, 0] == 7


def test_a_single_level_keeps_all_channels():
    assert PyramidPooling(64, bins=[1], pooling="average").out_channels == 128
    assert PyramidPooling(64, bins=[1, 2, 3, 6], pooling="average").out_channels == 128


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (60, 45)])
def test_any_size_of_features_is_taken(size):
    assert pyramid()(torch.rand(1, 4, *size)).shape == (1, 8, *size)


def test_one_image_in_training_is_refused_with_the_setting_named():
    module = PyramidPooling(4, bins=(1, 2), pooling="average")
    with pytest.raises(InputError, match=r"batch_size=1: .*; set batch_size=2, or freeze_norm=true"):
        module(torch.rand(1, 4, 6, 6))
    module(torch.rand(2, 4, 6, 6))
    for level in module.levels:
        level[1].eval()
    module(torch.rand(1, 4, 6, 6))  # with frozen statistics
    PyramidPooling(4, bins=(2,), pooling="average")(torch.rand(1, 4, 6, 6))  # four values a channel
