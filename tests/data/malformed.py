"""Every way that we know to spoil an image or a mask, as bytes."""

import struct
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

HEIGHT, WIDTH, CLASSES = 24, 32, 3


def noise(seed: int, height: int = HEIGHT, width: int = WIDTH) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8))


def labels(height: int = HEIGHT, width: int = WIDTH, dtype=np.uint8) -> np.ndarray:
    """All three classes and ignored pixels, in columns."""
    return np.tile(np.array([0, 1, 2, 255], dtype)[np.arange(width) * 4 // width], (height, 1))


def encoded(image: Image.Image | np.ndarray, kind: str = "PNG", **keys) -> bytes:
    image = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    buffer = BytesIO()
    image.save(buffer, kind, **keys)
    return buffer.getvalue()


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def with_value(value: int, dtype) -> np.ndarray:
    """A mask with a few pixels of a value that is no label."""
    mask = labels(dtype=dtype)
    mask[2:5, 3] = value
    return mask


def huge_png() -> bytes:
    """20000×20000 one-bit pixels in a few kilobytes."""

    def chunk(name: bytes, content: bytes) -> bytes:
        check = zlib.crc32(name + content)
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", check)

    rows = zlib.compress(bytes(20000 * 2501), 9)
    header = struct.pack(">IIBBBBB", 20000, 20000, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def flipped(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 0x40]) + content[place + 1 :]


def broken_images() -> dict[str, tuple[bytes, str]]:
    """File name -> its bytes and what is to be said of it; the mask beside it is good."""
    jpeg, png = encoded(noise(1), "JPEG"), encoded(noise(2))
    tiff, bmp = encoded(noise(3), "TIFF"), encoded(noise(4), "BMP")
    gif, webp = encoded(noise(5), "GIF"), encoded(noise(6), "WEBP")
    floats = np.ones((HEIGHT, WIDTH), np.float32)
    square = noise(7, HEIGHT, HEIGHT)
    return {
        "half.jpg": (jpeg[: len(jpeg) // 2], "cannot be read"),
        "without_end.jpg": (jpeg[:-2], "cannot be read"),
        "header_only.jpg": (jpeg[:20], "cannot be read"),
        "two_bytes.jpg": (jpeg[:2], "cannot be read"),
        "empty.jpg": (b"", "is empty"),
        "page.jpg": (b"<!DOCTYPE html><html>404 Not Found</html>", "not an image"),
        "text.png": (b"see the other folder\n", "not an image"),
        "utf16.png": ("see the other folder\n".encode("utf-16"), "not an image"),
        "zeros.jpg": (bytes(5000), "not an image"),
        "archive.jpg": (b"PK\x03\x04" + bytes(300), "not an image"),
        "document.jpg": (b"%PDF-1.7\n%\xe2\xe3\n", "not an image"),
        "drawing.png": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "not an image"),
        "pointer.jpg": (
            b"version https://git-lfs.github.com/spec/v1\nsize 1\n",
            "not an image",
        ),
        "phone.jpg": (b"\x00\x00\x00\x24ftypheic\x00\x00\x00\x00mif1heic", "not an image"),
        "half.png": (png[: len(png) // 2], "cannot be read"),
        "header_only.png": (png[:40], "cannot be read"),
        "flipped_data.png": (flipped(png, 200), "cannot be read"),
        "flipped_header.png": (flipped(png, 18), "cannot be read"),
        "huge.png": (huge_png(), "could be decompression bomb"),
        "half.tif": (tiff[: len(tiff) // 2], "cannot be read"),
        "header_only.tif": (tiff[:8], "cannot be read"),
        "half.bmp": (bmp[: len(bmp) // 2], "cannot be read"),
        "half.gif": (gif[: len(gif) // 2], "cannot be read"),
        "half.webp": (webp[: len(webp) // 2], "cannot be read"),
        "floats.tif": (encoded(floats, "TIFF"), "1 channel of float32"),
        "nan.tif": (encoded(floats * np.nan, "TIFF"), "1 channel of float32"),
        "negative.tif": (encoded(-np.ones((HEIGHT, WIDTH), np.int32), "TIFF"), "1 channel of int16"),
        "cmyk.jpg": (encoded(noise(8).convert("CMYK"), "JPEG"), "its colours are CMYK"),
        "lab.tif": (encoded(Image.new("LAB", (WIDTH, HEIGHT)), "TIFF"), "its colours are LAB"),
        "pages.tif": (encoded(noise(9), "TIFF", save_all=True, append_images=[noise(10)]), "2 pages"),
        "film.gif": (encoded(noise(11), "GIF", save_all=True, append_images=[noise(12)]), "2 pages"),
        "one_pixel.jpg": (encoded(noise(13, 1, 1), "JPEG"), "1×1 pixels"),
        "lying.jpg": (encoded(noise(14), "JPEG", exif=turned(6)), "as if it did not"),
        "square.jpg": (encoded(square, "JPEG", exif=turned(6)), "EXIF orientation 6"),
        "upside_down.jpg": (encoded(noise(15), "JPEG", exif=turned(3)), "EXIF orientation 3"),
        "mirrored.jpg": (encoded(noise(16), "JPEG", exif=turned(2)), "EXIF orientation 2"),
    }


def broken_masks() -> dict[str, tuple[bytes, str]]:
    """File name of a mask -> its bytes and what is to be said of it; the image beside it is good."""
    good = labels()
    png, coloured = encoded(good), np.stack([good * 80] * 3, -1)
    coloured[..., 1] = 7
    palette = Image.fromarray(good % 3, "P")
    palette.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
    floats = good.astype(np.float32)
    in_alpha = Image.merge("LA", (Image.new("L", (WIDTH, HEIGHT)), Image.fromarray(good)))
    return {
        "label_300.png": (encoded(with_value(300, np.uint16)), "label 300 (3 pixels)"),
        "label_7.png": (encoded(with_value(7, np.uint8)), "label 7 (3 pixels)"),
        "label_254.png": (encoded(with_value(254, np.uint8)), "label 254 (3 pixels)"),
        "label_70000.tif": (encoded(with_value(70000, np.int32), "TIFF"), "label 70000"),
        "label_-1.tif": (encoded(with_value(-1, np.int32), "TIFF"), "label -1"),
        "palette_to_grey.png": (encoded(palette.convert("L")), "label 38"),
        "smoothed.jpg": (encoded(np.kron(good % 3 * 100, np.ones((1, 1), np.uint8)), "JPEG"), "label "),
        "all_wrong.png": (encoded(np.full((HEIGHT, WIDTH), 99, np.uint8)), "label 99 (768 pixels)"),
        "rgb.png": (encoded(coloured), "colours (mode RGB)"),
        "rgba.png": (encoded(Image.fromarray(coloured).convert("RGBA")), "colours (mode RGBA)"),
        "in_alpha.png": (encoded(in_alpha), "only the alpha channel differs"),
        "rgb.jpg": (encoded(coloured, "JPEG"), "colours (mode RGB)"),
        "inks.jpg": (encoded(Image.fromarray(coloured).convert("CMYK"), "JPEG"), "colours (mode CMYK)"),
        "floats.tif": (encoded(floats / 2, "TIFF"), "floating-point"),
        "nan.tif": (encoded(floats * np.nan, "TIFF"), "floating-point"),
        "lower.png": (encoded(labels(height=HEIGHT - 1)), "the mask is 32×23"),
        "wider.png": (encoded(labels(width=WIDTH + 1)), "the mask is 33×24"),
        "transposed.png": (encoded(good.T), "the mask is 24×32"),
        "twice.png": (encoded(labels(2 * HEIGHT, 2 * WIDTH)), "the mask is 64×48"),
        "one_pixel.png": (encoded(np.zeros((1, 1), np.uint8)), "the mask is 1×1"),
        "empty.png": (b"", "is empty"),
        "page.png": (b"<html>404</html>", "not an image"),
        "half.png": (png[: len(png) // 2], "cannot be read"),
        "header_only.png": (png[:33], "cannot be read"),
        "flipped.png": (flipped(png, len(png) - 20), "cannot be read"),
        "huge.png": (huge_png(), "could be decompression bomb"),
        "matlab.png": (b"MATLAB 5.0 MAT-file" + bytes(200), "not an image"),
        "array.png": (b"\x93NUMPY\x01\x00" + bytes(200), "not an image"),
    }


def add(root: Path, name: str, image: bytes, mask: bytes, *, masked: str = "", split: str = "train") -> None:
    """A pair by its files' bytes, in the list of a split; `masked` is the name of the mask's file."""
    masked = masked or f"{Path(name).stem}.png"
    for folder, file, content in (("images", name, image), ("masks", masked, mask)):
        (root / folder).mkdir(parents=True, exist_ok=True)
        (root / folder / file).write_bytes(content)
    with (root / f"{split}.txt").open("a") as lines:
        lines.write(f"images/{name}, masks/{masked}\n")


def add_broken_files(root: Path) -> dict[str, str]:
    """Adds all of them to a data set; gives the files at fault with what is to be said of each."""
    images, masks = broken_images(), broken_masks()
    sides = {"square.jpg": (HEIGHT, HEIGHT), "one_pixel.jpg": (1, 1)}
    for name, (content, _) in images.items():
        size = sides.get(name, (HEIGHT, WIDTH))
        add(root, f"p_{name}", content, encoded(labels(*size)), masked=f"of_{name}.png")
    for i, (name, (content, _)) in enumerate(masks.items()):
        add(root, f"for_{name}", encoded(noise(200 + i)), content, masked=f"m_{name}")
    expected = {f"p_{name}": why for name, (_, why) in images.items()}
    expected["of_lying.jpg.png"] = expected.pop("p_lying.jpg")  # the mask is what does not fit
    return expected | {f"m_{name}": why for name, (_, why) in masks.items()}
