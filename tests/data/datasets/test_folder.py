"""Your own images: how pairs, splits, labels and every kind of image and mask are found and read."""

import numpy as np
import pytest
import yaml
from PIL import Image

from segtrain.data.checks.frequencies import class_frequencies
from segtrain.data.datasets.camvid import CamVid
from segtrain.data.datasets.folder import Folder
from segtrain.data.datasets.palettes import OKABE_ITO
from segtrain.data.datasets.voc import voc_palette
from segtrain.data.io.files import read_image
from segtrain.data.io.label_map import parse_label_map
from segtrain.data.io.masks import read_colours
from segtrain.errors import InputError

MASK = [[0, 1], [2, 255]]
COLOURS = [[[0, 0, 0], [255, 0, 0]], [[0, 0, 255], [7, 8, 9]]]
COLOUR_MAP = {"0,0,0": 0, "255,0,0": 1, "0,0,255": 2, "7,8,9": 255}


def add(folder, name, mask=MASK, *, images="images", masks="masks", suffix=""):
    """NAME.jpg and its mask; gives the path of the mask."""
    for below in (images, masks):
        (folder / below).mkdir(parents=True, exist_ok=True)
    mask = Image.fromarray(np.array(mask, np.uint8)) if isinstance(mask, list) else mask
    Image.new("RGB", mask.size).save(folder / images / f"{name}.jpg")
    mask.save(folder / masks / f"{name}{suffix}.png")
    return folder / masks / f"{name}{suffix}.png"


def names(split):
    return [pair.name for pair in split.pairs]


@pytest.fixture
def six(tmp_path):
    for i in range(6):
        add(tmp_path, f"p{i}")
    return tmp_path


def folder(root, **keys):
    data = Folder(root=str(root), **({"num_classes": 3} | keys))
    assert len(data.train) + len(data.val) >= 2  # they are looked for when asked for
    return data


def everything(root, **keys):
    """All masks of a folder of two or more images, in the order of their names."""
    data = folder(root, **keys)
    samples = [split[i] for split in (data.train, data.val) for i in range(len(split))]
    return [sample.mask.tolist() for sample in sorted(samples, key=lambda sample: sample.name)]


def test_a_quarter_of_six_images_validates(six):
    data = folder(six)
    assert len(data.train) == 4
    assert sorted(names(data.train) + names(data.val)) == [f"p{i}" for i in range(6)]
    assert data.train[0].mask.tolist() == MASK
    assert data.class_names == ("0", "1", "2")


def test_six_images_train_without_a_line_of_python(six, run):
    arguments = ["data=folder", f"data.root={six}", "data.num_classes=3", "width=0.0625", "batch_size=2"]
    outcome = run("segtrain", *arguments, "max_steps=2", "num_workers=0", "device=cpu", "precision=32")
    assert outcome.code == 0, outcome.err
    assert "4 images to train on, 2 to validate" in outcome.out
    checkpoint = f"ckpt={outcome.folder / 'checkpoints/best.ckpt'}"
    assert run("segeval", checkpoint, "device=cpu", "num_workers=0").code == 0


def test_a_label_map_survives_a_checkpoint(tmp_path, run):
    for i in range(4):
        add(tmp_path / "mine", f"p{i}", [[0, 255], [255, 0]])
    arguments = ["data=folder", f"data.root={tmp_path}/mine", "data.label_map={255:1}", "width=0.0625"]
    outcome = run("segtrain", *arguments, "max_steps=1", "num_workers=0", "device=cpu", "precision=32")
    assert outcome.code == 0, outcome.err
    checkpoint = f"ckpt={outcome.folder / 'checkpoints/best.ckpt'}"
    assert run("segeval", checkpoint, "device=cpu", "num_workers=0").code == 0


def test_the_seed_decides_who_validates_and_few_change_when_images_are_added(tmp_path):
    for i in range(40):
        add(tmp_path, f"p{i}")
    before = set(names(folder(tmp_path).val))
    assert len(before) == 10
    assert before == set(names(folder(tmp_path).val)) != set(names(folder(tmp_path, seed=1).val))
    for i in range(4):
        add(tmp_path, f"q{i}")
    assert len(set(names(folder(tmp_path).val)) & before) >= 7


@pytest.mark.parametrize(("fraction", "validate"), [(0.01, 1), (0.5, 3), (0.99, 5)])
def test_at_least_one_image_is_left_to_train_and_one_to_validate(six, fraction, validate):
    assert len(folder(six, val_fraction=fraction).val) == validate


