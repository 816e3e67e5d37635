"""Training on a GPU: our loop with its loader beside torchvision's and smp's, and steps of other networks."""

import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import segmentation_models_pytorch as smp
import torch
import torchvision
from gpu_setting import CLASSES, PEAK, Setting, drawn, synchronise
from measure import gmacs, our_step, random_batch, row, scale_crop, times
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from segtrain import build_model, schedules
from segtrain.engine.device import Compute
from segtrain.engine.loader import Augmented, TrainingStream, collate, training_batches
from segtrain.engine.state import TrainSettings, TrainState
from segtrain.engine.step import train_step
from segtrain.engine.transfer import to_device
from segtrain.losses.composite import CompositeLoss
from segtrain.losses.cross_entropy import CrossEntropy
from segtrain.optim import sgd

Step = Callable[[Any], object]  # takes what was fetched
# Side and batch at full size. FC-DenseNet trains on 224² (its section 4.1).
NETWORKS = {"pspnet101": (473, 16), "unet": (512, 16), "fcn8s": (512, 16), "fc_densenet103": (224, 16)}


class Measured(NamedTuple):
    """Of a loop: images a second, the share of time waiting for data, peak memory in GiB; and the seconds of
    its first step, which compiles what is compiled."""

    speed: float
    waiting: float
    memory: float
    first: float


def measured(step: Step, fetch: Callable[[], Any], images: int, compute: Compute, seconds: float) -> Measured:
    """Runs for so long, after one step and a tenth of that to warm up.

    Args:
        step: takes what `fetch` gave.
        images: of a step.
    """
    cuda, start = compute.device.type == "cuda", time.perf_counter()
    step(fetch())
    synchronise(compute)
    first = time.perf_counter() - start
    for limit in (seconds / 10, seconds):
        if cuda:
            torch.cuda.reset_peak_memory_stats()
        steps, waiting, start = 0, 0.0, time.perf_counter()
        while time.perf_counter() - start < limit or not steps:
            before = time.perf_counter()
            batch = fetch()
            waiting += time.perf_counter() - before
            step(batch)
            steps += 1
        synchronise(compute)
        whole = time.perf_counter() - start
    memory = torch.cuda.max_memory_allocated() / 2**30 if cuda else 0.0
    return Measured(steps * images / whole, waiting / whole, memory, first)


def utilisation(speed: float, gigamacs: float) -> str:
    """Of the card's dense bfloat16: 2 FLOP a multiply-add of every image."""
    name = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
    peak = next((flops for card, flops in PEAK.items() if card in name), None)
    return "-" if peak is None else f"{200e9 * gigamacs * speed / peak:.1f} %"


def ours(setting: Setting, data: Augmented, *, compiled: bool) -> Measured:
    """The engine's own step on the loader's batches."""
    sizes, compute = setting.sizes, setting.fast
    model = build_model("deeplabv3_torchvision", num_classes=CLASSES, width=sizes.width)
    model.to(compute.device, memory_format=torch.channels_last)
    if compiled:
        model.compile()
    numbers = dict.fromkeys(("seed", "clip_norm", "ema", "val_every", "checkpoint_every", "log_every"), 0)
    settings = TrainSettings(
        **numbers,
        max_steps=10**6,
        batch_size=sizes.batch,
        accumulate=1,
        freeze=[],
        freeze_norm=False,
        num_workers=setting.workers,
    )
    loss = CompositeLoss({"cross_entropy": CrossEntropy(weights={"out": 1.0})})
    state = TrainState(model, loss, sgd(model, lr=1e-3), schedules.Poly(), compute, settings, meta={})
    batches = training_batches(
        data,
        TrainingStream(len(data), sizes.batch, seed=0),
        num_workers=setting.workers,
        pinned=compute.device.type == "cuda",
    )

    def step(batch: Any) -> None:
        train_step(state, [batch], setting.folder)

    try:
        return measured(step, lambda: next(batches), sizes.batch, compute, sizes.seconds)
    finally:
        batches.close()


def torchvisions(setting: Setting, data: Augmented) -> Measured:
    """torchvision's network in the form of its references' loop: NCHW, float32 with TF32 as torch has it, a
    loss that is read every step."""
    zoo, sizes, compute = torchvision.models.segmentation, setting.sizes, setting.full
    make = zoo.deeplabv3_resnet50 if sizes.width == 1 else zoo.lraspp_mobilenet_v3_large
    network = make(weights=None, weights_backbone=None, num_classes=CLASSES).to(compute.device).train()
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3, momentum=0.9, weight_decay=1e-4)
    batches = _endless(setting, data, _as_float)

    def step(batch: tuple[Tensor, Tensor]) -> float:
        images, labels = (x.to(compute.device, non_blocking=True) for x in batch)
        loss = F.cross_entropy(network(images)["out"], labels, ignore_index=255)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()  # as their metric logger does

    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = True  # precision=32 has turned it off
    try:
        return measured(step, lambda: next(batches), sizes.batch, compute, sizes.seconds)
    finally:
        torch.backends.cudnn.allow_tf32 = before


def smps(setting: Setting, data: Augmented) -> tuple[Measured, float]:
    """smp's DeepLab v3 as well as a careful user trains it: bytes from the loader, channels last, the fast
    precision, a fused optimizer, no loss read. And its multiply-adds an image."""
    sizes, compute = setting.sizes, setting.fast
    encoder = "resnet50" if sizes.width == 1 else "resnet18"
    network = smp.DeepLabV3(encoder, encoder_weights=None, classes=CLASSES)
    network = network.to(compute.device, memory_format=torch.channels_last).train()
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3, momentum=0.9, weight_decay=1e-4, fused=True)
    batches = _endless(setting, data, _as_bytes)

    def step(batch: tuple[Tensor, Tensor]) -> None:
        images, labels = (x.to(compute.device, non_blocking=True) for x in batch)
        with compute.autocast():
            logits = network((images.float() - 115) / 58)
        F.cross_entropy(logits.float(), labels.long(), ignore_index=255).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    result = measured(step, lambda: next(batches), sizes.batch, compute, sizes.seconds)
    batch = next(batches)
    return result, gmacs(lambda: step(batch)) / sizes.batch


