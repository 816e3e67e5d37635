"""The masks of a split, drawn from regions when they are asked for."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from torch.utils.data import Dataset

from segtrain.contracts import IGNORE_INDEX, Sample
from segtrain.data.formats.regions import DAMAGED, Item
from segtrain.data.io.image_files import ImageFiles
from segtrain.data.io.opening import unequal_sizes
from segtrain.errors import InputError, shorten

UNDECIDED = -1


class Rules(NamedTuple):
    """labels: of the categories; others are ignored. overlap, unlisted: as `Annotated` takes them."""

    labels: dict[str, int]
    overlap: str
    unlisted: str

    def label(self, category: str | None) -> int:
        """The class index of a category, 255 where it is ignored."""
        return IGNORE_INDEX if category is None else self.labels.get(category, IGNORE_INDEX)


class DrawnSplit(Dataset):
    """Images in files, and masks that are drawn.

    Args:
        items: what is in the split.
        rules: what becomes of categories, overlaps and unlisted pixels.
        stamps: of the annotations' files.
        image_files: gives what the images are.

    Raises:
        InputError: no item; on reading, an image that is damaged or of another size than the annotations
            say, an annotation that cannot be drawn.
    """

    def __init__(self, items: list[Item], rules: Rules, stamps: list, image_files: Callable[[], ImageFiles]):
        if not items:
            raise InputError("the split is empty", do="check data.annotations")
        self.items, self.rules, self.stamps, self.image_files = items, rules, stamps, image_files

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Sample:
        item = self.items[index]
        image, invalid = self.image_files().reader.with_invalid(item.image)
        height, width = item.size or image.shape[:2]
        if (height, width) != image.shape[:2]:
            found = unequal_sizes(image, np.empty((height, width), bool), item.image, item.image)
            raise InputError(
                f"{item.image}: {found.replace('the mask is', 'its annotation is')}", do="export anew"
            )
        mask = self._draw(item, height, width)
        if invalid is not None:
            mask[invalid] = IGNORE_INDEX
        return Sample(image, mask, item.name)

    def labels(self, index: int) -> tuple[np.ndarray, str]:
        """A sample's mask and name; its image is read where the annotations do not say its size."""
        item = self.items[index]
        height, width = item.size or self.image_files().reader(item.image).shape[:2]
        return self._draw(item, height, width), item.name

    def source(self, index: int) -> tuple[str, Path]:
        """A sample's name and image file."""
        return self.items[index][:2]

    def identity(self) -> list:
        """A JSON value that changes with the annotations and the rules."""
        names = [item.name for item in self.items]
        return [
            sorted(self.rules.labels.items()),
            self.rules.overlap,
            self.rules.unlisted,
            self.stamps,
            names,
        ]

    def _draw(self, item: Item, height: int, width: int) -> np.ndarray:
        try:
            drawn = [(self.rules.label(r.category), r.draw(height, width)) for r in item.regions]
        except DAMAGED as error:
            what = f"{item.name}: an annotation cannot be drawn ({shorten(error)})"
            raise InputError(what, do="mend it") from error
        return combine(drawn, height, width, self.rules)


def combine(drawn: list[tuple[int, np.ndarray]], height: int, width: int, rules: Rules) -> np.ndarray:
    """One label a pixel from regions that may overlap.

    Args:
        drawn: label and bool H×W of each region, in the file's order. Ignored ones lie under all others.
        height, width: of the image.
        rules: `overlap` decides between two classes, `unlisted` where there is no region.

    Returns:
        uint8 H×W; where `overlap` leaves both classes H×W×C of 0, 1 and 255.
    """
    if rules.overlap == "all":
        return _every_class(drawn, height, width, rules)
    mask = np.full((height, width), 0 if rules.unlisted == "background" else IGNORE_INDEX, np.uint8)
    for label, region in drawn:
        if label == IGNORE_INDEX:
            mask[region] = IGNORE_INDEX
    classes = [(label, region) for label, region in drawn if label != IGNORE_INDEX]
    if rules.overlap == "small_on_top":
        classes.sort(key=lambda one: -int(one[1].sum()))
    taken = np.full((height, width), UNDECIDED, np.int16)
    disputed = np.zeros((height, width), bool)
    for label, region in classes:
        disputed |= region & (taken != UNDECIDED) & (taken != label)
        taken[region] = label
        mask[region] = label
    if rules.overlap == "ignore":
        mask[disputed] = IGNORE_INDEX
    return mask


def _every_class(drawn: list[tuple[int, np.ndarray]], height: int, width: int, rules: Rules) -> np.ndarray:
    """A yes or no for each class; ignored is what only ignored regions have, or, where unlisted pixels
    are ignored, none."""
    stack = np.zeros((height, width, len(rules.labels)), np.uint8)
    listed, ignored = np.zeros((2, height, width), bool)
    for label, region in drawn:
        if label == IGNORE_INDEX:
            ignored |= region
        else:
            listed |= region
            stack[region, label] = 1
    stack[~listed & (ignored | (rules.unlisted == "ignore"))] = IGNORE_INDEX
    return stack
