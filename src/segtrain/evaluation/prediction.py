"""The prediction for one image, as `segtrain.predict` gives it."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

from segtrain.contracts import Colour
from segtrain.viz.drawing import overlay, with_legend


@dataclass(frozen=True)
class Prediction:
    """The prediction for one image.

    Attributes:
        image: uint8 H×W×3, RGB.
        labels: class indices, uint8 H×W; of a `multilabel` model 0 and 1, uint8 H×W×C.
        probabilities: of the classes, float32 C×H×W.
        class_names: of the model.
        palette: of the model, the RGB colour of each class, 0..255.
    """

    image: np.ndarray
    labels: np.ndarray
    probabilities: np.ndarray
    class_names: tuple[str, ...]
    palette: tuple[Colour, ...]

    def overlay(self, share: float = 0.5, *, legend: bool = True) -> Image.Image:
        """The image with `share` of the classes' colours in it, and a legend."""
        drawn = overlay(self.image, self.labels, self.palette, share)
        return Image.fromarray(with_legend(drawn, self.class_names, self.palette) if legend else drawn)

    def _repr_html_(self) -> str:
        file = io.BytesIO()
        self.overlay().save(file, "PNG")
        return (
            f'<img alt="prediction" src="data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}">'
        )
