"""Blobs of Caffe's DeepLab v1, SegNet, DeconvNet and DilatedNet; its FCNs are in test_fcn.py."""

import pytest
import torch
from torch.nn import functional as F

from segtrain.layers.bilinear import bilinear_kernel
from segtrain.sizes import upsample_logits
from tests.converters.reference import (
    CHANNELS,
    CLASSES,
    CONVOLUTIONS,
    FC,
    bgr,
    blobs,
    block,
    conv,
    convolution,
    random_tensors,
    vgg_shapes,
)

DEEPLAB = (104.008, 116.669, 122.675)  # B, G, R
NPZ = {"file": "theirs.npz"}
SMALL_FC = 32  # LargeFOV's 1024 channels at width 1/32
MSC = {"data": 3, "pool1": 2, "pool2": 4, "pool3": 8, "pool4": 16}  # channels
ZOOM = {"data": 1, "pool1": 2, "pool2": 4, "pool3": 8, "pool4": 8}


def image(height, width):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (1, 3, height, width), dtype=torch.uint8, generator=generator)


def large_fov(tensors, x):
    """DeepLab-LargeFOV/train.prototxt: pool1 to pool4 and fc8."""
    pools = {}
    for number, stride in ((1, 2), (2, 2), (3, 2), (4, 1)):
        x = F.max_pool2d(block(tensors, number, x, padding=1), 3, stride, 1, ceil_mode=True)
        pools[f"pool{number}"] = x
    x = F.max_pool2d(block(tensors, 5, x, padding=2, dilation=2), 3, 1, 1, ceil_mode=True)
    x = conv(tensors, "fc6", F.avg_pool2d(x, 3, 1, 1), padding=12, dilation=12).relu()
    return pools, conv(tensors, "fc8_voc12", conv(tensors, "fc7", x).relu())


@pytest.fixture
def large_fov_tensors():
    shapes = vgg_shapes() | convolution("fc6", SMALL_FC, CHANNELS[4], 3)
    return random_tensors(
        shapes | convolution("fc7", SMALL_FC, SMALL_FC, 1) | convolution("fc8_voc12", CLASSES, SMALL_FC, 1)
    )


def test_deeplab_large_fov_upsampled_by_8(large_fov_tensors, imported, close):
    net, _ = imported("caffe", blobs(large_fov_tensors), "deeplabv1", **NPZ)
    images = image(65, 89)
    _, expected = large_fov(large_fov_tensors, bgr(images, DEEPLAB))
    with torch.inference_mode():
        ours = net(images)["out"]
        close(ours, expected)
        large = F.interpolate(expected, (65, 89), mode="bilinear", align_corners=True)  # Caffe's Interp
        close(upsample_logits(ours, (65, 89)), large)


def test_deeplab_msc_whose_first_branch_sees_the_image_too(large_fov_tensors, imported, close):
    hidden = 4
    shapes = {}
    for name, channels in MSC.items():
        shapes |= convolution(f"{name}_conv", hidden, channels, 3)
        shapes |= convolution(f"{name}_fc", hidden, hidden, 1) | convolution(f"{name}_ms", CLASSES, hidden, 1)
    theirs = large_fov_tensors | random_tensors(shapes)
    net, _ = imported("caffe", blobs(theirs), "deeplabv1_msc_largefov", **NPZ)
    images = image(65, 89)
    pools, expected = large_fov(theirs, bgr(images, DEEPLAB))
    total = interp(expected, 8)
    for name, x in ({"data": bgr(images, DEEPLAB)} | pools).items():
        x = conv(theirs, f"{name}_conv", x, padding=1).relu()  # test.prototxt has no strides
        scores = conv(theirs, f"{name}_ms", conv(theirs, f"{name}_fc", x).relu())
        total = total + interp(scores, ZOOM[name])
    with torch.inference_mode():
        close(net(images)["out"], total)


