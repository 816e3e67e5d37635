"""Every YAML that is shipped is one that works."""

from itertools import zip_longest

import pytest
import yaml

from segtrain.config.compose import CONFIG_DIR, compose_config, plain
from segtrain.config.instantiate import TARGET, check_arguments, locate
from segtrain.config.num_classes import fill_num_classes

GROUPS = (
    "model",
    "model/backbone",
    "data",
    "crops",
    "augment",
    "loss",
    "metric",
    "logger",
    "optimizer",
    "schedule",
    "inference",
    "dense_crf",
)
OPTIONS = {group: sorted(p.stem for p in (CONFIG_DIR / group).glob("*.yaml")) for group in GROUPS}
BACKBONES = OPTIONS.pop("model/backbone")  # of models that take one
# One option of each group at a time: a config takes as long for one group as for all.
TOGETHER = [dict(zip(OPTIONS, row, strict=True)) for row in zip_longest(*OPTIONS.values())]
EXPERIMENTS = sorted(p.stem for p in (CONFIG_DIR / "experiment").glob("*.yaml"))
POSITIONAL = ("crops", "optimizer", "dense_crf")  # they still want their split, model or image


def check_targets(node, key):
    for name, value in node.items():
        if isinstance(value, dict):
            check_targets(value, f"{key}.{name}")
    if TARGET in node:
        weight = {"weight"} if key.startswith("loss.") else set()  # of a term, in a sum of losses
        arguments = {k: v for k, v in node.items() if k not in {TARGET, *weight}}
        check_arguments(locate(node[TARGET], key), arguments, key, partial=key in POSITIONAL)


@pytest.mark.parametrize("options", TOGETHER, ids=lambda row: "-".join(filter(None, row.values())))
def test_every_option_binds_to_the_signature_of_its_target(options):
    chosen = [f"{group}={option}" for group, option in options.items() if option]
    config = plain(compose_config("train", [*chosen, "data.num_classes=3"]))
    for group in options:
        if config.get(group):
            check_targets(config[group], group)


@pytest.mark.parametrize("option", BACKBONES)
def test_every_backbone_binds_to_the_signature_of_its_target(option):
    config = plain(compose_config("train", [f"model/backbone={option}"]))
    check_targets(config["model"], "model")


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_recipe_composes_and_binds(name):
    composed = compose_config("train", [f"experiment={name}"])
    fill_num_classes(composed)
    config = plain(composed)
    for group in GROUPS:
        if group in config:  # crops are optional, and backbones are below their model
            check_targets(config[group], group)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_a_recipe_chooses_a_model_and_leaves_its_architecture_alone(name):
    recipe = yaml.safe_load((CONFIG_DIR / "experiment" / f"{name}.yaml").read_text())
    assert "model" not in recipe  # it would be merged onto whatever model the user chooses


def test_sweeps_of_every_command_go_below_outputs():
    roots = [yaml.safe_load(path.read_text()) for path in CONFIG_DIR.glob("*.yaml")]
    assert len(roots) > 5
    for root in roots:
        assert root["hydra"]["sweep"]["dir"].startswith("outputs/multirun/")


def test_every_switch_at_the_root_is_explained():
    for root in ("train", "eval", "predict", "data", "import", "export"):
        lines = (CONFIG_DIR / f"{root}.yaml").read_text().splitlines()
        switches = [line for line in lines if line and line[0].isalpha() and not line.endswith(":")]
        assert all("#" in line for line in switches)
