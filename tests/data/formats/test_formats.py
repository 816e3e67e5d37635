"""Annotation formats: the same scene in each of them, its masks equal to the tool's own rasterisation."""

import json

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw

from segtrain.config.compose import compose_config, plain
from segtrain.config.instantiate import instantiate
from segtrain.config.num_classes import fill_num_classes
from segtrain.data.formats.polygons import fill_pixels
from segtrain.errors import InputError
from tests.data.formats import exports
from tests.data.formats.exports import COLOURS, HEIGHT, SCENES, WIDTH, WRITERS

coco_tool = pytest.importorskip("pycocotools.mask")


def by_coco(points) -> np.ndarray:
    runs = coco_tool.frPyObjects([exports.flat(points)], HEIGHT, WIDTH)
    return coco_tool.decode(coco_tool.merge(runs)).astype(bool)


def by_opencv(points) -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.fillPoly(mask, [np.array(points, np.int32)], 1)
    return mask.astype(bool)


def by_pillow(points) -> np.ndarray:
    image = Image.new("L", (WIDTH, HEIGHT))
    ImageDraw.Draw(image).polygon([tuple(point) for point in points], fill=1, outline=1)
    return np.array(image).astype(bool)


TOOLS = {
    "coco": by_coco,
    "cvat": by_coco,
    "label_studio": by_coco,
    "labelme": by_pillow,
    "yolo": by_opencv,
    "supervisely": by_opencv,
    "roboflow": by_opencv,
}


def build(option: str, root, **keys):
    overrides = [f"data={option}", f"data.root={root}", *(f"data.{k}={v}" for k, v in keys.items())]
    config = compose_config("train", overrides)
    fill_num_classes(config)
    return instantiate(plain(config)["data"], "data")


def samples(data) -> dict:
    """All samples of both splits by name."""
    found = [split[i] for split in (data.train, data.val) for i in range(len(split))]
    return {sample.name.rpartition("/")[2]: sample for sample in found}


@pytest.mark.parametrize("option", WRITERS)
def test_every_format_gives_the_masks_of_its_tool(tmp_path, option):
    WRITERS[option](tmp_path)
    data = build(option, tmp_path)
    assert data.class_names == ("background", "cat", "dog")
    found = samples(data)
    assert found.keys() == {"a", "b", "c", "d"}
    for scene in SCENES:
        expected = np.zeros((HEIGHT, WIDTH), np.uint8)
        for category, points in scene.polygons:  # the dog is smaller than the cat, and comes later
            expected[TOOLS[option](points)] = data.class_names.index(category)
        assert (found[scene.name].mask == expected).all(), scene.name
        labels, name = next(
            split.labels(i)
            for split in (data.train, data.val)
            for i in range(len(split))
            if split.labels(i)[1].endswith(scene.name)
        )
        assert (labels == found[scene.name].mask).all(), name


@pytest.mark.parametrize("option", ["coco", "cvat", "supervisely"])
def test_colours_come_from_the_file(tmp_path, option):
    WRITERS[option](tmp_path)
    assert build(option, tmp_path).palette == ((0, 0, 0), COLOURS["cat"], COLOURS["dog"])


def test_the_same_steps_are_trained_and_the_checkpoint_knows_the_classes(tmp_path, run):
    exports.coco(tmp_path / "pets")
    fast = (
        "model=segnet_basic",
        "width=0.0625",
        "batch_size=2",
        "max_steps=1",
        "num_workers=0",
        "device=cpu",
    )
    done = run("segtrain", "data=coco", f"data.root={tmp_path}/pets", *fast)
    assert done.code == 0, done.err
    again = run("segeval", f"ckpt={done.folder}", "device=cpu", "num_workers=0")
    assert again.code == 0, again.err
    assert "dog" in again.out
    other = run(
        "segeval",
        f"ckpt={done.folder}",
        "data=coco",
        f"data.root={tmp_path}/pets",
        "device=cpu",
        "num_workers=0",
    )
    assert other.code == 0, other.err


@pytest.mark.parametrize(("overlap", "label"), [("small_on_top", 2), ("order", 1), ("ignore", 255)])
def test_overlaps_follow_the_rule(tmp_path, overlap, label):
    scenes = [
        exports.Scene(n, [("dog", [[10, 8], [20, 8], [20, 18], [10, 18]]), SCENES[0].polygons[0]])
        for n in "ab"
    ]
    exports.coco(tmp_path, scenes)
    mask = samples(build("coco", tmp_path, overlap=overlap))["a"].mask
    assert mask[12, 15] == label
    assert mask[5, 5] == 1


