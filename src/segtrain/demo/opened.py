"""What the demo shows of an image: networks' probabilities, and what the page's controls make of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from segtrain.contracts import IGNORE_INDEX, Colour
from segtrain.data.io.opening import stated_size
from segtrain.errors import InputError
from segtrain.viz.drawing import overlay

MEGA = 1_000_000


class DemoModel(NamedTuple):
    """A checkpoint as the demo needs it.

    Attributes:
        name: shown above its predictions.
        predict: an image H×W×C as its probabilities, float32 C×H×W.
        image_labels: probabilities to uint8 H×W; H×W×C of 0 and 1 where a pixel may have several labels.
        class_names, palette: of the checkpoint.
        multilabel: whether a pixel may have several labels; the CRF gives it one.
    """

    name: str
    predict: Callable[[np.ndarray], np.ndarray]
    image_labels: Callable[[np.ndarray], np.ndarray]
    class_names: Sequence[str]
    palette: Sequence[Colour]
    multilabel: bool = False


@dataclass(frozen=True)
class Controls:
    """What the page's controls say.

    Attributes:
        view: overlay, classes or confidence.
        share: of the colours in an overlay, 0 to 1.
        hidden: names of classes that are not drawn.
        crf: the keys of `segtrain.crf.dense_crf`; None without it.
    """

    view: str = "overlay"
    share: float = 0.6
    hidden: frozenset[str] = frozenset()
    crf: dict[str, Any] | None = None


@dataclass
class Opened:
    """An image and what the networks say of it.

    Attributes:
        name: of the file. rgb: uint8 H×W×3. probabilities: of each model, float16 C×H×W.
    """

    name: str
    rgb: np.ndarray
    probabilities: list[np.ndarray]
    _refined: dict[tuple[int, str], np.ndarray] = field(default_factory=dict)

    def refined(self, i: int, crf: dict[str, Any] | None) -> np.ndarray:
        """The probabilities of model `i`, float32 C×H×W, after the CRF where there is one. The last ones are
        kept, for other controls change nothing of them."""
        if crf is None:
            return self.probabilities[i].astype(np.float32)
        key = i, repr(crf)
        if key not in self._refined:
            from segtrain.crf import dense_crf

            self._refined = {other: kept for other, kept in self._refined.items() if other[0] != i}
            self._refined[key] = dense_crf(self.rgb, self.refined(i, None), **crf)
        return self._refined[key]


def read_bounded(path: Path, read: Callable[[Path], np.ndarray], max_megapixels: float) -> np.ndarray:
    """Reads an image that is not too large, by what its head says before it is decoded: a small file may
    hold gigabytes.

    Args:
        path: of the file.
        read: gives its pixels, H×W×C; raises InputError.
        max_megapixels: that it may have.

    Raises:
        InputError: no image, or one that is too large.
    """
    stated = stated_size(path)
    image = None if stated else read(path)
    height, width = stated or image.shape[:2]  # type: ignore[union-attr]
    if height * width > max_megapixels * MEGA:
        raise InputError(
            f"{path.name}: the image must have at most {max_megapixels:g} megapixels, got {width}×{height}",
            do="use segpredict, or a larger max_megapixels=",
        )
    return read(path) if image is None else image


class Drawn(NamedTuple):
    """image: uint8 H×W×3. labels: as `DemoModel.image_labels`. shares: of the image, a class each."""

    image: np.ndarray
    labels: np.ndarray
    shares: list[float]
    confidence: float


def analyse_image(
    path: Path,
    read: Callable[[Path], np.ndarray],
    to_rgb: Callable[[np.ndarray], np.ndarray],
    models: Sequence[DemoModel],
    *,
    max_megapixels: float,
) -> Opened:
    """Reads an image and lets every network predict it.

    Args:
        path: of the file.
        read: an image's path to H×W×C as the networks take it; raises InputError.
        to_rgb: that to uint8 H×W×3, for people and the CRF.
        models: that predict.
        max_megapixels: of the image.

    Raises:
        InputError: no image, or one that is too large.

    Example:
        >>> scene = analyse_image(Path("street.png"), read, spec.to_rgb, [model], max_megapixels=12)
    """
    image = read_bounded(path, read, max_megapixels)
    probabilities = [model.predict(image).astype(np.float16) for model in models]
    return Opened(path.name, to_rgb(image), probabilities)


def draw_prediction(scene: Opened, i: int, model: DemoModel, controls: Controls) -> Drawn:
    """Draws what a model says of the image, as the controls want it.

    Args:
        scene: of `analyse_image`.
        i: which model it is.
        model: the same.
        controls: of the page.

    Returns:
        The drawing and what it was made of.

    Raises:
        InputError: parameters of the CRF that do not fit.
    """
    probabilities = scene.refined(i, None if model.multilabel else controls.crf)
    labels = model.image_labels(probabilities)
    confidence = probabilities.max(0) if not model.multilabel else np.abs(probabilities - 0.5).min(0) + 0.5
    image = scene.rgb
    if controls.view == "confidence":
        image = cividis(confidence)
    else:
        visible = without_classes(labels, [name in controls.hidden for name in model.class_names])
        share = 1.0 if controls.view == "classes" else controls.share
        image = _over(scene.rgb, visible, model.palette, share)
    return Drawn(image, labels, class_shares(labels, len(model.class_names)), float(confidence.mean()))


def _over(rgb: np.ndarray, labels: np.ndarray, palette: Sequence[Colour], share: float) -> np.ndarray:
    """The image under the colours of the labels; where a class is hidden, the image itself."""
    drawn = overlay(rgb, labels, palette, share)
    if labels.ndim == 2:
        drawn = np.where((labels == IGNORE_INDEX)[..., None], rgb, drawn)
    return drawn


def without_classes(labels: np.ndarray, hidden: Collection[bool]) -> np.ndarray:
    """The labels with those of hidden classes ignored; of several a pixel, taken away.

    Args:
        labels: uint8 H×W, or H×W×C of 0 and 1.
        hidden: for each class whether it is.
    """
    table = np.arange(256, dtype=np.uint8)
    chosen = np.flatnonzero(list(hidden))
    if labels.ndim == 3:
        labels = labels.copy()
        labels[..., chosen] = 0
        return labels
    table[chosen] = IGNORE_INDEX
    return table[labels]


def class_shares(labels: np.ndarray, classes: int) -> list[float]:
    """The share of the image's pixels that each class has."""
    if labels.ndim == 3:
        return [float(value) for value in (labels == 1).mean((0, 1))]
    counts = np.bincount(labels.ravel(), minlength=256)[:classes]
    return [float(count) / labels.size for count in counts]


def cividis(confidence: np.ndarray) -> np.ndarray:
    """Confidence, H×W in 0..1, from blue (0) to yellow (1), uint8 H×W×3; colour-blind people see it alike."""
    from matplotlib import colormaps

    return (colormaps["cividis"](confidence.clip(0, 1))[..., :3] * 255).round().astype(np.uint8)


def scene_numbers(
    scene: Opened, drawn: Sequence[Drawn], models: Sequence[DemoModel], controls: Controls
) -> dict:
    """What the JSON file for an image holds."""
    height, width = scene.rgb.shape[:2]
    return {
        "image": scene.name,
        "height": height,
        "width": width,
        "crf": controls.crf,
        "models": [
            {
                "name": model.name,
                "mean_confidence": one.confidence,
                "classes": [
                    {"index": i, "name": name, "colour": list(colour), "share": share}
                    for i, (name, colour, share) in enumerate(
                        zip(model.class_names, model.palette, one.shares, strict=True)
                    )
                ],
            }
            for model, one in zip(models, drawn, strict=True)
        ],
    }
