"""OpenCV's JPEG decoder gives what Pillow's does, and leaves to Pillow what it would read otherwise."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageOps

from segtrain.data.io.files import read_image
from segtrain.data.io.jpeg import decode_jpeg
from tests.data.malformed import encoded, noise, turned


def smooth(seed: int = 0, height: int = 37, width: int = 53) -> Image.Image:
    return noise(seed, 5, 7).resize((width, height), Image.Resampling.BICUBIC)


@pytest.mark.parametrize(
    "keys",
    [{}, {"quality": 100}, {"quality": 30, "subsampling": 2}, {"subsampling": 0}, {"progressive": True}],
)
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_the_pixels_are_pillows(tmp_path, mode, keys):
    path = tmp_path / "a.jpg"
    path.write_bytes(encoded(smooth().convert(mode), "JPEG", **keys))
    expected = np.asarray(Image.open(path).convert("RGB"))
    assert np.array_equal(decode_jpeg(path), expected)
    assert np.array_equal(read_image(path), expected)


@pytest.mark.parametrize(
    "content",
    [
        encoded(smooth()),
        encoded(smooth().convert("CMYK"), "JPEG"),
        encoded(smooth(), "JPEG", exif=turned(6)),
        encoded(smooth(), "JPEG")[:-100],
        b"\xff\xd8",
        b"",
    ],
    ids=["PNG", "CMYK", "turned", "cut", "start", "empty"],
)
def test_whatever_else_is_left_to_pillow(tmp_path, content):
    (tmp_path / "a.jpg").write_bytes(content)
    assert decode_jpeg(tmp_path / "a.jpg") is None


def test_only_a_header_that_leaves_a_doubt_is_read_by_pillow(tmp_path, monkeypatch):
    plain, dated = encoded(smooth(), "JPEG"), encoded(smooth(), "JPEG", exif=turned(1))
    opened, read = [], Image.open
    monkeypatch.setattr(Image, "open", lambda file: opened.append(file) or read(file))
    for content, count in ((plain, 0), (dated, 1)):
        (tmp_path / "a.jpg").write_bytes(content)
        assert decode_jpeg(tmp_path / "a.jpg") is not None
        assert len(opened) == count


def test_a_image_above_pillows_limit_is_left_to_pillow(tmp_path, monkeypatch):
    (tmp_path / "a.jpg").write_bytes(encoded(smooth(), "JPEG"))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 37 * 53 // 3)
    assert decode_jpeg(tmp_path / "a.jpg") is None


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_image_stands_upright_whichever_decoder_reads_it(tmp_path, orientation):
    content = encoded(smooth(), "JPEG", exif=turned(orientation))
    (tmp_path / "a.jpg").write_bytes(content)
    upright = ImageOps.exif_transpose(Image.open(BytesIO(content)))
    assert np.array_equal(read_image(tmp_path / "a.jpg"), np.asarray(upright))
