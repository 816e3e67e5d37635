"""A network stays right where torch's compiler fails."""

import pytest
import torch
from torch import nn

from segtrain.engine import compilation


def fails(graph, inputs):
    raise TypeError("cannot determine truth value of Relational\nand a long trace")


def out_of_memory(graph, inputs):
    raise torch.OutOfMemoryError("CUDA out of memory")


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())


def test_what_the_compiler_fails_at_runs_uncompiled_and_is_said_once(monkeypatch):
    monkeypatch.setattr(compilation, "inductor", lambda: fails)
    model, said = network(), []
    compilation.compile_network(model, said.append)
    for size in (8, 9, 10):
        images = torch.rand(1, 3, size, size)
        assert torch.equal(model(images), network()(images))
    assert len(said) == 1
    assert "fails (TypeError: cannot determine truth value of Relational). That part" in said[0]


def test_memory_that_runs_out_in_the_compiler_is_no_failure_of_its_own(monkeypatch):
    monkeypatch.setattr(compilation, "inductor", lambda: out_of_memory)
    model = network()
    compilation.compile_network(model, print)
    with pytest.raises(Exception, match="CUDA out of memory"):
        model(torch.rand(1, 3, 8, 8))
