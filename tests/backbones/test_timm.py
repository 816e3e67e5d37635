"""timm's encoders: a handful of tiny ones here, all families in test_timm_families.py."""

import pytest
import torch

from segtrain import build_model, list_backbones, load_model
from segtrain.backbones.timm import TimmBackbone
from segtrain.backbones.timm_networks import timm_library
from segtrain.errors import InputError
from tests.backbones.timm_checks import (
    HEADS,
    SWIN,
    check_alignment,
    check_features_are_timms_own,
    check_gradients,
    check_sizes,
    with_head,
)
from tests.export_checks import check_export

pytest.importorskip("timm", reason="timm is not installed")

# A convolution every second pixel, patches, a plain transformer, windows.
TINY = {
    "test_efficientnet": {},
    "test_convnext": {},
    "test_vit": {},
    SWIN: {"embed_dim": 8, "depths": [1, 1, 1, 1]},
}
each = pytest.mark.parametrize("name", TINY)


def backbone(name, **keys):
    torch.manual_seed(0)
    return TimmBackbone(name=name, options=TINY[name], **keys).eval()


@each
def test_features_are_timms_own(name):
    check_features_are_timms_own(backbone(name))


@each
def test_cells_lie_where_feature_info_says(name):
    check_alignment(backbone(name), side=128, positions=4)


def test_sums_of_two_paths_lie_between_them():
    net = TimmBackbone(name="test_resnet").eval()  # pools in its shortcuts, strides 3×3 beside them
    assert net.feature_info.grids[16] == (16, (2 + 4) / 2)
    check_alignment(net, side=128, positions=4)


@each
@pytest.mark.parametrize("head", HEADS)
def test_every_head_takes_odd_sizes_and_trains_every_parameter(name, head):
    model = with_head(head, name, TINY[name])
    check_sizes(model)
    check_gradients(model)


def test_they_are_exported():
    check_export(with_head("linear", "test_convnext"), dynamic=False)


def test_a_cnn_is_dilated_and_keeps_its_weights():
    net, other = backbone("test_efficientnet"), backbone("test_efficientnet")
    net.set_output_stride(8)
    images = torch.rand(1, 3, 65, 97) * 255
    with torch.inference_mode():
        dilated, strided = net(images), other(images)
    assert torch.equal(dilated[8], strided[8])
    assert dilated[32].shape[-2:] == dilated[8].shape[-2:]
    assert [grid.stride for grid in net.feature_info.grids.values()] == [2, 4, 8, 8, 8]
    for one, two in zip(net.net.state_dict().values(), other.net.state_dict().values(), strict=True):
        assert torch.equal(one, two)


def test_what_timm_cannot_dilate_is_refused_with_the_stride_that_works():
    with pytest.raises(
        InputError, match=r"model\.output_stride=16: timm cannot dilate swin.*output_stride=32"
    ):
        with_head("deeplabv3", SWIN, TINY[SWIN], output_stride=16)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet5", r"timm has no such network; did you mean resnet\d"),
        ("resnet50.nosuch_in1k", r"timm has no weights of this tag; there are resnet50\."),
        ("test_vit_relpos", r"does not take images of other sizes than 160×160"),
    ],
)
def test_names_and_networks_that_cannot_be_are_refused(name, message):
    with pytest.raises(InputError, match=message):
        TimmBackbone(name=name)


def test_the_absence_of_timm_is_answered_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "timm", None)
    with pytest.raises(InputError, match=r"timm is not installed; do: make install EXTRAS=timm"):
        timm_library()
    with pytest.raises(InputError, match=r"EXTRAS=timm"):
        list_backbones("timm/*")


def test_names_are_listed_by_patterns():
    assert "timm" in list_backbones()
    assert list_backbones("resnet50*") == [n for n in list_backbones() if n.startswith("resnet50")]
    assert "timm/convnext_tiny" in list_backbones("timm/convnext*")
    assert "timm/convnext_tiny.fb_in22k" in list_backbones("timm/convnext_tiny.*")


def test_a_listed_name_builds_a_model():
    model = build_model("deeplabv3", num_classes=3, width=1 / 32, backbone="timm/test_resnet")
    assert model.backbone.name == "test_resnet"
    frozen = build_model("linear", num_classes=3, backbone={"name": "timm/test_vit", "frozen": True})
    assert frozen.backbone.frozen


def test_grey_and_other_channels_are_taken():
    net = TimmBackbone(name="test_convnext", in_channels=5).eval()
    assert net(torch.rand(1, 5, 33, 65) * 255)[32].shape[-2:] == (2, 3)


def test_a_frozen_network_has_no_gradient_no_drift_and_keeps_less_than_half_of_the_memory():
    def kept(model):
        sizes = []
        with torch.autograd.graph.saved_tensors_hooks(lambda x: sizes.append(x.nbytes) or x, lambda x: x):
            model(torch.rand(2, 3, 64, 64) * 255)
        return sum(sizes)

    for name in ("test_resnet", "test_vit"):
        free = build_model("linear", num_classes=3, backbone={"name": f"timm/{name}"}).train()
        frozen = build_model(
            "linear", num_classes=3, backbone={"name": f"timm/{name}", "frozen": True}
        ).train()
        before = {k: v.clone() for k, v in frozen.backbone.state_dict().items()}
        assert kept(frozen) < 0.5 * kept(free)
        assert all(torch.equal(v, before[k]) for k, v in frozen.backbone.state_dict().items())
        assert {n.split(".")[0] for n, p in frozen.named_parameters() if p.requires_grad} == {"norm", "score"}


def test_the_pyramid_on_a_frozen_transformer_is_trained():
    keys = {"name": "timm/test_vit", "frozen": True, "pyramid_channels": 8}
    model = build_model("unet_encoder", num_classes=3, width=1 / 32, backbone=keys).train()
    torch.nn.init.normal_(model.score.weight)
    model(torch.rand(2, 3, 64, 64) * 255)["out"].sum().backward()
    trained = {
        n.split(".")[1]
        for n, p in model.named_parameters()
        if n.startswith("backbone") and p.grad is not None
    }
    assert trained == {"pyramid"}


def test_a_run_is_trained_and_loaded_by_the_name_alone(tiny):
    done = tiny("model=linear", "model/backbone=timm", "model.backbone.name=test_vit", "max_steps=1")
    assert done.code == 0, done.err
    assert "backbone.net.model.blocks.0.attn.qkv.weight" in load_model(done.folder).state_dict()
