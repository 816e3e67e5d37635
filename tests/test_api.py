"""The Python side of the interface, and how little is loaded before it is asked for."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

import segtrain
from segtrain.config.overrides import as_overrides
from segtrain.errors import InputError


def loaded_by(code: str) -> set[str]:
    script = f"{code}\nimport sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_the_package_and_the_commands_loads_neither_torch_nor_albumentations():
    heavy = {"torch", "torchvision", "albumentations", "matplotlib", "tensorboard"}
    assert not heavy & loaded_by("import segtrain, segtrain.cli.entry, segtrain.cli.sweep")


def test_a_model_is_built_by_name_with_the_keys_of_its_yaml():
    net = segtrain.build_model("fcn16s", num_classes=4, backbone={"width": 1 / 32}, learn_upsampling=True)
    assert net.score32.out_channels == 4
    assert isinstance(net.upscore16.weight, torch.nn.Parameter)


def test_a_backbone_is_selected_by_name():
    with torch.device("meta"):
        net = segtrain.build_model("fcn32s", num_classes=21, backbone="alexnet")
    assert type(net.backbone).__name__ == "AlexNet"


@pytest.mark.parametrize(
    ("name", "keys", "words"),
    [
        ("fcn9s", {}, "did you mean model=fcn"),
        ("fcn8s", {"strid": 8}, "did you mean model.stride"),
        ("fcn8s", {"backbone": "vgg17"}, "did you mean model/backbone=vgg16"),
        ("fcn8s", {"stride": "eight"}, "an integer"),
        ("", {}, "no such model"),
        (3, {}, "no such model"),
        ("fcn8s", {"backbone": 3}, "give a name, or a dict"),
        ("unet", {"num_classes": 0}, "at least 1"),
        ("unet", {"num_classes": -1}, "at least 1"),
        ("unet", {"in_channels": 0}, "at least 1"),
        ("unet", {"width": 0}, "a number above 0"),
        ("unet", {"width": -1.0}, "a number above 0"),
        ("unet", {"width": "a"}, "a number"),
    ],
)
def test_a_wrong_name_or_key_is_said(name, keys, words):
    with pytest.raises(InputError, match=words):
        segtrain.build_model(name, **{"num_classes": 3} | keys)


def test_numbers_of_numpy_and_torch_are_numbers():
    given = {
        "lr": np.float64(1e-3),
        "decay": np.float32(0.25),
        "steps": np.int64(3),
        "sides": np.array([4, 8]),
    }
    given |= {"all": np.bool_(True), "momentum": torch.tensor(0.5)}
    said = ["lr=0.001", "decay=0.25", "steps=3", "sides=[4,8]", "all=true", "momentum=0.5"]
    assert as_overrides(given) == said
    net = segtrain.build_model("unet", num_classes=np.int64(2), width=np.float32(0.25))
    assert net(torch.zeros(1, 3, 16, 16))["out"].shape == (1, 2, 16, 16)


def test_overrides_are_a_list():
    with pytest.raises(InputError, match="give a list of them"):
        segtrain.train(overrides="max_steps=3")


def test_the_crf_is_reached_from_the_package():
    assert callable(segtrain.crf.dense_crf)


def test_a_result_stands_for_its_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small = {"model": "unet", "width": 0.05, "data__size": 32, "data__train_images": 4, "data__val_images": 2}
    small |= {"batch_size": 2, "num_workers": 0, "plots": False, "logger": ["jsonl"], "device": "cpu"}
    first = segtrain.train(max_steps=1, **small)
    second = segtrain.train(max_steps=1, init_from=first, **small)
    assert second.folder != first.folder
    resumed = segtrain.train(max_steps=2, resume=first, log_every=1)
    steps = [json.loads(line)["step"] for line in (resumed.folder / "metrics.jsonl").read_text().splitlines()]
    assert set(steps) == {2}
    with pytest.raises(InputError, match="model must be one of its options"):
        segtrain.train(max_steps=1, **small | {"model": ["unet", "segnet"]})
