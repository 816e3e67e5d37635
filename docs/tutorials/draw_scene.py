"""Draws a stand-in for a Sentinel-2 scene: 13 bands of 16 bits, and fields as polygons in its coordinates."""

import json
from pathlib import Path

import numpy as np
import rasterio
from rasterio.features import rasterize
from rasterio.transform import from_origin

rng = np.random.default_rng(0)
SIZE, BANDS, CLASSES = 512, 13, ("maize", "wheat", "water")
WAVELENGTHS = np.linspace(0, 1, BANDS)
SPECTRA = {  # reflectance in ten-thousandths: soil rises, plants jump at the red edge, water falls
    None: 1200 + 1800 * WAVELENGTHS,
    "maize": 500 + 3000 / (1 + np.exp(-25 * (WAVELENGTHS - 0.45))),
    "wheat": 700 + 2300 / (1 + np.exp(-25 * (WAVELENGTHS - 0.55))),
    "water": 900 * np.exp(-4 * WAVELENGTHS),
}
grid = from_origin(600000, 5400000, 10, 10)  # UTM, pixels of 10 metres


def draw(name: str, folder: Path) -> list[dict]:
    fields, pixels = [], np.repeat(SPECTRA[None][:, None], SIZE * SIZE, 1).reshape(BANDS, SIZE, SIZE)
    for left in range(0, SIZE, 64):
        for top in range(0, SIZE, 64):
            if rng.random() < 0.3:
                continue
            kind = str(rng.choice(CLASSES))
            corners = (
                np.array([[6, 6], [58, 6], [58, 58], [6, 58]]) + rng.uniform(-5, 5, (4, 2)) + (left, top)
            )
            ring = [grid * tuple(corner) for corner in [*corners, corners[0]]]
            shape = {"type": "Polygon", "coordinates": [ring]}
            inside = rasterize([shape], (SIZE, SIZE), transform=grid).astype(bool)
            pixels[:, inside] = SPECTRA[kind][:, None]
            fields.append({"type": "Feature", "properties": {"crop": kind}, "geometry": shape})
    noisy = pixels * rng.normal(1, 0.1, (1, SIZE, SIZE)) + rng.normal(0, 250, pixels.shape)
    size = {"width": SIZE, "height": SIZE, "count": BANDS, "blockxsize": 64, "blockysize": 64}
    about = {"driver": "GTiff", "dtype": "uint16", "crs": "EPSG:32632", "tiled": True}
    with rasterio.open(folder / f"{name}.tif", "w", transform=grid, **size, **about) as file:
        file.write(noisy.clip(0, 10000).astype(np.uint16))
    return fields


Path("farm/images").mkdir(parents=True, exist_ok=True)
crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32632"}}
fields = {"type": "FeatureCollection", "crs": crs, "features": draw("june", Path("farm/images"))}
Path("farm/fields.geojson").write_text(json.dumps(fields))
draw("july", Path("."))
