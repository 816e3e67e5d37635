"""What `segdemo` does: a page on this machine that labels the images that are dropped on it."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np

from segtrain.commands.build import saved_input, task_of
from segtrain.commands.evaluate import build_predictor
from segtrain.commands.inputs import find_images
from segtrain.commands.paths import checkpoint_paths
from segtrain.commands.prediction import Classes, image_reader
from segtrain.config.compose import compose_config, plain
from segtrain.contracts import IGNORE_INDEX, Sample
from segtrain.crf import BILATERAL, GAUSSIAN, dense_crf
from segtrain.demo.opened import MEGA, DemoModel, analyse_image
from segtrain.demo.page import CSS, SYSTEM_FONTS, build_page, require_gradio
from segtrain.distributed.signals import StopSignals
from segtrain.engine.checkpoint import Checkpoint
from segtrain.engine.device import Compute, choose
from segtrain.errors import InputError

ONLY_HERE = ("127.0.0.1", "localhost", "::1")


def run_demo(configs: list[dict[str, Any]], saved: list[Checkpoint], folder: Path) -> None:
    """Serves the page until Ctrl-C or SIGTERM.

    Args:
        configs: of each checkpoint, with the user's keys on top; the scalars are the first one's.
        saved: the checkpoints.
        folder: of the run; nothing is written into it.

    Raises:
        InputError: Gradio is not installed, checkpoints for different images, or the port is taken.
    """
    config, compute = configs[0], choose(configs[0]["device"], str(configs[0]["precision"]))
    uploads = Path(tempfile.mkdtemp(prefix="segdemo-"))
    # Gradio reads these when it is imported; all that it writes goes below the temporary folder.
    os.environ |= {"GRADIO_TEMP_DIR": str(uploads), "GRADIO_ANALYTICS_ENABLED": "False"}
    try:
        require_gradio()
        models = models_of(configs, saved, compute)
        examples = find_images(Path(config["examples"]), folder) if config["examples"] else []
        page = build_page(
            models,
            analyser(configs, saved, models),
            uploads,
            crf=crf_of(config["dense_crf"]),
            examples=[path for _, path in examples],
        )
        Thread(target=prepare_crf, args=(models,), daemon=True).start()
        serve(page, config)
    finally:
        shutil.rmtree(uploads, ignore_errors=True)


def models_of(configs: list[dict[str, Any]], saved: list[Checkpoint], compute: Compute) -> list[DemoModel]:
    """Each checkpoint's model, with sliding windows for large images. Raises InputError."""
    paths = checkpoint_paths(configs[0]["ckpt"])
    names = [f"{i}: {name}" if len(paths) > 1 else name for i, name in enumerate(map(_name, paths), 1)]
    return [
        _model(name, config, checkpoint, compute)
        for name, config, checkpoint in zip(names, configs, saved, strict=True)
    ]


def _model(name: str, config: dict[str, Any], saved: Checkpoint, compute: Compute) -> DemoModel:
    whole, _ = build_predictor([config], [saved], compute)
    sliding = plain(compose_config("train", ["inference=sliding"]))["inference"]
    windows, _ = build_predictor([config | {"inference": sliding}], [saved], compute)
    spec, largest = saved_input(saved), config["whole_megapixels"] * MEGA

    def predict(image: np.ndarray) -> np.ndarray:
        mask = np.broadcast_to(np.uint8(IGNORE_INDEX), image.shape[:2])
        predictor = whole if mask.size <= largest else windows
        sample = Sample(image, mask, "the image").of(spec)
        probabilities = predictor([sample])[0].cpu().numpy()
        predictor.check([sample])
        return probabilities

    classes, task = Classes.of(saved), task_of(config)
    return DemoModel(name, predict, task.image_labels, classes.names, classes.palette, task.multilabel)


