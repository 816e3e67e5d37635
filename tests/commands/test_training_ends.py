"""How long a run is, when it ends, and what it keeps."""

import pytest

from segtrain.commands.length import settled_interval, settled_steps, take_settled
from segtrain.config.length import settle_length
from segtrain.engine import checkpoint
from segtrain.errors import InputError

NONE = {"max_steps": None, "max_epochs": None, "batch_size": 10, "accumulate": 2}


def test_a_run_that_waits_and_slows_down_is_resumed_exactly(tiny, run):
    keys = ["max_epochs=2", "val_every=1", "early_stop=4", "schedule=plateau", "schedule.patience=2"]
    keys += [
        "data.val_images=1",
        "logger=[jsonl]",
        "checkpoint_every=1",
        "keep_last=3",
        "schedule.warmup_steps=1",
        "log_every=1",
    ]
    whole = tiny("max_steps=null", *keys)
    assert whole.code == 0, whole.err
    folder = whole.folder / "checkpoints"
    meta = checkpoint.read_meta(folder / "last.ckpt")
    assert meta["training"]["max_steps"] == 8  # 2 epochs of 8 images, 2 a step
    assert meta["step"] < 8  # the network is too small to get better
    assert "no better mean IoU in 4 validations" in whole.out
    assert "no better mean IoU, the learning rate is multiplied by 0.1\n" in whole.out
    assert f"at step {meta['best_step']}" in whole.out
    kept = sorted(int(path.stem[5:]) for path in folder.glob("step_*.ckpt"))
    assert kept == [meta["step"] - 2, meta["step"] - 1, meta["step"]]
    assert meta["schedule"]["reached"] < 1
    resumed = run("segtrain", f"resume={folder}/step_{kept[0]}.ckpt", "num_workers=0")
    assert resumed.code == 0, resumed.err
    one, other = (checkpoint.load(f / "checkpoints/last.ckpt") for f in (whole.folder, resumed.folder))
    assert one.tensors.keys() == other.tensors.keys()
    assert all(one.tensors[name].equal(other.tensors[name]) for name in one.tensors)
    for key in ("step", "schedule", "waited", "best_step", "best", "lr"):
        assert one.meta[key] == other.meta[key]


@pytest.mark.parametrize(
    ("given", "steps"),
    [
        ({"max_steps": 7, "max_epochs": 3}, 7),  # of a checkpoint
        ({"max_epochs": 3}, 15),
        ({"max_epochs": 0.01}, 1),
        ({}, 1000),
        ({"images": 2000}, 5000),
        ({"images": 10**6}, 40_000),
        ({"data": "shapes"}, 200),
    ],
)
def test_the_number_of_steps_follows_the_images(given, steps):
    said = []
    images, data = given.get("images", 100), given.get("data", "voc")
    assert settled_steps(NONE | given, {"data": data}, images, said.append) == steps
    assert bool(said) == (steps in (1000, 5000, 40_000))


def test_an_epoch_that_is_not_whole_counts():
    assert settled_steps(NONE | {"max_epochs": 1}, {}, 101, print) == 6


@pytest.mark.parametrize(
    ("overrides", "left"),
    [
        (["max_epochs=3"], (None, 3)),
        (["max_steps=60"], (60, None)),
        (["max_steps=60", "max_epochs=null"], (60, None)),
        ([], (60, 3)),
    ],
)
def test_the_command_lines_length_replaces_a_recipes(overrides, left):
    values = {"max_steps": 60, "max_epochs": None if "max_epochs=null" in overrides else 3}
    settle_length(values, overrides)
    assert (values["max_steps"], values["max_epochs"]) == left


def test_two_lengths_are_refused(run):
    done = run("segtrain", "max_steps=3", "max_epochs=3")
    assert done.code == 2
    assert "max_steps=3 max_epochs=3: a training has one length" in done.err
    with pytest.raises(InputError):
        settle_length({"max_steps": 1, "max_epochs": 1.5}, ["+max_steps=1", "++max_epochs=1.5"])


@pytest.mark.parametrize("key", ["max_epochs=0", "max_epochs=x", "early_stop=-1", "keep_last=-1"])
def test_what_is_out_of_range_is_refused(run, key):
    done = run("segtrain", key)
    assert done.code == 2
    assert done.err.startswith(f"segtrain: {key}")


def test_a_run_that_goes_on_takes_what_was_settled(tmp_path):
    path = tmp_path / "last.ckpt"
    meta = {"training": {"max_steps": 60, "max_epochs": 3, "batch_size": 4}}
    checkpoint.save(checkpoint.Checkpoint({}, meta), path)
    for epochs, steps in ((3, 60), (5, None)):
        config = {"max_steps": None, "max_epochs": epochs, "batch_size": "auto", "val_every": 7}
        take_settled(config, path.parent)
        assert (config["max_steps"], config["batch_size"], config["val_every"]) == (steps, 4, 7)


@pytest.mark.parametrize(("given", "steps", "interval"), [(7, 40, 7), (None, 200, 100), (None, 6001, 301)])
def test_validations_take_no_longer_than_training(given, steps, interval):
    assert settled_interval({"val_every": given, "max_steps": steps}) == interval
