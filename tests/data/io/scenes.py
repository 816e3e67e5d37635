"""A small scene in a file, for tests: four channels with a place on the ground, and pixels without data."""

from pathlib import Path

import numpy as np
import rasterio

GROUND = {"crs": "EPSG:32633", "transform": rasterio.Affine(0.5, 0, 500_000, 0, -0.5, 5_000_000)}


def numbers(height: int, width: int, channels: int = 4, seed: int = 0) -> np.ndarray:
    """uint16 C×H×W: stripes and noise, and in the upper left corner 0."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    waves = [1500 * np.sin(y / 23 + c) * np.cos(x / (17 + 5 * c)) for c in range(channels)]
    values = (
        (np.array(waves) + rng.normal(2000, 30, (channels, height, width))).clip(1, 65535).astype(np.uint16)
    )
    values[:, : height // 8, : width // 4] = 0
    return values


def write_scene(path: Path, values: np.ndarray, **more) -> Path:
    """Writes C×H×W as a tiled GeoTIFF whose nodata is 0."""
    options = {"nodata": 0, "tiled": True, "blockxsize": 64, "blockysize": 64, "compress": "deflate"} | GROUND
    size = dict(zip(("count", "height", "width"), values.shape, strict=True))
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(path, "w", driver="GTiff", dtype=values.dtype, **size, **options | more) as file:
        file.write(values)
    return path
