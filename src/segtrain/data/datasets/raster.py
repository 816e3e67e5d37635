"""Crops of scenes of any size, with masks on their grid or polygons, of which only what is needed is read."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from torch.utils import data as torch_data

from segtrain.contracts import IGNORE_INDEX, InputHints, Sample
from segtrain.data.crops.boxes import Box
from segtrain.data.crops.spatial import MOST_READ, Block, even_boxes, random_crop, read_steps, split_blocks
from segtrain.data.datasets.classes import find_classes
from segtrain.data.io.files import stamp
from segtrain.data.io.image_files import ImageFiles
from segtrain.data.io.label_map import parse_label_map
from segtrain.data.io.rasters import Raster
from segtrain.data.io.scene_masks import VECTORS, RasterMask, VectorMask
from segtrain.data.io.scenes import Scene, mean_filled, read_window, scene_of
from segtrain.errors import InputError
from segtrain.files import user_path
from segtrain.seeds import rng_for

TRIES = 4  # crops that are looked at for one with a label
LOOKED_AT = 512  # pixels of a side of a scene's middle, for its channels


class AnnotatedScene(NamedTuple):
    """A scene with its labels.

    Attributes:
        name: of the image's file.
        path: of the image.
        scene: what the image is.
        mask: gives the labels of a window.
        steps: of the first row and column of a crop.
    """

    name: str
    path: Path
    scene: Scene
    mask: RasterMask | VectorMask
    steps: tuple[int, int]


class RasterScenes:
    """Large images with masks of the same grid, or with polygons.

    Every scene is cut into blocks, some of which validate. Training takes crops at random from the others, as
    many an epoch as their area holds, and none touches a block that validates. Validation goes over its
    blocks in tiles.

    Args:
        root: the folder that all else is relative to.
        images: a path, a pattern such as `images/*.tif`, or a list of both.
        masks: likewise, each with the name of its image up to the suffix; or one vector file for all scenes.
        crop: side of a training crop and, about, of a validation tile, in pixels.
        block: side of a block that trains or validates, in pixels.
        val_fraction: of the area; folds, fold: instead, as many parts, and the one that validates.
        group: a regular expression; scenes whose names match it alike train or validate as a whole.
        seed: another seed, other blocks and crops.
        num_classes, class_names, palette, label_map: as `data=folder` takes them.
        attribute: of polygons, with the index or the name of a class; null: all are class 1.
        unlisted: what no polygon has: `background` (class 0) or `ignore`.
        channels, rgb, range: of the images, as `data=folder` takes them.

    Raises:
        InputError: an argument that does not fit, no file, an image without its mask, or a mask that lies
            elsewhere; on reading, a label that is no class.
    """

    def __init__(
        self,
        *,
        root: str,
        images: str | list[str] = "images/*.tif",
        masks: str | list[str] = "masks/*",
        crop: int = 512,
        block: int = 1024,
        val_fraction: float = 0.25,
        folds: int | None = None,
        fold: int = 0,
        group: str | None = None,
        seed: int = 0,
        num_classes: int | None = None,
        class_names: list[str] | None = None,
        palette: list[list[int]] | None = None,
        label_map: Mapping[int | str, int] | str | None = None,
        attribute: str | None = None,
        unlisted: Literal["background", "ignore"] = "background",
        channels: list[int] | None = None,
        rgb: list[int] | None = None,
        range: list[float] | None = None,
    ):
        if not 0 < crop <= block:
            raise InputError(f"data.crop={crop} of data.block={block}", do="give a block of several crops")
        if not 0 < val_fraction < 1:
            raise InputError(f"data.val_fraction={val_fraction}", do="give a number between 0 and 1")
        if (folds is not None and not 0 <= fold < folds) or folds == 1:
            raise InputError(f"data.fold={fold} of data.folds={folds}", do="count folds from 0, at least two")
        self.root, self.images, self.masks = user_path(root), _listed(images), _listed(masks)
        self.crop, self.block, self.seed, self.group = crop, block, seed, group
        self.shares = [1 / folds] * folds if folds else [val_fraction, 1 - val_fraction]
        self.fold = fold if folds else 0
        self.attribute, self.unlisted = attribute, unlisted
        classes = find_classes(self.root, num_classes, class_names, palette, label_map)
        self.class_names, self.palette = classes.names, classes.palette
        self.label_map = parse_label_map(label_map, len(self.class_names)).numbers
        self.image_files = ImageFiles(channels=channels, rgb=rgb, range=range, read=_middle)

    @cached_property
    def scenes(self) -> list[AnnotatedScene]:
        """All scenes, in the order of their names."""
        images, masks = _found(self.root, self.images, "images"), _found(self.root, self.masks, "masks")
        by_stem = {path.stem: path for path in masks}
        vector = masks[0] if len(masks) == 1 and masks[0].suffix.lower() in VECTORS else None
        self.image_files.paths = images
        scenes = []
        for path in images:
            mask = vector or by_stem.get(path.stem)
            if mask is None:
                raise InputError(f"{path}: no mask has its name", do="name both alike, or set data.masks")
            scene = scene_of(path)
            steps, _ = read_steps(self.crop, scene.blocks)
            scenes.append(AnnotatedScene(path.stem, path, scene, self._mask(mask, scene, path), steps))
        return scenes

    def _mask(self, path: Path, scene: Scene, image: Path) -> RasterMask | VectorMask:
        if path.suffix.lower() not in VECTORS:
            return RasterMask(path, scene, image, len(self.class_names), self.label_map)
        return VectorMask(
            path,
            scene,
            attribute=self.attribute,
            class_names=self.class_names,
            label_map=self.label_map,
            outside=0 if self.unlisted == "background" else IGNORE_INDEX,
        )

    @cached_property
    def _blocks(self) -> tuple[list[Block], list[Block]]:
        """Those that train, and those that validate."""
        sizes = [Box(0, 0, one.scene.width, one.scene.height) for one in self.scenes]
        blocks = [Block(i, box) for i, size in enumerate(sizes) for box in even_boxes(size, self.block)]
        names = [one.name for one in self.scenes]
        return split_blocks(
            blocks, names, shares=self.shares, fold=self.fold, group=self.group, seed=self.seed
        )

    @cached_property
    def train(self) -> RandomCrops:
        return RandomCrops(self, *self._blocks)

    @cached_property
    def val(self) -> FixedTiles:
        return FixedTiles(self, self._blocks[1])

    def input_hints(self) -> InputHints:
        """What the user, or a look at the scenes, says of their numbers. Raises InputError."""
        scenes, notes = self.scenes, []
        for one in scenes:
            _, cost = read_steps(self.crop, one.scene.blocks)
            if cost > MOST_READ:
                height, width = one.scene.blocks
                square = max(height, width) <= 2 * min(height, width)
                notes.append(
                    f"{one.path}: stored in blocks of {width}×{height}, so that a crop of {self.crop} reads"
                    f" {cost:.0f} times its bytes; "
                    + (f"take data.crop={max(height, width)}" if square else "store it as COG")
                )
        hints = self.image_files.hints()
        return hints._replace(unused=[*hints.unused, *notes])


class Windows(torch_data.Dataset):
    """Windows of the scenes of a data set."""

    def __init__(self, data: RasterScenes):
        self.data = data

    def sample(self, number: int, box: Box, labels: np.ndarray) -> Sample:
        """The window of a scene with its labels. Raises InputError."""
        one = self.data.scenes[number]
        reader = self.data.image_files.reader
        image, invalid = reader.with_invalid(one.path, partial(read_window, box=box))
        if invalid is not None:
            labels[invalid] = IGNORE_INDEX
        return Sample(mean_filled(image, invalid), labels, _name(one.name, box))

    def window(self, index: int) -> tuple[int, Box]:
        """The scene and the box of a sample."""
        raise NotImplementedError

    def labels(self, index: int) -> tuple[np.ndarray, str]:
        """A sample's mask and name, without reading its image. Raises InputError."""
        number, box = self.window(index)
        one = self.data.scenes[number]
        return one.mask.labels(box), _name(one.name, box)

    def identity(self) -> list:
        """A JSON value that changes with the files and with what is taken of them. Raises OSError."""
        data = self.data
        keys = [
            data.crop,
            data.block,
            data.seed,
            data.group,
            data.shares,
            data.fold,
            data.attribute,
            data.unlisted,
        ]
        files = [[*stamp(one.path), *stamp(one.mask.path)] for one in data.scenes]
        return [type(self).__name__, list(data.class_names), sorted(data.label_map.items()), keys, files]


