"""`resume=`: whose checkpoint is taken, with which config, and what may change."""

import json
import os
from types import SimpleNamespace

import pytest
import torch
import yaml
from PIL import Image

from segtrain.commands.changes import Change, differences
from segtrain.commands.resume import check_changes, fingerprint, newest_unfinished
from segtrain.data.io.files import Pair
from segtrain.engine import checkpoint
from segtrain.errors import InputError
from segtrain.files import as_argument
from tests.conftest import FAST, TINY

MODEL = ["model=segnet_basic", "loss=[cross_entropy,dice]", "optimizer=sgd", "augment.flip.p=0.25"]
CONFIG = {"max_steps": 4, "seed": 0, "num_workers": 1, "model": {"_target_": "A", "width": 1}, "data": {}}


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """A finished run of two steps, made once."""
    from segtrain import train

    folder = tmp_path_factory.mktemp("resume") / "first"
    train(folder=folder, overrides=[*MODEL, *TINY, *FAST])
    return folder


def test_a_path_needs_nothing_else_and_the_users_keys_are_on_top(run, first):
    done = run("segtrain", f"resume={first}", "max_steps=3", "optimizer.lr=1e-3", "log_every=1")
    assert done.code == 0, done.err
    config = yaml.safe_load((done.folder / "config.yaml").read_text())
    before = yaml.safe_load((first / "config.yaml").read_text())
    same = {key for key in before if config[key] == before[key]}
    assert before.keys() - same == {"max_steps", "optimizer", "log_every", "resume"}
    assert config["optimizer"] == before["optimizer"] | {"lr": 1e-3}
    assert "resume: optimizer.lr was 0.01, is 0.001" in done.out
    assert "resume: max_steps was 2, is 3" in done.out
    assert "the learning rate falls, from 0.0" in done.out
    steps = [json.loads(line)["step"] for line in (done.folder / "metrics.jsonl").read_text().splitlines()]
    assert steps == [3, 3]
    assert "segnet_basic" in json.dumps(
        checkpoint.read_meta(done.folder / "checkpoints/last.ckpt")["choices"]
    )


def test_the_command_of_before_may_be_repeated_and_a_sweep_goes_over_what_varies(run, first):
    done = run("segtrain", "-m", *MODEL, *TINY, *FAST, f"resume={first}", "max_steps=3", "optimizer.lr=1,2")
    assert done.code == 0, done.err
    rates = [
        yaml.safe_load((done.folder / f"{i}/config.yaml").read_text())["optimizer"]["lr"] for i in (0, 1)
    ]
    assert rates == [1, 2]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["seed=7"], ["seed was 0, is 7"]),
        (["model=unet"], ["model was segtrain.models.segnet.SegNetBasic, is segtrain.models.unet.UNet"]),
        (["optimizer=adamw"], ["optimizer was segtrain.optim.sgd, is segtrain.optim.adamw"]),
        (["optimizer.momentum=0"], ["optimizer.momentum was 0.9, is 0"]),
        (["optimizer.nesterov=true"], ["optimizer.nesterov was false, is true"]),
        (["loss=dice", "data.seed=1"], ["loss was [cross_entropy,dice], is [dice]", "data.seed was 0, is 1"]),
        (["schedule=cosine"], ["schedule was segtrain.schedules.Poly, is segtrain.schedules.Cosine"]),
        (["width=0.125"], ["width was 0.0625, is 0.125"]),
        (["augment.flip.p=0.5"], ["augment.flip.p was 0.25, is 0.5"]),
        (["freeze_norm=true"], ["freeze_norm was false, is true"]),
        (["freeze=[encoder]"], ["freeze was [], is [encoder]"]),
        (["init_from=other.ckpt"], ["init_from was null, is other.ckpt"]),
        (["batch_size=4"], ["must have 2 images as before, got 4"]),
        (["max_steps=1"], ["max_steps must be at least the 2 steps taken, got 1", "nothing is left"]),
    ],
)
def test_a_key_that_cannot_change_is_refused_with_both_values(run, first, arguments, words):
    done = run("segtrain", f"resume={first}", "max_steps=3", *arguments)
    assert done.code == 2
    for word in words:
        assert word in done.err


def test_what_is_added_to_a_run_whose_classes_were_counted_knows_their_number(run, tmp_path):
    for below, mode in (("images", "RGB"), ("masks", "L")):
        (tmp_path / "d" / below).mkdir(parents=True)
        for i in range(4):
            Image.new(mode, (32, 32)).save(tmp_path / "d" / below / f"{i}.png")
    data = ["data=folder", f"data.root={tmp_path}/d"]
    done = run("segtrain", *MODEL, "width=0.0625", *FAST, *data)
    assert done.code == 0, done.err
    again = run("segtrain", f"resume={done.folder}", "metric=[boundary]", "max_steps=3")
    assert again.code == 0, again.err
    assert "bf_score" in json.loads((again.folder / "metrics.json").read_text())
    refused = run("segtrain", f"resume={done.folder}", "model=unet")
    assert "model was segtrain.models.segnet.SegNetBasic, is segtrain.models.unet.UNet" in refused.err


