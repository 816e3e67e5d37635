"""The server: answers, limits, malformed uploads, and many requests at once."""

import asyncio
import io
import json
import threading
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from segtrain.errors import InputError
from segtrain.serve.answers import Served, run_lengths
from segtrain.serve.app import Limits, Worker, build_app

pytest.importorskip("fastapi")
coco_tool = pytest.importorskip("pycocotools.mask")
httpx = pytest.importorskip("httpx")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
NAMES, PALETTE = ("ground", "cat", "dog"), ((0, 0, 0), (255, 0, 0), (0, 0, 255))
NONE = Limits()  # but the usual ones
LABELS = np.zeros((20, 30), np.uint8)
LABELS[2:12, 3:20], LABELS[5:8, 6:10], LABELS[15:18, 22:25] = 1, 0, 2


def predict(content: bytes) -> Served:
    if content == b"broken":
        raise InputError("the upload: cannot be read", do="send an image")
    return Served(LABELS, NAMES, PALETTE)


@pytest.fixture
def client():
    """Makes a client of an app in this process: `client(Limits(queue=1), predict)`."""
    from starlette.testclient import TestClient

    opened = []

    def make(limits=NONE, function=predict):
        opened.append(TestClient(build_app(function, limits, {"classes": list(NAMES)})).__enter__())
        return opened[-1]

    yield make
    for one in opened:
        one.__exit__(None, None, None)


def test_a_png_of_class_indices_with_the_palette(client):
    answer = client().post("/predict", content=b"x")
    assert answer.headers["content-type"] == "image/png"
    image = Image.open(io.BytesIO(answer.content))
    assert (np.asarray(image) == LABELS).all()
    assert image.getpalette()[:9] == [0, 0, 0, 255, 0, 0, 0, 0, 255]


def test_run_lengths_are_cocos(client):
    found = client().post("/predict?format=rle", content=b"x").json()
    assert [one["name"] for one in found["masks"]] == list(NAMES)
    for i, one in enumerate(found["masks"]):
        runs = coco_tool.frPyObjects({"size": found["size"], "counts": one["counts"]}, *found["size"])
        assert (coco_tool.decode(runs) == (i == LABELS)).all()
    assert run_lengths(np.ones((2, 2), bool)) == [0, 4]


def test_polygons_have_what_is_cut_out_of_them(client):
    answer = client().post("/predict?format=geojson", content=b"x")
    assert answer.headers["content-type"] == "application/geo+json"
    by_name = {one["properties"]["name"]: one["geometry"]["coordinates"] for one in answer.json()["features"]}
    assert [len(polygon) for polygon in by_name["cat"]] == [2]
    assert by_name["dog"][0][0][0] == by_name["dog"][0][0][-1] == [22, 15]
    shares = client().post("/predict?format=shares", content=b"x").json()
    assert shares["classes"][2]["share"] == (LABELS == 2).mean()


def test_what_is_malformed_is_answered_with_4xx_in_words(client):
    small = client(Limits(max_bytes=1000))
    cases = [
        ({"content": b"broken"}, "", 422, "cannot be read"),
        ({"content": b""}, "", 422, "the body is empty"),
        ({"content": b"x"}, "?format=tiff", 422, "there are png, rle, geojson, shares"),
        ({"content": b"x" * 1001}, "", 413, "at most 1000 bytes"),
        ({"content": iter([b"x" * 600] * 3)}, "", 413, "at most 1000 bytes"),  # no length is said
    ]
    for body, query, code, words in cases:
        answer = small.post(f"/predict{query}", **body)
        assert answer.status_code == code
        assert words in json.dumps(answer.json())
    assert small.get("/predict").status_code == 405
    assert 'segtrain_answers_total{code="413"} 2' in small.get("/metrics").text


def test_a_queue_has_an_end_and_nothing_is_lost(client):
    going = threading.Event()

    def slow(content):
        assert going.wait(20)
        return predict(content)

    one = client(Limits(concurrency=1, queue=3), slow)
    with ThreadPoolExecutor(12) as threads:
        sent = [threads.submit(one.post, "/predict", content=b"x") for _ in range(12)]
        while sum(each.done() for each in sent) < 8:  # those that find the queue full
            threading.Event().wait(0.01)
        assert one.get("/health").json()["waiting"] == 4
        going.set()
        codes = sorted(each.result().status_code for each in sent)
    assert codes == [200] * 4 + [503] * 8
    assert one.get("/health").json() == {"status": "ok", "waiting": 0, "classes": list(NAMES)}


def test_a_prediction_that_takes_too_long_is_given_up_and_counted_until_it_ends(client):
    going = threading.Event()
    one = client(Limits(timeout=0.05), lambda content: going.wait(20) and predict(content))
    assert one.post("/predict", content=b"x").status_code == 504
    assert one.get("/health").json()["waiting"] == 1
    going.set()
    while one.get("/health").json()["waiting"]:
        pass


def test_the_interface_is_described_and_asks_no_other_server(client):
    one = client()
    assert "/predict" in one.get("/openapi.json").json()["paths"]
    assert one.get("/docs").status_code == 404


def test_a_prediction_that_is_done_at_once_is_no_longer_in_work():
    class AtOnce:
        def submit(self, function, content):
            future = Future()
            future.set_result(function(content))
            return future

    async def ask():
        for _ in range(3):
            await worker(b"x")
        await asyncio.sleep(0)
        return worker.waiting

    worker = Worker(predict, NONE)
    worker.threads.shutdown()
    worker.threads = AtOnce()
    assert asyncio.run(ask()) == 0
