"""Polygons of labels, as GeoJSON or GeoPackage."""

from __future__ import annotations

import json
import os
import struct
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from segtrain.contracts import IGNORE_INDEX
from segtrain.data.io.scenes import import_rasterio
from segtrain.errors import InputError, SaveError, how_to_install
from segtrain.files import write_atomically

BLOCK = 2048  # pixels of a side of what is turned into polygons together
WGS84 = "EPSG:4326"  # GeoJSON's coordinates, by RFC 7946
DAY = "2000-01-01T00:00:00Z"  # in a GeoPackage, so that the same polygons give the same bytes
DIGITS = 7  # after the point of a degree: a centimetre

Ring = list[tuple[float, float]]
Polygon = tuple[int, list[Ring]]  # the class index, and the rings: the outer one first


def write_polygons(path: Path, labels: Path, class_names: Sequence[str], work: Path) -> None:
    """Writes a polygon for every connected area of one class, whole or not at all.

    Areas are cut at the borders of blocks of 2048 pixels, so that a scene of any size fits into memory.
    Each polygon has `class`, its index, and `name`. A GeoPackage has the scene's own coordinates, GeoJSON
    degrees of WGS 84; of a scene without a place on the ground both have pixels.

    Args:
        path: ends in .geojson or .gpkg.
        labels: a GeoTIFF of class indices.
        work: a folder for the unfinished file, on the same disk.

    Raises:
        InputError: a package is missing.
        SaveError: the disk is full, or the folder cannot be written.
    """
    if path.suffix == ".geojson":
        write_atomically(path, lambda file: _write_geojson(file, labels, class_names))
    else:
        _write_geopackage(path, labels, class_names, work)


def blocks_of_polygons(labels: Path) -> Iterator[list[Polygon]]:
    """The polygons of a GeoTIFF of class indices in its coordinates, a block at a time."""
    rasterio = import_rasterio(labels)
    from rasterio.features import shapes

    with rasterio.open(labels) as source:
        for top in range(0, source.height, BLOCK):
            for left in range(0, source.width, BLOCK):
                window = rasterio.windows.Window(
                    left, top, min(BLOCK, source.width - left), min(BLOCK, source.height - top)
                )
                block = source.read(1, window=window)
                found = shapes(block, block != IGNORE_INDEX, transform=source.window_transform(window))
                yield [(int(label), shape["coordinates"]) for shape, label in found]


def _write_geojson(file: BinaryIO, labels: Path, class_names: Sequence[str]) -> None:
    with import_rasterio(labels).open(labels) as source:
        crs = source.crs
    file.write(b'{"type": "FeatureCollection", "features": [')
    separator = "\n"
    for block in blocks_of_polygons(labels):
        for label, rings in _in_degrees(block, crs) if crs else block:
            feature = {
                "type": "Feature",
                "properties": {"class": label, "name": class_names[label]},
                "geometry": {"type": "Polygon", "coordinates": rings},
            }
            file.write(f"{separator}{json.dumps(feature, ensure_ascii=False)}".encode())
            separator = ",\n"
    file.write(b"\n]}\n")


def _in_degrees(block: list[Polygon], crs: Any) -> Iterator[Polygon]:
    """Polygons in a scene's coordinates as those of WGS 84: all points at once, one by one takes minutes."""
    from rasterio.warp import transform

    points = [point for _, rings in block for ring in rings for point in ring]
    if not points:
        return
    x, y = zip(*points, strict=True)
    longitude, latitude = (np.round(values, DIGITS).tolist() for values in transform(crs, WGS84, x, y))
    moved = zip(longitude, latitude, strict=True)
    for label, rings in block:
        yield label, [[next(moved) for _ in ring] for ring in rings]


def _write_geopackage(path: Path, labels: Path, class_names: Sequence[str], work: Path) -> None:
    pyogrio = import_pyogrio(path)
    with import_rasterio(labels).open(labels) as source:
        crs = source.crs.to_wkt() if source.crs else None
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": DAY})
    warnings.filterwarnings("ignore", message="'crs' was not provided")  # of a scene without a place
    unfinished = work / ".polygons.gpkg"
    unfinished.unlink(missing_ok=True)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for block in blocks_of_polygons(labels):
            indices = np.array([label for label, _ in block], np.int32)
            names = np.array([class_names[label] for label in indices], object)
            pyogrio.raw.write(
                unfinished,
                np.array([_wkb(rings) for _, rings in block], object),
                [indices, names],
                np.array(["class", "name"]),
                layer="labels",
                driver="GPKG",
                geometry_type="Polygon",
                crs=crs,
                append=unfinished.exists(),
            )
        os.replace(unfinished, path)
    except OSError as error:
        raise SaveError.of(path, error) from error
    except pyogrio.errors.DataSourceError as error:
        raise SaveError.of(path, OSError(None, " ".join(str(error).split()))) from error
    finally:
        unfinished.unlink(missing_ok=True)


def _wkb(rings: list[Ring]) -> bytes:
    """A polygon as well-known binary (OGC 06-103r4)."""
    parts = [struct.pack("<BII", 1, 3, len(rings))]
    for ring in rings:
        parts += [struct.pack("<I", len(ring)), np.asarray(ring, "<f8").tobytes()]
    return b"".join(parts)


def import_pyogrio(path: Path) -> Any:
    """The package pyogrio; `path` is what needs it. Raises InputError where it is not installed."""
    try:
        import pyogrio
    except ImportError as error:
        raise InputError(f"{path}: GeoPackage needs the package pyogrio", do=how_to_install("geo")) from error
    return pyogrio
