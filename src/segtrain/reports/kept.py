"""What an evaluation leaves for reports: `images.zip`, a few small images and the counts of all.

An image viewer opens each of its images: `image/`, `mask/`, `prediction/`, `with_crf/`, `error/`,
`confidence/`. Every run of a data set keeps the same ones, so that a report can show them side by side, and
counts the pixels of every image, on which its tests stand.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from segtrain.contracts import IGNORE_INDEX, Colour, Sample
from segtrain.errors import InputError
from segtrain.files import write_bytes
from segtrain.viz.contact_sheet import WRONG
from segtrain.viz.drawing import IGNORE_COLOUR, colour_table, colourise
from segtrain.viz.outlines import nearest

FILE = "images.zip"
KEPT = 48  # images of a split
LONGEST = 256  # pixels of their longer side
LEVELS = 32  # of confidence: more would only make files larger
LARGEST = 200_000_000  # bytes that a part of the file may have, else it is none of ours
DATE = (1980, 1, 1, 0, 0, 0)  # of the parts: the same images give the same bytes
PARTS = ("image", "mask", "prediction", "with_crf", "error", "confidence")


def kept_positions(images: int) -> frozenset[int]:
    """Which images of a split are kept: KEPT of them, spread evenly.

    Example:
        >>> sorted(kept_positions(97))[:3]
        [0, 2, 4]
    """
    if images <= KEPT:
        return frozenset(range(images))
    return frozenset(i * (images - 1) // (KEPT - 1) for i in range(KEPT))


class ImageParts(NamedTuple):
    """Of an image its place in the split, its name, its counts (int64 S×3×C of each stage), and its drawn
    parts, by the folder that they go to."""

    position: int
    name: str
    counts: np.ndarray
    parts: dict[str, bytes]


class KeptImages:
    """Collects what `images.zip` holds.

    Args:
        images: of the split.
        class_names, palette: the data set's.

    Attributes:
        collected: of the images so far; processes bring theirs together before it is written.
    """

    def __init__(self, images: int, class_names: Sequence[str], palette: Sequence[Colour]):
        self.class_names, self.palette = class_names, palette
        self.positions = kept_positions(images)
        self.collected: list[ImageParts] = []

    def add(
        self,
        position: int,
        sample: Sample,
        stages: Sequence[np.ndarray],
        counts: Sequence[np.ndarray],
        confidence: np.ndarray | None = None,
    ) -> None:
        """Adds an image; draws it where it is one of those that are kept.

        Args:
            position: in the split.
            sample: the image and its mask.
            stages: the network's prediction and, with a CRF, that after it: uint8 H×W, or H×W×C.
            counts: each stage's correct, target and predicted pixels of each class, int64 3×C.
            confidence: the probability of the last stage's labels, float32 H×W; None where it is not known.
        """
        parts = self._drawn(sample, stages, confidence) if position in self.positions else {}
        self.collected.append(ImageParts(position, sample.name, np.stack(counts), parts))

    def _drawn(
        self, sample: Sample, stages: Sequence[np.ndarray], confidence: np.ndarray | None
    ) -> dict[str, bytes]:
        height, width = sample.mask.shape[:2]
        factor = min(LONGEST / max(height, width), 1)
        size = max(round(width * factor), 1), max(round(height * factor), 1)
        mask, *small = (nearest(labels, size) for labels in (sample.mask, *stages))
        photo = Image.fromarray(sample.rgb).resize(size, Image.Resampling.BOX)
        parts = {"image": _encoded(photo, "JPEG"), "mask": self._labels(mask)}
        parts |= dict(zip(("prediction", "with_crf"), map(self._labels, small), strict=False))
        parts["error"] = error_map(mask, small[-1])
        if confidence is not None and confidence.ndim == 2:
            reduced = Image.fromarray(confidence.astype(np.float32)).resize(size, Image.Resampling.BOX)
            parts["confidence"] = confidence_map(np.asarray(reduced))
        return parts

    def _labels(self, labels: np.ndarray) -> bytes:
        if labels.ndim == 3:
            return _encoded(Image.fromarray(colourise(labels, self.palette)), "PNG")
        image = Image.fromarray(labels)
        image.putpalette(colour_table(self.palette).tobytes())
        return _encoded(image, "PNG")

    def write(self, folder: Path) -> None:
        """Writes `images.zip`. Raises SaveError."""
        images = sorted(self.collected, key=lambda image: image.position)
        about: dict[str, Any] = {"class_names": list(self.class_names), "palette": [*map(list, self.palette)]}
        about |= {"names": [image.name for image in images]}
        about |= {"kept": [i for i, image in enumerate(images) if image.parts]}
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:

            def put(name: str, data: bytes, kind: int = zipfile.ZIP_STORED) -> None:
                archive.writestr(zipfile.ZipInfo(name, DATE), data, kind)

            put("about.json", json.dumps(about).encode(), zipfile.ZIP_DEFLATED)
            if images:
                numbers = io.BytesIO()
                np.save(numbers, np.stack([image.counts for image in images], 1), allow_pickle=False)
                put("counts.npy", numbers.getvalue(), zipfile.ZIP_DEFLATED)
            for i, image in enumerate(images):
                for part, data in image.parts.items():
                    put(f"{part}/{i:05}.{'jpg' if part == 'image' else 'png'}", data)
        write_bytes(folder / FILE, file.getvalue())


class Kept(NamedTuple):
    """What an `images.zip` says; its images are read one by one.

    Attributes:
        path: of the file.
        class_names, palette: the data set's.
        names: of all images of the split, in order.
        kept: the places in `names` of those that it has images of.
        counts: int64 S×N×3×C: of the network (0) and, with a CRF, after it (-1).
    """

    path: Path
    class_names: tuple[str, ...]
    palette: tuple[Colour, ...]
    names: tuple[str, ...]
    kept: tuple[int, ...]
    counts: np.ndarray

    def parts(self, positions: Iterable[int]) -> dict[int, dict[str, bytes]]:
        """The drawn parts of some images, as PNG (`image` as JPEG), by the folders that they are in."""
        result: dict[int, dict[str, bytes]] = {}
        with zipfile.ZipFile(self.path) as archive:
            known = set(archive.namelist())
            for i in positions:
                names = {part: f"{part}/{i:05}.{'jpg' if part == 'image' else 'png'}" for part in PARTS}
                result[i] = {}
                for part in (part for part, name in names.items() if name in known):
                    with suppress(OSError, ValueError, zipfile.BadZipFile, zlib.error):  # one damaged image
                        result[i][part] = _part(archive, names[part])
        return result


def read_kept(folder: Path) -> Kept | None:
    """Reads a run's `images.zip`; None where it has none.

    Raises:
        InputError: it is damaged.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        with zipfile.ZipFile(path) as archive:
            about = json.loads(_part(archive, "about.json"))
            counts = np.load(io.BytesIO(_part(archive, "counts.npy")), allow_pickle=False)
        names, classes = tuple(map(str, about["names"])), tuple(map(str, about["class_names"]))
        if counts.ndim != 4 or counts.shape[1:] != (len(names), 3, len(classes)):
            raise ValueError("counts of other images")
        palette = tuple((int(r), int(g), int(b)) for r, g, b in about["palette"])
        kept = tuple(int(i) for i in about["kept"] if 0 <= int(i) < len(names))
        return Kept(path, classes, palette, names, kept, counts.astype(np.int64))
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"{path}: damaged ({type(error).__name__})", do="evaluate anew") from error


