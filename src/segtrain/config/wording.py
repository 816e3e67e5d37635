"""Hydra's complaints about the command line, in one line that names what would be right."""

import difflib
import re

from hydra.errors import HydraException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from segtrain.config.compose import CONFIG_DIR, compose_config
from segtrain.errors import InputError

CONFIG_ERRORS = (HydraException, OmegaConfBaseException)


def explain(error: Exception, root: str) -> InputError:
    """The InputError that says what a HydraException or OmegaConf's says, but shorter.

    Args:
        root: the root config, `train` or `eval`, whose keys are proposed.
    """
    text = str(error)
    if isinstance(error, OverrideParseException):
        return InputError(f"{error.override}: not of the form key=value", do="quote what has = or , in it")
    if found := re.search(r"Could not find '([\w/]+)/([^']+)'", text):
        group, option = found.groups()
        return _unknown_option(group, option)
    if found := re.search(r"Could not override '([^']+)'|Key '([^']+)' is not in struct", text):
        return _unknown_key(found[1] or found[2], root)
    first = next((line for line in text.splitlines() if line.strip()), type(error).__name__)
    return InputError(first.strip().rstrip("."), do="see segtrain --help")


def _unknown_option(group: str, option: str) -> InputError:
    options = sorted(path.stem for path in (CONFIG_DIR / group).glob("*.yaml"))
    near = difflib.get_close_matches(option, options, 1)
    hint = f"did you mean {group}={near[0]}? " if near else ""
    return InputError(
        f"{group}={option}: no such {group.split('/')[-1]}", do=f"{hint}there are {', '.join(options)}"
    )


def _unknown_key(key: str, root: str) -> InputError:
    config = compose_config(root, [])
    keys = [*_keys(config), *(p.name for p in CONFIG_DIR.iterdir() if p.is_dir())]
    near = difflib.get_close_matches(key, [k for k in keys if k != key], 1)
    return InputError(
        f"{key}: no such key", do=f"did you mean {near[0]}?" if near else f"see seg{root} --help"
    )


def _keys(config: DictConfig, prefix: str = "") -> list[str]:
    keys = []
    for name in config:
        keys.append(f"{prefix}{name}")
        child = None if OmegaConf.is_missing(config, name) else config._get_node(name)
        if isinstance(child, DictConfig) and not child._is_none():
            keys += _keys(child, f"{prefix}{name}.")
    return keys
