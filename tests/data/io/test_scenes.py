"""Windows of scenes, and the GeoTIFFs and polygons that are made of them."""

import json
import sys

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("rasterio")
import rasterio

from segtrain.data.crops.boxes import Box
from segtrain.data.io.geotiff import TiffContent, write_geotiff
from segtrain.data.io.images import ImageLayout, ImageReader
from segtrain.data.io.rasters import read_raster
from segtrain.data.io.scenes import is_scene, mean_filled, read_window, scene_of
from segtrain.data.io.vectors import write_polygons
from segtrain.errors import InputError, SaveError
from tests.data.io.scenes import GROUND, numbers, write_scene

BOX = Box(x=20, y=5, width=40, height=33)
HERE = np.s_[BOX.y : BOX.y + BOX.height, BOX.x : BOX.x + BOX.width]
NAMES, PALETTE = ("meadow", "road & path", "water"), ((1, 2, 3), (200, 0, 0), (0, 0, 250))


def test_a_window_has_the_numbers_of_the_whole_image(tmp_path):
    values = numbers(70, 90)
    path = write_scene(tmp_path / "a.tif", values)
    window = read_window(path, BOX)
    assert (window.values == values.transpose(1, 2, 0)[HERE]).all()
    assert (window.invalid == read_raster(path).invalid[HERE]).all()
    assert read_window(path, Box(40, 30, 20, 20)).invalid is None
    read = ImageReader(ImageLayout(2, "uint16"), channels=[4, 1])
    image, _ = read.with_invalid(path, lambda p: read_window(p, BOX))
    assert (image == values[[3, 0]].transpose(1, 2, 0)[HERE]).all()


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "LA"])
def test_a_window_of_an_ordinary_image_is_what_its_reader_gives(tmp_path, mode):
    image = Image.effect_noise((90, 70), 80).convert("RGB").convert(mode)
    image.save(tmp_path / "a.png")
    path = tmp_path / "a.png"
    whole = ImageReader()(path)
    window, invalid = ImageReader().with_invalid(path, lambda p: read_window(p, BOX))
    assert (window == whole[HERE]).all()
    assert invalid is None


def test_transparent_pixels_and_those_that_are_not_finite_have_no_data(tmp_path):
    pixels = np.full((70, 90, 4), 255, np.uint8)
    pixels[10:20, :, 3] = 0
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert (read_window(tmp_path / "a.png", BOX).invalid == (pixels[..., 3] == 0)[HERE]).all()
    values = np.zeros((2, 70, 90), np.float32)
    values[1, 12, 30] = np.nan
    path = write_scene(tmp_path / "b.tif", values, nodata=-1)
    assert np.argwhere(read_window(path, BOX).invalid).tolist() == [[12 - BOX.y, 30 - BOX.x]]


def test_what_has_no_data_gets_the_mean_of_the_rest():
    values = np.array([[[1, 10], [3, 30], [99, 99]]], np.uint16)
    invalid = np.array([[False, False, True]])
    assert mean_filled(values, invalid)[0, 2].tolist() == [2, 20]
    assert mean_filled(values, np.ones((1, 3), bool)).max() == 0
    assert mean_filled(values, None) is values


def test_scenes_are_what_lies_on_the_ground_and_what_is_large(tmp_path):
    on_the_ground = write_scene(tmp_path / "a.tif", numbers(20, 30))
    Image.new("RGB", (30, 20)).save(tmp_path / "b.png")
    Image.new("RGB", (30, 20)).save(tmp_path / "c.tif")
    (tmp_path / "d.png").write_bytes(b"no image")
    assert is_scene(on_the_ground, None)
    for name in ("b.png", "c.tif"):
        assert not is_scene(tmp_path / name, None)
        assert not is_scene(tmp_path / name, 600)
        assert is_scene(tmp_path / name, 599)
    assert not is_scene(tmp_path / "d.png", 0)


def test_without_rasterio_the_command_that_installs_it_is_named(tmp_path, monkeypatch):
    path = write_scene(tmp_path / "a.tif", numbers(20, 30))
    monkeypatch.setitem(sys.modules, "rasterio", None)
    with pytest.raises(InputError, match=r"needs the package rasterio; do: make install EXTRAS=geo"):
        scene_of(path)


@pytest.fixture
def labels(tmp_path):
    """A GeoTIFF of labels, 700×560, and what it holds."""
    scene = scene_of(write_scene(tmp_path / "scene.tif", numbers(700, 560, 1)))
    values = np.zeros((1, 700, 560), np.uint8)
    values[:, 100:300, 50:500], values[:, 200:650, 300:310], values[:, :40] = 1, 2, 255
    content = TiffContent("uint8", 1, 255, NAMES, PALETTE)
    for name in ("a", "b"):
        write_geotiff(
            tmp_path / f"out/{name}.tif", lambda: np.split(values, [7, 400], 1), scene, content, tmp_path
        )
    return tmp_path / "out/a.tif", values[0]