def _endless(setting: Setting, data: Augmented, collated: Callable) -> Iterator[tuple[Tensor, Tensor]]:
    loader = DataLoader(
        data, setting.sizes.batch, sampler=[(0, i) for i in range(len(data))], collate_fn=collated,
        num_workers=setting.workers, drop_last=True, persistent_workers=setting.workers > 0,
        pin_memory=setting.fast.device.type == "cuda",
    )  # fmt: skip
    while True:
        yield from loader


def _as_float(samples) -> tuple[Tensor, Tensor]:
    """Normalised images N×3×H×W and int64 labels, as the references' presets give them."""
    images, labels, _ = collate(samples)
    return images.contiguous().float().div(255).sub(0.45).div(0.225), labels.long()


def _as_bytes(samples) -> tuple[Tensor, Tensor]:
    return collate(samples)[:2]


def deeplab_rows(setting: Setting) -> None:
    """DeepLab v3 on ResNet-50 against torchvision's loop and smp's network."""
    sizes = setting.sizes
    data, work = _deeplab(setting)
    eager = ours(setting, data, compiled=False)
    what = f"training, DeepLab v3 on ResNet-50, {sizes.batch}×{sizes.side}×{sizes.side}"
    row(what, "", f"{eager.speed:.1f} images/s", "", f"{2 * work:.0f} GFLOP an image")
    row("model-FLOP utilisation", "the card's dense bfloat16", utilisation(eager.speed, work), "≥ 35 %")
    theirs = torchvisions(setting, data)
    speeds = f"{theirs.speed:.1f} images/s, {theirs.memory:.1f} GiB"
    row("the same", "torchvision's references, float32", times(eager.speed / theirs.speed), "≥ 3 ×", speeds)
    peer, their_work = smps(setting, data)
    details = f"{peer.speed:.1f} images/s of {2 * their_work:.0f} GFLOP, {peer.memory:.1f} GiB"
    against = f"smp's DeepLabV3, {setting.fast.precision}, channels last"
    row("the same", against, times(eager.speed / peer.speed), "≥ 1.15 ×", details)
    row("peak memory", "", f"{eager.memory:.1f} GiB", "reported")
    row("waiting for data", "", f"{100 * eager.waiting:.1f} %", "≤ 3 %")


def _deeplab(setting: Setting) -> tuple[Augmented, float]:
    """What DeepLab v3 is trained on, and its step's multiply-adds an image."""
    sizes = setting.sizes
    split = drawn(setting.folder / "train", (sizes.side, sizes.side), sizes.images)
    data = Augmented(split, scale_crop(sizes.side), seed=0)
    model = build_model("deeplabv3_torchvision", num_classes=CLASSES, width=sizes.width)
    batch = random_batch(sizes.batch, sizes.side, CLASSES, str(setting.fast.device))
    return data, gmacs(our_step(model, batch, setting.fast)) / sizes.batch


def compiled_rows(setting: Setting) -> None:
    """What `compile=true` gains on DeepLab v3, and CUDA graphs on a small network; on a GPU alone, for on a
    CPU it would be minutes of a C++ compiler."""
    if setting.fast.device.type != "cuda":
        return
    data, work = _deeplab(setting)
    eager, compiled = (ours(setting, data, compiled=flag) for flag in (False, True))
    speeds = f"{compiled.speed:.1f} for {eager.speed:.1f} images/s, {utilisation(compiled.speed, work)},"
    details = f"{speeds} {compiled.memory:.1f} GiB, after {compiled.first:.0f} s"
    row("`compile=true`, DeepLab v3", "without", times(compiled.speed / eager.speed), "reported", details)
    arms = {}
    for mode in (None, "reduce-overhead"):  # the latter with CUDA graphs
        model = build_model("fc_densenet56", num_classes=CLASSES)
        if mode:
            model.compile(mode=mode)
        arms[mode], _ = _of_network(setting, model, 224, 3)
    plain, graphs = arms.values()
    details = f"{graphs.speed:.1f} for {plain.speed:.1f} images/s, after {graphs.first:.0f} s"
    row("CUDA graphs, fc_densenet56, 3×224×224", "without", times(graphs.speed / plain.speed), "", details)


def network_rows(setting: Setting) -> None:
    """A step of other networks on one batch that is on the card."""
    for name, (side, batch) in NETWORKS.items():
        if setting.sizes.width < 1:
            side, batch = setting.sizes.side, setting.sizes.batch
        model = build_model(name, num_classes=CLASSES, width=setting.sizes.width)
        result, work = _of_network(setting, model, side, batch)
        row(
            f"training step, {name}, {batch}×{side}×{side}",
            "",
            f"{result.speed:.1f} images/s",
            "reported",
            f"{utilisation(result.speed, work)}, {result.memory:.1f} GiB, {2 * work:.0f} GFLOP an image",
        )


def _of_network(setting: Setting, model: nn.Module, side: int, images: int) -> tuple[Measured, float]:
    """The step's measures, and its multiply-adds an image."""
    compute = setting.fast
    batch = [to_device(x, compute.device) for x in random_batch(images, side, CLASSES)]
    step = our_step(model, batch, compute)
    result = measured(lambda _: step(), lambda: None, images, compute, setting.sizes.seconds / 3)
    return result, gmacs(step) / images
