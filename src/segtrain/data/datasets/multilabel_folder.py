"""Your own images whose pixels may be of several classes, for `task=multilabel`."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from segtrain.contracts import IGNORE_INDEX, Pair, Sample
from segtrain.data.datasets.classes import FILE
from segtrain.data.datasets.folder import Folder, FolderSplit
from segtrain.data.datasets.pairing import Folders
from segtrain.data.datasets.palettes import okabe_ito
from segtrain.data.io.image_files import ImageFiles
from segtrain.data.io.label_map import LabelMap
from segtrain.data.io.opening import unequal_sizes
from segtrain.data.io.stacks import IGNORED, class_files, read_stack
from segtrain.errors import InputError
from segtrain.files import user_path


class MultilabelFolder(Folder):
    """A folder of images and one of masks: masks/NAME/CLASS.png, where every number but 0 is the class, and
    masks/NAME/ignored.png if it likes; or masks/NAME.npz, one array C×H×W of 0, 1 and 255 (ignored).

    Args:
        root: the folder that all else is relative to.
        num_classes: C; null counts `class_names`.
        images, masks: the folders.
        train_split, val_split, test_split, val_fraction, seed: as those of `Folder`.
        class_names: null takes those of `root/classes.yaml`, else the files' names, in order.
        palette: a colour a class, null VOC's.
        channels, bands, rgb, range, white: what the images are, as of `Folder`.

    Raises:
        InputError: as `Folder`; on reading, as `read_stack`.
    """

    def __init__(
        self,
        *,
        root: str,
        num_classes: int | None = None,
        images: str = "images",
        masks: str = "masks",
        train_split: str | None = None,
        val_split: str | None = None,
        test_split: str | None = None,
        val_fraction: float = 0.25,
        seed: int = 0,
        class_names: list[str] | None = None,
        palette: list[list[int]] | None = None,
        channels: list[int] | None = None,
        bands: list[str] | None = None,
        rgb: list[int] | None = None,
        range: list[float] | None = None,
        white: int | None = None,
    ):
        folder = user_path(root)
        if class_names is None and not (folder / FILE).is_file():
            class_names = _names_of_files(folder / masks) or None
        super().__init__(
            root=root,
            num_classes=num_classes,
            images=images,
            masks=masks,
            train_split=train_split,
            val_split=val_split,
            test_split=test_split,
            val_fraction=val_fraction,
            seed=seed,
            class_names=class_names,
            palette=palette,
            channels=channels,
            bands=bands,
            rgb=rgb,
            range=range,
            white=white,
        )
        if palette is None and self.palette == okabe_ito(("background", *self.class_names[1:])):
            self.palette = okabe_ito(self.class_names)  # none of them is the background, in black

    def _folders(self, images: str, masks: str) -> Folders:
        return StackFolders(self.root / images, self.root / masks, "", bands=self.image_files.bands)

    def _split(self, pairs: list[Pair]) -> "StackSplit":
        return StackSplit(pairs, self.class_names, self._image_files)


class StackFolders(Folders):
    """A folder of images and one of masks, NAME.npz or a folder NAME."""

    def _masks(self) -> dict[str, Path]:
        """A file of each mask, by the image's name."""
        if not self.masks.is_dir():
            raise InputError(f"{self.masks}: no such folder", do="set data.root, data.images and data.masks")
        found = {}
        for path in sorted(self.masks.rglob("*")):
            if path.is_dir() and (files := class_files(path)):
                found[path.relative_to(self.masks).as_posix()] = next(iter(files.values()))
            elif path.suffix.lower() == ".npz":
                found[path.relative_to(self.masks).with_suffix("").as_posix()] = path
        if not found:
            do = "put NAME/CLASS.png or NAME.npz there; data=folder reads masks of one class a pixel"
            raise InputError(f"{self.masks}: no mask of several classes in it", do=do)
        return found


class StackSplit(FolderSplit):
    """Pairs whose masks are stacks: H×W×C of 0, 1 and 255."""

    def __init__(
        self, pairs: list[Pair], class_names: tuple[str, ...], image_files: Callable[[], ImageFiles]
    ):
        super().__init__(pairs, len(class_names), LabelMap({}, {}), image_files)
        self.class_names = class_names

    def stored(self, index: int) -> np.ndarray:
        return read_stack(self.pairs[index].mask, self.class_names)

    def labels(self, index: int) -> tuple[np.ndarray, str]:
        return self.stored(index), self.pairs[index].name

    def identity(self) -> list:
        return [*super().identity(), list(self.class_names)]

    def __getitem__(self, index: int) -> Sample:
        name, image_path, mask_path = self.pairs[index]
        (image, invalid), mask = self.image_with_invalid(index), self.stored(index)
        if mask.shape[:2] != image.shape[:2]:
            raise InputError(
                f"{mask_path}: {unequal_sizes(image, mask, image_path, mask_path)}",
                do="both must have the same size",
            )
        if invalid is not None:
            mask[invalid] = IGNORE_INDEX
        return Sample(image, mask, name)


def _names_of_files(masks: Path) -> list[str]:
    """The names of the files in the folders below one, each once, in order."""
    folders = [path for path in masks.rglob("*") if path.is_dir()] if masks.is_dir() else []
    return sorted({name for folder in folders for name in class_files(folder)} - {IGNORED})
