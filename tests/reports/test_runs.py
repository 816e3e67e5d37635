"""Runs are read whatever is left of them."""

import json

import pytest

from segtrain.errors import InputError
from segtrain.reports.differences import find_differences
from segtrain.reports.runs import find_runs, read_run_folder, read_runs_of
from tests.reports.made_runs import make_run, make_sweep


def test_a_sweep_a_run_a_pattern_and_all_of_outputs_are_found(tmp_path):
    sweep = tmp_path / "multirun/date"
    for number in (0, 2, 10):
        make_run(sweep / str(number), "model=unet", images=1)
    names = [path.name for path in find_runs([str(sweep)])]
    assert names == ["0", "2", "10"]
    assert [path.name for path in find_runs([str(sweep / "2")])] == ["2"]
    assert [path.name for path in find_runs([f"{sweep}/*", str(sweep / "2")])] == ["0", "2", "10"]
    assert len(find_runs([str(tmp_path)])) == 3
    for wrong, why in (("nowhere", "no such folder"), ("empty", "holds no run")):
        (tmp_path / "empty").mkdir(exist_ok=True)
        with pytest.raises(InputError, match=why):
            find_runs([str(tmp_path / wrong)])


def test_a_run_that_failed_or_is_damaged_says_why(tmp_path):
    make_sweep(tmp_path)
    (tmp_path / "9").mkdir()
    runs = {run.name: run for run in read_runs_of(find_runs([str(tmp_path)]))}
    assert runs["6"].problem == "failed: the loss is nan at step 3; lower optimizer.lr"
    assert runs["7"].problem == "unfinished: no metrics.json, last logged step 40 of 100"
    assert runs["8"].problem == "metrics.json is damaged: line 1 is no JSON"
    assert runs["9"].problem == "the folder is empty"
    assert not runs["0"].problem


@pytest.mark.parametrize(
    ("name", "text", "note"),
    [
        ("config.yaml", "a: [", "config.yaml is damaged: line 1 is no YAML"),
        ("config.yaml", "- 1", "config.yaml is damaged: it must hold keys and values"),
        ("metrics.jsonl", "3\n{}\n", "metrics.jsonl: 2 lines are damaged and left out"),
    ],
)
def test_damage_beside_the_metrics_is_noted(tmp_path, name, text, note):
    make_run(tmp_path, "model=unet", images=1)
    (tmp_path / name).write_text(text)
    run = read_run_folder(tmp_path)
    assert run.notes == [note]
    assert run.metrics["mean_iou"] > 0


@pytest.mark.parametrize(
    "damage", [{"mean_iou": "x"}, {"per_class": [1]}, {"per_class": {"a": 1}}, {"cost": 3}, {"made_by": []}]
)
def test_metrics_of_another_shape_are_damage(tmp_path, damage):
    metrics = make_run(tmp_path, "model=unet", images=1)
    (tmp_path / "metrics.json").write_text(json.dumps(metrics | damage))
    assert read_run_folder(tmp_path).problem.startswith("metrics.json is damaged: ")


def test_an_evaluation_has_the_curves_and_the_overrides_of_its_training(tmp_path):
    make_run(tmp_path / "trained", "model=unet", images=1, seed=3)
    checkpoint = f"{tmp_path}/trained/checkpoints/best.ckpt"
    evaluated = {"mean_iou": 0.5, "overrides": [f"ckpt={checkpoint}", "crf=true"], "ckpt": checkpoint}
    (tmp_path / "A").mkdir()
    (tmp_path / "A/metrics.json").write_text(json.dumps(evaluated))
    run = read_run_folder(tmp_path / "A")
    assert run.overrides == {"model": "unet", "seed": "3", "crf": "true"}
    assert len(run.records("train")) == 10
    assert run.seed == "3"


def test_the_metrics_are_the_networks_beside_those_after_the_crf(tmp_path):
    metrics = make_run(tmp_path, "model=unet", crf=True)
    run = read_run_folder(tmp_path)
    assert run.metrics["mean_iou"] == metrics["without_crf"]["mean_iou"]
    assert run.metrics["mean_iou_crf"] == metrics["mean_iou"]


def test_seeds_are_one_model_and_what_varies_is_its_name(tmp_path):
    make_sweep(tmp_path)
    found = find_differences(read_runs_of(find_runs([str(tmp_path)])))
    assert found.keys == ["model"]
    assert [group.label for group in found.groups] == ["fcn8s", "fcn16s", "fcn32s"]
    assert [run.name for run in found.groups[0].runs] == ["4", "5"]
    assert found.labels["5"] == "fcn8s seed 1"


def test_runs_that_differ_in_their_configs_alone_are_two_models(tmp_path):
    for name, width in (("a", 1.0), ("b", 0.5)):
        make_run(tmp_path / name, "model=unet", images=1)
        config = tmp_path / name / "config.yaml"
        config.write_text(config.read_text().replace("1.0", str(width)))
    found = find_differences(read_runs_of(find_runs([str(tmp_path)])))
    assert found.keys == ["model.width"]
    assert {group.label for group in found.groups} == {"width=1.0", "width=0.5"}


def test_one_seed_twice_is_no_pair_of_seeds(tmp_path):
    for name in ("a", "b"):
        make_run(tmp_path / name, "model=unet", images=1)
    found = find_differences(read_runs_of(find_runs([str(tmp_path)])))
    assert [len(group.runs) for group in found.groups] == [1, 1]
