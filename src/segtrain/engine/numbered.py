"""`keep_last=N`: the newest N states of a run, as `step_500.ckpt`."""

import os
import re
import shutil
from pathlib import Path

from segtrain.engine.checkpoint import sync_folder, unfinished
from segtrain.errors import SaveError

NUMBERED = re.compile(r"step_(\d+)\.ckpt")


def keep_numbered(last: Path, step: int, count: int) -> None:
    """Gives the state that was just saved a name of its own, and deletes the oldest beyond `count`.

    The file is linked, so that it takes no time and no second place on the disk. At every moment each
    `step_N.ckpt` is a whole checkpoint, and there are `count` of them as soon as that many were saved.

    Args:
        last: the `last.ckpt` that was written.
        step: that it is of.
        count: of files to keep; 0 keeps none, and deletes none.

    Raises:
        SaveError: the disk is full, or the folder cannot be written.
    """
    if not count:
        return
    path = last.with_name(f"step_{step}.ckpt")
    try:
        with unfinished(last.parent) as folder:
            temporary = folder / path.name
            try:
                os.link(last, temporary)
            except OSError:  # of a file system without links
                shutil.copyfile(last, temporary)
            os.replace(temporary, path)
            sync_folder(last.parent)
        found = [file for file in last.parent.iterdir() if NUMBERED.fullmatch(file.name)]
        # By time: after a resume from an earlier step the later ones are the older.
        for old in sorted(found, key=_age)[:-count]:
            if old != path:
                old.unlink(missing_ok=True)
    except OSError as error:
        raise SaveError.of(path, error) from error


def _age(path: Path) -> tuple[int, int]:
    found = NUMBERED.fullmatch(path.name)
    return path.stat().st_mtime_ns, int(found[1]) if found else 0
