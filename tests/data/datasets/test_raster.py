"""Crops of scenes: where they lie, what is read for them, and polygons as labels."""

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rasterio")

from segtrain.data.checks.input import measure_input
from segtrain.data.crops.boxes import Box
from segtrain.data.crops.spatial import MOST_READ, Block, even_boxes, read_steps, split_blocks
from segtrain.data.datasets.raster import RasterScenes
from segtrain.data.io.vectors import write_polygons
from segtrain.engine.loader import Augmented
from segtrain.errors import InputError, MaskError
from tests.data.io.scenes import GROUND, numbers, write_scene

SIZE = (300, 420)


@pytest.fixture
def root(tmp_path):
    """Two scenes with masks; what is above 2000 in the first channel is class 1, and 9 stands for 2."""
    for name, seed in (("north", 0), ("south", 1)):
        values = numbers(*SIZE, seed=seed)
        mask = (values[:1] > 2000).astype(np.uint8)
        mask[:, 200:220, 100:200] = 9
        write_scene(tmp_path / f"images/{name}.tif", values)
        write_scene(tmp_path / f"masks/{name}.tif", mask, nodata=7)
    return tmp_path


def made(root, **more) -> RasterScenes:
    keys = {"crop": 64, "block": 128, "num_classes": 3, "label_map": {9: 2}} | more
    return RasterScenes(root=str(root), **keys)


def box_of(split, index, epoch=0):
    sample = split.at(epoch, index) if epoch else split[index]
    scene, x, y = sample.name.split("_")
    return scene, Box(int(x), int(y), sample.mask.shape[1], sample.mask.shape[0]), sample


def test_a_crop_has_the_numbers_and_the_labels_of_its_place(root):
    data = made(root)
    whole = {name: numbers(*SIZE, seed=seed) for name, seed in (("north", 0), ("south", 1))}
    for split in (data.train, data.val):
        for index in range(0, len(split), 3):
            scene, box, sample = box_of(split, index)
            here = np.s_[:, box.y : box.y + box.height, box.x : box.x + box.width]
            values = whole[scene][here].transpose(1, 2, 0)
            without = (values == 0).any(2)
            assert (sample.image == values)[~without].all()
            right = (values[..., 0] > 2000).astype(np.uint8)
            rows, columns = np.arange(box.y, box.y + box.height), np.arange(box.x, box.x + box.width)
            right[np.ix_((rows >= 200) & (rows < 220), (columns >= 100) & (columns < 200))] = 2
            right[without] = 255
            assert (sample.mask == right).all()
            assert (split.labels(index)[0][~without] == right[~without]).all()


def test_crops_and_tiles_do_not_mix_and_an_epoch_holds_the_area(root):
    data = made(root)
    train, val = data.train, data.val
    seen = {name: np.zeros(SIZE, int) for name in ("north", "south")}
    tiles = {name: np.zeros(SIZE, int) for name in ("north", "south")}
    for index in range(len(val)):
        scene, box, _ = box_of(val, index)
        tiles[scene][box.y : box.y + box.height, box.x : box.x + box.width] += 1
        assert 0.66 * 64 <= min(box.width, box.height) <= max(box.width, box.height) <= 1.5 * 64
    for epoch in range(6):
        for index in range(len(train)):
            scene, box, sample = box_of(train, index, epoch)
            seen[scene][box.y : box.y + box.height, box.x : box.x + box.width] += 1
            assert sample.mask.shape == (64, 64)
    both, validated = np.array(list(seen.values())), np.array(list(tiles.values()))
    assert validated.max() == 1
    assert (both[validated == 1] == 0).all()
    assert validated.mean() == pytest.approx(0.25, abs=0.08)
    assert (both > 0)[validated == 0].mean() > 0.9
    assert len(train) == round((validated == 0).sum() / 64**2)


