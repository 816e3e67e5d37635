"""What every backbone keeps, by its YAML: a new one is covered by adding it."""

import pytest
import torch

from segtrain.config.compose import CONFIG_DIR, compose_config, plain
from segtrain.config.instantiate import instantiate

BACKBONES = sorted(path.stem for path in (CONFIG_DIR / "model" / "backbone").glob("*.yaml"))


def model_of(name):
    return "unet_encoder" if name == "timm" or name.startswith("resnet") else "fcn32s"


def keys_of(name):
    return ["width=0.03125", *(["model.backbone.name=test_convnext"] if name == "timm" else [])]


def built(name):
    if name == "timm":
        pytest.importorskip("timm", reason="timm is not installed")
    torch.manual_seed(0)
    config = compose_config("train", [f"model={model_of(name)}", f"model/backbone={name}", *keys_of(name)])
    return instantiate(plain(config)["model"]["backbone"], "model.backbone")


@pytest.mark.parametrize("name", BACKBONES)
def test_features_are_those_that_feature_info_names(name):
    backbone = built(name).eval()
    info, images = backbone.feature_info, torch.rand(1, 3, 33, 65) * 255
    with torch.inference_mode():
        features = backbone(images)
    if info.window:  # one map, and switches
        assert features[0].shape[1] == info.channels[32]
        return
    assert set(info.channels) == set(info.grids)
    assert info.last in info.channels
    for stage, maps in features.items():
        stride, offset = info.grids[stage]
        assert maps.shape[1] == info.channels[stage]
        for side, cells in zip((33, 65), maps.shape[-2:], strict=True):
            assert stride * (cells - 1) + offset > side - 1 - stride  # a cell beside the last pixel
    assert set(features) == set(info.stages)


@pytest.mark.parametrize("name", BACKBONES)
def test_a_frozen_one_has_no_gradient_no_graph_and_no_drift(name):
    if name == "timm":
        pytest.importorskip("timm", reason="timm is not installed")
    config = compose_config("train", [f"model={model_of(name)}", f"model/backbone={name}", *keys_of(name)])
    node = plain(config)["model"]["backbone"]
    assert node["frozen"] is False
    backbone = instantiate(node | {"frozen": True}, "model.backbone").train()
    before = {key: value.clone() for key, value in backbone.state_dict().items()}
    features = backbone(torch.rand(2, 3, 64, 64) * 255)
    maps = features.values() if isinstance(features, dict) else features[:1]
    assert not any(each.requires_grad for each in maps)
    assert not any(parameter.requires_grad for parameter in backbone.parameters())
    assert all(torch.equal(value, before[key]) for key, value in backbone.state_dict().items())
