"""What holds for every encoder of timm, alone and under each head."""

import torch
from torch.nn import functional as F

from segtrain import build_model
from segtrain.errors import InputError
from segtrain.sizes import stride_of, upsample_logits

SWIN = "swin_tiny_patch4_window7_224"
HEADS = ("fcn32s", "deeplabv3", "deeplabv3plus", "pspnet50", "unet_encoder", "linear")
SIZES = ((33, 65), (130, 71))


def with_head(head, name, options=None, **keys):
    """The model, dilated where timm can."""
    torch.manual_seed(0)
    chosen = {"name": f"timm/{name}", "options": options or {}, "pyramid_channels": 16}
    width = {} if head in ("fcn32s", "linear") else {"width": 1 / 16}

    def built(**more):
        return build_model(head, num_classes=3, backbone=chosen, **width, **keys, **more)

    if head not in ("deeplabv3", "deeplabv3plus", "pspnet50") or keys:
        return built()
    try:
        return built()
    except InputError as error:
        if "cannot dilate" not in str(error):
            raise
        return built(output_stride=32)


def check_features_are_timms_own(backbone):
    """Against timm's network with the same weights, on an image normalised and padded here."""
    import timm

    config = timm.get_pretrained_cfg(backbone.name)
    images = torch.randint(0, 256, (1, 3, 97, 130), dtype=torch.uint8)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (config.mean, config.std))
    x = backbone.normalize(images)
    assert torch.allclose(x, (images / 255 - mean) / std, atol=1e-6)
    with torch.inference_mode():
        ours = backbone(images)
        if backbone.plain:
            x = F.pad(x, [0, padded(130, backbone) - 130, 0, padded(97, backbone) - 97])
            if backbone.patch != backbone.cell:
                size = [side * backbone.patch // backbone.cell for side in x.shape[-2:]]
                x = F.interpolate(x, size, mode="bilinear")
            model = backbone.net.model
            tokens = model.forward_features(x)[:, model.num_prefix_tokens :]
            cells = [side // backbone.patch for side in x.shape[-2:]]
            theirs = {backbone.feature_info.last: tokens.transpose(1, 2).unflatten(2, cells)}
        else:
            x = F.pad(x, [0, padded(130, backbone) - 130, 0, padded(97, backbone) - 97])
            maps = [m.permute(0, 3, 1, 2) if backbone.channels_last else m for m in backbone.net(x)]
            theirs = dict(zip(backbone.natural, maps, strict=True))
    for stage, expected in theirs.items():
        assert torch.allclose(ours[stage], expected, atol=1e-6 * max(expected.abs().max().item(), 1)), stage


def padded(side, backbone):
    """The side that the backbone should see: k·unit + 1 if it is centred on pixels, else k·unit."""
    unit = backbone.unit
    if backbone.whole_cells:
        return -(-(side - 1) // unit) * unit + 1
    return -(-(side + backbone.beyond) // unit) * unit


def check_alignment(*backbones, side=256, positions=8, finest=2):
    """A dot's traces in a stage's features have their centre on the dot, in the mean over its positions.

    The traces are what changes in the features of random weights.

    Args:
        backbones: of one network, each with other weights.
        side: of the images; positions: of the dot, within the share of a cell.
        finest: stage that is looked at.
    """
    found = [misalignment(backbone, side, positions) for backbone in backbones]
    for stage, grid in backbones[0].feature_info.grids.items():
        off = sum(each[stage] for each in found) / len(found)
        wrong = stage >= finest and abs(off) >= 0.3 * grid.stride + 0.5
        assert not wrong, f"stage {stage}: {off:.2f} pixels off, stride {grid.stride}"


def misalignment(backbone, side, positions):
    """By stage, how many pixels a dot's traces lie beside it."""
    for name, parameter in backbone.named_parameters():  # branches that start at zero would not be seen
        if not parameter.any() and not name.endswith("bias"):
            torch.nn.init.ones_(parameter)
    ground, found = torch.full((1, 3, side, side), 100.0), {}
    for stage, grid in backbone.feature_info.grids.items():
        step = max(grid.stride // positions, 1)
        at = torch.arange(side // 2 - grid.stride // 2, side // 2 + grid.stride // 2, step) + step // 2
        images = ground.repeat(len(at), 1, 1, 1)
        for image, pixel in zip(images, at, strict=True):
            image[:, pixel, pixel] = torch.tensor([255.0, 0.0, 255.0])
        with torch.no_grad():
            changed = (backbone(images)[stage] - backbone(ground)[stage]).square().sum(1)
        little = changed < 0.3 * changed.amax((1, 2), keepdim=True)
        changed[little] = 0  # attention changes all cells of a window
        cells = torch.arange(changed.shape[1]) * grid.stride + grid.offset
        centres = (changed.sum(2) * cells).sum(1) / changed.sum((1, 2))
        found[stage] = (centres - at).mean().item()
    return found


def check_sizes(model):
    model.eval()
    for height, width in SIZES:
        with torch.inference_mode():
            out = model(torch.zeros(1, 3, height, width, dtype=torch.uint8))["out"]
        for cells, pixels in zip(out.shape[-2:], (height, width), strict=True):
            stride = stride_of(cells, pixels)
            assert stride * (cells - 1) + 1 >= pixels
            assert stride * (cells - 2) + 1 < pixels
        assert upsample_logits(out, (height, width)).shape == (1, 3, height, width)


def check_gradients(model):
    model.train()
    for name, parameter in model.named_parameters():
        if "score" in name:
            torch.nn.init.normal_(parameter)
    outputs = model(torch.rand(2, 3, 64, 96) * 255)
    sum(out.square().sum() for out in outputs.values()).backward()
    missing = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    assert missing == []
