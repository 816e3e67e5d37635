"""The labels of a scene's windows: of a mask on the same grid, or of polygons in a vector file."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from segtrain.contracts import IGNORE_INDEX
from segtrain.data.crops.boxes import Box
from segtrain.data.io.labels import as_labels
from segtrain.data.io.opening import check_regular, reading
from segtrain.data.io.scenes import Scene, import_rasterio, read_numbers, scene_of
from segtrain.data.io.vectors import WGS84, import_pyogrio
from segtrain.errors import InputError, shorten
from segtrain.files import content_of

VECTORS = (".geojson", ".json", ".gpkg", ".shp", ".fgb")


class RasterMask:
    """A mask file on the grid of its scene.

    Args:
        path: of the mask.
        scene, image: the scene, and its file for messages.
        num_classes, label_map: as `as_labels` takes them.

    Raises:
        InputError: another size, or another place on the ground.
    """

    def __init__(self, path: Path, scene: Scene, image: Path, num_classes: int, label_map: Mapping[int, int]):
        own = scene_of(path)
        if (own.height, own.width) != (scene.height, scene.width):
            sizes = f"{own.width}×{own.height}, its image {image} is {scene.width}×{scene.height}"
            raise InputError(f"{path}: the mask is {sizes}", do="bring both onto one grid, by gdalwarp")
        here, there = (one.ground.get("transform") for one in (own, scene))
        if here is not None and there is not None and not here.almost_equals(there, 1e-3 * abs(there.a)):
            raise InputError(f"{path}: the mask lies elsewhere than {image}", do="bring both onto one grid")
        self.path, self.num_classes, self.label_map = path, num_classes, dict(label_map)

    def labels(self, box: Box) -> np.ndarray:
        """uint8 h×w of a window. Raises MaskError."""
        numbers, nodata = read_numbers(self.path, box)
        where = f"{self.path}, window {box.x},{box.y}"
        if nodata is None or nodata in self.label_map:
            return as_labels(numbers, self.label_map, self.num_classes, where)
        without = numbers == nodata
        labels = as_labels(np.where(without, 0, numbers), self.label_map, self.num_classes, where)
        labels[without] = IGNORE_INDEX
        return labels


class Areas(NamedTuple):
    """Polygons on a scene's pixels.

    Attributes:
        geometries: GeoJSON's, their coordinates in columns and rows of the scene.
        labels: of each.
        bounds: float64 N×4: the smallest column and row of each, and the largest.
    """

    geometries: list[dict[str, Any]]
    labels: list[int]
    bounds: np.ndarray


class VectorMask:
    """Polygons that are drawn where they are needed, later ones over earlier ones.

    Args:
        path: GeoJSON, GeoPackage or what else GDAL reads.
        scene: its scene.
        attribute: of the polygons, which has a class's index or name; None: all are class 1.
        class_names: of the data set.
        label_map: of the attribute's numbers.
        outside: the label of what no polygon has.

    Raises:
        InputError: on reading, it cannot be read, or an attribute is no class.
    """

    def __init__(
        self,
        path: Path,
        scene: Scene,
        *,
        attribute: str | None,
        class_names: Sequence[str],
        label_map: Mapping[int, int],
        outside: int,
    ):
        check_regular(path)
        self.path, self.scene, self.attribute = path, scene, attribute
        self.class_names, self.label_map, self.outside = class_names, label_map, outside

    @cached_property
    def areas(self) -> Areas:
        """The polygons, read once."""
        geometries, values, crs = _read_vectors(self.path, self.attribute)
        labels = [self._label(value) for value in values]
        placed = list(self._on_pixels(geometries, crs))
        bounds = np.array([_bounds(one["coordinates"]) for one in placed], float).reshape(-1, 4)
        return Areas(placed, labels, bounds)

    def labels(self, box: Box) -> np.ndarray:
        """uint8 h×w of a window; polygons that do not touch it are not looked at."""
        rasterio = import_rasterio(self.path)
        from rasterio.features import rasterize

        left, top, right, bottom = self.areas.bounds.T
        near = (left < box.x + box.width) & (right > box.x) & (top < box.y + box.height) & (bottom > box.y)
        chosen = np.flatnonzero(near).tolist()
        if not chosen:
            return np.full((box.height, box.width), self.outside, np.uint8)
        return rasterize(
            [(self.areas.geometries[i], self.areas.labels[i]) for i in chosen],
            out_shape=(box.height, box.width),
            fill=self.outside,
            transform=rasterio.Affine.translation(box.x, box.y),
            dtype="uint8",
        )

    def _label(self, value: Any) -> int:
        """The label of an attribute's value."""
        if value is None:
            label = 1
        elif isinstance(value, str) and value in self.class_names:
            label = self.class_names.index(value)
        else:
            try:
                label = self.label_map.get(int(value), int(value))
            except (TypeError, ValueError, OverflowError):
                label = -1
        if not (0 <= label < len(self.class_names) or label == IGNORE_INDEX):
            raise InputError(
                f"{self.path}: {self.attribute}={shorten(value)} is no class",
                do=f"name it in data.class_names, now {', '.join(self.class_names)}, or in data.label_map",
            )
        return label

    def _on_pixels(self, geometries: list[dict[str, Any]], crs: Any) -> Iterator[dict[str, Any]]:
        """The geometries in columns and rows of the scene."""
        import_rasterio(self.path)
        from rasterio.warp import transform

        points = np.array([point[:2] for one in geometries for point in _points(one["coordinates"])])
        x, y = points.reshape(-1, 2).T
        ground = self.scene.ground
        if crs and ground.get("crs") and len(x):
            x, y = (np.array(one) for one in transform(crs, ground["crs"], x, y))
        if "transform" in ground:
            a, b, c, d, e, f, *_ = ~ground["transform"]
            x, y = a * x + b * y + c, d * x + e * y + f
        moved = iter(zip(x.tolist(), y.tolist(), strict=True))
        for one in geometries:
            yield {"type": one["type"], "coordinates": _replaced(one["coordinates"], moved)}


