"""From pictures to class probabilities: one network and the way it is applied, or several."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from segtrain.data.sample import Sample
from segtrain.engine.device import Compute
from segtrain.sizes import upsample_logits

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
        images = np.stack([sample.image for sample in samples])
        batch = torch.from_numpy(images).permute(0, 3, 1, 2).to(self.compute.device)
        return self.inference(self._logits, batch, [sample.name for sample in samples]).softmax(1)

    def _logits(self, images: Tensor) -> Tensor:
        with self.compute.autocast():
            logits = self.model(images)["out"]
        return upsample_logits(logits.float(), images.shape[-2:])


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


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """The model in eval mode inside, and in its own mode again afterwards."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)
