"""A page for each paper: the network drawn and taken apart, its numbers beside ours, scores, what to try."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from segtrain.commands.explain.anatomy_sections import anatomy_sections
from segtrain.commands.explain.contract_sections import model_departures
from segtrain.commands.explain.network import Asked, subject_of
from segtrain.config.compose import CONFIG_DIR, compose_config, plain
from segtrain.input_spec import RGB8
from segtrain.papers.contract import contract, departures
from segtrain.papers.paper import Paper, papers, recipe_of
from segtrain.reports.tables import PageTable, as_markdown

SIZE = (512, 512)  # of the image that a network is taken apart with
COMMAND = re.compile(r"\bsegtrain((?: [\w./]+=\S+)+)")
HEADS = {
    "mean_iou": "mean IoU",
    "crf": "mean IoU with the CRF",
    "v_rand": "V-Rand",
    "rand_error": "Rand error",
}  # of the scores' columns
LESSONS = {"fcn": "fcn", "deeplabv3": "dilation", "segnet": "unpooling", "crf_rnn": "crf"}


def paper_pages() -> dict[str, str]:
    """Markdown by the path below docs/: an index, and a page for each paper."""
    found = papers()
    rows = [
        (f"[{paper.title}]({name}.md)", paper.year, ", ".join(f"`{model}`" for model in paper.models))
        for name, paper in found.items()
    ]
    index = (
        "# The papers\n\nEach page draws the network, lists its layers and says where ours departs from the"
        " paper. `segexplain model=NAME` makes a page with more.\n\n"
        + table(("paper", "year", "`model=`"), rows)
    )
    return {"papers/index.md": index} | {f"papers/{name}.md": page(paper) for name, paper in found.items()}


def page(paper: Paper) -> str:
    """What one paper says, and how ours keeps to it."""
    parts = [
        f"# {paper.title}\n",
        f"{paper.authors}, {paper.published}{f', <{paper.link}>' * bool(paper.link)}.\n",
        f"{paper.idea}\n",
    ]
    if paper.models:
        options = ", ".join(f"`model={model}`" for model in paper.models)
        parts.append(f"Here: {options}.\n")
        parts += network_parts(paper.models[0])
    parts.append("## The paper's network\n")
    parts.append(
        table(("", "the paper", "source"), [(f.name, f.value, f.source) for f in paper.architecture])
    )
    if paper.scores:
        parts.append("## Published scores\n")
        parts.append(
            "The authors' own. What was trained here, on a CPU and from random weights, is in"
            " [Evidence](../evidence.md).\n"
        )
        parts.append(scores(paper.scores))
    for recipe in paper.recipes:
        parts += recipe_parts(recipe)
    parts += things_to_try(paper)
    return "\n".join(parts)


def network_parts(model: str) -> list[str]:
    """The network of an option: drawn, in sums, its departures, and its layers."""
    node = plain(compose_config("train", [f"model={model}", "data=voc"]))["model"]
    parts = [f"## `model={model}`\n"]
    anatomy, layers = anatomy_sections(subject_of(Asked(model, node, RGB8, SIZE, {})))
    for block in anatomy.blocks:
        if block.kind == "table":
            parts.append(f"{as_markdown(block.value)}\n{block.value.caption}\n")
        elif block.kind == "drawing":
            _, caption, drawn = block.value
            svg = "".join(line.strip() for line in str(drawn).splitlines())
            parts.append(f'<div class="diagram">{svg}</div>\n\n{caption}\n')
        else:
            parts.append(f"{block.value}\n")
    if found := model_departures(node):
        said = "\n".join(f"- {each.replace(' departs:', ':', 1)}" for each in found)
        parts.append(f"Where the code departs from the paper:\n\n{said}\n")
    parts.append('\n??? note "Layers"\n')
    shown = next(block.value for block in layers.blocks if isinstance(block.value, PageTable))
    text = f"{as_markdown(without(shown, 'in the code'))}\n{shown.caption}"
    parts.append("\n".join(f"    {line}" for line in text.splitlines()) + "\n")
    return parts


def without(shown: PageTable, column: str) -> PageTable:
    """The table without one of its columns."""
    kept = [i for i, name in enumerate(shown.columns) if name != column]

    def some(row: Sequence[Any]) -> list[Any]:
        return [row[i] for i in kept]

    return shown._replace(
        columns=some(shown.columns), numbers=some(shown.numbers), rows=[some(row) for row in shown.rows]
    )


def header(recipe: str) -> str:
    """The comments at the top of a recipe, as one line."""
    lines = (CONFIG_DIR / "experiment" / f"{recipe}.yaml").read_text(encoding="utf-8").splitlines()
    first = next(i for i, line in enumerate(lines) if not line.startswith("#"))
    return " ".join(" ".join(line.removeprefix("#") for line in lines[1:first]).split())


def arguments_of(recipe: str) -> list[str]:
    """What the command in a recipe's header is given."""
    found = [match.split() for match in COMMAND.findall(header(recipe))]
    return [each for each in found if f"experiment={recipe}" in each][-1]


def recipe_parts(recipe: str) -> list[str]:
    """A recipe's command, its numbers beside the paper's, and what departs."""
    arguments = arguments_of(recipe)
    config = plain(compose_config("train", arguments))
    rows = [
        (f"`{row.key}`", row.ours, "as ours" if row.kept else f"**{row.paper}**", row.source)
        for row in contract(config, recipe)
    ]
    lines = [
        f"## `experiment={recipe}`\n",
        f"```text\nsegtrain {' '.join(arguments)}\n```\n",
        table(("key", "ours", "the paper", "source"), rows),
    ]
    asked = recipe_of(recipe)
    if asked and asked.unstated:
        keys = ", ".join(f"`{key}`" for key in asked.unstated)
        lines.append(f"Not given in the paper, and ours: {keys}.\n")
    found = departures(config, recipe)
    if found:
        said = "\n".join(f"- {each.text}" for each in found)
        lines.append(f"Where the recipe departs from the paper:\n\n{said}\n")
    return lines


def things_to_try(paper: Paper) -> list[str]:
    """Commands that show what the paper is about."""
    lines = []
    if paper.name in LESSONS:
        lines.append(f"segtrain lesson={LESSONS[paper.name]}  # minutes on a CPU, ends with a page")
    if paper.models:
        lines.append(f"segexplain model={paper.models[0]}")
        lines.append(f"segtrain model={paper.models[0]} width=0.25")
    if len(paper.models) > 1:
        lines.append(f"segtrain -m model={','.join(paper.models[:3])} width=0.25 max_steps=200")
    lines += [f"segexplain experiment={recipe}" for recipe in list(paper.recipes)[:1]]
    return ["## Things to try\n", "```sh\n" + "\n".join(lines) + "\n```\n"] if lines else []


def scores(found: Sequence[dict[str, Any]]) -> str:
    """A table of what was published."""
    keys = list(dict.fromkeys(key for score in found for key in score))
    head = [HEADS.get(key, key.replace("_", " ")) for key in keys]
    return table(head, [[score.get(key, "") for key in keys] for score in found])


def table(head: Sequence[Any], rows: Iterable[Sequence[Any]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(cell, line)) + " |" for line in lines) + "\n"


def cell(value: Any) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")
