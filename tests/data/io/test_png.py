"""Our decoder of masks gives what Pillow's does, and leaves to Pillow what it would read otherwise."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from segtrain.data.io.files import read_mask
from segtrain.data.io.png import decode_mask_png
from tests.data.malformed import encoded

NUMBERS = np.random.default_rng(0).integers(0, 5, (13, 17), np.uint8) * 51


def image(mode: str) -> Image.Image:
    image = Image.fromarray(NUMBERS)
    if mode == "P":
        image = Image.frombytes("P", image.size, NUMBERS.tobytes())
        image.putpalette(np.random.default_rng(1).integers(0, 256, 768, np.uint8).tobytes())
    return image


def png(*, rows: bytes | None = None, header: bytes = b"\x08\x00\x00\x00\x00", more: tuple = ()) -> bytes:
    """A grey PNG of NUMBERS, or of something else in its place."""
    if rows is None:
        rows = np.pad(NUMBERS, ((0, 0), (1, 0))).tobytes()
    head = struct.pack(">II", *reversed(NUMBERS.shape)) + header
    chunks = [(b"IHDR", head), *more, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    sums = (zlib.crc32(name + data) for name, data in chunks)
    parts = (
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", crc)
        for (name, data), crc in zip(chunks, sums, strict=True)
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize(
    "content",
    [
        encoded(image("P")),
        encoded(image("P"), "PNG", transparency=3),
        png(),
        png(more=((b"tEXt", b"a\0b"),)),
    ],
    ids=["palette", "transparency", "grey", "text"],
)
def test_the_numbers_are_pillows(tmp_path, content):
    path = tmp_path / "a.png"
    path.write_bytes(content)
    assert np.array_equal(np.asarray(Image.open(path)), NUMBERS)
    assert np.array_equal(decode_mask_png(path), NUMBERS)
    mask = read_mask(path)
    assert np.array_equal(mask, NUMBERS)
    assert mask.flags.writeable


@pytest.mark.parametrize(
    "content",
    [
        encoded(image("L"), "PNG"),  # Pillow filters the rows of a grey one
        encoded(image("P").convert("RGB"), "PNG"),
        encoded(image("L").convert("1"), "PNG"),
        encoded(image("L"), "JPEG"),
        png(header=b"\x10\x00\x00\x00\x00"),  # 16 bits
        png(header=b"\x08\x00\x00\x00\x01"),  # interlaced
        png(more=((b"acTL", bytes(8)),)),  # animated
        png(more=((b"ABCD", b""),)),  # unknown, and needed
        png(rows=bytes(13 * 18 - 1)),  # a number too few
        png(rows=bytes(10**7)),  # ten million too many
        encoded(image("P"))[:-13],
        b"\x89PNG\r\n\x1a\n",
        b"",
    ],
)
def test_whatever_else_is_left_to_pillow(tmp_path, content):
    (tmp_path / "a.png").write_bytes(content)
    assert decode_mask_png(tmp_path / "a.png") is None


def test_no_flipped_bit_changes_a_number(tmp_path):
    content, path = encoded(image("P")), tmp_path / "a.png"
    for bit in range(8 * len(content)):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        assert decode_mask_png(path) is None, f"bit {bit}"


def test_a_mask_above_pillows_limit_is_left_to_pillow(tmp_path, monkeypatch):
    (tmp_path / "a.png").write_bytes(encoded(image("P")))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", NUMBERS.size - 1)
    assert decode_mask_png(tmp_path / "a.png") is None
