"""What was run: differences of configs, versions, hardware, data, and the commands that repeat it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from segtrain.errors import shorten
from segtrain.papers.contract import departures
from segtrain.reports.differences import config_differences
from segtrain.reports.runs import Run
from segtrain.reports.tables import Cell, PageTable, text_cells

MOST = 80  # keys of the table
EXPERIMENT = "experiment"


def configs_table(runs: Sequence[Run], labels: Mapping[str, str]) -> PageTable | None:
    """The resolved keys that differ, a column a run; None where none do."""
    having = [run for run in runs if run.config]
    found = config_differences(having) if len(having) > 1 else []
    if not found:
        return None
    rows = [text_cells(key, *(shorten(value) for value in values)) for key, values in found[:MOST]]
    more = f" ({len(found) - MOST} more are left out)" if len(found) > MOST else ""
    columns = ["key", *(labels[run.name] for run in having)]
    caption = f"Keys of the resolved configs that differ{more}."
    return PageTable("configs", caption, columns, [False] * len(columns), rows)


def origins_table(runs: Sequence[Run]) -> PageTable:
    """A row a run: versions, commit, machine, precision, seed and data."""
    facts = [_facts(run) for run in runs]
    columns = [key for key in facts[0] if any(fact[key] for fact in facts)]
    rows = [
        [Cell(run.name), *(Cell(fact[key]) for key in columns)] for run, fact in zip(runs, facts, strict=True)
    ]
    caption = "What each run was made by."
    return PageTable("origins", caption, ["run", *columns], [False] * (1 + len(columns)), rows)


def departures_table(runs: Sequence[Run], labels: Mapping[str, str]) -> PageTable | None:
    """What runs of a paper's recipe do otherwise than the paper; None where none do, or none are."""
    rows = []
    for run in runs:
        experiment = run.overrides.get(EXPERIMENT, "")
        for each in departures(run.config, experiment) if run.config and experiment else ():
            own = (each.key, each.ours, each.paper, each.source) if each.key else (each.text, "", "", "")
            rows.append([*text_cells(labels[run.name], experiment, *own)])
    columns = ["run", "recipe", "key", "run's", "paper's", "where the paper says it"]
    caption = "What the runs do otherwise than the papers of their recipes."
    return PageTable("departures", caption, columns, [False] * 6, rows) if rows else None


def _facts(run: Run) -> dict[str, str]:
    made, cost = (_dict(run.metrics.get(key)) for key in ("made_by", "cost"))
    git, data, size = _dict(made.get("git")), _dict(made.get("data")), cost.get("size")
    images = [f"{data[key]} {what}" for key, what in (("train", "train"), ("val", "val")) if key in data]
    files = f"{data['files']} files" if data.get("files") else ""
    conventions = _dict(run.metrics.get("conventions"))
    return {
        "segtrain": _text(made.get("segtrain")),
        "commit": _text(git.get("commit"))[:10] + (" with changes" if git.get("dirty") else ""),
        "torch": _text(made.get("torch")),
        "Python": _text(made.get("python")),
        "processes": _text(made.get("processes")),
        "hardware": _text(cost.get("hardware")),
        "threads": _text(cost.get("threads")),
        "precision": _text(conventions.get("precision")),
        "evaluated at": "×".join(map(str, size)) if isinstance(size, list) else "",
        "seed": _text(run.seed),
        "data": ", ".join(filter(None, (*images, files))),
        "data's sha256": _text(data.get("sha256"))[:12],
    }


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def repeating_commands(runs: Sequence[Run]) -> list[str]:
    """The commands that make the runs anew: of a sweep its own, else of each run, those that are known."""
    parents = {run.folder.parent for run in runs}
    commands = [command for parent in sorted(parents) if (command := _of_sweep(parent))]
    if len(commands) == len(parents):
        return commands
    single = [command for run in runs if (command := command_of(run))]
    return list(dict.fromkeys(single))


def command_of(run: Run) -> str:
    """The command of a run, as it was given or by its overrides; "" where nobody knows."""
    made = _dict(run.metrics.get("made_by")).get("command")
    if isinstance(made, str) and made:
        return made
    if not run.overrides:
        return ""
    program = "segeval" if "ckpt" in run.overrides else "segtrain"
    return shlex.join([program, *(f"{key}={value}" for key, value in run.overrides.items())])


def _of_sweep(folder: Path) -> str:
    """`segtrain -m ...` of a sweep's folder; "" where it is none."""
    try:
        hydra = yaml.safe_load((folder / "multirun.yaml").read_text(encoding="utf-8"))["hydra"]
        task, name = hydra["overrides"]["task"], hydra["job"]["name"]
        chosen = [o for o in hydra["overrides"].get("hydra", ()) if o.startswith(("hydra/", "hydra.sweeper"))]
        if not all(isinstance(one, str) for one in (*task, *chosen)):
            return ""
        return shlex.join(["segtrain" if name == "train" else f"seg{name}", "-m", *chosen, *task])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError):
        return ""
