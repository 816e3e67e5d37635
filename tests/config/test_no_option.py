"""Groups without an option."""

import pytest

from segtrain.config.compose import compose_config
from segtrain.config.no_option import settle_empty_groups
from segtrain.errors import InputError
from tests.conftest import FAST

NEEDED = ("model", "data", "augment", "loss", "optimizer", "schedule", "inference", "dense_crf")


@pytest.mark.parametrize("group", NEEDED)
@pytest.mark.parametrize("form", ["{}=null", "{}=[]", "~{}", "+{}=null"])
def test_a_training_needs_an_option_of_each_group(group, form):
    with pytest.raises(InputError, match=f"^{group} must be one of its options, got .*; there are .*"):
        settle_empty_groups("train", [form.format(group)])


def test_a_group_that_may_be_empty_gets_hydras_empty_list():
    arguments = ["crops=null", "metric=null", "logger=null", "experiment=null", "resume=null", "loss=dice"]
    expected = ["crops=[]", "metric=[]", "logger=[]", "experiment=[]", "resume=null", "loss=dice"]
    assert settle_empty_groups("train", arguments) == expected
    assert settle_empty_groups("eval", ["model=null", "inference=null"]) == ["model=[]", "inference=[]"]
    assert settle_empty_groups("data", ["crops=null,objects"]) == ["crops=[],objects"]  # a sweep


def test_crops_of_a_recipe_are_left_out():
    recipe = ["experiment=deconvnet_stage1_voc", "data=shapes"]
    assert compose_config("train", recipe).get("crops")
    assert not compose_config("train", settle_empty_groups("train", [*recipe, "crops=null"])).get("crops")


@pytest.mark.parametrize("group", ["loss", "metric", "logger"])
def test_a_list_has_no_null(group):
    with pytest.raises(InputError, match=rf"{group} must be a list of options, got \[null\]; leave null out"):
        settle_empty_groups("train", [f"{group}=[null]"])


@pytest.mark.parametrize("root", ["import", "data"])
def test_commands_without_a_checkpoint_need_what_they_work_on(root):
    group = {"import": "model", "data": "data"}[root]
    with pytest.raises(InputError, match=f"{group} must be one of its options"):
        settle_empty_groups(root, [f"{group}=null"])


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("model=null", "segtrain: model must be one of its options, got null; there are"),
        ("model.backbone=null", "segtrain: model.backbone=null; give a Backbone"),
        ("optimizer.lr=null", "segtrain: optimizer.lr=null; give a number"),
    ],
)
def test_the_command_says_it_in_a_line(run, argument, said):
    done = run("segtrain", *FAST, argument)
    assert done.code == 2
    assert done.err.startswith(said)
    assert done.err.count("\n") == 1


@pytest.mark.parametrize("group", ["model", "model/backbone", "data", "optimizer", "schedule", "dense_crf"])
def test_two_options_of_a_group_that_takes_one_are_not_mixed(group):
    words = rf"^{group} must be one of its options, got \[a,b\]; give one, or a run of each by -m {group}=a,b"
    for given in (f"{group}=[a,b]", f"+{group}=[a,b]", f"{group}=c,[a,b]"):
        with pytest.raises(InputError, match=words.replace("got ", "got (c,)?")):
            settle_empty_groups("train", [given])


def test_groups_whose_options_add_up_take_several():
    given = [
        "metric=[boundary,hd95]",
        "logger=[jsonl,tensorboard]",
        "loss=[dice,focal]",
        "augment=[crop,flip]",
    ]
    assert settle_empty_groups("train", given) == given
    assert settle_empty_groups("train", ["model=[unet]", "freeze=[a,b]"]) == ["model=[unet]", "freeze=[a,b]"]
