"""`segexplain model=...`: a network as a page, `explain.html`, and as data, `explain.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from segtrain.anatomy.layer import Layer
from segtrain.commands.anatomy import anatomy_of
from segtrain.commands.build import build_network
from segtrain.commands.explain.anatomy_sections import LARGE, Subject, alignment, anatomy_sections
from segtrain.commands.explain.contract_sections import contract_sections, model_departures
from segtrain.commands.explain.field_sections import (
    branch_sections,
    dilation_sections,
    effective_section,
    separable_sections,
)
from segtrain.data.datasets.shapes import Shapes
from segtrain.files import write_atomically
from segtrain.input_spec import RGB8, InputSpec
from segtrain.papers.contract import contract, departures
from segtrain.papers.paper import Paper, paper_of
from segtrain.reports.page import write_page
from segtrain.reports.sections import Section, sections_page

NARROW = 0.125  # of the channels, where weights are random: the field's form is the same, the time a fiftieth
LARGEST_FIELD = 513  # pixels of such an image
NOISES = 3  # images that an untrained network's field is averaged over


class Asked(NamedTuple):
    """What is explained.

    Attributes:
        name: of the model. model: its config, resolved.
        spec: of the images. size: H, W.
        recipes: resolved configs of trainings, by name.
        network: with weights; None for one that is not trained.
        image: as the network takes it, H×W×C; None for one of `shapes`.
    """

    name: str
    model: dict[str, Any]
    spec: InputSpec
    size: tuple[int, int]
    recipes: dict[str, dict[str, Any]]
    network: nn.Module | None = None
    image: np.ndarray | None = None


def subject_of(asked: Asked) -> Subject:
    """Takes the network apart, without weights."""
    with torch.device("meta"):
        network = build_network(_untrained(asked.model), asked.spec)
    anatomy = anatomy_of(network, asked.size, asked.spec.channels)
    return Subject(asked.name, anatomy, anatomy_of(network, LARGE, asked.spec.channels))


def explain_network(asked: Asked, folder: Path, more: list[Section] | None = None) -> dict[str, Any]:
    """Writes a network's page and its data.

    Args:
        folder: for `explain.html` and `explain.json`.
        more: sections of what its weights do.

    Returns:
        What `explain.json` holds.

    Raises:
        SaveError: the folder cannot be written.
    """
    subject, paper = subject_of(asked), paper_of(asked.name)
    sections = anatomy_sections(subject)[:1]
    if field := _field(asked, subject):
        sections.append(field)
    sections += dilation_sections(subject) + branch_sections(subject) + separable_sections(subject)
    sections += more or []
    sections += contract_sections(paper, asked.recipes, asked.model)
    sections += anatomy_sections(subject)[1:]
    lead = f"{paper.authors}, {paper.published}. {paper.idea}" if paper else "A network of no paper here."
    write_page(folder / "explain.html", sections_page(f"{asked.name}, explained", lead, sections))
    data = as_data(asked, subject, paper)
    encoded = json.dumps(data, indent=1, ensure_ascii=False).encode()
    write_atomically(folder / "explain.json", lambda file: file.write(encoded))
    return data


def as_data(asked: Asked, subject: Subject, paper: Paper | None) -> dict[str, Any]:
    """What the page says, as plain data."""
    anatomy, grid = subject.anatomy, subject.grid
    return {
        "model": asked.name,
        "paper": paper.name if paper else None,
        "size": list(anatomy.size),
        "parameters": anatomy.parameters,
        "multiply_adds": anatomy.multiply_adds,
        "output_bytes": anatomy.memory,
        "receptive_field": subject.full_size,
        "sees_everything": subject.everywhere,
        "logits": {"cells": list(anatomy.cells), "stride": subject.stride, "offset": grid and grid.offset},
        "alignment": alignment(subject),
        "stages": [vars(stage) for stage in subject.diagram.stages],
        "flows": [list(flow) for flow in subject.diagram.flows],
        "layers": [_layer(*pair) for pair in subject.pairs],
        "model_departures": model_departures(asked.model),
        "recipes": {name: _recipe(config, name) for name, config in asked.recipes.items()},
    }


def _recipe(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    held = [row._asdict() for row in contract(config, name)]
    return {"departures": [each.text for each in departures(config, name)], "held": held}


def _layer(layer: Layer, large: Layer) -> dict[str, Any]:
    field = large.receptive
    grid = field.grid(LARGE[0]) if field else None
    kept = {key: value for key, value in vars(layer).items() if key not in ("receptive", "source")}
    size = {"receptive_field": field.full_size(LARGE[0]) if field else None}
    return (
        kept | size | {"offset": grid and grid.offset, "source": layer.source, "output_bytes": layer.memory}
    )


def _field(asked: Asked, subject: Subject) -> Section | None:
    """The effective receptive field, by the network's weights or by random ones."""
    if asked.network is not None and asked.image is not None:
        shown = asked.spec.to_rgb(asked.image)
        images = [torch.from_numpy(np.array(asked.image)).permute(2, 0, 1)[None]]
        device = next(asked.network.parameters()).device
        images = [image.to(device) for image in images]
        return effective_section(subject, asked.network, images, shown, "With the checkpoint's weights.")
    if asked.spec != RGB8:
        return None
    network = random_network(asked)
    generator = torch.Generator().manual_seed(0)
    side = min(max(*asked.size, 8 * ((subject.full_size or 0) // 7) + 1), LARGEST_FIELD)
    noises = [255 * torch.rand(1, 3, side, side, generator=generator) for _ in range(NOISES)]
    shown = Shapes(size=side).val[0].image
    how = f"With random weights, and {NARROW:g} of the channels; the images are noise."
    return effective_section(subject, network, noises, shown, how)


def random_network(asked: Asked) -> nn.Module:
    """A narrow network with random weights, also where they would start as zeros."""
    torch.manual_seed(0)
    network = build_network(_narrow(_untrained(asked.model)), asked.spec).eval()
    for parameter in network.parameters():
        if parameter.ndim > 1 and not parameter.any():
            nn.init.normal_(parameter, std=0.01)
    return network


def _narrow(node: Any) -> Any:
    """A model's config with fewer channels."""
    if not isinstance(node, dict):
        return node
    return {key: NARROW if key == "width" else _narrow(value) for key, value in node.items()}


def _untrained(node: Any) -> Any:
    """A model's config without weights from elsewhere."""
    if not isinstance(node, dict):
        return node
    return {key: False if key == "pretrained" else _untrained(value) for key, value in node.items()}


def as_batch(image: np.ndarray) -> Tensor:
    """An image H×W×C as 1×C×H×W."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)[None]
