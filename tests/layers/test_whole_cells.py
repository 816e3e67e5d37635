import pytest
import torch

from segtrain.layers.whole_cells import pad_to_whole_cells


@pytest.mark.parametrize(("side", "padded"), [(1, 1), (2, 9), (8, 9), (9, 9), (10, 17), (320, 321)])
def test_sides_grow_to_the_next_multiple_of_the_stride_plus_one(side, padded):
    x = pad_to_whole_cells(torch.ones(1, 1, side, 9), 8)
    assert x.shape == (1, 1, padded, 9)
    assert x[..., :side, :].eq(1).all()
    assert x[..., side:, :].eq(0).all()
