"""Crafted checkpoints: whatever their metadata and tensors say, one line answers."""

import copy
import random
from contextlib import nullcontext

import pytest
import torch

from segtrain.api import load_model
from segtrain.commands.build import read_checkpoint
from segtrain.commands.prediction import Classes
from segtrain.commands.replay import replay
from segtrain.config.compose import compose_config, evaluation_config
from segtrain.config.instantiate import instantiate
from segtrain.config.wording import CONFIG_ERRORS
from segtrain.engine.checkpoint import Checkpoint, load, load_optimizer, optimizer_tensors, save
from segtrain.engine.checkpoint_schema import RESUMED, check_keys, check_meta
from segtrain.errors import InputError

JUNK = (None, True, -1, 0, 2**70, 1e300, float("inf"), float("nan"), "", "x", "???", "${oc.env:HOME}")
JUNK += ([], {}, [[]], {"_target_": "os.getcwd"}, {"x": [None]}, [1, "a"], "a" * 3000)  # type: ignore[assignment]
SAID = (InputError, *CONFIG_ERRORS)


def deep(levels):
    """Lists in lists."""
    node: list = []
    for _ in range(levels):
        node = [node]
    return node


def locations(node, path=()):
    """Where something stands in nested dicts and lists."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        yield (*path, key)
        yield from locations(value, (*path, key))


def crafted(saved, generator):
    """A checkpoint with a value or a tensor that is gone or of another form."""
    meta, tensors = copy.deepcopy(saved.meta), dict(saved.tensors)
    if generator.random() < 0.25:
        name = generator.choice(sorted(tensors))
        value = tensors.pop(name)
        shapes = [
            value.flatten()[:1],
            value[None],
            value.flatten()[:0],
            value.bool(),
            value.to(torch.complex64),
        ]
        if generator.random() < 0.8:
            tensors[name] = generator.choice(shapes)
        return Checkpoint(tensors, meta)
    *parents, last = generator.choice(sorted(locations(meta), key=str))
    node = meta
    for key in parents:
        node = node[key]
    if generator.random() < 0.25:
        node.pop(last)
    else:
        node[last] = generator.choice([*JUNK, deep(100)])
    return Checkpoint(tensors, meta)


@pytest.fixture(scope="module")
def optimizer():
    """One with a state."""
    net = torch.nn.Linear(3, 2)
    group = {"params": list(net.parameters()), "names": ["weight", "bias"]}
    made = torch.optim.AdamW([group], lr=0.1)
    net(torch.ones(1, 3)).sum().backward()
    made.step()
    return made


def test_no_crafted_checkpoint_ends_in_a_traceback(tiny, tmp_path):
    saved = load(tiny().folder / "checkpoints/last.ckpt")
    generator, path = random.Random(0), tmp_path / "crafted.ckpt"
    given, refused = compose_config("eval", [f"ckpt={path}"]), []
    for _ in range(100):
        save(crafted(saved, generator), path)
        try:
            read = read_checkpoint(path)
            config = evaluation_config(given, read.meta["config"])
            instantiate(config["data"], "data")
            Classes.of(read)
            load_model(path)
            check_keys(read.meta, RESUMED, path)
        except SAID as error:
            refused.append(error)
    assert len(refused) > 25
    lines = [str(error) for error in refused if isinstance(error, InputError)]
    assert not [line for line in lines if "\n" in line or len(line) > 1500]


def test_no_crafted_step_that_diverged_ends_in_a_traceback(tiny, tmp_path):
    diverged = tiny("optimizer=sgd", "optimizer.lr=1e30", "clip_norm=0", "max_steps=8", "model=unet")
    saved = load(diverged.folder / "diverged.ckpt")
    generator, path = random.Random(1), tmp_path / "crafted.ckpt"
    refused = 0
    for _ in range(30):
        save(crafted(saved, generator), path)
        try:
            replay(str(path), "cpu", "auto", None)
        except SAID:
            refused += 1
    assert refused > 10
    for seed, fits in ((-(2**63), True), (2**63 - 1, True), (2**63, False), (0.5, False)):  # of a hash
        meta = saved.meta | {"at": saved.meta["at"] | {"seed": seed}}
        with nullcontext() if fits else pytest.raises(InputError, match="its at must be a step with"):
            check_meta(meta, path)
    masks = saved.tensors["batch.0.masks"].clone()
    masks[0, 0, 0] = 200
    save(saved._replace(tensors=saved.tensors | {"batch.0.masks": masks}), path)
    with pytest.raises(InputError, match=r"its batch 0 must have names, and labels 0\.\.6"):
        replay(str(path), "cpu", "auto", None)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda t: t | {"weight.exp_avg": torch.ones(1)},
            r"exp_avg of weight must be \(2, 3\), got float32 \(1,\)",
        ),
        (lambda t: t | {"weight.exp_avg": torch.ones(3)}, r"got float32 \(3,\)"),
        (lambda t: t | {"weight.step": torch.ones(2)}, r"step of weight must be \(\), got float32 \(2,\)"),
        (lambda t: t | {"bias.exp_avg_sq": torch.ones(2, dtype=torch.int64)}, "got int64"),
        (lambda t: t | {"weight.momentum_buffer": torch.ones(2, 3)}, r"has no weight\.momentum_buffer"),
        (lambda t: t | {"other.step": torch.ones(())}, r"has no other\.step"),
        (lambda t: {k: v for k, v in t.items() if k != "weight.step"}, "weight lacks step"),
    ],
)
def test_a_state_of_another_optimizer_or_shape_is_refused(optimizer, change, words):
    tensors = optimizer_tensors(optimizer)
    load_optimizer(optimizer, tensors)
    with pytest.raises(InputError, match=f"made by another optimizer or model: .*{words}"):
        load_optimizer(optimizer, change(tensors))
