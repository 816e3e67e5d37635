"""Scenes: predicted tile by tile, resumed to the same bytes, and with their place on the ground."""

import json
import os
import shutil
import signal

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("rasterio")
import rasterio

from segtrain.commands import predict_scene
from segtrain.commands.predict_scene import SceneRows
from tests.data.io.scenes import GROUND, numbers, write_scene

EVAL = ["device=cpu", "precision=32"]
TILES = ["large_above=0", "tile=96", "overlap=32"]
SIZE = (300, 160)


def draw_scene(path, size):
    """A scene of three channels of 8 bits; the upper left corner has no data."""
    stripes = numbers(*size, 3)
    values = (stripes // 24).clip(1, 255).astype(np.uint8)
    values[stripes == 0] = 0
    return write_scene(path, values)


@pytest.fixture
def scene(tmp_path):
    """A small one."""
    return draw_scene(tmp_path / "scene.tif", SIZE)


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A folder for what is trained once."""
    return tmp_path_factory.mktemp("kept") / "unet"


@pytest.fixture
def unet(tiny, kept, tmp_path):
    """A run of U-Net, whose labels of noise vary."""
    if not kept.is_dir():
        trained = tiny("model=unet")
        assert trained.code == 0, trained.err
        shutil.copytree(trained.folder, kept)
    return shutil.copytree(kept, tmp_path / "unet")


def files(folder, *below):
    """The bytes of the files of a run's outputs."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for part in below
        for path in sorted((folder / part).rglob("*"))
        if path.is_file()
    }


def read(path):
    with rasterio.open(path) as file:
        return file.read()


