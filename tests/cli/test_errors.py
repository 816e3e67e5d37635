"""Every mistake of a user is one line with what, where and what to do, and exit code 2."""

import errno
import io
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from hydra.errors import HydraException
from PIL import Image

from segtrain.cli import entry
from segtrain.config.wording import explain
from segtrain.errors import InputError
from tests.conftest import FAST, TINY


def refused(outcome, *words):
    assert outcome.code == 2, outcome.err
    lines = [line for line in outcome.err.splitlines() if line.startswith(("segtrain:", "segeval:"))]
    assert len(lines) == 1
    assert "Traceback" not in outcome.err + outcome.out
    for word in words:
        assert word in lines[0], lines[0]


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("model=fcn9s", ["model=fcn9s", "did you mean model=fcn", "fcn32s"]),
        ("model/backbone=vgg17", ["model/backbone=vgg17", "vgg16"]),
        ("data=vok", ["data=vok", "did you mean data=voc?"]),
        ("experiment=nothing", ["experiment=nothing"]),
        ("batch_sise=4", ["batch_sise", "did you mean batch_size?"]),
        ("optimizer.lrr=1", ["optimizer.lrr", "did you mean optimizer.lr?"]),
        ("+model.strid=8", ["model.strid", "did you mean model.stride?"]),
        ("modle=fcn8s", ["modle", "did you mean model?"]),
        ("crf=maybe", ["crf=maybe", "true or false"]),
        ("crf=3", ["crf=3", "true or false"]),
        ("batch_size=0", ["batch_size=0", "at least 1"]),
        ("max_steps=many", ["max_steps=many", "an integer"]),
        ("optimizer.lr=fast", ["optimizer.lr=fast", "a number"]),
        ("model.backbone.layout=caffe", ["model.backbone.layout"]),
        ("model.backbone=resnet50", ["model.backbone=resnet50; choose it: model/backbone=resnet50"]),
        ("precision=8", ["precision=8", "bf16"]),
        ("device=cuda:7", ["device=cuda:7", "torch sees"]),
        ("device=gpu", ["device=gpu", "give auto, cpu"]),
        ("precision=16", ["precision=16", "needs a GPU"]),
        ("ema=1.5", ["ema=1.5"]),
        ("data.num_classes=3", ["data.num_classes=3", "7 classes"]),
        ("in_channels=53", ["in_channels must be 3", "or 1, got 53"]),
        ("loss.cross_entropy.normalize=never", ["loss.cross_entropy.normalize=never", "pixels or images"]),
        ("loss.normalize=sum", ["loss.normalize", "did you mean loss.cross_entropy.normalize?"]),
        ("model.backbone.pretrained=no_such_file.pth", ["no_such_file.pth"]),
        ("init_from=nowhere.ckpt", ["nowhere.ckpt"]),
        ("resume=nowhere.ckpt", ["nowhere.ckpt"]),
        ("seed=1=2", ["seed=1=2"]),
        ("init_from=", ["init_from= is empty; is a variable of the shell not set?"]),
        ("model.backbone.pretrained=''", ["model.backbone.pretrained= is empty"]),
        ("replay=", ["replay= is empty"]),
        ("data.class_names=[a[1],b]", ["quote what is unusual in it"]),
        ("dense_crf.iterations=ten", ["dense_crf.iterations=ten", "an integer"]),
        ("dense_crf.bilateral.srgb=0", ["dense_crf.bilateral.srgb must be a finite number above 0"]),
    ],
)
def test_a_wrong_argument_is_named_with_what_would_be_right(run, argument, words):
    crf = "crf=true" if argument.startswith("dense_crf") else "crf=false"
    refused(run("segtrain", *TINY, *FAST, crf, argument), *words)


VOC = ["data=voc", "model.backbone.width=0.0625", *FAST]


