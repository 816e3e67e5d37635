"""Files are written whole or not at all, and never outside of the folder that they belong into."""

import errno
import hashlib
import io
import os
import re
import shlex
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path, PurePath
from typing import BinaryIO

from segtrain.errors import InputError, SaveError


def inside(folder: Path, name: str) -> Path:
    """The path of a file below `folder`, whose name comes from a list, a file or a config.

    Args:
        folder: that the file belongs into.
        name: may name folders below it.

    Raises:
        InputError: the name would lead out of the folder.

    Example:
        >>> inside(Path("labels"), "city/a.png")
        PosixPath('labels/city/a.png')
    """
    path = PurePath(name)
    if path.anchor or ".." in path.parts or "\0" in name or not path.name:
        raise InputError(
            f"the name {name!r} leads out of {folder}", do="name files below their folder, without .."
        )
    return folder / name


def quoted_for_hydra(text: str) -> str:
    """A text in single quotes of Hydra's grammar, where a backslash is one unless it stands before a quote or
    at the end.

    Example:
        >>> print(quoted_for_hydra(r"^\\d+"), quoted_for_hydra("it's"))
        '^\\d+' 'it\\'s'
    """
    inside = re.sub(r"(\\*)('|\Z)", lambda found: found[1] * 2 + ("\\'" if found[2] else ""), text)
    return f"'{inside}'"


def without_quotes(value: str) -> str:
    """The value of an override as people read it: `'my photos'` without its quotes; lists as they are.

    Example:
        >>> print(without_quotes("'2024_01'"), without_quotes("['a','b']"))
        2024_01 ['a','b']
    """
    found = re.fullmatch(r"""(['"])((?:(?!\1)[^\\])*)\1""", value)
    return found[2] if found else value


def as_argument(key: str, path: Path | str, whole: bool = False) -> str:
    """`key=PATH` as it can be pasted into a shell, quoted for Hydra and for the shell where it must be.

    Args:
        whole: whether the shell's quotes stand around the key as well, which shows best what Hydra gets.

    Example:
        >>> as_argument("resume", "my runs/last.ckpt")
        'resume="\'my runs/last.ckpt\'"'
    """
    text = str(path)
    if re.fullmatch(r"[\w./+-]+", text, re.ASCII):
        return f"{key}={text}"
    of_hydra = f"{key}={quoted_for_hydra(text)}" if whole else quoted_for_hydra(text)
    of_shell = shlex.quote(of_hydra) if re.search(r'["$`\\!]', of_hydra) else f'"{of_hydra}"'
    return of_shell if whole else f"{key}={of_shell}"


class _Stream(io.BufferedWriter):
    """A file without a descriptor: writing to that, Pillow would not say what kept it from it."""

    def fileno(self) -> int:
        raise io.UnsupportedOperation("fileno")


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Writes `path` so that at every moment it is the old file, the new one, or missing.

    Args:
        path: its folder is made.
        write: gets the open file.

    Raises:
        SaveError: the disk is full, the folder cannot be written, or the name is too long.

    Example:
        >>> write_atomically(Path("labels.png"), lambda file: image.save(file, "PNG"))
    """
    # Of one length whatever the name's: that may be as long as a name can be.
    temporary = path.with_name(f".{hashlib.sha256(path.name.encode(errors='replace')).hexdigest()[:16]}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _Stream(io.FileIO(temporary, "w")) as file:
            write(file)
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise SaveError.of(path, error) from error


def user_path(path: str | Path) -> Path:
    """A path that a user gave, in which `~` is the home folder, and `~NAME` that of NAME.

    Raises:
        InputError: nobody's home is known, or there is no such user.

    Example:
        >>> user_path("data/camvid")
        PosixPath('data/camvid')
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        home = PurePath(path).parts[0]
        do = "set HOME, or write the path without ~" if home == "~" else "write the path without it"
        raise InputError(f"{path}: the folder that {home} stands for is not known", do=do) from error


def cache_folder() -> Path:
    """Where segtrain keeps what can be made or had again: below `$XDG_CACHE_HOME`, else ~/.cache.

    Raises:
        InputError: neither is known.
    """
    try:
        return user_path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "segtrain"
    except InputError as error:
        what = "the folder for what is downloaded or kept is not known: no HOME is set"
        raise InputError(what, do="set XDG_CACHE_HOME to a folder that can be written") from error


def blocks_of(path: Path) -> Iterator[bytes]:
    """A file's bytes, a mebibyte at a time.

    Raises:
        InputError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                yield block
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})", do="get the file anew") from error


def check_name(name: str, folder: Path | str = "") -> None:
    """Raises InputError for a name or an argument that is not UTF-8, as files may have from old archives:
    no report could say it."""
    if not name.isascii() and name != name.encode(errors="replace").decode():
        shown = name.encode(errors="surrogateescape").decode(errors="backslashreplace")
        raise InputError(f"{Path(folder, shown)}: not UTF-8", do="rename it, a folder's files by convmv")


def content_of(path: Path) -> bytes:
    """What is in a small file. Raises OSError, also for a pipe, which may never end."""
    if path.exists() and not path.is_file() and not path.is_dir():
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return path.read_bytes()


def write_bytes(path: Path, data: bytes) -> None:
    """Writes a file that is in memory, whole or not at all. Raises SaveError."""
    write_atomically(path, lambda file: file.write(data))
