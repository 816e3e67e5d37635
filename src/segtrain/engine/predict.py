"""From pictures to class probabilities or labels: one network and the way it is applied, or several."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from segtrain.data.sample import Sample
from segtrain.engine.device import Compute
from segtrain.inference import Whole
from segtrain.sizes import upsample_logits, upsampled_labels

Network = Callable[[Tensor], Tensor]  # pictures N×3×H×W -> logits N×C×H×W
Inference = Callable[[Network, Tensor, list[str]], Tensor]  # see segtrain.inference


class Predictor:
    """A model applied by a way of inference; called with samples of one size, it gives their
    class probabilities, float32 N×C×H×W.

    Args:
        model: on `compute.device`, in eval mode (`evaluating`).
        inference: whole pictures, windows, ... (`segtrain.inference`).
    """

    def __init__(self, model: nn.Module, inference: Inference, compute: Compute):
        self.model, self.inference, self.compute = model, inference, compute

    @torch.inference_mode()
    def __call__(self, samples: list[Sample]) -> Tensor:
        names = [sample.name for sample in samples]
        return self.inference(self._logits, self._batch(samples), names).softmax(1)

    @torch.inference_mode()
    def labels(self, samples: list[Sample]) -> Tensor:
        """The likeliest classes, uint8 N×H×W; of whole pictures without their probabilities."""
        if not isinstance(self.inference, Whole):
            return likeliest(self(samples))
        images = self._batch(samples)
        return upsampled_labels(self._cells(images), images.shape[-2:])

    def _batch(self, samples: list[Sample]) -> Tensor:
        images = np.stack([sample.image for sample in samples])
        return torch.from_numpy(images).permute(0, 3, 1, 2).to(self.compute.device)

    def _cells(self, images: Tensor) -> Tensor:
        with self.compute.autocast():
            return self.model(images)["out"].float()

    def _logits(self, images: Tensor) -> Tensor:
        return upsample_logits(self._cells(images), images.shape[-2:])


class Ensemble:
    """Several predictors as one: the mean of their class probabilities, or their product.

    EDeconvNet (Noh et al. 2015, section 4.3) averages DeconvNet and FCN-8s; its released code
    multiplies instead.
    """

    def __init__(self, members: list[Predictor], combine: Literal["mean", "product"] = "mean"):
        self.members, self.combine = members, combine

    def __call__(self, samples: list[Sample]) -> Tensor:
        first, *others = self.members
        combined = first(samples)
        for member in others:
            combined = combined * member(samples) if self.combine == "product" else combined + member(samples)
        # Where a product of confident opposites is 0 for every class, all are as likely.
        combined = combined.clamp(min=torch.finfo(torch.float32).tiny)
        return combined / combined.sum(1, keepdim=True)

    def labels(self, samples: list[Sample]) -> Tensor:
        """The likeliest classes, uint8 N×H×W."""
        return likeliest(self(samples))


def likeliest(probabilities: Tensor) -> Tensor:
    """uint8 N×H×W of N×C×H×W."""
    return upsampled_labels(probabilities, probabilities.shape[-2:])


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """The model in eval mode inside, and in its own mode again afterwards."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)
