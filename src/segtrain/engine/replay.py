"""What is kept of a step whose loss was not finite, and which layer made it so."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from segtrain.contracts import IGNORE_INDEX
from segtrain.engine import checkpoint
from segtrain.engine.checkpoint import Checkpoint
from segtrain.engine.device import Compute
from segtrain.engine.loader import Batch
from segtrain.errors import InputError

DIVERGED = "diverged.ckpt"


def save_batches(saved: Checkpoint, batches: list[Batch], about: dict, folder: Path) -> Path:
    """Writes a checkpoint's weights beside the batches that they met.

    Args:
        batches: images uint8 N×3×H×W, masks uint8 N×H×W, names.
        about: goes into the file's metadata: step, learning rate, seed, precision, ...
    """
    tensors = dict(saved.tensors)
    for i, (images, masks, _) in enumerate(batches):
        tensors |= {f"batch.{i}.images": images, f"batch.{i}.masks": masks}
    names = [list(names) for _, _, names in batches]
    path = folder / DIVERGED
    checkpoint.save(Checkpoint(tensors, saved.meta | about | {"names": names}), path)
    return path


def kept_batches(saved: Checkpoint, num_classes: int) -> list[Batch]:
    """The batches that `save_batches` was given.

    Raises:
        InputError: one is missing, of another form, or has labels outside the classes.
    """
    tensors, batches = saved.part("batch"), []
    for i, names in enumerate(saved.meta["names"]):
        images, masks = tensors.get(f"{i}.images"), tensors.get(f"{i}.masks")
        if images is None or masks is None:
            raise InputError(f"diverged.ckpt: its batch {i} is missing", do="give another")
        if masks.dtype != torch.uint8 or images.ndim != 4 or masks.shape != images[:, 0].shape:
            raise InputError(
                f"diverged.ckpt: its batch {i} must be images N×C×H×W with masks", do="give another"
            )
        labels = masks[masks != IGNORE_INDEX]
        if len(names) != len(masks) or not masks.numel() or (labels.numel() and labels.max() >= num_classes):
            what = f"diverged.ckpt: its batch {i} must have names, and labels 0..{num_classes - 1}"
            raise InputError(what, do="give another")
        batches.append((images, masks, names))
    return batches


def first_not_finite(
    model: nn.Module, loss: nn.Module, batches: list[Batch], compute: Compute, *, seed: int
) -> str:
    """Runs the batches forwards and backwards and names what was first not finite, in a sentence.

    Args:
        model: in the mode that the step had; seed: what torch was seeded with before that step.
    """
    bad = next((k for k, v in model.state_dict().items() if not _finite(v)), None)
    if bad:
        return f"the weights were not finite before this step: {bad}, so the gradient before it was not"
    torch.manual_seed(seed)
    with watched(model) as found:
        for images, masks, names in batches:
            masks = masks.to(compute.device)
            with compute.autocast():
                outputs = model(images.to(compute.device))
            value = loss(outputs, masks).sum()
            if not found and not _finite(value):
                found.append(f"the loss, though every layer's output is finite: {value.item()}")
            if found:
                return f"first not finite: {found[0]}; images {', '.join(names)}"
            value.backward()
    bad = next((k for k, p in model.named_parameters() if p.grad is not None and not _finite(p.grad)), None)
    if bad:
        return f"all outputs are finite, the gradient of {bad} is not"
    return "everything is finite here: what made the loss so does not happen on this device at this precision"


@contextmanager
def watched(model: nn.Module) -> Iterator[list[str]]:
    """While entered, the list gets every module whose output is not finite, in the order of computation.

    Example:
        >>> with watched(model) as found:
        ...     model(images)
        >>> found[:1]  # ["the output of score (Conv2d), given 1×4096×10×10 of 0 to 3.4e+38"]
    """
    found: list[str] = []

    def look(name: str):
        def hook(module: nn.Module, inputs: tuple, output) -> None:
            of = list(output.values()) if isinstance(output, dict) else [output]
            if all(_finite(t) for t in of if isinstance(t, Tensor)):
                return
            ranges = ", ".join(_range(t) for t in inputs if isinstance(t, Tensor))
            found.append(f"the output of {name or 'the model'} ({type(module).__name__}), given {ranges}")

        return hook

    handles = [module.register_forward_hook(look(name)) for name, module in model.named_modules()]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def _finite(x: Tensor) -> bool:
    return bool(x.isfinite().all())


def _range(x: Tensor) -> str:
    low, high = x.aminmax()
    return f"{'×'.join(map(str, x.shape))} of {low.item():.3g} to {high.item():.3g}"
