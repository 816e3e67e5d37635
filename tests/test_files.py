"""Files are whole or not there, and lie below their folder."""

import errno
import os
import resource
import shlex
from pathlib import Path

import numpy as np
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from PIL import Image

from segtrain.config.data_file import adopt_data_files
from segtrain.config.overrides import quote_values
from segtrain.data.crops.boxes import read_boxes
from segtrain.data.formats.finding import read_json
from segtrain.data.io.files import read_list
from segtrain.data.io.label_map import read_yaml
from segtrain.data.io.listing import image_files, visible
from segtrain.errors import InputError, SaveError
from segtrain.files import (
    as_argument,
    cache_folder,
    check_name,
    inside,
    user_path,
    without_quotes,
    write_atomically,
)


@pytest.mark.parametrize("name", ["a.png", "city/a.png", "..a/b..png", "a b/ü.png", "...png", "a:b.png"])
def test_names_below_a_folder_are_taken(tmp_path, name):
    assert inside(tmp_path, name) == tmp_path / name


@pytest.mark.parametrize(
    "name", ["../a.png", "a/../../b.png", "/etc/a.png", "a/..", "..", "", ".", "a\0.png"]
)
def test_names_that_lead_out_of_their_folder_are_refused(tmp_path, name):
    with pytest.raises(InputError, match="leads out of"):
        inside(tmp_path, name)


def test_a_name_may_be_as_long_as_a_name_can_be(tmp_path):
    write_atomically(tmp_path / ("x" * 255), lambda file: file.write(b"whole"))
    assert [len(path.name) for path in tmp_path.iterdir()] == [255]
    with pytest.raises(SaveError, match=r"File name too long.*; give it a shorter name"):
        write_atomically(tmp_path / ("x" * 256), lambda file: file.write(b"whole"))


def test_a_full_disk_leaves_the_old_file(tmp_path):
    def full(file):
        file.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "a"
    write_atomically(path, lambda file: file.write(b"old"))
    with pytest.raises(SaveError, match=r"a: could not be written .*; free some space") as refusal:
        write_atomically(path, full)
    assert refusal.value.full
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
    assert path.read_bytes() == b"old"


def test_what_pillow_and_numpy_could_not_write_is_said_as_it_was(tmp_path):
    image = Image.effect_noise((200, 200), 80)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        for name, form in (("a.png", "PNG"), ("a.jpg", "JPEG")):
            with pytest.raises(SaveError, match=r"could not be written \(File too large\); free some space"):
                write_atomically(tmp_path / name, lambda file, form=form: image.save(file, form))
        with pytest.raises(SaveError, match="File too large"):
            write_atomically(tmp_path / "a.npy", lambda file: np.save(file, np.zeros(1000)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_a_file_is_said(tmp_path):
    Path(tmp_path / "file").touch()
    with pytest.raises(SaveError, match="choose another folder"):
        write_atomically(tmp_path / "file/a", lambda file: file.write(b""))


@pytest.mark.parametrize(
    "path",
    [
        "runs/a.ckpt",
        "my runs (1)/a.ckpt",
        "ünï",
        "a=b",
        "a,b",
        "a[1]",
        "a$b!",
        "it's",
        'a"b',
        r"a\b",
        "a\\",
        r"a\'b",
    ],
)
def test_a_printed_argument_comes_through_the_shell_and_hydra(path):
    printed = as_argument("ckpt", path)
    assert printed.startswith("ckpt=")
    (argument,) = shlex.split(printed)
    assert OverridesParser.create().parse_override(argument).value() == path


@pytest.mark.parametrize(
    "path",
    [
        "a (1)",
        "ünï",
        "数据集",
        "a=b",
        "a[1]",
        "a&b",
        "a#1",
        "a!b",
        "a;b",
        "it's",
        r"^[^_]+_f?(\d\d)",
        "a b\\",
    ],
)
def test_paths_need_no_quotes_where_hydra_has_another_grammar(path):
    assert OverridesParser.create().parse_override(quote_values([f"data.root={path}"])[0]).value() == path


def test_blanks_at_the_ends_of_a_folder_that_exists_stay(tmp_path):
    for path in (f"{tmp_path}/d ", f"{tmp_path}/e\t"):
        Path(path).mkdir()
        assert OverridesParser.create().parse_override(quote_values([f"data.root={path}"])[0]).value() == path
    assert quote_values(["max_steps=100 "]) == ["max_steps=100 "]


@pytest.mark.parametrize(
    ("given", "value"),
    [
        ("[road,Straße]", ["road", "Straße"]),
        ("[road (wet), 'a,b',it's]", ["road (wet)", "a,b", "it's"]),
        ("[runs/a=1,~/b]", ["runs/a=1", "~/b"]),
        ("[[ü,1],[2,b]]", [["ü", 1], [2, "b"]]),
        ("{A:[r/ü],B:c=1}", {"A": ["r/ü"], "B": "c=1"}),
    ],
)
def test_names_in_lists_need_no_quotes_either(given, value):
    (argument,) = quote_values([f"x={given}"])
    assert OverridesParser.create().parse_override(argument).value() == value


@pytest.mark.parametrize(
    ("given", "value"),
    [
        ("data.root=2024_01", "2024_01"),
        ("++data.root=1e3", "1e3"),
        ("ckpt=7", "7"),
        ("hydra.run.dir=2024_01", "2024_01"),
        ("data=2024", "2024"),
        ("model=true", "true"),
        ("model/backbone=50", "50"),
        ("loss=[dice,1]", ["dice", "1"]),
        ("crf=true", True),
        ("ckpt=[7,run_1,0.5]", ["7", "run_1", "0.5"]),
        ("ckpt={A:[1,2],B:3}", {"A": ["1", "2"], "B": "3"}),
        ("data.class_names=[2020,x 1]", ["2020", "x 1"]),
        ("sha256=12345678", "12345678"),
        ("resume=null", None),
        ("max_steps=2_000", 2000),
        ("size=[64,64]", [64, 64]),
    ],
)
def test_numbers_are_names_where_a_key_takes_a_text(given, value):
    (argument,) = quote_values([given])
    assert OverridesParser.create().parse_override(argument).value() == value


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("'my photos'", "my photos"),
        ('"1e3"', "1e3"),
        ("['a','b']", "['a','b']"),
        ("'a','b'", "'a','b'"),
        ("x", "x"),
    ],
)
def test_tables_show_a_value_without_hydras_quotes(value, shown):
    assert without_quotes(value) == shown


