"""What `segimport` does: a checkpoint of ours from published weights, every tensor accounted for."""

import csv
from collections import Counter
from collections.abc import Mapping
from inspect import signature
from pathlib import Path
from typing import Any

import torch

from segtrain.commands.build import build_network, saved_config
from segtrain.commands.import_input import input_of, with_input
from segtrain.commands.paths import relative, write_yaml
from segtrain.config.compose import offline, options_with
from segtrain.config.data_node import make_data
from segtrain.config.instantiate import TARGET, locate
from segtrain.contracts import Dataset, HasClasses
from segtrain.converters.formats import FORMATS, read
from segtrain.converters.network import Account, OtherModel, PublishedNetwork, take, target
from segtrain.data.datasets.voc import voc_palette
from segtrain.downloads import SHORTEST, check_file, check_sha256, download, is_url
from segtrain.engine import checkpoint
from segtrain.engine.checkpoint import BEST, Checkpoint
from segtrain.errors import InputError
from segtrain.files import user_path
from segtrain.input_spec import InputSpec
from segtrain.layers.normalize import set_input
from segtrain.progress import Terminal


def import_weights(config: dict[str, Any], given: set[str], folder: Path) -> None:
    """Writes the checkpoint, and into `folder` where each tensor went (tensors.csv).

    Args:
        given: the keys that the user set; all others may follow the published network's form.

    Raises:
        InputError: the weights are not of the format, or not of the model.
    """
    name = config["format"]
    check_asked(config)
    state = read(weights_file(config), name)
    try:
        network = FORMATS[name](state, config["model"])
    except OtherModel as error:
        raise InputError(error.what, do=f"choose {options_of(error)}") from error
    config["model"], changes = in_form(offline(config["model"]), network.form, given)
    config["model"], derived = in_form(config["model"], network.derived(config["model"]), given)
    class_names, palette, data, numbered = classes_of(config["data"])
    torch.manual_seed(0)  # of what is new
    spec = input_of(config, network, state, data)
    network = with_input(network, config["mean"], config["std"], config["bgr"], spec.channels)
    model = build_network(config["model"], InputSpec(spec.channels))
    account = take(model, network, state, config["allow"])
    set_input(model, spec)
    checked = {"sha256": config["sha256"]} if config["sha256"] else {}
    meta = {
        "config": saved_config(config),
        "class_names": class_names,
        "palette": palette,
        "step": 0,
        "input": spec.as_json(),
        "imported": {"format": name, "file": Path(config["weights"]).name} | checked,
    }
    out = user_path(config["out"]) if config["out"] else folder / "checkpoints" / BEST
    tensors = {f"model.{key}": value for key, value in model.state_dict().items()}
    checkpoint.save(Checkpoint(tensors, meta), out)
    write_yaml(config, folder / "config.yaml")
    write_account(account, folder / "tensors.csv")
    lines = [
        *changes,
        *derived,
        *described(network, account, spec),
        *numbered,
        f"checkpoint: {relative(out)}",
    ]
    console = Terminal(soft_wrap=True, highlight=False)
    for line in [*lines, f"every tensor: {relative(folder)}/tensors.csv"]:
        console.print(line, markup=False)


def check_asked(config: dict[str, Any]) -> None:
    """Raises InputError where what to import, and into what, is not said."""
    for key, hint in (
        ("format", f"one of {', '.join(FORMATS)}"),
        ("weights", "a file or a URL"),
        ("model", "such as fcn8s"),
    ):
        if not config.get(key):
            raise InputError(f"{key}= is missing", do=f"add {key}=, {hint}")
    if config["format"] not in FORMATS:
        raise InputError(f"format={config['format']}: no such format", do=f"there are {', '.join(FORMATS)}")


def weights_file(config: dict[str, Any]) -> Path:
    """The file of `weights=`; one of a URL is downloaded once, and not read unless its sha256 is right.

    Raises:
        InputError: a URL without a sha256, no network, or another file.
    """
    weights, sha256 = str(config["weights"]), config["sha256"]
    asked = f"weights={weights}"
    if is_url(weights):
        return download(weights, check_sha256(sha256, asked, SHORTEST), asked=asked)
    path = user_path(weights)
    if sha256 and path.is_file():
        check_file(path, check_sha256(sha256, asked, SHORTEST), asked)
    return path


