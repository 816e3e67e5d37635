"""The papers' data against the recipes' headers, and against the models."""

import re
from copy import deepcopy
from functools import cache

import pytest

from scripts.docs.papers import arguments_of, header
from segtrain.config.compose import CONFIG_DIR, compose_config, plain
from segtrain.papers.contract import contract, departures, departures_line, shown, value_of
from segtrain.papers.paper import paper_of, papers, recipe_of
from tests.test_recipes import RECIPES

OURS = {"fcn8s_shapes", "own", "unet_camvid"}  # no paper's
DEPARTS = re.compile(r"Departs: (.+?)\.(?= Expected| Command| Then| Without|$)")


@cache
def commanded(name: str) -> dict:
    """The config of a recipe as its header's command composes it."""
    return plain(compose_config("train", arguments_of(name)))


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_departs_from_its_paper_where_its_header_says_so_and_nowhere_else(name):
    said = DEPARTS.search(header(name))
    found = [each.text for each in departures(commanded(name), name)]
    assert found == (said[1].split("; ") if said else [])
    assert (recipe_of(name) is None) == (name in OURS)


def test_every_number_has_a_source_and_every_key_is_one_of_the_configs():
    for paper in papers().values():
        for name, recipe in paper.recipes.items():
            assert name in RECIPES
            config = commanded(name)
            for fact in recipe.facts:
                assert fact.source, fact
                assert value_of(config, fact.name) is not None, (name, fact.name)
            for key in recipe.unstated:
                assert value_of(config, key) is not None, (name, key)


def test_published_scores_are_those_of_the_headers():
    for paper in papers().values():
        for score in paper.scores:
            numbers = [v for k, v in score.items() if k not in ("recipe", "data", "source")]
            assert score["source"]
            for number in numbers:
                assert f"{number:g}" in header(score["recipe"]), score


def test_every_model_of_a_paper_has_one():
    names = {path.stem for path in (CONFIG_DIR / "model").glob("*.yaml")}
    without = {name for name in names if paper_of(name) is None}
    assert without == {"linear", "smp", "transformers"}
    assert {model for paper in papers().values() for model in paper.models} <= names
    assert all(parent in papers() for paper in papers().values() for parent in paper.parents)


def test_an_override_is_one_departure_more():
    name = "deeplabv1_voc"
    config = deepcopy(commanded(name))
    assert departures_line(config, name) == "as the paper says, in every number that it gives"
    config["optimizer"]["lr"] = 0.01
    config["batch_size"], config["accumulate"] = 15, 2  # 30 all the same
    line = departures_line(config, name)
    assert line.startswith("1 departure from the paper: optimizer.lr 0.01 (paper: 0.001); ")
    assert line.endswith("segexplain experiment=deeplabv1_voc lists them")
    (row,) = [row for row in contract(config, name) if not row.kept]
    assert (row.key, row.ours, row.paper, row.source) == ("optimizer.lr", "0.01", "0.001", "section 5")


def test_weights_to_begin_with_are_part_of_the_contract():
    config = deepcopy(commanded("fcn32s_voc"))
    config["model"]["backbone"]["pretrained"] = False
    said = "starts from random weights (paper: trained weights)"
    assert said in [each.text for each in departures(config, "fcn32s_voc")]
    config["init_from"] = "run"
    assert said not in [each.text for each in departures(config, "fcn32s_voc")]


def test_recipes_of_our_own_have_no_contract():
    assert departures_line({}, "fcn8s_shapes") == ""
    assert departures({}, "") == []


def test_a_number_is_no_yes():
    assert [shown(value) for value in (1, 0, True, None, 1e-10)] == ["1", "0", "true", "-", "1e-10"]
