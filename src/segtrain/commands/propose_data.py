"""What `segdata action=check` proposes for masks that are no labels: a label map, and a data set file."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

from segtrain.commands.paths import relative
from segtrain.contracts import IGNORE_INDEX
from segtrain.data.checks.check import DataReport
from segtrain.data.checks.content import Content, mask_files, read_content
from segtrain.data.checks.proposal import Proposal, as_key, describe_label_map, propose
from segtrain.data.io.label_map import parse_label_map
from segtrain.files import user_path, write_atomically

TRIED = {"mask", "labels", "unseen"}  # kinds of faults that a label map may mend
LISTED = 8  # values that are named


def propose_data(
    report: DataReport, node: dict[str, Any], folder: Path, console: Console, progress: Callable
) -> None:
    """Writes `label_map.yaml`, and for data=folder `data.yaml`, where the masks need them.

    Args:
        report: of the check.
        node: the config of `data`.
        folder: where the files go.
        console: where they are named.
        progress: as `check_data` takes it.
    """
    if not {fault.kind for fault in report.faults} & TRIED:
        return
    paths = mask_files(report.splits.values())
    given = parse_label_map(node.get("label_map"), len(report.data.class_names))
    with progress("reading the masks again", len(paths)) as advance:
        content = read_content(paths, coloured=bool(given.colours), advance=advance)
    said = given.colours or given.numbers
    found = propose(content, report.data.palette, said)
    if content.smooth and not said:
        console.print(explain_smooth(content, found), highlight=False)
    more = found.num_classes != len(report.data.class_names)
    if not more and (not found.label_map or found.label_map == said):
        return
    keys = [f"data.num_classes={found.num_classes}"] if more else []
    keys += ["data.snap=true"] if found.areas else []
    if found.label_map:
        names = _names(report, found)
        path = folder / "label_map.yaml"
        _write(path, describe_label_map(found.label_map, content, names))
        keys.insert(0, f"data.label_map={relative(path)}")
    takes = "" if "label_map" in node else "; this data set takes none, but data=folder does"
    what = "a label map" if found.label_map else "more classes"
    console.print(f"{what}, a guess that wants to be read: {' '.join(keys)}{takes}", highlight=False)
    if "label_map" in node:
        path = folder / "data.yaml"
        _write(path, describe_data(node, _names(report, found), found))
        console.print(
            f"the same with the classes' names to fill in: segtrain data={relative(path)}", highlight=False
        )


def explain_smooth(content: Content, found: Proposal) -> str:
    """Why the masks hold so many values, and which of them fill areas."""
    kind = "colours" if content.pixels and isinstance(next(iter(content.pixels)), tuple) else "numbers"
    many = f"more than {len(content.pixels) - 1}" if kind == "colours" else f"{len(content.pixels)}"
    why = "JPEG changes colours: save masks as PNG" if content.lossy else "their edges are smooth"
    if len(found.areas) < 2:
        return f"the masks hold {many} {kind}, and none is unlike the others: {why}"
    areas = "; ".join(as_key(value) for value in found.areas[:LISTED])
    rest = " and more" if len(found.areas) > LISTED else ""
    return (
        f"the masks hold {many} {kind}, of which {len(found.areas)} fill areas ({areas}{rest}): {why};"
        " data.snap=true gives each pixel the label of the nearest"
    )


def describe_data(node: dict[str, Any], class_names: list[str], found: Proposal) -> str:
    """A data set file for data=folder: the keys that were given, and what is proposed."""
    kept = {
        k: v for k, v in node.items() if k not in ("_target_", "root", "num_classes") and v not in (None, "")
    }
    proposed: dict[str, Any] = {"class_names": class_names}
    if found.label_map:
        proposed["label_map"] = {as_key(value): label for value, label in found.label_map.items()}
    if found.areas:
        proposed["snap"] = True
    head = "# Proposed by segdata action=check: a guess. Read it, and name the classes.\n"
    root = {"format": "folder", "root": str(user_path(node["root"]).resolve())}
    return head + yaml.safe_dump(root | kept | proposed, sort_keys=False, allow_unicode=True)


def _names(report: DataReport, found: Proposal) -> list[str]:
    """The data set's own names where they are enough, else those that were recognised, else numbers."""
    if len(report.data.class_names) == found.num_classes:
        own = report.data.class_names
        if found.class_names is None or own != tuple(map(str, range(len(own)))):
            return list(own)
    return list(found.class_names or map(str, range(min(found.num_classes, IGNORE_INDEX))))


def _write(path: Path, text: str) -> None:
    write_atomically(path, lambda file: file.write(text.encode()))