def interp(x, zoom):
    """Caffe's Interp by a zoom factor."""
    size = [zoom * (side - 1) + 1 for side in x.shape[-2:]]
    return F.interpolate(x, size, mode="bilinear", align_corners=True)


def norm(tensors, name, x):
    """Caffe-SegNet's BN layer for inference: scale and shift alone."""
    scale, shift = (tensors[f"{name}.{kind}"].view(1, -1, 1, 1) for kind in ("weight", "bias"))
    return x * scale + shift


def norm_shapes(name, channels):
    return {f"{name}.weight": (channels,), f"{name}.bias": (channels,)}


def encoder(tensors, x, bn):
    """VGG16 with BatchNorm, its poolings, and where their maxima lay."""
    positions = []
    for number, convolutions in enumerate(CONVOLUTIONS, start=1):
        for i in range(convolutions):
            name = f"{number}_{i + 1}"
            x = norm(tensors, bn.format(name), conv(tensors, f"conv{name}", x, padding=1)).relu()
        size = x.shape
        x, indices = F.max_pool2d(x, 2, 2, ceil_mode=True, return_indices=True)
        positions.append((indices, size[-2:]))
    return x, positions


def encoder_shapes(bn):
    norms = {}
    for number, (channels, convolutions) in enumerate(zip(CHANNELS, CONVOLUTIONS, strict=True), start=1):
        for i in range(convolutions):
            norms |= norm_shapes(bn.format(f"{number}_{i + 1}"), channels)
    return vgg_shapes() | norms


def old_style(tensors):
    """Vectors as the 1×1×1×n and 1×n×1×1 that Caffe once had."""
    shape = {1: (1, 1, 1, -1)}
    return {k: v.view(shape.get(v.dim(), v.shape)) for k, v in tensors.items()}


def folded(tensors, first):
    """The first BatchNorm, whose input is an image of 0..255, divides by a std that it had in training."""
    return tensors | {f"{first}.weight": tensors[f"{first}.weight"] / 100}


def test_segnet_with_its_statistics_folded(imported, close):
    shapes = encoder_shapes("conv{}_bn")
    for number in range(5, 0, -1):
        channels, above = CHANNELS[number - 1], CHANNELS[max(number - 2, 0)]
        for i in range(CONVOLUTIONS[number - 1], 0, -1):
            name, out_channels = f"conv{number}_{i}_D", channels if i > 1 else above
            last = (number, i) == (1, 1)
            shapes |= convolution(name, 11 if last else out_channels, channels, 3)
            shapes |= {} if last else norm_shapes(f"{name}_bn", out_channels)
    theirs = folded(random_tensors(shapes), "conv1_1_bn")
    net, _ = imported("caffe", old_style(blobs(theirs)), "segnet", "data=camvid", **NPZ)
    images = image(45, 60)
    x, positions = encoder(theirs, bgr(images, (0, 0, 0)), "conv{}_bn")
    for number, (indices, size) in zip(range(5, 0, -1), reversed(positions), strict=True):
        x = F.max_unpool2d(x, indices, 2, output_size=size)
        for i in range(CONVOLUTIONS[number - 1], 0, -1):
            name = f"conv{number}_{i}_D"
            x = conv(theirs, name, x, padding=1)
            x = x if (number, i) == (1, 1) else norm(theirs, f"{name}_bn", x).relu()
    with torch.inference_mode():
        close(net(images)["out"], x)
    assert net.class_names[0] == "Sky"