def test_labels_are_a_cloud_optimised_geotiff_of_the_scenes_place(labels, tmp_path):
    path, values = labels
    with rasterio.open(path) as file:
        assert (file.read(1) == values).all()
        assert (file.crs, file.transform) == (rasterio.CRS.from_string(GROUND["crs"]), GROUND["transform"])
        assert (file.nodata, file.compression.name, file.block_shapes) == (255, "deflate", [(512, 512)])
        assert file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert file.overviews(1) == [2]
        assert [file.colormap(1)[i][:3] for i in range(3)] == list(PALETTE)
        assert json.loads(file.tags()["class_names"]) == list(NAMES)
    names = path.with_name("a.tif.aux.xml").read_text()
    assert "<Category>meadow</Category><Category>road &amp; path</Category>" in names
    assert path.read_bytes() == path.with_name("b.tif").read_bytes()
    assert not list(tmp_path.glob(".*"))


def test_probabilities_are_whole_numbers_with_a_scale_and_a_name_each(tmp_path):
    scene = scene_of(write_scene(tmp_path / "scene.tif", numbers(30, 40, 1)))
    values = np.full((2, 30, 40), 2500, np.uint16)
    content = TiffContent("uint16", 2, 65535, ("a", "b"), scale=1e-4, resampling="average")
    write_geotiff(tmp_path / "p.tif", lambda: [values], scene, content, tmp_path)
    with rasterio.open(tmp_path / "p.tif") as file:
        assert (file.read() == values).all()
        assert (file.scales, file.descriptions, file.nodata) == ((1e-4, 1e-4), ("a", "b"), 65535)


def test_a_full_disk_leaves_no_geotiff(tmp_path, monkeypatch):
    import rasterio.shutil

    scene = scene_of(write_scene(tmp_path / "scene.tif", numbers(30, 40, 1)))

    def full(*_, **__):
        raise rasterio.errors.RasterioIOError("write error: No space left on device")

    monkeypatch.setattr(rasterio.shutil, "copy", full)
    content = TiffContent("uint8", 1, 255, NAMES)
    with pytest.raises(SaveError, match=r"l.tif: could not be written \(No space left on device\)") as caught:
        write_geotiff(tmp_path / "l.tif", lambda: [np.zeros((1, 30, 40), np.uint8)], scene, content, tmp_path)
    assert caught.value.full
    assert [p.name for p in tmp_path.iterdir()] == ["scene.tif"]


def area(rings) -> float:
    """Of a polygon with rings, in squares of its coordinates."""
    total = 0.0
    for ring in rings:
        x, y = np.array(ring).T
        total += abs((x[:-1] * y[1:] - x[1:] * y[:-1]).sum()) / 2 * (1 if ring is rings[0] else -1)
    return total


@pytest.mark.parametrize("form", ["geojson", "gpkg"])
def test_polygons_cover_what_their_class_does(labels, tmp_path, form, monkeypatch):
    monkeypatch.setattr("segtrain.data.io.vectors.BLOCK", 256)
    path, values = labels
    out = tmp_path / f"out/a.{form}"
    write_polygons(out, path, NAMES, tmp_path)
    first = out.read_bytes()
    write_polygons(out, path, NAMES, tmp_path)
    assert out.read_bytes() == first
    if form == "gpkg":
        pyogrio = pytest.importorskip("pyogrio")
        meta, _, shapes, (indices, names) = pyogrio.raw.read(out)
        assert meta["crs"] == GROUND["crs"]
        rings = [parse_wkb(shape) for shape in shapes]
        pixel = 0.25  # square metres
    else:
        features = json.loads(first)["features"]
        indices, names = ([f["properties"][key] for f in features] for key in ("class", "name"))
        rings = [f["geometry"]["coordinates"] for f in features]
        longitude, latitude = rings[0][0][0]
        assert (longitude, latitude) == pytest.approx((15, 45.15), abs=0.01)
        pixel = sum(map(area, rings)) / (values != 255).sum()
    for label, name in enumerate(NAMES):
        own = [area(r) for r, i in zip(rings, indices, strict=True) if i == label]
        assert sum(own) / pixel == pytest.approx((values == label).sum(), rel=1e-3)
        assert {n for n, i in zip(names, indices, strict=True) if i == label} == {name}


def parse_wkb(shape: bytes) -> list[list[list[float]]]:
    """The rings of a polygon."""
    count, at, rings = int.from_bytes(shape[5:9], "little"), 9, []
    for _ in range(count):
        points = int.from_bytes(shape[at : at + 4], "little")
        rings.append(np.frombuffer(shape, "<f8", 2 * points, at + 4).reshape(-1, 2).tolist())
        at += 4 + 16 * points
    return rings
