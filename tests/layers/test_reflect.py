import pytest
import torch
from torch.nn import functional as F

from segtrain.layers.reflect import reflect_pad


@pytest.mark.parametrize("padding", [(0, 0, 0, 0), (4, 4, 3, 3), (1, 3, 0, 2)])
def test_it_equals_torchs_reflect_where_that_is_defined(padding):
    x = torch.rand(2, 3, 4, 5)
    assert torch.equal(reflect_pad(x, padding), F.pad(x, padding, mode="reflect"))


def test_a_border_wider_than_the_image_runs_to_and_fro():
    row = torch.arange(3).view(1, 1, 1, 3)
    padded = reflect_pad(row, (5, 6, 0, 0)).flatten().tolist()
    assert padded == [1, 0, 1, 2, 1, 0, 1, 2, 1, 0, 1, 2, 1, 0]


def test_a_single_pixel_is_repeated():
    assert torch.equal(reflect_pad(torch.full((1, 1, 1, 1), 7), (3, 2, 1, 0)), torch.full((1, 1, 2, 6), 7))


def test_bytes_stay_bytes_and_nothing_is_added_on_the_other_side():
    x = torch.arange(6, dtype=torch.uint8).view(1, 1, 2, 3)
    padded = reflect_pad(x, (0, 1, 0, 0))
    assert padded.dtype == torch.uint8
    assert padded.tolist() == [[[[0, 1, 2, 1], [3, 4, 5, 4]]]]
