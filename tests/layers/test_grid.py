import pytest
import torch

from segtrain.backbones.alexnet import AlexNet
from segtrain.backbones.vgg import VGG16
from segtrain.layers.grid import Grid, bilinear_kernel_size, crop, pad_to


@pytest.fixture(scope="module")
def vgg():
    return VGG16(width=1 / 64, padding=100).feature_info.grids


def upscored(coarse, fine):
    """The grid of scores on `coarse` once upsampled to the stride of `fine`."""
    kernel = bilinear_kernel_size(coarse, fine)
    return coarse.deconv(kernel, coarse.stride // fine.stride)


def test_the_six_crop_offsets_of_the_fcn_papers_are_derived(vgg):
    image = Grid()
    upscore2 = upscored(vgg[32], vgg[16])
    upscore_pool4 = upscored(vgg[16], vgg[8])
    alexnet = AlexNet(width=1 / 64, padding=100).feature_info.grids
    assert upscored(vgg[32], image).index_of(image) == 19  # 32s
    assert vgg[16].index_of(upscore2) == 5  # score_pool4
    assert upscored(upscore2, image).index_of(image) == 27  # 16s
    assert vgg[8].index_of(upscored(upscore2, vgg[8])) == 9  # score_pool3
    assert upscored(upscored(upscore2, vgg[8]), image).index_of(image) == 31  # 8s
    assert upscored(alexnet[32], image).index_of(image) == 18  # AlexNet
    assert upscore_pool4.stride == 8


def test_the_map_of_fc7_is_the_papers(vgg):
    assert vgg[32] == Grid(32, 12.5)


def test_the_kernels_of_the_deconvolutions_are_derived(vgg):
    alexnet = AlexNet(width=1 / 64, padding=100).feature_info.grids
    assert bilinear_kernel_size(vgg[32], Grid()) == 64
    assert bilinear_kernel_size(vgg[16], Grid()) == 32
    assert bilinear_kernel_size(vgg[8], Grid()) == 16
    assert bilinear_kernel_size(vgg[32], vgg[16]) == 4
    assert bilinear_kernel_size(alexnet[32], Grid()) == 63


def test_a_crop_that_does_not_cover_is_refused():
    with pytest.raises(ValueError, match="cannot crop 5×4 at"):
        crop(torch.zeros(1, 1, 6, 6), 2, 2, (5, 4))


def test_padding_adds_zeros_to_the_right_and_below_only_where_needed():
    padded = pad_to(torch.ones(1, 1, 2, 5), 4)
    assert padded.shape == (1, 1, 4, 5)
    assert padded[0, 0, :2].eq(1).all()
    assert padded[0, 0, 2:].eq(0).all()
