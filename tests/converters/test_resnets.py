"""Networks on ResNets: torchvision, deeplab-pytorch, semseg and segmentation_models.pytorch."""

import pytest
import torch
from torch.nn import functional as F

from segtrain.sizes import upsample_logits
from tests.converters.reference import bgr, random_tensors

IMAGES = torch.randint(0, 256, (1, 3, 65, 97), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
CLASSES = 21
SMALL = (2, 4, 8, 16)  # of the 3×3 convolutions at width 1/32
BLOCKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}


def bn(name, channels):
    shapes = {f"{name}.{kind}": (channels,) for kind in ("weight", "bias", "running_mean", "running_var")}
    return shapes | {f"{name}.num_batches_tracked": ()}


def conv_bn(conv, norm, out_channels, ins, kernel):
    return {f"{conv}.weight": (out_channels, ins, kernel, kernel)} | bn(norm, out_channels)


def resnet_shapes(depth, name, channels):
    """The four stages; `name(stage, block, unit)` gives the names of a unit's convolution and BatchNorm."""
    shapes = {}
    for stage, (blocks, nested) in enumerate(zip(BLOCKS[depth], SMALL, strict=True), start=1):
        for i in range(blocks):
            shapes |= conv_bn(*name(stage, i, 1), nested, channels, 1)
            shapes |= conv_bn(*name(stage, i, 2), nested, nested, 3)
            shapes |= conv_bn(*name(stage, i, 3), 4 * nested, nested, 1)
            if i == 0:
                shapes |= conv_bn(*name(stage, i, 0), 4 * nested, channels, 1)
            channels = 4 * nested
    return shapes


def normed(tensors, conv, norm, x, **how):
    """A convolution and its BatchNorm."""
    x = F.conv2d(x, tensors[f"{conv}.weight"], **how)
    kinds = ("running_mean", "running_var", "weight", "bias")
    return F.batch_norm(x, *(tensors[f"{norm}.{kind}"] for kind in kinds))


def stages(tensors, depth, name, x, dilations, *, stride_in):
    """Outputs of the four stages. dilations: of the first and of the other blocks of each stage."""
    out_channels = []
    for stage, blocks in enumerate(BLOCKS[depth], start=1):
        for i in range(blocks):
            strides = [1, 1, 1, 1]
            if stage == 2 and i == 0:  # the others have dilation
                strides[0] = strides[stride_in] = 2
            d = dilations[stage - 1][i > 0]
            y = normed(tensors, *name(stage, i, 1), x, stride=strides[1]).relu()
            y = normed(tensors, *name(stage, i, 2), y, stride=strides[2], padding=d, dilation=d).relu()
            y = normed(tensors, *name(stage, i, 3), y)
            x = (y + (normed(tensors, *name(stage, i, 0), x, stride=strides[0]) if i == 0 else x)).relu()
        out_channels.append(x)
    return out_channels


def torchvisions_names(prefix):
    def name(stage, block, unit):
        start = f"{prefix}layer{stage}.{block}"
        if unit == 0:
            return f"{start}.downsample.0", f"{start}.downsample.1"
        return f"{start}.conv{unit}", f"{start}.bn{unit}"

    return name


def resize(x, size, corners=True):
    return F.interpolate(x, size, mode="bilinear", align_corners=corners)


def imagenet(images):
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    return (images / 255 - mean.view(3, 1, 1)) / std.view(3, 1, 1)


def kazutos_names(wrapper, shortcut):
    units = (shortcut, "reduce", "conv3x3", "increase")

    def name(stage, block, unit):
        start = f"{wrapper}layer{stage + 1}.block{block + 1}.{units[unit]}"
        return f"{start}.conv", f"{start}.bn"

    return name


