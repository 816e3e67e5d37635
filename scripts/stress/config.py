"""Mutated configs and overrides, composed and checked as `segtrain` does before it reads data."""

import difflib
import random
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st

from scripts.stress._command import TINY
from segtrain.commands.build import build_loss, build_network
from segtrain.commands.sanity_check import GROUPS, check_groups, first_forward_pass
from segtrain.config.compose import CONFIG_DIR, compose_config, plain
from segtrain.config.instantiate import instantiate
from segtrain.config.schema import check_scalars
from segtrain.config.wording import CONFIG_ERRORS, explain
from segtrain.engine.device import choose
from segtrain.engine.loader import Augmented
from segtrain.errors import InputError
from segtrain.input_spec import RGB8

PROMISE = "A wrong configuration is named, key, value and what is allowed, before data are read"
FULL, SAMPLE = 2000, 25

RECIPES = ("model=unet", "model=deeplabv3", "model=segnet_basic", "model=fcn32s", "model=pspnet50")
WIDTH = ("width=0.0625", "data.size=48", "data.train_images=4", "data.val_images=2", "batch_size=2")
VALUES = (
    "-1",
    "0",
    "1",
    "2",
    "0.5",
    "-0.5",
    "1.5",
    "true",
    "null",
    "word",
    "[1,2]",
    "[]",
    "[a,b]",
    "{a: 1}",
    "''",
)
# What costs memory or time alone, and is no mistake.
UNTOUCHED = (
    "width",
    "data.size",
    "batch_size",
    "num_workers",
    "compile",
    "seed",
    "resume",
    "init_from",
    "replay",
)


def run(count: int, seed: int, folder: Path) -> str:
    keys = {recipe: leaves(plain(compose_config("train", [recipe]))) for recipe in RECIPES}
    outcomes = {"accepted": 0, "refused": 0}

    @seeded(seed)
    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(mutation(keys))
    def try_one(case: tuple[list[str], str, str, str]) -> None:
        overrides, key, value, kind = case
        try:
            said = refusal([*TINY[5:], *WIDTH, *overrides])
        except Exception as error:
            raise AssertionError(f"{type(error).__name__}: {error}: {overrides}, seed {seed}") from error
        outcomes["refused" if said else "accepted"] += 1
        check_words(said, key, value, kind, f"{overrides}, seed {seed}")

    try_one()
    tried = sum(outcomes.values())
    return f"{tried} mutations: {outcomes['refused']} refused in a line, the others legal; no traceback"


@st.composite
def mutation(draw: st.DrawFn, keys: dict[str, list[str]]) -> tuple[list[str], str, str, str]:
    """A recipe with one thing changed: overrides, the key, the value, and what was done to it."""
    recipe = draw(st.sampled_from(sorted(keys)))
    key = draw(st.sampled_from(keys[recipe]))
    kind = draw(st.sampled_from(("value", "value", "value", "key", "new key", "option", "group")))
    value = draw(st.sampled_from(VALUES) | st.integers(-9, 64).map(str) | st.floats(-4, 4, width=16).map(str))
    if kind == "key":
        key = misspelt(key, draw(st.integers(0, 2**31)))
    if kind == "new key":
        return [recipe, f"+{key}x={value}"], f"{key}x", value, kind
    if kind in ("option", "group"):
        group = draw(
            st.sampled_from(("model", "augment", "loss", "optimizer", "schedule", "data", "inference"))
        )
        options = sorted(path.stem for path in (CONFIG_DIR / group).glob("*.yaml"))
        option = misspelt(draw(st.sampled_from(options)), draw(st.integers(0, 2**31)))
        return [recipe, f"{group}={option}"], group, option, kind
    return [recipe, f"{key}={value}"], key, value, kind


def misspelt(word: str, seed: int) -> str:
    """A letter left out, doubled, or two changed with one another."""
    rng = random.Random(seed)
    at = rng.randrange(max(1, len(word) - 1))
    pieces = (word[:at] + word[at + 1 :], word[:at] + word[at] + word[at:], None)
    changed = rng.choice(pieces) or word[:at] + word[at : at + 2][::-1] + word[at + 2 :]
    return changed.strip("._") or "x"


def leaves(node: dict[str, Any], prefix: str = "") -> list[str]:
    """The dotted keys of everything that can be set."""
    found = []
    for name, value in node.items():
        key = f"{prefix}{name}"
        found += leaves(value, f"{key}.") if isinstance(value, dict) else [key]
    return [key for key in found if not key.endswith(UNTOUCHED) and "download" not in key]


def refusal(overrides: list[str]) -> str:
    """What `segtrain` would say to these, or nothing; whatever else is raised is a traceback."""
    try:
        config = plain(compose_config("train", overrides))
        check_scalars(config)
        check_groups(config)
        compute = choose(config["device"], str(config["precision"]))
        data = instantiate(config["data"], "data")
        model, loss = build_network(config["model"], RGB8).train(), build_loss(config)
        for group in set(GROUPS) & {"schedule", "inference"}:
            instantiate(config[group], group)
        dataset = Augmented(data.train, instantiate(config["augment"], "augment").values(), seed=0)
        first_forward_pass(model, loss, config["batch_size"], dataset, len(data.class_names), compute)
        instantiate(config["optimizer"], "optimizer", partial=True)(model)
    except CONFIG_ERRORS as error:
        return str(explain(error, "train"))
    except InputError as error:
        return str(error)
    return ""


def check_words(said: str, key: str, value: str, kind: str, case: str) -> None:
    """A refusal names what was wrong, and is a line."""
    if not said:
        free = key.startswith("dense_crf.")  # which is not looked at without crf=true
        assert kind != "new key" or free, f"accepted: {case}"
        return
    assert "\n" not in said, f"{said!r} is no line: {case}"
    assert ";" in said, f"{said!r} does not say what to do: {case}"
    # At least the node that the key belongs to, for what only its target can judge.
    names = (key, key.split(".")[0]) if kind in ("value", "key") else (key,)
    assert any(name in said for name in names), f"{said!r} does not name {key}: {case}"
    if kind == "option":
        assert value in said, f"{said!r} does not name {value}: {case}"
        options = [path.stem for path in (CONFIG_DIR / key).glob("*.yaml")]
        near = difflib.get_close_matches(value, options, 1)
        assert not near or f"did you mean {key}=" in said, f"{said!r} proposes nothing: {case}"
