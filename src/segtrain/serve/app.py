"""The server: an image comes in, its prediction goes out, and nothing that comes in makes it grow."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from segtrain.errors import InputError, how_to_install
from segtrain.serve.answers import ANSWERS, Served
from segtrain.version import __version__

KINDS = {"png": "image/png", "rle": "application/json", "geojson": "application/geo+json"}


class Limits(NamedTuple):
    """max_bytes: of an upload. concurrency: predictions at once. queue: requests that wait for one.
    timeout: seconds for an upload, and for a prediction."""

    max_bytes: int = 50_000_000
    concurrency: int = 1
    queue: int = 16
    timeout: float = 60.0


def require_fastapi() -> Any:
    """FastAPI. Raises InputError where it is not installed."""
    try:
        import fastapi
    except ImportError as error:
        raise InputError("the server needs the package fastapi", do=how_to_install("serve")) from error
    return fastapi


class Refused(Exception):
    """A request that is not answered. code: of HTTP; error: in words; do: what helps."""

    def __init__(self, code: int, error: str, do: str):
        super().__init__(error)
        self.code, self.error, self.do = code, error, do


class Worker:
    """Predicts in threads, so many at once, with a queue that has an end.

    Args:
        predict: from the bytes of a file to what the network says; raises InputError.
        limits: of the server.

    Attributes:
        counts: answers by their code. seconds: of all predictions. waiting: requests now.
    """

    def __init__(self, predict: Callable[[bytes], Served], limits: Limits):
        self.predict, self.limits = predict, limits
        self.threads = ThreadPoolExecutor(limits.concurrency, "predict")
        self.counts: Counter[int] = Counter()
        self.seconds, self.waiting = 0.0, 0

    async def __call__(self, content: bytes) -> Served:
        """What the network says of a file. Raises Refused."""
        if self.waiting >= self.limits.concurrency + self.limits.queue:
            raise Refused(
                503, f"{self.waiting} requests are being worked on or wait", "try again in a second"
            )
        self.waiting += 1
        loop = asyncio.get_running_loop()  # first: a prediction may be done before its callback is added
        future = self.threads.submit(self._timed, content)
        future.add_done_callback(lambda _: loop.call_soon_threadsafe(self._done))
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), self.limits.timeout)
        except asyncio.TimeoutError:
            raise Refused(504, "the prediction took too long", "send a smaller image") from None
        except InputError as error:
            raise Refused(422, str(error), "send an image of the kind that the model takes") from None

    def _timed(self, content: bytes) -> Served:
        start = time.perf_counter()
        try:
            return self.predict(content)
        finally:
            self.seconds += time.perf_counter() - start

    def _done(self) -> None:
        self.waiting -= 1

    def metrics(self) -> str:
        """What Prometheus reads."""
        lines = [
            f'segtrain_answers_total{{code="{code}"}} {count}' for code, count in sorted(self.counts.items())
        ]
        lines.append(f"segtrain_prediction_seconds_total {self.seconds:.6f}")
        lines.append(f"segtrain_requests_in_work {self.waiting}")
        return "\n".join(lines) + "\n"


def build_app(predict: Callable[[bytes], Served], limits: Limits, about: dict[str, Any]) -> Any:
    """Builds the server's application.

    Args:
        predict: from the bytes of a file to what the network says; raises InputError.
        limits: that hold for every request.
        about: of the model, what GET /health says.

    Returns:
        A FastAPI application with POST /predict, GET /health, GET /metrics and GET /openapi.json.

    Raises:
        InputError: FastAPI is not installed.

    Example:
        >>> build_app(predict, Limits(queue=4), {"classes": ["background", "cat"]})
    """
    fastapi = require_fastapi()
    worker = Worker(predict, limits)
    app = fastapi.FastAPI(title="segtrain", version=__version__, docs_url=None, redoc_url=None)
    app.state.worker = worker

    @app.middleware("http")
    async def count(request: Any, following: Callable[[Any], Awaitable[Any]]) -> Any:
        response = await following(request)
        if request.url.path == "/predict":
            worker.counts[response.status_code] += 1
        return response

    async def answer(request: Any, format: str = "png") -> Any:
        """Predicts the image in the request's body: `curl --data-binary @image.png`. format: png (palette,
        class indices), rle (COCO's run lengths), geojson (polygons in pixels) or shares (of each class)."""
        try:
            if format not in ANSWERS:
                raise Refused(422, f"format={format}: no such format", f"there are {', '.join(ANSWERS)}")
            content = await _body(request, limits)
            made = await asyncio.to_thread(ANSWERS[format], await worker(content))
        except Refused as refused:
            headers = {"Retry-After": "1"} if refused.code == 503 else None
            said = {"error": refused.error, "do": refused.do}
            return fastapi.responses.JSONResponse(said, refused.code, headers)
        return fastapi.responses.Response(made.content, media_type=made.kind)

    answer.__annotations__["request"] = fastapi.Request  # FastAPI is imported here alone
    app.post("/predict", responses={200: {"content": {kind: {} for kind in KINDS.values()}}})(answer)
    app.get("/health")(lambda: {"status": "ok", "waiting": worker.waiting} | about)
    app.get("/metrics")(lambda: fastapi.responses.PlainTextResponse(worker.metrics()))
    return app


async def _body(request: Any, limits: Limits) -> bytes:
    """The upload, read no further than allowed. Raises Refused."""
    too_large = Refused(413, f"an upload must have at most {limits.max_bytes} bytes", "send a smaller image")
    if int(request.headers.get("content-length") or 0) > limits.max_bytes:
        raise too_large

    async def read() -> bytes:
        content = bytearray()
        async for part in request.stream():
            content += part
            if len(content) > limits.max_bytes:
                raise too_large
        return bytes(content)

    try:
        content = await asyncio.wait_for(read(), limits.timeout)
    except asyncio.TimeoutError:
        raise Refused(408, "the upload took too long", "try again") from None
    if not content:
        raise Refused(422, "the body is empty", "send an image: curl --data-binary @image.png")
    return content