class RandomCrops(Windows):
    """Crops of the blocks that train, other ones each epoch.

    Args:
        data: the data set.
        train, val: its blocks.
    """

    def __init__(self, data: RasterScenes, train: list[Block], val: list[Block]):
        super().__init__(data)
        self.blocks = train
        self.val: dict[int, list[Block]] = {}
        for one in val:
            self.val.setdefault(one.scene, []).append(one)
        areas = np.array([one.box.width * one.box.height for one in train], float)
        self.length = max(round(areas.sum() / data.crop**2), 1)
        self.shares = areas / areas.sum()

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Sample:
        return self.at(0, index)

    def at(self, epoch: int, index: int) -> Sample:
        """The crop of an epoch: of one without a label, in the scene's empty corner perhaps, another."""
        return self.sample(*self._crop(epoch, index))

    def window(self, index: int) -> tuple[int, Box]:
        return self._crop(0, index)[:2]

    def _crop(self, epoch: int, index: int) -> tuple[int, Box, np.ndarray]:
        """The scene, the box and the labels of a crop: the first of a few at random that has any."""
        if not 0 <= index < self.length:
            raise IndexError(index)
        rng = rng_for(self.data.seed, epoch, index)
        for _ in range(TRIES):
            block = self.blocks[int(rng.choice(len(self.blocks), p=self.shares))]
            one = self.data.scenes[block.scene]
            size = one.scene.height, one.scene.width
            val = self.val.get(block.scene, [])
            box = random_crop(rng, block, size, val, self.data.crop, one.steps)
            labels = one.mask.labels(box)
            if (labels != IGNORE_INDEX).any():
                break
        return block.scene, box, labels


