"""The commands as a user calls them, in this process; nothing is mocked."""

import csv
import json
from importlib.util import find_spec

import pytest
import yaml

from segtrain import load_model
from segtrain.config.compose import CONFIG_DIR
from segtrain.engine import checkpoint
from tests.conftest import FAST, TINY


def test_a_run_leaves_what_the_interface_names(tiny):
    done = tiny("crf=true", "log_every=1", "plots=true")
    assert done.code == 0, done.err
    names = {str(p.relative_to(done.folder)) for p in done.folder.rglob("*") if p.is_file()}
    assert {
        "config.yaml",
        "metrics.jsonl",
        "metrics.json",
        "train.log",
        "results.png",
        "val_batch.jpg",
    } <= names
    assert {"checkpoints/best.ckpt", "checkpoints/last.ckpt"} <= names
    assert any(name.startswith("events.out.tfevents") for name in names)
    metrics = json.loads((done.folder / "metrics.json").read_text())
    four = {"pixel_accuracy", "mean_accuracy", "mean_iou", "frequency_weighted_iou"}
    assert four | {"per_class", "images", "seconds", "without_crf"} <= metrics.keys()
    assert four | {"per_class"} <= metrics["without_crf"].keys()
    assert metrics["images"] == 3
    steps = [json.loads(line) for line in (done.folder / "metrics.jsonl").read_text().splitlines()]
    assert [(s["step"], s["split"]) for s in steps] == [(1, "train"), (2, "train"), (2, "val")]
    assert steps[-1]["mean_iou"] == pytest.approx(metrics["without_crf"]["mean_iou"])
    assert steps[-1]["mean_iou_crf"] == pytest.approx(metrics["mean_iou"])
    config = yaml.safe_load((done.folder / "config.yaml").read_text())
    assert config["model"]["num_classes"] == 7
    assert "segeval ckpt=" in done.out
    assert "tensorboard --logdir" in done.out


def test_without_its_files_tensorboard_is_not_proposed(tiny):
    done = tiny("logger=[jsonl]")
    assert "segeval ckpt=" in done.out
    assert "tensorboard" not in done.out


def test_tensorboard_gets_curves_images_the_matrix_and_hyperparameters(tiny):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    done = tiny("crf=true", "log_every=1", "plots=true")
    events = EventAccumulator(str(done.folder)).Reload()
    scalars = set(events.Tags()["scalars"])
    assert {"train/loss", "train/lr", "train/images_per_second", "train/waiting_for_data"} <= scalars
    assert {
        "val/pixel_accuracy",
        "val/mean_iou",
        "val/mean_accuracy",
        "val/frequency_weighted_iou",
    } <= scalars
    assert {"iou/background", "val/mean_iou_crf", "hparam/mean_iou"} <= scalars
    images = events.Tags()["images"]
    assert {"confusion_matrix", "val/0_val_00000"} <= set(images)
    row = events.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    for word in (b"fcn8s", b"vgg16", b"shapes", b"optimizer.lr", b"batch_size"):
        assert word in row


def test_a_checkpoint_is_evaluated_alone_and_with_the_crf(tiny, run):
    trained = tiny()
    before = json.loads((trained.folder / "metrics.json").read_text())
    done = run("segeval", f"ckpt={trained.folder}/checkpoints/best.ckpt", "crf=true", *EVAL)
    assert done.code == 0, done.err
    metrics = json.loads((done.folder / "metrics.json").read_text())
    assert metrics["without_crf"]["mean_iou"] == pytest.approx(before["mean_iou"])
    assert "with CRF" in done.out
    assert run("segeval", f"ckpt={trained.folder}", *EVAL).code == 0  # the folder will do too


def comparison(done):
    with open(done.folder / "comparison.csv") as file:
        return list(csv.DictReader(file))


EVAL = ["num_workers=0", "device=cpu", "precision=32"]


def test_the_data_of_an_evaluation_can_be_changed(tiny, run):
    trained = tiny()
    done = run("segeval", f"ckpt={trained.folder}", "data.val_images=2", *EVAL)
    assert json.loads((done.folder / "metrics.json").read_text())["images"] == 2
    other = run("segeval", f"ckpt={trained.folder}", "data=camvid", *EVAL)
    assert other.code == 2
    assert "predicts 7 classes, this data set has 11" in other.err


def test_the_crfs_parameters_can_be_changed(tiny, run):
    trained = tiny()
    done = run("segeval", f"ckpt={trained.folder}", "crf=true", "dense_crf.iterations=0", *EVAL)
    metrics = json.loads((done.folder / "metrics.json").read_text())
    assert metrics["mean_iou"] == pytest.approx(metrics["without_crf"]["mean_iou"])


@pytest.mark.parametrize("combine", ["mean", "product"])
def test_several_checkpoints_are_evaluated_as_one(tiny, run, combine):
    members = [tiny(f"seed={seed}", "model=fcn32s").folder for seed in (0, 1)]
    alone = json.loads((members[0] / "metrics.json").read_text())
    done = run("segeval", f"ckpt=[{members[0]},{members[1]}]", f"ensemble={combine}", *EVAL)
    assert done.code == 0, done.err
    metrics = json.loads((done.folder / "metrics.json").read_text())
    assert metrics["parameters"] == 2 * alone["parameters"]
    twice = run("segeval", f"ckpt=[{members[0]},{members[0]}]", f"ensemble={combine}", *EVAL)
    same = json.loads((twice.folder / "metrics.json").read_text())
    assert same["confusion_matrix"] == alone["confusion_matrix"]