@pytest.mark.parametrize(("images", "masks"), [("images/{}", "masks/{}"), ("{}/images", "{}/masks")])
def test_splits_may_be_folders(tmp_path, images, masks):
    add(tmp_path, "a", images=images.format("train"), masks=masks.format("train"))
    add(tmp_path, "b", images=images.format("dev"), masks=masks.format("dev"))
    data = folder(tmp_path, train_split="train", val_split="dev")
    assert (names(data.train), names(data.val)) == (["a"], ["b"])


def test_a_folder_that_only_validates_needs_no_training_split(tmp_path):
    add(tmp_path, "a", images="images/test", masks="masks/test")
    assert names(Folder(root=str(tmp_path), num_classes=3, val_split="test").val) == ["a"]


def test_the_same_images_train_and_validate_where_the_user_says_so(six):
    (six / "few.txt").write_text("p0\np1\n")
    data = folder(six, train_split="few", val_split="few")
    assert names(data.train) == names(data.val) == ["p0", "p1"]


def test_splits_may_be_lists_of_names_or_of_pairs(six):
    add(six, "far", images="else where", masks="labels")
    (six / "extra.jpg").touch()  # in no list
    (six / "mine.txt").write_text("p0\np1.jpg\n\nelse where/far.jpg, labels/far.png\n")
    (six / "yours.txt").write_text("images/p2.jpg masks/p3.png\nimages/p4.jpg\tmasks/p4.png\n")
    data = folder(six, train_split="mine", val_split="yours")
    assert (names(data.train), names(data.val)) == (["p0", "p1", "far"], ["p2", "p4"])
    assert data.val.pairs[0].mask.name == "p3.png"


def test_a_list_takes_what_it_names_from_folders_with_more(six):
    (six / "masks/p5.png").unlink()
    for name, lines in (("train", "p0\np1\n"), ("val", "p2\n")):
        (six / f"{name}.txt").write_text(lines)
    assert names(folder(six, train_split="train", val_split="val").train) == ["p0", "p1"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("nobody", "nobody has no image in"),
        ("p0", "p0.jpg is in it 2 times"),
        ("images/p0.jpg masks/p1.png", "p0.jpg is in it 2 times"),
        ("images/p1.jpg masks/nobody.png", "nobody.png: no such file"),
        ("a b c", "'a b c' does not name an image and a mask"),
        ("p3", "p3.jpg: in both splits"),
    ],
)
def test_a_faulty_line_of_a_list_is_named(six, line, message):
    (six / "train.txt").write_text(f"p0\n{line}\n")
    (six / "val.txt").write_text("p3\n")
    with pytest.raises(InputError, match=message):
        folder(six, train_split="train", val_split="val")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_list_may_come_from_windows(six, encoding, end):
    lines = f"p0{end}images\\p1.jpg masks\\p1.png{end}"
    (six / "train.txt").write_bytes(lines.encode(encoding))
    (six / "val.txt").write_bytes(f"p2{end}".encode(encoding))
    data = folder(six, train_split="train", val_split="val")
    assert (names(data.train), names(data.val)) == (["p0", "p1"], ["p2"])


def test_a_name_in_a_folder_may_come_from_windows(six):
    for below in ("images/sub", "masks/sub"):
        (six / below).mkdir()
    (six / "images/p1.jpg").rename(six / "images/sub/p1.jpg")
    (six / "masks/p1.png").rename(six / "masks/sub/p1.png")
    marks = "\ufeffp0\n\ufeffsub\\p1.jpg\n"  # of two lists that were put together
    (six / "train.txt").write_text(marks, encoding="utf-8")
    (six / "val.txt").write_text("p2\n")
    data = folder(six, train_split="train", val_split="val")
    assert names(data.train) == ["p0", "sub/p1"]


@pytest.mark.parametrize("coding", ["latin-1", "utf-16-le", "utf-32"])
def test_a_list_of_another_coding_is_named(six, coding):
    (six / "train.txt").write_bytes("städte".encode(coding))
    with pytest.raises(
        InputError, match=r"train\.txt: cannot be read \(it is not UTF-8\); store it as UTF-8"
    ):
        Folder(root=str(six), num_classes=3, train_split="train", val_split="train").train  # noqa: B018


