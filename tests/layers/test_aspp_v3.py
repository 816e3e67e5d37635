import pytest
import torch

from segtrain.errors import InputError
from segtrain.layers.aspp_v3 import ASPPv3
from segtrain.layers.upsample import upsample


@pytest.mark.parametrize(("separable", "count"), [(False, 15_535_104), (True, 3_019_776)])
def test_parameters_are_as_many_as_in_the_papers_document(separable, count):
    with torch.device("meta"):
        aspp = ASPPv3(2048, 256, rates=[6, 12, 18], separable=separable)
    assert sum(p.numel() for p in aspp.parameters()) == count


@pytest.mark.parametrize("separable", [False, True])
def test_every_cell_sees_the_whole_image_and_its_own_surroundings(separable):
    torch.manual_seed(0)
    aspp = ASPPv3(8, 16, rates=[1, 2, 3], separable=separable).eval()
    x = torch.rand(1, 8, 15, 15, requires_grad=True)
    aspp(x)[0, :, 7, 7].sum().backward()
    gradient = x.grad[0].abs().sum(0)
    far = gradient[0, 0]
    assert far > 0
    # The mean gives every cell the same; the views add to the nine taps of each rate.
    seen = (gradient - far).abs() > 1e-6
    taps = {(7 + i * r, 7 + j * r) for r in (1, 2, 3) for i in (-1, 0, 1) for j in (-1, 0, 1)}
    assert {tuple(cell) for cell in seen.nonzero().tolist()} == taps


def test_one_image_in_training_is_refused_with_the_setting_named():
    aspp = ASPPv3(4, 4, rates=[1])
    with pytest.raises(InputError, match=r"batch_size=1: .*; set batch_size=2, or freeze_norm=true"):
        aspp(torch.rand(1, 4, 5, 5))
    assert aspp(torch.rand(2, 4, 5, 5)).shape == (2, 4, 5, 5)
    aspp.image_pooling[1].eval()
    assert aspp(torch.rand(1, 4, 5, 5)).shape == (1, 4, 5, 5)


@pytest.mark.parametrize("factor", [1, 2, 4, 8])
def test_cells_keep_their_values_when_a_map_is_upsampled(factor):
    x = torch.rand(1, 2, 5, 3)
    fine = upsample(x, factor, (4 * factor + 1, 2 * factor))
    assert fine.shape == (1, 2, 4 * factor + 1, 2 * factor)
    assert torch.allclose(fine[..., ::factor, ::factor], x[..., :2], atol=1e-6)