def test_members_of_other_classes_are_refused(tiny, run):
    one, other = tiny().folder, tiny().folder
    saved = checkpoint.load(other / "checkpoints/best.ckpt")
    saved.meta["class_names"] = saved.meta["class_names"][::-1]
    checkpoint.save(saved, other / "checkpoints/best.ckpt")
    done = run("segeval", f"ckpt=[{one},{other}]", *EVAL)
    assert done.code == 2
    assert "its classes are not those of" in done.err


def test_an_evaluation_takes_the_models_own_inference_unless_said_otherwise(tiny, run):
    trained = tiny("inference=deconvnet", "inference.smallest=16", "inference.side=32")
    text = (run("segeval", f"ckpt={trained.folder}", *EVAL).folder / "config.yaml").read_text()
    assert "segtrain.inference.DeconvNetWindows" in text
    assert "smallest: 16" in text
    whole = run("segeval", f"ckpt={trained.folder}", "inference=whole", *EVAL)
    assert "segtrain.inference.Whole" in (whole.folder / "config.yaml").read_text()
    larger = run("segeval", f"ckpt={trained.folder}", "inference.side=64", *EVAL)
    assert "side: 64" in (larger.folder / "config.yaml").read_text()


def test_a_trained_model_is_loaded_with_its_classes_and_colours(tiny):
    model = load_model(tiny().folder)
    assert not model.training
    assert model.class_names[:2] == ("background", "disc")
    assert len(model.palette) == 7


def test_stages_start_from_one_another_and_say_what_is_new(tiny):
    first = tiny("model=fcn32s")
    second = tiny("model=fcn16s", f"init_from={first.folder}/checkpoints/best.ckpt")
    third = tiny("model=fcn8s", f"init_from={second.folder}")
    assert "loaded: backbone (30 tensors), score32 (2 tensors)" in second.out
    assert "new: score16.bias, score16.weight" in second.out
    assert "new: score8.bias, score8.weight" in third.out


def test_a_run_goes_on_where_it_was_stopped(tiny):
    same = ("schedule=constant", "log_every=1")
    whole = tiny("max_steps=4", *same)
    half = tiny("max_steps=2", *same)
    resumed = tiny("max_steps=4", *same, f"resume={half.folder}")
    assert "at step 2" in resumed.out
    metrics = [json.loads((r.folder / "metrics.json").read_text()) for r in (whole, resumed)]
    assert metrics[0]["confusion_matrix"] == metrics[1]["confusion_matrix"]
    with_loss = [(r.folder / "metrics.jsonl").read_text().splitlines()[-2] for r in (whole, resumed)]
    assert json.loads(with_loss[0])["loss"] == json.loads(with_loss[1])["loss"]


def test_a_damaged_last_checkpoint_gives_way_to_the_one_before(tiny):
    first = tiny("checkpoint_every=1")
    last = first.folder / "checkpoints" / "last.ckpt"
    last.write_bytes(last.read_bytes()[:-1])
    resumed = tiny("max_steps=3", f"resume={first.folder}")
    assert resumed.code == 0
    assert "at step 1" in resumed.out


def test_a_sweep_ends_with_its_runs_side_by_side(run):
    done = run("segtrain", "-m", "model=fcn32s,fcn16s,fcn8s", *TINY, *FAST)
    assert done.code == 0, done.err
    assert "the sweep, best first" in done.out
    rows = comparison(done)
    assert {row["overrides"].split()[0] for row in rows} == {"model=fcn32s", "model=fcn16s", "model=fcn8s"}
    scores = [float(row["mean_iou"]) for row in rows]
    assert scores == sorted(scores, reverse=True)
    assert all(int(row["parameters"]) > 0 and float(row["seconds_per_step"]) > 0 for row in rows)


def test_a_failed_run_is_a_row_with_its_reason_and_stops_no_other(run):
    done = run("segtrain", "-m", "optimizer.lr=0.01,wrong,0.02", *TINY, *FAST)
    assert done.code == 2
    rows = comparison(done)
    assert len(rows) == 3
    assert "optimizer.lr=wrong" in rows[-1]["error"]
    assert all(row["mean_iou"] for row in rows[:2])


@pytest.mark.parametrize("names", ["f*", pytest.param("*", marks=pytest.mark.slow)])
def test_a_sweep_goes_over_models_of_the_zoo(run, names):
    zoo = {path.stem for path in (CONFIG_DIR / "model").glob(f"{names}.yaml")}
    libraries = {"smp": "segmentation_models_pytorch", "transformers": "transformers"}  # extras
    absent = [name for name, module in libraries.items() if find_spec(module) is None]
    zoo -= set(absent)
    models = f"model=glob({names},exclude=[{','.join(absent)}])"
    done = run("segtrain", "-m", models, *TINY, *FAST, "max_steps=1", "logger=[]", "report=false")
    assert done.code == 0, done.err
    rows = comparison(done)
    assert {row["overrides"].split()[0].removeprefix("model=") for row in rows} == zoo
    assert all(row["mean_iou"] for row in rows)
