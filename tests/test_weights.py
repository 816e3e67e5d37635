"""Files of published weights as training scripts write them: what is read of them, and what never is."""

import argparse
import collections
import datetime
import os
import sys
import types

import numpy as np
import pytest
import torch
from torch import nn

from segtrain.errors import InputError
from segtrain.weights import read_tensors

STATE = {"conv.weight": torch.ones(2, 1, 1, 1), "conv.bias": torch.zeros(2)}


def read(tmp_path, content):
    torch.save(content, tmp_path / "w.pth")
    return read_tensors(tmp_path / "w.pth", "weights", wanted="a file")


def prefixed(prefix):
    return {prefix + name: tensor for name, tensor in STATE.items()}


WRAPPED = {
    "plain": STATE,
    "ordered": collections.OrderedDict(STATE),
    "DataParallel": prefixed("module."),
    "torch.compile": prefixed("_orig_mod."),
    "both": prefixed("_orig_mod.module."),
    "Lightning": {"state_dict": prefixed("model."), "epoch": 3, "optimizer_states": [{}]},
    "under net": {"net": STATE, "epoch": 3},
    "under another name": {"model_dict": STATE, "optimizer": {"param_groups": [], "state": {}}},
    # torchvision's references/segmentation/train.py
    "references": {
        "model": STATE,
        "optimizer": {"state": {0: {"momentum_buffer": torch.ones(2)}}, "param_groups": [{"lr": 0.1}]},
        "lr_scheduler": {"last_epoch": 3},
        "epoch": 3,
        "args": argparse.Namespace(data_path="coco", lr=0.02, aux_loss=True, nested=argparse.Namespace(a=1)),
    },
    # pytorch-fcn's trainer.py: the best score is a numpy scalar
    "pytorch-fcn": {
        "epoch": 3,
        "arch": "FCN32s",
        "optim_state_dict": {"state": {}, "param_groups": []},
        "model_state_dict": STATE,
        "best_mean_iu": np.float64(0.63),
    },
    "numpy arrays": {"state_dict": STATE, "meta": {"ious": np.arange(3.0), "names": np.array(["a", "b"])}},
}


@pytest.mark.parametrize("content", WRAPPED.values(), ids=WRAPPED)
def test_the_networks_tensors_are_found_by_their_names(tmp_path, content):
    found = read(tmp_path, content)
    assert found.keys() == STATE.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in STATE.items())


def test_a_log_of_mmengine_is_skipped_where_its_package_is_not_installed(tmp_path, monkeypatch):
    class HistoryBuffer:
        def __init__(self):
            self._log_history = np.arange(4.0)

    HistoryBuffer.__module__ = "mmengine.logging.history_buffer"
    HistoryBuffer.__qualname__ = "HistoryBuffer"
    module = types.ModuleType(HistoryBuffer.__module__)
    module.HistoryBuffer = HistoryBuffer
    with monkeypatch.context() as installed:
        for name in ("mmengine", "mmengine.logging"):
            installed.setitem(sys.modules, name, types.ModuleType(name))
        installed.setitem(sys.modules, HistoryBuffer.__module__, module)
        content = {"state_dict": STATE, "message_hub": {"log_scalars": {"train/loss": HistoryBuffer()}}}
        torch.save(content, tmp_path / "w.pth")
    found = read_tensors(tmp_path / "w.pth", "weights", wanted="a file")
    assert found.keys() == STATE.keys()


class Bomb:
    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize(
    "wrap", [lambda bomb: {"model": STATE, "args": argparse.Namespace(a=bomb)}, lambda b: b]
)
def test_code_is_refused_also_inside_of_what_is_read(tmp_path, wrap):
    mark = tmp_path / "exploded"
    with pytest.raises(InputError, match=r"has code in it \(posix\.mkdir\), which is not run"):
        read(tmp_path, wrap(Bomb(mark)))
    assert not mark.exists()


def test_numpys_own_functions_are_never_called(tmp_path, monkeypatch):
    """What stands for them does nothing, so that no crafted array reaches numpy."""
    content = {"state_dict": STATE, "score": np.float64(1.0), "array": np.arange(3)}
    torch.save(content, tmp_path / "w.pth")

    def called(*values):
        raise AssertionError("numpy was called")

    module = np._core.multiarray if hasattr(np, "_core") else np.core.multiarray
    for name in ("scalar", "_reconstruct"):
        monkeypatch.setattr(module, name, called)
    assert read_tensors(tmp_path / "w.pth", "weights", wanted="a file").keys() == STATE.keys()


def test_what_is_read_now_is_refused_again_by_others(tmp_path):
    read(tmp_path, WRAPPED["references"])
    with pytest.raises(Exception, match="argparse"):
        torch.load(tmp_path / "w.pth", weights_only=True)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (nn.Conv2d(1, 2, 1), "has code in it"),
        ({"model": STATE, "when": datetime.date(2026, 1, 1)}, r"has code in it \(datetime\.date\)"),
        ({"one": STATE, "other": STATE}, "one is no tensor"),
        ({"epoch": 3}, "epoch is no tensor"),
        ([torch.ones(1)], "not a file of tensors"),
    ],
)
def test_other_files_are_refused_in_a_line(tmp_path, content, words):
    with pytest.raises(InputError, match=words):
        read(tmp_path, content)