@pytest.mark.parametrize(
    ("wrapper", "shortcut", "aspp"), [("base.", "shortcut", "aspp.c"), ("scale.", "proj", "aspp.stages.c")]
)
def test_deeplab_pytorchs_deeplab_v2_over_its_scales(wrapper, shortcut, aspp, imported, close):
    name = kazutos_names(wrapper, shortcut)
    stem = (f"{wrapper}layer1.conv1.conv", f"{wrapper}layer1.conv1.bn")
    shapes = conv_bn(*stem, 2, 3, 7) | resnet_shapes(101, name, 2)
    for i in range(4):
        shapes |= {f"{wrapper}{aspp}{i}.weight": (CLASSES, 64, 3, 3), f"{wrapper}{aspp}{i}.bias": (CLASSES,)}
    theirs = random_tensors(shapes)
    net, done = imported("deeplab-pytorch", theirs, "deeplabv2")

    def at_one_scale(x):
        x = normed(theirs, *stem, x, stride=2, padding=3).relu()
        x = F.max_pool2d(x, 3, 2, 1, ceil_mode=True)
        x = stages(theirs, 101, name, x, ((1, 1), (1, 1), (2, 2), (4, 4)), stride_in=1)[-1]
        score = f"{wrapper}{aspp}"
        scores = [(theirs[f"{score}{i}.weight"], theirs[f"{score}{i}.bias"]) for i in range(4)]
        rates = (6, 12, 18, 24)
        return sum(F.conv2d(x, *s, padding=r, dilation=r) for s, r in zip(scores, rates, strict=True))

    for images in (IMAGES, IMAGES[..., :60, :92]):  # MSC.forward and main.py's resizing
        x = bgr(images, (104.008, 116.669, 122.675))
        maps = [at_one_scale(x)]
        for scale in (0.5, 0.75):
            smaller = F.interpolate(x, scale_factor=scale, mode="bilinear", align_corners=False)
            maps.append(resize(at_one_scale(smaller), maps[0].shape[-2:], corners=False))
        expected = resize(torch.stack(maps).amax(0), images.shape[-2:], corners=False)
        with torch.inference_mode():
            close(net(images)["out"], expected)
    assert "as published: model._target_=segtrain.converters.stretched.StretchedDeepLabV2" in done.out


@pytest.mark.parametrize(("model", "depth", "with_aux"), [("pspnet50", 50, True), ("pspnet101", 101, False)])
def test_semsegs_pspnet_upsampled_by_8(model, depth, with_aux, imported, close):
    name, shapes = torchvisions_names(""), {}
    for i, (out_channels, ins) in enumerate(((2, 3), (2, 2), (4, 2))):
        shapes |= conv_bn(f"layer0.{3 * i}", f"layer0.{3 * i + 1}", out_channels, ins, 3)
    shapes |= resnet_shapes(depth, name, 4)
    for i in range(4):
        shapes |= conv_bn(f"ppm.features.{i}.1", f"ppm.features.{i}.2", 16, 64, 1)
    for head, nested, ins in (("cls", 16, 128), ("aux", 8, 32))[: 1 + with_aux]:
        shapes |= conv_bn(f"{head}.0", f"{head}.1", nested, ins, 3)
        shapes |= {f"{head}.4.weight": (CLASSES, nested, 1, 1), f"{head}.4.bias": (CLASSES,)}
    theirs = random_tensors(shapes)
    parallel = {"epoch": 50, "state_dict": {f"module.{key}": value for key, value in theirs.items()}}
    net, _ = imported("semseg", parallel, model)
    x = imagenet(IMAGES)
    for i, stride in enumerate((2, 1, 1)):
        x = normed(theirs, f"layer0.{3 * i}", f"layer0.{3 * i + 1}", x, stride=stride, padding=1).relu()
    x = F.max_pool2d(x, 3, 2, 1)
    *_, third, x = stages(theirs, depth, name, x, ((1, 1), (1, 1), (2, 2), (4, 4)), stride_in=2)
    maps = [x]
    for i, bins in enumerate((1, 2, 3, 6)):
        pooled = F.adaptive_avg_pool2d(x, bins)
        pooled = normed(theirs, f"ppm.features.{i}.1", f"ppm.features.{i}.2", pooled).relu()
        maps.append(resize(pooled, x.shape[-2:]))

    def head(part, x):
        x = normed(theirs, f"{part}.0", f"{part}.1", x, padding=1).relu()
        return F.conv2d(x, theirs[f"{part}.4.weight"], theirs[f"{part}.4.bias"])

    with torch.inference_mode():
        ours = net(IMAGES)["out"]
        close(upsample_logits(ours, (65, 97)), resize(head("cls", torch.cat(maps, 1)), (65, 97)))
        assert (net.aux is not None) == with_aux
        if with_aux:
            close(net.aux(net.backbone(IMAGES)[16]), head("aux", third))


def deeplabv3_shapes(name, first, aspp, conv, norm, score):
    shapes = conv_bn(*first, 2, 3, 7) | resnet_shapes(50, name, 2)
    for i, kernel in enumerate((1, 3, 3, 3)):
        shapes |= conv_bn(f"{aspp}.convs.{i}.0", f"{aspp}.convs.{i}.1", 8, 64, kernel)
    shapes |= conv_bn(f"{aspp}.convs.4.1", f"{aspp}.convs.4.2", 8, 64, 1)
    shapes |= conv_bn(f"{aspp}.project.0", f"{aspp}.project.1", 8, 40, 1)
    return shapes | conv_bn(conv, norm, 8, 8, 3) | {f"{score}.weight": (21, 8, 1, 1), f"{score}.bias": (21,)}


