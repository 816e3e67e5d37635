"""The command line that the present run was started by, for its records."""

import shlex
from collections.abc import Sequence

_typed: list[str] = []  # of this process; each run of a sweep sets it anew


def note_command(root: str, arguments: Sequence[str]) -> None:
    """Keeps a run's command line for `command_line`.

    Args:
        root: the root config, `train` or `eval`.
        arguments: as they were typed; of a run of a sweep its own overrides.
    """
    _typed[:] = ["segtrain" if root == "train" else f"seg{root}", *arguments]


def command_line() -> str:
    """The command line on one line, as it can be pasted into a shell.

    Example:
        >>> note_command("train", ["model=unet", "data.root=my photos"])
        >>> command_line()
        "segtrain model=unet 'data.root=my photos'"
    """
    return " ".join(shlex.join(_typed).split("\n"))
