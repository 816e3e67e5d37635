"""Reference pages: every command's keys from its --help, and every option of a group from its YAML."""

from pathlib import Path

from segtrain.cli.entry import COMMANDS
from segtrain.cli.help import help_text
from segtrain.config.compose import CONFIG_DIR

WIDE = 100  # columns of a page's blocks


def reference_pages() -> dict[str, str]:
    """Markdown by the path below docs/."""
    return {"reference/commands.md": commands(), "reference/options.md": options()}


def commands() -> str:
    """What `--help` says, of each command."""
    parts = ["# Commands\n", "Every key can be set on the command line. `--help` shows the same.\n"]
    for name in COMMANDS:
        called = "segtrain" if name == "train" else f"seg{name}"
        parts.append(f"## {called}\n\n```{{ .text .help }}\n{help_text(COMMANDS[name].root, WIDE)}\n```\n")
    return "\n".join(parts)


def options() -> str:
    """The YAML of each option, whose comments say what its keys are."""
    parts = ["# Options\n"]
    for group in sorted(path for path in CONFIG_DIR.iterdir() if path.is_dir() and any(path.glob("*.yaml"))):
        parts.append(f"## {group.name}\n")
        for path in sorted(group.rglob("*.yaml")):
            parts.append(f"### {option_name(path)}\n\n```yaml\n{path.read_text().rstrip()}\n```\n")
    return "\n".join(parts)


def option_name(path: Path) -> str:
    """`model/backbone=resnet50`, of configs/model/backbone/resnet50.yaml."""
    return f"`{path.parent.relative_to(CONFIG_DIR)}={path.stem}`"
