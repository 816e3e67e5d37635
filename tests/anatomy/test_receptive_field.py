import numpy as np
import pytest
import torch
from torch.nn import functional as F

from segtrain.anatomy.receptive_field import ReceptiveField
from segtrain.layers.grid import Grid


def rows_seen(operation, rows):
    """First and last input row of every output row, by the gradients of an operation on N×C×H×W."""
    x = torch.rand(1, 1, rows, 1, dtype=torch.float64, requires_grad=True)
    out = operation(x)
    first, last = [], []
    for row in range(out.shape[2]):
        gradient = torch.autograd.grad(out[0, 0, row, 0], x, retain_graph=True)[0][0, 0, :, 0].nonzero()[:, 0]
        first.append(int(gradient[0]))
        last.append(int(gradient[-1]))
    return first, last


WEIGHT = torch.ones(1, 1, 3, 1, dtype=torch.float64)


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize("dilation", [1, 2])
def test_a_window_sees_what_a_convolution_does(stride, padding, dilation):
    def convolution(x):
        return F.conv2d(x, WEIGHT, stride=(stride, 1), padding=(padding, 0), dilation=(dilation, 1))

    field = ReceptiveField.of_image(17).window(3, stride=stride, padding=padding, dilation=dilation)
    assert (field.first.tolist(), field.last.tolist()) == rows_seen(convolution, 17)


@pytest.mark.parametrize(("stride", "padding"), [(1, 0), (2, 0), (2, 1), (3, 0)])
def test_spreading_is_what_a_transposed_convolution_does(stride, padding):
    def deconvolution(x):
        return F.conv_transpose2d(x, WEIGHT, stride=(stride, 1), padding=(padding, 0))

    first, last = rows_seen(deconvolution, 9)
    field = ReceptiveField.of_image(9).spread(3, stride=stride, padding=padding, rows=len(first))
    assert (field.first.tolist(), field.last.tolist()) == (first, last)


@pytest.mark.parametrize("rows", [8, 15, 16, 29, 5])
@pytest.mark.parametrize("align_corners", [False, True])
def test_a_resized_map_sees_one_row_or_two(rows, align_corners):
    def resize(x):
        return F.interpolate(x, (rows, 1), mode="bilinear", align_corners=align_corners)

    field = ReceptiveField.of_image(8).resized(rows, linear=True, align_corners=align_corners)
    assert (field.first.tolist(), field.last.tolist()) == rows_seen(resize, 8)
    nearest = ReceptiveField.of_image(8).resized(rows, linear=False)
    assert (nearest.first.tolist(), nearest.last.tolist()) == rows_seen(
        lambda x: F.interpolate(x, (rows, 1)), 8
    )


def test_rows_in_the_padding_see_nothing():
    field = ReceptiveField.of_image(4).at([-1, 0, 4])
    assert [field.size(row) for row in range(3)] == [0, 1, 0]


def test_a_sum_sees_what_either_sees_and_one_row_is_for_all():
    narrow = ReceptiveField.of_image(6)
    wide = narrow.window(3, padding=1)
    joined = narrow.joined(wide)
    assert np.array_equal(joined.first, wide.first)
    pooled = narrow.joined(ReceptiveField.of_image(6).pooled(1))
    assert pooled.everywhere
    assert np.array_equal(pooled.last, narrow.last)


def test_cells_lie_where_their_fields_are_centred():
    # Two convolutions and a pooling of VGG, and DilatedNet's unpadded ones: grid.py says the same.
    padded = ReceptiveField.of_image(64).window(3, padding=1).window(2, stride=2)
    assert padded.grid(64) == Grid().conv(3, padding=1).conv(2, stride=2)
    bare = ReceptiveField.of_image(64).window(3).window(2, stride=2).window(3)
    assert bare.grid(64) == Grid().conv(3).conv(2, stride=2).conv(3)


def test_a_field_larger_than_the_image_has_no_full_size():
    assert ReceptiveField.of_image(16).window(33, padding=16).full_size(16) is None
    assert ReceptiveField.of_image(16).window(5, padding=2).full_size(16) == 5
