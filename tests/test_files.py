"""Files are whole or not there, and lie below their folder."""

import errno
from pathlib import Path

import pytest

from segtrain.errors import InputError, SaveError
from segtrain.files import inside, write_atomically


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


def test_a_folder_that_is_a_file_is_said(tmp_path):
    Path(tmp_path / "file").touch()
    with pytest.raises(SaveError, match="choose another folder"):
        write_atomically(tmp_path / "file/a", lambda file: file.write(b""))