def test_a_crop_is_a_function_of_seed_epoch_and_index(root):
    first, second = made(root).train, made(root).train
    names = [first.at(epoch, index).name for epoch in range(2) for index in range(len(first))]
    assert names == [second.at(epoch, index).name for epoch in range(2) for index in range(len(first))]
    assert len(set(names)) > 0.75 * len(names)
    assert [first[i].name for i in range(5)] == names[:5]
    assert names != [made(root, seed=1).train.at(0, i).name for i in range(len(first))]
    augmented = Augmented(first, [], seed=0, spec=measure_input(made(root), lambda _: None))
    assert augmented[1, 3].name == first.at(1, 3).name


def test_folds_are_parts_of_the_blocks_and_groups_stay_together(root):
    parts = [made(root, folds=3, fold=fold) for fold in range(3)]
    tiles = [set(data.val.tiles) for data in parts]
    assert all(tiles)
    assert len(set().union(*tiles)) == sum(map(len, tiles))
    blocks = [{block.box for block in data.train.blocks} for data in parts]
    assert set().union(*blocks) == blocks[0] | blocks[1]
    data = made(root, group=r"north|south")
    assert {data.val[i].name.split("_")[0] for i in range(len(data.val))} in ({"north"}, {"south"})
    with pytest.raises(InputError, match="2 groups for 3 parts"):
        _ = made(root, group="north|south", folds=3).train
    with pytest.raises(InputError, match=r"data.group=x: not found in the name north"):
        _ = made(root, group="x").train


def test_who_validates_is_a_function_of_names_and_boxes():
    boxes = even_boxes(Box(0, 0, 1000, 700), 250)
    assert sum(box.width * box.height for box in boxes) == 700_000
    assert len(boxes) == 12
    blocks = [Block(0, box) for box in boxes]
    keys = {"shares": [0.25, 0.75], "fold": 0, "group": None, "seed": 0}
    _, val = split_blocks(blocks, ["a"], **keys)
    assert len(val) == 3
    more = [*blocks, *(Block(1, box) for box in boxes)]
    assert len(split_blocks(more, ["a", "b"], **keys)[1]) == 6
    parts = [split_blocks(blocks, ["a"], shares=[0.2] * 5, fold=i, group=None, seed=0)[1] for i in range(5)]
    assert sorted(b.box for part in parts for b in part) == sorted(boxes)


def read_by_this_process() -> int:
    lines = Path("/proc/self/io").read_text().split()
    return int(lines[lines.index("rchar:") + 1])


@pytest.mark.skipif(not Path("/proc/self/io").is_file(), reason="counts bytes by Linux's /proc")
@pytest.mark.parametrize(("crop", "stored"), [(64, 64), (128, 64), (96, 64), (100, 16)])
def test_little_more_than_a_crop_is_read(tmp_path, crop, stored):
    values = numbers(512, 640)
    options = {"compress": "none", "blockxsize": stored, "blockysize": stored}
    write_scene(tmp_path / "images/a.tif", values, **options)
    (tmp_path / "labels.geojson").write_text('{"type": "FeatureCollection", "features": []}')
    data = made(tmp_path, masks="labels.geojson", crop=crop, block=160)
    train = data.train
    train.at(0, 0)
    before = read_by_this_process()
    read_by_this_process()
    of_counting = read_by_this_process() - before
    before, wanted = read_by_this_process(), 0
    for epoch in range(1, 9):
        for index in range(len(train)):
            wanted += train.at(epoch, index).image.nbytes
    assert (read_by_this_process() - before - of_counting) / wanted <= MOST_READ
    assert read_steps(crop, (stored, stored))[1] <= MOST_READ


def test_blocks_of_whole_rows_are_named(root):
    write_scene(root / "images/north.tif", numbers(*SIZE), tiled=False, blockxsize=None, blockysize=1)
    (note,) = made(root).input_hints().unused
    assert "north.tif: stored in blocks of 420×1, so that a crop of 64 reads 7 times its bytes" in note


