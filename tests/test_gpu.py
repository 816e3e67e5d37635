"""What only a GPU can show: the same numbers as on a CPU, no waiting in a step, and its own ways to fail."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from segtrain import build_model, optim
from segtrain.crf import dense_crf_labels
from segtrain.engine import checkpoint
from segtrain.engine.compilation import compile_network
from segtrain.engine.device import Compute
from segtrain.engine.state import TrainState
from segtrain.engine.step import train_step
from tests.cli.test_errors import refused
from tests.conftest import FAST, TINY
from tests.crf.conftest import network_softmax, photograph
from tests.engine.test_train import make_run
from tests.models.test_zoo import ZOO, small, with_scores

pytestmark = pytest.mark.gpu
STEPS = 5


@pytest.mark.parametrize("name", ZOO)
def test_a_networks_logits_are_the_cpus(gpu, name):
    model = with_scores(small(name)).eval()
    images = torch.randint(0, 256, (2, 3, 97, 65), dtype=torch.uint8)
    with torch.inference_mode():
        expected = model(images)["out"]
        model.to(gpu, memory_format=torch.channels_last)
        found = model(images.to(gpu))["out"].cpu()
    assert (found - expected).abs().max() <= 1e-4 * expected.abs().max()


def trained(device, precision: str) -> tuple[TrainState, list[tuple]]:
    state = make_run(clip_norm=1.0, ema=0.9, accumulate=2)
    torch.manual_seed(0)
    state.model = build_model("deeplabv3plus", num_classes=2, width=1 / 16)
    state.model.to(device, memory_format=torch.channels_last)
    state.compute, state.optimizer = Compute(device, precision), optim.sgd(state.model, lr=0.1)
    state.averaged = None
    state.__post_init__()
    images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    masks = (images[:, 0] > 127).to(torch.uint8)
    return state, [(images.pin_memory(), masks.pin_memory(), ["a", "b"])] * 2


@pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype")
@pytest.mark.parametrize("precision", ["32", "bf16", "16"])
def test_a_step_waits_for_nothing_but_the_loss(cuda, precision, tmp_path):
    state, batches = trained(cuda, precision)
    train_step(state, batches, tmp_path)  # the first chooses convolutions
    torch.cuda.set_sync_debug_mode("error")  # raises at what blocks: .item(), copies, sizes by values
    try:
        with torch.profiler.profile(acc_events=True) as seen:  # else torch 2.11 warns
            for state.step in range(1, STEPS):
                losses = train_step(state, batches, tmp_path)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    names = [event.key for event in seen.key_averages()]
    assert "cudaStreamSynchronize" not in names
    waits = [event.count for event in seen.key_averages() if event.key == "cudaEventSynchronize"]
    assert sum(waits) <= 2 * (STEPS - 1)  # the loss, this rank's and everybody's
    assert np.isfinite(losses).all()


@pytest.mark.parametrize("precision", ["bf16", "16"])
def test_half_precision_trains_and_goes_on_with_its_scale(tiny, gpu, precision):
    if gpu.type == "cpu" and precision == "16":
        pytest.skip("a CPU has no float16")
    keys = [f"device={gpu.type}", f"precision={precision}"]
    half = tiny(*keys, "max_steps=3", "checkpoint_every=3")
    assert half.code == 0, half.err
    last = checkpoint.load(half.folder / "checkpoints/last.ckpt").meta
    assert ("scale" in last["scaler"]) == (precision == "16")
    again = tiny(f"resume={half.folder}", *keys, "max_steps=5")
    assert again.code == 0, again.err


def test_a_deterministic_run_is_resumed_to_the_very_weights(tiny, gpu):
    keys = [f"device={gpu}", "deterministic=true", "model=fcn8s", "ema=0.9"]
    whole = tiny(*keys, "max_steps=4", "checkpoint_every=2")
    if whole.code == 2:  # torch may have no fixed order of an operation; then that is named
        refused(whole, "deterministic=true: torch's", "has no fixed order on device=cuda")
        pytest.skip(whole.err.splitlines()[-1])
    assert whole.code == 0, whole.err
    half = tiny(*keys, "max_steps=4", "checkpoint_every=2")
    again = tiny(*keys, "max_steps=4", f"resume={half.folder / 'checkpoints/previous.ckpt'}")
    assert again.code == 0, again.err
    first, second = (checkpoint.load(r.folder / "checkpoints/last.ckpt").tensors for r in (whole, again))
    assert all(torch.equal(value, second[name]) for name, value in first.items())


@pytest.mark.filterwarnings("ignore")  # the compiler's: that TF32 is off, what it does not serialise
def test_a_compiled_network_takes_images_of_any_size(gpu):
    model = with_scores(small("unet")).to(gpu).eval()
    compiled = small("unet").to(gpu).eval()
    compiled.load_state_dict(model.state_dict())
    said: list[str] = []
    compile_network(compiled, said.append)
    for size in ((64, 64), (65, 97), (33, 47)):  # each new kind is compiled anew
        images = torch.randint(0, 256, (2, 3, *size), dtype=torch.uint8, device=gpu)
        expected, found = model(images)["out"], compiled(images)["out"]
        found.square().mean().backward()
        assert (expected - found).abs().max() <= 1e-3 * expected.abs().max()
        assert size != (64, 64) or not said, said  # a later size may be one that torch fails at


def test_evaluation_prediction_and_export_of_a_network_from_the_gpu(run, tiny, gpu, tmp_path):
    trained = tiny(f"device={gpu.type}", "precision=auto", "compile=false")
    assert trained.code == 0, trained.err
    metrics = {}
    for device in (gpu.type, "cpu"):
        for crf in ("false", "true"):
            out = run("segeval", f"ckpt={trained.folder}", f"device={device}", "precision=32", f"crf={crf}")
            assert out.code == 0, out.err
            metrics[device, crf] = np.array(read_matrix(out.folder))
    for crf in ("false", "true"):
        moved = np.abs(metrics[gpu.type, crf] - metrics["cpu", crf]).sum() / 2
        assert moved <= 1e-3 * metrics["cpu", crf].sum(), crf
    out = run("segexport", f"ckpt={trained.folder}", "format=torch_export", f"out={tmp_path / 'model.pt2'}")
    assert out.code == 0, out.err


def read_matrix(folder):
    import json

    return json.loads((folder / "metrics.json").read_text())["confusion_matrix"]


@pytest.mark.parametrize("backend", ["torch", "triton"])
def test_the_crfs_labels_are_the_cpus(gpu, backend):
    if gpu.type == "cpu" and backend == "triton":
        pytest.skip("Triton's kernels need a GPU")
    image, softmax = photograph(120, 161), network_softmax(21, 120, 161)
    labels = {name: dense_crf_labels(image, softmax, backend=name) for name in ("numba", backend)}
    assert (labels["numba"] == labels[backend]).mean() >= 0.9999


def test_a_batch_that_the_memory_does_not_hold_is_one_line(tiny, cuda):
    torch.cuda.empty_cache()
    whole = torch.cuda.mem_get_info()[1]
    torch.cuda.set_per_process_memory_fraction(min(0.5, 2**30 / whole))
    try:
        sides = [
            f"augment.{k}=1024" for k in ("pad.min_height", "pad.min_width", "crop.height", "crop.width")
        ]
        out = tiny("device=cuda", "model=fcn8s", "width=0.5", "augment=crop", *sides, "batch_size=16")
        refused(out, "the GPU's memory is too small for batch_size=16 accumulate=1 augment.crop.height=1024")
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
        torch.cuda.empty_cache()


def test_two_processes_on_one_gpu_are_refused_in_words(cuda, tmp_path):
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--master-port=29571"]
    keys = [key for key in FAST if not key.startswith("device=")]
    done = subprocess.run(
        [*launcher, "-m", "segtrain", *TINY, *keys, "device=cuda:0", f"hydra.run.dir={tmp_path / 'run'}"],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        timeout=120,
    )
    assert done.returncode != 0
    assert "processes 0 and 1 have the same GPU" in done.stderr
    assert "NCCL" not in done.stderr.split("processes 0 and 1")[0]
