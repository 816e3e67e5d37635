"""What a finished run holds is not changed by a command that is refused, or that is another one's."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from tests.conftest import FAST, TINY


def content(folder):
    """The bytes of a run's files but for its log."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".log")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.mark.parametrize(
    ("command", "arguments", "says"),
    [
        ("segtrain", [*TINY, *FAST], "holds another run"),
        ("segtrain", [*TINY, *FAST, "batch_size=0"], "batch_size=0; give at least 1"),
        ("segtrain", [*TINY, *FAST, "resume=auto", "max_steps=3", "seed=5"], "seed was 0, is 5"),
        ("segeval", ["ckpt=RUN"], "holds a training, whose config.yaml and metrics.json would be replaced"),
        ("segdata", ["data=shapes"], "holds a training"),
        ("segpredict", ["ckpt=RUN", "input=a.png", "output=RUN"], "holds a training"),
    ],
)
def test_a_refused_command_leaves_a_finished_run_as_it_is(run, tiny, tmp_path, command, arguments, says):
    done = tiny()
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(tmp_path / "a.png")
    before = content(done.folder)
    given = [argument.replace("RUN", str(done.folder)) for argument in arguments]
    refused = run(command, *given, f"hydra.run.dir={done.folder}")
    assert refused.code == 2
    assert says in refused.err
    assert content(done.folder) == before


def test_runs_of_a_sweep_that_would_share_a_folder_keep_the_first_ones_result(run):
    done = run("segtrain", "-m", "seed=0,1", "hydra.sweep.subdir=same", *TINY, *FAST)
    assert done.code == 2
    assert json.loads((done.folder / "same/metrics.json").read_text())["mean_iou"] is not None
    with (done.folder / "comparison.csv").open() as file:
        first, second = csv.DictReader(file)
    assert (first["run"], second["run"]) == ("same", "1_refused")
    assert "holds another run" in second["error"]
