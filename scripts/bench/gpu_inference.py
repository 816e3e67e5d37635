"""Evaluation, prediction and the CRF on a GPU, and whether it computes what the CPU does."""

import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec

import torch
from gpu_setting import CLASSES, Setting, drawn, synchronise
from measure import random_batch, row
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import ConcatDataset, Subset

from segtrain import build_model
from segtrain.crf import BILATERAL, GAUSSIAN, dense_crf_labels
from segtrain.crf.on_device import DeviceCrf
from segtrain.crf.potentials import read_kernels
from segtrain.crf.torch_backend.backend import batch_marginals
from segtrain.evaluation.evaluate import EvaluationSettings, evaluate_split
from segtrain.evaluation.predictor import Predictor
from segtrain.inference import Whole

NAMES = tuple(map(str, range(CLASSES)))


def agreement(setting: Setting) -> None:
    """Of a network's float32 logits with the CPU's: the largest difference, and the share of equal labels."""
    model = build_model("deeplabv3plus", num_classes=CLASSES, width=setting.sizes.width).eval()
    torch.nn.init.normal_(model.score.weight)
    images, _ = random_batch(1, setting.sizes.side)
    with torch.inference_mode():
        on_cpu = model(images)["out"]
        there = model.to(setting.full.device)(images.to(setting.full.device))["out"].cpu()
    off = ((on_cpu - there).abs().max() / on_cpu.abs().max()).item()
    equal = (on_cpu.argmax(1) == there.argmax(1)).double().mean().item()
    row(
        "logits on the card, float32",
        "the CPU's",
        f"{off:.1e}",
        "≤ 1e-4",
        f"{100 * equal:.2f} % labels equal",
    )


