"""mmsegmentation's networks, computed from their own tensors as its decode heads do."""

import pytest
import torch
from torch.nn import functional as F

from tests.converters.reference import random_tensors
from tests.converters.test_resnets import (
    CLASSES,
    conv_bn,
    imagenet,
    normed,
    resize,
    resnet_shapes,
    stages,
    torchvisions_names,
)

IMAGES = torch.randint(0, 256, (1, 3, 65, 97), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
NAME, HEAD = torchvisions_names("backbone."), "decode_head"
STEM = ((0, 1, 1, 3), (3, 4, 1, 1), (6, 7, 2, 1))  # convolution, BatchNorm, channels, inputs at width 1/32
CHANNELS, LOW = 16, 2  # of the heads, 512 and 48 at width 1/32


def module(name, out_channels, ins, kernel):
    """A ConvModule."""
    return conv_bn(f"{name}.conv", f"{name}.bn", out_channels, ins, kernel)


def separable(name, out_channels, ins):
    """A DepthwiseSeparableConvModule."""
    shapes = conv_bn(f"{name}.depthwise_conv.conv", f"{name}.depthwise_conv.bn", ins, 1, 3)
    return shapes | module(f"{name}.pointwise_conv", out_channels, ins, 1)


def encoder_shapes(depth):
    shapes = {}
    for conv, norm, out_channels, ins in STEM:
        shapes |= conv_bn(f"backbone.stem.{conv}", f"backbone.stem.{norm}", out_channels, ins, 3)
    aux = module("auxiliary_head.convs.0", 8, 32, 3) | score("auxiliary_head", 8)
    return shapes | resnet_shapes(depth, NAME, 2) | aux


def score(head, channels):
    return {f"{head}.conv_seg.weight": (CLASSES, channels, 1, 1), f"{head}.conv_seg.bias": (CLASSES,)}


def encoder(theirs, depth, x):
    """ResNetV1c with contract_dilation: the first block of a stage has half its dilation."""
    for (conv, norm, *_), stride in zip(STEM, (2, 1, 1), strict=True):
        names = f"backbone.stem.{conv}", f"backbone.stem.{norm}"
        x = normed(theirs, *names, x, stride=stride, padding=1).relu()
    x = F.max_pool2d(x, 3, 2, 1)
    return stages(theirs, depth, NAME, x, ((1, 1), (1, 1), (1, 2), (2, 4)), stride_in=2)


def conv_module(theirs, name, x, **how):
    return normed(theirs, f"{name}.conv", f"{name}.bn", x, **how).relu()


def separable_module(theirs, name, x, dilation=1):
    how = {"padding": dilation, "dilation": dilation, "groups": x.shape[1]}
    return conv_module(
        theirs, f"{name}.pointwise_conv", conv_module(theirs, f"{name}.depthwise_conv", x, **how)
    )


def scored(theirs, head, x):
    return F.conv2d(x, theirs[f"{head}.conv_seg.weight"], theirs[f"{head}.conv_seg.bias"])


def checkpoint(tensors):
    """As its runner saves one."""
    return {"meta": {"epoch": 1, "CLASSES": ["a"]}, "state_dict": tensors}


@pytest.mark.parametrize(("model", "depth"), [("pspnet50_mmseg", 50), ("pspnet101", 101)])
def test_pspnet_with_its_auxiliary_head(model, depth, imported, close):
    shapes = encoder_shapes(depth) | module(f"{HEAD}.bottleneck", CHANNELS, 128, 3) | score(HEAD, CHANNELS)
    for i in range(4):
        shapes |= module(f"{HEAD}.psp_modules.{i}.1", 16, 64, 1)
    theirs = random_tensors(shapes)
    net, done = imported("mmseg", checkpoint(theirs), model)
    *_, third, x = encoder(theirs, depth, imagenet(IMAGES))
    maps = [x]
    for i, bins in enumerate((1, 2, 3, 6)):
        pooled = conv_module(theirs, f"{HEAD}.psp_modules.{i}.1", F.adaptive_avg_pool2d(x, bins))
        maps.append(resize(pooled, x.shape[-2:], corners=False))
    x = conv_module(theirs, f"{HEAD}.bottleneck", torch.cat(maps, 1), padding=1)
    with torch.inference_mode():
        close(net(IMAGES)["out"], resize(scored(theirs, HEAD, x), (65, 97), corners=False))
        aux = conv_module(theirs, "auxiliary_head.convs.0", third, padding=1)
        ours = net.aux(net.backbone(IMAGES, whole_cells=False)[16])
        close(ours, scored(theirs, "auxiliary_head", aux))
    assert ("as published: model.backbone.stem=deep32" in done.out) == (model == "pspnet101")


def aspp_shapes(conv):
    shapes = module(f"{HEAD}.image_pool.1", CHANNELS, 64, 1) | module(
        f"{HEAD}.aspp_modules.0", CHANNELS, 64, 1
    )
    for i in (1, 2, 3):
        shapes |= conv(f"{HEAD}.aspp_modules.{i}", CHANNELS, 64)
    return shapes | module(f"{HEAD}.bottleneck", CHANNELS, 5 * CHANNELS, 3) | score(HEAD, CHANNELS)


def aspp(theirs, x, conv):
    views = [resize(conv_module(theirs, f"{HEAD}.image_pool.1", x.mean((2, 3), keepdim=True)), x.shape[-2:])]
    views.append(conv_module(theirs, f"{HEAD}.aspp_modules.0", x))
    for i, rate in enumerate((12, 24, 36), start=1):
        views.append(conv(theirs, f"{HEAD}.aspp_modules.{i}", x, rate))
    return conv_module(theirs, f"{HEAD}.bottleneck", torch.cat(views, 1), padding=1)


@pytest.mark.parametrize(("model", "depth"), [("deeplabv3_mmseg", 50), ("deeplabv3_resnet101", 101)])
def test_deeplab_v3_whose_image_pooling_comes_first(model, depth, imported, close):
    plain = aspp_shapes(lambda name, out_channels, ins: module(name, out_channels, ins, 3))
    theirs = random_tensors(encoder_shapes(depth) | plain)
    net, done = imported("mmseg", checkpoint(theirs), model)
    x = aspp(
        theirs,
        encoder(theirs, depth, imagenet(IMAGES))[-1],
        lambda tensors, name, x, rate: conv_module(tensors, name, x, padding=rate, dilation=rate),
    )
    with torch.inference_mode():
        close(net(IMAGES)["out"], resize(scored(theirs, HEAD, x), (65, 97), corners=False))
    assert "the auxiliary head, which ours has not" in done.out


@pytest.mark.parametrize("model", ["deeplabv3plus_mmseg", "deeplabv3plus"])
def test_deeplab_v3_plus_with_separable_convolutions(model, imported, close):
    shapes = encoder_shapes(50) | aspp_shapes(separable) | module(f"{HEAD}.c1_bottleneck", LOW, 8, 1)
    shapes |= separable(f"{HEAD}.sep_bottleneck.0", CHANNELS, CHANNELS + LOW)
    theirs = random_tensors(shapes | separable(f"{HEAD}.sep_bottleneck.1", CHANNELS, CHANNELS))
    net, _ = imported("mmseg", checkpoint(theirs), model)
    first, *_, x = encoder(theirs, 50, imagenet(IMAGES))
    x, low = aspp(theirs, x, separable_module), conv_module(theirs, f"{HEAD}.c1_bottleneck", first)
    x = torch.cat([resize(x, low.shape[-2:], corners=False), low], 1)
    for i in (0, 1):
        x = separable_module(theirs, f"{HEAD}.sep_bottleneck.{i}", x)
    with torch.inference_mode():
        close(net(IMAGES)["out"], resize(scored(theirs, HEAD, x), (65, 97), corners=False))


def test_unet_whose_skips_come_first(imported, close):
    channels, shapes = (2, 4, 8, 16, 32), {}
    for i, (above, below) in enumerate(zip((3, *channels), channels, strict=False)):
        for j, ins in enumerate((above, below)):
            shapes |= module(f"backbone.encoder.{i}.{min(i, 1)}.convs.{j}", below, ins, 3)
    for i in range(4):
        shapes |= module(f"backbone.decoder.{i}.upsample.interp_upsample.1", channels[i], channels[i + 1], 1)
        for j, ins in enumerate((2 * channels[i], channels[i])):
            shapes |= module(f"backbone.decoder.{i}.conv_block.convs.{j}", channels[i], ins, 3)
    shapes |= module(f"{HEAD}.convs.0", 2, 2, 3) | score(HEAD, 2) | score("auxiliary_head", 2)
    theirs = random_tensors(shapes)
    net, done = imported("mmseg", checkpoint(theirs), "unet_mmseg")
    images = IMAGES[..., :64, :96]
    x, skips = imagenet(images), []
    for i in range(5):
        x = F.max_pool2d(x, 2) if i else x
        for j in (0, 1):
            x = conv_module(theirs, f"backbone.encoder.{i}.{min(i, 1)}.convs.{j}", x, padding=1)
        skips.append(x)
    for i in (3, 2, 1, 0):
        x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        x = conv_module(theirs, f"backbone.decoder.{i}.upsample.interp_upsample.1", x)
        x = torch.cat([skips[i], x], 1)
        for j in (0, 1):
            x = conv_module(theirs, f"backbone.decoder.{i}.conv_block.convs.{j}", x, padding=1)
    x = conv_module(theirs, f"{HEAD}.convs.0", x, padding=1)
    with torch.inference_mode():
        close(net(images)["out"], scored(theirs, HEAD, x))
    assert "the auxiliary head, which ours has not" in done.out


def test_other_networks_are_refused_with_the_options_that_there_are(run, tmp_path):
    torch.save({"decode_head.conv_seg.weight": torch.zeros(2, 2, 1, 1)}, tmp_path / "a.pth")
    ask = ("segimport", "format=mmseg", f"weights={tmp_path / 'a.pth'}")
    done = run(*ask, "model=pspnet50")
    assert done.code == 2
    assert "no PSPNet, DeepLab v3, v3+ or U-Net; choose model=deeplabv3 or deeplabv3_mmseg or" in done.err
    torch.save({"decode_head.psp_modules.0.1.conv.weight": torch.zeros(2, 2, 1, 1)}, tmp_path / "a.pth")
    done = run(*ask, "model=deeplabv3")
    assert done.code == 2
    assert "choose model=pspnet101 or pspnet50 or pspnet50_mmseg" in done.err
