"""Checkpoints that lie elsewhere: `hf://USER/NAME` on the Hugging Face Hub, `zoo:NAME` in a zoo."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

from segtrain.commands.zoo import ZOO, from_zoo
from segtrain.errors import InputError, how_to_install
from segtrain.files import user_path

HUB = "hf://"
HUB_FILE = "model.safetensors"  # what `segexport format=hub` calls a checkpoint
ADDRESS = re.compile(r"hf://([\w.-]+/[\w.-]+)(?:@([\w.-]+))?(?:/([\w.-]+(?:/[\w.-]+)*))?")


def fetched(path: str | Path) -> Path:
    """A checkpoint's path on this machine; one on the Hub or in a zoo is downloaded once.

    Args:
        path: a path, `hf://USER/NAME` with `@REVISION` and `/FILE` behind it, or `zoo:NAME`.

    Raises:
        InputError: an address of another form, huggingface_hub is not installed, or it cannot be
            downloaded; the message says how to go on without network.

    Example:
        >>> fetched("hf://someone/unet_camvid@v1")
    """
    if str(path).startswith(ZOO):
        return from_zoo(str(path))
    if not str(path).startswith(HUB):
        return user_path(path)
    found = ADDRESS.fullmatch(str(path))
    if not found:
        raise InputError(f"{path} must be hf://USER/NAME", do="as hf://USER/NAME@REVISION/FILE")
    require_hub()
    from segtrain.weights import from_hub

    repository, revision, file = found.groups()
    return from_hub(repository, file or HUB_FILE, revision, asked=str(path))


def require_hub() -> None:
    """Raises InputError where huggingface_hub is not installed."""
    if find_spec("huggingface_hub") is None:
        raise InputError("hf:// needs the package huggingface_hub", do=how_to_install("hub"))