def _part(archive: zipfile.ZipFile, name: str) -> bytes:
    if archive.getinfo(name).file_size > LARGEST:
        raise ValueError(f"{name} is too large")
    return archive.read(name)


def error_map(mask: np.ndarray, predicted: np.ndarray) -> bytes:
    """A PNG to be laid over the image: wrong pixels are vermilion, right ones dark, ignored ones grey.

    Args:
        mask, predicted: uint8 H×W; of H×W×C a pixel is wrong where one of its labels is.
    """
    wrong, ignored = mask != predicted, mask == IGNORE_INDEX
    if mask.ndim == 3:
        wrong, ignored = (wrong & ~ignored).any(-1), ignored.all(-1)
    image = Image.fromarray(np.where(ignored, 2, wrong).astype(np.uint8))
    image.putpalette([0, 0, 0, *WRONG, *IGNORE_COLOUR])
    return _encoded(image, "PNG", transparency=bytes([150, 255, 200]))


def confidence_map(confidence: np.ndarray) -> bytes:
    """A PNG of confidence, float32 H×W from 0 to 1, in the colours of cividis: bright is sure. Logits that
    are not finite have none."""
    levels = np.round(np.clip(np.nan_to_num(confidence), 0, 1) * (LEVELS - 1)).astype(np.uint8)
    image = Image.fromarray(levels)
    image.putpalette(confidence_colours().tobytes())
    return _encoded(image, "PNG")


@cache
def confidence_colours() -> np.ndarray:
    """The colours of LEVELS levels, uint8 32×3, seen alike by colour-blind people."""
    from matplotlib import colormaps

    return (255 * colormaps["cividis"](np.linspace(0, 1, LEVELS))[:, :3]).round().astype(np.uint8)


def _encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **({"quality": 85} if kind == "JPEG" else {}), **options)
    return file.getvalue()