def test_paths_of_a_sweep_are_quoted_each():
    assert quote_values(["-m", "data.root=dü,d"]) == ["-m", "data.root='dü',d"]
    assert quote_values(["-m", "x=dü,'d,1',d=2"]) == ["-m", "x='dü','d,1','d=2'"]
    assert quote_values(["data.root=dü,d"]) == ["data.root='dü,d'"]
    assert quote_values(["-m", "x=[ü],[b]"]) == ["-m", "x=['ü'],[b]"]
    assert quote_values(["-m", "data.root=2023,2024_1"]) == ["-m", "data.root='2023','2024_1'"]
    assert quote_values(["-m", "ckpt=choice(1,2)"]) == ["-m", "ckpt=choice(1,2)"]


def test_names_that_are_not_utf_8_are_refused(tmp_path):
    check_name("Straße 数.png")
    with pytest.raises(InputError, match=r"photos/p\\xdf\.png: not UTF-8; rename it"):
        check_name(os.fsdecode(b"p\xdf.png"), "photos")
    (tmp_path / os.fsdecode(b"p\xdf.png")).touch()
    with pytest.raises(InputError, match="not UTF-8"):
        list(image_files(tmp_path))
    with pytest.raises(InputError, match="not UTF-8"):
        visible(tmp_path, "*")


def test_a_folder_that_is_gone_by_now_is_named(tmp_path):
    with pytest.raises(InputError, match="gone: cannot be listed"):
        list(image_files(tmp_path / "gone"))


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.yaml")
    path = tmp_path / "a.yaml"
    for read in (read_list, read_json, lambda p: read_yaml(p, "classes"), lambda p: read_boxes(str(p))):
        with pytest.raises(InputError, match=r"a\.yaml: cannot be read .*not a regular file"):
            read(path)
    with pytest.raises(InputError, match="not a regular file"):
        adopt_data_files([f"data={path}"])


@pytest.mark.parametrize(
    "argument", ["seed=1,2", "loss=[a,b]", "crf=true", "data.label_map={0:1}", "+x='a b'", "-m"]
)
def test_what_hydra_understands_stays(argument):
    assert quote_values([argument]) == [argument]


def test_a_path_with_the_home_folder_is_refused_where_that_is_not_known(homeless, monkeypatch):
    with pytest.raises(InputError, match=r"^~/a: the folder that ~ stands for is not known; set HOME, or"):
        user_path("~/a")
    with pytest.raises(InputError, match=r"^~nobody-here/a: .* ~nobody-here stands .*; write the path"):
        user_path("~nobody-here/a")
    monkeypatch.setenv("HOME", "/home/me")
    assert user_path("~/a") == Path("/home/me/a")


def test_the_cache_says_what_to_set_where_no_home_is_known(homeless, monkeypatch, tmp_path):
    with pytest.raises(InputError, match="no HOME is set; set XDG_CACHE_HOME to a folder"):
        cache_folder()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "segtrain"
