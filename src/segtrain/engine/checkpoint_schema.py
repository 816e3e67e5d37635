"""What a checkpoint says of itself: the form of every key, and which keys each use of it needs.

A checkpoint may be crafted, cut or of another version: everything that reads `meta` relies on what is
checked here, once.
"""

import math
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, NamedTuple

from segtrain.contracts import IGNORE_INDEX
from segtrain.errors import InputError
from segtrain.input_spec import DTYPES, MOST_CHANNELS, RGB_CHANNELS

OPTION = 100  # characters of an option's name
DEPTH = 32  # of a config
LARGEST = 1_000_000  # number in the config of a network or an inference: of channels, classes, pixels, blocks
PRECISIONS = ("32", "bf16", "16")
SCALER = {"scale", "growth_factor", "backoff_factor", "growth_interval", "_growth_tracker"}

EVALUATED = ("config", "step", "class_names", "palette")
RESUMED = ("step", "best", "scaler")
REPLAYED = (*EVALUATED, "at", "precision", "freeze_norm", "progress", "class_weights", "names")


class Form(NamedTuple):
    """What a key's value must be: `holds` says whether it is, `words` what that is."""

    holds: Callable[[Any], bool]
    words: str


def is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def is_float(value: Any) -> bool:
    """As `is_number`, or infinite or nan."""
    return isinstance(value, float) or is_number(value)


