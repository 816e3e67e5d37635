"""Damaged exports, as `make stress` found them: a line that names the file or the image."""

import json

import pytest
import yaml

from segtrain.data.datasets.classes import find_classes
from segtrain.data.formats import coco, label_studio, labelme, supervisely, yolo
from segtrain.data.formats.annotated import Annotated
from segtrain.errors import InputError
from tests.data.formats.exports import WRITERS

READERS = {
    "coco": coco.Coco,
    "label_studio": label_studio.LabelStudio,
    "labelme": labelme.LabelMe,
    "supervisely": supervisely.Supervisely,
    "yolo": yolo.Yolo,
}
FILES = {"coco": "annotations.json", "label_studio": "annotations.json", "labelme": "a.json"}
FILES |= {"supervisely": "pets/ann/a.png.json", "yolo": "data.yaml"}
FAR = 2**31
AWAY = "a: .*1,000,000 pixels"


def first_point(polygon, value):
    polygon[0] = value


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("coco", lambda c: c["images"][0].update(height=FAR), rf"a: an image of 40×{FAR} pixels"),
        (
            "coco",
            lambda c: c["images"][0].update(file_name="é" * 300),
            "annotations.json: not of COCO's form",
        ),
        (
            "coco",
            lambda c: c["categories"].extend({"id": 1000 + i, "name": f"c{i}"} for i in range(300)),
            r"there are 30\d classes; name the classes to take in data.class_names, 255 at most",
        ),
        ("coco", lambda c: first_point(c["annotations"][0]["segmentation"][0], FAR), AWAY),
        ("label_studio", lambda c: c[0].update(data={}), "no such image"),
        (
            "label_studio",
            lambda c: first_point(c[0]["annotations"][0]["result"][0]["value"]["points"], [2**70, 0]),
            AWAY,
        ),
        ("labelme", lambda c: c["shapes"].append([]), r"a\.json: not LabelMe's \(AttributeError"),
        (
            "labelme",
            lambda c: first_point(c["shapes"][0]["points"], [0, float("nan")]),
            AWAY,
        ),
        ("supervisely", lambda c: c["objects"].append("x"), r"a\.png\.json: not Supervisely's"),
        (
            "supervisely",
            lambda c: first_point(c["objects"][0]["points"]["exterior"], [FAR, -FAR]),
            AWAY,
        ),
        ("yolo", lambda c: c.update(train="é" * 300), "an annotation is damaged"),
    ],
)
def test_a_damaged_export_is_refused_in_a_line(tmp_path, name, change, words):
    WRITERS[name](tmp_path)
    path = tmp_path / FILES[name]
    content = yaml.safe_load(path.read_text())  # JSON too
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=words):
        draw_all(tmp_path, name)


def draw_all(root, name):
    data = Annotated(read=READERS[name](), root=str(root))
    for split in (data.train, data.val):
        for i in range(len(split)):
            split[i]


def test_an_empty_ring_cuts_nothing_out(tmp_path):
    WRITERS["supervisely"](tmp_path)
    path = tmp_path / FILES["supervisely"]
    content = json.loads(path.read_text())
    content["objects"][0]["points"]["interior"] = [[]]
    path.write_text(json.dumps(content))
    draw_all(tmp_path, "supervisely")


@pytest.mark.parametrize("palette", [None, [None, [9, 9, 9]], "red", 7])
def test_a_palette_that_is_none_is_refused(tmp_path, palette):
    content = {"class_names": ["a", "b"], "palette": palette or [[0, 0, 0], None]}
    (tmp_path / "classes.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(InputError, match=r"data\.palette: . colours for data\.num_classes=2"):
        find_classes(tmp_path, None, None, None, None)
