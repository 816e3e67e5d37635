"""`segexplain ckpt=...`: what a trained network does with an image."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from segtrain.commands.build import build_data, restore_model, saved_input, task_of
from segtrain.commands.explain.crf_sections import crf_sections
from segtrain.commands.explain.features import feature_sections
from segtrain.commands.explain.network import Asked, as_batch, explain_network
from segtrain.commands.explain.scene import Exhibit
from segtrain.commands.explain.skips import fcn_sections, unet_sections
from segtrain.commands.explain.streams import stream_sections
from segtrain.commands.explain.switches import switch_sections
from segtrain.commands.explain.undilated import undilated_sections
from segtrain.commands.prediction import image_reader
from segtrain.engine import device
from segtrain.engine.checkpoint import Checkpoint
from segtrain.errors import InputError
from segtrain.files import user_path
from segtrain.reports.sections import Section, legend

SECTIONS: tuple[Callable[[Exhibit], list[Section]], ...] = (
    fcn_sections,
    unet_sections,
    switch_sections,
    stream_sections,
    undilated_sections,
    crf_sections,
    feature_sections,
)
LARGEST = 1024  # pixels of the longer side: larger images make large pages


def explain_checkpoint(config: dict[str, Any], saved: Checkpoint, name: str, folder: Path) -> dict[str, Any]:
    """Writes the page of a checkpoint's network and an image.

    Args:
        config: the checkpoint's, resolved, with the user's keys on top.
        name: of the model.
        folder: for `explain.html` and `explain.json`.

    Returns:
        What `explain.json` holds.

    Raises:
        InputError: the image cannot be read, or is too large.
        SaveError: the folder cannot be written.
    """
    if task_of(config).multilabel:
        raise InputError("ckpt=: a pixel has several classes", do="explain a network of task=softmax")
    compute = device.choose(config["device"], "32")
    network = restore_model(config["model"], saved).to(compute.device)
    spec = saved_input(saved)
    image, mask = _image(config, spec)
    if max(image.shape[:2]) > LARGEST:
        shape = f"{image.shape[0]}×{image.shape[1]}"
        raise InputError(f"image={config['image']}: {shape} pixels", do=f"give at most {LARGEST} a side")
    scene = Exhibit(
        name,
        network,
        config,
        as_batch(image).to(compute.device),
        spec.to_rgb(image),
        mask,
        tuple(saved.meta["class_names"]),
        tuple(map(tuple, saved.meta["palette"])),
    )
    prediction = scene.panels("The network's prediction.", {"prediction": scene.labels()})
    sections = [Section("prediction", "Prediction", [prediction, legend(scene.class_names, scene.palette)])]
    for make in SECTIONS:
        sections += make(scene)
    asked = Asked(name, config["model"], spec, scene.size, {}, network, image)
    return explain_network(asked, folder, sections)


def _image(config: dict[str, Any], spec: Any) -> tuple[np.ndarray, np.ndarray | None]:
    """The image of `image=`, or the data set's first one of its validation split with its mask."""
    if config["image"] is not None:
        path = user_path(config["image"])
        if not path.is_file():
            raise InputError(f"image={config['image']}: no such file", do="give an image file")
        return image_reader(config["data"], spec)(path), None
    sample = build_data(config).val[0]
    return sample.image, sample.mask
