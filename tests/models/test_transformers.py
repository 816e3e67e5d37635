"""Networks of the transformers library: its own logits, in our loop."""

import json

import pytest
import torch
from torch.nn import functional as F

from segtrain import build_model, load_model
from segtrain.engine.checkpoint import load
from segtrain.errors import InputError
from segtrain.models.transformers import transformers_library
from tests.export_checks import check_export

transformers = pytest.importorskip("transformers", reason="transformers is not installed")

SEGFORMER = {"depths": [1, 1, 1, 1], "hidden_sizes": [8, 16, 16, 32], "decoder_hidden_size": 16}
UPERNET = {
    "hidden_size": 16,
    "pool_scales": [1, 2],
    "backbone_config": {
        "model_type": "convnext",
        "depths": [1, 1, 1, 1],
        "hidden_sizes": [8, 8, 16, 16],
        "out_features": ["stage1", "stage2", "stage3", "stage4"],
    },
}
DPT = {
    "hidden_size": 16,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "backbone_out_indices": [0, 1, 2, 3],
    "neck_hidden_sizes": [8, 8, 8, 8],
    "fusion_hidden_size": 8,
    "image_size": 64,
}
TINY = {"segformer": SEGFORMER, "upernet": UPERNET, "dpt": DPT}


def small(kind, **keys):
    torch.manual_seed(0)
    return build_model("transformers", num_classes=3, model_type=kind, config=TINY[kind], **keys).eval()


@pytest.mark.parametrize("kind", TINY)
def test_logits_are_those_of_the_librarys_own_forward(kind):
    model = small(kind)
    images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    x = (images / 255 - mean) / std
    theirs = type(model.net)(model.net.config).eval()
    theirs.load_state_dict(model.net.state_dict())
    with torch.inference_mode():
        logits = theirs(pixel_values=x).logits
        expected = F.interpolate(logits, (64, 64), mode="bilinear", align_corners=False)
        assert torch.allclose(model(images)["out"], expected, atol=1e-5)
        assert model(images[..., :33, :57])["out"].shape == (2, 3, 33, 57)


@pytest.mark.parametrize("kind", TINY)
def test_every_parameter_gets_a_gradient(kind):
    model = small(kind).train()
    model(torch.rand(2, 3, 64, 64) * 255)["out"].square().sum().backward()
    assert [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None] == []


def local(folder, kind="segformer"):
    """A network of the library in a folder, with a normalisation of its own."""
    torch.manual_seed(1)
    config = transformers.AutoConfig.for_model(kind, **TINY[kind], num_labels=5)
    net = transformers.AutoModelForSemanticSegmentation.from_config(config)
    net.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(
        json.dumps({"image_mean": [0.5, 0.5, 0.5], "image_std": [0.25, 0.25, 0.25]})
    )
    return net


def test_a_run_on_a_librarys_folder_is_resumed_exactly_and_loaded_without_it(tiny, tmp_path):
    net = local(tmp_path / "net")
    own = ["model=transformers", f"model.name={tmp_path}/net", "model.pretrained=true", "checkpoint_every=1"]
    own += ["optimizer.lr=0.0"]
    whole, half = tiny(*own), tiny(*own, "max_steps=1")
    assert whole.code == 0, whole.err
    (tmp_path / "net").rename(tmp_path / "gone")
    again = tiny(f"resume={half.folder}", "max_steps=2")
    assert again.code == 0, again.err
    last = load(whole.folder / "checkpoints/last.ckpt").tensors
    for name, value in load(again.folder / "checkpoints/last.ckpt").tensors.items():
        assert torch.equal(value, last[name]), name
    model = load_model(whole.folder)
    assert model.normalize.mean.flatten().tolist() == [127.5] * 3
    theirs, ours = net.segformer.state_dict(), model.net.segformer.state_dict()
    assert all(torch.equal(value, ours[name]) for name, value in theirs.items())


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"model_type": "bert"}, r"model\.model_type=bert: transformers has no such network .*segformer"),
        ({"pretrained": True}, r"model\.name is missing"),
    ],
)
def test_what_the_library_lacks_is_refused(keys, message):
    with pytest.raises(InputError, match=message):
        build_model("transformers", num_classes=3, **keys)


def test_without_network_the_cache_is_named(tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match=rf"config\.json of nvidia/mit-b0 is not in {tmp_path}"):
        build_model("transformers", num_classes=3, name="nvidia/mit-b0")


def test_its_absence_is_answered_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    with pytest.raises(InputError, match=r"is not installed; do: make install EXTRAS=transformers"):
        transformers_library()


@pytest.mark.slow
@pytest.mark.parametrize("kind", TINY)
def test_it_is_exported(kind):
    check_export(small(kind), dynamic=False)
