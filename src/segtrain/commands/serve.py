"""What `segserve` does: a server that answers images with their predictions."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any

from segtrain.commands.build import build_crf, saved_input, task_of
from segtrain.commands.demo import ONLY_HERE, address_of, models_of, port_of
from segtrain.commands.prediction import image_reader
from segtrain.demo.opened import MEGA, read_bounded
from segtrain.distributed.signals import StopSignals
from segtrain.engine.checkpoint import Checkpoint
from segtrain.engine.device import choose
from segtrain.errors import InputError, how_to_install
from segtrain.serve.answers import Served
from segtrain.serve.app import Limits, build_app

# What files begin with, and the suffix that their reader is chosen by; Pillow knows all others itself.
BEGINNINGS = {b"II*\0": ".tif", b"MM\0*": ".tif", b"II+\0": ".tif", b"\x93NUM": ".npy", b"PK\x03\x04": ".npz"}


def run_server(configs: list[dict[str, Any]], saved: list[Checkpoint]) -> None:
    """Serves until Ctrl-C or SIGTERM; then the requests that are being worked on are answered.

    Args:
        configs: of the checkpoint, with the user's keys on top.
        saved: the checkpoint.

    Raises:
        InputError: several checkpoints, a package that is not installed, or the port is taken.
    """
    if len(saved) > 1:
        raise InputError(
            "segserve takes one checkpoint", do="start a server for each, with a port of its own"
        )
    try:
        import uvicorn
    except ImportError as error:
        raise InputError("the server needs the package uvicorn", do=how_to_install("serve")) from error
    config = configs[0]
    limits = Limits(
        round(config["max_megabytes"] * MEGA), config["concurrency"], config["queue"], config["timeout"]
    )
    about = {"classes": saved[0].meta["class_names"], "images": saved_input(saved[0]).words()}
    app = build_app(predictor(config, saved[0]), limits, about)
    host, port = config["host"], port_of(config)
    settings = uvicorn.Config(app, host=host, port=port, log_level="warning", timeout_keep_alive=5)
    server = uvicorn.Server(settings)
    serving = Thread(target=server.run, daemon=True)
    with StopSignals() as signals:
        serving.start()
        while serving.is_alive() and not server.started:
            time.sleep(0.05)
        if server.started:
            if host not in ONLY_HERE:
                print(f"host={host}: everybody who reaches this machine can send images", flush=True)
            print(f"{address_of(host, port)}/predict (Ctrl-C ends it)", flush=True)
        while serving.is_alive() and not signals.requested:
            time.sleep(0.1)
        started, server.should_exit = server.started, True
        serving.join()
    if not started:
        raise InputError(f"port={port} is taken on {host}", do="give another, or port=0")


def predictor(config: dict[str, Any], saved: Checkpoint) -> Callable[[bytes], Served]:
    """From the bytes of an image file to its prediction, after the CRF where it is on; raises InputError."""
    (model,) = models_of([config], [saved], choose(config["device"], str(config["precision"])))
    spec, crf = saved_input(saved), build_crf(config)
    read = image_reader(config["data"], spec)
    if crf is not None and task_of(config).multilabel:
        raise InputError("crf=true: the model gives a pixel several classes, the CRF one", do="leave it out")

    def predict(content: bytes) -> Served:
        with tempfile.TemporaryDirectory(prefix="segserve-") as folder:
            path = Path(folder, f"image{BEGINNINGS.get(content[:4], '')}")
            path.write_bytes(content)
            try:
                image = read_bounded(path, read, config["max_megapixels"])
            except InputError as error:  # a client need not know where
                raise InputError(str(error).replace(folder, "").replace("/image", "the upload", 1)) from None
        probabilities = model.predict(image)
        if crf is not None:
            probabilities = crf(spec.to_rgb(image), probabilities)
        return Served(model.image_labels(probabilities), model.class_names, model.palette)

    return predict
