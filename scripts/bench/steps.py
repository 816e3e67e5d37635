"""A training step on 2×3×256×256, 21 classes, SGD: ours beside the same networks of others.

torchvision's DeepLab v3 in the form of its references: NCHW, float32. segmentation_models.pytorch's own
networks in their usual form; they are other networks than the papers', so what is compared is time a
multiply-add.
"""

import argparse

import segmentation_models_pytorch as smp
import torch
import torchvision
from measure import Step, gmacs, interleaved, our_step, random_batch, row, times
from torch import nn
from torch.nn import functional as F

from segtrain import build_model
from segtrain.engine.device import Compute, choose, keep_freed_memory

CLASSES = 21
SMP = {  # ours, with the option that comes closest to theirs, and theirs
    "U-Net": ("unet", {"batch_norm": True}, smp.Unet),
    "PSPNet": ("pspnet50", {"aux": False}, smp.PSPNet),
    "DeepLab v3+": ("deeplabv3plus", {"separable": True}, smp.DeepLabV3Plus),
}


def their_step(model: nn.Module, compute: Compute) -> Step:
    """A step of theirs: float images that are normalised already, int64 labels, logits of full size."""
    images, labels = random_batch(2, 256, CLASSES)
    images, labels = images.float().contiguous() / 255, labels.long()
    model.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)

    def step() -> None:
        with compute.autocast():
            outputs = model(images)
        logits = outputs["out"] if isinstance(outputs, dict) else outputs
        F.cross_entropy(logits.float(), labels, ignore_index=255).backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def deeplab(full: Compute, fast: Compute, repetitions: int) -> None:
    theirs = torchvision.models.segmentation.deeplabv3_resnet50(
        weights=None, weights_backbone=None, num_classes=CLASSES
    )
    ours = build_model("deeplabv3_torchvision", num_classes=CLASSES)
    batch = random_batch(2, 256, CLASSES)
    arms = {
        "theirs": their_step(theirs, full),
        "full": our_step(ours, batch, full),
        "fast": our_step(ours, batch, fast),
    }
    work = {name: gmacs(arms[name]) for name in ("theirs", "full")}
    seconds = interleaved(arms, repetitions)
    against = "torchvision's, NCHW float32"
    details = f"{work['full']:.0f} and {work['theirs']:.0f} G multiply-adds"
    for arm, precision, wanted in (
        ("fast", f"auto ({fast.precision})", "≥ 2.0 ×"),
        ("full", "32", "≥ 1.1 ×"),
    ):
        shown = f"{seconds[arm]:.2f} s for {seconds['theirs']:.2f} s; {details}"
        what = f"training step, DeepLab v3 on ResNet-50, `precision={precision}`"
        row(what, against, times(seconds["theirs"] / seconds[arm]), wanted, shown)


def others(name: str, full: Compute, fast: Compute, repetitions: int) -> None:
    option, keys, theirs = SMP[name]
    ours, batch = build_model(option, num_classes=CLASSES, **keys), random_batch(2, 256, CLASSES)
    network = theirs("resnet50", encoder_weights=None, classes=CLASSES)
    arms = {
        "theirs, 32": their_step(network, full),
        f"theirs, {fast.precision}": their_step(network, fast),
        "ours, 32": our_step(ours, batch, full),
        f"ours, {fast.precision}": our_step(ours, batch, fast),
    }
    work = {whose: gmacs(arms[f"{whose}, 32"]) for whose in ("theirs", "ours")}
    seconds = interleaved(arms, repetitions)
    rates = {arm: work[arm.split(",")[0]] / s for arm, s in seconds.items()}  # G multiply-adds a second
    details = f"{work['ours']:.0f} and {work['theirs']:.0f} G multiply-adds in " + " and ".join(
        f"{seconds[f'{whose}, 32']:.2f} s ({seconds[f'{whose}, {fast.precision}']:.2f} s in {fast.precision})"
        for whose in ("ours", "theirs")
    )
    same = min(rates[f"ours, {p}"] / rates[f"theirs, {p}"] for p in ("32", fast.precision))
    gain = rates[f"ours, {fast.precision}"] / rates["theirs, 32"]
    row(
        f"the same, {name}, work a second", "smp's, same precision (the worse)", times(same), "≥ 1 ×", details
    )
    row(f"the same, {name}, `precision=auto`", "smp's, NCHW float32", times(gain), "≥ 1.7 ×")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("networks", nargs="*", help=f"DeepLab, {', '.join(SMP)}; all if none is given")
    parser.add_argument("--repetitions", type=int, default=5)
    arguments = parser.parse_args()
    keep_freed_memory()
    full, fast = choose("cpu", "32"), choose("cpu", "auto")
    for name in arguments.networks or ["DeepLab", *SMP]:
        if name == "DeepLab":
            deeplab(full, fast, arguments.repetitions)
        else:
            others(name, full, fast, arguments.repetitions)


if __name__ == "__main__":
    main()
