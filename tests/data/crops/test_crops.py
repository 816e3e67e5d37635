"""DeconvNet's two stages of windows, on a miniature of VOC and on `shapes`."""

import numpy as np
import pytest
from PIL import Image

from segtrain.contracts import IGNORE_INDEX, Sample
from segtrain.data.crops.annotated import Object
from segtrain.data.crops.boxes import Box
from segtrain.data.crops.objects import Objects
from segtrain.data.crops.proposals import Proposals, overlapping
from segtrain.data.datasets.shapes import Shapes
from segtrain.data.datasets.voc import VOC
from segtrain.engine.loader import Augmented
from segtrain.errors import InputError


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def labels_of_one_image():
    """40×60: two touching halves of class 3, one of class 5 at the border, ignored, and a speck."""
    mask = np.zeros((40, 60), np.uint8)
    mask[10:20, 10:20], mask[10:20, 20:30] = 3, 3
    mask[30:40, 50:60] = 5
    mask[8, 10:30] = IGNORE_INDEX
    mask[0, 0] = 7
    return mask


@pytest.fixture
def voc(tmp_path):
    """A devkit of one image, whose every pixel has the value of its column."""
    root = tmp_path / "VOC2012"
    for folder in ("JPEGImages", "SegmentationClass", "SegmentationObject", "ImageSets/Segmentation"):
        (root / folder).mkdir(parents=True)
    image = np.broadcast_to(np.arange(60, dtype=np.uint8)[None, :, None] + 100, (40, 60, 3))
    Image.fromarray(np.ascontiguousarray(image)).save(root / "JPEGImages/one.jpg", quality=100)
    Image.fromarray(labels_of_one_image()).save(root / "SegmentationClass/one.png")
    (root / "ImageSets/Segmentation/train.txt").write_text("one\n")
    (root / "ImageSets/Segmentation/val.txt").write_text("one\n")
    return root


def add_instances(root, shape=(40, 60)):
    """The halves of class 3 are objects 1 and 2; object 4 has no label but background."""
    instances = np.zeros(shape, np.uint8)
    instances[10:20, 10:20], instances[10:20, 20:30], instances[30:40, 50:60] = 1, 2, 3
    instances[25:28, 0:20] = 4
    instances[8, 10:30] = IGNORE_INDEX
    Image.fromarray(instances).save(root / "SegmentationObject/one.png")


class Images:
    """A split of given masks, black, without a way to read a mask alone."""

    def __init__(self, *masks):
        self.masks = masks

    def __len__(self):
        return len(self.masks)

    def __getitem__(self, index):
        mask = self.masks[index]
        return Sample(np.full((*mask.shape, 3), 9, np.uint8), mask, f"p{index}")


def test_each_connected_region_of_a_class_gets_its_box_with_context(voc):
    crops = Objects(VOC(root=str(voc)).train)
    # 20×10 and 10×10 pixels, 1.2 times as large; the speck is too small.
    assert [crop.name for crop in crops] == ["one_8_9_24x12", "one_49_29_12x12"]
    assert [crop.mask.shape for crop in crops] == [(12, 24), (12, 12)]


def test_where_there_are_instance_masks_each_instance_gets_its_own(voc):
    add_instances(voc)
    crops = Objects(VOC(root=str(voc)).train)
    assert [crop.name for crop in crops] == ["one_9_9_12x12", "one_19_9_12x12", "one_49_29_12x12"]
    assert (crops[0].mask == 3).sum() == 100
    assert (crops[0].mask[1:11, 11] == 0).all()  # its neighbour of the same class


def test_the_cache_notices_that_instance_masks_were_added(voc):
    assert len(Objects(VOC(root=str(voc)).train)) == 2
    add_instances(voc)
    assert len(Objects(VOC(root=str(voc)).train)) == 3


def test_an_instance_mask_of_another_size_is_named(voc):
    add_instances(voc, shape=(40, 61))
    with pytest.raises(InputError, match="one: its instance mask is 61×40, its labels are 60×40"):
        Objects(VOC(root=str(voc)).train)


def test_only_the_object_keeps_its_label_and_ignored_pixels_stays_ignored():
    mask = labels_of_one_image()
    mask[10:20, 30:33] = 5  # touches the object and lies in its window
    (crop, _) = Objects(Images(mask), context=2.0)
    assert crop.mask.shape == (20, 40)  # around rows 10..19 and columns 10..29
    assert crop.mask[5:15, 10:30].tolist() == [[3] * 20] * 10
    assert crop.mask[3].tolist() == [0] * 10 + [IGNORE_INDEX] * 20 + [0] * 10
    assert set(np.unique(crop.mask)) == {0, 3, IGNORE_INDEX}


def test_what_lies_outside_the_image_is_black_and_ignored(voc):
    (_, crop) = Objects(VOC(root=str(voc)).train)  # columns 49..60 and rows 29..40 of 60 and 40
    assert (crop.mask[:, 11] == IGNORE_INDEX).all()
    assert (crop.mask[11] == IGNORE_INDEX).all()
    assert (crop.image[:, 11] == 0).all()
    assert (crop.image[11] == 0).all()
    assert (crop.mask[1:11, 1:11] == 5).all()
    assert np.abs(crop.image[:11, :11, 0].astype(int) - np.arange(149, 160)).max() <= 2


