"""Which files of a folder are images, by their names."""

from pathlib import Path, PurePath

SUFFIXES = ".png .jpg .jpeg .tif .tiff .bmp .webp .gif .ppm .pgm .pbm".split()
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
    found = folder.glob(pattern)
    return sorted(path for path in found if not is_hidden(path.relative_to(folder)))
