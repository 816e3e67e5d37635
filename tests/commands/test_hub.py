"""A model's way to the Hub and back: a folder with a card, an upload, loading by name."""

import json

import pytest
import torch
import yaml
from safetensors.torch import load_file

import segtrain
from segtrain.commands import export_hub
from segtrain.commands.fetch import fetched
from segtrain.engine.checkpoint import load
from segtrain.errors import InputError
from tests.conftest import FAST
from tests.hub_server import hub

huggingface_hub = pytest.importorskip("huggingface_hub", reason="make install EXTRAS=hub")


@pytest.fixture
def trained(run, tmp_path):
    tiny = ["data.size=32", "data.train_images=4", "data.val_images=3", "width=0.0625", *FAST]
    done = run("segtrain", "model=unet", *tiny, "plots=true")
    assert done.code == 0, done.err
    return done.folder


@pytest.fixture
def server(monkeypatch, tmp_path):
    """The library's address of the Hub and its cache, which it read when it was imported."""
    with hub() as (address, files):
        template = address + "/{repo_id}/resolve/{revision}/{filename}"
        for name, value in (("ENDPOINT", address), ("HUGGINGFACE_CO_URL_TEMPLATE", template)):
            monkeypatch.setattr(huggingface_hub.constants, name, value)
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setenv("HF_TOKEN", "hf_nobody")
        yield files


def test_the_folder_holds_all_that_others_need_and_no_place_of_this_machine(run, trained):
    done = run("segexport", f"ckpt={trained}", "format=hub", "license=mit")
    assert done.code == 0, done.err
    out = done.folder / "hub"
    assert {p.name for p in out.iterdir()} == {
        *("model.safetensors", "config.yaml", "metrics.json", "README.md", "results.png", "val_batch.jpg"),
        "zoo.yaml",
    }
    card = (out / "README.md").read_text()
    head = yaml.safe_load(card.split("---")[1])
    assert (head["license"], head["library_name"], head["tags"][-1]) == ("mit", "segtrain", "unet")
    metrics = json.loads((out / "metrics.json").read_text())
    assert f"Mean IoU **{100 * metrics['mean_iou']:.1f} %**" in card
    assert all(f"| {name} |" in card for name in load(out / "model.safetensors").meta["class_names"])
    everything = card + (out / "config.yaml").read_text() + json.dumps(load(out / "model.safetensors").meta)
    assert str(trained.parent) not in everything
    tensors = load_file(out / "model.safetensors")
    own = load(trained / "checkpoints/best.ckpt").weights()
    assert all(torch.equal(tensors[f"model.{name}"], value) for name, value in own.items())


def test_absolute_paths_become_their_last_part():
    before = {"data": {"root": "/home/x/data/CamVid", "size": 3, "list": ["../up/a.txt", "b"]}}
    after = {"data": {"root": "CamVid", "size": 3, "list": ["a.txt", "b"]}}
    assert export_hub.without_folders(before) == after


def test_what_was_pushed_is_loaded_by_name(run, trained, server, tmp_path, monkeypatch):
    done = run("segexport", f"ckpt={trained}", "format=hub", f"out={tmp_path}/out")
    assert done.code == 0, done.err
    assert export_hub.push(tmp_path / "out", "someone/unet_shapes") == "someone/unet_shapes"
    assert "someone/unet_shapes/model.safetensors" in server
    model = segtrain.load_model("hf://someone/unet_shapes")
    own = segtrain.load_model(trained)
    images = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
    assert torch.equal(model(images)["out"], own(images)["out"])
    assert model.class_names == own.class_names
    server.clear()  # it is in the cache now
    assert fetched("hf://someone/unet_shapes").is_file()
    monkeypatch.setenv("SEGTRAIN_ZOO", str(tmp_path / "out/zoo.yaml"))
    name, entry = next(iter(yaml.safe_load((tmp_path / "out/zoo.yaml").read_text()).items()))
    assert entry["metrics"]["images"] == 3
    assert torch.equal(segtrain.load_model(f"zoo:{name}")(images)["out"], own(images)["out"])


def test_what_is_not_there_or_no_address_is_said_in_a_line(server):
    with pytest.raises(InputError, match=r"hf://someone/none: model\.safetensors of someone/none is not in"):
        fetched("hf://someone/none")
    with pytest.raises(InputError, match="hf://none must be hf://USER/NAME"):
        fetched("hf://none")


def test_a_refused_upload_says_how_to_do_it_later(tmp_path, server):
    (tmp_path / "out").mkdir()
    with pytest.raises(InputError, match=r"push=a/b/c: the upload failed.*hf upload a/b/c"):
        export_hub.push(tmp_path / "out", "a/b/c")
