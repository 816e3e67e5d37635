"""A network with dilation 1 in place of the one of its training: the same weights, closer together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from segtrain.commands.explain.scene import Exhibit
from segtrain.layers.fc_conv import FCConv
from segtrain.reports.sections import Section, paragraph


def undilated_sections(scene: Exhibit) -> list[Section]:
    """The prediction with the trained dilation and with 1."""
    layers = _dilated(scene.network)
    if not layers:
        return []
    found = {"as trained": scene.labels()}
    with _undilated(layers):
        found["dilation 1"] = scene.labels()
    rates = sorted({_first(layer.dilation) for layer in layers})
    words = (
        f"{len(layers)} convolutions have dilation {', '.join(map(str, rates))}. With 1 their weights see"
        " neighbours that they never met in training: the cells stay, what they know of around them does not."
    )
    blocks = [paragraph(words), scene.panels("Predictions.", found, of="as trained")]
    return [Section("undilated", "Dilation 1 in place of the trained one", blocks)]


def _first(value: Any) -> int:
    return value[0] if isinstance(value, tuple) else value


def _dilated(network: nn.Module) -> list[Any]:
    """The convolutions with dilation whose padding keeps the size."""
    found = []
    for layer in network.modules():
        if not isinstance(layer, nn.Conv2d | FCConv):
            continue
        kernel = layer.kernel if isinstance(layer, FCConv) else layer.kernel_size[0]
        dilation, padding = _first(layer.dilation), _first(layer.padding)
        if dilation > 1 and kernel % 2 and padding == dilation * (kernel // 2):
            found.append(layer)
    return found


@contextmanager
def _undilated(layers: list[Any]) -> Iterator[None]:
    own = [(layer.dilation, layer.padding) for layer in layers]
    for layer in layers:
        kernel = layer.kernel if isinstance(layer, FCConv) else layer.kernel_size[0]
        one, half = 1, kernel // 2
        pair = isinstance(layer.dilation, tuple)
        layer.dilation, layer.padding = ((one, one), (half, half)) if pair else (one, half)
    try:
        yield
    finally:
        for layer, (dilation, padding) in zip(layers, own, strict=True):
            layer.dilation, layer.padding = dilation, padding
