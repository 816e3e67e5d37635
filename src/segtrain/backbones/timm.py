"""Any encoder of the timm library (extra `timm`).

"PyTorch Image Models", Wightman, 2019, https://github.com/huggingface/pytorch-image-models.

Features are timm's own (`features_only`), at the strides of the network or, of a CNN whose strides timm
can exchange for dilation, at a smaller output stride. A plain vision transformer (ViT, DINOv2, DINOv3)
has one map: its last, normalised, is the stage of its stride, and the others come from a simple feature
pyramid (layers/simple_pyramid.py). Patches of 14 pixels become stages of stride 16: the image is made
smaller by 14/16, so that a patch sees 16 pixels.
Where cells lie is followed through the layers (layers/traced_grid.py). Images get zeros to the right and
below: up to stride·k + 1 pixels where cell i lies on pixel stride·i, else up to whole patches or windows.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from contextlib import nullcontext, suppress
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segtrain.backbones.timm_networks import REFUSED, Encoder, build_encoder, normalization_of
from segtrain.errors import InputError
from segtrain.layers.backbone import FeatureInfo
from segtrain.layers.grid import Grid
from segtrain.layers.normalize import normalization
from segtrain.layers.resample import lies_on_pixels
from segtrain.layers.simple_pyramid import PyramidLevel
from segtrain.layers.traced_grid import traced_grids
from segtrain.layers.whole_cells import pad_to_whole_cells
from segtrain.weights import Pretrained

STAGES = (2, 4, 8, 16, 32)
PYRAMID = (4, 8, 16, 32)


class TimmBackbone(nn.Module):
    """Features of an N×C×H×W image by stage: those of 2, 4, 8, 16 and 32 that the network has.

    Args:
        name: of timm's network, with the tag of its weights: `convnext_tiny.fb_in22k`.
        in_channels: C.
        pyramid_channels: of a plain vision transformer's feature pyramid.
        frozen: the network is not trained: no gradient, no activations kept, always in eval mode. The
            pyramid is trained nevertheless.
        options: more arguments of `timm.create_model`: `{drop_path_rate: 0.1}`.
        pretrained: false, true (the weights that `name` names) or a local file of them.

    Attributes:
        feature_info: the channels and the cells of each stage.

    Raises:
        InputError: timm is not installed, there is no such network, or it takes images of one size alone.

    Example:
        >>> TimmBackbone(name="resnet18.a1_in1k", pretrained=True)
    """

    def __init__(
        self,
        *,
        name: str,
        in_channels: int = 3,
        pyramid_channels: int = 256,
        frozen: bool = False,
        options: dict | None = None,
        pretrained: Pretrained = False,
    ):
        super().__init__()
        self.name, self.frozen, self.options = name, frozen, {"in_chans": in_channels, **(options or {})}
        self.pyramid_channels = pyramid_channels
        self.output_stride = STAGES[-1]
        self.normalize = normalization(in_channels, *normalization_of(name))
        self.pyramid = nn.ModuleDict()
        self._take(build_encoder(name, self.options, pretrained=pretrained))
        self.keep_stages(self.feature_info.stages)

    def set_output_stride(self, output_stride: Literal[8, 16, 32]) -> None:
        """Chooses strides and dilation for this stride of the deepest features; weights stay.

        Raises:
            InputError: timm cannot dilate this network.
        """
        before, self.output_stride = self.output_stride, output_stride
        if self.plain:
            self._name_stages()
            self.keep_stages(self.feature_info.stages)
        elif output_stride != before:
            state = self.net.state_dict()
            self._take(build_encoder(self.name, self.options, output_stride=output_stride))
            self.net.load_state_dict(state)

    def keep_stages(self, stages: Iterable[int]) -> None:
        """Drops the levels of the pyramid that none of these stages needs, and makes those that lack."""
        levels = {min(stage, self.output_stride) for stage in stages} if self.plain else set()
        wanted = {str(level): level for level in sorted(levels - {self.grids[0].stride})}
        for key in set(self.pyramid) - set(wanted):
            del self.pyramid[key]
        for key, level in wanted.items():
            if key not in self.pyramid:
                channels, grid = self.channels[0], self.grids[0]
                self.pyramid[key] = PyramidLevel(channels, self.pyramid_channels, grid=grid, level=level)

    def train(self, mode: bool = True) -> TimmBackbone:
        super().train(mode)
        if self.frozen:
            self.net.eval()
        return self

    def forward(self, images: Tensor, *, whole_cells: bool = True) -> dict[int, Tensor]:
        x = self.normalize(images)
        x = self._padded(x) if whole_cells else x
        with torch.no_grad() if self.frozen else nullcontext():
            maps = self.encode(x)
        if not self.plain:
            return dict(zip(self.feature_info.stages, maps, strict=True))
        own, levels = self.grids[0].stride, {}
        for stage in self.feature_info.stages:
            level = min(stage, self.output_stride)
            if level == own:
                levels[stage] = maps[-1]
            elif str(level) in self.pyramid:
                levels[stage] = self.pyramid[str(level)](maps[-1])
        return levels

    def encode(self, x: Tensor) -> list[Tensor]:
        """timm's features N×C×h×w of normalised images N×C×H×W whose sides suit it, finest first."""
        if self.patch != self.cell:
            size = [side // self.cell * self.patch for side in x.shape[-2:]]
            x = F.interpolate(x, size, mode="bilinear", align_corners=False)
        maps = self.net(x)
        return [m.permute(0, 3, 1, 2) for m in maps] if self.channels_last else list(maps)

    def _take(self, encoder: Encoder) -> None:
        """Makes timm's network ours, and finds where its cells lie."""
        self.net, self.channels_last = encoder.net, encoder.channels_last
        self.patch, self.cell = encoder.strides[-1], _power_of_two(encoder.strides[-1])
        self.plain = len(encoder.strides) == 1
        self.natural = [_power_of_two(stride) for stride in encoder.natural]
        self.channels = encoder.channels
        self.whole_cells, self.unit, self.grids = self._placed(encoder.strides[-1], encoder.side)
        # Pixels without which cells would not lie around, or half a cell from, the last ones.
        self.beyond = max(
            g.stride - 1 if lies_on_pixels(g) else math.ceil((g.stride - 1) / 2 - g.offset)
            for g in self.grids
        )
        self.beyond = max(self.beyond, 0)
        self._name_stages()
        if self.frozen:
            self.net.requires_grad_(False)
        self.train(self.training)

    def _name_stages(self) -> None:
        info = FeatureInfo(optional_padding=self.whole_cells)
        if not self.plain:
            for stage, channels, grid in zip(self.natural, self.channels, self.grids, strict=True):
                info.add(stage, channels, grid)
        else:
            own = self.grids[0]
            for stage in PYRAMID:
                level = min(stage, self.output_stride)
                channels = self.channels[0] if level == own.stride else self.pyramid_channels
                offset = own.offset + (level - own.stride) / 2
                info.add(stage, channels, Grid(level, offset))
            info.own_last = min(
                (s for s in PYRAMID if min(s, self.output_stride) == own.stride), default=own.stride
            )
        self.feature_info = info

    def _padded(self, x: Tensor) -> Tensor:
        if self.whole_cells:
            return pad_to_whole_cells(x, self.unit)
        height, width = (-(-(side + self.beyond) // self.unit) * self.unit for side in x.shape[-2:])
        return F.pad(x, [0, width - x.shape[-1], 0, height - x.shape[-2]])

    def _placed(self, deepest: int, side: int) -> tuple[bool, int, list[Grid]]:
        """Whether cells lie on pixels stride·i, to multiples of what images are padded, and the grids.

        Args:
            side: of the images that the network was made for.
        """
        self.net.eval()
        with suppress(*REFUSED):
            grids = self._traced(2 * deepest + 1)
            if all(lies_on_pixels(grid) for grid in grids) and grids[-1].stride == deepest:
                return True, deepest, grids
        for unit in (self.cell, side):  # networks of windows take multiples of what they were made for
            if unit % self.cell:
                break
            try:
                return False, unit, self._traced(2 * unit)
            except REFUSED as error:
                reason = error
        raise InputError(
            f"model.backbone.name={self.name}: does not take images of other sizes than {side}×{side}"
            f" ({' '.join(str(reason).split())[:150]})",
            do="choose another",
        ) from reason

    def _traced(self, side: int) -> list[Grid]:
        """The grids on an image of this side. Raises one of REFUSED where the network does not take it."""
        parameter = next(self.net.parameters())
        images = torch.zeros(1, self.options["in_chans"], side, side, device=parameter.device)
        grids, scale = traced_grids(self.encode, images), self.cell / self.patch
        return [Grid(round(g.stride * scale), (g.offset + 0.5) * scale - 0.5) for g in grids]


def _power_of_two(stride: int) -> int:
    """The next power of 2, from `stride` on."""
    return 1 << (stride - 1).bit_length()