def test_weights_alone_are_refused_and_what_would_do_is_named(run, first):
    done = run("segtrain", f"resume={first}/checkpoints/best.ckpt")
    assert done.code == 2
    assert f"give resume={first}/checkpoints/last.ckpt" in done.err
    assert f"init_from={first}/checkpoints/best.ckpt" in done.err


def test_auto_takes_this_runs_own_folder_and_no_neighbours(run, first):
    other = run("segtrain", *MODEL, *TINY, *FAST, "resume=auto")
    assert other.code == 0, other.err
    assert "resumed" not in other.out
    again = run("segtrain", *MODEL, *TINY, *FAST, "resume=auto", "seed=1", f"hydra.run.dir={other.folder}")
    assert again.code == 2
    assert "seed was 0, is 1" in again.err


def test_a_run_that_goes_on_elsewhere_has_the_best_checkpoint_of_before(run, first):
    best = checkpoint.load(first / "checkpoints/best.ckpt")
    done = run("segtrain", f"resume={first}", "max_steps=2")
    assert done.code == 0, done.err
    assert checkpoint.load(done.folder / "checkpoints/best.ckpt").digest == best.digest


def unfinished(folder, step, time, *, resumed_from=None, **changes):
    """The checkpoints' folder of a run."""
    config = CONFIG | changes
    saved = {"model", "data"}
    meta = {
        "step": step,
        "config": {k: config[k] for k in saved},
        "choices": {},
        "resumed_from": resumed_from,
    }
    meta["training"] = {k: v for k, v in config.items() if k not in saved}
    path = folder / "checkpoints" / "last.ckpt"
    path.parent.mkdir(parents=True)
    checkpoint.save(checkpoint.Checkpoint({"model.a": torch.zeros(1)}, meta), path)
    os.utime(path, (time, time))
    return path.parent


def test_auto_takes_the_newest_unfinished_run_of_an_equal_config(tmp_path):
    old = unfinished(tmp_path / "old", 2, 1000)
    new = unfinished(tmp_path / "new", 1, 2000, num_workers=4)
    others = [
        unfinished(tmp_path / "finished", 4, 3000),
        unfinished(tmp_path / "another_seed", 1, 4000, seed=1),
        unfinished(tmp_path / "another_model", 1, 5000, model={"_target_": "B", "width": 1}),
        tmp_path / "nothing",
    ]
    assert newest_unfinished(CONFIG, [old, new, *others]) == new
    continued = unfinished(tmp_path / "continued", 4, 6000, resumed_from=str(new.resolve()))
    assert newest_unfinished(CONFIG, [old, new, continued]) == old
    assert newest_unfinished(CONFIG, others) is None


def test_the_differences_of_two_configs():
    before = {
        "lr": 1,
        "model": {"_target_": "A", "width": 1},
        "loss": {"a": {"w": 1}},
        "only": None,
        "t": (1, 2),
    }
    now = {"lr": 1.0, "model": {"_target_": "B", "depth": 2}, "loss": {"a": {"w": 2}}, "t": [1, 2]}
    found = [str(difference) for difference in differences(before, now)]
    assert found == ["model was A, is B", "loss.a.w was 1, is 2", "only was null, is absent"]


def test_a_printed_argument_is_quoted_for_hydra_and_for_the_shell():
    assert as_argument("resume", "runs/a-1/last.ckpt") == "resume=runs/a-1/last.ckpt"
    assert as_argument("resume", "my runs/a=1") == "resume=\"'my runs/a=1'\""
    assert as_argument("resume", "a,b", whole=True) == "\"resume='a,b'\""


def test_an_option_that_is_not_ours_gets_the_checkpoints_keys():
    from segtrain.config.compose import compose_config
    from segtrain.config.resumed import saved_options, with_saved

    values = {"_target_": "segtrain.data.datasets.folder.Folder", "root": "here", "num_classes": 4, "seed": 3}
    saved = {"data": values, "seed": 5}
    options = saved_options(saved, {"data": "mine", "model": "unet"}, ["model=unet"])
    assert options == ["data=mine"]
    composed = compose_config("train", [*options, "model=unet", "data.seed=4", "max_steps=7"])
    result = with_saved(composed, ["data.seed=4", "max_steps=7", "model=unet"], saved, {"model": "unet"})
    assert result["data"] == values | {"seed": 4}
    assert (result["max_steps"], result["seed"]) == (7, 5)


def test_data_elsewhere_are_the_same_if_their_files_are(tmp_path):
    class Pairs:
        def __init__(self, folder):
            self.train = SimpleNamespace(
                pairs=[Pair(f"{i}", folder / f"{i}", folder / f"m{i}") for i in range(3)]
            )

    for name, content in (("a", "0"), ("copy", "0"), ("other", "1")):
        (tmp_path / name).mkdir()
        for i in range(3):
            (tmp_path / name / f"{i}").write_text(content)
            (tmp_path / name / f"m{i}").write_text("m")
    meta = {"images": fingerprint(Pairs(tmp_path / "a"))}
    moved = [Change("data.root", "a", "elsewhere")]
    check_changes(moved, meta, Pairs(tmp_path / "copy"), tmp_path)
    with pytest.raises(InputError, match=r"data\.root was a, is elsewhere"):
        check_changes(moved, meta, Pairs(tmp_path / "other"), tmp_path)
