"""pytorch-fcn's files and Caffe's FCNs."""

import pytest
import torch
from torch.nn import functional as F

from segtrain.crf.torch_backend.backend import NormalisedFilter
from tests.converters.reference import (
    CHANNELS,
    CLASSES,
    FC,
    bgr,
    bilinear,
    blobs,
    block,
    conv,
    convolution,
    random_tensors,
    vgg_shapes,
)

VOC = (104.00698793, 116.66876762, 122.67891434)  # B, G, R
CAFFES = (104.00699, 116.66877, 122.67892)
DECONVOLUTIONS = {  # name -> kernel
    32: {"upscore": 64},
    16: {"upscore2": 4, "upscore16": 32},
    8: {"upscore2": 4, "upscore_pool4": 4, "upscore8": 16},
}
IMAGES = torch.randint(0, 256, (1, 3, 45, 61), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def pytorch_fcn(stride, classes=CLASSES):
    shapes = vgg_shapes() | convolution("fc6", FC, CHANNELS[4], 7) | convolution("fc7", FC, FC, 1)
    shapes |= convolution("score_fr", classes, FC, 1)
    if stride < 32:
        shapes |= convolution("score_pool4", classes, CHANNELS[3], 1)
    if stride < 16:
        shapes |= convolution("score_pool3", classes, CHANNELS[2], 1)
    deconvolutions = {f"{name}.weight": bilinear(classes, k) for name, k in DECONVOLUTIONS[stride].items()}
    return random_tensors(shapes) | deconvolutions


def logits(tensors, stride, images, *, at_once=False, mean=VOC):
    """fcn32s.py, fcn16s.py and fcn8s.py of pytorch-fcn."""

    def pool(x):
        return F.max_pool2d(x, 2, 2, ceil_mode=True)

    def cropped(x, offset, like):
        return x[:, :, offset : offset + like.shape[2], offset : offset + like.shape[3]]

    x = pool(block(tensors, 1, bgr(images, mean), padding=1, first=100))
    pool3 = pool(block(tensors, 3, pool(block(tensors, 2, x, padding=1)), padding=1))
    pool4 = pool(block(tensors, 4, pool3, padding=1))
    x = conv(tensors, "fc6", pool(block(tensors, 5, pool4, padding=1))).relu()
    x = conv(tensors, "score_fr", conv(tensors, "fc7", x).relu())
    if stride < 32:
        x = F.conv_transpose2d(x, tensors["upscore2.weight"], tensors.get("upscore2.bias"), stride=2)
        x = x + cropped(conv(tensors, "score_pool4", pool4 * (0.01 if at_once else 1)), 5, x)
    if stride < 16:
        x = F.conv_transpose2d(x, tensors["upscore_pool4.weight"], stride=2)
        x = x + cropped(conv(tensors, "score_pool3", pool3 * (0.0001 if at_once else 1)), 9, x)
    last = list(DECONVOLUTIONS[stride])[-1]
    x = F.conv_transpose2d(x, tensors[f"{last}.weight"], stride=stride)
    return cropped(x, {32: 19, 16: 27, 8: 31}[stride], images)


@pytest.mark.parametrize(
    ("model", "stride"), [("fcn32s", 32), ("fcn16s", 16), ("fcn8s", 8), ("fcn8s_atonce", 8)]
)
def test_pytorch_fcns_files_give_its_logits_at_full_size(model, stride, imported, close):
    theirs = pytorch_fcn(stride)
    net, done = imported("pytorch-fcn", {"epoch": 3, "model_state_dict": theirs}, model)
    with torch.inference_mode():
        close(net(IMAGES)["out"], logits(theirs, stride, IMAGES, at_once="atonce" in model))
    assert "as published: model.backbone.padding=100" in done.out
    assert "bilinear, as ours is without weights" in done.out
    assert net.class_names[1] == "aeroplane"


def test_deconvolutions_that_were_learned_are_learned_here_too(imported, close):
    theirs = pytorch_fcn(16)
    theirs["upscore2.weight"] += 0.1 * torch.randn(theirs["upscore2.weight"].shape)
    net, done = imported("pytorch-fcn", theirs, "fcn16s")
    with torch.inference_mode():
        close(net(IMAGES)["out"], logits(theirs, 16, IMAGES))
    assert "as published: model.learn_upsampling=True" in done.out


def test_the_padding_that_the_user_gives_is_kept(imported):
    net, done = imported("pytorch-fcn", pytorch_fcn(32), "fcn32s", "model.backbone.padding=1")
    assert net.backbone.block1[0].padding == (1, 1)
    assert "kept: model.backbone.padding=1, the published network has 100" in done.out


def test_caffes_fcn8s_at_once_is_known_by_its_scale_layers(imported, close):
    theirs = pytorch_fcn(8)
    scales = {"scale_pool4/0": torch.tensor([0.01]), "scale_pool3/0": torch.tensor([0.0001])}
    net, done = imported("caffe", blobs(theirs) | scales, "fcn8s", file="theirs.npz")
    with torch.inference_mode():
        close(net(IMAGES)["out"], logits(theirs, 8, IMAGES, at_once=True, mean=CAFFES))
    assert "as published: model.at_once=True" in done.out


def test_other_means_can_be_given(imported, close):
    theirs = pytorch_fcn(32)
    net, _ = imported("pytorch-fcn", theirs, "fcn32s", "mean=[108.353,115.294,114.578]")
    with torch.inference_mode():
        close(net(IMAGES)["out"], logits(theirs, 32, IMAGES, mean=(114.578, 115.294, 108.353)))


def test_caffes_fcn_alexnet_with_its_groups_and_normalisation(imported, close):
    channels = (4, 8, 12, 12, 8)  # at width 1/32, in two groups
    inputs, kernels = (3, 2, 8, 6, 6), (11, 5, 3, 3, 3)
    shapes = {}
    for i, (out_channels, ins, kernel) in enumerate(zip(channels, inputs, kernels, strict=True), start=1):
        shapes |= convolution(f"conv{i}", out_channels, ins, kernel)
    shapes |= (
        convolution("fc6", FC, 8, 6) | convolution("fc7", FC, FC, 1) | convolution("score_fr", CLASSES, FC, 1)
    )
    theirs = random_tensors(shapes) | {"upscore.weight": bilinear(CLASSES, 63)}
    net, _ = imported("caffe", blobs(theirs), "fcn32s", "model/backbone=alexnet", file="theirs.npz")

    def pool(x):
        return F.max_pool2d(x, 3, 2, ceil_mode=True)

    def norm(x):
        return F.local_response_norm(x, 5, 1e-4, 0.75)

    x = bgr(IMAGES, CAFFES)
    x = norm(pool(conv(theirs, "conv1", x, stride=4, padding=100).relu()))
    x = norm(pool(conv(theirs, "conv2", x, padding=2, groups=2).relu()))
    x = conv(theirs, "conv3", x, padding=1).relu()
    x = conv(theirs, "conv4", x, padding=1, groups=2).relu()
    x = pool(conv(theirs, "conv5", x, padding=1, groups=2).relu())
    x = conv(theirs, "score_fr", conv(theirs, "fc7", conv(theirs, "fc6", x).relu()).relu())
    x = F.conv_transpose2d(x, theirs["upscore.weight"], stride=32)[:, :, 18 : 18 + 45, 18 : 18 + 61]
    with torch.inference_mode():
        close(net(IMAGES)["out"], x)


@pytest.mark.parametrize("stride", [32, 16, 8])
def test_of_sift_flows_two_heads_the_semantic_one_is_taken(stride, imported, close):
    theirs = pytorch_fcn(stride, classes=33)
    semantic = {}
    for name, tensor in theirs.items():
        layer, kind = name.split(".")
        semantic[f"{layer}_sem.{kind}" if "score" in layer else name] = tensor
    geometry = {name.replace("_sem", "_geo"): x[:3] for name, x in semantic.items() if "_sem" in name}
    arrays = blobs(semantic | geometry)
    net, done = imported("caffe", arrays, f"fcn{stride}s", "data=siftflow", file="theirs.npz")
    with torch.inference_mode():
        # siftflow_layers.py's mean of B, G, R
        close(net(IMAGES)["out"], logits(theirs, stride, IMAGES, mean=(114.578, 115.294, 108.353)))
    assert "of another head, which ours has not" in done.out


def test_crf_rnn_with_the_matrices_of_its_layer_multiplied(imported, close):
    theirs = pytorch_fcn(8) | {"upscore2.bias": torch.linspace(-1, 1, CLASSES)}
    generator = torch.Generator().manual_seed(0)
    spatial, bilateral, shared = (
        scale * torch.eye(CLASSES) + 0.1 * torch.randn(CLASSES, CLASSES, generator=generator)
        for scale in (3, 5, 1)
    )
    layer = {"spatial_ker_weights": spatial, "bilateral_ker_weights": bilateral}
    layer["compatibility_matrix"] = shared
    net, done = imported("crfasrnn", theirs | {f"crfrnn.{k}": v for k, v in layer.items()}, "fcn8s_crf")
    assert "multiplied by the compatibility" in done.out
    unaries = logits(theirs, 8, IMAGES, mean=(103.939, 116.779, 123.68))
    filters = [NormalisedFilter(IMAGES, kernel) for kernel in net.mean_field.kernels]
    current = unaries
    for _ in range(net.mean_field.test_iterations):  # as their layer: columns of pixels
        rows = current.softmax(1)[0].flatten(1).T
        one, other = (own(rows).T for own in filters)
        current = unaries + (shared @ (spatial @ one + bilateral @ other)).view_as(unaries)
    with torch.inference_mode():
        close(net(IMAGES)["out"], current)