def test_a_scene_in_tiles_is_predicted_as_in_memory_and_where_it_lies(run, unet, tmp_path):
    """U-Net sees 94 pixels on either side, and the outer 96 of an overlap of 384 count nothing."""
    scene = draw_scene(tmp_path / "scene.tif", size := (450, 490))
    whole = run("segpredict", f"ckpt={unet}", f"input={scene}", *EVAL)
    tiling = ["large_above=0", "tile=416", "overlap=384", "batch_size=2"]
    tiled = run("segpredict", f"ckpt={unet}", f"input={scene}", "probabilities=true", *tiling, *EVAL)
    assert (whole.code, tiled.code) == (0, 0), tiled.err
    with rasterio.open(whole.folder / "labels/scene.tif") as file:
        labels = file.read(1)
        assert (file.crs, file.transform) == (rasterio.CRS.from_string(GROUND["crs"]), GROUND["transform"])
        assert json.loads(file.tags()["class_names"])[1] == "disc"
        assert file.colormap(1)[1][:3] == (230, 80, 60)
    without = read(scene).min(0) == 0
    assert ((labels == 255) == without).all()
    assert len(np.unique(labels)) > 2
    found = read(tiled.folder / "labels/scene.tif")[0]
    # What is without data gets each tile's own mean, so that beside it labels may differ.
    far = np.ones(size, bool)
    far[: size[0] // 8 + 96, : size[1] // 4 + 96] = False
    assert (found == labels)[far].mean() > 0.9999
    probabilities = read(tiled.folder / "probabilities/scene.tif")
    assert (probabilities[:, without] == 65535).all()
    assert probabilities[:, ~without].astype(int).sum(0) == pytest.approx(10_000, abs=4)
    chosen = np.take_along_axis(probabilities, np.minimum(found, 6)[None].astype(int), 0)[0]
    assert (chosen == probabilities.max(0)).all()
    with Image.open(tiled.folder / "overlays/scene.jpg") as drawn:
        assert drawn.size == size[::-1]


def test_a_killed_run_ends_with_the_same_bytes(run, unet, scene, monkeypatch):
    arguments = [f"ckpt={unet}", f"input={scene}", "polygons=geojson", "probabilities=true", *TILES, *EVAL]
    whole = run("segpredict", *arguments)
    assert whole.code == 0, whole.err
    keep = SceneRows._keep

    def killed(self, number, arrays):
        if number == 2:
            self.file(number).with_name(".0.part").write_bytes(b"half of a row")
            raise KeyboardInterrupt
        keep(self, number, arrays)

    with monkeypatch.context() as patch:
        patch.setattr(SceneRows, "_keep", killed)
        broken = run("segpredict", *arguments)
    assert broken.code != 0
    rows = list((broken.folder / "unfinished").rglob("0*.npz"))
    assert sorted(path.name for path in rows) == ["000000.npz", "000001.npz"]
    predicted = []
    pieces = predict_scene.Blender.pieces
    monkeypatch.setattr(
        predict_scene.Blender, "pieces", lambda self, n, image: predicted.append(n) or pieces(self, n, image)
    )
    again = run("segpredict", *arguments, f"hydra.run.dir={broken.folder}")
    assert again.code == 0, again.err
    assert predicted == [1, 2, 3]  # the row before adds to the first that is missing
    below = ("labels", "overlays", "polygons", "probabilities")
    assert files(again.folder, *below) == files(whole.folder, *below)
    assert len(files(again.folder, *below)) == 5
    assert not list((again.folder / "unfinished").rglob("*.npz"))
    predicted.clear()
    unchanged = run("segpredict", *arguments, f"hydra.run.dir={broken.folder}")
    assert "1 existing one was skipped" in unchanged.out
    assert predicted == []


def test_a_stopped_scene_says_how_to_go_on(run, unet, scene, monkeypatch):
    row = SceneRows._row

    def stopping(self, number, *arguments):
        if number == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return row(self, number, *arguments)

    monkeypatch.setattr(SceneRows, "_row", stopping)
    done = run("segpredict", f"ckpt={unet}", f"input={scene}", "overlay=0", *TILES, *EVAL)
    assert done.code == 143
    after = f"after 2 of 4 rows of tiles of scene; to continue, run it again with output={done.folder.name}"
    assert done.err == f"segpredict: stopped by SIGTERM {after}\n"


def test_a_large_image_without_a_place_goes_the_same_way(unet, run, tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20_000)  # Pillow takes twice as many for a bomb
    folder = tmp_path / "images"
    folder.mkdir()
    Image.effect_noise((300, 200), 60).convert("RGB").save(folder / "large.png")
    Image.effect_noise((40, 30), 60).convert("RGB").save(folder / "small.png")
    done = run("segpredict", f"ckpt={unet}", f"input={folder}", "large_above=50000", *TILES[1:], *EVAL)
    assert done.code == 0, done.err
    assert "2 images" in done.out
    assert sorted(files(done.folder, "labels")) == [
        "labels/large.tif",
        "labels/large.tif.aux.xml",
        "labels/small.png",
    ]
    with rasterio.open(done.folder / "labels/large.tif") as file:
        assert (file.shape, file.crs, file.transform.is_identity) == ((200, 300), None, True)
    broken = run("segpredict", f"ckpt={unet}", f"input={folder}/small.png", "polygons=gpkg", *EVAL)
    assert broken.code == 2
    assert "polygons=gpkg: no image has a place on the ground, or is large; add large_above=0" in broken.err


@pytest.mark.slow
def test_a_label_of_several_classes_is_a_channel_each(run, tmp_path, scene):
    from tests import miniatures

    miniatures.multilabel_folder(tmp_path / "layers")
    data = ["task=multilabel", "data=multilabel_folder", f"data.root={tmp_path}/layers"]
    small = ["width=0.0625", "max_steps=1", "batch_size=1", "num_workers=0", *EVAL]
    trained = run("segtrain", *data, *small)
    assert trained.code == 0, trained.err
    done = run("segpredict", f"ckpt={trained.folder}", f"input={scene}", *TILES, *EVAL)
    assert done.code == 0, done.err
    labels = read(done.folder / "labels/scene.tif")
    assert len(labels) > 1
    assert set(np.unique(labels)) <= {0, 1, 255}
    refused = run("segpredict", f"ckpt={trained.folder}", f"input={scene}", "polygons=gpkg", *EVAL)
    assert "polygons of several classes a pixel are not written" in refused.err


def test_what_was_trained_on_crops_of_a_scene_predicts_it(run, tmp_path):
    values = numbers(256, 320)
    write_scene(tmp_path / "own/images/a.tif", values)
    write_scene(tmp_path / "own/masks/a.tif", (values[:1] > 2000).astype(np.uint8), nodata=None)
    data = ["data=raster", f"data.root={tmp_path}/own", "data.crop=64", "data.block=64"]
    for action in ("check", "preview"):
        looked = run("segdata", *data, f"action={action}", "images=2")
        assert looked.code == 0, looked.err
    model = ["model=unet", "width=0.0625", "optimizer.lr=1e-2", "batch_size=4"]
    loop = ["max_steps=40", "val_every=40", "num_workers=0"]
    trained = run("segtrain", *data, *model, *loop, *EVAL)
    assert trained.code == 0, trained.err
    assert "4 channels of uint16, mean" in trained.out
    done = run("segpredict", f"ckpt={trained.folder}", "input=own/images", *TILES, *EVAL)
    assert done.code == 0, done.err
    labels = read(done.folder / "labels/a.tif")[0]
    valid = values.min(0) > 0
    assert ((labels == 255) == ~valid).all()
    assert (labels == (values[0] > 2000))[valid].mean() > 0.9
