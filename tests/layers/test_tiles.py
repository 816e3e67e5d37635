import pytest
import torch
from torch.nn import functional as F

from segtrain.layers.tiles import stitch


def network(x):
    """Loses 3 pixels on every side, and its values depend on where the pooling windows begin."""
    return F.interpolate(F.max_pool2d(x, 2), scale_factor=2)[..., 3:-3, 3:-3]


@pytest.mark.parametrize(("height", "width"), [(8, 8), (10, 30), (26, 14)])
@pytest.mark.parametrize(("tile", "step"), [(8, 8), (8, 6), (20, 4)])
def test_stitched_tiles_are_one_pass(height, width, tile, step):
    x = torch.rand(2, 3, height + 6, width + 6)
    assert torch.equal(stitch(network, x, tile=tile, margin=3, step=step), network(x))


def test_a_step_out_of_phase_with_the_poolings_is_another_result():
    x = torch.rand(1, 1, 30, 30)
    assert not torch.equal(stitch(network, x, tile=9, margin=3, step=7)[..., :12], network(x)[..., :12])


def test_no_tile_lies_inside_another():
    calls = []

    def counted(x):
        calls.append(tuple(x.shape[-2:]))
        return network(x)

    stitch(counted, torch.rand(1, 1, 26, 14), tile=8, margin=3, step=6)
    assert calls == [(14, 14)] * 3
