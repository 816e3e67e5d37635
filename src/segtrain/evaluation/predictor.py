"""From images to class probabilities or labels: one network and the way it is applied, or several."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from segtrain.contracts import Inference, Rows, Sample, TakesBorders
from segtrain.engine.device import Compute
from segtrain.engine.transfer import to_device
from segtrain.errors import InputError
from segtrain.evaluation.not_finite import Totals, refuse_not_finite
from segtrain.inference import Whole
from segtrain.inference.rows import all_rows, probabilities, row_blocks
from segtrain.sizes import upsample_rows, upsampled_labels
from segtrain.tasks import Task


class Predict:
    """What labels samples of one size: a `Predictor` or an `Ensemble`.

    Of the class probabilities of the images no more rows exist than are looked at together, unless
    they are what is asked for.

    Attributes:
        task: what the probabilities mean; a `multilabel` one's labels are N×H×W×C of 0 and 1.
    """

    task = Task()

    def totals(self) -> list[Tensor]:
        """The sums of the logits of each network that this thread has run since the last call, on the device:
        not finite where a logit is not."""
        return []

    def check(self, samples: list[Sample], totals: list[Tensor] | None = None) -> None:
        """Refuses logits that are not finite.

        Args:
            samples: that were predicted.
            totals: that `totals()` gave after it, on the host where that was waited for already.

        Raises:
            DivergedError: the weights are not finite.
            NotFinite: what the network makes of an image is not.
        """

    def rows(self, samples: list[Sample]) -> Rows:
        """The rows of the class probabilities, float32 N×C×H×W; of `multilabel` (N·C)×2×H×W."""
        raise NotImplementedError

    def blocks(self, samples: list[Sample]) -> Iterator[Tensor]:
        """All the rows of the class probabilities, float32 N×C×64×W at a time."""
        rows = row_blocks(self.rows(samples), samples[0].image.shape[0])
        return (self.task.unfolded(block, len(samples)) for block in rows)

    @torch.inference_mode()
    def __call__(self, samples: list[Sample]) -> Tensor:
        """Class probabilities, float32 N×C×H×W."""
        whole = all_rows(self.rows(samples), samples[0].image.shape[0])
        return self.task.unfolded(whole, len(samples))

    @torch.inference_mode()
    def labels(self, samples: list[Sample]) -> Tensor:
        """The predicted class indices, uint8 N×H×W."""
        return torch.cat([self.task.labels(block) for block in self.blocks(samples)], 1)

    @torch.inference_mode()
    def confident_labels(self, samples: list[Sample]) -> tuple[Tensor, Tensor]:
        """The predicted class indices, uint8 N×H×W, and their probabilities, float32 N×H×W."""
        pairs = []
        for block in self.blocks(samples):
            labels = self.task.labels(block)
            pairs.append((labels, self.task.confidence(block, labels)))
        labels, confidence = (torch.cat(maps, 1) for maps in zip(*pairs, strict=True))
        return labels, confidence


class ModelNetwork:
    """A model as the network that an inference applies: images to the rows of their logits.

    Args:
        model: on `compute.device`, in eval mode.
        task: what its logits mean; an inference sees them as those of classes.
    """

    def __init__(self, model: nn.Module, compute: Compute, task: Task):
        self.model, self.compute, self.task = model, compute, task
        self.totals = Totals()

    def __call__(self, images: Tensor) -> Rows:
        return partial(upsample_rows, self.cells(images), tuple(images.shape[-2:]))

    def cells(self, images: Tensor) -> Tensor:
        """The logits as they leave the model, float32 N×C×h×w."""
        with self.compute.autocast():
            return self.totals.add(self.task.class_logits(self.model(images)["out"].float()))

    @property
    def margin(self) -> int:
        """Width of the border that the model puts around images. Raises InputError where it puts none."""
        return self._bordering.margin

    def on_bordered(self, images: Tensor) -> Tensor:
        """The logits of images that bring that border, float32 N×C×h×w. Raises InputError."""
        with self.compute.autocast():
            return self.totals.add(self.task.class_logits(self._bordering.on_bordered(images).float()))

    @property
    def _bordering(self) -> TakesBorders:
        if not isinstance(self.model, TakesBorders):
            raise InputError(
                f"the model must take images with a border of their own, got {type(self.model).__name__}",
                do="choose model=dilatednet or one of its variants, or another inference=",
            )
        return self.model


class Predictor(Predict):
    """A model applied by a way of inference.

    Args:
        model: on `compute.device`, in eval mode (`evaluating`).
        inference: whole images, windows, ... (`segtrain.inference`).
        task: what its logits mean.
    """

    def __init__(
        self,
        model: nn.Module,
        inference: Inference,
        compute: Compute,
        task: Task = Task(),  # noqa: B008 (a tuple, which nobody can change)
    ):
        self.model, self.inference, self.compute, self.task = model, inference, compute, task
        self.network = ModelNetwork(model, compute, task)

    def totals(self) -> list[Tensor]:
        return self.network.totals.taken()

    def check(self, samples: list[Sample], totals: list[Tensor] | None = None) -> None:
        totals = self.totals() if totals is None else totals
        if not all(total.isfinite() for total in totals):
            try:
                refuse_not_finite(self.model, self.labels, samples, self.compute.precision)
            finally:
                self.totals()

    def rows(self, samples: list[Sample]) -> Rows:
        names = [sample.name for sample in samples]
        return probabilities(self.inference(self.network, self._batch(samples), names))

    @torch.inference_mode()
    def labels(self, samples: list[Sample]) -> Tensor:
        """The predicted class indices, uint8 N×H×W; of whole images without their probabilities."""
        if not isinstance(self.inference, Whole) or self.task.multilabel or self.task.threshold != 0.5:
            return super().labels(samples)
        images = self._batch(samples)
        return upsampled_labels(self.network.cells(images), images.shape[-2:])

    def _batch(self, samples: list[Sample]) -> Tensor:
        images = np.stack([sample.image for sample in samples])
        if images.dtype != np.uint8:  # torch knows little of 16-bit numbers, and float32 holds them
            images = images.astype(np.float32)
        return to_device(torch.from_numpy(images), self.compute.device).permute(0, 3, 1, 2)


class Ensemble(Predict):
    """Several predictors as one: the mean of their class probabilities, or their product.

    EDeconvNet (Noh et al. 2015, section 4.3) averages DeconvNet and FCN-8s; its released code
    multiplies instead.
    """

    def __init__(self, members: list[Predict], combine: Literal["mean", "product"] = "mean"):
        self.members, self.combine, self.task = members, combine, members[0].task

    def totals(self) -> list[Tensor]:
        return [total for member in self.members for total in member.totals()]

    def check(self, samples: list[Sample], totals: list[Tensor] | None = None) -> None:
        totals = self.totals() if totals is None else totals
        for member in self.members:  # each looks for itself where one is not finite
            member.check(samples, totals)

    def rows(self, samples: list[Sample]) -> Rows:
        members = [member.rows(samples) for member in self.members]

        def combined(start: int, stop: int) -> Tensor:
            first, *others = (member(start, stop) for member in members)
            for other in others:
                first = first * other if self.combine == "product" else first + other
            # Where a product of confident opposites is 0 for every class, all are as likely.
            first = first.clamp(min=torch.finfo(torch.float32).tiny)
            return first / first.sum(1, keepdim=True)

        return combined


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """The model in eval mode inside, and in its own mode again afterwards."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)
