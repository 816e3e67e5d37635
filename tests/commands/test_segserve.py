"""segserve as a command: a real server on this machine, from its address to its end."""

import io
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request

import numpy as np
import pytest
from PIL import Image

import segtrain
from segtrain.commands.demo import address_of, port_of
from segtrain.errors import InputError
from tests.conftest import FAST

pytest.importorskip("uvicorn")


def post(address: str, content: bytes) -> bytes:
    with urllib.request.urlopen(urllib.request.Request(address, content), timeout=60) as answer:
        return answer.read()


@pytest.mark.parametrize(
    ("host", "port", "says"),
    [
        ("127.0.0.1", "taken", r"port=\d+ is taken on 127\.0\.0\.1; give another"),
        (
            "no.host.here.invalid",
            0,
            r"host=no\.host\.here\.invalid port=0: nothing can listen there \(.+\); host=",
        ),
        ("192.0.2.1", 0, r"host=192\.0\.2\.1 port=0: nothing can listen there \(.*assign"),
    ],
)
def test_a_host_or_port_that_cannot_be_had_is_named(host, port, says):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1] if port == "taken" else port
        with pytest.raises(InputError, match=says):
            port_of({"host": host, "port": port})
    assert port_of({"host": "127.0.0.1", "port": 0}) > 0
    assert address_of("::1", 80) == "http://[::1]:80"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("concurrency=0", "concurrency=0; give at least 1"),
        ("timeout=0", "timeout=0; give a number above 0, such as 60"),
        ("port=65536", "port=65536; give at most 65535"),
        ("max_megapixels=-1", "max_megapixels=-1; give a number above 0, such as 12"),
    ],
)
def test_numbers_out_of_their_range_are_refused(run, tiny, given, says):
    done = run("segserve", f"ckpt={tiny().folder}", given)
    assert (done.code, says in done.err) == (2, True), done.err


def test_an_image_is_answered_as_segpredict_would_and_a_bomb_is_refused(run, tmp_path):
    tiny = ["data.size=32", "data.train_images=4", "data.val_images=2", "width=0.0625", *FAST]
    trained = run("segtrain", "model=unet", *tiny)
    assert trained.code == 0, trained.err
    pixels = np.random.default_rng(0).integers(0, 256, (40, 56, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    options = [f"ckpt={trained.folder}", "port=0", "max_megapixels=0.01", "device=cpu", "precision=32"]
    command = [sys.executable, "-m", "segtrain", "serve", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        address = re.search(r"http://\S+", process.stdout.readline())[0]
        labels = np.asarray(Image.open(io.BytesIO(post(address, file.getvalue()))))
        assert (labels == segtrain.predict(trained.folder, pixels).labels).all()
        large = io.BytesIO()
        Image.new("RGB", (3000, 3000)).save(large, "PNG")
        with pytest.raises(urllib.error.HTTPError) as refused:
            post(address, large.getvalue())
        assert refused.value.code == 422
        assert "at most 0.01 megapixels, got 3000×3000" in refused.value.read().decode()
        refused.value.close()
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    assert not list(tmp_path.glob("outputs/serve/*"))
