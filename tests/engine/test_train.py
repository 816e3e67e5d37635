"""The loop on a network of one convolution and images of eight pixels' side."""

import json
import math
import os
import signal
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from segtrain import optim, schedules
from segtrain.contracts import IGNORE_INDEX, EvaluationStopped, Sample
from segtrain.distributed.signals import Stopped, StopSignals
from segtrain.engine import checkpoint, train
from segtrain.engine.device import Compute
from segtrain.engine.loader import Augmented
from segtrain.engine.state import TrainSettings, TrainState, freeze_norms
from segtrain.engine.train import fit
from segtrain.errors import DivergedError, NotFinite
from segtrain.loggers.jsonl import JSONL
from segtrain.loggers.run_log import RunLog
from segtrain.loggers.tensorboard import TensorBoard
from segtrain.losses.composite import CompositeLoss
from segtrain.losses.cross_entropy import CrossEntropy

CPU = torch.device("cpu")


class Blocks(torch.utils.data.Dataset):
    """Bright squares on dark ground; the ignored share grows with the index."""

    def __len__(self):
        return 10

    def __getitem__(self, index):
        rng = np.random.default_rng(index)
        mask = (rng.random((8, 8)) > 0.5).astype(np.uint8)
        image = np.repeat(mask[..., None] * 200, 3, 2) + rng.integers(0, 50, (8, 8, 3), np.uint8)
        mask[: index % 8] = IGNORE_INDEX
        return Sample(image.astype(np.uint8), mask, str(index))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = nn.Conv2d(3, 4, 3, padding=1)
        self.dropout = nn.Dropout(0.5)
        self.score = nn.Conv2d(4, 2, 1)

    def forward(self, images):
        return {"out": self.score(self.dropout(torch.relu(self.backbone(images / 255))))}


def make_run(*, device=CPU, **changes) -> TrainState:
    values = {
        "seed": 0,
        "max_steps": 12,
        "batch_size": 2,
        "accumulate": 1,
        "clip_norm": 0.0,
        "ema": 0.0,
        "freeze": [],
        "freeze_norm": False,
        "val_every": 100,
        "checkpoint_every": 100,
        "log_every": 1,
        "num_workers": 0,
    }
    lr = changes.pop("lr", 0.1)
    torch.manual_seed(0)
    net = Net().to(device)
    return TrainState(
        model=net,
        loss=CompositeLoss({"cross_entropy": CrossEntropy(weights={"out": 1.0})}),
        optimizer=optim.sgd(net, lr=lr),
        schedule=schedules.Poly(),
        compute=Compute(device, "32"),
        settings=TrainSettings(**values | changes),
        meta={"config": {}},
    )


def result(mean_iou: float | None):
    """As much of a validation's result as the training loop reads."""
    return SimpleNamespace(network=SimpleNamespace(mean_iou=mean_iou))


def do(run, folder, validate=lambda model, step: result(step / 100), stop=None):
    import albumentations

    dataset = Augmented(Blocks(), [albumentations.HorizontalFlip(p=0.5)], seed=run.settings.seed)
    with RunLog(folder, "train", loggers={"jsonl": JSONL(), "tensorboard": TensorBoard()}) as log:
        log.start({}, run.step)
        return fit(run, dataset, log, validate, stop or StopSignals())


def weights(run):
    return torch.cat([p.detach().flatten() for p in run.model.parameters()])


def logged(folder, key="loss"):
    lines = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return {line["step"]: line[key] for line in lines if line["split"] == "train"}


def test_the_loss_falls(tmp_path, device):
    do(make_run(device=device, max_steps=60), tmp_path)
    losses_by_step = logged(tmp_path)
    assert losses_by_step[60] < 0.8 * losses_by_step[1]


def test_a_seed_gives_the_same_weights_twice(tmp_path, repeatable):
    one, other = make_run(device=repeatable), make_run(device=repeatable)
    do(one, tmp_path / "a")
    do(other, tmp_path / "b")
    assert torch.equal(weights(one), weights(other))


@pytest.mark.parametrize("frozen", [True, False])
def test_frozen_batch_norm_keeps_statistics_scale_and_shift(tmp_path, device, frozen):
    run = make_run(device=device, max_steps=2, freeze_norm=frozen)
    run.model.backbone = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4)).to(device)
    norm = run.model.backbone[1]
    if frozen:
        freeze_norms(run.model)
    run.optimizer = optim.sgd(run.model, lr=0.1)
    before = {name: value.clone() for name, value in norm.state_dict().items()}
    do(run, tmp_path)
    kept = {name: torch.equal(value, before[name]) for name, value in norm.state_dict().items()}
    assert set(kept.values()) == {frozen}


