import json
import os
import resource

import pytest
import torch
from torch import nn

from segtrain import optim
from segtrain.engine import checkpoint
from segtrain.engine.checkpoint import Checkpoint, initialise, load, load_newest, save
from segtrain.errors import InputError, SaveError


@pytest.fixture
def saved():
    torch.manual_seed(0)
    return Checkpoint(
        {"model.a": torch.rand(5, 3), "model.b": torch.arange(4)}, {"step": 7, "config": {"x": [1]}}
    )


def test_a_checkpoint_goes_around(saved, tmp_path, device):
    there = Checkpoint({k: v.to(device) for k, v in saved.tensors.items()}, saved.meta)
    save(there, tmp_path / "last.ckpt")
    again = load(tmp_path / "last.ckpt")
    assert again.meta == saved.meta
    assert all(torch.equal(again.tensors[k], v) for k, v in saved.tensors.items())
    assert list(again.part("model")) == ["a", "b"]
    assert [p.name for p in tmp_path.iterdir()] == ["last.ckpt"]


def test_any_flipped_bit_is_noticed(saved, tmp_path):
    path = tmp_path / "last.ckpt"
    save(saved, path)
    content = path.read_bytes()
    generator = torch.Generator().manual_seed(0)
    for position in torch.randint(0, 8 * len(content), (150,), generator=generator).tolist():
        damaged = bytearray(content)
        damaged[position // 8] ^= 1 << position % 8
        path.write_bytes(damaged)
        with pytest.raises(InputError):
            load(path)


def test_a_file_cut_short_is_noticed(saved, tmp_path):
    path = tmp_path / "last.ckpt"
    save(saved, path)
    content = path.read_bytes()
    for length in (0, 1, 8, 40, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(InputError, match=r"last\.ckpt: not a checkpoint of segtrain|damaged"):
            load(path)


def test_a_pickle_is_never_opened(tmp_path):
    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "exploded"),)

    torch.save(Bomb(), tmp_path / "model.ckpt")
    with pytest.raises(InputError, match="not a checkpoint"):
        load(tmp_path / "model.ckpt")
    assert not (tmp_path / "exploded").exists()


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"^/.*nothing\.ckpt: no such file"):
        load(tmp_path / "nothing.ckpt")


def test_the_checkpoint_before_stays_and_replaces_a_damaged_one(saved, tmp_path):
    last, previous = tmp_path / checkpoint.LAST, tmp_path / checkpoint.PREVIOUS
    save(saved, last, previous=previous)
    save(saved._replace(meta={"step": 8}), last, previous=previous)
    assert (load(previous).meta["step"], load(last).meta["step"]) == (7, 8)
    last.write_bytes(last.read_bytes()[:-3])
    said = []
    assert load_newest(tmp_path, said.append).meta["step"] == 7
    assert checkpoint.LAST in said[0]
    assert checkpoint.PREVIOUS in said[0]


def test_what_a_killed_process_left_half_written_is_removed(saved, tmp_path):
    unfinished = tmp_path / checkpoint.UNFINISHED
    unfinished.mkdir()
    (unfinished / ".tmpRANDOM").write_text("half a checkpoint")
    checkpoint.tidy(tmp_path)
    assert not unfinished.exists()
    save(saved, tmp_path / "last.ckpt")
    assert [p.name for p in tmp_path.iterdir()] == ["last.ckpt"]


def test_two_processes_that_save_into_one_folder_do_not_meet(saved, tmp_path):
    with checkpoint.unfinished(tmp_path) as unfinished:
        (unfinished / "last.ckpt").write_text("half a checkpoint")
        save(saved, tmp_path / "last.ckpt")
        assert (unfinished / "last.ckpt").read_text() == "half a checkpoint"
    assert [p.name for p in tmp_path.iterdir()] == ["last.ckpt"]


@pytest.mark.parametrize("meta", ["[]", "3", "[" * 100_000])
def test_metadata_of_another_form_are_no_checkpoint(tmp_path, monkeypatch, meta):
    monkeypatch.setattr(checkpoint.json, "dumps", lambda _: meta)
    save(Checkpoint({"model.a": torch.zeros(2)}, {}), tmp_path / "last.ckpt")
    with pytest.raises(InputError, match="not a checkpoint of segtrain"):
        load(tmp_path / "last.ckpt")


def test_a_full_disk_leaves_the_checkpoint_before_as_it_was(saved, tmp_path):
    path = tmp_path / "last.ckpt"
    save(saved, path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    big = Checkpoint({"model.a": torch.rand(200_000)}, {"step": 8})
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(SaveError, match=r"last\.ckpt: could not be written"):
            save(big, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert load(path).meta["step"] == 7
    assert [p.name for p in tmp_path.iterdir()] == ["last.ckpt"]


@pytest.mark.parametrize("make", [optim.sgd, optim.adamw, optim.rmsprop])
def test_an_optimizers_state_goes_around(make, tmp_path):
    def net_and_optimizer():
        torch.manual_seed(0)
        net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1))
        net.to(memory_format=torch.channels_last)
        return net, make(net, lr=0.1)

    def step(net, optimizer):
        x = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))
        optimizer.zero_grad()
        net(x).square().sum().backward()
        optimizer.step()

    one, optimizer = net_and_optimizer()
    step(one, optimizer)
    save(Checkpoint(checkpoint.optimizer_tensors(optimizer), {}), tmp_path / "o.ckpt")
    other, restored = net_and_optimizer()
    other.load_state_dict(one.state_dict())
    checkpoint.load_optimizer(restored, load(tmp_path / "o.ckpt").tensors)
    step(one, optimizer)
    step(other, restored)
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)


def test_initialising_names_what_was_loaded_what_is_new_and_what_is_left():
    model = nn.ModuleDict({"a": nn.Linear(2, 2), "head": nn.Linear(2, 5)})
    weights = {
        "a.weight": torch.ones(2, 2),
        "a.bias": torch.ones(2),
        "head.weight": torch.ones(3, 2),
        "x": torch.ones(1),
    }
    result = initialise(model, weights)
    assert result.loaded == ["a.bias", "a.weight"]
    assert result.new == ["head.bias", "head.weight"]
    assert result.unused == ["head.weight", "x"]
    assert model["a"].weight.eq(1).all()


def test_the_metadata_are_plain_json(saved, tmp_path):
    from safetensors import safe_open

    save(saved, tmp_path / "last.ckpt")
    with safe_open(tmp_path / "last.ckpt", "pt") as file:
        assert json.loads(file.metadata()["segtrain"])["step"] == 7
