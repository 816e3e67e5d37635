"""What a run was made by: in its checkpoints, config.yaml and metrics.json."""

import json
import platform
import subprocess
from pathlib import Path

import pytest
import torch
import yaml

import segtrain
from segtrain.commands.made_by import data_change, data_fingerprint, git_commit
from segtrain.data.datasets.folder import Folder
from segtrain.engine import checkpoint
from segtrain.engine.checkpoint_schema import check_meta
from segtrain.errors import InputError
from tests import miniatures
from tests.conftest import FAST, TINY

GIT = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]


def make_folder(root):
    miniatures.folder(root)
    return Folder(root=str(root), num_classes=2)


def test_a_run_and_its_evaluation_say_by_what_they_were_made(run, tmp_path):
    subprocess.run([*GIT, "init", "-q"], cwd=tmp_path, check=True)
    (tmp_path / "notes.txt").write_text("one")
    subprocess.run([*GIT, "add", "notes.txt"], cwd=tmp_path, check=True)
    subprocess.run([*GIT, "commit", "-qm", "first"], cwd=tmp_path, check=True)
    (tmp_path / "notes.txt").write_text("two")
    done = run("segtrain", *TINY, *FAST)
    assert done.code == 0, done.err
    made = json.loads((done.folder / "metrics.json").read_text())["made_by"]
    assert made["segtrain"] == segtrain.__version__
    assert (made["torch"], made["python"]) == (torch.__version__, platform.python_version())
    assert made["command"].startswith("segtrain width=0.0625 data.size=32")
    assert made["git"] == git_commit(tmp_path)
    assert made["git"]["dirty"]
    assert len(made["git"]["commit"]) == 40
    assert (made["data"]["train"], made["data"]["val"], made["data"]["files"]) == (8, 3, 0)
    for name in ("best.ckpt", "last.ckpt"):
        assert checkpoint.read_meta(done.folder / "checkpoints" / name)["made_by"] == made
    text = (done.folder / "config.yaml").read_text()
    assert text.startswith("# segtrain width=0.0625")
    assert f"torch {torch.__version__}, Python" in text
    assert f"commit {made['git']['commit'][:12]} with changes" in text
    assert yaml.safe_load(text)["max_steps"] == 2
    evaluated = run("segeval", f"ckpt={done.folder}", "num_workers=0", "device=cpu")
    made = json.loads((evaluated.folder / "metrics.json").read_text())["made_by"]
    assert made["command"].startswith(f"segeval ckpt={done.folder} num_workers=0")


def test_a_run_of_a_sweep_says_its_own_keys(run):
    done = run("segtrain", "-m", *TINY, *FAST, "seed=1", "max_steps=1")
    assert done.code == 0, done.err
    metrics = next(done.folder.glob("*/metrics.json"))
    command = json.loads(metrics.read_text())["made_by"]["command"]
    assert {"seed=1", "max_steps=1"} < set(command.split())
    assert not {"-m", f"hydra.sweep.dir={done.folder}"} & set(command.split())


def test_without_a_repository_there_is_no_commit(tmp_path):
    assert git_commit(tmp_path) is None
    assert git_commit(tmp_path / "none") is None


def test_the_fingerprint_is_of_names_and_sizes(tmp_path):
    one, copy = (make_folder(tmp_path / name) for name in ("one", "copy"))
    before = data_fingerprint(one)
    assert data_fingerprint(copy) == before
    assert before["files"] == 2 * (before["train"] + before["val"])
    image = copy.train.pairs[0].image
    image.write_bytes(image.read_bytes() + b"\0")
    assert data_fingerprint(copy)["sha256"] != before["sha256"]


def test_other_data_are_said_when_a_run_goes_on(run, tmp_path):
    make_folder(tmp_path / "photos")
    keys = ["data=folder", f"data.root={tmp_path}/photos", "data.num_classes=2", "width=0.0625", *FAST]
    first = run("segtrain", *keys)
    assert first.code == 0, first.err
    image = next((tmp_path / "photos/images").iterdir())
    image.write_bytes(image.read_bytes() + b"\0")
    other = run("segtrain", f"resume={first.folder}", "max_steps=3", "num_workers=0")
    assert other.code == 0, other.err
    assert "resume: the data are not those of before: names or sizes of files differ" in other.out


def test_old_checkpoints_say_nothing_of_their_data():
    now = {"data": {"sha256": "a", "train": 2, "val": 1, "files": 6}}
    assert data_change(None, now) is None
    assert data_change({"segtrain": "0.1.0"}, now) is None
    before = {"data": {"sha256": "b", "train": 3, "val": 1, "files": 8}}
    assert "3 images to train on, 1 to validate, 8 files then, 2 images" in data_change(before, now)


@pytest.mark.parametrize(
    "made", [3, {"git": {"commit": 3, "dirty": True}}, {"git": []}, {"data": {"train": -1}}, {"torch": 2}]
)
def test_a_crafted_one_is_refused(made):
    with pytest.raises(InputError, match="its made_by must be versions"):
        check_meta({"made_by": made}, Path("best.ckpt"))
