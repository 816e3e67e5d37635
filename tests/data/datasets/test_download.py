"""Downloads of archives that lie, break off or cover out of their folder, from a server of this machine."""

import tarfile
from functools import partial
from hashlib import md5
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from threading import Thread

import pytest
from torchvision.datasets import SBDataset
from torchvision.datasets.voc import DATASET_YEAR_DICT

from segtrain.data.datasets.voc import VOC
from segtrain.data.datasets.voc_aug import VOCAug
from segtrain.errors import InputError

LISTS = "VOCdevkit/VOC2012/ImageSets/Segmentation"


def tar(path: Path, *extra: tarfile.TarInfo) -> Path:
    """A small VOC as its archive, with further members."""
    with tarfile.open(path, "w") as archive:
        for name in (f"{LISTS}/train.txt", f"{LISTS}/val.txt", "VOCdevkit/VOC2012/JPEGImages/a.jpg"):
            member = tarfile.TarInfo(name)
            member.size = 2
            archive.addfile(member, BytesIO(b"a\n"))
        for member in extra:
            archive.addfile(member, BytesIO(bytes(member.size)))
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, 3 if kind == tarfile.REGTYPE else 0
    return info


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def served(tmp_path, monkeypatch):
    """The address of the test's folder, on a server of this machine."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path))) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def source(served, monkeypatch):
    """Says which archive is VOC 2012's, and with which md5."""

    def set_archive(path: Path, checksum: str | None = None) -> None:
        checksum = checksum or md5(path.read_bytes()).hexdigest()
        address = {"url": f"{served}/{path.name}", "md5": checksum}
        monkeypatch.setitem(DATASET_YEAR_DICT, "2012", DATASET_YEAR_DICT["2012"] | address)

    return set_archive


def test_an_archive_whose_md5_is_right_is_unpacked(tmp_path, source):
    source(tar(tmp_path / "voc.tar"))
    voc = VOC(root=str(tmp_path / "new"), download=True)
    assert voc.ids("train") == ["a"]
    assert (voc.root / "JPEGImages" / "a.jpg").is_file()


def test_an_archive_with_another_md5_is_not_unpacked(tmp_path, source):
    source(tar(tmp_path / "voc.tar"), "0" * 32)
    with pytest.raises(InputError, match=r"^data\.download: VOC 2012 .*corrupted"):
        VOC(root=str(tmp_path / "new"), download=True)
    assert not (tmp_path / "new" / "VOCdevkit").exists()


@pytest.mark.parametrize(
    "escape",
    [
        [member("../escaped")],
        [member("VOCdevkit/../../escaped")],
        [member("link", tarfile.SYMTYPE, ".."), member("link/escaped")],
        [member("link", tarfile.SYMTYPE, "/"), member("x")],
        [member("VOCdevkit/hard", tarfile.LNKTYPE, "../outside")],
        [member("pipe", tarfile.FIFOTYPE)],
        [member("device", tarfile.CHRTYPE)],
    ],
    ids=["above", "above from below", "link up", "link to the root", "hard link", "pipe", "device"],
)
def test_an_archive_that_reaches_out_of_its_folder_is_refused(tmp_path, source, escape):
    (tmp_path / "outside").write_text("kept")
    source(tar(tmp_path / "voc.tar", *escape))
    with pytest.raises(InputError, match=r"^data\.download: VOC 2012 did not get into"):
        VOC(root=str(tmp_path / "new"), download=True)
    assert not (tmp_path / "escaped").exists()
    assert (tmp_path / "outside").read_text() == "kept"
    assert {path.name for path in tmp_path.iterdir()} == {"outside", "voc.tar", "new"}


def test_an_absolute_name_lands_inside_the_folder(tmp_path, source):
    source(tar(tmp_path / "voc.tar", member(f"{tmp_path}/escaped")))
    VOC(root=str(tmp_path / "new"), download=True)
    assert not (tmp_path / "escaped").exists()


def test_an_archive_that_breaks_off_is_refused(tmp_path, source):
    whole = tar(tmp_path / "voc.tar").read_bytes()
    (tmp_path / "voc.tar").write_bytes(whole[:600])
    source(tmp_path / "voc.tar")
    with pytest.raises(InputError, match=r"^data\.download: VOC 2012 did not get into"):
        VOC(root=str(tmp_path / "new"), download=True)


def test_an_address_that_does_not_answer_ends_in_a_line(tmp_path, served, source, monkeypatch, run):
    source(tmp_path / "nothing.tar", "0" * 32)
    outcome = run("segtrain", "data=voc", f"data.root={tmp_path / 'new'}", "data.download=true")
    assert outcome.code == 2
    assert "data.download: VOC 2012 did not get into" in outcome.err
    assert "Traceback" not in outcome.err
    (tmp_path / "VOC2012" / "JPEGImages").mkdir(parents=True)
    monkeypatch.setattr(SBDataset, "url", f"{served}/nothing.tgz")
    with pytest.raises(InputError, match=r"^data\.download: SBD did not get into"):
        VOCAug(root=str(tmp_path), download=True)
