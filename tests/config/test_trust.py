"""A checkpoint's config may name segtrain's own classes and nothing else."""

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
        assert "trust=pathlib" in done.err
        with pytest.raises(InputError, match="pathlib"):
            load_model(path)
    assert not mark.exists()
