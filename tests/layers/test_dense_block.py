import pytest
import torch

from segtrain.errors import InputError
from segtrain.layers.dense_block import DenseBlock, PreActivation


def test_a_block_gives_the_new_maps_alone_while_its_layers_see_the_growing_stack():
    block = DenseBlock(6, 3, 4, dropout=0.2)
    assert [layer.conv.in_channels for layer in block.layers] == [6, 10, 14]
    assert [maps.shape for maps in block(torch.rand(2, 6, 5, 7))] == 3 * [(2, 4, 5, 7)]


def test_the_first_maps_of_a_block_do_not_depend_on_its_later_layers():
    block, x = DenseBlock(3, 2, 2, dropout=0.0).eval(), torch.rand(1, 3, 4, 4)
    first, second = block(x)
    assert torch.equal(first, block.layers[0](x))
    assert torch.equal(second, block.layers[1](x, first))


def test_dropout_comes_last_and_takes_single_values():
    torch.manual_seed(0)
    out = PreActivation(4, 8, 3, dropout=0.2)(torch.rand(2, 4, 32, 32))
    zeros = out.eq(0)
    assert zeros.float().mean().item() == pytest.approx(0.2, abs=0.02)
    assert not zeros.all((2, 3)).any()  # no whole map


def test_batch_statistics_normalise_by_the_batch_in_eval_mode_and_leave_the_running_ones():
    torch.manual_seed(0)
    layer = PreActivation(4, 8, 3, dropout=0.2, batch_statistics=True).eval()
    x = 5 + 3 * torch.rand(2, 4, 6, 6)
    moved = layer(10 * x - 7)  # another scale and shift are normalised away
    assert torch.allclose(layer(x), moved, atol=1e-3)
    assert layer.norm.running_mean.eq(0).all()
    assert layer.norm.num_batches_tracked == 0
    layer.batch_statistics = False
    assert not torch.allclose(layer(x), moved, atol=0.1)


def test_batch_statistics_of_one_value_are_refused():
    layer = PreActivation(4, 8, 1, dropout=0.2, batch_statistics=True).eval()
    with pytest.raises(InputError, match=r"model\.batch_statistics: one value"):
        layer(torch.rand(1, 4, 1, 1))
    assert layer(torch.rand(2, 4, 1, 1)).shape == (2, 8, 1, 1)
