"""FRRN's two streams: the pooling stream knows what, the residual stream where."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from segtrain.commands.explain.scene import Exhibit, caught, changed_inputs, energy_uri
from segtrain.reports.sections import Section, SectionPart, image_row, paragraph

SIDE = 220


def stream_sections(scene: Exhibit) -> list[Section]:
    """Both streams after each stage, and the prediction of each without the other."""
    network: Any = scene.network
    if not hasattr(network, "stages") or not hasattr(network, "split"):
        return []
    blocks: list[SectionPart] = [
        paragraph(
            "Brightness is the root mean square over channels, of each map by itself, after each stage."
        )
    ]
    for number, (pooling, residual) in enumerate(caught(scene, list(network.stages)), start=1):
        stride = round(residual.shape[-1] / pooling.shape[-1])
        shown = [
            (f"pooling stream, stride {stride}: {pooling.shape[1]} channels", energy_uri(pooling[0])),
            (f"residual stream: {residual.shape[1]} channels", energy_uri(residual[0])),
        ]
        height = round(SIDE * residual.shape[-2] / residual.shape[-1])
        blocks.append(image_row(f"After stage {number}", shown, SIDE, height))
    lanes = network.split[0].out_channels

    def without_residual(x: Tensor) -> Tensor:
        return torch.cat([x[:, :-lanes], torch.zeros_like(x[:, -lanes:])], 1)

    def without_pooling(x: Tensor) -> Tensor:
        return torch.cat([torch.zeros_like(x[:, :-lanes]), x[:, -lanes:]], 1)

    found = {"both streams": scene.labels()}
    for name, change in (
        ("pooling stream alone", without_residual),
        ("residual stream alone", without_pooling),
    ):
        with changed_inputs({network.end: change}):
            found[name] = scene.labels()
    caption = "Where the streams are joined, one of them is replaced by zeros."
    blocks.append(scene.panels(caption, found, of="both streams"))
    return [Section("streams", "Two streams", blocks)]
