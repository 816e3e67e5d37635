import pytest
import torch
from torch import nn

from segtrain import build_model
from segtrain.engine.state import freeze_norms
from segtrain.losses.cross_entropy import CrossEntropy


def pspnet(**overrides):
    torch.manual_seed(0)
    return build_model("pspnet50", num_classes=3, width=1 / 32, **overrides)


@pytest.mark.parametrize(
    ("name", "backbone", "count"),
    [
        ("pspnet50", "resnet50_deep", 46_716_373),
        ("pspnet101", "resnet101_deep", 65_708_501),
        ("pspnet50", "resnet50", 46_592_597),
        ("pspnet101", "resnet101", 65_584_725),
    ],
)
def test_parameters_without_the_auxiliary_head_on_each_stem(name, backbone, count):
    with torch.device("meta"):
        model = build_model(name, num_classes=21, backbone=backbone, aux=False)
    assert sum(p.numel() for p in model.parameters()) == count


@pytest.mark.parametrize(
    ("classes", "pyramid", "head"), [(21, 4_198_400, 18_886_165), (19, None, 18_885_139)]
)
def test_parameters_of_the_heads_are_those_of_the_papers_document(classes, pyramid, head):
    with torch.device("meta"):
        model = build_model("pspnet50", num_classes=classes)
    assert sum(p.numel() for p in model.head.parameters()) == head
    assert pyramid in (None, sum(p.numel() for p in model.pyramid.parameters()))
    assert model.head[0][0].in_channels == 4096


@pytest.mark.parametrize(("side", "cells"), [(473, 60), (713, 90), (480, 61)])
def test_sizes_are_those_of_the_paper(side, cells):
    with torch.inference_mode():
        assert pspnet().eval()(torch.zeros(1, 3, side, 9))["out"].shape == (1, 3, cells, 2)


def test_every_block_of_the_last_two_layers_has_its_dilation():
    backbone = pspnet().backbone
    assert [b.conv2.dilation for b in backbone.layer3] == [(2, 2)] * 6
    assert [b.conv2.dilation for b in backbone.layer4] == [(4, 4)] * 3
    layers = [*backbone.layer3.modules(), *backbone.layer4.modules()]
    assert {m.stride for m in layers if isinstance(m, nn.Conv2d)} == {(1, 1)}


def test_the_auxiliary_scores_come_while_training_only_and_the_loss_weighs_them():
    model, images = pspnet(), torch.rand(2, 3, 65, 41) * 255
    masks = torch.randint(0, 3, (2, 65, 41))
    assert set(model.eval()(images)) == {"out"}
    outputs = model.train()(images)
    assert outputs["aux"].shape == outputs["out"].shape == (2, 3, 9, 6)
    main, aux = (CrossEntropy(weights={name: 1.0})(outputs, masks) for name in ("out", "aux"))
    both = CrossEntropy(weights={"out": 1.0, "aux": 0.4})(outputs, masks)
    assert torch.allclose(both, main + 0.4 * aux)
    assert set(pspnet(aux=False).train()(images)) == {"out"}


def test_backward_reaches_every_parameter_of_both_heads():
    model = pspnet().train()
    outputs = model(torch.rand(3, 3, 65, 65) * 255)
    (outputs["out"].square().sum() + outputs["aux"].square().sum()).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


def test_one_image_a_pass_is_trained_with_frozen_statistics_only():
    model = pspnet().train()
    freeze_norms(model)
    assert model(torch.rand(1, 3, 65, 65) * 255)["out"].shape == (1, 3, 9, 9)


def test_a_run_of_one_image_a_pass_is_refused_before_its_first_step(tiny):
    refused = tiny("model=pspnet50", "loss=aux", "batch_size=1")
    assert refused.code == 2
    assert "set batch_size=2, or freeze_norm=true" in refused.err
    assert not (refused.folder / "checkpoints").exists()
    assert tiny("model=pspnet50", "loss=aux", "batch_size=1", "freeze_norm=true").code == 0


def test_maximum_pooling_is_another_network_of_the_same_weights():
    average, maximum = pspnet().eval(), pspnet(pooling="maximum").eval()
    maximum.load_state_dict(average.state_dict())
    images = torch.rand(1, 3, 65, 65) * 255
    with torch.inference_mode():
        assert not torch.allclose(average(images)["out"], maximum(images)["out"], atol=1e-3)
