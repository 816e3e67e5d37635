"""Zoos: models by name, here and on a server, and what is refused of them."""

import hashlib

import pytest
import yaml

from segtrain.commands.fetch import fetched
from segtrain.commands.zoo import BUILT_IN, read_zoo, without_directories
from segtrain.errors import InputError
from tests.hub_server import hub

CONTENT = b"a checkpoint"
ENTRY = {"file": "nets/a.safetensors", "sha256": hashlib.sha256(CONTENT).hexdigest()}


@pytest.fixture
def zoo(tmp_path, monkeypatch):
    """Writes a zoo with a file beside it: `zoo({"a": entry})`."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def write(models):
        (tmp_path / "nets").mkdir(exist_ok=True)
        (tmp_path / "nets/a.safetensors").write_bytes(CONTENT)
        (tmp_path / "zoo.yaml").write_text(models if isinstance(models, str) else yaml.safe_dump(models))
        monkeypatch.setenv("SEGTRAIN_ZOO", str(tmp_path / "zoo.yaml"))

    return write


def test_a_model_lies_beside_its_zoo(zoo, tmp_path):
    zoo({"a": ENTRY})
    assert fetched("zoo:a") == tmp_path / "nets/a.safetensors"


def test_a_zoo_on_a_server_is_asked_once_there_is_network(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with hub() as (address, files):
        monkeypatch.setenv("SEGTRAIN_ZOO", f"{address}/lab/zoo/resolve/main/zoo.yaml")
        files["lab/zoo/zoo.yaml"] = yaml.safe_dump({"a": ENTRY}).encode()
        files["lab/zoo/nets/a.safetensors"] = CONTENT
        path = fetched("zoo:a")
        assert path.read_bytes() == CONTENT
        files["lab/zoo/zoo.yaml"] = yaml.safe_dump({"a": ENTRY | {"sha256": "0" * 64}}).encode()
        with pytest.raises(InputError, match=f"zoo:a of http.*must be {'0' * 64}, got {ENTRY['sha256']}"):
            fetched("zoo:a")
        files["lab/zoo/zoo.yaml"] = yaml.safe_dump({"a": ENTRY}).encode()
        fetched("zoo:a")
    assert fetched("zoo:a") == path  # the server is gone


def test_where_no_home_is_known_it_is_said_what_to_set(zoo, homeless, monkeypatch):
    for place in ("zoo.yaml", None):
        if place:
            monkeypatch.setenv("SEGTRAIN_ZOO", f"http://127.0.0.1:9/{place}")
        else:
            zoo({"a": ENTRY | {"file": "http://127.0.0.1:9/a.safetensors"}})
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
        with pytest.raises(InputError, match="no HOME is set; set XDG_CACHE_HOME"):
            fetched("zoo:a")


@pytest.mark.parametrize(
    ("models", "words"),
    [
        ({"b": ENTRY}, "zoo:a: no such model in .*zoo.yaml; there are b"),
        ({"a": ENTRY | {"sha256": "0" * 64}}, "zoo:a of .*the file's sha256 must be 0000"),
        ({"a": {"file": "nets/a.safetensors"}}, "zoo:a of .*its sha256 must be 64 digits.*got none"),
        ({"a": ENTRY | {"file": "../a"}}, "leads out of"),
        ({"a": ENTRY | {"file": ["x"]}}, "file must be a path or a URL"),
        ({"a": ENTRY | {"file": "nets/none"}}, "nets/none: cannot be read"),
        ({"a": 3}, "must hold names, each with file and sha256 below it"),
        ("- a", "must hold names"),
        ("a: [", "line 1 is no YAML|line 2 is no YAML"),
    ],
)
def test_what_is_wrong_with_a_zoo_is_said_in_a_line(zoo, models, words):
    zoo(models)
    with pytest.raises(InputError, match=words):
        fetched("zoo:a")


def test_our_own_zoo_promises_nothing(monkeypatch):
    monkeypatch.delenv("SEGTRAIN_ZOO", raising=False)
    assert read_zoo(str(BUILT_IN)) == {}
    with pytest.raises(InputError, match=r"zoo:a: no such model in .*there are none: SEGTRAIN_ZOO=FILE"):
        fetched("zoo:a")
    with pytest.raises(InputError, match=r"SEGTRAIN_ZOO=/none/zoo\.yaml: No such file or directory"):
        read_zoo("/none/zoo.yaml")


def test_the_command_of_an_entry_names_no_folder_of_this_machine():
    command = (
        "/usr/bin/segtrain data.root=/home/x/CamVid 'init_from=~/runs/a.ckpt' model/backbone=vgg16 a=../b"
    )
    kept = "segtrain data.root=CamVid 'init_from=a.ckpt' model/backbone=vgg16 a=b"
    assert without_directories(command) == kept
