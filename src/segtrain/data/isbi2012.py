"""ISBI 2012: membranes in electron microscopy.

"Crowdsourcing the creation of image segmentation algorithms for connectomics", Arganda-Carreras
et al., Frontiers in Neuroanatomy 2015; 30 labelled slices of 512×512 grey pixels, without an
official validation split. Layout: train/image/N.png and train/label/N.png (255 = inside a cell,
0 = membrane), as the stacks are unpacked in zhixuhao/unet.
"""

from functools import cached_property

from segtrain.data.files import Pair, PairedFiles, find_root
from segtrain.data.sample import check_num_classes
from segtrain.errors import InputError

CELL = 255


class ISBI2012:
    """Slices in blocks: one fold validates, the others train.

    A fold is a run of neighbouring slices, since neighbours look alike: were they spread, the
    network would have seen next to each validation slice.

    Args:
        root: the folder with train/image, or a parent with isbi2012 below.
        folds: the number of blocks; fold: the one to validate on, from 0.
        num_classes: must be 2.
    """

    class_names = ("membrane", "cell")
    palette = ((0, 0, 0), (255, 255, 255))
    extra_metrics = ("neurites",)

    def __init__(self, *, root: str, folds: int = 4, fold: int = 0, num_classes: int = 2):
        check_num_classes("isbi2012", num_classes, self.class_names)
        if not 0 <= fold < folds or folds < 2:
            raise InputError(f"data.fold={fold} of data.folds={folds}", do="count folds from 0, at least two")
        how_to_get = "set data.root to the folder with train/image and train/label"
        self.root = find_root("ISBI 2012", root, ("isbi2012", "membrane"), "train/image", how_to_get)
        self.folds, self.fold = folds, fold

    @cached_property
    def train(self) -> PairedFiles:
        first, last = self._block()
        return self._split([p for i, p in enumerate(self._pairs()) if not first <= i < last])

    @cached_property
    def val(self) -> PairedFiles:
        first, last = self._block()
        return self._split(self._pairs()[first:last])

    def _block(self) -> tuple[int, int]:
        slices = len(self._pairs())
        return slices * self.fold // self.folds, slices * (self.fold + 1) // self.folds

    def _pairs(self) -> list[Pair]:
        """Every slice in the order of the stack."""
        images = (self.root / "train" / "image").glob("*.png")
        labels = self.root / "train" / "label"
        ordered = sorted(images, key=lambda path: (len(path.stem), path.stem))
        return [Pair(path.stem, path, labels / path.name) for path in ordered]

    def _split(self, pairs: list[Pair]) -> PairedFiles:
        return PairedFiles(pairs, num_classes=2, label_map={CELL: 1})
