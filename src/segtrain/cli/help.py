"""`--help`: the keys of a command's root config with its own comments, without composing it."""

import re
import shutil
from itertools import takewhile
from textwrap import fill

from segtrain.config.compose import CONFIG_DIR

KEY = re.compile(r"(\w+): ([^#]*?) *(?:# (.*))?")
GROUP = re.compile(r"  - ([a-z_]+): (\w+|\[[^]]*\]) *(?:# (.*))?")
NARROWEST, WIDEST = 60, 110  # columns
INDENT = 26  # of what a key does


def help_text(root: str, columns: int | None = None) -> str:
    """What the config `root` says of itself, each of its keys, and the options of its groups.

    Args:
        root: `train`, `eval`, ...: a file of the configs' root.
        columns: that a line has at most; the terminal's by default, within 60 and 110.

    Returns:
        Lines without one at the end.

    Example:
        >>> print(help_text("train"))
    """
    columns = min(max(columns or shutil.get_terminal_size((WIDEST, 0)).columns, NARROWEST), WIDEST)
    lines = (CONFIG_DIR / f"{root}.yaml").read_text(encoding="utf-8").splitlines()
    about = " ".join(line[2:] for line in takewhile(lambda line: line.startswith("# "), lines))
    text = [fill(about, columns), ""]
    for key, value, why in (found.groups() for line in lines if (found := KEY.fullmatch(line))):
        if value:  # not defaults: and hydra:
            text.append(_line(_given(key, value), why or "", columns))
    for group, option, why in (found.groups() for line in lines if (found := GROUP.fullmatch(line))):
        why = why or ("the checkpoint's, or one of" if option == "null" else "one of")
        text += _options(group, option, why, columns)
        for below in (path for path in (CONFIG_DIR / group).iterdir() if path.is_dir()):
            text += _options(f"{group}/{below.name}", "NAME", "where the model takes one", columns)
    last = "Several values sweep, with -m; --cfg job shows the composed config."
    return "\n".join([*text, "", fill(last, columns)])


def _given(key: str, value: str) -> str:
    """As it is typed: a list without blanks, which a shell would take apart."""
    return f"{key}={value.replace(', ', ',')}"


def _line(head: str, what: str, columns: int) -> str:
    """A key, and beside it what it does, in lines below one another."""
    first = f"  {head}"
    if not what:
        return first
    indent = " " * INDENT
    beside = len(first) <= INDENT - 2  # else what it does begins in the next line, in its column
    text = fill(
        what,
        columns,
        initial_indent=first.ljust(INDENT) if beside else indent,
        subsequent_indent=indent,
        break_on_hyphens=False,
        break_long_words=False,
    )
    return text if beside else f"{first}\n{text}"


def _options(group: str, chosen: str, about: str, columns: int) -> list[str]:
    names = ", ".join(sorted(path.stem for path in (CONFIG_DIR / group).glob("*.yaml")))
    listed = fill(names, columns, initial_indent=" " * 4, subsequent_indent=" " * 4)
    return ["", _line(_given(group, chosen), about, columns), listed]