def deeplabv3(theirs, name, first, aspp, conv, norm, score, dilations):
    """Logits of torchvision's and smp's DeepLabV3, which have one head."""
    x = F.max_pool2d(normed(theirs, *first, imagenet(IMAGES), stride=2, padding=3).relu(), 3, 2, 1)
    x = stages(theirs, 50, name, x, dilations, stride_in=2)[-1]
    views = [normed(theirs, f"{aspp}.convs.0.0", f"{aspp}.convs.0.1", x).relu()]
    for i, rate in enumerate((12, 24, 36), start=1):
        names = (f"{aspp}.convs.{i}.0", f"{aspp}.convs.{i}.1")
        views.append(normed(theirs, *names, x, padding=rate, dilation=rate).relu())
    mean = normed(theirs, f"{aspp}.convs.4.1", f"{aspp}.convs.4.2", x.mean((2, 3), keepdim=True)).relu()
    x = torch.cat([*views, mean.expand(-1, -1, *x.shape[-2:])], 1)
    x = normed(theirs, f"{aspp}.project.0", f"{aspp}.project.1", x).relu()
    x = normed(theirs, conv, norm, x, padding=1).relu()
    return F.conv2d(x, theirs[f"{score}.weight"], theirs[f"{score}.bias"])


def test_torchvisions_deeplabv3_without_its_auxiliary_head(imported, close):
    name, first = torchvisions_names("backbone."), ("backbone.conv1", "backbone.bn1")
    parts = ("classifier.0", "classifier.1", "classifier.2", "classifier.4")
    theirs = random_tensors(deeplabv3_shapes(name, first, *parts))
    aux = random_tensors(conv_bn("aux_classifier.0", "aux_classifier.1", 8, 32, 3))
    net, done = imported("torchvision", theirs | aux, "deeplabv3_torchvision")
    expected = deeplabv3(theirs, name, first, *parts, ((1, 1), (1, 1), (1, 2), (2, 4)))
    with torch.inference_mode():
        close(net(IMAGES)["out"], resize(expected, (65, 97), corners=False))
    assert "aux_classifier.0.weight and 5 more: the auxiliary head, which ours has not" in done.out


@pytest.mark.parametrize("decoder", [("aspp", "conv", "bn"), ("0", "1", "2")])
def test_smps_deeplabv3_by_its_new_and_its_former_names(decoder, imported, close):
    name, first = torchvisions_names("encoder."), ("encoder.conv1", "encoder.bn1")
    parts = (*(f"decoder.{part}" for part in decoder), "segmentation_head.0")
    theirs = random_tensors(deeplabv3_shapes(name, first, *parts))
    net, done = imported("smp", theirs, "deeplabv3")
    expected = deeplabv3(theirs, name, first, *parts, ((1, 1), (1, 1), (2, 2), (4, 4)))
    with torch.inference_mode():
        close(net(IMAGES)["out"], resize(expected, (65, 97)))
    assert "as published: model.backbone.multi_grid=[1, 1, 1]" in done.out


def caffes_deeplab(tensors, stem, name):
    """Tensors of deeplab-pytorch as blobs of deeplab_ResNet101; sums of 7 batches' statistics."""
    arrays = {}

    def layer(conv, norm, unit):
        arrays[f"{unit[0]}/0"] = tensors[f"{conv}.weight"]
        for i, kind in enumerate(("running_mean", "running_var")):
            arrays[f"{unit[1]}/{i}"] = 7 * tensors[f"{norm}.{kind}"]
        arrays[f"{unit[1]}/2"] = torch.tensor([7.0])
        arrays[f"{unit[2]}/0"], arrays[f"{unit[2]}/1"] = tensors[f"{norm}.weight"], tensors[f"{norm}.bias"]

    layer(*stem, ("conv1", "bn_conv1", "scale_conv1"))
    for stage, blocks in enumerate(BLOCKS[101], start=1):
        for i in range(blocks):
            letter = "abc"[i] if blocks == 3 else "a" if i == 0 else f"b{i}"
            for unit, branch in ((1, "2a"), (2, "2b"), (3, "2c"), (0, "1"))[: 4 if i == 0 else 3]:
                end = f"{stage + 1}{letter}_branch{branch}"
                layer(*name(stage, i, unit), (f"res{end}", f"bn{end}", f"scale{end}"))
    return arrays


