"""The objects of a split: VOC's instances, else the connected regions of one class."""

from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np

from segtrain.contracts import IGNORE_INDEX, HasInstances, Split
from segtrain.data.checks.scan import read_labels, scan_masks
from segtrain.data.crops.boxes import Box
from segtrain.errors import InputError

BACKGROUND = 0


class Object(NamedTuple):
    """label: its class. number: its value in the instance mask, else its number among the regions
    of its class. box: the tight one."""

    label: int
    number: int
    box: Box


class Annotated(NamedTuple):
    """An image's name, its size in pixels, and its objects."""

    name: str
    height: int
    width: int
    objects: list[Object]


def find_objects(split: Split, min_area: int) -> list[Annotated]:
    """The objects of at least `min_area` pixels of every image; read once, and cached.

    Where the split's `instances(index)` gives a mask (H×W: 0 and 255 no object, else its number),
    those are the objects; otherwise the 8-connected regions of each class but background (0):
    neighbours of one class are one object then, and what is hidden in the middle is two.

    Raises:
        InputError: an instance mask of another size, or no object in the whole split.
    """
    images = [
        Annotated(
            name, height, width, [Object(o[0], o[1], Box(*o[2:6])) for o in objects if o[6] >= min_area]
        )
        for name, height, width, objects in scan_masks(split, "objects", _annotated)
    ]
    if not any(image.objects for image in images):
        raise InputError(
            f"crops: no object of crops.min_area={min_area} pixels or more in {len(images)} images",
            do="lower crops.min_area, or train on whole images with crops=null",
        )
    return images


def object_pixels(mask: np.ndarray, instances: np.ndarray | None, label: int, number: int) -> np.ndarray:
    """The pixels of an object of this mask, bool H×W."""
    own = mask == label
    if instances is not None:
        return own & (instances == number)
    return cv2.connectedComponents(own.astype(np.uint8), connectivity=8)[1] == number


def read_instances(split: Split, index: int, mask: np.ndarray) -> np.ndarray | None:
    """The instance mask of an image with these labels, None without one. Raises InputError."""
    instances = split.instances(index) if isinstance(split, HasInstances) else None
    if instances is not None and instances.shape != mask.shape:
        (h, w), (height, width) = instances.shape, mask.shape
        raise InputError(
            f"{read_labels(split, index)[1]}: its instance mask is {w}×{h}, its labels are {width}×{height}",
            do="both must have the same size",
        )
    return instances


def _annotated(split: Split, index: int) -> list:
    mask, name = read_labels(split, index)
    instances = read_instances(split, index, mask)
    found = _regions(mask) if instances is None else _instances(mask, instances)
    return [name, *mask.shape, list(found)]


def _regions(mask: np.ndarray) -> Iterator[list[int]]:
    """[label, number, x, y, width, height, area] of each connected region of a class."""
    for label in np.unique(mask).tolist():
        if label not in (BACKGROUND, IGNORE_INDEX):
            own = (mask == label).astype(np.uint8)
            count, _, stats, _ = cv2.connectedComponentsWithStats(own, connectivity=8)
            for number in range(1, count):
                yield [label, number, *stats[number].tolist()]


def _instances(mask: np.ndarray, instances: np.ndarray) -> Iterator[list[int]]:
    """The same of each instance; its class is the one that most of its pixels have."""
    for number in np.unique(instances).tolist():
        labels = mask[instances == number]
        labels = labels[(labels != BACKGROUND) & (labels != IGNORE_INDEX)]
        if number not in (0, IGNORE_INDEX) and labels.size:
            label = int(np.bincount(labels).argmax())
            own = object_pixels(mask, instances, label, number).astype(np.uint8)
            yield [label, number, *cv2.boundingRect(own), int(own.sum())]
