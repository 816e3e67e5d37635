"""What each output of `segpredict` was made from: what would come out the same is not made again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from segtrain.errors import InputError, SaveError
from segtrain.files import blocks_of

MADE_FROM = "made_from.jsonl"  # in the folder of the outputs


class MadeFrom:
    """The record of a folder: for each image and kind of output the digest of what it was made from.

    A line of the file is `{"image": NAME, KIND: DIGEST, ...}`, and the last one of an image and a kind
    counts. Before an output is touched a line says null, and when it is whole another one its digest:
    a kill at any moment leaves an output that is as it says, or that is made again.

    Args:
        folder: of the outputs.
        settings: of each kind, all besides the image that decides what an output holds.

    Raises:
        InputError: the file cannot be read.
    """

    def __init__(self, folder: Path, settings: dict[str, Any]):
        self.path = folder / MADE_FROM
        self._settings = {kind: json.dumps(of, sort_keys=True).encode() for kind, of in settings.items()}
        self._found = _read(self.path)

    def digests(self, *files: Path) -> dict[str, str]:
        """The digest of each kind for an image, by the content of its files now. Raises InputError."""
        content = hashlib.sha256()
        for path in files:
            content.update(path.stat().st_size.to_bytes(8, "little") if path.is_file() else b"")
            for block in blocks_of(path):
                content.update(block)
        return {
            kind: hashlib.sha256(content.digest() + settings).hexdigest()[:32]
            for kind, settings in self._settings.items()
        }

    def is_current(self, name: str, kinds: Iterable[str], digests: dict[str, str]) -> bool:
        """Whether an image's outputs of these kinds were made from what the digests are of."""
        return all(self._found.get((name, kind)) == digests[kind] for kind in kinds)

    def is_own(self, name: str, kind: str) -> bool:
        """Whether an output is, or was begun as, one of ours."""
        return (name, kind) in self._found

    def begin(self, name: str, kinds: Iterable[str]) -> None:
        """Notes that an image's outputs of these kinds are about to change. Raises SaveError."""
        self._append(name, dict.fromkeys(kinds))

    def finish(self, name: str, kinds: Iterable[str], digests: dict[str, str]) -> None:
        """Notes from what an image's outputs of these kinds were made. Raises SaveError."""
        self._append(name, {kind: digests[kind] for kind in kinds})

    def _append(self, name: str, values: dict[str, str | None]) -> None:
        line = json.dumps({"image": name} | values)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(f"\n{line}\n")  # after a line that a kill or a full disk cut short, too
        except OSError as error:
            raise SaveError.of(self.path, error) from error
        self._found |= {(name, kind): value for kind, value in values.items()}


def _read(path: Path) -> dict[tuple[str, str], str | None]:
    """The digests by image and kind; lines that are cut short are passed over."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})", do="choose another output=") from error
    found: dict[tuple[str, str], str | None] = {}
    for line in text.split("\n"):
        try:
            values = json.loads(line) if line else {}
        except (ValueError, RecursionError):
            continue
        if isinstance(values, dict) and isinstance(name := values.pop("image", None), str):
            found |= {(name, kind): value for kind, value in values.items()}
    return found