def _read_vectors(path: Path, attribute: str | None) -> tuple[list[dict[str, Any]], list[Any], Any]:
    """The polygons of a file as GeoJSON's, the attribute of each, and their CRS."""
    with reading(path):
        if path.suffix.lower() in (".geojson", ".json"):
            content = json.loads(content_of(path))
            crs = WGS84
        else:
            raw = import_pyogrio(path).raw
            meta, _, shapes, fields = raw.read(path, columns=[attribute] if attribute else [])
            crs, file = meta["crs"], io.BytesIO()
            kinds = {"geometry_type": meta["geometry_type"], "fields": meta["fields"], "crs": crs}
            raw.write(file, shapes, fields, driver="GeoJSON", **kinds)
            content = json.loads(file.getvalue())
        named = (
            content.get("crs", {}).get("properties", {}).get("name") if isinstance(content, dict) else None
        )
        features = [f for f in content["features"] if (f["geometry"] or {}).get("type") in KINDS]
    crs = crs if path.suffix.lower() not in (".geojson", ".json") else named or crs
    if attribute is not None:
        lacking = [f for f in features if (f["properties"] or {}).get(attribute) is None]
        if lacking:
            known = ", ".join(sorted(lacking[0]["properties"] or {})) or "none"
            raise InputError(
                f"{path}: {len(lacking)} of {len(features)} polygons have no {attribute}",
                do=f"set data.attribute; the first one has {known}",
            )
    values = [f["properties"][attribute] if attribute is not None else None for f in features]
    return [f["geometry"] for f in features], values, crs


KINDS = ("Polygon", "MultiPolygon")


def _points(coordinates: Any) -> Iterator[Any]:
    """All points of nested lists."""
    if coordinates and isinstance(coordinates[0], int | float):
        yield coordinates
    else:
        for one in coordinates:
            yield from _points(one)


def _replaced(coordinates: Any, points: Iterator[tuple[float, float]]) -> Any:
    """The same nested lists with other points."""
    if coordinates and isinstance(coordinates[0], int | float):
        return next(points)
    return [_replaced(one, points) for one in coordinates]


def _bounds(coordinates: Any) -> tuple[float, float, float, float]:
    """The smallest x and y, and the largest."""
    x, y = zip(*_points(coordinates), strict=True)
    return min(x), min(y), max(x), max(y)