@pytest.mark.parametrize(
    "form",
    [
        "{0}",
        "{0}.jpg",
        "images/{0}.jpg masks/{0}.png",
        "images/{0}.jpg,masks/{0}.png",
        "images/{0}.jpg\tmasks/{0}.png",
        "/images/{0}.jpg /masks/{0}.png",
        "# a comment\n{0}",
    ],
)
@pytest.mark.parametrize("name", ["p", "img 1", "my photo (1)", "a, b", "x\u2028y"])
def test_names_in_lists_may_have_blanks_and_paths_a_slash_before_them(tmp_path, form, name):
    for each in (name, f"{name} 2"):
        add(tmp_path, each)
    (tmp_path / "train.txt").write_text(form.format(name) + "\n")
    (tmp_path / "val.txt").write_text(form.format(f"{name} 2") + "\n")
    data = folder(tmp_path, train_split="train", val_split="val")
    assert (names(data.train), names(data.val)) == ([name], [f"{name} 2"])


def test_folders_named_like_images_are_none(six):
    for below in ("images/old.jpg", "masks/old.png", "images/.hidden"):
        (six / below).mkdir()
    assert len(folder(six).train) == 4


def test_masks_may_have_more_in_their_names_and_lie_beside_the_images(tmp_path):
    for name in "ab":
        add(tmp_path, name, images=".", masks=".", suffix="_mask")
    data = folder(tmp_path, images=".", masks=".", mask_suffix="_mask")
    assert names(data.train) + names(data.val) in (["a", "b"], ["b", "a"])
    with pytest.raises(InputError, match=r"images and masks in one folder; set data\.mask_suffix"):
        folder(tmp_path, images=".", masks=".")


def test_hidden_files_and_files_that_are_no_images_are_passed_over(six):
    (six / "images/.p9.jpg").touch()
    (six / "images/Thumbs.db").touch()
    assert len(folder(six).train) == 4


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda six: (six / "masks/p1.png").unlink(), r"p1\.jpg has no mask in .*masks; name both alike"),
        (lambda six: (six / "images/p1.jpg").unlink(), r"p1\.png has no image in .*images"),
        (lambda six: [(six / f"masks/p{i}.png").unlink() for i in (1, 2, 3)], "has no mask .*, and 2 more"),
        (lambda six: Image.new("L", (1, 1)).save(six / "masks/p1.tif"), "have one name"),
        (lambda six: (six / "masks").rename(six / "labels"), "masks: no such folder"),
        (lambda six: [(six / f"masks/p{i}.png").unlink() for i in range(6)], "masks: no image in it"),
    ],
)
def test_what_does_not_pair_up_is_named(six, damage, message):
    damage(six)
    with pytest.raises(InputError, match=message):
        folder(six)


def test_folders_of_splits_that_were_not_asked_for_are_pointed_out(tmp_path):
    for split in ("train", "val"):
        add(tmp_path, split, images=f"images/{split}", masks=f"masks/{split}")
    with pytest.raises(InputError, match=r"set data\.train_split=train data\.val_split=val"):
        folder(tmp_path)


def test_folders_within_the_folders_are_read_and_hidden_ones_are_not(tmp_path):
    for name in ("north/a", "south/a", "south/deep/b"):
        add(
            tmp_path,
            name.rpartition("/")[2],
            images=f"images/{name.rpartition('/')[0]}",
            masks=f"masks/{name.rpartition('/')[0]}",
        )
    add(tmp_path, "z", images="images/.cache", masks="masks/.cache")
    (tmp_path / "images/north/again").symlink_to(tmp_path / "images")  # a circle
    data = folder(tmp_path)
    assert sorted(names(data.train) + names(data.val)) == ["north/a", "south/a", "south/deep/b"]


def test_masks_may_lie_in_a_folder_among_the_images(tmp_path):
    for name in "ab":
        add(tmp_path, name, images=".", masks="masks")
    assert len(folder(tmp_path, images=".").train) == 1


def test_a_suffix_that_all_masks_share_is_proposed(tmp_path):
    for name in ("a", "b"):
        add(tmp_path, name, suffix="_mask")
        add(tmp_path / "one", name, images=".", masks=".", suffix="-gt")
    with pytest.raises(InputError, match=r"every mask ends in _mask; set data\.mask_suffix=_mask"):
        folder(tmp_path)
    with pytest.raises(InputError, match=r"one folder; set data\.mask_suffix=-gt"):
        folder(tmp_path / "one", images=".", masks=".")


