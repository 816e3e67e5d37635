"""ISBI 2012: membranes in electron microscopy.

"Crowdsourcing the creation of image segmentation algorithms for connectomics", Arganda-Carreras
et al., Frontiers in Neuroanatomy 2015; 30 annotated slices of 512×512 grey pixels, without an
official validation split. Layout: the challenge's stacks train-volume.tif and train-labels.tif, or
train/image/N.png and train/label/N.png, as zhixuhao/unet has them (255 = inside a cell, 0 = membrane).
"""

from functools import cached_property
from typing import Any

import numpy as np

from segtrain.contracts import Pair
from segtrain.data.datasets.class_count import check_num_classes
from segtrain.data.io.files import PairedFiles, find_root, read_pages
from segtrain.data.io.listing import visible
from segtrain.errors import InputError, NoSplit

STORED: dict[str, Any] = {"num_classes": 2, "label_map": {255: 1}}  # 255 is the inside of a cell
VOLUME, LABELS = "train-volume.tif", "train-labels.tif"


class ISBI2012:
    """Slices in blocks: one fold validates, the others train.

    A fold is a run of neighbouring slices, since neighbours look alike: were they spread, the
    network would have seen next to each validation slice.

    Args:
        root: the folder with the stacks or with train/image, or a parent with isbi2012 below.
        folds: the number of blocks; fold: the one to validate on, from 0.
        test_slices: the last so many are the test split, and in no fold.
        num_classes: must be 2.
    """

    class_names = ("membrane", "cell")
    palette = ((0, 0, 0), (255, 255, 255))
    extra_metrics = ("neurites",)

    def __init__(
        self, *, root: str, folds: int = 4, fold: int = 0, test_slices: int = 0, num_classes: int = 2
    ):
        check_num_classes("isbi2012", num_classes, self.class_names)
        if not 0 <= fold < folds or folds < 2:
            raise InputError(f"data.fold={fold} of data.folds={folds}", do="count folds from 0, at least two")
        if test_slices < 0:
            raise InputError(f"data.test_slices={test_slices}", do="give the number of slices")
        how_to_get = f"set data.root to the folder with {VOLUME} and {LABELS}, or train/image and train/label"
        inside = ("isbi2012", "membrane")
        self.root = find_root("ISBI 2012", root, inside, (VOLUME, "train/image"), how_to_get)
        self.folds, self.fold, self.test_slices = folds, fold, test_slices

    @cached_property
    def train(self) -> PairedFiles:
        first, last = self._block()
        return self._split([p for i, p in enumerate(self._folded()) if not first <= i < last])

    @cached_property
    def val(self) -> PairedFiles:
        first, last = self._block()
        return self._split(self._folded()[first:last])

    @cached_property
    def test(self) -> PairedFiles:
        if not self.test_slices:
            raise NoSplit("no slice is kept for it", do="train with data.test_slices=N")
        return self._split(self._pairs()[len(self._folded()) :])

    def _folded(self) -> list[Pair]:
        """The slices that the folds share out."""
        pairs = self._pairs()
        return pairs[: max(len(pairs) - self.test_slices, 0)]

    def _block(self) -> tuple[int, int]:
        slices = len(self._folded())
        return slices * self.fold // self.folds, slices * (self.fold + 1) // self.folds

    @cached_property
    def _stacks(self) -> tuple[np.ndarray, np.ndarray] | None:
        """The pages of both stacks, N×H×W, where there are stacks."""
        if not (self.root / VOLUME).is_file():
            return None
        volume, labels = (read_pages(self.root / name) for name in (VOLUME, LABELS))
        if len(volume) != len(labels):
            raise InputError(
                f"{self.root}: {len(volume)} pages in {VOLUME}, {len(labels)} in {LABELS}",
                do="get the files anew",
            )
        return volume, labels

    def _pairs(self) -> list[Pair]:
        """Every slice in the order of the stack."""
        if self._stacks:
            pages = range(len(self._stacks[0]))
            return [Pair(str(i), self.root / VOLUME, self.root / LABELS) for i in pages]
        images = visible(self.root / "train" / "image", "*.png")
        labels = self.root / "train" / "label"
        ordered = sorted(images, key=lambda path: (len(path.stem), path.stem))
        return [Pair(path.stem, path, labels / path.name) for path in ordered]

    def _split(self, pairs: list[Pair]) -> PairedFiles:
        return Slices(pairs, *self._stacks) if self._stacks else PairedFiles(pairs, **STORED)


class Slices(PairedFiles):
    """Slices that are pages of two stacks, uint8 N×H×W; the name of one is the number of its page."""

    def __init__(self, pairs: list[Pair], volume: np.ndarray, labels: np.ndarray):
        super().__init__(pairs, **STORED)
        self.volume, self.pages = volume, labels

    def image(self, index: int) -> np.ndarray:
        return np.repeat(self.volume[int(self.pairs[index].name), :, :, None], 3, axis=2)

    def stored(self, index: int) -> np.ndarray:
        return self.pages[int(self.pairs[index].name)]