def test_caffes_deeplab_v2_on_resnet_101(imported, close):
    name, stem = kazutos_names("", "shortcut"), ("layer1.conv1.conv", "layer1.conv1.bn")
    theirs = random_tensors(conv_bn(*stem, 2, 3, 7) | resnet_shapes(101, name, 2))
    arrays = caffes_deeplab(theirs, stem, name)
    scores = random_tensors(
        {f"fc1_voc12_c{i}/{b}": ((CLASSES, 64, 3, 3), (CLASSES,))[b] for i in range(4) for b in (0, 1)}
    )
    at_other_scales = {"conv1_res075/0": arrays["conv1/0"], "fc1_voc12_c0_res05/0": scores["fc1_voc12_c0/0"]}
    net, done = imported("caffe", arrays | scores | at_other_scales, "deeplabv2", file="theirs.npz")
    x = normed(theirs, *stem, bgr(IMAGES, (104.008, 116.669, 122.675)), stride=2, padding=3).relu()
    x = F.max_pool2d(x, 3, 2, 1, ceil_mode=True)
    x = stages(theirs, 101, name, x, ((1, 1), (1, 1), (2, 2), (4, 4)), stride_in=1)[-1]
    maps = [
        F.conv2d(x, scores[f"fc1_voc12_c{i}/0"], scores[f"fc1_voc12_c{i}/1"], padding=r, dilation=r)
        for i, r in enumerate((6, 12, 18, 24))
    ]
    with torch.inference_mode():
        close(net.score(net.backbone(IMAGES)[32]), sum(maps))
    assert "the same weights at another scale" in done.out


@pytest.mark.parametrize(("model", "depth", "with_aux"), [("pspnet50", 50, True), ("pspnet101", 101, False)])
def test_caffes_pspnet_with_its_pyramid_the_other_way_round(model, depth, with_aux, imported, close):
    def name(stage, block, unit):
        start = f"conv{stage + 1}_{block + 1}"
        conv = f"{start}_{('1x1_proj', '1x1_reduce', '3x3', '1x1_increase')[unit]}"
        return conv, f"{conv}/bn"

    shapes, stem = {}, ("conv1_1_3x3_s2", "conv1_2_3x3", "conv1_3_3x3")
    for conv, out_channels, ins in zip(stem, (2, 2, 4), (3, 2, 2), strict=True):
        shapes |= conv_bn(conv, f"{conv}/bn", out_channels, ins, 3)
    shapes |= resnet_shapes(depth, name, 4)
    for bins in (1, 2, 3, 6):
        shapes |= conv_bn(f"conv5_3_pool{bins}_conv", f"conv5_3_pool{bins}_conv/bn", 16, 64, 1)
    aux = f"conv4_{sum(BLOCKS[depth][2:3]) + 1}"
    for conv, score, channels, ins in (("conv5_4", "conv6", 16, 128), (aux, "conv6_1", 8, 32))[
        : 1 + with_aux
    ]:
        shapes |= conv_bn(conv, f"{conv}/bn", channels, ins, 3)
        shapes |= {f"{score}.weight": (CLASSES, channels, 1, 1), f"{score}.bias": (CLASSES,)}
    theirs = random_tensors({key: shape for key, shape in shapes.items() if "num_batches" not in key})
    blobs = {"weight": "0", "bias": "1", "running_mean": "2", "running_var": "3"}
    arrays = {f"{key.rpartition('.')[0]}/{blobs[key.rpartition('.')[2]]}": x for key, x in theirs.items()}
    net, done = imported("caffe", arrays, model, file="theirs.npz")

    x = bgr(IMAGES, (103.939, 116.779, 123.68))
    for conv, stride in zip(stem, (2, 1, 1), strict=True):
        x = normed(theirs, conv, f"{conv}/bn", x, stride=stride, padding=1).relu()
    x = F.max_pool2d(x, 3, 2, 1)
    stride_in = 1 if depth == 50 else 2
    *_, third, x = stages(theirs, depth, name, x, ((1, 1), (1, 1), (2, 2), (4, 4)), stride_in=stride_in)
    maps = [x]
    for bins in (6, 3, 2, 1):
        conv = f"conv5_3_pool{bins}_conv"
        maps.append(
            resize(normed(theirs, conv, f"{conv}/bn", F.adaptive_avg_pool2d(x, bins)).relu(), x.shape[-2:])
        )
    x = normed(theirs, "conv5_4", "conv5_4/bn", torch.cat(maps, 1), padding=1).relu()
    with torch.inference_mode():
        close(net(IMAGES)["out"], F.conv2d(x, theirs["conv6.weight"], theirs["conv6.bias"]))
        assert (net.aux is not None) == with_aux
        if with_aux:
            x = normed(theirs, aux, f"{aux}/bn", third, padding=1).relu()
            expected = F.conv2d(x, theirs["conv6_1.weight"], theirs["conv6_1.bias"])
            close(net.aux(net.backbone(IMAGES)[16]), expected)
    assert ("as published: model.backbone.stride_in=1x1" in done.out) == (depth == 50)