def test_segnet_basic_which_normalises_the_raw_image(imported, close):
    shapes = convolution("conv_classifier", 11, 2, 1)
    for i in range(1, 5):
        shapes |= convolution(f"conv{i}", 2, 2 if i > 1 else 3, 7) | norm_shapes(f"conv{i}_bn", 2)
        shapes |= convolution(f"conv_decode{i}", 2, 2, 7) | norm_shapes(f"conv_decode{i}_bn", 2)
    theirs = folded(random_tensors(shapes), "conv1_bn")
    net, _ = imported("caffe", blobs(theirs), "segnet_basic", "data=camvid", **NPZ)
    images = image(45, 60)
    x, positions = F.local_response_norm(bgr(images, (0, 0, 0)), 5, 1e-4, 0.75), []
    for i in range(1, 5):
        x = norm(theirs, f"conv{i}_bn", conv(theirs, f"conv{i}", x, padding=3)).relu()
        size = x.shape[-2:]
        x, indices = F.max_pool2d(x, 2, 2, ceil_mode=True, return_indices=True)
        positions.append((indices, size))
    for i, (indices, size) in zip(range(4, 0, -1), reversed(positions), strict=True):
        x = conv(theirs, f"conv_decode{i}", F.max_unpool2d(x, indices, 2, output_size=size), padding=3)
        x = norm(theirs, f"conv_decode{i}_bn", x)
    with torch.inference_mode():
        close(net(images)["out"], conv(theirs, "conv_classifier", x))


def deconv(tensors, name, x, **how):
    return F.conv_transpose2d(x, tensors[f"{name}.weight"], tensors[f"{name}.bias"], **how)


def deconvolution(name, ins, out_channels, kernel):
    return {f"{name}.weight": (ins, out_channels, kernel, kernel), f"{name}.bias": (out_channels,)}


def test_deconvnet_on_a_window_of_224_pixels(imported, close):
    shapes = encoder_shapes("bn{}") | convolution("fc6", FC, CHANNELS[4], 7) | convolution("fc7", FC, FC, 1)
    shapes |= norm_shapes("bnfc6", FC) | norm_shapes("bnfc7", FC)
    shapes |= deconvolution("fc6-deconv", FC, CHANNELS[4], 7) | norm_shapes("fc6-deconv-bn", CHANNELS[4])
    for number in range(5, 0, -1):
        channels, above = CHANNELS[number - 1], CHANNELS[max(number - 2, 0)]
        for i in range(1, CONVOLUTIONS[number - 1] + 1):
            out_channels = above if i == CONVOLUTIONS[number - 1] else channels
            shapes |= deconvolution(f"deconv{number}_{i}", channels, out_channels, 3)
            shapes |= norm_shapes(f"debn{number}_{i}", out_channels)
    theirs = random_tensors(shapes | convolution("seg-score-voc", CLASSES, CHANNELS[0], 1))
    theirs = folded(theirs, "bn1_1")
    net, _ = imported("caffe", old_style(blobs(theirs)), "deconvnet", **NPZ)
    images = image(224, 224)
    x, positions = encoder(theirs, bgr(images, DEEPLAB), "bn{}")
    x = norm(theirs, "bnfc6", conv(theirs, "fc6", x)).relu()
    x = norm(theirs, "bnfc7", conv(theirs, "fc7", x)).relu()
    x = norm(theirs, "fc6-deconv-bn", deconv(theirs, "fc6-deconv", x)).relu()
    for number, (indices, size) in zip(range(5, 0, -1), reversed(positions), strict=True):
        x = F.max_unpool2d(x, indices, 2, output_size=size)
        for i in range(1, CONVOLUTIONS[number - 1] + 1):
            x = deconv(theirs, f"deconv{number}_{i}", x, padding=1)
            x = norm(theirs, f"debn{number}_{i}", x).relu()
    with torch.inference_mode():
        close(net(images)["out"], conv(theirs, "seg-score-voc", x))


def front_end(tensors, images, mean, final):
    """fyu/dilation's network.py on an image with a mirrored border of 186 pixels."""
    x = F.pad(bgr(images, mean), (186,) * 4, mode="reflect")
    for number in range(1, 6):
        x = block(tensors, number, x, dilation=2 if number == 5 else 1)
        x = F.max_pool2d(x, 2, 2) if number < 4 else x
    x = conv(tensors, "fc7", conv(tensors, "fc6", x, dilation=4).relu()).relu()
    return conv(tensors, final, x)


