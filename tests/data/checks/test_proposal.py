"""The label maps that are proposed for masks whose numbers or colours are no labels."""

import numpy as np
import pytest
import yaml
from PIL import Image

from segtrain.data.checks.content import Content, read_content
from segtrain.data.checks.proposal import describe_label_map, propose
from segtrain.data.datasets.camvid import CamVid
from segtrain.data.datasets.cityscapes import Cityscapes
from segtrain.data.datasets.voc import voc_palette
from segtrain.data.io.label_map import parse_label_map
from segtrain.data.io.masks import read_colours

BLACK, RED, GREEN, PINK = (0, 0, 0), (255, 0, 0), (0, 255, 0), (255, 0, 255)


def proposed(values, classes=3, *, given=None, palette=None):
    """For masks that hold `values`, numbers or colours, the first of them most often."""
    pixels = {value: 1000 - i for i, value in enumerate(values)}
    content = Content(pixels, dict.fromkeys(values, 1))
    return propose(content, palette or voc_palette(classes), given or {}).label_map


@pytest.mark.parametrize(
    ("values", "classes", "label_map"),
    [
        ([0, 255], 2, {0: 0, 255: 1}),  # black and white
        ([0, 1, 2, 255], 3, {}),  # labels already
        ([0, 1, 255], 3, {}),
        ([1, 2, 3], 3, {1: 0, 2: 1, 3: 2}),  # counted from one
        ([1, 2, 3, 255], 3, {1: 0, 2: 1, 3: 2, 255: 255}),
        ([0, 1, 2, 3], 3, {0: 0, 1: 1, 2: 2, 3: 255}),  # one more than the classes: what is not annotated
        ([0, 127, 255], 3, {0: 0, 127: 1, 255: 2}),
        ([0, 100, 255], 2, {0: 0, 100: 1, 255: 255}),
        ([0, 40, 80, 160], 5, {0: 0, 40: 1, 80: 2, 160: 4}),  # multiplied, one class not there
        ([0, 38, 75], 5, {0: 0, 38: 1, 75: 2}),  # the greys of VOC's colours
        ([0, 1, 2, 300], 3, {0: 0, 1: 1, 2: 2, 300: 255}),
        ([-1, 0, 1, 2], 3, {-1: 255, 0: 0, 1: 1, 2: 2}),
    ],
)
def test_numbers(values, classes, label_map):
    assert proposed(values, classes) == label_map


def test_colours_that_a_palette_has_get_its_labels_and_all_else_is_ignored():
    assert proposed([PINK, (128, 0, 0), BLACK, (0, 128, 0)]) == {
        BLACK: 0,
        (0, 128, 0): 2,
        (128, 0, 0): 1,
        PINK: 255,
    }


@pytest.mark.parametrize("data", [CamVid, Cityscapes])
def test_known_colours_are_recognised_whatever_the_palette_of_the_data_set(data):
    classes = len(data.palette)
    guess = proposed([*data.palette, (1, 2, 3)], classes)
    assert [guess[colour] for colour in data.palette] == list(range(classes))
    assert guess[1, 2, 3] == 255


def test_unknown_colours_are_taken_by_their_size_after_black():
    assert proposed([RED, GREEN, BLACK, PINK]) == {BLACK: 0, RED: 1, GREEN: 2, PINK: 255}


def test_what_a_label_map_says_already_is_kept():
    assert proposed([RED, GREEN, BLACK], given={RED: 0, GREEN: 2}) == {RED: 0, GREEN: 2, BLACK: 255}
    assert proposed([0, 9, 8], given={9: 1}) == {9: 1, 0: 0, 8: 255}


def test_hundreds_of_colours_are_no_classes():
    assert proposed([(i, i, 0) for i in range(256)] + [PINK]) == {}


def test_the_masks_are_read_as_numbers_or_all_as_colours(tmp_path):
    def save(name, image):
        image.save(tmp_path / name)
        return tmp_path / name

    grey = save("grey.png", Image.fromarray(np.array([[0, 7, 7]], np.uint8)))
    palette = Image.fromarray(np.array([[0, 1, 1]], np.uint8), "P")
    palette.putpalette([0, 0, 0, 255, 0, 0])
    indexed = save("palette.png", palette)
    (tmp_path / "broken.png").write_bytes(b"")
    both = [grey, indexed, tmp_path / "broken.png"]
    assert read_content(both)[:2] == ({0: 2, 7: 2, 1: 2}, {0: 2, 7: 1, 1: 1})
    assert read_content([indexed], coloured=True).pixels == {BLACK: 1, RED: 2}
    rgb = save("rgb.png", Image.new("RGB", (2, 2), GREEN))
    assert read_content([indexed, rgb]).pixels == {BLACK: 1, RED: 2, GREEN: 4}


