"""A trained network and an image that it is looked at with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from segtrain.contracts import Colour
from segtrain.reports.embed import Frame, labels_uri, photo_uri
from segtrain.reports.fields import heat_uri
from segtrain.reports.sections import SectionPart, image_row
from segtrain.sizes import upsample_logits

LONGEST = 232  # pixels of an image on the page


class Exhibit(NamedTuple):
    """What the sections of a trained network look at.

    Attributes:
        name: of the model. network: in eval mode. config: the checkpoint's, resolved.
        batch: the image 1×C×H×W on the network's device. rgb: as it is seen, uint8 H×W×3.
        mask: its labels, uint8 H×W; None where there are none.
        class_names, palette: of the classes.
    """

    name: str
    network: nn.Module
    config: Mapping[str, Any]
    batch: Tensor
    rgb: np.ndarray
    mask: np.ndarray | None
    class_names: Sequence[str]
    palette: Sequence[Colour]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the image."""
        return self.rgb.shape[0], self.rgb.shape[1]

    @property
    def shown(self) -> tuple[int, int]:
        """Width and height on the page."""
        height, width = self.size
        factor = LONGEST / max(height, width)
        return round(width * factor), round(height * factor)

    @torch.no_grad()
    def logits(self) -> Tensor:
        """The network's logits at the image's size, C×H×W."""
        return upsample_logits(self.network(self.batch)["out"], self.size)[0]

    def labels(self) -> np.ndarray:
        """The network's prediction, uint8 H×W."""
        return argmax_labels(self.logits())

    def photo(self) -> tuple[str, str]:
        """The image, for `images`."""
        return "image", photo_uri(self.rgb, longest=LONGEST)

    def truth(self) -> list[tuple[str, str]]:
        """The mask, where there is one."""
        return [] if self.mask is None else [("label", self.colours(self.mask))]

    def colours(self, labels: np.ndarray) -> str:
        """Labels H×W as a data URI in the classes' colours."""
        return labels_uri(labels, self.palette, longest=LONGEST)

    def panels(self, caption: str, predictions: Mapping[str, np.ndarray], *, of: str = "") -> SectionPart:
        """The image, its label and predictions side by side, each with the share of pixels that is right,
        and that differs from the prediction named `of`."""
        shown = [self.photo(), *self.truth()]
        for name, labels in predictions.items():
            shown.append((self.described(name, labels, predictions.get(of)), self.colours(labels)))
        return image_row(caption, shown, *self.shown)

    def described(self, name: str, labels: np.ndarray, base: np.ndarray | None = None) -> str:
        """A prediction's caption: how much of it is right, how much it changes."""
        words = []
        if self.mask is not None:
            valid = self.mask != 255
            words.append(f"{100 * np.mean(labels[valid] == self.mask[valid]):.1f} % right")
        if base is not None and base is not labels:
            words.append(f"{100 * np.mean(labels != base):.1f} % changed")
        return f"{name}: {', '.join(words)}" if words else name

    def frames(self, predictions: Mapping[str, np.ndarray]) -> list[Frame]:
        """Predictions as a slider's frames."""
        return [Frame(name, self.colours(labels)) for name, labels in predictions.items()]


def argmax_labels(logits: Tensor) -> np.ndarray:
    """The argmax of C×H×W, uint8 H×W."""
    return logits.argmax(0).to(torch.uint8).cpu().numpy()


def energy_uri(features: Tensor) -> str:
    """How strong a map's features are, the root mean square over channels of C×h×w, in viridis."""
    energy = features.detach().float().square().mean(0).sqrt()
    scaled = energy / energy.max().clamp(min=torch.finfo(energy.dtype).tiny)
    return heat_uri(scaled.cpu().numpy())


@contextmanager
def changed_inputs(modules: Mapping[nn.Module, Any]) -> Iterator[None]:
    """While it is open, each module gets what its function makes of its first input."""
    handles = [
        module.register_forward_pre_hook(lambda _, given, change=change: (change(given[0]), *given[1:]))
        for module, change in modules.items()
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@torch.no_grad()
def caught(scene: Exhibit, modules: Sequence[nn.Module], *, inputs: bool = False) -> list[Any]:
    """What some modules give, or get, for the image; each once, in their order."""
    found: dict[int, Any] = {}

    def keep(number: int) -> Any:
        def hook(_: nn.Module, given: tuple, out: Any) -> None:
            found.setdefault(number, given[0] if inputs else out)

        return hook

    handles = [module.register_forward_hook(keep(i)) for i, module in enumerate(modules)]
    try:
        scene.network(scene.batch)
    finally:
        for handle in handles:
            handle.remove()
    return [found.get(i) for i in range(len(modules))]
