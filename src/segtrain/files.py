"""Files are written whole or not at all."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from segtrain.errors import SaveError


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Writes `path` so that at every moment it is the old file, the new one, or missing.

    Args:
        path: its folder is made.
        write: gets the open file.

    Raises:
        SaveError: the disk is full, or the folder cannot be written.

    Example:
        >>> write_atomically(Path("labels.png"), lambda file: image.save(file, "PNG"))
    """
    temporary = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            write(file)
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise SaveError(f"{path}: could not be written ({error})", do="free some space, run again") from error