def test_overlaps_may_keep_both_classes(tmp_path):
    dog = ("dog", [[10, 8], [20, 8], [20, 18], [10, 18]])
    exports.coco(tmp_path, [exports.Scene(n, [dog, SCENES[0].polygons[0]]) for n in "ab"])
    data = build("coco", tmp_path, overlap="all")
    assert data.class_names == ("cat", "dog")
    assert (0, 0, 0) not in data.palette
    mask = samples(data)["a"].mask
    assert mask[12, 15].tolist() == [1, 1]
    assert mask[5, 5].tolist() == [1, 0]
    outside = mask.max(-1) == 0
    assert outside.any()
    unlisted = samples(build("coco", tmp_path, overlap="all", unlisted="ignore"))["a"].mask
    assert (unlisted[outside] == 255).all()
    assert np.array_equal(unlisted[~outside], mask[~outside])


def test_what_nobody_lists_is_background_or_ignored(tmp_path):
    exports.coco(tmp_path)
    data = build("coco", tmp_path, unlisted="ignore")
    assert data.class_names == ("cat", "dog")
    assert set(np.unique(samples(data)["b"].mask)) == {1, 255}


def test_a_category_called_background_is_class_0(tmp_path):
    content = exports.coco_content()
    content["categories"].append({"id": 99, "name": "_background_"})
    exports.coco(tmp_path)
    exports.write_json(tmp_path / "annotations.json", content)
    assert build("coco", tmp_path).class_names == ("_background_", "cat", "dog")


def test_a_choice_of_classes_leaves_no_other(tmp_path):
    exports.labelme(tmp_path)
    data = build("labelme", tmp_path, class_names="[background,dog,cat]")
    assert samples(data)["b"].mask.max() == 1
    with pytest.raises(InputError, match="dog is none of the classes"):
        build("labelme", tmp_path, class_names="[background,cat]")


def test_run_lengths_are_decoded_and_crowds_are_ignored(tmp_path):
    exports.coco(tmp_path)
    content = exports.coco_content()
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[20:30, 30:38] = 1
    packed = coco_tool.encode(np.asfortranarray(mask))
    counts = [len(run) for run in np.split(mask.T.ravel(), np.flatnonzero(np.diff(mask.T.ravel())) + 1)]
    for i, (segmentation, crowd) in enumerate(
        [
            ({"counts": packed["counts"].decode(), "size": [HEIGHT, WIDTH]}, 0),
            ({"counts": counts, "size": [HEIGHT, WIDTH]}, 1),
        ]
    ):
        one = {
            "id": 50 + i,
            "image_id": i + 2,
            "category_id": 10,
            "segmentation": segmentation,
            "iscrowd": crowd,
        }
        content["annotations"].append(one)
    exports.write_json(tmp_path / "annotations.json", content)
    found = samples(build("coco", tmp_path))
    assert (found["b"].mask[mask == 1] == 1).all()
    assert (found["c"].mask == np.where(mask, 255, 0)).all()


def test_splits_of_coco_in_files_of_their_own(tmp_path):
    exports.write_images(tmp_path / "images")
    for split, scenes in {"train": SCENES[:2], "val": SCENES[2:3], "test": SCENES[3:]}.items():
        exports.write_json(tmp_path / f"annotations/instances_{split}.json", exports.coco_content(scenes))
    data = build("coco", tmp_path)
    assert [len(split) for split in (data.train, data.val, data.test)] == [2, 1, 1]
    assert data.test[0].name == SCENES[3].name


def test_brush_strokes_of_label_studio(tmp_path):
    exports.label_studio(tmp_path)
    tasks = json.loads((tmp_path / "annotations.json").read_text())
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[3:9, 4:30] = True
    result = {"type": "brushlabels", "original_height": HEIGHT, "original_width": WIDTH}
    result["value"] = {"format": "rle", "rle": exports.brush_text(mask), "brushlabels": ["cat"]}
    tasks[2]["annotations"][0]["result"] = [result]
    exports.write_json(tmp_path / "annotations.json", tasks)
    assert (samples(build("label_studio", tmp_path))["c"].mask == mask).all()


