"""A page for each paper: what it says in numbers, what ours does otherwise, and its scores."""

from collections.abc import Iterable, Sequence
from typing import Any

from segtrain.config.compose import compose_config, plain
from segtrain.papers.contract import contract, departures
from segtrain.papers.paper import Paper, papers


def paper_pages() -> dict[str, str]:
    """Markdown by the path below docs/: an index, and a page for each paper."""
    found = papers()
    rows = [
        (f"[{paper.title}]({name}.md)", paper.year, ", ".join(f"`{model}`" for model in paper.models))
        for name, paper in found.items()
    ]
    index = "# The papers\n\n" + table(("paper", "year", "`model=`"), rows)
    return {"papers/index.md": index} | {f"papers/{name}.md": page(paper) for name, paper in found.items()}


def page(paper: Paper) -> str:
    """What one paper says, and how ours keeps to it."""
    parts = [
        f"# {paper.title}\n",
        f"{paper.authors}, {paper.published}, <{paper.link}>.\n",
        f"{paper.idea}\n",
    ]
    if paper.models:
        options = ", ".join(f"`model={model}`" for model in paper.models)
        first = paper.models[0]
        parts.append(f"Here: {options}. `segexplain model={first}` draws it and lists its layers.\n")
    parts.append("## The network\n")
    parts.append(
        table(("", "the paper", "source"), [(f.name, f.value, f.source) for f in paper.architecture])
    )
    if paper.scores:
        parts.append("## Published scores\n")
        parts.append(scores(paper.scores))
    for recipe in paper.recipes:
        parts += recipe_parts(recipe)
    return "\n".join(parts)


def recipe_parts(recipe: str) -> list[str]:
    """A recipe's numbers beside the paper's, and what departs."""
    config = plain(compose_config("train", [f"experiment={recipe}"]))
    rows = [
        (f"`{row.key}`", row.ours, "as ours" if row.kept else f"**{row.paper}**", row.source)
        for row in contract(config, recipe)
    ]
    lines = [
        f"## `segtrain experiment={recipe}`\n",
        table(("key", "ours", "the paper", "source"), rows),
    ]
    found = departures(config, recipe)
    if found:
        lines.append("Departures:\n\n" + "\n".join(f"- {each.text}" for each in found) + "\n")
    return lines


def scores(found: Sequence[dict[str, Any]]) -> str:
    """A table of what was published."""
    keys = list(dict.fromkeys(key for score in found for key in score))
    return table(keys, [[score.get(key, "") for key in keys] for score in found])


def table(head: Sequence[Any], rows: Iterable[Sequence[Any]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(cell, line)) + " |" for line in lines) + "\n"


def cell(value: Any) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")
