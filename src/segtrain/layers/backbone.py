"""What models and backbones agree on: features by stage, and where their cells lie.

A stage is named by the stride that it has in the classifier (4, 8, 16, 32), also where dilation keeps
the real stride (`feature_info.grids[stage].stride`) smaller.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from segtrain.errors import InputError
from segtrain.layers.grid import Grid


@dataclass
class FeatureInfo:
    """The features of a backbone, by stage.

    Attributes:
        channels: stage -> channels.
        grids: stage -> where its cells lie, and their real stride.
        pooled: the channels before each pooling whose switches the backbone gives; else empty.
        window: with switches, a feature sees window×window cells of pool5; else 0.
        optional_padding: whether the backbone can leave images unpadded, `backbone(images,
            whole_cells=False)`; else it pads them always, or never.
        own_last: the stage of the encoder's last features where that is not the coarsest: of a
            transformer of one stride.
    """

    channels: dict[int, int] = field(default_factory=dict)
    grids: dict[int, Grid] = field(default_factory=dict)
    pooled: list[int] = field(default_factory=list)
    window: int = 0
    optional_padding: bool = False
    own_last: int | None = None

    def add(self, stage: int, channels: int, grid: Grid) -> None:
        """Adds a stage."""
        self.channels[stage], self.grids[stage] = channels, grid

    @property
    def stages(self) -> tuple[int, ...]:
        """The stages, from the finest to the coarsest."""
        return tuple(self.channels)

    @property
    def last(self) -> int:
        """The stage of the encoder's last features."""
        return self.own_last or max(self.channels)

    def stride(self, stage: int) -> int:
        """Pixels from one cell of a stage to the next."""
        return self.grids[stage].stride


class Backbone(Protocol):
    """An encoder: `model/backbone=` builds one, an `nn.Module`.

    Attributes:
        feature_info: of its stages.
    """

    feature_info: FeatureInfo

    def __call__(self, images: Tensor, /, **padding: bool) -> Any:
        """Features N×C×h×w by stage of images N×3×H×W (uint8 or float RGB in 0..255); with switches,
        the deepest features and the switches. Where `feature_info.optional_padding` is true,
        `whole_cells=False` leaves images unpadded: then cells do not cover every pixel."""
        ...


@runtime_checkable
class HasOutputStride(Protocol):
    """A backbone whose strides can be exchanged for dilation."""

    def set_output_stride(self, output_stride: int, /) -> None:
        """Chooses strides and dilation for this stride of the deepest features; weights stay."""
        ...


@runtime_checkable
class ChoosesStages(Protocol):
    """A backbone with layers that only some stages need."""

    def keep_stages(self, stages: Iterable[int], /) -> None:
        """Drops what none of these stages needs."""
        ...


def use_stages(user: object, backbone: Backbone, stages: Iterable[int]) -> None:
    """Says which stages a model reads. Raises InputError for one that `backbone` does not have."""
    stages = sorted(stages)
    missing = [stage for stage in stages if stage not in backbone.feature_info.grids]
    if missing:
        refuse_backbone(user, backbone, f"stage {' and '.join(map(str, missing))}")
    if isinstance(backbone, ChoosesStages):
        backbone.keep_stages(stages)


def require_strides(user: object, backbone: Backbone, strides: Iterable[int]) -> None:
    """Raises InputError unless `backbone` has features of these real strides, as FCN needs."""
    grids = backbone.feature_info.grids
    strides = list(strides)
    missing = [s for s in strides if s not in grids or grids[s].stride != s]
    if missing:
        refuse_backbone(user, backbone, f"features of stride {' and '.join(map(str, missing))}")
    use_stages(user, backbone, strides)


def require_on_pixels(user: object, backbone: Backbone, stages: Iterable[int]) -> None:
    """Raises InputError unless cell i of these stages lies on pixel stride·i, as `sizes.py` assumes."""
    grids = backbone.feature_info.grids
    for stage in stages:
        if stage not in grids or abs(grids[stage].offset) >= 1:
            refuse_backbone(user, backbone, f"stage {stage} with cell i on pixel stride·i")


def require_switches(user: object, backbone: Backbone, window: int) -> None:
    """Raises InputError unless `backbone` gives switches, and features of window×window cells of pool5."""
    if backbone.feature_info.window != window:
        refuse_backbone(user, backbone, f"pooling switches with features of {window}×{window} cells of pool5")


def require_choice_of_padding(user: object, backbone: Backbone) -> None:
    """Raises InputError unless `backbone` can leave images unpadded."""
    if not backbone.feature_info.optional_padding:
        refuse_backbone(user, backbone, "choice of leaving images unpadded")


def refuse_backbone(user: object, backbone: object, needed: str) -> None:
    """Raises the InputError that says what a model needs of its backbone."""
    name = getattr(backbone, "name", type(backbone).__name__)
    raise InputError(
        f"model/backbone: {name} has no {needed}, which {type(user).__name__} needs",
        do="choose another model/backbone, or leave it out for the model's own",
    )
