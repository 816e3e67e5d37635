"""`data=PLACE/mine.yaml`: a data set's keys in a file of the user's, as an option of `data=`."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml
from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf

from segtrain.config.compose import CONFIG_DIR, has_option
from segtrain.errors import InputError, reading_reason
from segtrain.files import content_of, user_path

FORMAT = "folder"  # of a file that names none
SUFFIXES = (".yaml", ".yml")
SAYING_LESS = ("data", "classes")  # names of files that say less than the data's folder
BELOW_ROOT = ("root", "label_map")  # keys with paths that are relative to the file

_files: dict[str, str] = {}  # option -> the file that it stands for


def adopt_data_files(arguments: Iterable[str]) -> list[str]:
    """The arguments with an option of Hydra's for each `data=FILE.yaml`.

    Args:
        arguments: of the command line. `format:` in such a file names the option of `data=` that takes its
            other keys; `root` and a `label_map` that is a path are relative to the file.

    Returns:
        The same arguments but for those: `data=mine` for `data=photos/mine.yaml`.

    Raises:
        InputError: the file is missing, no YAML, or names a format that there is not.
    """
    adopted = []
    for argument in arguments:
        found = re.fullmatch(r"(\+{0,2}data=)(.+)", argument)
        if found and any(name.endswith(SUFFIXES) for name in found[2].split(",")):
            options = [_adopt(name) if name.endswith(SUFFIXES) else name for name in found[2].split(",")]
            argument = found[1] + ",".join(options)
        adopted.append(argument)
    return adopted


def data_argument(option: str) -> str:
    """What a user writes behind `data=` for an option: its name, or the file that it stands for."""
    return _files.get(option, option)


def _adopt(name: str) -> str:
    """Stores a file's keys as an option; gives the option's name."""
    path = user_path(name)
    node = _read(path)
    chosen = node.pop("format", FORMAT)
    if "_target_" not in node and "defaults" not in node:
        options = sorted(file.stem for file in (CONFIG_DIR / "data").glob("*.yaml"))
        if chosen not in options:
            raise InputError(
                f"{path}: format: {chosen}: no such format", do=f"there are {', '.join(options)}"
            )
        node = {"defaults": [chosen, "_self_"], "root": "."} | node
    for key in BELOW_ROOT:
        if isinstance(node.get(key), str):
            node[key] = str(path.parent / user_path(node[key]))
    option = re.sub(r"[^\w.-]", "_", _name(path, node))
    if has_option("data", option) or _files.get(option, name) != name:
        option = f"{option}_{len(_files)}"  # an option of ours, or another file's
    _files[option] = name
    ConfigStore.instance().store(group="data", name=option, node=OmegaConf.create(node))
    return option


def _name(path: Path, node: dict[str, Any]) -> str:
    """What a file is called: by its own name or, where that says little, by the data's folder."""
    folder = Path(node["root"]) if isinstance(node.get("root"), str) else path.parent
    names = [path.stem, *(above.name for above in (folder.resolve(), *folder.resolve().parents))]
    return next((name for name in names if name and name not in SAYING_LESS), path.stem)


def _read(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(content_of(path).decode("utf-8"))
    except (OSError, UnicodeDecodeError, RecursionError, yaml.YAMLError) as error:
        reason = reading_reason(error)
        raise InputError(f"data={path}: cannot be read ({reason})", do="give a YAML file") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: no keys in it", do="write root:, class_names: and so on, a line each")
    if other := [key for key in content if not isinstance(key, str)]:
        raise InputError(f"{path}: the key {other[0]} must be a name", do="see segdata --help for the names")
    return content