def test_images_without_a_mask_are_left_out_or_background(six):
    (six / "masks/p1.png").unlink()
    data = folder(six, unlabelled="skip")
    assert len(data.train) + len(data.val) == 5
    masks = everything(six, unlabelled="background")
    assert masks == [MASK, [[0, 0], [0, 0]], MASK, MASK, MASK, MASK]


def test_the_classes_may_stand_in_a_file_beside_the_folders(six):
    (six / "classes.yaml").write_text(
        "class_names: [soil, crop, weed]\npalette: [[1, 2, 3], [4, 5, 6], [7, 8, 9]]"
    )
    data = folder(six, num_classes=None)
    assert (data.class_names, data.palette[2]) == (("soil", "crop", "weed"), (7, 8, 9))
    assert folder(six, num_classes=4).class_names == ("0", "1", "2", "3")
    (six / "classes.yaml").write_text("names: [soil]")
    with pytest.raises(InputError, match=r"classes\.yaml: no class_names in it"):
        folder(six, num_classes=None)


def test_classes_are_counted_in_the_names_or_in_the_label_map(six):
    assert folder(six, num_classes=None, class_names=["a", "b", "c"]).class_names == ("a", "b", "c")
    assert len(folder(six, num_classes=None, label_map={9: 4, 255: 255}).palette) == 5
    assert len(folder(six, num_classes=None).class_names) == 2


def test_the_nearest_number_or_colour_is_taken_where_that_is_asked_for(tmp_path):
    for name in "ab":
        add(tmp_path, name, [[0, 3, 120, 250]])
        add(tmp_path / "rgb", name, Image.fromarray(np.array([[[3, 9, 0], [200, 40, 40]]], np.uint8)))
    assert everything(tmp_path, label_map={0: 0, 255: 1}, snap=True) == [[[0, 0, 0, 1]]] * 2
    colours = {"0,0,0": 0, "255,0,0": 1}
    assert everything(tmp_path / "rgb", label_map=colours, snap=True) == [[[0, 1]]] * 2
    with pytest.raises(InputError, match=r"1 more colours have none; .*data\.snap=true"):
        everything(tmp_path / "rgb", label_map=colours)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"num_classes": 0}, "data.num_classes=0"),
        ({"num_classes": 256}, "data.num_classes=256"),
        ({"class_names": ["a", "b"]}, "data.class_names: 2 different names for data.num_classes=3"),
        ({"class_names": ["a", "b", "a"]}, "data.class_names: 2 different names"),
        ({"val_fraction": 1}, "data.val_fraction=1"),
        ({"white": 0}, "data.white must be 1 to 65535, got 0"),
        ({"snap": True}, "data.snap=true: no data.label_map"),
        ({"palette": [[0, 0, 0]]}, "data.palette: 1 colours for data.num_classes=3"),
        ({"palette": [[0, 0, 256]] * 3}, "data.palette"),
        (
            {"train_split": "train"},
            "data.train_split=train: no .*train.txt, .*images/train or .*train/images",
        ),
        ({"val_split": "val"}, "data.train_split is missing"),
        ({"label_map": [1]}, r"data.label_map=\[1\]: no map"),
        ({"label_map": {3: 7}}, "the label 7 of 3 is no class"),
        ({"label_map": {3: "1"}}, "the label 1 of 3 is no class"),
        ({"label_map": {"red": 1}}, "data.label_map: red"),
        ({"label_map": {"1,2": 1}}, "data.label_map: 1,2"),
        ({"label_map": {"1,2,300": 1}}, "data.label_map: 1,2,300"),
        ({"label_map": {"1,2,3": 1, 3: 1}}, "numbers and colours"),
        ({"label_map": "nowhere.yaml"}, "data.label_map=nowhere.yaml: cannot be read"),
    ],
)
def test_an_argument_that_does_not_fit_is_named(six, keys, message):
    with pytest.raises(InputError, match=message):
        folder(six, **keys)


def test_one_image_cannot_train_and_validate(tmp_path):
    add(tmp_path, "a")
    with pytest.raises(InputError, match="one image cannot train and validate"):
        folder(tmp_path)


def palette_mask():
    mask = Image.fromarray(np.array(MASK, np.uint8))
    mask.putpalette([v for colour in voc_palette(256) for v in colour])
    return mask


