"""The cross-entropy, with what the papers did to it: class weights, subsampled labels, auxiliaries."""

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segtrain.contracts import IGNORE_INDEX
from segtrain.errors import InputError
from segtrain.losses.outputs import images, valid_pixels, weighted_outputs
from segtrain.losses.strips import PixelLoss, summed
from segtrain.sizes import stride_of, subsample_labels

# Published weights, in the order of the labels.
CLASS_WEIGHTS = {
    # SegNet-Tutorial's CamVid prototxts: Sky Building Pole Road Pavement Tree SignSymbol Fence Car
    # Pedestrian Bicyclist. No median over these eleven classes: none of them is 1.
    "camvid_segnet": [0.2595, 0.1826, 4.5640, 0.1417, 0.9051, 0.3826, 9.6446, 1.8418, 0.6823, 6.2478, 7.3614],
}


class CrossEntropy(nn.Module):
    """Cross-entropy of the outputs against the labels, ignored pixels left out.

    Args:
        weights: output name -> weight; `out`, and a model's auxiliaries by their names.
        normalize: `pixels` divides by the valid pixels of the whole step (Caffe's `normalize:
            true`); `images` by its images (Caffe's `normalize: false`, FCN's "unnormalised"
            loss); `weights` by the class weights of its valid pixels (PyTorch's weighted mean).
        label_stride: 1 upsamples coarse logits to the labels; 8 takes every 8th label instead, for
            networks of stride 8 (how DeepLab v1 and v2 were trained). An output of twice that
            stride takes every 16th; each image's counts as much as its others, whose labels are more.
        class_weights: factors of the pixels by their class: a list in the order of the labels,
            published ones by name, or `median_frequency`: those that `balance` is given.
        label_smoothing: the share of a label that is spread evenly over all classes (Szegedy et al.,
            CVPR 2016, section 7); class weights then weigh each class's share, as in PyTorch.
        auxiliary_final: factor of the auxiliaries' weights at the last step, to which they fall
            geometrically from 1.

    Attributes:
        progress: the share of the training that is done; set by who trains.
        wants_frequencies: whether `balance` has still to be called before the loss is used.

    Raises:
        InputError: a weight is no number from 0 up, or `label_smoothing` is not from 0 to 1; on use,
            `balance` was not called.
    """

    def __init__(
        self,
        *,
        weights: Mapping[str, float],
        normalize: Literal["pixels", "images", "weights"] = "pixels",
        label_stride: int = 1,
        class_weights: Literal["median_frequency", "camvid_segnet"] | list[float] | None = None,
        auxiliary_final: float = 1.0,
        label_smoothing: float = 0.0,
    ):
        super().__init__()
        if not 0 <= label_smoothing < 1:
            raise InputError(
                f"loss.cross_entropy.label_smoothing must be from 0 to 1, got {label_smoothing}",
                do="0.1 is usual, 0 is none",
            )
        self.auxiliary_final, self.progress = auxiliary_final, 0.0
        self.label_smoothing = label_smoothing
        self.weights, self.normalize, self.label_stride = dict(weights), normalize, label_stride
        # No buffer: from Python 3.12 on, a protocol (`BalancesClasses`) does not see a module's.
        self.class_weights: Tensor | None = None
        self.wants_frequencies = class_weights == "median_frequency"
        if class_weights is not None and not self.wants_frequencies:
            self.balance(CLASS_WEIGHTS[class_weights] if isinstance(class_weights, str) else class_weights)

    def balance(self, weights: Sequence[float]) -> None:
        """Sets the class weights. Raises InputError."""
        if not all(isinstance(weight, int | float) and 0 <= weight < float("inf") for weight in weights):
            raise InputError(f"loss.class_weights={list(weights)}", do="give numbers from 0 up, one a class")
        self.class_weights, self.wants_frequencies = torch.tensor(weights, dtype=torch.float32), False

    def check(self, num_classes: int) -> None:
        """Raises InputError where there are class weights, but not one a class."""
        if self.class_weights is not None and len(self.class_weights) != num_classes:
            raise InputError(
                f"loss.class_weights: {len(self.class_weights)} weights for {num_classes} classes",
                do="give one a class",
            )

    def forward(self, outputs: dict[str, Tensor], masks: Tensor) -> Tensor:
        """The weighted sum over pixels (a scalar), to be divided by the step's `count`s."""
        class_weights = self._class_weights(masks.device)
        # On GPUs the kernel adds up in no fixed order.
        reduction = "none" if torch.are_deterministic_algorithms_enabled() else "sum"

        def sum_of_pixels(logits: Tensor, labels: Tensor) -> Tensor:
            losses = F.cross_entropy(
                logits,
                labels.long(),
                None if class_weights is None else class_weights.to(logits.dtype),
                ignore_index=IGNORE_INDEX,
                reduction=reduction,
                label_smoothing=self.label_smoothing,
            )
            return losses.sum()

        total = outputs["out"].new_zeros((), dtype=torch.float32)
        for name, logits, weight in weighted_outputs(outputs, self.weights):
            labels = masks
            if name != "out":
                weight = weight * self.auxiliary_final**self.progress
            if self.label_stride > 1:
                stride = max(self.label_stride, *map(stride_of, logits.shape[-2:], masks.shape[-2:]))
                labels = subsample_labels(masks, stride, logits.shape[-2:], IGNORE_INDEX)
                if stride > self.label_stride:
                    total = total + weight * self._as_counted(sum_of_pixels, logits, labels, masks)
                    continue
            total = total + weight * summed(sum_of_pixels, logits, labels)
        return total

    def _as_counted(self, loss: PixelLoss, logits: Tensor, labels: Tensor, masks: Tensor) -> Tensor:
        """The sum over an output's own, fewer labels, scaled so that the step's `count` divides each image's
        share by what it has of them (Caffe divides every loss by its own count)."""
        parts = []
        for logit, label, mask in zip(logits.split(1), labels.split(1), masks.split(1), strict=True):
            share = self._used(mask[:, :: self.label_stride, :: self.label_stride]) / self._used(label).clamp(
                min=1e-12
            )
            parts.append(share * loss(logit, label))
        return torch.stack(parts).sum()

    def count(self, masks: Tensor) -> Tensor:
        """What the batch adds to the divisor: its pixels, images or weights (float32 scalar)."""
        if self.normalize == "images":
            return images(masks)
        return self._used(masks[:, :: self.label_stride, :: self.label_stride])

    def _used(self, labels: Tensor) -> Tensor:
        """The valid labels, or the class weights of them (float32 scalar)."""
        class_weights = self._class_weights(labels.device)
        if self.normalize == "weights" and class_weights is not None:
            of_label = F.pad(
                class_weights, (0, IGNORE_INDEX + 1 - len(class_weights))
            )  # ignored pixels weigh nothing
            return of_label[labels.long()].sum()
        return valid_pixels(labels)

    def _class_weights(self, device: torch.device) -> Tensor | None:
        if self.wants_frequencies:
            raise InputError(
                "loss.class_weights=median_frequency: not computed yet", do="call balance with them before"
            )
        if self.class_weights is not None:
            self.class_weights = self.class_weights.to(device)  # the first time alone
        return self.class_weights