@pytest.mark.parametrize("settings", [{}, {"accumulate": 2, "ema": 0.9}])
def test_resume_at_any_step_gives_the_weights_of_the_unbroken_run(tmp_path, repeatable, settings):
    whole = make_run(device=repeatable, checkpoint_every=1, max_steps=6, **settings)
    steps = {}

    def keep(saved, path, *, previous=None):
        steps.setdefault(
            saved.meta["step"],
            checkpoint.Checkpoint({k: v.clone() for k, v in saved.tensors.items()}, dict(saved.meta)),
        )

    original, train.checkpoint.save = train.checkpoint.save, keep
    try:
        do(whole, tmp_path / "whole")
        for step in range(1, 6):
            resumed = make_run(device=repeatable, max_steps=6, **settings)
            resumed.restore(steps[step])
            do(resumed, tmp_path / f"from{step}")
            assert torch.equal(weights(resumed), weights(whole)), step
            assert logged(tmp_path / f"from{step}") == {
                k: v for k, v in logged(tmp_path / "whole").items() if k > step
            }
    finally:
        train.checkpoint.save = original


def test_accumulated_batches_have_the_gradient_of_a_large_one_though_ignored_ones_are_uneven(
    tmp_path, device
):
    runs = [
        make_run(device=device, batch_size=4 // accumulate, accumulate=accumulate, max_steps=1)
        for accumulate in (1, 2)
    ]
    for i, run in enumerate(runs):
        run.model.dropout.p = 0.0
        do(run, tmp_path / str(i))
    assert torch.allclose(weights(runs[0]), weights(runs[1]), rtol=1e-5, atol=1e-7)


def test_the_gradient_is_clipped_to_its_largest_norm(tmp_path, device):
    clipped = make_run(device=device, clip_norm=1e-3, max_steps=1, lr=1.0)
    before = weights(clipped).clone()
    do(clipped, tmp_path)
    assert (weights(clipped) - before).norm().item() == pytest.approx(1e-3, rel=1e-3)


def test_the_running_average_is_what_is_validated_and_stored(tmp_path, device):
    seen = []
    run = make_run(device=device, ema=0.9)
    do(run, tmp_path, lambda model, step: seen.append(model) or result(0.5))
    assert seen[0] is run.averaged.module
    saved = checkpoint.load(tmp_path / "checkpoints/best.ckpt")
    assert torch.equal(saved.weights()["score.weight"].to(device), run.averaged.module.score.weight)
    assert not torch.equal(saved.weights()["score.weight"].to(device), run.model.score.weight)


def test_the_best_validation_is_kept_and_a_worse_one_is_not(tmp_path, device):
    scores = {2: 0.3, 4: 0.6, 6: 0.5}
    do(make_run(device=device, max_steps=6, val_every=2), tmp_path, lambda _, step: result(scores[step]))
    assert checkpoint.load(tmp_path / "checkpoints/best.ckpt").meta["step"] == 4
    assert checkpoint.load(tmp_path / "checkpoints/last.ckpt").meta["step"] == 6


def test_the_crf_makes_no_network_the_best(tmp_path, device):
    after_crf = SimpleNamespace(mean_iou=0.7)
    results = {2: result(0.6), 4: SimpleNamespace(network=result(0.5).network, crf=after_crf)}
    do(make_run(device=device, max_steps=4, val_every=2), tmp_path, lambda _, step: results[step])
    assert checkpoint.load(tmp_path / "checkpoints/best.ckpt").meta["step"] == 2


def test_a_loss_that_is_not_finite_stops_the_run_and_touches_no_checkpoint(tmp_path, device):
    run = make_run(device=device, max_steps=8, checkpoint_every=2, log_every=100)
    loss = run.loss.forward

    def spoiled(outputs, masks):
        return loss(outputs, masks) * (math.nan if run.step == 4 else 1)

    run.loss.forward = spoiled
    with pytest.raises(DivergedError, match=r"the loss is nan at step 5 \(learning rate"):
        do(run, tmp_path)
    assert checkpoint.load(tmp_path / "checkpoints/last.ckpt").meta["step"] == 4


def test_a_network_that_is_not_finite_is_never_saved(tmp_path, device):
    run = make_run(device=device, max_steps=6, checkpoint_every=3)
    step = run.optimizer.step

    def spoiling_step(*arguments):
        step(*arguments)
        if run.step == 5:
            run.model.score.bias.data[0] = math.inf

    run.optimizer.step = spoiling_step
    with pytest.raises(DivergedError, match=r"score\.bias is not finite after step 6"):
        do(run, tmp_path, lambda *_: result(0.0))
    assert checkpoint.load(tmp_path / "checkpoints/last.ckpt").meta["step"] == 3


def test_a_validation_whose_logits_are_not_finite_ends_a_diverged_training(tmp_path, device):
    def validate(model, step):
        raise NotFinite("a.png: the logits are not finite", do="use precision=32")

    run = make_run(device=device, max_steps=4, val_every=2)
    with pytest.raises(DivergedError, match=r"^validation after step 2: a.png: the .*; lower"):
        do(run, tmp_path, validate)


def test_the_records_of_a_folder_go_on_without_a_double_or_a_gap(tmp_path, device):
    do(make_run(device=device, max_steps=7, log_every=3, checkpoint_every=4, val_every=2), tmp_path / "a")
    run = make_run(device=device, max_steps=7, log_every=3, checkpoint_every=4, val_every=2)
    run.restore(checkpoint.load(tmp_path / "a/checkpoints/previous.ckpt"))
    assert (run.step, len(run.losses)) == (4, 1)
    before = (tmp_path / "a/metrics.jsonl").read_text()
    with open(tmp_path / "a/metrics.jsonl", "a") as file:
        file.write('{"step": 9, "spl')  # a kill in the middle of a line
    import albumentations

    dataset = Augmented(Blocks(), [albumentations.HorizontalFlip(p=0.5)], seed=0)
    loggers = {"jsonl": JSONL(), "tensorboard": TensorBoard()}
    with RunLog(tmp_path / "a", "train", loggers=loggers) as log:
        log.start({}, run.step)
        fit(run, dataset, log, lambda model, step: result(step / 100), StopSignals())

    def untimed(text):
        return [(v["step"], v["split"], v["loss"], v["lr"]) for v in map(json.loads, text.splitlines())]

    assert untimed((tmp_path / "a/metrics.jsonl").read_text()) == untimed(before)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGUSR1, 143), (signal.SIGINT, 130)]
)
def test_a_signal_saves_at_the_next_step_and_leaves(tmp_path, device, number, code):
    run = make_run(device=device, max_steps=50)
    forward = run.loss.forward

    def forward_and_signal(outputs, masks):
        if run.step == 6:
            os.kill(os.getpid(), number)
        return forward(outputs, masks)

    run.loss.forward = forward_and_signal
    before = signal.getsignal(number)
    with pytest.raises(Stopped, match="step 7") as stop:
        do(run, tmp_path)
    assert stop.value.exit_code == code
    assert checkpoint.load(tmp_path / "checkpoints/last.ckpt").meta["step"] == 7
    assert signal.getsignal(number) is before


