"""Weights in the naming of others are imported, and what comes of it is compared."""

import numpy as np
import pytest
import torch
from torch import Tensor

from segtrain import load_model


@pytest.fixture
def imported(run, tmp_path):
    """Writes tensors to a file, imports it, and gives the trained model and what was printed."""

    def call(format, tensors, model, *more, file="theirs.pth", width=1 / 32):
        path = tmp_path / file
        if path.suffix == ".npz":
            np.savez(path, **{name: tensor.numpy() for name, tensor in tensors.items()})
        else:
            torch.save(tensors, path)
        out = tmp_path / "ours.ckpt"
        what = [f"format={format}", f"weights={path}", f"model={model}", f"out={out}", f"width={width}"]
        done = run("segimport", *what, *more)
        assert done.code == 0, done.err
        return load_model(out), done

    return call


@pytest.fixture
def close():
    """Whether logits are equal to 1e-4 of their range."""

    def check(ours: Tensor, theirs: Tensor) -> None:
        assert ours.shape == theirs.shape
        assert theirs.std() > 0
        assert (ours - theirs).abs().max() < 1e-4 * theirs.abs().max()

    return check
