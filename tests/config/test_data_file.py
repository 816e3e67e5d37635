"""`data=mine.yaml`, colours on the command line, and class counts that come from the data."""

import numpy as np
import pytest
from PIL import Image

from segtrain.config.compose import compose_config, compose_with_choices, has_option, plain
from segtrain.config.data_file import adopt_data_files, data_argument
from segtrain.config.num_classes import fill_num_classes
from segtrain.config.overrides import as_overrides, unquote_keys
from segtrain.errors import InputError

FAST = ("model=segnet_basic", "width=0.0625", "batch_size=2", "max_steps=1", "num_workers=0", "device=cpu")
COLOURS = np.array([[0, 0, 0], [255, 0, 0]], np.uint8)


@pytest.fixture
def weeds(tmp_path):
    """Four images with masks in black and red, and weeds.yaml beside them."""
    for below in ("images", "masks"):
        (tmp_path / "field" / below).mkdir(parents=True)
    labels = np.arange(64 * 64).reshape(64, 64) % 2
    for name in "abcd":
        noise = np.random.default_rng(list(name.encode()))
        Image.fromarray(noise.integers(0, 255, (64, 64, 3), np.uint8)).save(
            tmp_path / f"field/images/{name}.png"
        )
        Image.fromarray(COLOURS[labels]).save(tmp_path / f"field/masks/{name}.png")
    path = tmp_path / "weeds.yaml"
    path.write_text('root: field\nclass_names: [soil, weed]\nlabel_map: {"0,0,0": 0, "255,0,0": 1}\n')
    return path


def test_a_file_stands_for_an_option_whose_paths_begin_beside_it(weeds):
    adopted = adopt_data_files(["model=unet", f"data={weeds}"])
    assert adopted == ["model=unet", "data=weeds"]
    assert data_argument("weeds") == str(weeds)
    config, choices = compose_with_choices("train", adopted)
    assert choices["data"] == "weeds"
    fill_num_classes(config)
    values = plain(config)
    assert values["data"]["root"] == str(weeds.parent / "field")
    assert values["data"]["val_fraction"] == 0.25  # from data=folder
    assert values["model"]["num_classes"] == values["data"]["num_classes"] == 2


def test_a_file_that_is_called_as_an_option_of_ours_is_another(weeds):
    (weeds.parent / "voc.yaml").write_text(weeds.read_text())
    (option,) = adopt_data_files([f"data={weeds.parent}/voc.yaml"])
    assert compose_config("train", [option]).data.class_names == ["soil", "weed"]


@pytest.mark.parametrize(
    ("root", "option"),
    [("../field", "field"), (".", "check_2026"), ("../field/data", "field"), (None, "check_2026")],
)
def test_a_file_whose_name_says_little_is_called_as_its_datas_folder(weeds, root, option):
    below = weeds.parent / "check_2026"  # as segdata action=check leaves its proposal
    below.mkdir()
    (below / "data.yaml").write_text(f"root: {root}\n" if root else "class_names: [a, b]\n")
    (found,) = adopt_data_files([f"data={below}/data.yaml"])
    assert found.removeprefix("data=").rstrip("_0123456789") == option.rstrip("_0123456789")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "mine.yaml: cannot be read"),
        ("[1]", "no keys in it"),
        ("root: d\n3: 4\n", r"mine\.yaml: the key 3 must be a name"),
        ("root: [d\n", r"mine\.yaml: cannot be read \(line 2 is no YAML\)"),
        ("format: cocoo\n", "format: cocoo: no such format; there are .*camvid"),
    ],
)
def test_a_file_that_is_no_data_set_is_named(tmp_path, text, message):
    if text:
        (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(InputError, match=message):
        adopt_data_files([f"data={tmp_path}/mine.yaml"])


def test_a_file_trains_evaluates_and_is_looked_at(weeds, run):
    done = run("segtrain", f"data={weeds}", *FAST)
    assert done.code == 0, done.err
    again = run("segeval", f"ckpt={done.folder}", f"data={weeds}", "device=cpu", "num_workers=0")
    assert again.code == 0, again.err
    assert "weed" in again.out
    assert run("segdata", f"data={weeds}", "action=check").code == 0


def test_colours_may_be_keys_on_the_command_line(weeds, run):
    label_map = """data.label_map={"0,0,0":0, '255,0,0': 1}"""
    done = run("segtrain", "data=folder", f"data.root={weeds.parent}/field", label_map, *FAST)
    assert done.code == 0, done.err
    config = compose_config("train", ["data=folder", *as_overrides({"data": {"label_map": {"1,2,3": 1}}})])
    assert config.data.label_map == {"1,2,3": 1}


@pytest.mark.parametrize("argument", ["seed=1", "data.label_map={255:1}", "data.root='a\"b'", "loss=[a,b]"])
def test_other_arguments_stay_as_they_are(argument):
    assert unquote_keys(argument) == argument


def test_a_training_on_masks_that_do_not_fit_names_the_check(weeds, run):
    done = run("segtrain", "data=folder", f"data.root={weeds.parent}/field", *FAST)
    assert done.code == 2
    assert f"segdata data=folder data.root={weeds.parent}/field action=check" in done.err


@pytest.mark.parametrize("name", ["é" * 300, "a\0b", "../x"])
def test_any_name_can_be_asked_for(name):
    assert not has_option("data", name)
    assert has_option("data", "voc")
