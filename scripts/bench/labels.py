"""The two loops of an evaluation on the CPU, and what others do instead.

torchmetrics takes part where it is installed.
"""

import argparse
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import torch
from measure import interleaved, row, times
from torch import Tensor

from segtrain.engine.device import keep_freed_memory
from segtrain.metrics.regions import confusion_matrix
from segtrain.sizes import upsample_logits, upsampled_labels

CLASSES, HEIGHT, WIDTH, IGNORE_INDEX = 21, 1024, 2048, 255
Arms = dict[str, Callable[[], object]]


def by_bincount(labels: Tensor, predictions: Tensor) -> Tensor:
    """As in torchvision's reference: a mask, then one bincount."""
    valid = (labels >= 0) & (labels < CLASSES)
    cells = CLASSES * labels[valid].to(torch.int64) + predictions[valid]
    return torch.bincount(cells, minlength=CLASSES**2).view(CLASSES, CLASSES)


def by_histograms(labels: Tensor, predictions: Tensor) -> list[Tensor]:
    """As in MMSegmentation: only the hits, labels and predictions of each class, no matrix."""
    valid = labels != IGNORE_INDEX
    labels, predictions = labels[valid], predictions[valid]
    counted = (predictions[predictions == labels], labels, predictions)
    return [torch.histc(x.float(), bins=CLASSES, min=0, max=CLASSES - 1) for x in counted]


def maps() -> tuple[Tensor, Tensor]:
    """Smooth labels with 2 % ignored pixels, and predictions of which 10 % are noise; uint8 H×W."""
    random = torch.Generator().manual_seed(0)
    coarse = torch.randn(1, CLASSES, 16, 32, generator=random)
    labels = upsample_logits(coarse, (HEIGHT, WIDTH)).argmax(1)[0].to(torch.uint8)
    noise = torch.randint(0, CLASSES, (HEIGHT, WIDTH), generator=random, dtype=torch.uint8)
    predictions = torch.where(torch.rand(HEIGHT, WIDTH, generator=random) < 0.1, noise, labels)
    labels[torch.rand(HEIGHT, WIDTH, generator=random) < 0.02] = IGNORE_INDEX
    return labels, predictions


def confusion_arms() -> Arms:
    labels, predictions = maps()
    wide = labels.long(), predictions.long()
    arms: Arms = {
        "torch.bincount with mask, int64": lambda: by_bincount(*wide),
        "torch.bincount with mask, uint8": lambda: by_bincount(labels, predictions),
        "three histograms, uint8": lambda: by_histograms(labels, predictions),
    }
    if find_spec("torchmetrics"):
        from torchmetrics.functional.classification import multiclass_confusion_matrix

        for check in (True, False):
            arms[f"torchmetrics, int64{', checked' if check else ''}"] = lambda check=check: (
                multiclass_confusion_matrix(
                    wide[1], wide[0], CLASSES, ignore_index=IGNORE_INDEX, validate_args=check
                )
            )
    arms["segtrain"] = lambda: confusion_matrix(labels, predictions, CLASSES)
    hits, targets, predicted = arms["three histograms, uint8"]()
    matrix = arms["segtrain"]()
    assert torch.equal(matrix.diag(), hits.long())
    assert torch.equal(matrix.sum(1), targets.long())
    assert torch.equal(matrix.sum(0), predicted.long())
    for name, arm in arms.items():
        assert "histograms" in name or torch.equal(arm(), matrix), name
    return arms


def argmax_arms() -> Arms:
    """Upsampling by 8 of cells on every eighth pixel, 129×257."""
    logits = torch.randn(1, CLASSES, 129, 257, generator=torch.Generator().manual_seed(0))
    last = logits.contiguous(memory_format=torch.channels_last)
    size = (HEIGHT, WIDTH)
    arms: Arms = {
        "interpolate, argmax": lambda: upsample_logits(logits, size).argmax(1),
        "interpolate, argmax, channels last": lambda: upsample_logits(last, size).argmax(1),
        "interpolate, softmax, argmax": lambda: upsample_logits(logits, size).softmax(1).argmax(1),
        "segtrain": lambda: upsampled_labels(last, size),  # as the evaluation's networks give them
    }
    assert torch.equal(arms["interpolate, argmax, channels last"](), arms["segtrain"]().long())
    return arms


def compare(title: str, arms: Arms, repetitions: int, wanted: str, details: str = "") -> None:
    """A row beside each way of others; to be reached is what was said of the first."""
    seconds = interleaved(arms, repetitions)
    ours = seconds.pop("segtrain")
    for name, theirs in seconds.items():
        shown = f"{1000 * ours:.1f} ms for {1000 * theirs:.1f} ms"
        row(title, name, times(theirs / ours), wanted, f"{shown}; {details}" if details else shown)
        wanted = "reported"


def peak(run: Callable[[], object]) -> float | None:
    """The megabytes by which a run raises the process's memory; None where the kernel does not say."""
    status = Path("/proc/self/status")
    try:
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    except OSError:
        return None

    def kilobytes(key: str) -> int:
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith(key))

    before = kilobytes("VmRSS")
    run()
    return (kilobytes("VmHWM") - before) / 1000


def memory() -> str:
    logits = torch.randn(1, CLASSES, 129, 257, generator=torch.Generator().manual_seed(0))
    size = (HEIGHT, WIDTH)
    ours = peak(lambda: upsampled_labels(logits, size))
    theirs = peak(lambda: upsample_logits(logits, size).argmax(1))
    return "" if ours is None or theirs is None else f"{ours:.1f} MB for {theirs:.1f} MB"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=9)
    repetitions = parser.parse_args().repetitions
    used = memory()
    keep_freed_memory()
    what = f"upsampling ×8 and argmax to {CLASSES}×{HEIGHT}×{WIDTH}"
    compare(what, argmax_arms(), repetitions, "reported", used)
    compare(f"confusion matrix, {HEIGHT}×{WIDTH}", confusion_arms(), repetitions, "reported")


if __name__ == "__main__":
    main()
