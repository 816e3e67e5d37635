"""Your own images and masks, without a line of Python."""

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Literal

import numpy as np

from segtrain.contracts import IGNORE_INDEX, InputHints, Pair, Sample
from segtrain.data.checks.refusal import refuse
from segtrain.data.datasets.classes import find_classes
from segtrain.data.datasets.pairing import Folders, seeded_split
from segtrain.data.io.files import PairedFiles
from segtrain.data.io.image_files import ImageFiles
from segtrain.data.io.label_map import LabelMap, parse_label_map
from segtrain.data.io.masks import read_colours, snap_numbers
from segtrain.errors import InputError, MaskError, NoSplit
from segtrain.files import user_path

LOOKED_AT = 8  # masks, to see whether 255 can be meant as ignored
TRAIN, VAL = "train", ("val", "valid", "validation")  # what folders of splits are called


class Folder:
    """Two folders of images and masks, or lists of them.

    Masks hold an index a pixel (grey or palette), any numbers that `label_map` turns into labels,
    or colours that it does. 255 is ignored. Images have 1 to 64 channels of 8 or 16 bits or of
    float32; grey and RGB with 8 bits become RGB (`data/io/images.py`). A pixel without data (NaN, or
    a GeoTIFF's nodata) is ignored.

    Args:
        root: the folder that all else is relative to.
        num_classes: labels are 0 .. num_classes-1; null counts `class_names`, else what `root/classes.yaml`
            lists, else the labels of `label_map`; 2 where there is none of them.
        images, masks: the folders; an image and its mask have the same path in them up to the suffix.
        mask_suffix: what the masks' names have on top, `_mask` for a.jpg and a_mask.png.
        train_split, val_split: each a list NAME.txt (`Folders.listed`), or a folder images/NAME with
            masks/NAME, or NAME/images with NAME/masks; both null splits at random.
        test_split: the same of the test split, whose images no random split takes; null: none.
        val_fraction, seed: of a random split.
        class_names: null takes those of `root/classes.yaml`, else numbers them.
        palette: a colour a class, null the first of each in `label_map`.
        label_map: stored number, or colour as "255,0,0", -> label; or the path of such a YAML file.
        snap: a number or colour that is not in `label_map` takes the label of the nearest that is.
        unlabelled: images without a mask: null refuses them, skip leaves them out, background makes
            all of their pixels class 0.
        channels: of the images, counted from 1, in the order that the network gets; null: all.
        bands: suffixes of the files that hold an image's channels, `[_B02,_B03]` for a_B02.tif and
            a_B03.tif with the mask a.png; null: one file an image.
        rgb: the three channels that are shown and given to the CRF; null: the first three.
        range: [lowest, highest] number of the images, which are taken to the network's mean and std;
            null: 0 to 255 of 8 bits, else the training images' own mean and std.
        white: short for range=[0,white] of 16-bit grey images: 4095 where 12 bits are used.

    Raises:
        InputError: an argument that does not fit; when a split is first asked for, nothing found, a
            image or mask without its counterpart, or an image in both splits; on reading, as
            `PairedFiles`, and masks of nothing but 0 and 255 where `label_map` does not say what
            255 is.
    """

    def __init__(
        self,
        *,
        root: str,
        num_classes: int | None = None,
        images: str = "images",
        masks: str = "masks",
        mask_suffix: str = "",
        train_split: str | None = None,
        val_split: str | None = None,
        test_split: str | None = None,
        val_fraction: float = 0.25,
        seed: int = 0,
        class_names: list[str] | None = None,
        palette: list[list[int]] | None = None,
        label_map: Mapping[int | str, int] | str | None = None,
        snap: bool = False,
        unlabelled: Literal["skip", "background"] | None = None,
        channels: list[int] | None = None,
        bands: list[str] | None = None,
        rgb: list[int] | None = None,
        range: list[float] | None = None,
        white: int | None = None,
    ):
        self.image_files = ImageFiles(channels=channels, bands=bands, rgb=rgb, range=range, white=white)
        self.root = user_path(root)
        self.images, self.masks, self.mask_suffix = images, masks, mask_suffix
        self.train_split, self.val_split, self.test_split = train_split, val_split, test_split
        self.val_fraction, self.seed = val_fraction, seed
        self.unlabelled: str | None = unlabelled
        classes = find_classes(self.root, num_classes, class_names, palette, label_map)
        self.class_names, self.palette = classes.names, classes.palette
        self.label_map = parse_label_map(label_map, len(self.class_names))
        if snap and not any(self.label_map):
            raise InputError("data.snap=true: no data.label_map", do="list the numbers or colours in it")
        self.snap = snap

    @cached_property
    def train(self) -> "FolderSplit":
        if self.train_split is None and self.val_split is None:
            return self._split(self._at_random[0])
        pairs = self._named(self.train_split, "train_split")
        both = {pair.image for pair in pairs} & {pair.image for pair in self.val.pairs}
        if self.train_split != self.val_split:
            refuse([f"{path}: in both splits" for path in sorted(both)], do="let it train or validate")
        return self._split(pairs)

    @cached_property
    def val(self) -> "FolderSplit":
        if self.train_split is None and self.val_split is None:
            return self._split(self._at_random[1])
        return self._split(self._named(self.val_split, "val_split"))

    @cached_property
    def test(self) -> "FolderSplit":
        if self.test_split is None:
            raise NoSplit("data.test_split is null", do="set it to a list or a folder")
        if self.test_split == self.val_split:
            return self.val
        pairs = self._named(self.test_split, "test_split")
        others = {pair.image for split in (self.train, self.val) for pair in split.pairs}
        both = sorted({pair.image for pair in pairs} & others)
        refuse([f"{path}: in the test split and another" for path in both], do="take it out of one")
        return self._split(pairs)

    @cached_property
    def _at_random(self) -> tuple[list[Pair], list[Pair]]:
        self._refuse_folders_of_splits()
        pairs = self._folders(self.images, self.masks).pairs()
        if self.test_split is not None:
            tested = {pair.image for pair in self._named(self.test_split, "test_split")}
            pairs = [pair for pair in pairs if pair.image not in tested]
        return seeded_split(pairs, self.val_fraction, self.seed)

    def _refuse_folders_of_splits(self) -> None:
        """Raises InputError where images/train and images/val, or train/images and val/images, are there:
        a random split would mix them."""
        inside = self.root / self.images
        for place, below in ((inside, ""), (self.root, self.images)):
            val = next((name for name in VAL if (place / name / below).is_dir()), None)
            if val and (place / TRAIN / below).is_dir() and (place == inside or not inside.is_dir()):
                raise InputError(
                    f"{place}: {TRAIN} and {val} in it look like splits",
                    do=f"set data.train_split={TRAIN} data.val_split={val}",
                )

    def _named(self, name: str | None, key: str) -> list[Pair]:
        """The pairs of a list or of a folder."""
        if name is None:
            raise InputError(f"data.{key} is missing", do="give both data.train_split and data.val_split")
        path = self.root / f"{name}.txt"
        if path.is_file():
            return self._folders(self.images, self.masks).listed(path, self.root)
        within = self._folders(f"{self.images}/{name}", f"{self.masks}/{name}")
        around = self._folders(f"{name}/{self.images}", f"{name}/{self.masks}")
        for folders in (within, around):
            if folders.images.is_dir():
                return folders.pairs()
        looked = f"{path}, {within.images} or {around.images}"
        raise InputError(f"data.{key}={name}: no {looked}", do="check data.root and the split")

    def _folders(self, images: str, masks: str) -> Folders:
        bands = self.image_files.bands
        return Folders(self.root / images, self.root / masks, self.mask_suffix, self.unlabelled, bands)

    def _split(self, pairs: list[Pair]) -> "FolderSplit":
        return FolderSplit(pairs, len(self.class_names), self.label_map, self._image_files, snap=self.snap)

    def _image_files(self) -> ImageFiles:
        """What the images are, by those of the training split."""
        if not self.image_files.paths:
            self.image_files.paths = [pair.image for pair in self.train.pairs]
        return self.image_files

    def input_hints(self) -> InputHints:
        """What the user, or a look at the images, says of their numbers. Raises InputError."""
        return self._image_files().hints()


