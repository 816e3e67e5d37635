"""Any network of segmentation_models.pytorch (extra `smp`).

"Segmentation Models Pytorch", Iakubovskii, 2019, https://github.com/qubvel-org/segmentation_models.pytorch:
Unet, UnetPlusPlus, MAnet, Linknet, FPN, PSPNet, DeepLabV3, DeepLabV3Plus, PAN, UPerNet, Segformer and DPT on
its own encoders, or on timm's by `tu-NAME`.

The network is the library's, its logits are its own. Images get zeros to the right and below up to whole
cells of 32 pixels, which its decoders ask for.
"""

from __future__ import annotations

import importlib
import json
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segtrain.errors import InputError, how_to_install
from segtrain.layers.grid import crop
from segtrain.layers.normalize import normalization
from segtrain.weights import from_hub

UNIT = 32


class SmpModel(nn.Module):
    """Images N×C×H×W to {"out": logits N×K×H×W}.

    Args:
        num_classes: K.
        arch: of the library, in lower case: `unetplusplus`.
        encoder_name: of the library: `resnet34`, or `tu-convnext_tiny`.
        in_channels: C.
        options: more arguments of the architecture: `{decoder_channels: [128, 64, 32, 16, 8]}`.
        pretrained: false, true (the encoder's ImageNet weights) or the name of others: `advprop`.

    Raises:
        InputError: the library is not installed, or lacks the architecture, the encoder or the weights.

    Example:
        >>> segtrain.build_model("smp", num_classes=21, arch="fpn", encoder_name="resnet18")
    """

    def __init__(
        self,
        *,
        num_classes: int,
        arch: str = "unetplusplus",
        encoder_name: str = "resnet34",
        in_channels: int = 3,
        options: dict | None = None,
        pretrained: bool | str = False,
    ):
        super().__init__()
        library = smp_library()
        known = library.MODEL_ARCHITECTURES_MAPPING
        if arch.lower() not in known:
            raise InputError(
                f"model.arch={arch}: smp has no such network", do=f"there are {', '.join(known)}"
            )
        self.normalize = normalization(in_channels)
        weights = self._fetched(library, encoder_name, pretrained) if pretrained else None
        try:
            self.net = library.create_model(
                arch,
                encoder_name=encoder_name,
                encoder_weights=weights,
                in_channels=in_channels,
                classes=num_classes,
                **(options or {}),
            )
        except KeyError as error:
            raise InputError(
                f"model.encoder_name={encoder_name}: smp has no such encoder",
                do="see its list, or give one of timm's by tu-NAME",
            ) from error

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        height, width = images.shape[-2:]
        x = F.pad(self.normalize(images), [0, -width % UNIT, 0, -height % UNIT])
        return {"out": crop(self.net(x), 0, 0, (height, width))}

    def _fetched(self, library: Any, encoder_name: str, pretrained: bool | str) -> str | bool:
        """The name of the weights, which are then in the cache; takes their normalisation."""
        if encoder_name.startswith("tu-"):
            import timm

            config: Any = timm.get_pretrained_cfg(encoder_name.removeprefix("tu-"))
            if config is None or not config.hf_hub_id:
                raise InputError(
                    f"model.encoder_name={encoder_name}: timm has no weights of it", do="add a tag"
                )
            from_hub(config.hf_hub_id, config.hf_hub_filename or "model.safetensors")
            self._take(config.mean, config.std, 255)
            return True
        name = "imagenet" if pretrained is True else str(pretrained)
        settings = library.encoders.encoders.get(encoder_name, {}).get("pretrained_settings", {})
        if name not in settings:
            raise InputError(
                f"model.pretrained={pretrained}: smp has no such weights of {encoder_name}",
                do=f"there are {', '.join(settings) or 'none'}",
            )
        at = settings[name]["repo_id"], settings[name]["revision"]
        about = json.loads(from_hub(at[0], "config.json", at[1]).read_text(encoding="utf-8"))
        from_hub(at[0], "model.safetensors", at[1])
        if about.get("input_space", "RGB") != "RGB":
            raise InputError(f"model.encoder_name={encoder_name}: its weights want BGR", do="choose another")
        self._take(about["mean"], about["std"], 255 / max(about.get("input_range", [0, 1])))
        return name

    def _take(self, mean: list[float], std: list[float], scale: float) -> None:
        for buffer, values in ((self.normalize.mean, mean), (self.normalize.std, std)):
            if buffer.numel() == len(values):
                buffer.copy_(torch.tensor(values).view(-1, 1, 1) * scale)


def smp_library() -> Any:
    """The library. Raises InputError where it is not installed."""
    try:
        return importlib.import_module("segmentation_models_pytorch")
    except ImportError as error:
        raise InputError(
            "model=smp: segmentation_models_pytorch is not installed", do=how_to_install("smp")
        ) from error