def list_of(holds: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and all(map(holds, value))


def is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_config(value: Any, depth: int = DEPTH) -> bool:
    """Whether it is a mapping, and neither it nor what is in it nests too deep."""

    def shallow(node: Any, depth: int) -> bool:
        below = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
        return depth > 0 and all(shallow(each, depth - 1) for each in below)

    return isinstance(value, dict) and shallow(value, depth)


def _is_colour(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 3 and all(is_count(v) and v <= 255 for v in value)


def _is_batch(value: Any) -> bool:
    if not isinstance(value, dict) or value.keys() != {"images", "statistics"}:
        return False
    pair = value["statistics"]
    return is_count(value["images"]) and (pair is None or (list_of(is_count)(pair) and len(pair) == 2))


def _is_choice(value: Any) -> bool:
    """Whether it holds options of groups: names, lists of them, or null."""
    options = [value] if not isinstance(value, dict | list) else list(value)
    if isinstance(value, dict):
        return all(map(_is_choice, value.values()))
    return all(option is None or (is_text(option) and len(option) <= OPTION) for option in options)


def _is_scaler(value: Any) -> bool:
    if not isinstance(value, dict) or not value:
        return value == {}
    return value.keys() == SCALER and all(is_number(v) and v >= 0 for v in value.values())


def _is_moment(value: Any) -> bool:
    """Whether it says of what step a `diverged.ckpt` is."""
    if not isinstance(value, dict) or not {"step", "learning_rate", "loss", "seed"} <= value.keys():
        return False
    seed = value["seed"]  # a hash, half of which are below 0
    known = isinstance(seed, int) and not isinstance(seed, bool) and -(2**63) <= seed < 2**63
    return known and is_count(value["step"]) and is_number(value["learning_rate"])


def _is_maker(value: Any) -> bool:
    """Whether it says by what a run was made; what another version left out is missing."""
    if not isinstance(value, dict):
        return False
    git, data = value.get("git"), value.get("data", {"sha256": "", "train": 0, "val": 0, "files": 0})
    texts = [value.get(key, "") for key in ("segtrain", "torch", "python", "command")]
    if git is not None:
        if not isinstance(git, dict) or not isinstance(git.get("dirty"), bool):
            return False
        texts.append(git.get("commit"))
    if not isinstance(data, dict) or not all(is_count(data.get(key)) for key in ("train", "val", "files")):
        return False
    return all(map(is_text, [*texts, data.get("sha256")])) and is_count(value.get("processes", 1))


def _is_input(value: Any) -> bool:
    """Whether it says what images are, as `InputSpec.as_json` does; null: RGB."""
    if not isinstance(value, dict):
        return value is None
    channels, rgb = value.get("channels", RGB_CHANNELS), value.get("rgb", [0, 1, 2])
    numbers = {key: value.get(key, []) for key in ("low", "high", "mean", "std")}
    if (
        not is_count(channels)
        or not 1 <= channels <= MOST_CHANNELS
        or value.get("dtype", "uint8") not in DTYPES
    ):
        return False
    if not all(list_of(is_number)(of) and len(of) in (0, channels) for of in numbers.values()):
        return False
    shown = list_of(is_count)(rgb) and len(rgb) == 3 and all(at < channels for at in rgb)
    return shown and value.keys() <= {"channels", "dtype", "rgb", *numbers}


FORMS = {
    "config": Form(_is_config, "the config of a run"),
    "step": Form(is_count, "a number of steps"),
    "class_names": Form(
        lambda v: list_of(is_text)(v) and 1 <= len(v) <= IGNORE_INDEX, f"1 to {IGNORE_INDEX} names"
    ),
    "palette": Form(list_of(_is_colour), "a colour [R,G,B] for each class"),
    "best": Form(is_number, "a number"),
    "best_step": Form(is_count, "a number of steps"),
    "validated": Form(lambda v: v == -1 or is_count(v), "a step"),
    "waited": Form(is_count, "a number of validations"),
    "schedule": Form(
        lambda v: isinstance(v, dict) and all(map(is_number, v.values())), "numbers of a schedule"
    ),
    "losses": Form(list_of(list_of(is_float)), "the losses of steps"),
    "batch": Form(_is_batch, "the number of images of a step, and of BatchNorm's statistics"),
    "validation_pending": Form(lambda v: isinstance(v, bool), "true or false"),
    "scaler": Form(_is_scaler, "the state of a gradient scaler"),
    "threshold": Form(lambda v: is_number(v) and 0 <= v <= 1, "a threshold from 0 to 1"),
    "imported": Form(lambda v: isinstance(v, dict), "what was imported"),
    "training": Form(_is_config, "the rest of a run's config"),
    "choices": Form(_is_choice, "the options of groups"),
    "lr": Form(is_number, "a learning rate"),
    "input": Form(_is_input, "the channels and numbers of images"),
    "made_by": Form(_is_maker, "versions, commit, command line and data of a run"),
    "at": Form(_is_moment, "a step with its learning rate, loss and seed"),
    "precision": Form(lambda v: v in PRECISIONS, " or ".join(PRECISIONS)),
    "freeze_norm": Form(lambda v: isinstance(v, bool), "true or false"),
    "freeze": Form(list_of(is_text), "names of parts"),
    "progress": Form(lambda v: is_number(v) and 0 <= v <= 1, "a share from 0 to 1"),
    "class_weights": Form(lambda v: v is None or list_of(is_float)(v), "a weight for each class, or null"),
    "names": Form(list_of(list_of(is_text)), "the names of images"),
}


def check_meta(meta: Any, path: Path) -> None:
    """Raises InputError where a key that is known has a value of another form."""
    if not isinstance(meta, dict):
        raise InputError(f"{path}: not a checkpoint of segtrain", do="give a best.ckpt or last.ckpt")
    for key, form in FORMS.items():
        if key in meta and not form.holds(meta[key]):
            raise _refusal(path, key, form.words)


def check_keys(meta: dict[str, Any], keys: Collection[str], path: Path | str) -> None:
    """Raises InputError where a key is missing, or what they say does not fit together.

    Args:
        keys: EVALUATED, RESUMED or REPLAYED.
    """
    missing = next((key for key in keys if key not in meta), None)
    if missing:
        raise InputError(f"{path}: its {missing} is missing", do="give another checkpoint")
    if "config" not in keys:
        return
    config, names = meta["config"], meta["class_names"]
    for group in ("model", "data"):
        if not isinstance(config.get(group), dict) or not is_text(config[group].get("_target_")):
            raise _refusal(path, f"config.{group}", f"the {group} of a run")
    for group in ("inference", "dense_crf"):
        node = config.get(group)
        if node is not None and not (isinstance(node, dict) and is_text(node.get("_target_"))):
            raise _refusal(path, f"config.{group}", f"the {group} of a run")
    for group in ("model", "inference"):
        if key := _too_large(config.get(group), f"config.{group}"):
            raise _refusal(path, key, f"at most {LARGEST:,}")
    if "at" in keys and not isinstance(config.get("loss"), dict):
        raise _refusal(path, "config.loss", "the loss of a run")
    if len(meta["palette"]) != len(names):
        raise _refusal(path, "palette", FORMS["palette"].words)
    if config["data"].get("num_classes", len(names)) not in (len(names), None):
        raise _refusal(path, "config.data.num_classes", f"{len(names)}, as there are names")


def _too_large(node: Any, key: str) -> str | None:
    """The first key of a config below which a number is larger than any network has."""
    if isinstance(node, dict | list):
        below = node.items() if isinstance(node, dict) else enumerate(node)
        return next(filter(None, (_too_large(value, f"{key}.{name}") for name, value in below)), None)
    return key if isinstance(node, int | float) and abs(node) > LARGEST else None


def _refusal(path: Path | str, key: str, words: str) -> InputError:
    return InputError(f"{path}: its {key} must be {words}", do="give another checkpoint")
