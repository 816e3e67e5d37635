"""The files beside an annotation: images by the names that the annotation has for them."""

import json
import os
import re
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple
from urllib.parse import unquote

from segtrain.data.formats.regions import DAMAGED, Problem
from segtrain.data.io.listing import image_files
from segtrain.errors import InputError
from segtrain.files import content_of

UPLOADED = re.compile(r"[0-9a-f]{8}-")  # what Label Studio puts before a file's name


class Source(NamedTuple):
    """Where a reader looks.

    Attributes:
        root: the folder that all else is relative to.
        annotations: of all images, or of those that train; None: the format's usual place.
        val_annotations: of the images that validate; None: no such.
        images: the folder of images; None: anywhere below the root.
    """

    root: Path
    annotations: str | None = None
    val_annotations: str | None = None
    images: str | None = None

    def place(self, given: str | None, *usual: str) -> Path:
        """The file or folder of a key's value; None takes the first usual one that is there.

        Raises:
            InputError: nothing is there.
        """
        for name in [given] if given is not None else usual:
            if (self.root / name).exists():
                return self.root / name
        wanted = given if given is not None else " or ".join(usual)
        raise InputError(f"{self.root}: no {wanted} in it", do="set data.root and data.annotations")

    def image_index(self) -> "ImageIndex":
        """The images of the folder. Raises InputError where it is missing."""
        folder = self.root if self.images is None else self.root / self.images
        if not folder.is_dir():
            raise InputError(f"{folder}: no such folder", do="set data.root and data.images")
        return ImageIndex(folder)


class ImageIndex:
    """The images below a folder, by their paths and by their names."""

    def __init__(self, folder: Path):
        self.folder = folder

    @cached_property
    def by_path(self) -> dict[str, Path]:
        start = _start(self.folder.as_posix())
        return {path.as_posix().removeprefix(start): path for path in image_files(self.folder)}

    @cached_property
    def by_name(self) -> dict[str, list[Path]]:
        found: dict[str, list[Path]] = {}
        for path in self.by_path.values():
            found.setdefault(path.name, []).append(path)
        return found

    def find(self, name: str, beside: Path | None = None) -> Path | None:
        """The image that an annotation means: by its path below the folder, beside the annotation, or the
        only one of that name, where the path is another machine's.

        Args:
            name: a path or an address, with slashes of either kind.
            beside: a folder to look in as well.
        """
        name = unquote(name.replace("\\", "/"))
        if name in self.by_path:
            return self.by_path[name]
        if beside is not None and (beside / name).is_file():
            return beside / name
        last = PurePosixPath(name.partition("?d=")[2] or name.partition("?")[0]).name
        for candidate in (last, UPLOADED.sub("", last, count=1)):
            if len(self.by_name.get(candidate, ())) == 1:
                return self.by_name[candidate][0]
        return None


def missing(name: str, index: ImageIndex) -> Problem:
    """The problem of an image that is not found."""
    return Problem("missing", name, f"no such image in {index.folder}")


def unique_names(paths: Iterable[Path], folder: Path) -> dict[Path, str]:
    """A name for each image: its path without suffix below the folder, or below the last folder that has all
    of them; with the suffix where two have one name."""
    texts = {path: path.as_posix() for path in paths}  # texts: a Path for each part takes four times as long
    above = {os.path.dirname(text) for text in texts.values()}
    start = _start(folder.as_posix())
    if above and all(Path(place).is_relative_to(folder) for place in above):
        start = _start(os.path.commonpath(above))
    names: dict[Path, str] = {}
    seen: dict[str, int] = {}
    for path, text in texts.items():
        inside = text.startswith(start) if start else not path.is_absolute()
        below = text.removeprefix(start) if inside else path.name
        name = os.path.splitext(below)[0]
        seen[name] = seen.get(name, 0) + 1
        names[path] = name if seen[name] == 1 else below
    return names


def _start(folder: str) -> str:
    """What the paths of the files in a folder begin with; nothing in the one that we are in."""
    return "" if folder in ("", ".") else f"{folder.rstrip('/')}/"


def read_json(path: Path) -> Any:
    """The content of a JSON file. Raises InputError."""
    try:
        return json.loads(content_of(path))
    except DAMAGED as error:
        raise InputError(f"{path}: cannot be read ({error})", do="export it anew") from error


def hex_colour(text: Any) -> tuple[int, int, int] | None:
    """`#ff8000` as red, green, blue; None for anything else."""
    found = re.fullmatch(r"#([0-9a-fA-F]{6})", str(text))
    return None if found is None else (int(found[1][:2], 16), int(found[1][2:4], 16), int(found[1][4:], 16))