def test_a_validation_that_a_signal_breaks_off_is_made_after_the_resume(tmp_path, device):
    stop = StopSignals()

    def break_off(model, step):
        stop.requested, stop.number = True, signal.SIGTERM
        raise EvaluationStopped

    with pytest.raises(Stopped, match="at step 3"):
        do(make_run(device=device, max_steps=6, val_every=3), tmp_path, break_off, stop)
    resumed, validated = make_run(device=device, max_steps=6, val_every=3), []
    resumed.restore(checkpoint.load(tmp_path / "checkpoints/last.ckpt"))
    do(resumed, tmp_path, lambda _, step: validated.append(step) or result(0.5))
    assert validated == [3, 6]
    assert checkpoint.load(tmp_path / "checkpoints/best.ckpt").meta["step"] == 3


def test_rates_follow_the_schedule_in_every_group(tmp_path, device):
    run = make_run(device=device, max_steps=4)
    do(run, tmp_path)
    import json

    rates = [json.loads(line)["lr"] for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert rates == pytest.approx([0.1 * (1 - s / 4) ** 0.9 for s in range(4)])
    assert all(a > b for a, b in pairwise(rates))


def test_the_seconds_of_a_step_are_the_median_of_what_was_logged(tmp_path):
    run = make_run(max_steps=6, log_every=1)
    assert run.seconds_per_step is None
    do(run, tmp_path)
    seconds = logged(tmp_path, "seconds_per_step")
    assert len(seconds) == 6
    assert run.seconds_per_step == np.median(list(seconds.values()))
