"""What `input=` of `segpredict` means: an image, a folder, a pattern, a list or a video."""

import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath, PureWindowsPath

from segtrain.commands.made_from import MADE_FROM
from segtrain.data.io.files import read_list
from segtrain.data.io.listing import SUFFIXES, is_hidden, is_image
from segtrain.errors import InputError
from segtrain.files import check_name

VIDEOS = ".mp4 .m4v .avi .mov .mkv .webm .mpg .mpeg .m2v .wmv .flv .3gp .ts .mts .m2ts .ogv .vob".split()
MADE = ("labels", "overlays", "steps", "probabilities", "polygons", "unfinished")  # folders of outputs


def is_video(source: Path) -> bool:
    return source.is_file() and source.suffix.lower() in VIDEOS


def find_images(source: Path, output: Path, bands: Sequence[str] = ()) -> list[tuple[str, Path]]:
    """Names (paths without suffix, below a folder) and paths of the images that `source` means.

    Args:
        output: what lies below it is not looked at; where it is `source` or above, what
            `segpredict` writes there is not.
        bands: suffixes of the files that hold an image's channels; the first names the image.

    Raises:
        InputError: it is not there, of another kind, without images, or two have one name.
    """
    paths: list[tuple[Path, PurePath]]
    if source.is_dir():
        paths = [(path, path.relative_to(source)) for path in _images_below(source, output)]
    elif not source.is_file():
        paths = _matches(source, output)
    elif source.suffix.lower() == ".txt":
        lines = dict.fromkeys(read_list(source))  # an image that is listed twice is annotated once
        listed = [(line, *_listed(line, source.parent)) for line in lines]
        paths = [(path, name) for line, path, name in listed if line[0] != "#" or path.is_file()]
    else:
        paths = [(source, Path(source.name))]
    if not paths:
        raise InputError(f"input={source}: no image in it", do=_what_to_give(source))
    if bands:
        paths = [(path, name) for path, name in paths if name.stem.endswith(bands[0])]
    named: dict[str, Path] = {}
    for path, name in paths:
        key = str(name.with_suffix(""))
        if key in named:
            what = f"input={source}: {named[key]} and {path} have one name"
            raise InputError(what, do="rename one of them, or label them one by one")
        named[key] = path
    return list(named.items())


def _matches(pattern: Path, output: Path) -> list[tuple[Path, PurePath]]:
    """The images that `photos/*.jpg` matches, named below the folder before its first wildcard."""
    above = next(folder for folder in pattern.parents if not glob.has_magic(str(folder)))
    images: list[tuple[Path, PurePath]] = []
    for path in map(Path, sorted(glob.glob(str(pattern), recursive=True))):
        name = path.relative_to(above)
        if is_image(name) and output.resolve() not in path.resolve().parents:
            images.append((path, name))
    if not images:
        what = "matches no image" if glob.has_magic(str(pattern)) else "no such file or folder"
        do = "give an image, a folder, a pattern, a .txt with a path a line, or a video"
        raise InputError(f"input={pattern}: {what}", do=do)
    return images


def _listed(line: str, folder: Path) -> tuple[Path, PurePath]:
    """The path that a line of a list means, and its name: with the folders that the line names, but none
    outside of the output's."""
    path = folder / line
    if "\\" in line and not path.is_file():  # from Windows
        line = PureWindowsPath(line).as_posix()
        path = folder / line
    leaves = PurePath(line).is_absolute() or ".." in PurePath(line).parts
    return path, PurePath(path.name) if leaves else PurePath(line)


def _images_below(folder: Path, output: Path) -> Iterator[Path]:
    """The images of a folder and those below it, in order: no hidden ones, and no outputs of ours."""
    output = output.resolve()
    for place, below, files in os.walk(folder, onerror=_refuse):
        here = Path(place)
        outputs = here.resolve() == output or (here / MADE_FROM).is_file()
        below[:] = sorted(
            name
            for name in below
            if not (outputs and name in MADE)
            and not is_hidden(PurePath(name))
            and (here / name).resolve() != output
        )
        images = (here / name for name in sorted(files) if is_image(PurePath(name)))
        for path in images:
            if path.is_file() or path.is_symlink():  # a broken link is said
                check_name(path.name, here)
                yield path


def _refuse(error: OSError) -> None:
    raise InputError(f"input={error.filename}: cannot be read ({error.strerror})", do="make it readable")


def _what_to_give(source: Path) -> str:
    if source.is_dir() and (videos := sorted(p for p in source.iterdir() if is_video(p))):
        return f"its {len(videos)} videos are given one by one: input={videos[0]}"
    return f"give {', '.join(SUFFIXES)}, or a video: {', '.join(VIDEOS)}"