def test_the_yaml_is_what_a_label_map_may_be(tmp_path):
    content = Content({BLACK: 3_000, RED: 20, PINK: 1}, {BLACK: 2, RED: 1, PINK: 1})
    text = describe_label_map({BLACK: 0, RED: 1, PINK: 255}, content, ["ground", "brick"])
    assert '"0,0,0": 0 # ground: 3,000 pixels in 2 masks' in text
    assert '"255,0,255": 255 # ignored: 1 pixels in 1 masks' in text
    (tmp_path / "map.yaml").write_text(text)
    numbers, colours = parse_label_map(str(tmp_path / "map.yaml"), 2)
    assert numbers == {}
    Image.new("RGB", (1, 1), RED).save(tmp_path / "mask.png")
    assert read_colours(tmp_path / "mask.png", colours).tolist() == [[1]]
    assert yaml.safe_load(describe_label_map({7: 1}, Content({7: 1}, {7: 1}), "ab")) == {"7": 1}


def discs(classes):
    """uint8 64×80 with a disc of each class but the first."""
    rows, columns = np.mgrid[:64, :80]
    mask = np.zeros((64, 80), np.uint8)
    for label in range(1, classes):
        mask[(rows - 30) ** 2 + (columns - 25 * label) ** 2 < 100] = label
    return mask


def content_of(tmp_path, image, name="a.png", **keys):
    image.save(tmp_path / name, **keys)
    return read_content([tmp_path / name])


def smoothed(image):
    return image.resize((320, 256), Image.Resampling.NEAREST).resize((80, 64), Image.Resampling.BILINEAR)


def test_black_and_white_in_rgb_is_0_and_1(tmp_path):
    found = propose(content_of(tmp_path, Image.fromarray(discs(2) * 255).convert("RGB")), voc_palette(2), {})
    assert (found.label_map, found.areas) == ({0: 0, 255: 1}, ())


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_values_of_smooth_edges_and_of_jpeg_take_the_nearest_areas_label(tmp_path, classes, name):
    image = Image.fromarray(discs(classes) * (255 // (classes - 1)))
    image = smoothed(image) if name.endswith("png") else image
    found = propose(content_of(tmp_path, image, name), voc_palette(classes), {})
    assert len(found.areas) == found.num_classes == classes
    assert found.label_map[0] == 0
    assert found.label_map[255 if classes == 2 else 254] == classes - 1
    assert set(found.label_map.values()) == set(range(classes))
    assert all(label == 0 for value, label in found.label_map.items() if value < 50)


def test_smooth_edges_of_colours_leave_the_colours_of_areas(tmp_path):
    table = np.array([BLACK, RED, GREEN], np.uint8)
    found = propose(content_of(tmp_path, smoothed(Image.fromarray(table[discs(3)]))), voc_palette(3), {})
    assert found.label_map.keys() == {BLACK, RED, GREEN}
    assert found.label_map[BLACK] == 0


@pytest.mark.parametrize("classes", [6, 7])
def test_many_values_more_than_classes_are_classes(tmp_path, classes):
    colours = [(0, 0, 0)] + [(40 * i, 255 - 30 * i, 10 * i) for i in range(1, classes)]
    rows = np.arange(classes, dtype=np.uint8).repeat(4)[:, None].repeat(8, 1)
    found = propose(
        content_of(tmp_path, Image.fromarray(np.array(colours, np.uint8)[rows])), voc_palette(2), {}
    )
    assert found.num_classes == classes
    assert sorted(found.label_map.values()) == list(range(classes))
    numbers = propose(content_of(tmp_path, Image.fromarray(rows)), voc_palette(2), {})
    assert (numbers.num_classes, numbers.label_map) == (classes, {})


def test_a_known_palette_brings_its_names():
    pixels = dict.fromkeys([*CamVid.palette, (0, 0, 0)], 9)
    found = propose(Content(pixels, pixels), voc_palette(2), {})
    assert found.class_names == CamVid.class_names
    assert found.label_map[0, 0, 0] == 255
