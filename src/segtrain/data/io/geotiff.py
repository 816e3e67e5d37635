"""Cloud-optimised GeoTIFFs, written row by row: tiled, compressed, with overviews."""

from __future__ import annotations

import errno
import json
import os
import shutil
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple
from xml.sax.saxutils import escape

import numpy as np

from segtrain.contracts import Colour
from segtrain.data.io.scenes import Scene, import_rasterio
from segtrain.errors import SaveError

BLOCK = 512  # pixels of a tile's side
ROOM = 1 << 20  # bytes that are free on a disk that is not full
LAYOUT = {"compress": "deflate", "blocksize": BLOCK, "bigtiff": "if_safer"}


class TiffContent(NamedTuple):
    """What a GeoTIFF holds.

    Attributes:
        dtype: uint8 or uint16.
        channels: how many.
        nodata: the number of pixels without data.
        class_names: of the classes; each channel's where there are as many, else of the numbers.
        palette: the colour of each number, of one channel of uint8; None: no colour table.
        scale: what a number is to be multiplied by.
        resampling: of the overviews, GDAL's name.
    """

    dtype: str
    channels: int
    nodata: int
    class_names: Sequence[str]
    palette: Sequence[Colour] | None = None
    scale: float | None = None
    resampling: str = "nearest"


def write_geotiff(
    path: Path, rows: Callable[[], Iterable[np.ndarray]], scene: Scene, content: TiffContent, work: Path
) -> None:
    """Writes a cloud-optimised GeoTIFF of a scene's size and place, whole or not at all.

    The same rows give the same bytes. Beside the file stands NAME.tif.aux.xml with the names of the
    classes, where GDAL and QGIS look for them; in the file they are the tag `class_names`, as JSON.

    Args:
        path: its folder is made.
        rows: gives blocks C×h×W from the top down.
        scene: what was predicted.
        work: a folder for the unfinished file, on the same disk.

    Raises:
        SaveError: the disk is full, or the folder cannot be written.
    """
    rasterio = import_rasterio(path)
    from rasterio.shutil import copy

    plain, whole = work / ".plain.tif", work / ".whole.tif"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        written = _write_plain(rasterio, plain, rows(), scene, content)
        copy(str(plain), str(whole), driver="COG", overview_resampling=content.resampling, **LAYOUT)
        with rasterio.open(whole) as source:  # GDAL says little of a disk that is full
            if (
                _checksum(source.read(window=((a, b), (0, scene.width))) for a, b in _slices(scene))
                != written
            ):
                raise OSError(errno.EIO, "what was written is not what is read")
        if content.channels == 1:
            _write_names(path.with_name(f"{path.name}.aux.xml"), work / ".names.xml", content.class_names)
        whole.replace(path)
    except Exception as error:
        if isinstance(error, OSError) or type(error).__module__.startswith("rasterio"):
            raise _save_error(path, error) from error
        raise
    finally:
        for unfinished in (plain, whole):
            with suppress(OSError):
                unfinished.unlink(missing_ok=True)


def _write_plain(
    rasterio: Any, path: Path, rows: Iterable[np.ndarray], scene: Scene, content: TiffContent
) -> int:
    """Writes a tiled GeoTIFF without overviews; the checksum of its rows."""
    ground = dict(scene.ground)
    gcps = ground.pop("gcps", None)
    profile = {
        "driver": "GTiff",
        "height": scene.height,
        "width": scene.width,
        "count": content.channels,
        "dtype": content.dtype,
        "nodata": content.nodata,
        "tiled": True,
        "blockxsize": BLOCK,
        "blockysize": BLOCK,
        "compress": "deflate",
        "zlevel": 1,
        "bigtiff": "if_safer",
        "photometric": "palette" if content.palette is not None else "minisblack",
    }
    checksum = 0
    with rasterio.open(path, "w", **profile, **ground) as file:
        if gcps:
            file.gcps = (gcps, ground.get("crs"))
        file.update_tags(class_names=json.dumps(list(content.class_names), ensure_ascii=False))
        if content.palette is not None:
            colours = {i: (*colour, 255) for i, colour in enumerate(content.palette)}
            file.write_colormap(1, colours | {content.nodata: (0, 0, 0, 0)})
        if content.scale is not None:
            file.scales = (content.scale,) * content.channels
        if content.channels == len(content.class_names):
            file.descriptions = tuple(content.class_names)
        for (top, bottom), block in zip(_slices(scene), _regrouped(rows, BLOCK), strict=True):
            file.write(block, window=((top, bottom), (0, scene.width)))
            checksum = zlib.crc32(block.tobytes(), checksum)
    return checksum


def _slices(scene: Scene) -> list[tuple[int, int]]:
    """The first row of each row of tiles, and the one behind its last."""
    return [(top, min(top + BLOCK, scene.height)) for top in range(0, scene.height, BLOCK)]


def _regrouped(blocks: Iterable[np.ndarray], height: int) -> Iterator[np.ndarray]:
    """Blocks C×h×W of any heights as blocks of one, the last one lower."""
    held: list[np.ndarray] = []
    for block in blocks:
        held.append(block)
        while sum(one.shape[1] for one in held) >= height:
            joined = np.concatenate(held, 1)
            yield joined[:, :height]
            held = [joined[:, height:]]
    rest = np.concatenate(held, 1)
    if rest.shape[1]:
        yield rest


def _checksum(blocks: Iterable[np.ndarray]) -> int:
    checksum = 0
    for block in blocks:
        checksum = zlib.crc32(block.tobytes(), checksum)
    return checksum


def _write_names(path: Path, unfinished: Path, class_names: Sequence[str]) -> None:
    """Writes the names of the classes as GDAL's side file has them."""
    names = "".join(f"<Category>{escape(name)}</Category>" for name in class_names)
    band = f'<PAMRasterBand band="1"><CategoryNames>{names}</CategoryNames></PAMRasterBand>'
    unfinished.write_text(f"<PAMDataset>{band}</PAMDataset>\n", encoding="utf-8")
    unfinished.replace(path)


def _save_error(path: Path, error: Exception) -> SaveError:
    """The error for a file that GDAL could not write, which does not say why."""
    if isinstance(error, OSError) and error.errno not in (None, errno.EIO):
        return SaveError.of(path, error)
    folder = next(place for place in path.parents if place.is_dir())
    full = shutil.disk_usage(folder).free < ROOM
    number = errno.ENOSPC if full or "No space" in str(error) else errno.EIO
    reason = os.strerror(number) if number == errno.ENOSPC else " ".join(str(error).split())
    return SaveError.of(path, OSError(number, reason))
