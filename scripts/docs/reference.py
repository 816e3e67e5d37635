"""Reference pages: every command's keys from its --help, and every option of a group from its YAML."""

import re
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path
from textwrap import fill

from segtrain.cli.entry import COMMANDS
from segtrain.cli.help import help_text
from segtrain.config.compose import CONFIG_DIR

WIDE = 100  # columns of a page's blocks
NARROW = 80  # of blocks in the site's usual size of type
LONGEST = 44  # of a key and its value beside which a comment has room

ABOUT = {
    "augment": "What is done to training images. Transforms are albumentations', in their order.",
    "crops": "Windows of the training images instead of the images, as DeconvNet's two stages take them.",
    "data": "Data sets, and the formats of annotation tools: [Data](../data.md), [formats](../formats.md).",
    "dense_crf": "Numbers of the dense CRF (`crf=true`): [When the CRF helps](../tutorials/crf.md).",
    "experiment": "Recipes: all keys of a training at once. What a paper says of each is on"
    " [the paper's page](../papers/index.md).",
    "inference": "How a network is applied to an image in evaluation and prediction.",
    "logger": "Where curves and images go; several together: `logger=[tensorboard,jsonl,wandb]`.",
    "loss": "Losses, which add up: `loss=[cross_entropy,dice] loss.dice.weight=0.5`.",
    "metric": "Metrics beside IoU and the accuracies; several together: `metric=[boundary,calibration]`.",
    "model": "Networks: [The papers](../papers/index.md), [how to choose one](../howto/choose.md).",
    "model/backbone": "Encoders, for the networks that take one.",
    "optimizer": "Optimizers, with factors for kinds of parameters.",
    "schedule": "The learning rate over the steps.",
}
VALUE = r"(?:\.\.\.|\[[^]]*\]|\{[^}]*\}|[^\s;,):]*[^\s;,):.]|)"
KEYS = rf"[\w./@]+={VALUE}(?: [\w./@]+={VALUE})*"
NAMES = r"(?:[\w-]+/)*[\w-]*[A-Za-z_][\w-]*(?:\.[A-Za-z_]\w*)+(?:/\w+)*(?:\([^)]*\))?|[A-Za-z][\w-]*_[\w-]*"
CODE = re.compile(rf"(?P<link>https?://[^\s)]+)|`[^`]*`|(?:\b(?:seg[a-z]+|make install) )?{KEYS}|{NAMES}")
BEGINS = re.compile(r"(?:Departs|Expected|Command|Then|In short)\b|\d\. ")  # a paragraph of a file's comment


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
    """What each option's YAML says of it, and its keys with their comments."""
    parts = [
        "# Options\n",
        "A group's option is chosen by its name, `segtrain model=fcn16s`, and a key of it by the group's name"
        " before it, `segtrain optimizer.lr=0.01`. `--cfg job` shows what they compose.\n",
    ]
    folders = sorted({path.parent for path in CONFIG_DIR.rglob("*/*.yaml")})
    for folder in folders:
        group = str(folder.relative_to(CONFIG_DIR))
        parts += [f"## {group}\n", f"{ABOUT[group]}\n"]
        parts += [option(path) for path in sorted(folder.glob("*.yaml"))]
    return "\n".join(parts)


def option(path: Path) -> str:
    """The first comment of a YAML as text, and its keys."""
    lines = path.read_text(encoding="utf-8").rstrip().splitlines()
    about = list(takewhile(lambda line: line.startswith("#"), lines))
    keys = "\n".join(narrowed(line) for line in lines[len(about) :])
    return f"### {option_name(path)}\n\n{prose(about)}\n\n```yaml\n{keys}\n```\n"


def prose(comment: Sequence[str]) -> str:
    """Markdown of a file's first comment, whose commands and keys become code."""
    said = [line.lstrip("# ") for line in comment if not line.startswith("# @package")]
    paragraphs: list[str] = []
    for line in said:
        if paragraphs and not BEGINS.match(line):
            paragraphs[-1] += f" {line}"
        else:
            paragraphs.append(line)
    return "\n\n".join(with_code(paragraph) for paragraph in paragraphs)


def with_code(text: str) -> str:
    """A sentence whose keys, commands and files' names are code, and whose addresses are links."""
    return CODE.sub(lambda found: f"<{found[0]}>" if found["link"] else f"`{found[0].strip('`')}`", text)


def narrowed(line: str) -> str:
    """A line of YAML whose comment goes on below itself where the line is long."""
    key, mark, why = line.partition(" # ")
    if len(line) <= NARROW or not mark:
        return line
    if len(key) <= LONGEST:
        return fill(why, NARROW, initial_indent=f"{key} # ", subsequent_indent=" " * (len(key) + 1) + "# ")
    above = " " * (len(key) - len(key.lstrip())) + "# "
    return f"{fill(why, NARROW, initial_indent=above, subsequent_indent=above)}\n{key}"


def option_name(path: Path) -> str:
    """`model/backbone=resnet50`, of configs/model/backbone/resnet50.yaml."""
    return f"`{path.parent.relative_to(CONFIG_DIR)}={path.stem}`"
