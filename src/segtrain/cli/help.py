"""`--help`: the keys of a command's root config with its own comments, without composing it."""

import re
from textwrap import fill

from segtrain.config.compose import CONFIG_DIR

KEY = re.compile(r"(\w+): ([^#]*?) *(?:# (.*))?")
GROUP = re.compile(r"  - ([a-z_]+): (\w+) *(?:# (.*))?")
COLUMNS = 110


def help_text(root: str) -> str:
    """What the config `root` says of itself, each of its keys, and the options of its groups."""
    about, *lines = (CONFIG_DIR / f"{root}.yaml").read_text(encoding="utf-8").splitlines()
    text = [about.removeprefix("# "), ""]
    for key, value, why in (found.groups() for line in lines if (found := KEY.fullmatch(line))):
        if value:  # not defaults: and hydra:
            text.append(f"  {f'{key}={value}':22}  {why or ''}")
    for group, option, why in (found.groups() for line in lines if (found := GROUP.fullmatch(line))):
        text += _options(
            group, option, why or ("the checkpoint's, or one of" if option == "null" else "one of")
        )
        for below in (path for path in (CONFIG_DIR / group).iterdir() if path.is_dir()):
            text += _options(f"{group}/{below.name}", "NAME", "where the model takes one")
    return "\n".join([*text, "", "Several values sweep, with -m; --cfg job shows the composed config."])


def _options(group: str, chosen: str, about: str) -> list[str]:
    names = ", ".join(sorted(path.stem for path in (CONFIG_DIR / group).glob("*.yaml")))
    listed = fill(names, COLUMNS, initial_indent=" " * 4, subsequent_indent=" " * 4)
    return ["", f"  {f'{group}={chosen}':22}  {about}", listed]
