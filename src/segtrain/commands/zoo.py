"""A zoo: models by name, in a `zoo.yaml` beside their files, on this machine or on a server of HTTP."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import yaml

from segtrain.downloads import check_file, check_sha256, download, download_text, is_url
from segtrain.errors import InputError, reading_reason, shorten
from segtrain.files import cache_folder, inside, user_path, write_bytes

ZOO = "zoo:"
PLACE = "SEGTRAIN_ZOO"
BUILT_IN = Path(__file__).parent.parent / "zoo.yaml"
NAME = r"[\w.-]+"


def from_zoo(address: str) -> Path:
    """The file of a model in the zoo, with the right sha256; one from the network is downloaded once.

    Args:
        address: `zoo:NAME`. The zoo is the file or URL that SEGTRAIN_ZOO names, else segtrain's own.

    Returns:
        The path of a checkpoint.

    Raises:
        InputError: no such name, a zoo of another form, no network, or a file of another sha256.

    Example:
        >>> from_zoo("zoo:unet_shapes")
    """
    place = os.environ.get(PLACE) or str(BUILT_IN)
    name = address.removeprefix(ZOO)
    models = read_zoo(place)
    if name not in models:
        known = ", ".join(sorted(models)) or f"none: {PLACE}=FILE or URL names a zoo.yaml with some"
        raise InputError(f"{address}: no such model in {place}", do=f"there are {known}")
    entry = models[name]
    asked = f"{address} of {place}"
    sha256 = check_sha256(entry.get("sha256"), asked)
    file = entry.get("file")
    if not isinstance(file, str) or not file:
        raise InputError(f"{asked}: file must be a path or a URL, got {shorten(file)}", do="mend the zoo")
    if is_url(file) or is_url(place):
        return download(urljoin(place, file) if is_url(place) else file, sha256, asked=asked)
    return check_file(inside(user_path(place).parent, file), sha256, asked)


def read_zoo(place: str) -> dict[str, dict[str, Any]]:
    """The models of a zoo by name: `file` (beside it, or a URL), `sha256`, `metrics`, `command`, ...

    Args:
        place: of its `zoo.yaml`, a path or a URL; a URL's last content is taken where there is no network.

    Raises:
        InputError: it cannot be read, or is of another form.
    """
    text = _text(place)
    try:
        models = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise InputError(f"{PLACE}={place}: {reading_reason(error)}", do="mend it") from error
    named = isinstance(models, dict) and all(re.fullmatch(NAME, str(name)) for name in models)
    if not named or not all(isinstance(entry, dict) for entry in models.values()):
        raise InputError(
            f"{PLACE}={place}: must hold names, each with file and sha256 below it",
            do="take the zoo.yaml of segexport format=hub as an example",
        )
    return models


def _text(place: str) -> str:
    if not is_url(place):
        try:
            return user_path(place).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            what = f"{PLACE}={place}: {reading_reason(error)}"
            raise InputError(what, do="give the path or the URL of a zoo.yaml") from error
    kept = cache_folder() / "zoo" / f"{hashlib.sha256(place.encode()).hexdigest()[:16]}.yaml"
    try:
        text = download_text(place, asked=f"{PLACE}={place}")
    except InputError:
        if not kept.is_file():
            raise
        return kept.read_text(encoding="utf-8")
    write_bytes(kept, text.encode())
    return text


def zoo_entry(name: str, file: Path, metrics: dict[str, Any], about: dict[str, Any]) -> dict[str, Any]:
    """A model's entry of a zoo.

    Args:
        name: of it.
        file: the checkpoint, beside which the zoo lies.
        metrics: the run's; may be empty.
        about: more of it: model, data, license.

    Returns:
        What its `zoo.yaml` holds.
    """
    command = (metrics.get("made_by") or {}).get("command")
    kept = {key: metrics[key] for key in ("mean_iou", "mean_iou_interval", "images") if key in metrics}
    entry = {"file": file.name, "sha256": hashlib.sha256(file.read_bytes()).hexdigest()} | about
    entry |= {"metrics": kept, "command": without_directories(command) if command else None}
    return {name: {key: value for key, value in entry.items() if value not in (None, {})}}


def without_directories(command: str) -> str:
    """A command line without folders of this machine: of an absolute path the last part is left.

    Example:
        >>> without_directories("/usr/bin/segtrain data.root=/home/x/CamVid model=unet")
        'segtrain data.root=CamVid model=unet'
    """
    return re.sub(r"(?<![\w.~/])(?:~|\.\.)?/(?:[^\s'\"/]+/)*(?=[^\s'\"/])", "", command)
