"""Which mask belongs to which image: by the names in two folders, or by a list."""

import re
from collections import Counter
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from segtrain.contracts import Pair
from segtrain.data.checks.refusal import refuse
from segtrain.data.io.files import read_list
from segtrain.errors import InputError

SUFFIXES = ".png .jpg .jpeg .tif .tiff .bmp .webp .gif .ppm .pgm .pbm".split()


class Folders(NamedTuple):
    """A folder of images and one of masks; NAME.jpg belongs to NAME + `mask_suffix` + .png, whatever
    their suffixes. The two may be one folder where `mask_suffix` separates them."""

    images: Path
    masks: Path
    mask_suffix: str

    def pairs(self) -> list[Pair]:
        """Every image with its mask, in the order of their names.

        Raises:
            InputError: a folder is missing or empty, a name is doubled, or one has no counterpart.
        """
        refuse(self.unpaired(), do="name both alike up to data.mask_suffix, or give a list of pairs")
        images, masks = self._images(), self._masks()
        return [Pair(name, images[name], masks[name]) for name in sorted(images) if name in masks]

    def unpaired(self) -> list[str]:
        """What is alone, a sentence each. Raises InputError where a folder is missing or empty."""
        images, masks = self._images(), self._masks()
        return [
            *(f"{path} has no mask in {self.masks}" for name, path in images.items() if name not in masks),
            *(f"{path} has no image in {self.images}" for name, path in masks.items() if name not in images),
        ]

    def listed(self, path: Path, root: Path) -> list[Pair]:
        """The pairs of a list: a line is a name, or an image and its mask, separated by a comma, a
        tab or blanks, as paths below `root`.

        Raises:
            InputError: a line is neither, names what is not there, or is doubled.
        """
        pairs: list[Pair] = []
        faults: list[str] = []
        images: dict[str, Path] | None = None
        masks: dict[str, Path] = {}
        image: Path | None
        mask: Path | None
        for line in read_list(path):
            parts = [part.strip() for part in re.split("[\t,]", line)]
            parts = line.split() if len(parts) == 1 else parts
            if len(parts) == 2:
                image, mask = (root / part for part in parts)
            elif len(parts) == 1:
                if images is None:
                    images, masks = self._images(), self._masks()
                name = Path(line).stem if Path(line).suffix.lower() in SUFFIXES else line
                image, mask = images.get(name), masks.get(name)
                if image is None or mask is None:
                    kind, folder = ("image", self.images) if image is None else ("mask", self.masks)
                    faults.append(f"{path}: {name} has no {kind} in {folder}")
                    continue
            else:
                faults.append(f"{path}: {line!r} does not name an image and a mask")
                continue
            pairs.append(Pair(image.stem, image, mask))
        refuse(faults, do="mend the line")
        times = Counter(pair.image for pair in pairs)
        again = [f"{path}: {image} is in it {count} times" for image, count in times.items() if count > 1]
        refuse(again, do="leave one line of it")
        return pairs

    def _images(self) -> dict[str, Path]:
        found = _by_name(self.images)
        if self.images != self.masks:
            return found
        if not self.mask_suffix:
            raise InputError(f"{self.images}: images and masks in one folder", do="set data.mask_suffix")
        return {name: path for name, path in found.items() if not name.endswith(self.mask_suffix)}

    def _masks(self) -> dict[str, Path]:
        suffix, found = self.mask_suffix, _by_name(self.masks).items()
        return {name.removesuffix(suffix): path for name, path in found if name.endswith(suffix)}


def seeded_split(pairs: list[Pair], fraction: float, seed: int) -> tuple[list[Pair], list[Pair]]:
    """(train, val): `fraction` of the pairs validates, at least one and not all.

    Who validates hangs on a hash of its name and the seed, so that few change when images are added.
    """
    if not 0 < fraction < 1:
        raise InputError(f"data.val_fraction={fraction}", do="give a number between 0 and 1")
    if len(pairs) < 2:
        raise InputError(f"{pairs[0].image}: one image cannot train and validate", do="add images")
    count = min(max(round(fraction * len(pairs)), 1), len(pairs) - 1)
    shuffled = sorted(pairs, key=lambda pair: sha256(f"{seed}/{pair.name}".encode()).digest())
    val = set(shuffled[:count])
    return [pair for pair in pairs if pair not in val], [pair for pair in pairs if pair in val]


def _by_name(folder: Path) -> dict[str, Path]:
    """The images of a folder by their names without suffix."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder", do="set data.root, data.images and data.masks")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in SUFFIXES and not path.name.startswith("."):
            if path.stem in found:
                raise InputError(f"{path} and {found[path.stem]} have one name", do="keep one of them")
            found[path.stem] = path
    if not found:
        below = sorted(path.name for path in folder.iterdir() if path.is_dir())
        hint = (
            f"; for its folders set data.train_split and data.val_split: {', '.join(below)}" if below else ""
        )
        raise InputError(f"{folder}: no image in it", do=f"put images there{hint}")
    return found