def make_voc(folder, mask):
    for name in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (folder / name).mkdir(parents=True)
    for split in ("train", "val"):
        (folder / f"ImageSets/Segmentation/{split}.txt").write_text("one\n")
    Image.new("RGB", (40, 36)).save(folder / "JPEGImages/one.jpg")
    Image.fromarray(mask).save(folder / "SegmentationClass/one.png")
    return f"data.root={folder}"


def test_a_missing_data_folder(run, tmp_path):
    refused(run("segtrain", *VOC, "data.root=nowhere"), "data.root=nowhere", "nowhere/VOCdevkit/VOC2012")


def test_a_image_without_a_mask(run, tmp_path):
    root = make_voc(tmp_path / "voc", np.zeros((36, 40), np.uint8))
    (tmp_path / "voc/SegmentationClass/one.png").unlink()
    refused(run("segtrain", *VOC, root), "SegmentationClass/one.png: no such file")


def test_a_mask_of_another_size(run, tmp_path):
    root = make_voc(tmp_path / "voc", np.zeros((10, 10), np.uint8))
    refused(run("segtrain", *VOC, root), "one.png: the mask is 10×10", "40×36")


@pytest.mark.parametrize("workers", [0, 1])
def test_a_label_outside_the_classes(run, tmp_path, workers):
    mask = np.zeros((36, 40), np.uint8)
    mask[3, 5] = 37
    root = make_voc(tmp_path / "voc", mask)
    refused(run("segtrain", *VOC, root, f"num_workers={workers}"), "one.png", "label 37")


def test_an_evaluation_without_a_checkpoint(run):
    refused(run("segeval"), "ckpt= is missing", "add ckpt=")


def test_a_checkpoint_that_is_not_one(run, tmp_path):
    (tmp_path / "notes.ckpt").write_text("not a checkpoint")
    refused(run("segeval", f"ckpt={tmp_path}/notes.ckpt"), "notes.ckpt: not a checkpoint")
    refused(run("segeval", f"ckpt={tmp_path}"), "a folder without checkpoints/best.ckpt")


def test_a_checkpoint_that_is_missing_is_named_whichever_key_it_is_of(run):
    keys = [("segeval", "ckpt"), ("segtrain", "resume"), ("segtrain", "init_from"), ("segtrain", "replay")]
    for command, key in keys:
        refused(run(command, f"{key}=nothing.ckpt"), f"{command}: nothing.ckpt: no such file; give the path")


LONG = "x" * 300


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("segeval", [f"ckpt={LONG}"]),
        ("segtrain", [*TINY, f"init_from={LONG}"]),
        ("segdata", ["data=folder", f"data.label_map={LONG}"]),
        ("segreport", [f"runs={LONG}"]),
        ("segimport", ["format=torchvision", "model=fcn_resnet50", f"weights={LONG}"]),
    ],
)
def test_a_path_that_is_too_long_is_said(run, command, arguments):
    done = run(command, *arguments)
    assert done.code == 2
    assert "File name too long" in done.err + done.out
    assert "Traceback" not in done.err + done.out


def test_help_is_shown_where_the_terminal_knows_ascii_only(monkeypatch):
    out = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(out, encoding="ascii"))
    monkeypatch.setattr("sys.argv", ["segtrain", "--help"])
    entry.segtrain()
    assert b"batch_size ? accumulate" in b" ".join(out.getvalue().split())


def test_a_misspelt_key_of_an_evaluation(run, tiny):
    trained = tiny()
    refused(run("segeval", f"ckpt={trained.folder}", "data.val_imagse=2"), "did you mean data.val_images?")
    refused(run("segeval", f"ckpt={trained.folder}", "crf=perhaps"), "crf=perhaps")
    refused(run("segeval", "chpt=x"), "did you mean ckpt?")


def test_a_crf_that_is_not_installed_is_said_before_the_training(tiny, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "pydensecrf", None)
    done = tiny("crf=true", "dense_crf.backend=pydensecrf")
    refused(done, "pydensecrf", "make install EXTRAS=pydensecrf")
    assert not (done.folder / "checkpoints").exists()