class FolderSplit(PairedFiles):
    """Pairs whose masks hold numbers, or, where the label map has any, colours. Where an image is its own
    mask, all of it is background."""

    def __init__(
        self,
        pairs: list[Pair],
        num_classes: int,
        label_map: LabelMap,
        image_files: Callable[[], ImageFiles],
        *,
        snap: bool = False,
    ):
        super().__init__(pairs, num_classes=num_classes, label_map=label_map.numbers, image_files=image_files)
        self.colours, self.snap = label_map.colours, snap

    def stored(self, index: int) -> np.ndarray:
        _, image, mask = self.pairs[index]
        if mask == image:
            return np.zeros(self.image(index).shape[:2], np.uint8)
        if self.colours:
            return read_colours(mask, self.colours, snap=self.snap)
        numbers = super().stored(index)
        return snap_numbers(numbers, self.label_map) if self.snap else numbers

    def labels(self, index: int) -> tuple[np.ndarray, str]:
        name, image, mask = self.pairs[index]
        return (self.stored(index), name) if mask == image else super().labels(index)

    def identity(self) -> list:
        return [*super().identity(), sorted(self.colours.items()), self.snap]

    @cached_property
    def unexplained(self) -> bool:
        """Whether the first masks hold 0 and 255 only, and nobody said that 255 is ignored."""
        if self.colours or IGNORE_INDEX in self.label_map:
            return False
        first = [np.unique(self.stored(i)).tolist() for i in range(min(LOOKED_AT, len(self)))]
        return set().union(*first) == {0, IGNORE_INDEX}

    def __getitem__(self, index: int) -> Sample:
        if self.unexplained:
            raise MaskError(
                f"{self.pairs[0].mask}: it and its neighbours hold nothing but 0 and {IGNORE_INDEX}",
                do=f"set data.label_map={{{IGNORE_INDEX}:1}} for a class,"
                f" or {{{IGNORE_INDEX}:{IGNORE_INDEX}}} to ignore those pixels",
            )
        return super().__getitem__(index)
