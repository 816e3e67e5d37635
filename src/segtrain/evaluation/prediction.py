"""The prediction for one image, as `segtrain.predict` gives it."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from segtrain.contracts import IGNORE_INDEX, Colour, Sample
from segtrain.errors import InputError
from segtrain.files import user_path
from segtrain.input_spec import RGB8, InputSpec
from segtrain.viz.drawing import overlay, with_legend
from segtrain.viz.outlines import labels_in


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
        """The image with `share` of the classes' colours in it, and a legend of those that it has."""
        drawn = overlay(self.image, self.labels, self.palette, share)
        if legend:
            shown = [label for label in labels_in(self.labels) if label < len(self.class_names)]
            named = [self.class_names[i] for i in shown], [self.palette[i] for i in shown]
            drawn = with_legend(drawn, *named)
        return Image.fromarray(drawn)

    def _repr_html_(self) -> str:
        file = io.BytesIO()
        self.overlay().save(file, "PNG")
        return (
            f'<img alt="prediction" src="data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}">'
        )


def sample_of(
    image: np.ndarray | Image.Image | str | Path, spec: InputSpec, read: Callable[[Path], np.ndarray]
) -> Sample:
    """An image as a model takes it, without a mask.

    Args:
        image: an array, a PIL image or the path of a file.
        spec: what the model takes.
        read: reads a file.

    Raises:
        InputError: another kind of image, or a file that cannot be read.
    """
    if isinstance(image, str | Path):
        pixels = read(user_path(image))
    else:
        pixels = np.asarray(image.convert("RGB") if isinstance(image, Image.Image) else image)
    if spec == RGB8 and pixels.ndim == 2:
        pixels = pixels[..., None].repeat(3, 2)  # grey, as a file of it is read
    fits = pixels.ndim == 3 and pixels.shape[2] == spec.channels and pixels.size > 0
    if not fits or str(pixels.dtype) != spec.dtype:
        wanted = f"{spec.dtype} H×W×{spec.channels}" + " RGB" * (spec == RGB8)
        raise InputError(
            f"image must be {wanted}, got {pixels.dtype} {'×'.join(map(str, pixels.shape))}", do="convert it"
        )
    mask = np.broadcast_to(np.uint8(IGNORE_INDEX), pixels.shape[:2])
    return Sample(pixels, mask, "image", spec)


def grey_palette(classes: int) -> tuple[Colour, ...]:
    """Colours of classes whose own nobody knows: black to white."""
    levels = [round(255 * i / max(classes - 1, 1)) for i in range(classes)]
    return tuple((level, level, level) for level in levels)
