"""timm's networks, built without a classifier and with weights that are read safely."""

from __future__ import annotations

import difflib
import importlib
from fnmatch import fnmatch
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from segtrain.errors import InputError, how_to_install
from segtrain.weights import Pretrained, downloaded, from_hub, read_tensors

STRIDES = (2, 4, 8, 14, 16, 32)  # of the features that are used
# What makes networks of a fixed input size take others; each network knows one of them, or none.
ANY_SIZE: tuple[dict[str, Any], ...] = ({"dynamic_img_size": True}, {"strict_img_size": False}, {})
REFUSED = (AssertionError, TypeError, ValueError, RuntimeError, NotImplementedError)


class Encoder(NamedTuple):
    """A network of timm that gives a list of features.

    Attributes:
        net: the module.
        natural: the stride of each feature without dilation; strides: with it.
        channels: of each feature.
        channels_last: features are N×h×w×C.
        side: of the images that it was made for.
    """

    net: nn.Module
    natural: list[int]
    strides: list[int]
    channels: list[int]
    channels_last: bool
    side: int


def timm_library() -> Any:
    """The timm module. Raises InputError where it is not installed."""
    try:
        return importlib.import_module("timm")
    except ImportError as error:
        raise InputError("model/backbone=timm: timm is not installed", do=how_to_install("timm")) from error


def timm_names(pattern: str) -> list[str]:
    """The names of timm's networks that fit a pattern such as `convnext*`, with tags where it has a dot.

    Raises:
        InputError: timm is not installed.
    """
    library = timm_library()
    names = library.list_pretrained() if "." in pattern else library.list_models()
    return [name for name in names if fnmatch(name, pattern)]


def normalization_of(name: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and std of RGB, 0..255, that the weights of a name were trained on."""
    config = _config(name)
    mean, std = (tuple(round(255 * value, 6) for value in values) for values in (config.mean, config.std))
    return mean, std


def build_encoder(
    name: str, options: dict[str, Any], *, output_stride: int = 32, pretrained: Pretrained = False
) -> Encoder:
    """Builds a network of timm.

    Args:
        name: with the tag of its weights, `resnet50.a1_in1k`.
        options: arguments of `timm.create_model`.
        output_stride: of the deepest features, by dilation.
        pretrained: false, true (the weights that `name` names), or a local file of them.

    Raises:
        InputError: no such network, weights that cannot be had, or strides that timm cannot dilate.
    """
    config = _config(name)
    with torch.device("meta"):
        scout: Any = _try(name, options | {"features_only": True}, config)
    info = scout.feature_info.info
    last = {int(entry["reduction"]): i for i, entry in enumerate(info)}  # the deepest of each stride
    chosen = {stride: i for stride, i in last.items() if stride in STRIDES}
    if not chosen:
        raise InputError(
            f"model.backbone.name={name}: has features of stride {', '.join(map(str, last))} alone",
            do="choose another",
        )
    arguments = dict(options)
    if pretrained:
        state = _published(name, config, pretrained)
        arguments |= {"pretrained": True, "pretrained_cfg_overlay": {"state_dict": state}}
    plain = len(last) == 1
    if plain:
        net: nn.Module = LastFeatures(_try(name, arguments | {"num_classes": 0, "global_pool": ""}, config))
    else:
        arguments |= {"features_only": True, "out_indices": tuple(chosen.values())}
        if output_stride != 32:
            arguments["output_stride"] = output_stride
        net = _try(name, arguments, config, output_stride)
    _forget_weights(net)
    channels = [info[i]["num_chs"] for i in chosen.values()]
    channels_last = getattr(getattr(net, "output_fmt", None), "value", "NCHW") == "NHWC"
    natural = list(chosen)
    strides = natural if plain else [min(stride, output_stride) for stride in natural]
    return Encoder(net, natural, strides, channels, channels_last, config.input_size[-1])


def _config(name: str) -> Any:
    """timm's description of the weights of a name. Raises InputError: no such network."""
    library = timm_library()
    architecture = name.split(".")[0]
    if not library.is_model(architecture):
        near = difflib.get_close_matches(architecture, library.list_models(), 3)
        hint = f"did you mean {' or '.join(near)}?" if near else "see segtrain.list_backbones('timm/*')"
        raise InputError(f"model.backbone.name={name}: timm has no such network", do=hint)
    try:
        config = library.get_pretrained_cfg(name)
    except RuntimeError as error:
        tags = [known for known in library.list_pretrained() if known.split(".")[0] == architecture]
        raise InputError(
            f"model.backbone.name={name}: timm has no weights of this tag",
            do=f"there are {', '.join(tags[:8]) or 'none'}",
        ) from error
    if config is None:
        raise InputError(f"model.backbone.name={name}: timm does not describe its input", do="choose another")
    return config


def _try(name: str, arguments: dict[str, Any], config: Any, output_stride: int = 32) -> nn.Module:
    """The network, for images of any size where timm can. Raises InputError with timm's reason."""
    errors = []
    for extra in ANY_SIZE if config.fixed_input_size else ANY_SIZE[-1:]:
        try:
            return timm_library().create_model(name, **extra, **arguments)
        except REFUSED as error:
            errors.append(error)
    reason = " ".join(str(errors[-1]).split())[:200] or type(errors[-1]).__name__
    if output_stride != 32:
        raise InputError(
            f"model.output_stride={output_stride}: timm cannot dilate {name}, whose deepest features have"
            f" stride 32 ({reason})",
            do="use model.output_stride=32, or choose another model.backbone.name",
        ) from errors[-1]
    raise InputError(
        f"model.backbone.name={name}: timm cannot give its features ({reason})", do="choose another"
    )


class LastFeatures(nn.Module):
    """A transformer of timm that gives its last features N×C×h×w, as its classifier sees them: after
    its final norm."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model: Any = model

    def forward(self, x: Tensor) -> list[Tensor]:
        return self.model.forward_intermediates(x, indices=1, norm=True, intermediates_only=True)


def _published(name: str, config: Any, pretrained: Pretrained) -> dict[str, torch.Tensor]:
    """The tensors of `name`, or of a file. Raises InputError."""
    if pretrained is not True:
        return read_tensors(str(pretrained), "model.backbone.pretrained", wanted=f"timm's file for {name}")
    if config.hf_hub_id:
        path = from_hub(config.hf_hub_id, config.hf_hub_filename or "model.safetensors")
    elif config.url:
        path = downloaded(config.url)
    else:
        raise InputError(f"model.backbone.pretrained=true: timm has no weights of {name}", do="add their tag")
    return read_tensors(path, "model.backbone.pretrained", wanted="another")


def _forget_weights(net: nn.Module) -> None:
    """timm notes where weights came from, here the very tensors: a second copy."""
    for module in net.modules():
        for attribute in ("pretrained_cfg", "default_cfg"):
            noted = getattr(module, attribute, None)
            if isinstance(noted, dict):
                noted.pop("state_dict", None)
