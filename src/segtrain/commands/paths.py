"""The files that a command leaves, and how it names them."""

from pathlib import Path
from typing import Any

import yaml

from segtrain.distributed import process_group


def write_yaml(config: dict[str, Any], path: Path) -> None:
    if process_group.rank() == 0:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(config, sort_keys=False))


def relative(path: Path) -> str:
    """The path as one would type it: from the working directory if it lies below, else in full."""
    path, here = path.resolve(), Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