def polygons(path, crs="EPSG:32633"):
    """Two squares in the scene's coordinates; pixels are half a metre."""
    squares = []
    for name, (x, y, side) in {"road": (50, 30, 100), "lake": (120, 60, 40)}.items():
        left, top = 500_000 + x / 2, 5_000_000 - y / 2
        ring = [
            (left, top),
            (left + side / 2, top),
            (left + side / 2, top - side / 2),
            (left, top - side / 2),
        ]
        squares.append(
            {
                "type": "Feature",
                "properties": {"kind": name, "id": 1 if name == "road" else 2},
                "geometry": {"type": "Polygon", "coordinates": [[*ring, ring[0]]]},
            }
        )
    content = {"type": "FeatureCollection", "features": squares}
    content["crs"] = {"type": "name", "properties": {"name": crs}}
    path.write_text(json.dumps(content))


@pytest.mark.parametrize("attribute", ["kind", "id", None])
def test_polygons_are_drawn_into_the_window(root, attribute):
    polygons(root / "labels.geojson")
    keys = {"masks": "labels.geojson", "attribute": attribute, "class_names": ["field", "road", "lake"]}
    data = made(root, **keys, label_map=None)
    right = np.zeros(SIZE, np.uint8)
    right[30:130, 50:150] = 1
    right[60:100, 120:160] = 2 if attribute else 1
    mask = data.scenes[0].mask
    for box in (Box(0, 0, 420, 300), Box(100, 50, 64, 64), Box(300, 200, 50, 50)):
        here = np.s_[box.y : box.y + box.height, box.x : box.x + box.width]
        assert (mask.labels(box) == right[here]).all()
    ignoring = made(root, **keys, label_map=None, unlisted="ignore").scenes[0].mask
    assert (ignoring.labels(Box(300, 200, 50, 50)) == 255).all()


def test_a_geopackage_that_was_predicted_trains_again(root, tmp_path):
    pytest.importorskip("pyogrio")
    write_polygons(root / "labels.gpkg", root / "masks/north.tif", [str(i) for i in range(10)], tmp_path)
    data = made(root, masks="labels.gpkg", attribute="class", images="images/north.tif")
    box = Box(90, 150, 130, 90)
    assert (data.scenes[0].mask.labels(box) == made(root).scenes[0].mask.labels(box)).all()


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"images": "none/*.tif"}, r"data.images=none/\*.tif: no such file"),
        ({"masks": "masks/south.tif"}, "north.tif: no mask has its name"),
        ({"crop": 200}, "data.crop=200 of data.block=128"),
        ({"val_fraction": 1.0}, "data.val_fraction=1.0"),
        ({"folds": 2, "fold": 2}, "data.fold=2 of data.folds=2"),
        ({"block": 900}, None),
    ],
)
def test_what_does_not_fit_is_named(root, keys, words):
    if words is None:
        assert len(made(root, **keys).train) > 0  # two scenes are two blocks
        return
    with pytest.raises(InputError, match=words):
        _ = made(root, **keys).train


def test_a_mask_elsewhere_and_a_label_that_is_no_class_are_named(root):
    elsewhere = GROUND["transform"].translation(9, 9) @ GROUND["transform"]
    values = np.full((1, *SIZE), 5, np.uint8)
    write_scene(root / "masks/north.tif", values)
    data = made(root)
    with pytest.raises(
        MaskError, match=r"north.tif, window 0,0: label 5 \(16 pixels\) is outside the classes"
    ):
        data.scenes[0].mask.labels(Box(0, 0, 4, 4))
    write_scene(root / "masks/north.tif", values, transform=elsewhere)
    with pytest.raises(InputError, match=r"north.tif: the mask lies elsewhere than .*images/north.tif"):
        _ = made(root).train
    write_scene(root / "masks/north.tif", values[:, :50])
    with pytest.raises(InputError, match=r"the mask is 420×50, its image .* is 420×300"):
        _ = made(root).train
    polygons(root / "labels.geojson")
    with pytest.raises(InputError, match=r"labels.geojson: kind=lake is no class; name it"):
        made(root, masks="labels.geojson", attribute="kind", class_names=["a", "b", "road"]).train[0]
    with pytest.raises(InputError, match=r"2 of 2 polygons have no size; set data.attribute; .* id, kind"):
        made(root, masks="labels.geojson", attribute="size").train[0]
