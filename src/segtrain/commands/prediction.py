"""The prediction for one image, for `segpredict` on images and on videos."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from segtrain.contracts import IGNORE_INDEX, Colour, Crf, Sample
from segtrain.data.datasets.palettes import okabe_ito
from segtrain.data.io.images import ImageLayout, ImageReader
from segtrain.engine.checkpoint import Checkpoint
from segtrain.evaluation.predictor import Predict
from segtrain.input_spec import RGB8, InputSpec
from segtrain.viz.drawing import overlay, with_legend
from segtrain.viz.outlines import labels_in

BACKGROUND = ("background", "unlabelled", "unlabeled")  # names of what is no object
OnProbabilities = Callable[[np.ndarray, str, np.ndarray], None]  # image, its name, probabilities C×H×W


class Classes(NamedTuple):
    """The classes of a checkpoint."""

    names: tuple[str, ...]
    palette: tuple[Colour, ...]

    @classmethod
    def of(cls, saved: Checkpoint, palette: str | None = None) -> Classes:
        """Those that a checkpoint carries, in its colours or in those of `okabe_ito`."""
        names = tuple(saved.meta["class_names"])
        return cls(names, okabe_ito(names) if palette else tuple(map(tuple, saved.meta["palette"])))


class ImagePrediction(NamedTuple):
    """What is predicted for an image.

    Attributes:
        labels: class indices, uint8 H×W; 0 and 1, H×W×C, where a pixel may have several.
        probabilities: of the classes, float32 C×H×W, where they or the CRF are wanted.
    """

    labels: np.ndarray
    probabilities: np.ndarray | None


class ImagePredictor:
    """Predicts the class indices of an image, by a model and, where it is on, the CRF.

    Also gives the class probabilities, if they or the CRF are wanted. Otherwise they never are in
    memory together: those of a large image take gigabytes.

    Args:
        predict: a model or an ensemble.
        crf: the dense CRF, or None.
        spec: of the images.
        probabilities: whether they are wanted.
        on_probabilities: gets each image, its name and the probabilities before the CRF.
    """

    def __init__(
        self,
        predict: Predict,
        crf: Crf | None,
        *,
        spec: InputSpec = RGB8,
        probabilities: bool = False,
        on_probabilities: OnProbabilities | None = None,
    ):
        self.predict, self.crf, self.spec = predict, crf, spec
        self.probabilities, self.on_probabilities = probabilities, on_probabilities

    def __call__(self, image: np.ndarray, name: str) -> ImagePrediction:
        """What is predicted for an image H×W×C."""
        return self.many([image], [name])[0]

    def many(self, images: list[np.ndarray], names: list[str]) -> list[ImagePrediction]:
        """What is predicted for images H×W×C of one size, which the network takes together.

        Raises:
            DivergedError, NotFinite: as `Predict.check`.
        """
        if self.crf is None and not self.probabilities:
            samples = self._samples(images, names)
            labels = self.predict.labels(samples).cpu().numpy()
            self.predict.check(samples)
            return [ImagePrediction(one, None) for one in labels]
        found = self.probabilities_of(images, names)
        return [ImagePrediction(self.predict.task.image_labels(one), one) for one in found]

    def probabilities_of(self, images: list[np.ndarray], names: list[str]) -> list[np.ndarray]:
        """The class probabilities float32 C×H×W of images of one size, the CRF's where it is on."""
        samples = self._samples(images, names)
        found = list(self.predict(samples).cpu().numpy())
        self.predict.check(samples)
        for i, sample in enumerate(samples):
            if self.on_probabilities is not None:
                self.on_probabilities(sample.rgb, sample.name, found[i])
            if self.crf is not None:
                found[i] = self.crf(sample.rgb, found[i])
        return found

    def _samples(self, images: list[np.ndarray], names: list[str]) -> list[Sample]:
        mask = np.broadcast_to(np.uint8(IGNORE_INDEX), images[0].shape[:2])
        return [Sample(image, mask, name).of(self.spec) for image, name in zip(images, names, strict=True)]


def image_reader(data: dict[str, Any], spec: InputSpec) -> ImageReader:
    """What reads an image file as the data set of a config does.

    Args:
        data: the config of the data set that the model was trained on.
        spec: of that data set's images.
    """
    layout = ImageLayout(spec.channels, spec.dtype)
    channels, bands = data.get("channels"), data.get("bands") or ()
    return ImageReader(layout, channels=channels, bands=bands, white=data.get("white"))


def draw_overlay(
    image: np.ndarray,
    labels: np.ndarray,
    classes: Classes,
    share: float,
    *,
    legend: bool,
    every: bool = False,
) -> np.ndarray:
    """The image under `share` of its classes' colours, uint8 H×W×3, wider by a legend of those that it has,
    or of `every` one. The background and ignored pixels stay clear."""
    clear = [i for i, name in enumerate(classes.names) if name in BACKGROUND]
    overlaid = overlay(image, labels, classes.palette, share, (IGNORE_INDEX, *clear))
    if not legend:
        return overlaid
    present = range(len(classes.names)) if every else labels_in(labels)
    shown = [i for i in present if i not in (IGNORE_INDEX, *clear)]
    return with_legend(overlaid, [classes.names[i] for i in shown], [classes.palette[i] for i in shown])
