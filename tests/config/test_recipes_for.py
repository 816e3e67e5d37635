"""A paper's recipe is named to who chose its model and data."""

import pytest

from segtrain.config.recipes import recipes_for


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
        "the paper's training of deeplabv1 on voc: experiment=deeplabv1_voc (yours is this command's own)"
    )
