"""Published weights on machines without network."""

from pathlib import Path
from urllib.error import URLError

import pytest
import torch

from segtrain.backbones.timm import TimmBackbone
from segtrain.errors import InputError
from segtrain.weights import torchvision_state
from tests.conftest import FAST, TINY

VGG = "vgg16-397923af.pth"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """torch's cache, empty, and no network."""

    def refused(*_args, **_kwargs):
        raise URLError("[Errno 101] Network is unreachable")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(torch.hub, "download_url_to_file", refused)
    return tmp_path / "torch" / "hub" / "checkpoints"


def test_without_network_one_line_names_the_cache_and_the_file(cache, run):
    own = ["model=fcn8s", "model.backbone.pretrained=true", "width=1"]
    refused = run("segtrain", *TINY, *FAST, *own)
    assert refused.code == 2
    line = refused.err.strip()
    assert "\n" not in line
    assert f"{VGG} is not in {cache} and cannot be downloaded (URLError" in line
    assert "/vgg16-397923af.pth and copy it there, or give pretrained=FILE" in line


@pytest.mark.parametrize("content", [b"", b"<html>portal</html>", b"PK\3\4" + bytes(1000)])
def test_a_spoilt_file_in_the_cache_is_named(cache, content):
    cache.mkdir(parents=True)
    (cache / VGG).write_bytes(content)
    with pytest.raises(InputError, match=rf"{cache / VGG}: .*remove it"):
        torchvision_state("vgg16", True)


def test_a_file_that_is_in_the_cache_needs_no_network(cache):
    cache.mkdir(parents=True)
    torch.save({"features.0.weight": torch.ones(1)}, cache / VGG)
    assert torchvision_state("vgg16", True)["features.0.weight"].item() == 1


def hub(folder: Path, repository: str, filename: str, state: dict) -> None:
    """A file of the Hugging Face Hub in its cache, as the library lays it."""
    from safetensors.torch import save_file

    revision = "0" * 40
    at = folder / f"models--{repository.replace('/', '--')}"
    (at / "refs").mkdir(parents=True)
    (at / "refs" / "main").write_text(revision)
    (at / "snapshots" / revision).mkdir(parents=True)
    save_file(state, at / "snapshots" / revision / filename)


@pytest.fixture
def hub_cache(tmp_path, monkeypatch):
    """The Hub's cache, empty, and offline."""
    pytest.importorskip("timm", reason="timm is not installed")
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return tmp_path


def test_timms_weights_come_from_the_hubs_cache_without_network(hub_cache):
    import timm

    torch.manual_seed(1)
    theirs = timm.create_model("test_convnext.r160_in1k")
    hub(hub_cache, "timm/test_convnext.r160_in1k", "model.safetensors", theirs.state_dict())
    net = TimmBackbone(name="test_convnext.r160_in1k", pretrained=True)
    assert torch.equal(net.net.stem_0.weight, theirs.stem[0].weight)
    adapted = TimmBackbone(name="test_convnext.r160_in1k", pretrained=True, in_channels=1)
    assert torch.allclose(adapted.net.stem_0.weight, theirs.stem[0].weight.sum(1, keepdim=True), atol=1e-6)


def test_without_network_the_hubs_cache_and_the_folder_to_copy_are_named(hub_cache, capfd):
    with pytest.raises(InputError) as refused:
        TimmBackbone(name="test_convnext.r160_in1k", pretrained=True)
    line = str(refused.value)
    assert f"model.safetensors of timm/test_convnext.r160_in1k is not in {hub_cache}" in line
    assert "copy models--timm--test_convnext.r160_in1k" in line
    assert "pretrained=FILE" in line
    assert capfd.readouterr().err == ""


def test_timms_weights_are_read_from_a_file(tmp_path):
    timm = pytest.importorskip("timm", reason="timm is not installed")
    theirs = timm.create_model("test_vit")
    torch.save(theirs.state_dict(), tmp_path / "vit.pth")
    net = TimmBackbone(name="test_vit", pretrained=str(tmp_path / "vit.pth"))
    assert torch.equal(net.net.model.blocks[0].attn.qkv.weight, theirs.blocks[0].attn.qkv.weight)
    assert not any("state_dict" in getattr(m, "pretrained_cfg", {}) for m in net.modules())
