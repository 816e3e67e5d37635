"""Networks with skips: FCN's scores of each stride from one network, U-Net with and without its skips."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from segtrain.commands.explain.scene import Exhibit, argmax_labels, changed_inputs
from segtrain.layers.grid import Grid
from segtrain.layers.resample import resample
from segtrain.reports.sections import Section, paragraph


@torch.no_grad()
def fcn_sections(scene: Exhibit) -> list[Section]:
    """The labels of FCN-32s, -16s and -8s, and of each skip's scores alone."""
    network: Any = getattr(scene.network, "network", scene.network)  # below a CRF
    if not hasattr(network, "fused"):
        return []
    features = network.backbone(scene.batch)
    grids = network.backbone.feature_info.grids
    fused = {}
    for stride, (scores, grid) in zip([32, *network.strides], network.fused(features), strict=True):
        fused[f"FCN-{stride}s"] = _at_image(scene, scores, grid)
    alone = {}
    for stride in network.strides:
        scale = network.scales.get(stride, 1.0)
        scores = network.get_submodule(f"score{stride}")(features[stride] * scale)
        alone[f"scores of stride {stride} alone"] = _at_image(scene, scores, grids[stride])
    last = list(fused)[-1]
    blocks = [
        paragraph(
            "One network at each of its strides: what it says without its finer scores, and what these add."
            " The finer scores alone know textures and edges, and little of what an object is."
        ),
        scene.panels("With more and more skips.", fused, of=last),
    ]
    if alone:
        blocks.append(scene.panels("The skips' scores by themselves.", alone, of=last))
    return [Section("strides", "Scores of each stride", blocks)]


def _at_image(scene: Exhibit, scores: Tensor, grid: Grid) -> Any:
    return argmax_labels(resample(scores, grid, Grid(), scene.size)[0])


def unet_sections(scene: Exhibit) -> list[Section]:
    """The prediction of a U-Net with its skips switched off: all, and each."""
    network: Any = scene.network
    merges = list(getattr(network, "merge", ())) if hasattr(network, "up") else []
    halves = [_half(merge) for merge in merges]
    if not merges or None in halves:
        return []
    changes = [_without_skip(half or 0) for half in halves]
    found = {"with all skips": scene.labels()}
    with changed_inputs(dict(zip(merges, changes, strict=True))):
        found["without skips"] = scene.labels()
    for i, (merge, change) in enumerate(zip(merges, changes, strict=True)):
        with changed_inputs({merge: change}):
            found[f"without that of stride {2 ** (len(merges) - 1 - i)}"] = scene.labels()
    words = "A skip is switched off by zeros in its half of the concatenated features, without new training."
    blocks = [paragraph(words), scene.panels("Predictions.", found, of="with all skips")]
    return [Section("skips", "Skips on and off", blocks)]


def _half(merge: nn.Module) -> int | None:
    """The channels from below, of a stage that gets as many from the skip; None for one that sums them."""
    first = next((layer for layer in merge.modules() if isinstance(layer, nn.Conv2d)), None)
    concatenates = first is not None and first.in_channels == 2 * first.out_channels
    return first.out_channels if first is not None and concatenates else None


def _without_skip(channels: int) -> Any:
    def change(x: Tensor) -> Tensor:
        return torch.cat([x[:, :channels], torch.zeros_like(x[:, channels:])], 1)

    return change
