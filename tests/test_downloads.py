"""Downloads: only what has the right sha256 gets into the cache, and what goes wrong is said in a line."""

import hashlib

import pytest

from segtrain import downloads
from segtrain.downloads import check_file, check_sha256, download
from segtrain.errors import InputError
from segtrain.files import cache_folder
from tests.hub_server import hub

CONTENT = b"tensors" * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def served(tmp_path, monkeypatch):
    """The URL of a file on a server of this machine, and what it has."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with hub() as (address, files):
        files["a/b/net.pth"] = CONTENT
        yield f"{address}/a/b/resolve/main/net.pth", files


def test_a_file_is_downloaded_once_and_a_damaged_one_again(served):
    url, files = served
    path = download(url, SHA256[:8], asked="weights=URL")
    assert (path.name, path.read_bytes()) == ("net.pth", CONTENT)
    assert path.is_relative_to(cache_folder())
    path.write_bytes(b"damaged")
    assert download(url, SHA256[:8], asked="").read_bytes() == CONTENT
    files.clear()
    assert download(url, SHA256[:8], asked="") == path


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda files: files.update({"a/b/net.pth": b"another"}), f"sha256 must be {SHA256}, got .*not read"),
        (lambda files: files.clear(), "the server says 404 Not Found; look at the address"),
        (lambda files: files.update({"a/b/net.pth": b"x" * 20_000}), "at most 0.01 MB, got 0.02 MB"),
    ],
)
def test_nothing_is_left_of_what_is_refused(served, change, words):
    url, files = served
    change(files)
    with pytest.raises(InputError, match=f"^zoo:x: .*{words}"):
        download(url, SHA256, asked="zoo:x", most=10_000)
    assert not list(cache_folder().rglob("*.p*"))


def test_where_there_is_no_network_it_is_said_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(InputError, match=r"refused\); where there is a network, get it and give its path"):
        download("http://127.0.0.1:9/net.pth", SHA256, asked="weights=URL")


def test_a_file_that_ends_early_is_cut_short(served, monkeypatch):
    class Short:
        length = 10

        def read(self, _, blocks=[b"abc", b""]):  # noqa: B006
            return blocks.pop(0)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

    monkeypatch.setattr(downloads, "urlopen", lambda *_, **__: Short())
    with pytest.raises(InputError, match="cut short after 3 of 10 bytes; try again"):
        download(served[0], SHA256, asked="weights=URL")


def test_a_sha256_is_64_digits_or_as_many_as_are_enough(tmp_path):
    assert check_sha256(SHA256.upper(), "") == SHA256
    assert check_sha256("1167a1af", "", 8) == "1167a1af"
    for wrong in (None, "1167a1af", "g" * 64):
        with pytest.raises(InputError, match="x: its sha256 must be 64 digits, 0 to 9 and a to f, got"):
            check_sha256(wrong, "x")
    (tmp_path / "a").write_bytes(CONTENT)
    assert check_file(tmp_path / "a", SHA256, "") == tmp_path / "a"
    with pytest.raises(InputError, match="sha256 must be 00"):
        check_file(tmp_path / "a", "00", "")