def _name(path: str) -> str:
    """A run's folder, of `outputs/MODEL_DATA/TIME/checkpoints/best.ckpt`."""
    parts = [part for part in Path(path).parts if part not in ("checkpoints", "best.ckpt", "outputs")]
    return "/".join(parts[-2:]) or path


def analyser(configs: list[dict[str, Any]], saved: list[Checkpoint], models: list[DemoModel]) -> Callable:
    """From a file to what all models say of it.

    Raises:
        InputError: the checkpoints take different images.
    """
    specs = [saved_input(checkpoint) for checkpoint in saved]
    if any((spec.channels, spec.dtype) != (specs[0].channels, specs[0].dtype) for spec in specs):
        found = " and ".join(spec.words() for spec in specs)
        raise InputError(f"ckpt: all must take images of one kind, got {found}", do="show them one by one")
    return partial(
        analyse_image,
        read=image_reader(configs[0]["data"], specs[0]),
        to_rgb=specs[0].to_rgb,
        models=models,
        max_megapixels=configs[0]["max_megapixels"],
    )


def prepare_crf(models: list[DemoModel]) -> None:
    """Compiles the CRF while nobody waits for it."""
    for classes in {len(model.class_names) for model in models if not model.multilabel}:
        dense_crf(np.zeros((4, 4, 3), np.uint8), np.full((classes, 4, 4), 1 / classes, np.float32))


def crf_of(node: dict[str, Any]) -> dict[str, Any]:
    """Where the sliders of the CRF begin: the checkpoint's parameters, the defaults where it has several
    kernels or none."""
    kernels = {
        name: given if isinstance(given, dict) and _is_one(given) else default
        for name, given, default in (
            ("gaussian", node.get("gaussian"), GAUSSIAN),
            ("bilateral", node.get("bilateral"), BILATERAL),
        )
    }
    return {"iterations": node.get("iterations", 10), **kernels}


def _is_one(kernel: dict[str, Any]) -> bool:
    """Whether every number of a kernel is one that a slider can show."""
    return all(isinstance(value, int | float | str) for value in kernel.values())


def serve(page: Any, config: dict[str, Any]) -> None:
    """Serves a page until a signal comes. Raises InputError where the port is taken."""
    gr = require_gradio()
    port = port_of(config)
    theme = gr.themes.Default(font=SYSTEM_FONTS[0], font_mono=SYSTEM_FONTS[1])
    try:
        page.launch(
            server_name=config["host"],
            server_port=port,
            inbrowser=config["open"],
            prevent_thread_lock=True,
            share=False,
            quiet=True,
            show_error=True,
            max_file_size=f"{config['max_megabytes']}mb",
            footer_links=[],
            ssr_mode=False,
            theme=theme,
            css=CSS,
        )
    except OSError as error:
        raise InputError(f"port={port} is taken on {config['host']}", do="give another, or port=0") from error
    if config["host"] not in ONLY_HERE:
        print(f"host={config['host']}: everybody who reaches this machine can open the page", flush=True)
    print(f"{address_of(config['host'], port)} (Ctrl-C ends it)", flush=True)
    with StopSignals() as signals:
        while not signals.requested:
            time.sleep(0.2)
    page.close(verbose=False)


def address_of(host: str, port: int) -> str:
    """`http://HOST:PORT`, with an IPv6 host in brackets."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def port_of(config: Mapping[str, Any]) -> int:
    """The port that a server takes: the config's, or one that nobody listens on where that is 0.

    Raises:
        InputError: this machine has no such host, or somebody listens on the port.
    """
    host, port = config["host"], config["port"]
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.create_server((host, port), family=family) as one:
            return one.getsockname()[1]
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise InputError(f"port={port} is taken on {host}", do="give another, or port=0") from error
        why = str(error.strerror).partition(" (while")[0]
        what = f"host={host} port={port}: nothing can listen there ({why})"
        raise InputError(what, do="host=127.0.0.1 is this machine alone, host=0.0.0.0 everybody") from error
