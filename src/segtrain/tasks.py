"""What a model's logits mean: the only place that turns them into classes, probabilities and labels.

- `softmax`: C logits a pixel, of which one class is the pixel's.
- `binary`: one logit z a pixel, object or not. It is the softmax of the two logits (0, z).
- `multilabel`: C logits a pixel, each a yes or no of its own: C such pairs.

So everything that works on classes, every loss, inference, ensemble and the CRF, sees pairs and knows of no
task: those of C yes-or-no logits stand behind one another as N·C maps of two classes.
"""

from collections.abc import Mapping
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from segtrain.sizes import upsampled_labels


class Task(NamedTuple):
    """What the logits of a model mean, and where a yes begins.

    Attributes:
        name: of `task=`.
        threshold: of the probability, above which a pixel is of the class; softmax takes the most probable
            class, which of two is that above 0.5.
    """

    name: Literal["softmax", "binary", "multilabel"] = "softmax"
    threshold: float = 0.5

    @property
    def multilabel(self) -> bool:
        """Whether a pixel has several labels: masks and labels are then H×W×C of 0, 1 and 255."""
        return self.name == "multilabel"

    def channels(self, classes: int) -> int:
        """The logits of a model for so many classes of the data."""
        return 1 if self.name == "binary" else classes

    def choices(self, classes: int) -> int:
        """The classes that a loss sees: of pairs two."""
        return classes if self.name == "softmax" else 2

    def class_logits(self, logits: Tensor) -> Tensor:
        """Logits N×K×h×w as those of classes: themselves, or the pairs (0, z), (N·K)×2×h×w.

        Example:
            >>> Task("binary").class_logits(torch.ones(1, 1, 2, 2)).shape
            torch.Size([1, 2, 2, 2])
        """
        if self.name == "softmax":
            return logits
        z = logits.flatten(0, 1)[:, None]
        return torch.cat([torch.zeros_like(z), z], 1)

    def class_outputs(self, outputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """`class_logits` of each output of a model."""
        return {name: self.class_logits(logits) for name, logits in outputs.items()}

    def class_masks(self, masks: Tensor) -> Tensor:
        """The masks that belong to `class_logits`: N×H×W, of N×C×H×W one for each class."""
        return masks.flatten(0, 1) if self.multilabel else masks

    def unfolded(self, maps: Tensor, images: int) -> Tensor:
        """What belongs to `class_logits` as a map for each class again: (N·C)×2×H×W as N×C×H×W, the
        probability of each yes. Other tasks' are left as they are."""
        return maps[:, 1].unflatten(0, (images, -1)) if self.multilabel else maps

    def labels(self, probabilities: Tensor) -> Tensor:
        """The labels of probabilities N×C×H×W: class indices, uint8 N×H×W; of `multilabel` 0 and 1, uint8
        N×H×W×C."""
        if self.multilabel:
            return (probabilities > self.threshold).to(torch.uint8).movedim(1, -1)
        if self.name == "binary" and self.threshold != 0.5:
            return (probabilities[:, 1] > self.threshold).to(torch.uint8)
        return upsampled_labels(probabilities, probabilities.shape[-2:])

    def confidence(self, probabilities: Tensor, labels: Tensor) -> Tensor:
        """The probability of each of `labels`, float32 of their shape."""
        if self.multilabel:
            of_yes = probabilities.movedim(1, -1)
            return torch.where(labels == 1, of_yes, 1 - of_yes)
        if self.threshold == 0.5:
            return probabilities.amax(1)
        return probabilities.gather(1, labels[:, None].long())[:, 0]

    def image_labels(self, probabilities: np.ndarray) -> np.ndarray:
        """`labels` of one image's probabilities C×H×W: uint8 H×W, of `multilabel` H×W×C."""
        return self.labels(torch.from_numpy(probabilities)[None])[0].numpy()
