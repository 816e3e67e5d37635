"""The paper of a network: what it says, its published scores, and where our recipes depart from it."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup, escape

from segtrain.papers.contract import contract, departures
from segtrain.papers.paper import Paper, recipe_of
from segtrain.reports.sections import Section, SectionPart, paragraph, table_part
from segtrain.reports.tables import Cell, PageTable, text_cells
from segtrain.viz.tables import METRIC_LABELS

DEPARTS = re.compile(r"Departs: (.+?)(?:\n\n|\Z)", re.DOTALL)


def contract_sections(
    paper: Paper | None, configs: Mapping[str, Mapping[str, Any]], model: Mapping[str, Any]
) -> list[Section]:
    """What the paper says, and every recipe's numbers beside the paper's.

    Args:
        paper: of the model; None where it has none here.
        configs: resolved, by the names of the recipes.
        model: the model's own config, whose files say where they depart.
    """
    if paper is None:
        return []
    link = f" {paper.link}" if paper.link else ""
    blocks = [
        paragraph(f"{paper.title}. {paper.authors}, {paper.published}.{link}"),
        paragraph(paper.idea),
        table_part(_architecture(paper)),
    ]
    for line in model_departures(model):
        blocks.append(paragraph(line))
    sections = [Section("paper", "The paper", blocks)]
    for name, config in configs.items():
        sections.append(Section(f"contract-{name}", f"Contract of {name}", _recipe(config, name)))
    if paper.scores:
        sections.append(Section("scores", "Published scores", [table_part(_scores(paper))]))
    return sections


def model_departures(model: Mapping[str, Any]) -> list[str]:
    """What the files of a model and of its parts say that they do otherwise than their papers."""
    found: dict[str, str] = {}
    nodes: list[Any] = [model]
    while nodes:
        node = nodes.pop(0)
        if not isinstance(node, Mapping):
            continue
        nodes += node.values()
        module = str(node.get("_target_", "")).rpartition(".")[0]
        if module.startswith(("segtrain.models.", "segtrain.backbones.")):
            about = inspect.getdoc(importlib.import_module(module)) or ""
            if said := DEPARTS.search(about):
                path = module.removeprefix("segtrain.").replace(".", "/")
                found[path] = f"{path}.py departs: {' '.join(said[1].split())}"
    return list(found.values())


def _architecture(paper: Paper) -> PageTable:
    rows = [text_cells(fact.name, fact.value, fact.source) for fact in paper.architecture]
    return PageTable(
        "architecture",
        "The network in the paper.",
        ["what", "paper", "where"],
        [False] * 3,
        rows,
        unsorted=True,
    )


def _recipe(config: Mapping[str, Any], name: str) -> list[SectionPart]:
    rows = []
    for row in contract(config, name):
        kept = Cell("as the paper") if row.kept else Cell(Markup("<b>departs</b>"))
        rows.append([*text_cells(row.key, row.ours, row.paper), kept, Cell(row.source)])
    found, recipe = departures(config, name), recipe_of(name)
    noun = "departure" if len(found) == 1 else "departures"
    head = f"{len(found)} {noun}: {'; '.join(each.text for each in found)}." if found else "No departures."
    blocks = [paragraph(head)]
    if recipe and recipe.unstated:
        blocks.append(paragraph(f"Not given in the paper, and ours: {', '.join(recipe.unstated)}."))
    columns = ["key", "ours", "paper", "", "where"]
    caption = f"experiment={escape(name)} beside the paper."
    blocks.append(table_part(PageTable(f"recipe-{name}", caption, columns, [False] * 5, rows)))
    return blocks


def _scores(paper: Paper) -> PageTable:
    rows = []
    for score in paper.scores:
        numbers = {k: v for k, v in score.items() if k not in ("recipe", "data", "source")}
        shown = ", ".join(f"{METRIC_LABELS.get(k, k.replace('_', ' '))} {v:g}" for k, v in numbers.items())
        rows.append(text_cells(score["recipe"], score["data"], shown, score["source"]))
    columns = ["recipe", "data", "score", "where"]
    return PageTable("scores-table", "As published; none is ours.", columns, [False] * 4, rows)