def front_end_shapes(final, classes):
    shapes = vgg_shapes() | convolution("fc6", FC, CHANNELS[4], 7) | convolution("fc7", FC, FC, 1)
    return shapes | convolution(final, classes, FC, 1)


def test_dilatednets_front_end_on_the_cells_that_the_authors_have(imported, close):
    theirs = random_tensors(front_end_shapes("fc-final", 21))
    net, _ = imported("caffe", blobs(theirs), "dilatednet_frontend", **NPZ)
    images = image(192, 200)
    expected = front_end(theirs, images, (102.93, 111.36, 116.52), "fc-final")
    with torch.inference_mode():
        ours = net(images)["out"]
        whole = upsample_logits(ours, (192, 200))
    assert (ours.shape[-2:], expected.shape[-2:]) == ((25, 26), (24, 25))
    close(ours[..., :24, :25], expected)
    # The authors' interp_map: cell i on pixel 8·i.
    upsampled = F.interpolate(expected, (185, 193), mode="bilinear", align_corners=True)
    close(whole[..., :185, :193], upsampled)


@pytest.mark.parametrize(
    ("model", "prefix", "final", "data", "mean", "multipliers"),
    [
        ("dilation8", "ct", "fc-final", "voc", (102.93, 111.36, 116.52), (2, 2, 4, 8, 16, 32, 32)),
        ("dilatednet", "ctx", "final", "camvid", (110.70313206, 108.77808759, 105.41212523), (1,) * 7),
    ],
)
def test_dilatednets_context_modules(model, prefix, final, data, mean, multipliers, imported, close):
    classes = {"voc": 21, "camvid": 11}[data]
    shapes = front_end_shapes(final, classes) | context_shapes(prefix, classes, multipliers)
    theirs = random_tensors(shapes)
    net, _ = imported("caffe", blobs(theirs), model, f"data={data}", **NPZ)
    images = image(192, 200)
    with torch.inference_mode():
        # On our cells, of which the authors lack the last row and column.
        x = net.score(net.backbone(images)[32])
        close(x[..., :24, :25], front_end(theirs, images, mean, final))
        close(net(images)["out"], context(theirs, prefix, x, len(multipliers)))


def context_shapes(prefix, classes, multipliers):
    shapes, channels = {}, classes
    for name, multiplier in zip(layers_of(len(multipliers)), multipliers, strict=True):
        shapes |= convolution(f"{prefix}_{name}", classes * multiplier, channels, 3)
        channels = classes * multiplier
    return shapes | convolution(f"{prefix}_final", classes, channels, 1)


def layers_of(count):
    """The context module's 3×3 layers and their dilations."""
    middle = {f"conv{i}_1": 2 ** (i - 1) for i in range(2, count - 1)}
    return {"conv1_1": 1, "conv1_2": 1} | middle | {"fc1": 1}


def context(tensors, prefix, x, count):
    """network.py's context module: VOC's pads once, the others in every layer."""
    x = F.pad(x, (33,) * 4) if prefix == "ct" else x
    for name, dilation in layers_of(count).items():
        padding = 0 if prefix == "ct" else dilation
        x = conv(tensors, f"{prefix}_{name}", x, dilation=dilation, padding=padding).relu()
    return conv(tensors, f"{prefix}_final", x)


def test_dilation10_with_its_deconvolution_at_full_size(imported, close):
    theirs = random_tensors(front_end_shapes("final", 19) | context_shapes("ctx", 19, (1,) * 9))
    tent = bilinear_kernel(16).expand(19, 1, 16, 16)
    arrays = blobs(theirs) | {"ctx_upsample/0": tent}
    net, done = imported("caffe", arrays, "dilation10", "data=cityscapes", **NPZ)
    images = image(192, 200)
    with torch.inference_mode():
        x = context(theirs, "ctx", front_end(theirs, images, (72.39, 82.91, 73.16), "final"), 9)
        close(net(images)["out"], F.conv_transpose2d(x, tent, stride=8, padding=4, groups=19))
    assert "as published: model.upsampling=deconv" in done.out
