"""Small files of every kind that segtrain reads, and ways to spoil them."""

import io
import json
import random
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io
import tifffile
import torch
import yaml
from PIL import Image

from scripts.stress.damage import small
from segtrain.engine.checkpoint import DIGEST, save
from tests.data.formats.exports import WRITERS, write_images

HEIGHT, WIDTH = 24, 32
NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
JUNK = (None, True, -1, 0, 2**31, 2**70, 1e300, float("inf"), float("nan"), "", "x", "\0", "é" * 300)
JUNK += ([], {}, [[]], {"a": None}, [1, "a"], [1e9, -1e9], "../../x", [[[[[[[[1]]]]]]]])  # type: ignore[assignment]


def images(rng: np.random.Generator) -> dict[str, bytes]:
    """Images and masks by a name that says what they are."""
    colours = rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    grey, deep = colours[..., 0] % 3, (colours[..., 0].astype(np.uint16) << 4)
    palette = Image.fromarray(grey, "P")
    palette.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
    turned = Image.Exif()
    turned[0x0112] = 6
    with_alpha = np.dstack([colours, colours[..., 0]])
    made = {
        "rgb.png": encoded(colours),
        "grey.png": encoded(grey),
        "palette.png": encoded(palette),
        "alpha.png": encoded(with_alpha),
        "deep.png": encoded(deep),
        "bits.png": encoded(Image.fromarray(grey > 0)),
        "rgb.jpg": encoded(colours, "JPEG", exif=turned),
        "grey.jpg": encoded(grey, "JPEG"),
        "progressive.jpg": encoded(colours, "JPEG", progressive=True),
        "cmyk.jpg": encoded(Image.fromarray(colours).convert("CMYK"), "JPEG"),
        "rgb.bmp": encoded(colours, "BMP"),
        "palette.bmp": encoded(palette, "BMP"),
        "rgb.webp": encoded(colours, "WEBP"),
        "lossless.webp": encoded(with_alpha, "WEBP", lossless=True),
        "palette.gif": encoded(palette, "GIF"),
        "rgb.ppm": encoded(colours, "PPM"),
        "deep.pgm": encoded(deep, "PPM"),
    }
    for compression in ("raw", "tiff_deflate", "packbits", "tiff_lzw"):
        made[f"{compression}.tif"] = encoded(colours, "TIFF", compression=compression)
    made |= {"grey.tif": encoded(grey, "TIFF"), "palette.tif": encoded(palette, "TIFF")}
    made["floats.tif"] = tiff(rng.random((HEIGHT, WIDTH), np.float32))
    made["bands.tif"] = tiff(rng.integers(0, 4096, (5, HEIGHT, WIDTH), np.uint16), photometric="minisblack")
    made["tiles.tif"] = tiff(np.tile(colours, (2, 2, 1)), tile=(16, 16), photometric="rgb")
    made["big.tif"] = tiff(deep, bigtiff=True, byteorder=">")
    return made | arrays(rng)


def arrays(rng: np.random.Generator) -> dict[str, bytes]:
    """NumPy's and MATLAB's files."""
    values = rng.integers(0, 3, (HEIGHT, WIDTH), np.uint8)
    made = {}
    for name, array in {"bytes": values, "bands": np.stack([values] * 5).astype(np.int16)}.items():
        plain, packed = io.BytesIO(), io.BytesIO()
        np.save(plain, array)
        np.savez_compressed(packed, image=array)
        made |= {f"{name}.npy": plain.getvalue(), f"{name}.npz": packed.getvalue()}
    stack = io.BytesIO()
    np.savez(stack, np.stack([values == 1, values == 2]).astype(np.uint8))
    made["stack.npz"] = stack.getvalue()
    for compressed in (False, True):
        mat = io.BytesIO()
        scipy.io.savemat(mat, {"GTcls": {"Segmentation": values}}, do_compression=compressed)
        made[f"packed{compressed}.mat"] = mat.getvalue()
    return made


def encoded(image: Any, kind: str = "PNG", **keys: Any) -> bytes:
    image = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    buffer = io.BytesIO()
    image.save(buffer, kind, **keys)
    return buffer.getvalue()


def tiff(values: np.ndarray, **keys: Any) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, values, **keys)
    return buffer.getvalue()


def write_exports(folder: Path) -> dict[str, list[Path]]:
    """The exports of annotation tools below a folder: format -> the files in it that can be spoilt."""
    found = {}
    for name, write in WRITERS.items():
        write(folder / name)
        files = sorted(path for path in (folder / name).rglob("*") if path.is_file())
        found[name] = [path for path in files if path.suffix in (".json", ".xml", ".txt", ".yaml", ".csv")]
    masks = folder / "cvat_masks"
    write_images(masks / "JPEGImages", suffix=".jpg")
    (masks / "SegmentationClass").mkdir()
    for image in (masks / "JPEGImages").iterdir():
        Image.new("RGB", (40, 33)).save(masks / f"SegmentationClass/{image.stem}.png")
    (masks / "labelmap.txt").write_text("background:0,0,0::\ncat:250,9,9::\n")
    return found | {"cvat_masks": [masks / "labelmap.txt"]}