class FixedTiles(Windows):
    """The blocks that validate, tile by tile.

    Args:
        data: the data set.
        blocks: that validate.
    """

    def __init__(self, data: RasterScenes, blocks: list[Block]):
        super().__init__(data)
        self.tiles = [(one.scene, box) for one in blocks for box in even_boxes(one.box, data.crop)]

    def __len__(self) -> int:
        return len(self.tiles)

    def __getitem__(self, index: int) -> Sample:
        number, box = self.tiles[index]
        return self.sample(number, box, self.data.scenes[number].mask.labels(box))

    def window(self, index: int) -> tuple[int, Box]:
        return self.tiles[index]


def _name(scene: str, box: Box) -> str:
    return f"{scene}_{box.x}_{box.y}"


def _middle(path: Path) -> Raster:
    """The pixels in a scene's middle: enough to see what it is."""
    scene = scene_of(path)
    width, height = min(scene.width, LOOKED_AT), min(scene.height, LOOKED_AT)
    return read_window(path, Box((scene.width - width) // 2, (scene.height - height) // 2, width, height))


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def _found(root: Path, patterns: list[str], key: str) -> list[Path]:
    """The files that paths and patterns name, in the order of their names; no side files of GDAL's."""
    found: set[Path] = set()
    for pattern in patterns:
        here = [root / pattern] if (root / pattern).is_file() else list(root.glob(pattern))
        if not here:
            raise InputError(
                f"data.{key}={pattern}: no such file in {root}", do=f"set data.root and data.{key}"
            )
        found |= {path for path in here if path.is_file() and path.suffix not in (".xml", ".ovr")}
    return sorted(found)
