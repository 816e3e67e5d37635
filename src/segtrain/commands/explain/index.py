"""`segexplain model=all`: all systems beside one another, their family tree, and a page of each."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from segtrain.commands.explain.network import Asked, explain_network
from segtrain.errors import InputError
from segtrain.files import write_atomically
from segtrain.papers.paper import papers
from segtrain.progress import Terminal, progress_bar
from segtrain.reports.family_tree import TreePaper, family_tree
from segtrain.reports.page import write_page
from segtrain.reports.sections import Section, SectionPart, drawing, paragraph, sections_page, table_part
from segtrain.reports.tables import Cell, PageTable

LABELS = {
    "fcn": "FCN",
    "crf_rnn": "CRF-RNN",
    "deconvnet": "DeconvNet",
    "segnet": "SegNet",
    "deeplabv1": "DeepLab v1",
    "deeplabv2": "DeepLab v2",
    "deeplabv3": "DeepLab v3",
    "deeplabv3plus": "DeepLab v3+",
    "dilatednet": "DilatedNet",
    "unet": "U-Net",
    "fc_densenet": "FC-DenseNet",
    "frrn": "FRRN",
    "dcn": "DCN",
    "fusionnet": "FusionNet",
    "pspnet": "PSPNet",
}


def explain_all(asked: Sequence[Asked], folder: Path) -> None:
    """Writes `explain.html` and `explain.json` of all systems, and below NAME/ those of each.

    Args:
        asked: the systems; one whose library is not installed is left out, with the reason.
        folder: for the files.

    Raises:
        SaveError: the folder cannot be written.
    """
    found, left_out = [], []
    console = Terminal()
    with progress_bar("explaining", len(asked), console=console, quiet=not console.is_terminal) as advance:
        for one in asked:
            try:
                found.append(explain_network(one, folder / one.name))
            except InputError as error:
                left_out.append(f"{one.name}: {error}")
            advance(1)
    blocks: list[SectionPart] = [table_part(_comparison(found))]
    blocks += [paragraph(f"Left out: {line}") for line in left_out]
    members = [
        TreePaper(
            paper.name, LABELS.get(paper.name, paper.name), paper.year, paper.parents, _families(paper.models)
        )
        for paper in papers().values()
    ]
    caption = (
        "A line leads from a paper to those that build on it; below each name are its options of model=."
    )
    sections = [
        Section("tree", "Family tree", [drawing("family", caption, family_tree(members))]),
        Section("systems", "All systems", blocks),
    ]
    lead = f"{len(found)} networks of {len(papers())} papers, at 21 classes."
    write_page(folder / "explain.html", sections_page("The systems, explained", lead, sections))
    encoded = json.dumps(found, indent=1, ensure_ascii=False).encode()
    write_atomically(folder / "explain.json", lambda file: file.write(encoded))


def _families(models: Sequence[str]) -> str:
    return models[0] if len(models) == 1 else f"{models[0]} and {len(models) - 1} more"


def _comparison(found: Sequence[dict[str, Any]]) -> PageTable:
    columns = [
        *("model", "paper", "year", "parameters", "multiply-adds, G", "outputs, MB"),
        *("stride of the logits", "cell 0 lies on", "receptive field", "stages", "departs in training"),
    ]
    numbers = [name not in ("model", "paper", "departs in training") for name in columns]
    rows = []
    for data in found:
        paper = papers().get(data["paper"] or "")
        field = data["receptive_field"]
        shown = "over 2048" if field is None else str(field)
        offset = data["logits"]["offset"]
        departing = {name: len(recipe["departures"]) for name, recipe in data["recipes"].items()}
        name = Markup('<a href="{0}/explain.html">{0}</a>').format(data["model"])
        rows.append(
            [
                Cell(name),
                Cell(LABELS[paper.name] if paper else "-"),
                Cell(str(paper.year) if paper else "-", paper.year if paper else None),
                Cell(f"{data['parameters']:,}", data["parameters"]),
                Cell(f"{data['multiply_adds'] / 1e9:.1f}", data["multiply_adds"]),
                Cell(f"{data['output_bytes'] / 1e6:.0f}", data["output_bytes"]),
                Cell(str(data["logits"]["stride"]), data["logits"]["stride"]),
                Cell("-" if offset is None else f"{offset:g}", offset),
                Cell("all" if data["sees_everything"] else shown, field),
                Cell(str(len(data["stages"])), len(data["stages"])),
                Cell(", ".join(f"{name}: {count}" for name, count in departing.items()) or "-"),
            ]
        )
    height, width = found[0]["size"] if found else (0, 0)
    caption = f"For an image of {height}×{width}; each name leads to its page."
    return PageTable("systems-table", caption, columns, numbers, rows)
