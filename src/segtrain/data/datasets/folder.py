"""Your own images and masks, without a line of Python."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

import numpy as np

from segtrain.contracts import IGNORE_INDEX, Colour, Pair, Sample
from segtrain.data.checks.refusal import refuse
from segtrain.data.datasets.pairing import Folders, seeded_split
from segtrain.data.datasets.voc import voc_palette
from segtrain.data.io.files import PairedFiles, read_colours, read_image
from segtrain.data.io.label_map import parse_label_map
from segtrain.errors import InputError

LOOKED_AT = 8  # masks, to see whether 255 can be meant as ignored


class Folder:
    """Two folders of images and masks, or lists of them.

    Masks hold an index a pixel (grey or palette), any numbers that `label_map` turns into labels,
    or colours that it does. 255 is ignored. Images may be grey or RGB, with 8 or 16 bits; more
    channels and transparency are dropped (`read_image`).

    Args:
        root: the folder that all else is relative to.
        num_classes: labels are 0 .. num_classes-1.
        images, masks: the folders; an image and its mask have the same name up to the suffix.
        mask_suffix: what the masks' names have on top, `_mask` for a.jpg and a_mask.png.
        train_split, val_split: each a list NAME.txt (`Folders.listed`), or a folder images/NAME with
            masks/NAME, or NAME/images with NAME/masks; both null splits at random.
        val_fraction, seed: of a random split.
        class_names: null numbers them.
        label_map: stored number, or colour as "255,0,0", -> label; or the path of such a YAML file.
        white: the number in a 16-bit grey image that becomes 255: 4095 where 12 bits are used.

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
        num_classes: int,
        images: str = "images",
        masks: str = "masks",
        mask_suffix: str = "",
        train_split: str | None = None,
        val_split: str | None = None,
        val_fraction: float = 0.25,
        seed: int = 0,
        class_names: list[str] | None = None,
        label_map: Mapping[int | str, int] | str | None = None,
        white: int = 65535,
    ):
        if not 1 <= num_classes <= IGNORE_INDEX:
            raise InputError(f"data.num_classes={num_classes}", do=f"give 1 to {IGNORE_INDEX}")
        if not 1 <= white <= 65535:
            raise InputError(f"data.white={white}", do="give 1 to 65535")
        self.root = Path(root).expanduser()
        self.images, self.masks, self.mask_suffix = images, masks, mask_suffix
        self.train_split, self.val_split = train_split, val_split
        self.val_fraction, self.seed, self.white = val_fraction, seed, white
        self.class_names = _names(class_names, num_classes)
        self.numbers, self.colours = parse_label_map(label_map, num_classes)
        self.palette = _palette(self.colours, num_classes)

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
    def _at_random(self) -> tuple[list[Pair], list[Pair]]:
        return seeded_split(self._folders(self.images, self.masks).pairs(), self.val_fraction, self.seed)

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
        return Folders(self.root / images, self.root / masks, self.mask_suffix)

    def _split(self, pairs: list[Pair]) -> "FolderSplit":
        return FolderSplit(pairs, len(self.class_names), self.numbers, self.colours, self.white)


class FolderSplit(PairedFiles):
    """Pairs whose masks hold numbers, or, where `colours` has any, colours."""

    def __init__(
        self,
        pairs: list[Pair],
        num_classes: int,
        numbers: dict[int, int],
        colours: dict[Colour, int],
        white: int,
    ):
        super().__init__(pairs, num_classes=num_classes, label_map=numbers)
        self.colours, self.white = colours, white

    def image(self, index: int) -> np.ndarray:
        return read_image(self.pairs[index].image, self.white)

    def stored(self, index: int) -> np.ndarray:
        return read_colours(self.pairs[index].mask, self.colours) if self.colours else super().stored(index)

    def identity(self) -> list:
        return [*super().identity(), sorted(self.colours.items())]

    @cached_property
    def unexplained(self) -> bool:
        """Whether the first masks hold 0 and 255 only, and nobody said that 255 is ignored."""
        if self.colours or IGNORE_INDEX in self.label_map:
            return False
        first = [np.unique(self.stored(i)).tolist() for i in range(min(LOOKED_AT, len(self)))]
        return set().union(*first) == {0, IGNORE_INDEX}

    def __getitem__(self, index: int) -> Sample:
        if self.unexplained:
            raise InputError(
                f"{self.pairs[0].mask}: it and its neighbours hold nothing but 0 and {IGNORE_INDEX}",
                do=f"set data.label_map={{{IGNORE_INDEX}:1}} for a class,"
                f" or {{{IGNORE_INDEX}:{IGNORE_INDEX}}} to ignore those pixels",
            )
        return super().__getitem__(index)


def _names(class_names: list[str] | None, num_classes: int) -> tuple[str, ...]:
    names = tuple(map(str, range(num_classes) if class_names is None else class_names))
    if len(names) != num_classes or len(set(names)) != num_classes:
        what = f"data.class_names: {len(set(names))} different names for data.num_classes={num_classes}"
        raise InputError(what, do="give each class its name")
    return names


def _palette(colours: dict[Colour, int], num_classes: int) -> tuple[Colour, ...]:
    """The first colour of each class in the masks, else VOC's."""
    own = {label: colour for colour, label in reversed(colours.items())}
    return tuple(own.get(label, colour) for label, colour in enumerate(voc_palette(num_classes)))