def test_turned_boxes_ellipses_and_points_of_label_studio(tmp_path):
    exports.label_studio(tmp_path)
    tasks = json.loads((tmp_path / "annotations.json").read_text())
    share = {"x": 25, "y": 0, "width": 25, "height": 50, "rotation": 90}  # 10 × 16.5 pixels, from (10, 0)
    centre = {"x": 50, "y": 50, "radiusX": 25, "radiusY": 100 / 3}
    values = {
        "rectanglelabels": share | {"rectanglelabels": ["cat"]},
        "labels": centre | {"labels": ["dog"]},  # as tools without labels of their own have them
        "ellipse": centre,
        "keypointlabels": {"x": 1, "y": 1, "width": 0.3, "keypointlabels": ["cat"]},
    }
    size = {"original_height": HEIGHT, "original_width": WIDTH}
    for task, kinds in ((1, ["rectanglelabels"]), (2, ["labels", "ellipse", "keypointlabels"])):
        results = [{"type": kind, "value": values[kind], **size} for kind in kinds]
        tasks[task]["annotations"][0]["result"] = results
    exports.write_json(tmp_path / "annotations.json", tasks)
    data = build("label_studio", tmp_path)
    found = samples(data)
    assert (found["b"].mask[:10, :10] == 1).all()
    assert found["b"].mask.sum() == 100
    x, y = np.meshgrid(np.arange(WIDTH) + 0.5 - 20, np.arange(HEIGHT) + 0.5 - 16.5)
    assert ((found["c"].mask == 2) != ((x / 10) ** 2 + (y / 11) ** 2 < 1)).sum() < 20
    assert [problem.kind for problem in data.found.problems] == ["outside", "empty"]


def test_shapes_of_labelme_and_what_it_ignores(tmp_path):
    exports.labelme(tmp_path)
    content = json.loads((tmp_path / "c.json").read_text())
    part = np.eye(5, dtype=bool)
    content["shapes"] = [
        {"label": "cat", "shape_type": "rectangle", "points": [[20, 20], [30, 25]]},
        {"label": "dog", "shape_type": "circle", "points": [[10, 25], [14, 25]]},
        {"label": "cat", "shape_type": "mask", "points": [[1, 2], [5, 6]], "mask": exports.png_text(part)},
        {"label": "__ignore__", "shape_type": "rectangle", "points": [[30, 1], [35, 5]]},
    ]
    exports.write_json(tmp_path / "c.json", content)
    data = build("labelme", tmp_path)
    assert data.class_names == ("background", "cat", "dog")
    mask = samples(data)["c"].mask
    assert (mask[2:7, 1:6] == part).all()
    assert (mask[20:26, 20:31] == 1).all()
    assert (mask[25, 10], mask[25, 15], mask[3, 32]) == (2, 0, 255)


def test_masks_and_boxes_of_cvat(tmp_path):
    exports.cvat(tmp_path)
    text = (tmp_path / "annotations.xml").read_text()
    more = (
        '<mask label="cat" rle="3, 2, 1, 3" left="4" top="6" width="3" height="3" z_order="1"/>'
        '<box label="dog" xtl="20" ytl="20" xbr="30" ybr="25"/></image>'
    )
    at = text.index("</image>", text.index('name="c.png"'))
    (tmp_path / "annotations.xml").write_text(text[:at] + more + text[at + len("</image>") :])
    mask = samples(build("cvat", tmp_path))["c"].mask
    assert mask[6:9, 4:7].tolist() == [[0, 0, 0], [1, 1, 0], [1, 1, 1]]
    assert (mask[20:25, 20:30] == 2).all()
    assert (mask == 2).sum() == 50


def test_masks_in_colours_of_cvat(tmp_path):
    exports.write_images(tmp_path / "JPEGImages")
    for folder in ("SegmentationClass", "ImageSets/Segmentation"):
        (tmp_path / folder).mkdir(parents=True)
    lines = [f"{name}:{','.join(map(str, colour))}::" for name, colour in COLOURS.items()]
    (tmp_path / "labelmap.txt").write_text(
        "\n".join(["# label:color_rgb:parts:actions", *lines, "background:0,0,0::"])
    )
    (tmp_path / "ImageSets/Segmentation/default.txt").write_text("a\nb\nc\nd\n")
    for scene in SCENES:
        image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        image[by_opencv([[2, 3], [9, 3], [9, 8]])] = COLOURS["dog"]
        Image.fromarray(image).save(tmp_path / f"SegmentationClass/{scene.name}.png")
    data = build("cvat", tmp_path)
    assert data.class_names == ("background", "cat", "dog")
    assert data.palette[2] == COLOURS["dog"]
    assert set(np.unique(samples(data)["a"].mask)) == {0, 2}


def test_bitmaps_of_supervisely(tmp_path):
    exports.supervisely(tmp_path)
    part = np.tri(6, dtype=bool)
    bitmap = {"data": exports.png_text(part, packed=True), "origin": [30, 20]}
    objects = [{"classTitle": "dog", "geometryType": "bitmap", "bitmap": bitmap}]
    exports.write_json(tmp_path / "pets/ann/c.png.json", {"size": exports.SIZE, "objects": objects})
    mask = samples(build("supervisely", tmp_path))["c"].mask
    assert (mask[20:26, 30:36] == 2 * part).all()


