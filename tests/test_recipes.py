"""Every recipe starts, and its header says how to and what to expect."""

import pytest

from scripts.docs.papers import COMMAND, header
from segtrain.config.compose import CONFIG_DIR, compose_config
from segtrain.papers.paper import recipe_of
from tests import miniatures
from tests.conftest import FAST

ALL = sorted(path.stem for path in (CONFIG_DIR / "experiment").glob("*.yaml"))
RECIPES = [name for name in ALL if not name.startswith("lesson_")]
SMALLER = {  # the same inference on less, by its class
    "DeepLabCrop": ["inference.crop=65"],
    "DilatedNetTiles": ["inference.height=452", "inference.width=452"],
}


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_trains_one_step_and_validates(name, run, tmp_path):
    config = compose_config("train", [f"experiment={name}"])
    data = config.data._target_.split(".")[-2]  # segtrain.data.datasets.voc.VOC
    small = [*miniatures.make(data, tmp_path / "data"), "width=0.0625", "accumulate=1"]
    small += SMALLER.get(config.inference._target_.rpartition(".")[2], [])
    if config.freeze_norm:  # without ImageNet's weights and statistics, a hundred layers reach infinity
        small.append("freeze_norm=false")
    outcome = run("segtrain", f"experiment={name}", *small, *FAST, "max_steps=1")
    assert outcome.code == 0, outcome.err
    assert (outcome.folder / "checkpoints/last.ckpt").is_file()
    assert (outcome.folder / "metrics.json").is_file()
    assert ("from the paper: " in outcome.out) == (recipe_of(name) is not None)  # ours is far smaller


@pytest.mark.parametrize("name", ALL)
def test_a_recipe_says_what_to_expect_and_its_command_composes(name):
    text = header(name)
    assert "Expected" in text
    commands = [match.split() for match in COMMAND.findall(text)]
    own = [words for words in commands if f"experiment={name}" in words]
    assert own, "the header needs a line with: Command: segtrain experiment=NAME data.root=DIR"
    assert "Command:" in text or "1. segtrain" in text
    for words in own:
        compose_config("train", words)
