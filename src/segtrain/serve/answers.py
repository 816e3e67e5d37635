"""Predictions as a server's answers: a palette PNG, run lengths, polygons, or numbers."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
from PIL import Image

from segtrain.contracts import Colour
from segtrain.viz.drawing import colour_table


class Served(NamedTuple):
    """What a network says of an image.

    Attributes:
        labels: uint8 H×W; H×W×C of 0 and 1 where a pixel may have several labels.
        class_names, palette: of the checkpoint.
    """

    labels: np.ndarray
    class_names: Sequence[str]
    palette: Sequence[Colour]

    def masks(self) -> Iterator[tuple[int, np.ndarray]]:
        """Class index and bool H×W of each class that is in the image."""
        for i in range(len(self.class_names)):
            mask = self.labels[..., i] == 1 if self.labels.ndim == 3 else self.labels == i
            if mask.any():
                yield i, mask


class Answer(NamedTuple):
    """Bytes and their kind, as HTTP names it."""

    content: bytes
    kind: str


def as_png(prediction: Served) -> Answer:
    """Class indices as a palette PNG; of several labels a pixel the first."""
    labels = (
        prediction.labels if prediction.labels.ndim == 2 else prediction.labels.argmax(2).astype(np.uint8)
    )
    image = Image.fromarray(labels)
    image.putpalette(colour_table(prediction.palette).tobytes())
    file = io.BytesIO()
    image.save(file, "PNG")
    return Answer(file.getvalue(), "image/png")


def as_rle(prediction: Served) -> Answer:
    """COCO's uncompressed run lengths of each class: column by column, the first run is of 0."""
    height, width = prediction.labels.shape[:2]
    masks = [_named(prediction, i) | {"counts": run_lengths(mask)} for i, mask in prediction.masks()]
    return _json({"size": [height, width], "masks": masks})


def run_lengths(mask: np.ndarray) -> list[int]:
    """Lengths of the runs of a mask, column by column, beginning with 0.

    Args:
        mask: bool H×W.

    Example:
        >>> run_lengths(np.array([[True, False], [True, False]]))
        [0, 2, 2]
    """
    flat = mask.ravel(order="F")
    ends = np.flatnonzero(np.diff(flat)) + 1
    lengths = np.diff(np.concatenate([[0], ends, [flat.size]])).tolist()
    return [0, *lengths] if flat[0] else lengths


def as_geojson(prediction: Served) -> Answer:
    """The outlines of each class as polygons in pixels, y downwards, with what is cut out of them."""
    features = []
    for i, mask in prediction.masks():
        found, levels = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
        rings = [_ring(contour) for contour in found]
        outer = [k for k in range(len(found)) if levels[0][k][3] < 0]
        polygons = [[rings[k], *(rings[m] for m in range(len(found)) if levels[0][m][3] == k)] for k in outer]
        geometry = {"type": "MultiPolygon", "coordinates": polygons}
        features.append({"type": "Feature", "properties": _named(prediction, i), "geometry": geometry})
    return _json({"type": "FeatureCollection", "features": features}, "application/geo+json")


def as_shares(prediction: Served) -> Answer:
    """The share of the image's pixels that each class has."""
    height, width = prediction.labels.shape[:2]
    classes = [_named(prediction, i) | {"share": float(mask.mean())} for i, mask in prediction.masks()]
    return _json({"height": height, "width": width, "classes": classes})


def _named(prediction: Served, i: int) -> dict[str, Any]:
    return {"index": i, "name": prediction.class_names[i], "colour": list(prediction.palette[i])}


def _ring(contour: np.ndarray) -> list[list[int]]:
    """A closed ring of [x, y]; GeoJSON wants four points at least."""
    points = contour[:, 0].tolist()
    points += points[-1:] * max(3 - len(points), 0)
    return [*points, points[0]]


def _json(value: Any, kind: str = "application/json") -> Answer:
    return Answer(json.dumps(value).encode(), kind)


ANSWERS: dict[str, Callable[[Served], Answer]] = {
    "png": as_png,
    "rle": as_rle,
    "geojson": as_geojson,
    "shares": as_shares,
}