def test_a_stopped_sweep_stops_all_its_runs(run, monkeypatch):
    from segtrain.distributed.signals import StopSignals

    def enter(stop):
        stop.requested, stop.number = True, 15

    monkeypatch.setattr(StopSignals, "__enter__", enter)
    monkeypatch.setattr(StopSignals, "__exit__", lambda *_: None)
    done = run("segtrain", "-m", "seed=0,1", *TINY, *FAST)
    assert done.code == 143
    assert "stopped by SIGTERM at step 0" in done.err
    assert not (done.folder / "1").exists()


@pytest.mark.parametrize("where", ["file", "file/below", "/proc/none"])
def test_a_folder_that_cannot_be_made_is_said(run, tmp_path, monkeypatch, where):
    (tmp_path / "file").touch()
    command = entry.run_command

    def into(kind, arguments):
        command(kind, [*arguments[:-1], f"hydra.run.dir={where}"])

    monkeypatch.setattr(entry, "run_command", into)
    done = run("segtrain", *TINY, *FAST)
    assert done.code == 4
    assert "cannot be written" in done.err
    assert done.err.count("\n") == 1


def test_a_training_whose_output_nobody_reads_goes_on(tmp_path):
    arguments = " ".join([*TINY, *FAST, "max_steps=40", "log_every=1", f"hydra.run.dir={tmp_path}/run"])
    piped = f"{sys.executable} -m segtrain {arguments} | head -1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", piped], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run/checkpoints/last.ckpt").is_file()


@pytest.mark.parametrize(
    ("words", "codes"), [("--version >/dev/full", [4]), ("--help | true", [0, 141]), ("--help >&-", [0])]
)
def test_an_output_that_is_full_or_goes_away_is_no_traceback(words, codes):
    line = f"{sys.executable} -m segtrain {words}; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True)
    assert done.returncode in codes
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


@pytest.mark.parametrize("output", ["file", "file/below", "/proc/none"])
def test_predictions_and_exports_that_cannot_be_there(tiny, run, tmp_path, output):
    trained = tiny().folder
    (tmp_path / "file").write_text("x")
    Image.new("RGB", (32, 32)).save(tmp_path / "a.png")
    commands = [["segpredict", f"ckpt={trained}", f"input={tmp_path}/a.png", f"output={output}"]]
    if output != "file":  # which is replaced
        out = f"out={output}/m.safetensors"
        commands += [["segexport", f"ckpt={trained}", "format=safetensors", out]]
    for command in commands:
        ours = command[0] == "segpredict"
        done = run(*command, *([f"hydra.run.dir={output}"] if ours else []))
        assert done.code == 4, done.err
        assert "cannot be written" in done.err or "could not be written" in done.err
    assert (tmp_path / "file").read_text() == "x"


def test_square_brackets_are_shown_as_they_are(run, tmp_path):
    names = "data.class_names=[bg,'[bold]','[/x]']"
    for below in ("images", "masks"):
        (tmp_path / "d" / below).mkdir(parents=True)
        for i in range(3):
            mode = "RGB" if below == "images" else "L"
            Image.new(mode, (32, 32)).save(tmp_path / "d" / below / f"{i}.png")
    done = run(
        "segdata", "data=folder", f"data.root={tmp_path}/d", "data.num_classes=3", names, "action=stats"
    )
    assert done.code == 0, done.err
    assert "[bold]" in done.out
    assert "[/x]" in done.out


def test_a_sweep_on_a_full_disk_fails(run, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "metrics.json")

    monkeypatch.setattr("segtrain.cli.runner.write_metrics", full)
    done = run("segtrain", "-m", "seed=0,1", *TINY, *FAST)
    assert done.code == 4
    assert "Traceback" not in done.err + done.out
    assert "metrics.json: could not be written" in done.err


def test_a_network_that_diverges_leaves_with_3(tiny):
    done = tiny("optimizer=sgd", "optimizer.lr=1e30", "clip_norm=0", "max_steps=8", "log_every=1")
    assert done.code == 3
    assert "the loss is" in done.err
    assert "lower optimizer.lr" in done.err
    assert "images train_" in done.err
    assert (done.folder / "diverged.ckpt").is_file()


