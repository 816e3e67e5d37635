"""Files from the network that are kept only if they are what their sha256 says, and downloaded once."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import unquote, urlparse
from urllib.request import Request, urlopen

from segtrain.errors import InputError, SaveError
from segtrain.files import blocks_of, cache_folder
from segtrain.progress import Terminal, progress_bar
from segtrain.version import __version__

MOST_BYTES = 4 << 30  # of a file; the largest of the published networks has 600 MB
MOST_TEXT = 1 << 20
SECONDS = 30  # that a server may be silent
BLOCK = 1 << 20
SHORTEST = 8  # digits of a sha256: as many as torchvision writes into its files' names


def is_url(text: str | Path) -> bool:
    """Whether something is an address of HTTP, and not a path."""
    return re.match(r"https?://", str(text)) is not None


def check_sha256(sha256: object, asked: str, shortest: int = 64) -> str:
    """A sha256 of a file in small letters, or its first digits.

    Args:
        sha256: as it was given.
        asked: what it was given for, for the message.
        shortest: how many digits there must be.

    Raises:
        InputError: it is no such text.
    """
    text = str(sha256 or "").lower()
    if not re.fullmatch(r"[0-9a-f]{8,64}", text) or len(text) < shortest:
        digits = "64 digits" if shortest == 64 else f"64 digits, or its first {shortest} and more"
        given = "none" if sha256 in (None, "") else repr(sha256)
        raise InputError(
            f"{asked}: its sha256 must be {digits}, 0 to 9 and a to f, got {given}",
            do="take it from whoever publishes the file, or get the file yourself and give its path",
        )
    return text


def check_file(path: Path, sha256: str, asked: str) -> Path:
    """Raises InputError where a file is not the one of a sha256, or cannot be read; gives its path."""
    digest = hashlib.sha256()
    for block in blocks_of(path):
        digest.update(block)
    _check_digest(digest.hexdigest(), sha256, asked)
    return path


def _check_digest(found: str, sha256: str, asked: str) -> None:
    if not found.startswith(sha256):
        raise InputError(
            f"{asked}: the file's sha256 must be {sha256}, got {found}; it was not read",
            do="compare with whoever publishes it: it is another file, or was changed on its way",
        )


def download(url: str, sha256: str, *, asked: str, most: int = MOST_BYTES) -> Path:
    """The file of a URL in the cache, where it is downloaded to once; none of another sha256 gets there.

    Args:
        url: http or https.
        sha256: of the file, or its first digits.
        asked: what the user gave to get it, for messages.
        most: bytes that the file may have.

    Returns:
        Its path, which ends as the URL does.

    Raises:
        InputError: no network, the server refuses, the file is too large, cut short or another.
        SaveError: the cache cannot be written.

    Example:
        >>> download("https://example.org/fcn8s.pth", "0" * 64, asked="weights=https://example.org/fcn8s.pth")
    """
    name = Path(unquote(urlparse(url).path)).name or "file"
    path = cache_folder() / "weights" / sha256 / name
    if path.is_file():
        with suppress(InputError):  # what is damaged is downloaded again
            return check_file(path, sha256, asked)
    part = path.with_name(f".{os.getpid()}.part")
    digest = hashlib.sha256()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            for block in _shown(name, _blocks(url, asked, most)):
                digest.update(block)
                file.write(block)
        _check_digest(digest.hexdigest(), sha256, asked)
        part.replace(path)
    except OSError as error:
        raise SaveError.of(path, error) from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
            path.parent.rmdir()  # if it is empty
    return path


def download_text(url: str, *, asked: str) -> str:
    """The text of a URL, UTF-8. Raises InputError as `download`, and where it is no text."""
    content = b"".join(block for block, _ in _blocks(url, asked, MOST_TEXT))
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise InputError(f"{asked}: {url} is no text", do="see what is there") from error


def _blocks(url: str, asked: str, most: int) -> Iterator[tuple[bytes, int | None]]:
    """The content of a URL block by block, with the bytes of all of it where the server says how many."""
    with _opened(url, asked) as answer:
        length = answer.length
        got = 0
        if length is not None and length > most:
            raise _too_large(asked, length, most)
        while block := answer.read(BLOCK):
            got += len(block)
            if got > most:
                raise _too_large(asked, got, most)
            yield block, length
        if length is not None and got < length:
            raise InputError(f"{asked}: cut short after {got} of {length} bytes", do="try again")


def _too_large(asked: str, size: int, most: int) -> InputError:
    return InputError(
        f"{asked}: must have at most {most / 1e6:.4g} MB, got {size / 1e6:.4g} MB and more",
        do="get it yourself, and give its path",
    )


@contextmanager
def _opened(url: str, asked: str) -> Iterator[HTTPResponse]:
    """Raises InputError for what keeps a URL from being read, also while it is read."""
    request = Request(url, headers={"User-Agent": f"segtrain/{__version__}"})
    try:
        with urlopen(request, timeout=SECONDS) as answer:
            yield answer
    except HTTPError as error:
        with error:
            what = f"{asked}: {url} cannot be downloaded: the server says {error.code} {error.reason}"
        raise InputError(what, do="look at the address") from error
    except (URLError, HTTPException, TimeoutError, ConnectionError, ValueError) as error:
        reason = getattr(error, "reason", None) or str(error) or type(error).__name__
        raise InputError(
            f"{asked}: {url} cannot be downloaded ({reason})",
            do="where there is a network, get it and give its path",
        ) from error


def _shown(name: str, blocks: Iterator[tuple[bytes, int | None]]) -> Iterator[bytes]:
    """The blocks, under a progress bar in MB."""
    first = next(blocks, None)
    if first is None:
        return
    total = None if first[1] is None else max(first[1] // BLOCK, 1)
    with progress_bar(f"downloading {name}, MB", total, console=Terminal(stderr=True)) as advance:
        yield first[0]
        advance()
        for block, _ in blocks:
            yield block
            advance()