def options_of(error: OtherModel) -> str:
    """The options that would do, `model=fcn8s or fcn16s`; the classes' names where there are none."""
    names = options_with(error.group, error.classes)
    return f"{error.group}={' or '.join(names)}" if names else f"a model of {' or '.join(error.classes)}"


def in_form(
    node: dict[str, Any], form: Mapping[str, Any], given: set[str]
) -> tuple[dict[str, Any], list[str]]:
    """The model's config as the published network has it, but for the user's own keys, and what changed.

    Raises:
        InputError: the model or its backbone is of another kind.
    """
    lines = []
    for key, value in form.items():
        *path, last = key.split(".")
        parent = node
        for part in path:
            parent = parent[part]
        if last == TARGET:
            if parent[TARGET] != value:
                lines.append(f"as published: model.{key}={value}")
                parent[TARGET] = value
            continue
        parameters = signature(locate(parent[TARGET], "model")).parameters
        if last not in parameters:
            raise InputError(
                f"model.{key}: the published network has {value}, {target(parent)} has no such key",
                do="leave out model/backbone for the model's own",
            )
        own = parent.get(last, parameters[last].default)
        if own == value or own == (tuple(value) if isinstance(value, list) else value):
            continue
        if f"model.{key}" in given:
            lines.append(f"kept: model.{key}={own}, the published network has {value}")
        else:
            lines.append(f"as published: model.{key}={value}")
            parent[last] = value
    return node, lines


def classes_of(
    data: dict[str, Any],
) -> tuple[list[str], list[list[int]], Dataset | None, list[str]]:
    """Names and colours of a data set's classes; the data set where it was looked for and is on this
    machine; and what to say."""
    source, count, said = locate(data[TARGET], "data"), data["num_classes"], []
    built: Dataset | None = None
    names, palette = (source.class_names, source.palette) if isinstance(source, HasClasses) else (None, None)
    if not isinstance(names, tuple) or len(names) != count:
        try:
            built = make_data(data)
            names, palette = built.class_names, built.palette
        except InputError as error:
            names, palette = tuple(map(str, range(count))), voc_palette(count)
            said = [f"the classes are numbered, for the data are not here ({error})"]
    return list(names), [list(colour) for colour in palette or ()], built, said


def described(network: PublishedNetwork, account: Account, spec: InputSpec) -> list[str]:
    """What was loaded, dropped and left new, and what the network was trained to see."""
    parts = Counter(ours.split(".")[0] for ours in account.loaded.values())
    lines = ["loaded: " + ", ".join(f"{part} ({count} tensors)" for part, count in parts.items())]
    reasons = Counter(account.dropped.values())
    for why, count in reasons.items():
        first = next(name for name, reason in account.dropped.items() if reason == why)
        more = f" and {count - 1} more" if count > 1 else ""
        lines.append(f"dropped: {first}{more}: {why}")
    if account.new:
        new = Counter(ours.rpartition(".")[0] for ours in account.new)
        lines.append(f"new: {', '.join(new)}")
    if network.input is not None and spec.is_rgb8:
        order = "B, G, R" if network.input.bgr else "R, G, B"
        mean = ", ".join(f"{value:g}" for value in network.input.mean or ())
        lines.append(f"trained on {order} minus a mean of {mean} (R, G, B): the checkpoint takes plain RGB")
    if not spec.is_rgb8:
        lines.append(f"images: {spec.words()}")
    return [*lines, f"note: {network.note}"] if network.note else lines


def write_account(account: Account, path: Path) -> None:
    """A line a tensor: its published name, ours, and why it was not taken."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("published", "ours", "not taken"))
        writer.writerows((theirs, ours, "") for theirs, ours in account.loaded.items())
        writer.writerows((theirs, "", why) for theirs, why in account.dropped.items())
        writer.writerows(("", ours, "new") for ours in account.new)