def test_a_replay_names_the_layer_that_was_first_not_finite(tiny, run):
    from segtrain.engine import checkpoint

    done = tiny("optimizer=sgd", "optimizer.lr=1e30", "clip_norm=0", "max_steps=8", "model=unet")
    kept = checkpoint.load(done.folder / "diverged.ckpt")
    again = run("segtrain", f"replay={done.folder}/diverged.ckpt", "device=cpu")
    assert again.code == 0, again.err
    assert f"step {kept.meta['at']['step']}, learning rate" in again.out
    assert "first not finite: the output of" in again.out or "were not finite before this step" in again.out
    assert not again.folder.exists()
    refused(run("segtrain", f"replay={tiny().folder}/checkpoints/best.ckpt"), "replay=", "diverged.ckpt")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["model=deeplabv3", "batch_size=1"], ["batch_size=1", "set batch_size=2"]),
        (["model=unet", "model.num_classes=5"], ["model.num_classes=5", "the data have 7 classes"]),
        (["loss=aux"], ["weights.aux", "the model gives out"]),
        (["schedule.power=steep"], ["schedule.power=steep", "a number"]),
        (["optimizer.betas=[0.9]"], ["optimizer.betas=[0.9]", "[a number, a number]"]),
        (["optimizer.lr=-1"], ["optimizer", "lr=-1"]),
        (["+batchsize=4"], ["batchsize", "did you mean batch_size?"]),
    ],
)
def test_what_the_first_step_would_fail_at_is_said_before_it(run, arguments, words):
    refused(run("segtrain", *TINY, *FAST, *arguments), *words)


def test_a_checkpoint_that_cannot_be_written_leaves_with_4(run, monkeypatch):
    from segtrain.engine import checkpoint

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "save_file", full)
    done = run("segtrain", *TINY, *FAST)
    assert done.code == 4
    assert "No space left on device" in done.err


def test_an_operation_without_a_fixed_order_is_refused_by_its_name():
    from segtrain.commands.determinism import refusing_by_name

    maxima = torch.ones(1, 1, 1, 1)
    torch.use_deterministic_algorithms(True)
    try:
        refusal = pytest.raises(InputError, match="deterministic=true: torch's max_unpooling2d")
        with refusal, refusing_by_name({"device": "cpu"}):
            torch.nn.functional.max_unpool2d(maxima, torch.zeros_like(maxima, dtype=torch.int64), 2)
    finally:
        torch.use_deterministic_algorithms(False)


def test_a_run_says_what_another_run_would_share(tiny):
    from segtrain.commands.determinism import repeatability

    assert "repeatable on such a machine" in tiny("max_steps=1").out
    assert "deterministic: the same weights" in repeatability(torch.device("cuda"), True)
    assert "not deterministic: " in repeatability(torch.device("cuda"), False)


@pytest.mark.parametrize("group", ["model", "data", "optimizer", "schedule", "inference"])
def test_a_group_whose_target_was_taken_away_is_named(run, group):
    refused(
        run("segtrain", f"~{group}._target_", *TINY, *FAST), f"{group}._target_ is missing; choose an option"
    )


def test_a_loss_without_a_term_is_named(run):
    refused(
        run("segtrain", "~loss.cross_entropy", *TINY, *FAST),
        "loss has no term; choose one: loss=cross_entropy",
    )


def test_a_launcher_or_sweeper_that_is_not_installed_says_what_installs_it():
    said = str(explain(HydraException("Could not find 'hydra/launcher/joblib'"), "train"))
    assert "hydra/launcher=joblib: its plugin is not installed; do: make install EXTRAS=sweep" in said
    said = str(explain(HydraException("Could not find 'hydra/sweeper/optima'"), "train"))
    assert "did you mean hydra/sweeper=optuna? there are basic, optuna" in said
