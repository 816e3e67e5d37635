"""Which files of a folder are images, by their names."""

import os
from collections.abc import Iterator
from pathlib import Path, PurePath

from segtrain.errors import InputError
from segtrain.files import check_name

SUFFIXES = ".png .jpg .jpeg .tif .tiff .bmp .webp .gif .ppm .pgm .pbm .npy .npz .jp2 .nii".split()
OF_ARCHIVES = "__MACOSX"  # what a Mac's archives hold beside the files


def is_image(path: PurePath) -> bool:
    """Whether a file is an image, by its suffix, and not hidden."""
    return path.suffix.lower() in SUFFIXES and not is_hidden(path)


def is_hidden(path: PurePath) -> bool:
    """Whether a file or folder begins with a dot (`._a.png`, `.ipynb_checkpoints`) or is a Mac's own, or
    lies in one that does. Of a path below a folder: where that lies itself does not matter."""
    return any(part == OF_ARCHIVES or (part[0] == "." and part.strip(".")) for part in path.parts)


def visible(folder: Path, pattern: str) -> list[Path]:
    """What a folder's `glob` finds and is not hidden, in order."""
    found = sorted(p for p in folder.glob(pattern) if not is_hidden(p.relative_to(folder)))
    for path in found:
        check_name(path.name, path.parent)
    return found


def image_files(folder: Path, other: Path | None = None, above: tuple[str, ...] = ()) -> Iterator[Path]:
    """The image files of a folder and of those below it, in order; hidden ones are passed over. Raises
    InputError for a name that is not UTF-8, and for a folder that cannot be listed.

    Args:
        other: a folder below that is passed over as well.
        above: the folders that led here, so that a link to one of them ends.
    """
    real = os.path.realpath(folder)
    if real in above:
        return
    try:
        with os.scandir(folder) as entries:
            found = sorted(((entry.name, entry.is_dir()) for entry in entries), key=lambda one: one[0])
    except OSError as error:  # it may be another user's, or gone by now
        do = "make it readable, or take it out of the data"
        raise InputError(f"{folder}: cannot be listed ({error.strerror})", do=do) from error
    for name, is_folder in found:
        path = folder / name
        if is_hidden(PurePath(name)) or path == other:
            continue
        check_name(name, folder)
        if is_folder:
            yield from image_files(path, other, (*above, real))
        elif path.suffix.lower() in SUFFIXES:
            yield path