def test_the_crops_of_shapes_are_the_objects_that_were_drawn():
    split = Shapes(size=64, train_images=6).train
    crops = Objects(split, min_area=50)
    assert len(crops) >= 6
    for crop in crops:
        (label,) = set(np.unique(crop.mask)) - {0, IGNORE_INDEX}
        rows, columns = (crop.mask == label).nonzero()
        box = Box(columns.min(), rows.min(), columns.max() - columns.min() + 1, rows.max() - rows.min() + 1)
        assert len(rows) >= 50
        extended = box.extended(1.2)
        assert (extended.x, extended.y) == (0, 0)
        assert (extended.height, extended.width) == crop.mask.shape


def test_a_split_without_objects_is_refused():
    with pytest.raises(InputError, match=r"no object of crops\.min_area=100 pixels or more in 1 images"):
        Objects(Images(np.zeros((50, 50), np.uint8)))


@pytest.mark.parametrize(
    ("box", "iou"), [((0, 0, 10, 10), 1.0), ((0, 5, 10, 10), 1 / 3), ((5, 0, 10, 20), 0.2)]
)
def test_overlap_is_intersection_over_union(box, iou):
    objects = [Object(4, 1, Box(0, 0, 10, 10)), Object(2, 1, Box(50, 50, 10, 10))]
    for least, expected in ((iou - 1e-6, [4]), (iou + 1e-6, [])):
        kept, labels = overlapping([Box(*box), Box(80, 80, 5, 5)], objects, least)
        assert labels.tolist() == expected
        assert kept.tolist() == [list(box)] * len(expected)


def boxes_file(tmp_path, *lines):
    path = tmp_path / "boxes.csv"
    path.write_text("\n".join(["name,x,y,width,height,score", *lines]))
    return str(path)


def test_proposals_that_overlap_an_object_give_windows_with_all_labels(tmp_path):
    boxes = boxes_file(
        tmp_path, "p0,10,10,20,20,0.9", "p0,0,0,60,40,0.8", "p0,50,30,8,10,0.7", "p9,0,0,1,1,1"
    )
    crops = Proposals(Images(labels_of_one_image()), boxes=boxes, balance=False)
    assert [crop.name for crop in crops] == ["p0_8_8_24x24", "p0_49_29_10x12"]
    assert crops[0].mask[2:12, 2:22].tolist() == [[3] * 20] * 10
    assert crops[0].mask[0].tolist() == [0] * 2 + [IGNORE_INDEX] * 20 + [0] * 2
    wide = Proposals(Images(labels_of_one_image()), boxes=boxes, overlap=0.05, context=1, balance=False)
    assert {*np.unique(wide[1].mask)} == {0, 3, 5, 7, IGNORE_INDEX}


def test_proposals_of_rare_classes_are_repeated(tmp_path):
    boxes = boxes_file(tmp_path, *["p0,10,10,20,10,1"] * 5, *["p0,50,30,10,10,0.5"] * 2)
    crops = Proposals(Images(labels_of_one_image()), boxes=boxes)
    names = [crop.name for crop in crops]
    assert {name: names.count(name) for name in names} == {"p0_8_9_24x12": 5, "p0_49_29_12x12": 4}


def test_without_a_file_a_grid_of_windows_is_searched():
    crops = Proposals(Images(labels_of_one_image()), balance=False)
    found = {tuple(window) for window in crops.windows.tolist()}
    assert (0, 50, 30, 10, 10) in found  # the lower right window of the smallest scale
    assert (0, 0, 0, 60, 40) not in found


def test_images_without_proposals_are_named(tmp_path):
    masks = [labels_of_one_image(), np.zeros((9, 9), np.uint8), labels_of_one_image()]
    with pytest.raises(InputError, match=r"boxes\.csv must .* got none for p2; add"):
        Proposals(Images(*masks), boxes=boxes_file(tmp_path, "p0,10,10,20,10,1"))
    with pytest.raises(InputError, match=r"got none for p0 and 1 more;"):
        Proposals(Images(*masks), boxes=boxes_file(tmp_path))


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"context": 0.9}, r"crops\.context must be at least 1, got 0\.9"),
        ({"overlap": 0}, r"crops\.overlap must be above 0 and at most 1, got 0"),
        ({"overlap": 1}, r"no proposal overlaps an object by crops\.overlap=1"),
    ],
)
def test_an_argument_out_of_its_range_is_named(keys, message):
    mask = np.zeros((40, 60), np.uint8)
    mask[3:17, 3:18] = 1
    with pytest.raises(InputError, match=message):
        Proposals(Images(mask), **keys)


def test_crops_are_augmented_to_one_size_as_any_split():
    from segtrain.config.compose import compose_config, plain
    from segtrain.config.instantiate import instantiate

    transforms = instantiate(plain(compose_config("train", ["augment=deconvnet"]))["augment"], "augment")
    data = Augmented(Objects(Images(labels_of_one_image())), transforms.values(), seed=0)
    for i in range(len(data)):
        assert data[0, i].image.shape == (224, 224, 3)
        assert set(np.unique(data[0, i].mask)) <= {0, 3, 5, IGNORE_INDEX}