KINDS = {
    "grey": (Image.fromarray(np.array(MASK, np.uint8)), None),
    "palette": (palette_mask(), None),
    "16 bits": (
        Image.fromarray(np.array([[0, 1000], [2000, 65535]], np.uint16)),
        {1000: 1, 2000: 2, 65535: 255},
    ),
    "colours": (Image.fromarray(np.array(COLOURS, np.uint8)), COLOUR_MAP),
    "colours and alpha": (Image.fromarray(np.array(COLOURS, np.uint8)).convert("RGBA"), COLOUR_MAP),
    "colours in a palette": (Image.fromarray(np.array(COLOURS, np.uint8)).quantize(4), COLOUR_MAP),
    "grey as RGB": (Image.fromarray(np.array(MASK, np.uint8)).convert("RGB"), None),
    "grey and alpha": (Image.fromarray(np.array(MASK, np.uint8)).convert("LA"), None),
    "grey as colours": (
        Image.fromarray(np.array(MASK, np.uint8)).convert("RGB"),
        {"0,0,0": 0, "1,1,1": 1, "2,2,2": 2, "255,255,255": 255},
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_mask_gives_the_same_labels(tmp_path, kind):
    mask, label_map = KINDS[kind]
    for name in "ab":
        add(tmp_path, name, mask)
    assert everything(tmp_path, label_map=label_map) == [MASK, MASK]


def test_0_and_255_are_taken_for_classes_only_when_that_is_said(tmp_path):
    for name in "ab":
        add(tmp_path, name, [[0, 255]])
    with pytest.raises(InputError, match=r"nothing but 0 and 255; set data\.label_map=\{255:1\} for a class"):
        everything(tmp_path, num_classes=2)
    assert everything(tmp_path, num_classes=2, label_map={255: 1}) == [[[0, 1]]] * 2
    assert everything(tmp_path, num_classes=2, label_map={255: 255}) == [[[0, 255]]] * 2


def test_255_is_ignored_where_the_masks_have_classes_as_well(tmp_path):
    add(tmp_path, "a", [[0, 255]])
    add(tmp_path, "b", [[0, 1]])
    add(tmp_path, "c", [[1, 255]])
    assert everything(tmp_path, num_classes=2) == [[[0, 255]], [[0, 1]], [[1, 255]]]


def test_one_bit_masks_hold_two_classes(tmp_path):
    for name in "ab":
        add(tmp_path, name, Image.fromarray(np.array([[0, 255]], np.uint8)).convert("1"))
    assert everything(tmp_path, num_classes=2) == [[[0, 1]]] * 2


def test_a_colour_without_a_label_is_named_with_its_pixels_and_file(tmp_path):
    path = add(tmp_path, "a", Image.fromarray(np.array([*COLOURS, *COLOURS], np.uint8)))
    labels = {(0, 0, 0): 0, (0, 0, 255): 1, (7, 8, 9): 2}
    with pytest.raises(
        InputError, match=r'a\.png: the colour 255,0,0 \(2 pixels\) has no label; add "255,0,0"'
    ):
        read_colours(path, labels)


def test_a_mask_in_colours_without_a_map_says_that_there_is_one(tmp_path):
    for name in "ab":
        add(tmp_path, name, Image.fromarray(np.array(COLOURS, np.uint8)))
    with pytest.raises(InputError, match=r"the mask has colours .*data\.label_map"):
        everything(tmp_path)


def test_a_label_map_may_be_a_file(tmp_path):
    path = tmp_path / "map.yaml"
    path.write_text(yaml.safe_dump(COLOUR_MAP))
    numbers, colours = parse_label_map(str(path), 3)
    assert (numbers, colours[255, 0, 0], colours[7, 8, 9]) == ({}, 1, 255)
    for text, message in (("[1, 2]", "no map"), ("", "no map"), ("a: [", "cannot be read")):
        path.write_text(text)
        with pytest.raises(InputError, match=message):
            parse_label_map(str(path), 3)


def test_a_map_whose_keys_became_texts_in_a_checkpoint_is_the_same():
    assert parse_label_map({"255": 1, "-1": 255}, 2) == ({255: 1, -1: 255}, {})


def test_classes_are_drawn_in_the_colours_of_their_masks(six):
    label_map = {"9,9,9": 1, "5,5,5": 1, "0,0,255": 2}
    assert folder(six, label_map=label_map).palette == ((0, 0, 0), (9, 9, 9), (0, 0, 255))
    assert folder(six).palette == ((0, 0, 0), *OKABE_ITO[:2])
    assert folder(six, class_names=["road", "sky", "car"]).palette == OKABE_ITO[:3]


def test_another_colour_table_is_counted_anew(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in "ab":
        add(tmp_path, name, Image.fromarray(np.array(COLOURS, np.uint8)))
    for label_map, expected in ((COLOUR_MAP, [1, 1, 1]), (COLOUR_MAP | {"7,8,9": 2}, [1, 1, 2])):
        split = folder(tmp_path, label_map=label_map).train
        assert class_frequencies(split, 3).pixels.tolist() == expected


def grey16(values):
    return Image.fromarray(np.array(values, np.uint16))


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bit_grey_is_scaled_to_bytes_by_its_white(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    grey16([[0, 257, 4095, 65535]]).save(path)
    assert read_image(path)[0].tolist() == [[v] * 3 for v in (0, 1, 16, 255)]
    assert read_image(path, white=4095)[0, :, 0].tolist() == [0, 16, 255, 255]


def test_white_reaches_the_images_of_a_folder(six):
    for i in range(6):
        (six / f"images/p{i}.jpg").unlink()
        grey16([[0, 4095], [0, 4095]]).save(six / f"images/p{i}.png")
    data = folder(six, white=4095)
    assert data.train[0].image[0].tolist() == [[0], [4095]]  # all bits, of one channel
    assert data.input_hints().range == [0, 4095]


RGB = Image.fromarray(np.array([[[200, 100, 50], [1, 2, 3]]], np.uint8))


@pytest.mark.parametrize(
    ("image", "suffix", "expected"),
    [
        (RGB, "png", [200, 100, 50]),
        (RGB.convert("RGBA"), "png", [200, 100, 50]),
        (RGB.convert("RGBA"), "tif", [200, 100, 50]),
        (RGB.quantize(4), "png", [200, 100, 50]),
        (RGB.convert("CMYK"), "tif", [200, 100, 50]),
        (Image.new("L", (2, 1), 7), "bmp", [7, 7, 7]),
        (Image.new("LA", (2, 1), (7, 0)), "png", [7, 7, 7]),
        (Image.new("1", (2, 1), 1), "png", [255, 255, 255]),
    ],
)
def test_images_of_every_kind_become_rgb(tmp_path, image, suffix, expected):
    image.save(tmp_path / f"a.{suffix}")
    assert read_image(tmp_path / f"a.{suffix}")[0, 0].tolist() == expected


def test_a_transparent_palette_is_read_without_a_warning(tmp_path):
    RGB.quantize(4).save(tmp_path / "a.png", transparency=bytes([0, 128, 255]))
    assert read_image(tmp_path / "a.png")[0, 0].tolist() == [200, 100, 50]


@pytest.mark.parametrize("values", [np.array([[0.5]], np.float32), np.array([[70000]], np.int32)])
def test_images_without_a_white_are_refused(tmp_path, values):
    Image.fromarray(values).save(tmp_path / "a.tif")
    with pytest.raises(InputError, match=r"a\.tif: .*must be RGB or grey with 8 bits"):
        read_image(tmp_path / "a.tif")


@pytest.mark.data
def test_camvid_in_colours_has_the_labels_of_camvid(real_data, tmp_path):
    camvid = CamVid(root=str(real_data / "camvid"))
    table = np.zeros((256, 3), np.uint8)
    table[:11] = CamVid.palette
    (tmp_path / "masks").mkdir()
    lines = []
    for i in range(12):
        sample = camvid.val[i]
        Image.fromarray(table[sample.mask]).save(tmp_path / "masks" / f"{sample.name}.png")
        lines.append(f"{camvid.val.pairs[i].image},masks/{sample.name}.png")
    (tmp_path / "list.txt").write_text("\n".join(lines))
    (tmp_path / "other.txt").write_text(f"{camvid.train.pairs[0].image},{camvid.train.pairs[0].mask}\n")
    label_map = {",".join(map(str, colour)): i for i, colour in enumerate(CamVid.palette)} | {"0,0,0": 255}
    data = folder(tmp_path, num_classes=11, label_map=label_map, train_split="list", val_split="other")
    for i in range(12):
        assert (data.train[i].mask == camvid.val[i].mask).all()
