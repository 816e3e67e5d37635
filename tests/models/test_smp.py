"""Networks of segmentation_models.pytorch: the library's own logits, in our loop."""

import pytest
import torch

from segtrain import build_model, load_model, optim
from segtrain.engine.checkpoint import load
from segtrain.errors import InputError
from segtrain.models.smp import smp_library
from tests.export_checks import check_export

pytest.importorskip("segmentation_models_pytorch", reason="segmentation_models_pytorch is not installed")

SMALL = {"encoder_name": "mobilenet_v2"}
ARCHITECTURES = {
    "unetplusplus": {"decoder_channels": [16, 8, 8, 8, 4]},
    "fpn": {"decoder_pyramid_channels": 32, "decoder_segmentation_channels": 32},
    "deeplabv3plus": {"decoder_channels": 16},
}


def small(arch, **keys):
    torch.manual_seed(0)
    return build_model("smp", num_classes=3, arch=arch, options=ARCHITECTURES[arch], **SMALL, **keys).eval()


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_logits_are_those_of_the_librarys_own_forward(arch):
    import segmentation_models_pytorch as smp

    model = small(arch)
    theirs = smp.create_model(arch, encoder_weights=None, classes=3, **SMALL, **ARCHITECTURES[arch]).eval()
    theirs.load_state_dict(model.net.state_dict())
    images = torch.randint(0, 256, (2, 3, 64, 96), dtype=torch.uint8)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    with torch.inference_mode():
        expected = theirs((images / 255 - mean) / std)
        assert torch.allclose(model(images)["out"], expected, atol=1e-5)
        padded = torch.nn.functional.pad((images[..., :33, :65] / 255 - mean) / std, (0, 31, 0, 31))
        odd = model(images[..., :33, :65])["out"]
        assert torch.allclose(odd, theirs(padded)[..., :33, :65], atol=1e-5)


def test_a_run_is_resumed_exactly_and_loaded(tiny):
    own = ["model=smp", "model.arch=fpn", "model.encoder_name=mobilenet_v2", "checkpoint_every=1"]
    own += ["model.options={decoder_pyramid_channels:32,decoder_segmentation_channels:64}"]
    whole, half = tiny(*own), tiny(*own, "max_steps=1")
    assert whole.code == 0, whole.err
    again = tiny(f"resume={half.folder}", "max_steps=2")
    assert again.code == 0, again.err
    last = load(whole.folder / "checkpoints/last.ckpt").tensors
    for name, value in load(again.folder / "checkpoints/last.ckpt").tensors.items():
        assert torch.equal(value, last[name]), name
    images = torch.zeros(1, 3, 33, 65, dtype=torch.uint8)
    assert load_model(whole.folder)(images)["out"].shape[-2:] == (33, 65)


def test_encoder_and_decoder_have_their_own_rates():
    groups = optim.sgd(small("fpn"), lr=1.0, multipliers={"backbone": 0.1}).param_groups
    rates = {name: group["lr"] for group in groups for name in group["names"]}
    assert {rate for name, rate in rates.items() if name.startswith("net.encoder.")} == {0.1}
    assert {rate for name, rate in rates.items() if not name.startswith("net.encoder.")} == {1.0}


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"arch": "segnet"}, r"model\.arch=segnet: smp has no such network; there are unet, unetplusplus"),
        ({"encoder_name": "resnet35"}, r"model\.encoder_name=resnet35: smp has no such encoder"),
        (
            {"pretrained": "nosuch"},
            r"pretrained=nosuch: smp has no such weights of resnet34; there are imagenet",
        ),
    ],
)
def test_what_the_library_lacks_is_refused(keys, message):
    with pytest.raises(InputError, match=message):
        build_model("smp", num_classes=3, **keys)


def test_without_network_the_cache_is_named(tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match=rf"config\.json of smp-hub/resnet34.imagenet is not in {tmp_path}"):
        build_model("smp", num_classes=3, pretrained=True)


def test_its_absence_is_answered_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "segmentation_models_pytorch", None)
    with pytest.raises(InputError, match=r"is not installed; do: make install EXTRAS=smp"):
        smp_library()


@pytest.mark.slow
@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_it_is_exported(arch):
    check_export(small(arch), dynamic=False)
