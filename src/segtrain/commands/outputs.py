"""The files that `segpredict` writes for each image, and which of them are there already."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from segtrain.commands.made_from import MadeFrom
from segtrain.commands.paths import relative
from segtrain.data.io.images import ImageReader, band_paths
from segtrain.errors import InputError
from segtrain.files import inside

# What an image gets, below the output's folder; the labels last: where they are whole, all is.
KINDS = {"overlays": ".jpg", "steps": ".png", "probabilities": ".npy", "labels": ".png"}
STACK = ".npz"  # of labels where a pixel may have several
OF_SCENES = {"overlays": ".jpg", "polygons": "", "probabilities": ".tif", "labels": ".tif"}


class Outputs:
    """The outputs that are wanted of images.

    Args:
        folder: for the outputs.
        suffixes: of each kind of output that is wanted, the labels last.
        read: of the images, with the suffixes of their files.
        made_from: the folder's record.
    """

    def __init__(self, folder: Path, suffixes: Mapping[str, str], read: ImageReader, made_from: MadeFrom):
        self.folder, self.suffixes, self.read, self.made_from = folder, suffixes, read, made_from
        self.kinds = list(suffixes)

    @classmethod
    def of_images(
        cls, folder: Path, config: dict[str, Any], read: ImageReader, made_from: MadeFrom
    ) -> Outputs:
        """Those of images, by the config."""
        suffixes = KINDS | ({"labels": STACK} if config["task"] == "multilabel" else {})
        return cls(folder, _wanted(suffixes, config), read, made_from)

    @classmethod
    def of_scenes(
        cls, folder: Path, config: dict[str, Any], read: ImageReader, made_from: MadeFrom
    ) -> Outputs:
        """Those of scenes, by the config."""
        suffixes = OF_SCENES | {"polygons": f".{config['polygons']}"}
        return cls(folder, _wanted(suffixes, config), read, made_from)

    def path(self, name: str, kind: str) -> Path:
        """The file of an image's output of a kind."""
        return inside(self.folder / kind, f"{name}{self.suffixes[kind]}")

    def missing(self, found: list[tuple[str, Path]]) -> list[tuple[str, Path]]:
        """The images whose outputs are not there as these inputs would make them.

        Raises:
            InputError: a file that would be replaced was not written by `segpredict`.
        """
        missing = []
        for name, path in found:
            there = [kind for kind in self.kinds if _exists(self.path(name, kind))]
            for kind in there:
                if not self.made_from.is_own(name, kind):
                    raise InputError(
                        f"output={relative(self.folder)}: {kind}/{self.path(name, kind).name} is there, and"
                        f" is none of segpredict's",
                        do="choose another output=",
                    )
            if there != self.kinds or not self._is_current(name, path):
                missing.append((name, path))
        return missing

    def digests(self, path: Path) -> dict[str, str]:
        """Of each kind, what an image's output is made from, by its files as they are now."""
        bands = self.read.bands
        return self.made_from.digests(*(band_paths(path, bands) if bands else [path]))

    def _is_current(self, name: str, path: Path) -> bool:
        try:
            return self.made_from.is_current(name, self.kinds, self.digests(path))
        except InputError:  # it is said when it is its turn
            return False


def _wanted(suffixes: Mapping[str, str], config: dict[str, Any]) -> dict[str, str]:
    """Those of the kinds that the config asks for."""
    asked = {"overlays": config["overlay"], "steps": config["steps"], "polygons": config["polygons"]}
    asked |= {"probabilities": config["probabilities"], "labels": True}
    return {kind: suffix for kind, suffix in suffixes.items() if asked[kind]}


def _exists(path: Path) -> bool:
    """Whether a file is there with something in it: a power cut leaves empty ones."""
    try:
        return path.is_file() and path.stat().st_size > 0
    except OSError:  # a name that is too long
        return False
