"""The features of each stage for an image: how strong they are, and the channels that vary most."""

from __future__ import annotations

from torch import Tensor, nn

from segtrain.anatomy.stages import diagram
from segtrain.commands.anatomy import anatomy_of
from segtrain.commands.explain.scene import Exhibit, caught, energy_uri
from segtrain.reports.sections import Section, SectionPart, image_row, paragraph

CHANNELS = 3
SIDE = 130  # pixels of a map on the page
PREFIXES = ("", "backbone.", "network.", "network.backbone.", "net.")


def feature_sections(scene: Exhibit) -> list[Section]:
    """A row of maps a stage."""
    stages = diagram(anatomy_of(scene.network, scene.size, scene.batch.shape[1])).stages
    modules = dict(scene.network.named_modules())
    named = [(stage.name, _module(modules, stage.name)) for stage in stages]
    known = [(name, module) for name, module in named if module is not None]
    outputs = caught(scene, [module for _, module in known])
    blocks: list[SectionPart] = [
        paragraph(
            "Of each stage the strength of its features (the root mean square over channels) and the three"
            " channels that vary most, each from its smallest value (dark) to its largest (bright)."
        )
    ]
    for (name, _), out in zip(known, outputs, strict=True):
        features = (
            out if isinstance(out, Tensor) else out[0] if isinstance(out, tuple | list) and out else None
        )
        if not isinstance(features, Tensor) or features.ndim != 4:
            continue
        maps = features[0].detach().float()
        spread = maps.flatten(1).std(1, correction=0)
        chosen = spread.argsort(descending=True)[:CHANNELS].tolist()
        shown = [(f"all {len(maps)} channels", energy_uri(maps))]
        shown += [(f"channel {i}", energy_uri((maps[i] - maps[i].min())[None])) for i in chosen]
        rows, columns = maps.shape[1:]
        blocks.append(
            image_row(f"{name}: {len(maps)}×{rows}×{columns}", shown, SIDE, round(SIDE * rows / columns))
        )
    return [Section("features", "Features of each stage", blocks)] if len(blocks) > 1 else []


def _module(modules: dict[str, nn.Module], name: str) -> nn.Module | None:
    return next((modules[prefix + name] for prefix in PREFIXES if prefix + name in modules), None)
