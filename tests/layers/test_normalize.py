import torch

from segtrain.layers.normalize import GREY_MEAN, GREY_STD, IMAGENET_MEAN, IMAGENET_STD, NormalizeGrey

LUMINANCE = torch.tensor([0.299, 0.587, 0.114])


def test_grey_that_is_stored_as_rgb_keeps_every_value():
    grey = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    normalize = NormalizeGrey()
    assert torch.equal(normalize(grey), normalize(grey.expand(-1, 3, -1, -1)))
    assert normalize(grey).shape == (1, 1, 16, 16)


def test_colours_become_their_luminance():
    images = torch.rand(2, 3, 4, 5) * 255
    expected = ((images * LUMINANCE.view(3, 1, 1)).sum(1, keepdim=True) - GREY_MEAN[0]) / GREY_STD[0]
    assert torch.allclose(NormalizeGrey()(images), expected, atol=1e-5)


def test_the_constants_for_grey_are_the_luminance_of_those_for_rgb():
    for grey, colour in ((GREY_MEAN, IMAGENET_MEAN), (GREY_STD, IMAGENET_STD)):
        assert abs(grey[0] - (torch.tensor(colour) * LUMINANCE).sum().item()) < 0.01
