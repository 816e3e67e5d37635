"""A checkpoint's config may name segtrain's own classes and nothing else."""

import sys

import pytest

from segtrain.api import load_model
from segtrain.config.compose import check_trust, offline
from segtrain.engine.checkpoint import Checkpoint, load, save
from segtrain.errors import InputError

HOSTILE = [
    "os.system",
    "builtins.eval",
    "builtins.exec",
    "subprocess.Popen",
    "pathlib.Path.touch",
    "torch.load",
    "torch.hub.load",
    "numpy.load",
    "segtrain.engine.checkpoint.save",
    "segtrain.models.fcn.os.system",
    "hydra.utils.instantiate",
]


@pytest.mark.parametrize("target", HOSTILE)
def test_a_foreign_target_is_refused(target):
    with pytest.raises(InputError, match="not one of segtrain's own"):
        check_trust({"model": {"_target_": target}}, "config", None)


@pytest.mark.parametrize("key", ["_partial_", "_args_", "_recursive_", "_convert_"])
def test_hydras_other_keys_are_refused(key):
    with pytest.raises(InputError, match=key):
        check_trust({"model": {key: True}}, "config", None)


def test_nothing_is_interpolated():
    with pytest.raises(InputError, match="no interpolation"):
        check_trust({"data": {"root": ["${oc.env:HOME}"]}}, "config", None)


def test_a_users_own_package_is_opened_by_name():
    node = {"model": {"_target_": "mypackage.nets.Net"}}
    check_trust(node, "config", "mypackage")
    with pytest.raises(InputError, match="trust=mypackage"):
        check_trust(node, "config", "mypack")


OWN = """
import os, subprocess
from subprocess import Popen

class Net:
    def __call__(self, images):
        return {}

class Data:
    class_names = ("a",)
    palette = ((0, 0, 0),)
    def __init__(self):
        self.train, self.val = [], []

class Deleter:
    def __init__(self, path):
        os.remove(path)

def build(path):
    os.remove(path)
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A package of the user's, by name."""
    (tmp_path / "ownnets.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    yield "ownnets"
    sys.modules.pop("ownnets", None)


@pytest.mark.parametrize(("group", "name"), [("model", "Net"), ("data", "Data"), ("model.backbone", "Net")])
def test_trust_opens_a_class_that_satisfies_a_contract(own, group, name):
    node = {"_target_": f"{own}.{name}"}
    for key in reversed(group.split(".")):
        node = {key: node}
    check_trust(node, "config", own)


@pytest.mark.parametrize(
    ("group", "name", "words"),
    [
        ("model", "build", "is no class"),
        ("model", "Popen", "is not defined in ownnets but in subprocess"),
        ("model", "Deleter", "lacks __call__"),
        ("data", "Deleter", "lacks class_names, palette, train, val"),
        ("data", "Net", "lacks class_names"),
    ],
)
def test_trust_opens_nothing_else(own, group, name, words):
    with pytest.raises(InputError, match=words):
        check_trust({group: {"_target_": f"{own}.{name}"}}, "config", own)


@pytest.mark.parametrize("package", ["os", "os.path", "builtins", "torch", "numpy", "omegaconf", "segtrain"])
def test_a_package_of_others_is_not_opened(package):
    with pytest.raises(InputError, match="trust must be a package of your own"):
        check_trust({}, "config", package)


@pytest.mark.parametrize("target", [*HOSTILE, "pytest.main", "os\n.system", "x", "..a"])
def test_a_package_of_others_is_not_proposed(target):
    with pytest.raises(InputError) as refusal:
        check_trust({"model": {"_target_": target}}, "config", None)
    assert "trust=" not in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_groups_target_is_one_of_that_group():
    for group, option in (("model", "segtrain.models.unet.UNet"), ("inference", "segtrain.inference.Whole")):
        check_trust({group: {"_target_": option}}, "config", None)
        with pytest.raises(InputError, match="not one of segtrain's own"):
            check_trust({"data": {"_target_": option}}, "config", None)


def test_neither_data_nor_weights_are_downloaded_for_a_checkpoint():
    model = {"_target_": "a", "backbone": {"pretrained": True, "width": 1.0}}
    assert offline(model) == {"_target_": "a", "backbone": {"pretrained": False, "width": 1.0}}
    assert offline({"root": "x", "download": True}) == {"root": "x", "download": False}


def test_a_hostile_checkpoint_runs_nothing(tiny, run, tmp_path):
    trained = load(tiny().folder / "checkpoints/best.ckpt")
    mark = tmp_path / "mark"
    for group in ("model", "data", "dense_crf"):
        config = dict(trained.meta["config"])
        config[group] = {"_target_": "pathlib.Path.touch", "self": str(mark), "num_classes": 7}
        path = tmp_path / f"{group}.ckpt"
        save(Checkpoint(trained.tensors, trained.meta | {"config": config}), path)
        done = run("segeval", f"ckpt={path}", "crf=true", "num_workers=0")
        assert done.code == 2
        assert "trust=" not in done.err
        assert "not one of segtrain's own; do not use it" in done.err
        with pytest.raises(InputError, match="pathlib"):
            load_model(path)
    opened = run("segeval", f"ckpt={path}", "trust=pathlib", "crf=true", "num_workers=0")
    assert opened.code == 2
    assert "trust must be a package of your own, got Python's pathlib" in opened.err
    assert not mark.exists()