def damaged(content: dict) -> None:
    """Eight of one kind and one or two of each other."""
    first = content["annotations"][0]
    for i in range(8):
        content["annotations"].append(first | {"id": 100 + i, "category_id": 77})
    content["annotations"].append(first | {"id": 1})
    content["annotations"].append(first | {"id": 200, "segmentation": [[-9, 0, 80, 0, 80, 20]]})
    content["annotations"].append(first | {"id": 201, "segmentation": []})
    content["annotations"].append(first | {"id": 202, "image_id": 99})
    content["images"].append({"id": 9, "file_name": "nobody.png", **exports.SIZE})


def test_everything_that_is_wrong_is_counted_and_named(tmp_path, run):
    exports.coco(tmp_path / "pets")
    content = exports.coco_content()
    damaged(content)
    exports.write_json(tmp_path / "pets/annotations.json", content)
    done = run("segdata", "data=coco", f"data.root={tmp_path}/pets", "action=check")
    assert done.code == 2
    said = " ".join(done.out.split())
    for text in (
        "annotations of unknown categories: 8 (category)",
        "annotation 100: there is no category 77",
        "and 2 more, in the report",
        "annotations without their image: 2 (missing)",
        "nobody.png: no such image",
        "annotation 202: there is no image 99",
        "annotation 1: 2 times in it",
        "annotations outside their image: 1 (outside)",
        "annotations without an area: 1 (empty)",
    ):
        assert text in said, text
    with pytest.raises(
        InputError, match=r"annotation 1: 2 times in it; mend it; segdata action=check names all"
    ):
        build("coco", tmp_path / "pets")


@pytest.mark.parametrize("option", WRITERS)
def test_a_missing_or_damaged_file_is_named(tmp_path, option):
    with pytest.raises(InputError, match=r"no such folder; set data\.root"):
        build(option, tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=str(tmp_path)):
        build(option, tmp_path / "empty")


def test_ten_thousand_annotations_are_indexed_fast(tmp_path):
    """A hundred thousand take ten times as long, and have 3 s."""
    import time

    exports.write_images(tmp_path / "images")
    content = exports.coco_content()
    first = content["annotations"][0]
    ring = [float(v) for v in range(1, 31)]
    content["annotations"] += [first | {"id": 1000 + i, "segmentation": [ring]} for i in range(10_000)]
    exports.write_json(tmp_path / "annotations.json", content)
    before = time.process_time()
    data = build("coco", tmp_path, overlap="order")
    assert len(data.train) == 3
    assert time.process_time() - before < 1.5


def test_shares_in_six_decimals_hit_the_pixels_that_they_were_made_of():
    points = np.array([[7.0, 3.0], [29.0, 3.0], [29.0, 26.0]])
    shares = np.array(
        [[float(f"{x / WIDTH - 5e-7:.6f}"), float(f"{y / HEIGHT - 5e-7:.6f}")] for x, y in points]
    )
    drawn = fill_pixels([shares * [WIDTH, HEIGHT]], HEIGHT, WIDTH)
    assert (drawn == by_opencv(points)).all()


@pytest.mark.parametrize(("short", "x"), [(0.01, 7), (0, 6)])
def test_a_yolo_vertex_just_below_its_pixel_is_drawn_there_or_cut_as_ultralytics_does(tmp_path, short, x):
    exports.yolo(tmp_path)
    share = "0.174999"  # of 40 columns: 7 without its last decimal
    assert int(float(share) * WIDTH) == 6
    assert round(float(share) * WIDTH, 3) == 7
    for label in tmp_path.glob("labels/train/*.txt"):
        label.write_text(f"0 {share} 0 {share} 0.5 0.9 0.5 0.9 0\n")
    columns = samples(build("yolo", tmp_path, **{"read.short": short}))["a"].mask.any(axis=0)
    assert columns.argmax() == x


@pytest.mark.parametrize("option", WRITERS)
def test_images_of_16_bits_keep_their_low_byte(tmp_path, option):
    WRITERS[option](tmp_path)
    values = np.arange(HEIGHT * WIDTH, dtype=np.uint16).reshape(HEIGHT, WIDTH)
    for path in tmp_path.rglob("[abcd].[pj]*g"):
        cv2.imencode(".png", values)[1].tofile(path)
    data = build(option, tmp_path, range="[0,4095]", rgb="[1,1,1]")
    assert data.input_hints().range == [0, 4095]
    for sample in samples(data).values():
        assert sample.image.dtype == np.uint16
        assert (sample.image[..., 0] == values).all()
