"""Caffe's DeepLab v2 on VGG16: one branch, or the four of ASPP."""

import pytest
import torch
from torch.nn import functional as F

from tests.converters.reference import (
    CHANNELS,
    CLASSES,
    bgr,
    blobs,
    block,
    conv,
    convolution,
    random_tensors,
    vgg_shapes,
)

IMAGES = torch.randint(0, 256, (1, 3, 65, 89), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
FC = 32  # 1024 channels at width 1/32


@pytest.mark.parametrize(
    ("rates", "keys"),
    [
        ({"_1": 6, "_2": 12, "_3": 18, "_4": 24}, []),
        ({"": 12}, ["model/backbone=vgg16_large_fov", "model.branches=1"]),
    ],
)
def test_each_branch_has_layers_of_its_own(rates, keys, imported, close):
    shapes = vgg_shapes()
    for suffix in rates:
        shapes |= convolution(f"fc6{suffix}", FC, CHANNELS[4], 3) | convolution(f"fc7{suffix}", FC, FC, 1)
        shapes |= convolution(f"fc8_voc12{suffix}", CLASSES, FC, 1)
    theirs = random_tensors(shapes)
    net, _ = imported("caffe", blobs(theirs), "deeplabv2_vgg16", *keys, file="theirs.npz")
    x = bgr(IMAGES, (104.008, 116.669, 122.675))
    for number, stride in ((1, 2), (2, 2), (3, 2), (4, 1)):
        x = F.max_pool2d(block(theirs, number, x, padding=1), 3, stride, 1, ceil_mode=True)
    x = F.max_pool2d(block(theirs, 5, x, padding=2, dilation=2), 3, 1, 1, ceil_mode=True)
    x = F.avg_pool2d(x, 3, 1, 1)
    expected = 0
    for suffix, rate in rates.items():
        y = conv(theirs, f"fc6{suffix}", x, padding=rate, dilation=rate).relu()
        expected = expected + conv(theirs, f"fc8_voc12{suffix}", conv(theirs, f"fc7{suffix}", y).relu())
    with torch.inference_mode():
        close(net(IMAGES)["out"], expected)
