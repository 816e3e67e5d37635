"""The table at the end of a sweep, at the widths of terminals."""

from pathlib import Path

import pytest

from segtrain.cli.sweep import print_runs
from segtrain.viz.tables import METRIC_LABELS

SAME = ["data=shapes", "max_steps=6", "hydra.sweep.dir=somewhere/below/this/folder"]


def a_run(number, score, *overrides, error=None):
    made = {"run": str(number), "overrides": [*SAME, *overrides], "error": error, "mean_iou_crf": None}
    made |= dict.fromkeys(METRIC_LABELS, score) | {"parameters": 134_000_000, "seconds_per_step": 0.12}
    return made | ({} if error is None else dict.fromkeys((*METRIC_LABELS, "parameters"), None))


@pytest.mark.parametrize("columns", [80, 100, 200])
def test_what_varies_and_the_mean_iou_fit_beside_a_failed_run(monkeypatch, capsys, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    varying = "model.backbone.pretrained"
    runs = [
        a_run(0, 0.7123, "optimizer.lr=0.001", f"{varying}=torchvision"),
        a_run(2, 0.5, "optimizer.lr=0.0001", f"{varying}=false"),
        a_run(1, None, "optimizer.lr=1e30", f"{varying}=false", error="the loss is nan at step 3"),
    ]
    print_runs(runs, Path("s"))
    text = capsys.readouterr().out
    assert all(len(line) <= columns for line in text.splitlines())
    above, _, rest = text.partition("the sweep, best first")
    assert "max_steps=6" in above
    assert "max_steps" not in rest
    table, _, below = rest.partition("run 1 failed")
    row = next(line.split() for line in table.splitlines() if "0.7" in line or "71.2" in line)
    assert row[:3] == ["0", "0.001", "torchvision"]
    assert "71.2" in row
    assert "1e30" not in table
    assert f"(optimizer.lr=1e30 {varying}=false): the loss is nan at step 3" in " ".join(below.split())
    for label in METRIC_LABELS.values():
        assert label in table or (columns < 200 and label != METRIC_LABELS["mean_iou"])
    assert ("more columns than fit" in rest) == (columns < 200)
