"""`results.png` and `val_batch.jpg` of a run."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from segtrain.commands import drawings
from segtrain.commands.drawings import IMAGES, Drawings
from segtrain.contracts import Sample
from segtrain.errors import DivergedError, SaveError
from segtrain.evaluation.evaluate import ImageResult
from segtrain.loggers.run_log import RunLog
from segtrain.viz.val_batch import SIDE


class Data:
    class_names, palette = ("a", "b"), ((0, 0, 0), (255, 0, 0))
    val = range(50)


def evaluated(position):
    mask = np.zeros((8, 8), np.uint8)
    return ImageResult(
        position, Sample(np.zeros((8, 8, 3), np.uint8), mask, "x"), mask, None, [torch.zeros(2, 2)]
    )


@pytest.fixture
def drawn(tmp_path):
    record = {"step": 1, "split": "train", "loss": 1.0, "lr": 0.1}
    (tmp_path / "metrics.jsonl").write_text(json.dumps(record) + "\n")
    with RunLog(tmp_path, "train") as log:
        yield Drawings(Data(), log, last_step=10)


def test_the_last_validation_is_always_drawn_and_others_where_it_takes_little_time(drawn):
    folder = drawn.log.folder
    drawn.add(evaluated(0))
    drawn.spent = 1e9  # as if drawing had taken all of the time
    drawn.after_validation(5)
    assert not (folder / "results.png").exists()
    drawn.spent, drawn.start = 0.0, drawn.start - 1000
    drawn.after_validation(6)
    first = (folder / "results.png").stat().st_mtime_ns
    assert drawn.cost > 0
    drawn.spent = 1e9
    drawn.after_validation(10)
    assert (folder / "results.png").stat().st_mtime_ns > first


def test_the_images_are_spread_over_the_split(drawn):
    for position in range(50):
        drawn.add(evaluated(position))
    assert sorted(drawn.images) == [0, 7, 14, 21, 28, 35, 42, 49]
    assert len(drawn.images) == IMAGES


def test_a_full_disk_is_said_in_a_line_and_ends_nothing(drawn, monkeypatch, capsys):
    def full(path, write):
        raise SaveError(f"{path}: could not be written (No space left on device)", do="free some space")

    monkeypatch.setattr(drawings, "write_atomically", full)
    drawn.add(evaluated(0))
    drawn.after_validation(10)
    said = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in said] == ["not drawn", "not drawn"]


def test_a_training_that_diverges_leaves_its_curves(drawn):
    with pytest.raises(DivergedError), drawn.also_of_a_divergence():
        raise DivergedError("the loss is not finite")
    assert (drawn.log.folder / "results.png").is_file()


def test_other_ranks_draw_nothing(tmp_path):
    silent = Drawings(Data(), RunLog(tmp_path / "run", "train", silent=True), last_step=1)
    silent.add(evaluated(0))
    silent.after_validation(1)
    assert not silent.images
    assert not (tmp_path / "run").exists()


def test_a_resumed_run_draws_the_curves_of_all_its_steps(tiny, monkeypatch):
    seen = []
    figure = drawings.results_figure
    monkeypatch.setattr(drawings, "results_figure", lambda *args: seen.append(args) or figure(*args))
    first = tiny("log_every=1", "plots=true", "model=fcn32s")
    shutil.copytree(first.folder, first.folder.with_name("run2"))  # the folder of the next run
    resumed = tiny("log_every=1", "plots=[svg]", "model=fcn32s", "max_steps=3", "resume=auto")
    assert resumed.code == 0, resumed.err
    records, title = seen[-1]
    logged = [(record["step"], record["split"]) for record in records]
    assert logged == [(1, "train"), (2, "train"), (2, "val"), (3, "train"), (3, "val")]
    assert title.endswith("/run2")
    assert title in (resumed.folder / "results.svg").read_text()
    assert (resumed.folder / "precision_recall.svg").is_file()
    with Image.open(resumed.folder / "results.png") as curves:
        assert curves.size == (1760, 528)
    with Image.open(resumed.folder / "val_batch.jpg") as sheet:
        assert sheet.width > 3 * SIDE


def test_a_run_without_plots_draws_none(tiny):
    done = tiny("crf=true", "model=fcn32s")  # plots=false, as all runs of the tests
    assert done.code == 0, done.err
    assert "results.png" not in done.out
    assert not [path for path in done.folder.iterdir() if path.suffix in (".png", ".jpg")]
    assert (done.folder / "images.zip").is_file()  # which a report shows
