"""The Python side of the interface, and how little is loaded before it is asked for."""

import subprocess
import sys

import pytest
import torch

import segtrain
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
    ],
)
def test_a_wrong_name_or_key_is_said(name, keys, words):
    with pytest.raises(InputError, match=words):
        segtrain.build_model(name, num_classes=3, **keys)


def test_the_crf_is_reached_from_the_package():
    assert callable(segtrain.crf.dense_crf)
