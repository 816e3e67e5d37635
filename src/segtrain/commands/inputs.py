"""What `input=` of `segpredict` means: an image, a folder, a list or a video."""

from collections.abc import Iterator
from pathlib import Path

from segtrain.data.io.files import read_list
from segtrain.errors import InputError

IMAGES = {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"}
VIDEOS = {".mp4", ".avi", ".mov", ".mkv", ".webm"}


def is_video(source: Path) -> bool:
    return source.is_file() and source.suffix.lower() in VIDEOS


def find_images(source: Path, output: Path) -> list[tuple[str, Path]]:
    """Names (paths without suffix, below a folder) and paths of the images that `source` means.

    Args:
        output: what lies below it is not looked at.

    Raises:
        InputError: it is not there, of another kind, without images, or two have one name.
    """
    if source.is_dir():
        paths = [(path, path.relative_to(source)) for path in _images_below(source, output)]
    elif not source.is_file():
        do = "give an image, a folder, a .txt with a path a line, or a video"
        raise InputError(f"input={source}: no such file or folder", do=do)
    elif source.suffix.lower() == ".txt":
        lines = [Path(line) for line in read_list(source)]
        # Names keep the folders that a line names, but none outside of the output's.
        paths = [
            (source.parent / line, Path(line.name) if line.is_absolute() or ".." in line.parts else line)
            for line in lines
        ]
    else:
        paths = [(source, Path(source.name))]
    if not paths:
        raise InputError(f"input={source}: no image in it", do=f"give {', '.join(sorted(IMAGES))}")
    named: dict[str, Path] = {}
    for path, name in paths:
        key = str(name.with_suffix(""))
        if key in named:
            what = f"input={source}: {named[key]} and {path} have one name"
            raise InputError(what, do="rename one of them, or label them one by one")
        named[key] = path
    return list(named.items())


def _images_below(folder: Path, output: Path) -> Iterator[Path]:
    output = output.resolve()
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in IMAGES and path.is_file() and not path.resolve().is_relative_to(output):
            yield path
