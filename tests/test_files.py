"""Files are whole or not there, and lie below their folder."""

import errno
import resource
import shlex
from pathlib import Path

import numpy as np
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from PIL import Image

from segtrain.config.overrides import quote_value
from segtrain.errors import InputError, SaveError
from segtrain.files import as_argument, cache_folder, inside, user_path, write_atomically


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
    assert OverridesParser.create().parse_override(quote_value(f"data.root={path}")).value() == path


@pytest.mark.parametrize(
    "argument", ["seed=1,2", "loss=[a,b]", "crf=true", "data.label_map={0:1}", "+x='a b'", "-m"]
)
def test_what_hydra_understands_stays(argument):
    assert quote_value(argument) == argument


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