def crf_rows(setting: Setting) -> None:
    """Ten iterations of mean field by torch's operations and by Triton's kernels, and by a CPU."""
    backends: dict[str, Callable[..., Tensor]] = {"torch": batch_marginals}
    if setting.fast.device.type == "cuda":
        from segtrain.crf.torch_backend.triton_backend import triton_marginals

        backends["triton"] = triton_marginals
    for batch, height, width, classes in setting.sizes.crf:
        images, softmax = _field(setting, batch, height, width, classes)
        kernels, results = read_kernels(GAUSSIAN, BILATERAL, 3, classes), {}
        for name, infer in backends.items():
            seconds = []
            for _ in range(6):  # the first ones compile and warm up
                synchronise(setting.fast)
                start = time.perf_counter()
                results[name] = infer(images, softmax, kernels, 10)
                synchronise(setting.fast)
                seconds.append(time.perf_counter() - start)
            took = 1e3 * sorted(seconds[2:])[len(seconds[2:]) // 2] / batch
            wanted = "≤ 2 ms an image" if height == 375 else "reported"
            off = (results[name] - results["torch"]).abs().max().item()
            what = f"CRF on {name}, {batch}×{height}×{width}, {classes} classes, 10 iterations"
            row(what, "", f"{took:.2f} ms an image", wanted, f"{off:.0e} from torch's marginals")
        if batch == 1:
            _on_the_cpu(images, softmax, results["torch"])


def _on_the_cpu(images: Tensor, softmax: Tensor, found: Tensor) -> None:
    image, probabilities = images[0].permute(1, 2, 0).cpu().numpy(), softmax[0].cpu().numpy()
    reference = "pydensecrf" if find_spec("pydensecrf") else "numba"
    dense_crf_labels(image[:8, :8], probabilities[:, :8, :8], backend=reference)  # compiles
    start = time.perf_counter()
    labels = dense_crf_labels(image, probabilities, backend=reference)
    took = 1e3 * (time.perf_counter() - start)
    equal = (labels == found[0].argmax(0).cpu().numpy()).mean()
    size = "×".join(map(str, (*image.shape[:2], len(probabilities))))
    row(
        f"CRF by {reference} on this CPU, {size}",
        "",
        f"{took:.0f} ms",
        "",
        f"{100 * equal:.2f} % labels equal",
    )


def _field(setting: Setting, batch: int, height: int, width: int, classes: int) -> tuple[Tensor, Tensor]:
    """Smooth images, uint8, as a photograph's regions are, and a softmax of regions."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(batch, 3, max(height // 24, 2), max(width // 24, 2), generator=generator) * 255
    noise = torch.randn(batch, 3, height, width, generator=generator) * 4
    images = F.interpolate(coarse, (height, width), mode="bilinear").add(noise).clamp(0, 255).to(torch.uint8)
    logits = torch.randn(batch, classes, 12, 16, generator=generator) * 3
    softmax = F.interpolate(logits, (height, width), mode="bilinear").softmax(1)
    return images.to(setting.fast.device), softmax.to(setting.fast.device)


def evaluation_rows(setting: Setting) -> None:
    """Evaluation of images of VOC's size with loader, confusion matrix and all, without and with the CRF."""
    sizes, compute = setting.sizes, setting.fast
    split = drawn(setting.folder / "val", sizes.voc, sizes.images)
    repeated = ConcatDataset([split] * -(-sizes.evaluated // len(split)))
    data = Subset(repeated, range(sizes.evaluated))
    model = build_model("deeplabv3_torchvision", num_classes=CLASSES, width=sizes.width).eval()
    predict = Predictor(model.to(compute.device, memory_format=torch.channels_last), Whole(), compute)
    backends = ["torch", "triton"] if compute.device.type == "cuda" else ["torch"]
    parameters = {"iterations": 10, "gaussian": GAUSSIAN, "bilateral": BILATERAL}
    arms = {"without CRF": None} | {f"CRF by {b}": DeviceCrf(**parameters, backend=b) for b in backends}
    for name, crf in arms.items():
        settings = EvaluationSettings(8, setting.workers)
        for part in (Subset(data, range(min(32, len(data)))), data):  # the first warms up
            result = evaluate_split(predict, part, NAMES, compute.device, settings, crf=crf)
        wanted = "reported" if crf is None else "≥ 100 images/s"
        size = "×".join(map(str, sizes.voc))
        details = f"{result.images} images, loader's start included"
        row(f"evaluation, DeepLab v3, {size}, {name}", "", f"{result.images / result.seconds:.0f} images/s",
            wanted, details)  # fmt: skip


def prediction_row(setting: Setting) -> None:
    """`segpredict` of a folder of JPEG: the seconds of many images less those of one."""
    sizes, folder = setting.sizes, setting.folder
    drawn(folder / "drawn", sizes.voc, sizes.images)
    files = sorted((folder / "drawn").glob("*.jpg"))
    for name, count in (("one", 1), ("many", 1 + sizes.evaluated)):
        (folder / name).mkdir()
        for i in range(count):
            (folder / name / f"{i:04}.jpg").write_bytes(files[i % len(files)].read_bytes())
    device = setting.fast.device.type
    model = [
        "model=deeplabv3",
        f"width={sizes.width}",
        "data.size=64",
        "data.train_images=4",
        "data.val_images=2",
    ]
    run = folder / "run"
    _command("segtrain", *model, "max_steps=1", "batch_size=2", "num_workers=0", f"device={device}",
             f"hydra.run.dir={run}")  # fmt: skip
    seconds = {}
    for name in ("one", "many"):
        start = time.perf_counter()
        _command("segtrain predict", f"ckpt={run}", f"input={folder / name}", f"device={device}",
                 f"output={folder / name}_out")  # fmt: skip
        seconds[name] = time.perf_counter() - start
    took = seconds["many"] - seconds["one"]
    rate = f"{sizes.evaluated / took:.0f} images/s" if took > 0 else "-"
    details = f"after {seconds['one']:.1f} s with the first"
    row(f"`segpredict`, {sizes.evaluated} JPEG of VOC's size", "", rate, "reported", details)


def _command(command: str, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *shlex.split(command), *arguments], capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
