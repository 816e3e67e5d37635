import pytest

from segtrain.anatomy.stages import diagram, stage_name
from tests.anatomy.networks import taken_apart


def diagram_of(name):
    return diagram(taken_apart(name))


SKIPS = {  # from a stage to the one where it is joined
    "fcn8s": [("block4", "score16"), ("block3", "score8")],
    "unet": [("down.0", "up.3"), ("down.1", "up.2"), ("down.2", "up.1"), ("down.3", "up.0")],
    "segnet": [("block1", "decoder.4"), ("block4", "decoder.1")],  # the switches
    "deeplabv3plus": [("layer1", "low")],
    "frrn_a": [("split", "end")],  # the residual stream
}


@pytest.mark.parametrize("name", SKIPS)
def test_skips_go_from_the_encoder_to_where_they_are_joined(name):
    found = diagram_of(name)
    skips = [(found.stages[a].name, found.stages[b].name) for a, b in found.skips]
    assert set(SKIPS[name]) <= set(skips)


@pytest.mark.parametrize(("name", "carried"), [("segnet", 4), ("deconvnet", 5), ("unet", 0), ("frrn_a", 0)])
def test_an_unpooling_is_given_indices_and_a_skip_carries_maps(name, carried):
    found = diagram_of(name)
    assert len(found.indices) == carried
    assert found.indices == (found.skips if carried else [])


def test_stages_have_the_papers_sizes():
    stages = {stage.name: stage for stage in diagram_of("fcn8s").stages}
    assert [(stages[f"block{i}"].channels, stages[f"block{i}"].rows) for i in range(1, 6)] == [
        (64, 600), (128, 300), (256, 150), (512, 75), (512, 38)
    ]  # fmt: skip
    assert stages["fc6"].parameters == 102_764_544
    assert stages["block5"].summary == "3 × 3×3, max pooling"


def test_every_layer_has_one_stage():
    found = diagram_of("deeplabv2_vgg16")
    numbers = [one for stage in found.stages for one in stage.layers]
    assert sorted(numbers) == list(range(len(numbers)))
    assert found.passes == 1
    dilations = [stage.dilations for stage in found.stages if stage.name.startswith("fc6")]
    assert dilations == [(6,), (12,), (18,), (24,)]


@pytest.mark.slow
def test_of_several_scales_the_first_is_drawn():
    found = diagram_of("deeplabv2")
    assert found.passes == 3
    assert [stage.name for stage in found.stages].count("layer3") == 1


def test_a_list_of_modules_has_a_stage_each():
    assert stage_name("backbone.block1.0", frozenset()) == "block1"
    assert stage_name("down.0.3", frozenset({"down"})) == "down.0"
    assert stage_name("backbone", frozenset()) == ""
