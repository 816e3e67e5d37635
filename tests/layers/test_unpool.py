import pytest
import torch
from torch import nn
from torch.nn import functional as F

from segtrain.layers.unpool import UnpoolingDecoder, pool, unpool

SIZES = [(8, 6), (7, 5), (1, 1), (1, 47), (97, 2)]


@pytest.fixture
def deterministic():
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("size", SIZES)
def test_unpooling_puts_values_back_where_they_came_from(size):
    x = torch.rand(2, 3, *size) + 1
    maxima, switches = pool(x)
    back = unpool(maxima, switches)
    assert maxima.shape[-2:] == tuple((side + 1) // 2 for side in size)
    assert back.shape == x.shape
    assert torch.equal(back[back > 0], x[back > 0])
    assert (back > 0).sum() == maxima.numel()
    assert torch.equal(pool(back)[0], maxima)


@pytest.mark.parametrize("size", SIZES)
def test_unpooling_equals_torchs(size):
    maxima, switches = pool(torch.randn(2, 3, *size))
    values = torch.randn_like(maxima)
    theirs = F.max_unpool2d(values, switches.indices, 2, output_size=size)
    assert torch.equal(unpool(values, switches), theirs)


def test_equal_values_have_one_place_the_first():
    maxima, switches = pool(torch.full((1, 1, 4, 4), 3.0))
    back = unpool(maxima, switches)
    assert back.nonzero()[:, 2:].tolist() == [[0, 0], [0, 2], [2, 0], [2, 2]]


def test_the_gradient_of_unpooling_comes_from_the_same_positions():
    x = torch.randn(1, 2, 5, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: unpool(*pool(x)) ** 2, x)


def test_unpooling_keeps_bfloat16_and_works_in_deterministic_mode(deterministic):
    x = torch.rand(2, 3, 7, 5, dtype=torch.bfloat16).contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        back = unpool(*pool(x))
    assert back.dtype == torch.bfloat16
    assert torch.equal(back[back > 0], x[back > 0])


def test_a_decoder_puts_the_largest_pixel_back_on_its_place():
    x = torch.rand(1, 1, 13, 10)
    x[..., 6, 9] = 5
    features, switches = x, []
    for _ in range(4):
        features, where = pool(features)
        switches.append(where)
    decoder = UnpoolingDecoder(nn.Conv2d, [1, 1, 1, 1], [1, 1, 1, 1])
    for i in range(4):
        decoder[i] = nn.Identity()
    back = decoder(features, switches)
    assert features.shape == (1, 1, 1, 1)
    assert back.nonzero().tolist() == [[0, 0, 6, 9]]
    assert back.max() == 5
