"""What people type who come from other tools, and what they meant: `--model unet`, `segpredict photos`."""

from collections.abc import Sequence
from pathlib import Path

import yaml

from segtrain.config.compose import CONFIG_DIR, has_option
from segtrain.errors import InputError
from segtrain.files import check_name

MAY_BE_EMPTY = ("data.mask_suffix", "title")
# Hydra's own, the first of which take the word after them.
WITH_VALUE = (
    "--config-dir -cd --config-name -cn --config-path -cp --package -p --cfg -c --info -i"
    " --experimental-rerun".split()
)
FLAGS = "--multirun -m --run -r --resolve --hydra-help --shell-completion -sc".split()
DATA_ROOT = ("train", "data")  # commands whose folder is the data's
NAMED = ("hf://", "zoo:")  # how a checkpoint elsewhere begins


def check_command_line(root: str, arguments: Sequence[str]) -> None:
    """Refuses what is no `key=value`, and `key=` without a value.

    An unset variable of the shell would else leave out weights, or take the folder that we are in for the
    data.

    Args:
        root: the command's root config, `train`.
        arguments: as they were typed.

    Raises:
        InputError: with what was meant, where that can be seen; also for what is not UTF-8.
    """
    before = ""
    for place, argument in enumerate(arguments):
        check_name(argument)
        key, equals, value = argument.lstrip("+").partition("=")
        after = arguments[place + 1] if place + 1 < len(arguments) else ""
        if argument.startswith("--") and not any(flag.startswith(key) for flag in (*WITH_VALUE, *FLAGS)):
            name, given = key.lstrip("-").replace("-", "_"), value if equals else after
            meant = f"{name}={given}" if given and not given.startswith("-") else f"{name}=VALUE"
            raise InputError(f"{key}: keys have no dashes before them", do=f"write {meant}")
        if argument[:1] == "-" and argument[:2] not in ("--", *(flag[:2] for flag in (*WITH_VALUE, *FLAGS))):
            raise InputError(f"{argument}: no such flag", do="see --help")
        if not equals and before not in WITH_VALUE and argument[:1] not in "-~":
            raise InputError(
                f"{argument}: must be of the form key=value", do=_what_a_word_means(root, argument)
            )
        if equals and value.strip() in ("", "''", '""') and key[:1] not in "-~" and key not in MAY_BE_EMPTY:
            what = f"{key}= is empty; is a variable of the shell not set?"
            raise InputError(what, do="give a value, or leave the key out")
        before = argument
    if "--resolve" in arguments and not {"--cfg", "-c"} & {one.partition("=")[0] for one in arguments}:
        raise InputError("--resolve: shows nothing by itself", do="add --cfg job")


def flags_first(arguments: Sequence[str]) -> list[str]:
    """The arguments with Hydra's flags before the overrides, between which its parser takes none.

    Example:
        >>> flags_first(["data=voc", "-m", "model=unet,segnet"])
        ["-m", "data=voc", "model=unet,segnet"]
    """
    flags: list[str] = []
    overrides: list[str] = []
    for argument in arguments:
        follows = bool(flags) and flags[-1] in WITH_VALUE
        (flags if follows or argument.startswith("-") else overrides).append(argument)
    return flags + overrides


def _what_a_word_means(root: str, word: str) -> str:
    """The key that a word without one is for: a checkpoint's, the images', the data's or the model's."""
    keys = yaml.safe_load((CONFIG_DIR / f"{root}.yaml").read_text(encoding="utf-8"))
    path = Path(word)
    if word.startswith(NAMED) or path.suffix == ".ckpt" or (path / "checkpoints").is_dir():
        if found := [key for key in ("ckpt", "runs") if key in keys]:
            return f"write {found[0]}={word}"
        if "resume" in keys:
            return f"write resume={word}, or init_from={word}"
    if path.exists() and (found := [key for key in ("input", "runs", "weights", "image") if key in keys]):
        return f"write {found[0]}={word}"
    if path.is_dir() and root in DATA_ROOT:
        return f"write data=folder data.root={word}"
    return f"write model={word}" if has_option("model", word) else "add = and a value"
