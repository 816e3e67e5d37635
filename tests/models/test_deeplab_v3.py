import pytest
import torch
import yaml
from torch import nn

from segtrain import build_model


def deeplab(**overrides):
    torch.manual_seed(0)
    return build_model("deeplabv3", num_classes=3, width=1 / 32, **overrides)


def atrous(aspp):
    return [view[0].dilation[0] for view in aspp.views[1:]]


@pytest.mark.parametrize(
    ("name", "backbone", "count"),
    [
        ("deeplabv3", "resnet50_deep", 39_172_309),
        ("deeplabv3_resnet101", "resnet101_deep", 58_164_437),
        ("deeplabv3_torchvision", {"depth": 101}, 58_630_997),
    ],
)
def test_parameters_of_the_other_forms_in_the_papers_document(name, backbone, count):
    with torch.device("meta"):
        model = build_model(name, num_classes=21, backbone=backbone)
    assert sum(p.numel() for p in model.parameters()) == count


@pytest.mark.parametrize(
    ("output_stride", "layer3", "layer4", "rates", "cells"),
    [
        (32, 1, [1, 2, 4], [3, 6, 9], 17),
        (16, 1, [2, 4, 8], [6, 12, 18], 33),
        (8, 2, [4, 8, 16], [12, 24, 36], 65),
    ],
)
def test_multi_grid_rates_and_sizes_follow_the_output_stride(output_stride, layer3, layer4, rates, cells):
    model = deeplab(output_stride=output_stride).eval()
    assert [b.conv2.dilation[0] for b in model.backbone.layer3] == [layer3] * 6
    assert [b.conv2.dilation[0] for b in model.backbone.layer4] == layer4
    assert atrous(model.aspp) == rates
    with torch.inference_mode():
        assert model(torch.zeros(1, 3, 513, 1))["out"].shape == (1, 3, cells, 1)


@pytest.mark.parametrize("backbone", ["resnet50_torchvision", "xception65"])
def test_the_same_weights_give_the_same_logits_on_the_cells_that_output_strides_share(backbone):
    # With dilation that give the strided features exactly; but for the mean over other cells.
    trained = deeplab(backbone=backbone).eval()
    nn.init.normal_(trained.score.weight)
    nn.init.zeros_(trained.aspp.image_pooling[1].weight)
    images, logits = torch.rand(1, 3, 97, 129) * 255, {}
    for output_stride in (8, 16, 32):
        model = deeplab(backbone=backbone, output_stride=output_stride).eval()
        model.load_state_dict(trained.state_dict())
        with torch.inference_mode():
            logits[output_stride] = model(images)["out"]
    assert logits[32].shape == (1, 3, 4, 5)
    small = logits[32].std().item() / 1000
    assert torch.allclose(logits[8][..., ::2, ::2], logits[16], atol=small)
    assert torch.allclose(logits[16][..., ::2, ::2], logits[32], atol=small)


def test_a_checkpoint_is_evaluated_at_another_output_stride(tiny, run):
    trained = tiny("model=deeplabv3", "data.size=33")
    assert trained.code == 0
    evaluated = run("segeval", f"ckpt={trained.folder}", "model.output_stride=8", "device=cpu")
    assert evaluated.code == 0
    assert yaml.safe_load((evaluated.folder / "config.yaml").read_text())["model"]["output_stride"] == 8
    refused = run("segeval", f"ckpt={trained.folder}", "model.output_stride=4")
    assert refused.code == 2
    assert "model.output_stride=4; give 8 or 16 or 32" in refused.err


def test_the_scores_start_from_a_truncated_normal_of_std_001():
    model = build_model("deeplabv3", num_classes=21, width=1 / 4)
    assert model.score.weight.abs().max() <= 0.02
    assert model.score.weight.std().item() == pytest.approx(0.8796 * 0.01, rel=0.1)
