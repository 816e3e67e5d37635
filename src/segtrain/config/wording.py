"""Hydra's complaints about the command line, in one line that names what would be right."""

import difflib
import re
from collections.abc import Sequence

import yaml
from hydra.errors import HydraException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from segtrain.config.compose import CONFIG_DIR, compose_config, has_option, plain
from segtrain.config.near_key import near_key
from segtrain.config.no_option import groups_of
from segtrain.errors import InputError, how_to_install, shorten
from segtrain.files import as_argument

CONFIG_ERRORS = (HydraException, OmegaConfBaseException, yaml.YAMLError)
# Options of Hydra's own groups, that the extra `sweep` brings.
PLUGINS = {
    "hydra/launcher": ("joblib", "submitit_local", "submitit_slurm"),
    "hydra/sweeper": ("optuna",),
}


def explain(error: Exception, root: str, arguments: Sequence[str] = ()) -> InputError:
    """The InputError that says what Hydra's or OmegaConf's exception says, but shorter.

    Args:
        error: one of CONFIG_ERRORS.
        root: the root config, `train` or `eval`, whose keys are proposed.
        arguments: of the command line; the keys of the options that they choose are proposed.

    Returns:
        The error to show; it is not raised.
    """
    text = str(error)
    if isinstance(error, OverrideParseException):
        key, equals, value = str(error.override).partition("=")
        do = f"quote it: {as_argument(key, value, whole=True)}" if equals else "add = and a value"
        if value[:1] in ("[", "{"):
            do = f"quote what is unusual in it, as in {key}=\"['a[1]',b]\""
        return InputError(f"{error.override}: must be of the form key=value", do=do)
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return InputError(
            f"{mark.name}, line {mark.line + 1}: not YAML ({shorten(error.problem)})", do="mend the file"
        )
    if found := re.search(r"Ambiguous value for argument '([^=]+)=(.*)'", text):
        meant = as_argument(found[1], found[2], whole=True)
        return InputError(
            f"{found[1]}={shorten(found[2])}: a comma means several runs", do=f"add -m, or quote it: {meant}"
        )
    if found := re.search(r"Could not (?:find|load) '([\w/@.]+)/([^']+)'", text):
        group, option = found.groups()
        return _unknown_option(group.partition("@")[0], option)
    if found := re.search(r"Could not override '([^']+)'|Key '([^']+)' is not in struct", text):
        return _unknown_key(found[1] or found[2], root, arguments)
    first = next((line for line in text.splitlines() if line.strip()), type(error).__name__)
    command = "segtrain" if root == "train" else f"seg{root}"
    return InputError(first.strip().rstrip("."), do=f"see {command} --help")


def _unknown_option(group: str, option: str) -> InputError:
    plugins = PLUGINS.get(group, ())
    if option in plugins:
        return InputError(f"{group}={option}: its plugin is not installed", do=how_to_install("sweep"))
    options = option_names(group) or (["basic", *plugins] if plugins else [])
    near = difflib.get_close_matches(option, options, 1)
    hint = f"did you mean {group}={near[0]}? " if near else ""
    known = f"there are {', '.join(options)}" if options else "see segtrain --help"
    return InputError(f"{group}={option}: no such {group.split('/')[-1]}", do=f"{hint}{known}")


def _unknown_key(key: str, root: str, arguments: Sequence[str]) -> InputError:
    command = "segtrain" if root == "train" else f"seg{root}"
    chosen = [a for a in arguments if _chooses_an_option(a)]
    if key == "model/backbone":
        models = [m for a in arguments if a.startswith("model=") for m in a.partition("=")[2].split(",")]
        without = [m for m in models if not _takes_a_backbone(m)]  # of those of a sweep
        return InputError(
            f"{key}: {' and '.join(without) or 'this model'} takes no other backbone",
            do=f"leave it out, or see {command} --help",
        )
    try:
        config = compose_config(root, chosen)
    except CONFIG_ERRORS:  # the options do not fit together, or are the user's own
        config = compose_config(root, [])
    values = plain(config, resolve=False)
    groups = list(groups_of(root))
    if "backbone" in (values.get("model") or ()):
        groups.append("model/backbone")
    given = next((a.partition("=")[2] for a in arguments if a.lstrip("+").startswith(f"{key}=")), None)
    near = near_key(key, given, values, [*_keys(config), *groups])
    return InputError(f"{key}: no such key", do=f"did you mean {near}?" if near else f"see {command} --help")


def _takes_a_backbone(model: str) -> bool:
    path = CONFIG_DIR / "model" / f"{model}.yaml"
    return has_option("model", model) and "- backbone:" in path.read_text(encoding="utf-8")


def option_names(group: str) -> list[str]:
    """The options of a group, `model` or `model/backbone`, in order."""
    return sorted(path.stem for path in (CONFIG_DIR / group).glob("*.yaml"))


def _chooses_an_option(argument: str) -> bool:
    """Whether it is `group=option` with an option that is ours."""
    group, _, option = argument.lstrip("+").partition("=")
    return has_option(group, option)


def _keys(config: DictConfig, prefix: str = "") -> list[str]:
    keys = []
    for name in map(str, config):
        keys.append(f"{prefix}{name}")
        child = None if OmegaConf.is_missing(config, name) else config._get_node(name)
        if isinstance(child, DictConfig) and not child._is_none():
            keys += _keys(child, f"{prefix}{name}.")
    return keys
