"""DeepLab's crop: the image in the corner of a square of the mean colour."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from segtrain import build_model
from segtrain.errors import InputError
from segtrain.inference import DeepLabCrop, MultiScale
from segtrain.sizes import upsample_logits
from tests.inference.applied import applied

MEAN = (122.675, 116.669, 104.008)


def noise(height, width, dtype=torch.uint8):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (2, 3, height, width), generator=generator).to(dtype)


def padded(images, side, colour=MEAN):
    """A plain copy pixel by pixel into a square."""
    square = torch.tensor(colour).view(1, 3, 1, 1).repeat(len(images), 1, side, side)
    square[:, :, : images.shape[-2], : images.shape[-1]] = images
    return square


@pytest.mark.parametrize("size", [(37, 20), (65, 65), (1, 50)])
def test_a_largefov_sees_the_square_and_gives_the_images_part_of_its_logits(size):
    torch.manual_seed(0)
    net = build_model("deeplabv1", num_classes=3, width=1 / 32).eval()
    images = noise(*size)
    with torch.inference_mode():
        cells = net(padded(images, 65))["out"]
        # Caffe's Interp: 9 cells onto 65 pixels, corners on corners.
        expected = F.interpolate(cells, (65, 65), mode="bilinear", align_corners=True)
        expected = expected[..., : size[0], : size[1]]
        seen = applied(DeepLabCrop(crop=65), lambda x: upsample_logits(net(x)["out"], x.shape[-2:]), images)
        alone = upsample_logits(net(images)["out"], size)
    assert torch.allclose(seen, expected, atol=1e-6)
    assert size == (65, 65) or not torch.allclose(alone, expected, atol=1e-4)


def test_the_border_is_zero_to_a_network_that_subtracts_the_mean():
    seen = []

    def network(images):
        seen.append(images - torch.tensor(MEAN).view(3, 1, 1))
        return images[:, :2]

    applied(DeepLabCrop(crop=16), network, noise(9, 11))
    assert seen[0].shape == (2, 3, 16, 16)
    assert seen[0][..., 9:, :].eq(0).all()
    assert seen[0][..., 11:].eq(0).all()


def test_whole_numbers_leave_bytes_bytes_and_larger_images_are_left_alone():
    seen = []

    def network(images):
        seen.append(images)
        return images[:, :2].float()

    images = noise(9, 20)
    applied(DeepLabCrop(crop=16, colour=(124, 116, 104)), network, images)
    assert (seen[0].dtype, seen[0].shape) == (torch.uint8, (2, 3, 16, 20))
    assert seen[0][0, :, 15, 0].tolist() == [124, 116, 104]
    large = noise(17, 20)
    applied(DeepLabCrop(crop=16), network, large)
    assert torch.equal(seen[1], large)


def test_images_of_other_channels_get_their_own_mean():
    seen = []

    def network(images):
        seen.append(images)
        return images[:, :1].float()

    applied(DeepLabCrop(crop=4), network, torch.tensor([[10, 20]], dtype=torch.uint8).view(1, 1, 1, 2))
    assert seen[0][0, 0].tolist() == [[10, 20, 15, 15]] + [[15] * 4] * 3


def test_it_goes_around_another_inference():
    images = noise(9, 11, torch.float32)
    base = MultiScale(scales=[1.0], flip=True)
    pool = nn.AvgPool2d(3, 1, 1)

    def network(seen):
        return pool(seen[:, :2]) / 50

    square = padded(images, 16)
    expected = (network(square).softmax(1) + network(square.flip(-1)).flip(-1).softmax(1)) / 2
    seen = applied(DeepLabCrop(crop=16, base=base), network, images).softmax(1)
    assert torch.allclose(seen, expected[..., :9, :11], atol=1e-5)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"crop": 0}, r"inference\.crop must be at least 1, got 0"),
        ({"colour": (1.0, 2.0)}, r"inference\.colour must be R, G and B from 0 to 255, got \[1\.0, 2\.0\]"),
        ({"colour": (1.0, 2.0, 256.0)}, r"inference\.colour must be"),
    ],
)
def test_other_values_are_refused(keys, message):
    with pytest.raises(InputError, match=message):
        DeepLabCrop(**keys)
