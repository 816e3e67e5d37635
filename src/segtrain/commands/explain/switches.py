"""SegNet and DeconvNet: what unpooling by switches gives, and what the convolutions make of it."""

from __future__ import annotations

from typing import Any

from segtrain.commands.explain.scene import Exhibit, caught, energy_uri
from segtrain.reports.sections import Section, SectionPart, image_row, paragraph

SIDE = 220


def switch_sections(scene: Exhibit) -> list[Section]:
    """Of each step of the decoder the unpooled map, sparse, and the dense one after its convolutions."""
    network: Any = scene.network
    decoder = getattr(network, "decoder", None)
    info = getattr(getattr(network, "backbone", None), "feature_info", None)
    if decoder is None or not (getattr(info, "pooled", None) or type(network).__name__ == "SegNetBasic"):
        return []
    steps = list(decoder)
    unpooled, made = caught(scene, steps, inputs=True), caught(scene, steps)
    blocks: list[SectionPart] = [
        paragraph(
            "Unpooling puts every value back where the encoder's maximum lay, the switch, and zeros"
            " elsewhere: three of four cells. Convolutions fill the rest. Brightness is the root mean square"
            " over channels."
        )
    ]
    for number, (before, after) in enumerate(zip(unpooled, made, strict=True), start=1):
        rows, columns = before.shape[-2:]
        empty = 100 * float((before == 0).float().mean())
        shown = [
            (f"unpooled: {before.shape[1]} channels, {empty:.0f} % zeros", energy_uri(before[0])),
            (f"after its convolutions: {after.shape[1]} channels", energy_uri(after[0])),
            ("one channel, unpooled", energy_uri(_strongest(before)[None].abs())),
            ("a channel after", energy_uri(_strongest(after)[None].abs())),
        ]
        height = round(SIDE * rows / columns)
        blocks.append(image_row(f"Step {number} of the decoder: {rows}×{columns} cells", shown, SIDE, height))
    return [Section("switches", "Switches and unpooled maps", blocks)]


def _strongest(features: Any) -> Any:
    """The channel of 1×C×h×w with the most energy."""
    return features[0, features[0].flatten(1).square().sum(1).argmax()]
