"""A paper's recipe is named to who chose its model and data."""

import pytest

from segtrain.commands.plan import pretrained_key, remarks
from segtrain.config.recipes import recipes_for, recipes_of_model


@pytest.mark.parametrize(
    ("model", "data", "recipes"),
    [
        ("deeplabv1", "voc", ["deeplabv1_voc"]),
        ("deeplabv1", "voc_aug", ["deeplabv1_voc"]),
        ("unet_valid", "isbi2012", ["unet_isbi2012"]),
        ("fcn8s", "shapes", []),
        ("unet", "folder", []),
    ],
)
def test_recipes_go_by_model_and_data(model, data, recipes):
    assert recipes_for({"model": model, "data": data}) == recipes
    assert recipes_for({"model": model, "data": data, "experiment": "x"}) == []


def test_the_recipe_is_said_before_anything_can_fail(run):
    done = run("segtrain", "model=deeplabv1", "data=voc", "data.root=nowhere", "width=0.0625")
    assert done.code == 2
    assert done.out.splitlines()[0] == (
        "the paper's recipe for deeplabv1 on voc: experiment=deeplabv1_voc; this run is your own"
    )
    assert done.err.rstrip().endswith("then, by the paper's recipe: experiment=deeplabv1_voc")


def test_recipes_go_by_model_alone():
    assert recipes_of_model("fcn8s") == ["fcn8s_shapes", "fcn8s_voc"]
    assert recipes_of_model("linear") == []


PLAIN = {"model": {"backbone": {"pretrained": False}}, "init_from": None, "resume": None}


@pytest.mark.parametrize(
    ("changes", "chosen", "epochs", "lines"),
    [
        ({}, {}, 1.6, ["short: 1.6 epochs", "from scratch: the paper of deeplabv1"]),
        (
            {},
            {},
            50,
            ["from scratch: the paper of deeplabv1 began with trained weights: model.backbone.pret"],
        ),
        ({"model": {"backbone": {"pretrained": True}}}, {}, 50, []),
        ({"init_from": "best.ckpt"}, {}, 50, []),
        ({"resume": "auto"}, {}, 50, []),
        ({"debug": "limit"}, {}, 0.1, []),
        ({}, {"data": "shapes"}, 0.6, []),
        ({}, {"model": "unet"}, 50, []),  # whose paper has no such weights
        ({}, {"experiment": "deeplabv1_voc"}, 50, []),  # said with the other departures
    ],
)
def test_a_run_says_where_it_falls_short_of_the_paper(changes, chosen, epochs, lines):
    choices = {"model": "deeplabv1", "data": "folder"} | chosen
    found = remarks(PLAIN | changes, choices, epochs)
    assert len(found) == len(lines)
    assert all(line.startswith(begin) for line, begin in zip(found, lines, strict=True))


def test_the_key_of_pretrained_weights_is_found_wherever_it_is():
    assert (
        pretrained_key({"net": {"encoder": {"pretrained": False}}}, "model") == "model.net.encoder.pretrained"
    )
    assert pretrained_key({"pretrained": None, "depth": 50}, "model") is None


@pytest.mark.parametrize(
    ("command", "key", "says"),
    [
        ("segtrain", "+crops.z=1", "crops.z: there are no crops; choose them"),
        ("segtrain", "+metric.z=1", "metric.z: no such metric; choose it"),
        ("segtrain", "+experiment.z=1", "experiment.z: no such key"),
        ("segdata", "+splitt=1", "splitt: no such key; did you mean split?"),
    ],
)
def test_a_key_that_nobody_uses_is_refused(run, command, key, says):
    done = run(command, key)
    assert done.code == 2
    assert done.err.startswith(f"{command}: {says}")
