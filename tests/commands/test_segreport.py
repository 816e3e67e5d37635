"""`segreport`, and the page that a sweep and `compare=true` end with."""

import csv
import json

from segtrain.commands.cost import MultiplyAdds
from tests.conftest import FAST, TINY


def test_a_sweep_ends_with_a_page_whose_numbers_are_the_runs(run):
    done = run("segtrain", "-m", *TINY, *FAST, "model=fcn32s,segnet_basic", "log_every=1", "report=true")
    assert done.code == 0, done.err
    assert "report.html" in done.out
    html = (done.folder / "report.html").read_text()
    with open(done.folder / "report/runs.csv", newline="") as file:
        rows = {row["run"]: row for row in csv.DictReader(file)}
    assert {row["model"] for row in rows.values()} == {"fcn32s", "segnet_basic"}
    for name, row in rows.items():
        metrics = json.loads((done.folder / name / "metrics.json").read_text())
        assert f'data-value="{metrics["mean_iou"]}"' in html
        assert float(row["mean IoU %"]) == metrics["mean_iou"]
        assert int(row["multiply-adds"]) == metrics["cost"]["multiply_adds"] > 0
        assert 0 < float(row["latency, ms"]) < 10
        assert float(row["peak memory, GiB"]) > 2**20
        assert metrics["cost"]["size"] == [32, 32]
    assert "segtrain -m width=0.0625" in html
    again = run("segreport", f"runs={done.folder}", "title=Two models")
    assert again.code == 0, again.err
    assert "<h1>Two models</h1>" in (again.folder / "report.html").read_text()


def test_a_run_leaves_small_images_and_curves_of_precision(tiny):
    done = tiny("model=fcn32s", "plots=true")
    assert (done.folder / "images.zip").stat().st_size < 100_000
    assert (done.folder / "precision_recall.png").is_file()


def test_a_comparison_ends_with_a_page_of_both_checkpoints(tiny, run):
    a, b = (tiny("model=fcn32s", f"seed={seed}").folder for seed in (0, 1))
    same = ["num_workers=0", "device=cpu", "precision=32"]
    done = run("segeval", f"ckpt=[{a},{b}]", "compare=true", "report=true", *same)
    assert done.code == 0, done.err
    with open(done.folder / "report/runs.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["run"]: row["seed"] for row in rows} == {"A": "0", "B": "1"}
    assert "images kept" not in (done.folder / "report.html").read_text()


def test_what_is_no_run_is_refused_in_a_line(run, tmp_path):
    assert "add runs=PATH" in run("segreport").err
    (tmp_path / "empty").mkdir()
    for given, why in (("nowhere", "no such folder"), ("empty", "holds no run")):
        done = run("segreport", f"runs={given}")
        assert done.code == 2
        assert why in done.err
        assert not done.folder.exists()


def test_multiply_adds_are_counted_as_one():
    import torch
    from torch import nn
    from torch.nn.functional import scaled_dot_product_attention

    conv, grouped = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, groups=8)
    up, linear = nn.ConvTranspose2d(8, 4, 4, stride=2), nn.Linear(5, 7)
    with MultiplyAdds() as counter:
        conv(torch.zeros(1, 3, 10, 10))
    assert counter.total == 10 * 10 * 8 * 3 * 9
    with MultiplyAdds() as counter:
        grouped(torch.zeros(1, 8, 10, 10))
    assert counter.total == 8 * 8 * 8 * 9
    with MultiplyAdds() as counter:
        up(torch.zeros(1, 8, 5, 5))
    assert counter.total == 5 * 5 * 8 * 4 * 16
    with MultiplyAdds() as counter:
        linear(torch.zeros(3, 5)) @ torch.zeros(7, 2)
        scaled_dot_product_attention(torch.zeros(2, 4, 8), torch.zeros(2, 6, 8), torch.zeros(2, 6, 3))
    assert counter.total == 3 * 5 * 7 + 3 * 7 * 2 + 2 * 4 * 6 * 8 + 2 * 4 * 6 * 3