def texts() -> dict[str, bytes]:
    """Lists, and what describes classes."""
    classes = {"class_names": ["a", "b"], "palette": [[0, 0, 0], [9, 9, 9]], "num_classes": 2}
    return {
        "train.list": "\ufeffa b\r\nc\n/d.png e.png\n".encode(),
        "map.yaml": yaml.safe_dump({"0,0,0": 0, "255,0,0": 1, "9,9,9": 255}).encode(),
        "numbers.yaml": b"255: 1\n7: 0\n",
        "classes.yaml": yaml.safe_dump(classes).encode(),
        "data.yaml": yaml.safe_dump({"root": ".", **classes}).encode(),
    }


def checkpoint_of(folder: Path, meta: dict) -> bytes:
    saved = small(7)
    save(saved._replace(meta=meta), folder / "good.ckpt")
    return (folder / "good.ckpt").read_bytes()


def spoilt(content: bytes, rng: random.Random, others: list[bytes], suffix: str = "") -> bytes:
    """The content with one to four mutations; PNG's check sums are made right again as often as not."""
    if suffix == ".json" and rng.random() < 0.6:
        return json.dumps(with_junk(json.loads(content), rng)).encode()
    if suffix == ".yaml" and rng.random() < 0.5:
        return yaml.safe_dump(with_junk(yaml.safe_load(content), rng)).encode()
    for _ in range(rng.randint(1, 4)):
        content = rng.choice(MUTATIONS)(content, rng, others)
    if suffix == ".png" and rng.random() < 0.5:
        return with_check_sums(content)
    return content


def with_junk(node: Any, rng: random.Random) -> Any:
    """Nested dicts and lists with one value replaced, removed or doubled."""
    found = list(_locations(node))
    if not found:
        return rng.choice(JUNK)
    parent, key = rng.choice(found)
    how = rng.random()
    if how < 0.2:
        del parent[key]
    elif how < 0.3 and isinstance(parent, list):
        parent.append(parent[key])
    else:
        parent[key] = rng.choice(JUNK)
    return node


def _locations(node: Any) -> Any:
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in list(items):
        yield node, key
        yield from _locations(value)


def _flip(content: bytes, rng: random.Random, others: list[bytes]) -> bytes:
    if not content:
        return content
    changed, bit = bytearray(content), rng.randrange(8 * len(content))
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def _number(content: bytes, rng: random.Random, others: list[bytes]) -> bytes:
    """A number of one to four bytes in its place, near the beginning more often."""
    size, order = rng.choice((1, 2, 4)), rng.choice(("big", "little"))
    last = max(0, len(content) - size)
    at = rng.randint(0, min(last, 200) if rng.random() < 0.6 else last)
    value = rng.choice(NUMBERS) & (256**size - 1)
    return content[:at] + value.to_bytes(size, order) + content[at + size :]  # type: ignore[arg-type]


def _cut(content: bytes, rng: random.Random, others: list[bytes]) -> bytes:
    return content[: rng.randint(0, len(content))]


def _repeat(content: bytes, rng: random.Random, others: list[bytes]) -> bytes:
    a, b = sorted(rng.randint(0, len(content)) for _ in range(2))
    return content[:b] + content[a:b] * rng.choice((0, 1, 3)) + content[b:]


def _remove(content: bytes, rng: random.Random, others: list[bytes]) -> bytes:
    a, b = sorted(rng.randint(0, len(content)) for _ in range(2))
    return content[:a] + content[b:]


def _splice(content: bytes, rng: random.Random, others: list[bytes]) -> bytes:
    """The beginning of one file with the end of another."""
    other = rng.choice(others)
    return content[: rng.randint(0, len(content))] + other[rng.randint(0, len(other)) :]


MUTATIONS: tuple[Callable[[bytes, random.Random, list[bytes]], bytes], ...] = (
    *(_flip, _flip, _flip, _number, _number, _number),
    *(_cut, _repeat, _remove, _splice),
)


def with_check_sums(content: bytes) -> bytes:
    """A PNG whose chunks all have the right check sum, as far as there are chunks."""
    made, at = bytearray(content), 8
    while at + 12 <= len(content):
        length = int.from_bytes(content[at : at + 4], "big")
        end = at + 8 + length
        if end + 4 > len(content):
            break
        made[end : end + 4] = zlib.crc32(content[at + 4 : end]).to_bytes(4, "big")
        at = end + 4
    return bytes(made)


def with_digest(content: bytes) -> bytes:
    """A checkpoint whose digest is that of its content, where the header still has a place for one."""
    import hashlib

    marker = f'"{DIGEST}":"'.encode()
    at = content.find(marker)
    if at < 0:
        return content
    at += len(marker)
    blank = content[:at] + b"0" * 64 + content[at + 64 :]
    return blank[:at] + hashlib.sha256(blank).hexdigest().encode() + blank[at + 64 :]


def a_config() -> dict:
    """What a run's checkpoint says of itself."""
    from segtrain.commands.build import saved_config
    from segtrain.config.compose import compose_config, plain

    config = plain(compose_config("train", ["model=unet", "width=0.0625", "data.num_classes=2"]))
    names = {"class_names": ["a", "b"], "palette": [[0, 0, 0], [9, 9, 9]]}
    return {"config": saved_config(config), "step": 7, "best": 0.5, "losses": [[0.5]], **names}


torch.set_num_threads(1)
