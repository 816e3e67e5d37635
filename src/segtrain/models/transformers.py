"""Any network for semantic segmentation of the transformers library (extra `transformers`).

"Transformers: State-of-the-Art Natural Language Processing", Wolf et al., EMNLP 2020,
https://arxiv.org/abs/1910.03771; its SegFormer (Xie et al. 2021, https://arxiv.org/abs/2105.15203), UperNet,
DPT, MobileViT and others.

The network is the library's; its logits are brought to the image's size as its own loss does, bilinearly
with cells in the middle of their shares. Images get zeros to the right and below up to whole cells of 32
pixels. A checkpoint keeps the network's whole configuration: it is built again without the library's hub.
Departs: the auxiliary head of UperNet is left out.
"""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segtrain.errors import InputError, how_to_install
from segtrain.files import user_path
from segtrain.layers.grid import crop
from segtrain.layers.normalize import normalization
from segtrain.weights import from_hub

UNIT = 32
# Layers that the library builds and does not use: without gradient they are no riddle to anybody.
UNUSED = {"dpt": ("dpt.layernorm", "neck.fusion_stage.layers.0.residual_layer1")}
SQUARE = ("dpt",)  # model types that take squares alone: images are padded to one
WEIGHTS = ("model.safetensors", "pytorch_model.bin")  # the second is read without executing what it carries
NOT_KEPT = (
    "id2label",
    "label2id",
    "num_labels",
    "transformers_version",
    "architectures",
    "dtype",
    "torch_dtype",
)


class TransformersModel(nn.Module):
    """Images N×C×H×W to {"out": logits N×K×H×W}.

    Args:
        num_classes: K.
        name: of a network on the Hugging Face Hub, or a folder with its files: its configuration is taken.
        model_type: where there is no name: `segformer`, `upernet`, `dpt`, ... with default numbers.
        config: keys of the network's configuration, on top. With `model_type` among them it is the whole
            one, and the name is not looked at; checkpoints have it so.
        in_channels: C.
        pretrained: with the weights of `name`; a classifier of other classes is initialised.

    Raises:
        InputError: the library is not installed, has no such network, or the files cannot be had.

    Example:
        >>> segtrain.build_model("transformers", num_classes=21, config={"depths": [1, 1, 1, 1]})
    """

    def __init__(
        self,
        *,
        num_classes: int,
        name: str | None = None,
        model_type: str = "segformer",
        config: dict | None = None,
        in_channels: int = 3,
        pretrained: bool = False,
    ):
        super().__init__()
        library = transformers_library()
        given = dict(config or {})
        if name and "model_type" not in given:
            given = json.loads(_file(name, "config.json").read_text(encoding="utf-8")) | given
        built = _configuration(library, {"model_type": model_type} | given, num_classes, in_channels)
        self.normalize = normalization(in_channels)
        self.square = built.model_type in SQUARE
        if pretrained:
            if not name:
                raise InputError("model.pretrained=true: model.name is missing", do="add model.name=NAME")
            self.net = self._pretrained(library, name, built)
        else:
            self.net = library.AutoModelForSemanticSegmentation.from_config(built)

        for part in UNUSED.get(built.model_type, ()):
            self.net.get_submodule(part).requires_grad_(False)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        height, width = images.shape[-2:]
        below, right = -height % UNIT, -width % UNIT
        if self.square:
            below += max(width + right - height - below, 0)
            right += max(height + below - width - right, 0)
        x = F.pad(self.normalize(images), [0, right, 0, below])
        logits = self.net(pixel_values=x).logits
        large = F.interpolate(logits, x.shape[-2:], mode="bilinear", align_corners=False)
        return {"out": crop(large, 0, 0, (height, width))}

    def saved_keys(self) -> dict[str, Any]:
        """Keys of the model for a checkpoint's config, by which it is built without `name`."""
        config: Any = self.net.config
        return {"config": _plain(config.to_dict())}

    def _pretrained(self, library: Any, name: str, config: Any) -> nn.Module:
        folder = _weights(name).parent
        about = folder / "preprocessor_config.json"
        if not Path(name).is_dir():
            try:
                about = from_hub(name, about.name)
            except InputError:  # some networks have none: ImageNet's numbers
                about = folder / "none"
        numbers = json.loads(about.read_text(encoding="utf-8")) if about.is_file() else {}
        for key, buffer in (("image_mean", self.normalize.mean), ("image_std", self.normalize.std)):
            if len(numbers.get(key, ())) == buffer.numel():
                buffer.copy_(torch.tensor(numbers[key]).view(-1, 1, 1) * 255)
        try:
            return library.AutoModelForSemanticSegmentation.from_pretrained(
                folder, config=config, ignore_mismatched_sizes=True, local_files_only=True
            )
        except (OSError, RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split())[:200]
            raise InputError(
                f"model.name={name}: its weights do not fit ({reason})", do="choose another"
            ) from error


def transformers_library() -> Any:
    """The library. Raises InputError where it is not installed."""
    try:
        return importlib.import_module("transformers")
    except ImportError as error:
        raise InputError(
            "model=transformers: transformers is not installed", do=how_to_install("transformers")
        ) from error


def _configuration(library: Any, given: dict[str, Any], num_classes: int, in_channels: int) -> Any:
    """The library's configuration object. Raises InputError where it has no network for this task."""
    kind = given["model_type"]
    kinds = {config.model_type for config in library.MODEL_FOR_SEMANTIC_SEGMENTATION_MAPPING}
    if kind not in kinds:
        raise InputError(
            f"model.model_type={kind}: transformers has no such network for semantic segmentation",
            do=f"there are {', '.join(sorted(kinds))}",
        )
    keys = {k: v for k, v in given.items() if k not in (*NOT_KEPT, "model_type")}
    config = library.AutoConfig.for_model(kind, **keys, num_labels=num_classes)
    nodes: tuple[Any, ...] = (config, getattr(config, "backbone_config", None))
    for each in nodes:
        if hasattr(each, "num_channels"):
            each.num_channels = in_channels
    config.use_auxiliary_head = False
    return config


def _file(name: str, filename: str) -> Path:
    folder = user_path(name)
    if not folder.is_dir():
        return from_hub(name, filename)
    if not (folder / filename).is_file():
        raise InputError(f"model.name={name}: has no {filename}", do="give the folder of a whole network")
    return folder / filename


def _weights(name: str) -> Path:
    """The file of weights. Raises InputError that names the safe one."""
    safe, other = WEIGHTS
    try:
        return _file(name, safe)
    except InputError:
        try:
            return _file(name, other)
        except InputError:
            pass
        raise


def _plain(values: Any) -> Any:
    """What JSON and a checkpoint's config hold of a configuration: no keys that begin with an underscore."""
    if isinstance(values, dict):
        kept = {str(k): v for k, v in values.items() if not str(k).startswith("_") and k not in NOT_KEPT}
        return {k: _plain(v) for k, v in kept.items()}
    if isinstance(values, list | tuple):
        return [_plain(v) for v in values]
    return values
