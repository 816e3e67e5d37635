"""What `segpredict` does: predictions and overlays for images that have no masks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from segtrain.commands.build import build_crf, saved_input
from segtrain.commands.evaluate import build_predictor
from segtrain.commands.inputs import find_images, is_video
from segtrain.commands.made_from import MadeFrom
from segtrain.commands.outputs import KINDS, OF_SCENES, Outputs
from segtrain.commands.paths import checkpoint_paths, relative, write_yaml
from segtrain.commands.pipeline import Loaded, Pipeline
from segtrain.commands.predict_scene import SceneWriter, check_scenes_wanted
from segtrain.commands.prediction import Classes, ImagePrediction, ImagePredictor, draw_overlay, image_reader
from segtrain.commands.titles import title_of
from segtrain.contracts import IGNORE_INDEX
from segtrain.data.io.scenes import is_scene
from segtrain.distributed.signals import Stopped, StopSignals
from segtrain.engine.checkpoint import Checkpoint
from segtrain.engine.device import choose
from segtrain.errors import InputError, SaveError
from segtrain.files import as_argument, user_path, write_atomically
from segtrain.progress import Terminal, progress_bar
from segtrain.viz.crf_steps import Steps
from segtrain.viz.drawing import save_labels, write_image
from segtrain.wording import how_many


def run_prediction(configs: list[dict[str, Any]], saved: list[Checkpoint], folder: Path) -> None:
    """Predicts everything that `input` names, below `folder`.

    Args:
        configs: of each checkpoint, with the user's keys on top; the scalars are the first one's.
        saved: the checkpoints, an ensemble where there are several.

    Raises:
        InputError: no images; after all others are done, images that could not be read.
        SaveError: after all others are done, outputs that could not be written.
        Stopped: SIGTERM or Ctrl-C came; every file that exists is whole.
    """
    config, console = configs[0], Terminal(soft_wrap=True, highlight=False)
    compute = choose(config["device"], str(config["precision"]))
    source = user_path(config["input"])
    check_wanted(config, video=is_video(source))
    found = [] if is_video(source) else find_images(source, folder, config["data"].get("bands") or ())
    claimed = claim_folder(folder, configs, saved)
    predictor, _ = build_predictor(configs, saved, compute)
    spec = saved_input(saved[0])
    classes, crf, read = (
        Classes.of(saved[0], config["palette"]),
        build_crf(config),
        image_reader(config["data"], spec),
    )
    steps = None
    if config["steps"] and crf is not None:
        steps = Steps(crf, folder, *classes, predictor.task.image_labels, title_of(config, folder))
    predict_image = ImagePredictor(
        predictor, crf, spec=spec, probabilities=config["probabilities"], on_probabilities=steps
    )
    if is_video(source):
        from segtrain.commands.predict_video import predict_video  # OpenCV's video is needed for nothing else

        path = predict_video(source, folder, predict_image, classes, config, console)
        console.print(f"overlays: {relative(path)}", markup=False)
        return
    settings = output_settings(claimed, config, classes, compute.precision)
    scenes = [(name, path) for name, path in found if is_scene(path, config["large_above"])]
    images = [one for one in found if one not in scenes]
    check_scenes_wanted(config, scenes)
    outputs = Outputs.of_images(folder, config, read, MadeFrom(folder, settings))
    tiling = [config[key] for key in ("large_above", "tile", "overlap")]
    record = MadeFrom(folder, {kind: [*settings.get(kind, settings["labels"]), tiling] for kind in OF_SCENES})
    of_scenes = Outputs.of_scenes(folder, config, read, record)
    left, scenes_left = outputs.missing(images), of_scenes.missing(scenes)
    with StopSignals() as stop:
        failures = predict_images(left, Writer(outputs, predict_image, classes, config), stop, console)
        writer = SceneWriter(of_scenes, predict_image, classes, config)
        failures += predict_scenes(scenes_left, writer, stop, console)
    existing = len(found) - len(left) - len(scenes_left)
    ones = "one was" if existing == 1 else "ones were"
    skipped = f", {existing} existing {ones} skipped" if existing else ""
    done = how_many(len(found) - len(failures), "image")
    console.print(f"{done}{skipped}: {relative(folder)}", markup=False)
    if failures:
        more = f"; and {len(failures) - 1} more" if len(failures) > 1 else ""
        do = "the others are done; run again when it is fixed"
        kind = SaveError if any(isinstance(e, SaveError) for e in failures) else InputError
        raise kind(f"{failures[0]}{more}", do=do)


def check_wanted(config: dict[str, Any], *, video: bool) -> None:
    """Raises InputError where the outputs that are wanted do not fit together."""
    if not 0 <= config["overlay"] <= 1:
        raise InputError(f"overlay must be from 0 to 1, got {config['overlay']}", do="give a share")
    if video and not config["overlay"]:
        raise InputError("overlay=0: overlays are all that a video gets", do="give another share")
    if config["steps"] and not config["crf"]:
        raise InputError("steps=true needs a CRF", do="add crf=true")
    if video and config["steps"]:
        raise InputError("steps=true: steps of a video are not drawn", do="give its frames as images")
    if video and config["probabilities"]:
        raise InputError("probabilities=true: those of a video are not kept", do="give its frames as images")


def claim_folder(folder: Path, configs: list[dict[str, Any]], saved: list[Checkpoint]) -> dict[str, Any]:
    """Writes into the folder's config.yaml which checkpoints and settings its labels come from.

    Returns:
        What it wrote.

    Raises:
        InputError: the labels that are there come from others.
    """
    config, path = configs[0], folder / "config.yaml"
    paths = checkpoint_paths(config["ckpt"])
    settings = {
        "ckpt": [str(user_path(path).resolve()) for path in paths],
        "step": [checkpoint.meta["step"] for checkpoint in saved],
        "weights": [checkpoint.digest for checkpoint in saved],
        "model": [each["model"] for each in configs],
        "inference": [each["inference"] for each in configs],
        "ensemble": config["ensemble"],
        "threshold": config["threshold"] if config["task"] != "softmax" else None,
        "dense_crf": config["dense_crf"] if config["crf"] else None,
    }
    before = _claimed(path) if path.exists() else settings
    for key, value in settings.items():
        if before.get(key) != value:
            raise InputError(
                f"output={relative(folder)}: the labels there come from another {key}",
                do="choose another output=, or remove that one",
            )
    write_yaml(settings, path)
    return settings


def _claimed(path: Path) -> dict[str, Any]:
    """What a folder's config.yaml says; nothing where it is no mapping."""
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError, RecursionError):
        values = None
    return values if isinstance(values, dict) else {}


def output_settings(
    claimed: dict[str, Any], config: dict[str, Any], classes: Classes, precision: str
) -> dict[str, list[Any]]:
    """Of each kind of output all besides the image that decides what it holds.

    Args:
        claimed: as `claim_folder` gives it.
        precision: that the network computes with.
    """
    data = {key: value for key, value in config["data"].items() if key != "root"}
    base = [{k: v for k, v in claimed.items() if k != "ckpt"}, data, precision, classes.palette]
    drawn = [classes.names, config["overlay"], config["legend"]]
    return {kind: [*base, *(drawn if kind == "overlays" else [])] for kind in KINDS}


class Writer:
    """Reads images, predicts them and writes their outputs: labels, and on request overlays, steps and
    probabilities.

    Args:
        outputs: which ones, and where.
        predict_image: predicts images.
        config: of the command.
    """

    def __init__(
        self, outputs: Outputs, predict_image: ImagePredictor, classes: Classes, config: dict[str, Any]
    ):
        self.outputs, self.predict_image, self.classes, self.config = outputs, predict_image, classes, config

    def load(self, name: str, path: Path) -> Loaded:
        """Reads an image. Raises InputError."""
        digests = self.outputs.digests(path)  # before it is read: if it changes now, the next run sees it
        return Loaded(name, path, digests, *self.outputs.read.with_invalid(path))

    def predict(self, images: list[Loaded]) -> list[ImagePrediction]:
        """What the network and the CRF make of images of one size. Raises InputError."""
        return self.predict_image.many([one.image for one in images], [one.name for one in images])

    def write(self, loaded: Loaded, predicted: ImagePrediction) -> None:
        """Writes the outputs of an image, each file whole or not at all. Raises SaveError."""
        name, outputs, made_from = loaded.name, self.outputs, self.outputs.made_from
        labels, probabilities = predicted
        if loaded.invalid is not None:
            labels[loaded.invalid] = IGNORE_INDEX
        made_from.begin(name, outputs.kinds)
        if self.config["probabilities"] and probabilities is not None:
            half = probabilities.astype(np.float16)
            write_atomically(outputs.path(name, "probabilities"), lambda file: np.save(file, half))
        if self.config["overlay"]:
            share, legend = self.config["overlay"], self.config["legend"]
            shown = self.predict_image.spec.to_rgb(loaded.image)
            drawn = Image.fromarray(draw_overlay(shown, labels, self.classes, share, legend=legend))
            write_image(drawn, outputs.path(name, "overlays"), quality=92)
        if labels.ndim == 3:  # as data=multilabel_folder reads them
            stack = labels.transpose(2, 0, 1)
            write_atomically(outputs.path(name, "labels"), lambda file: np.savez_compressed(file, stack))
        else:
            save_labels(labels, outputs.path(name, "labels"), self.classes.palette)
        made_from.finish(name, outputs.kinds, loaded.digests)


def predict_images(
    missing: list[tuple[str, Path]], writer: Writer, stop: StopSignals, console: Terminal
) -> list[InputError | SaveError]:
    """Predicts images by name and path.

    Returns:
        The errors of images that cannot be read, or whose outputs cannot be written.

    Raises:
        SaveError: the disk is full.
        Stopped: SIGTERM or Ctrl-C came, and the image in hand is done.
    """
    with progress_bar("predicting", len(missing), console=console, quiet=not console.is_terminal) as advance:
        pipeline = Pipeline(
            writer.load,
            writer.predict,
            writer.write,
            batch_size=writer.config["batch_size"],
            should_stop=lambda: stop.requested,
            advance=advance,
        )
        failures = pipeline.run(missing)
    if pipeline.done < len(missing):
        resume = f"to continue, run it again with {as_argument('output', relative(writer.outputs.folder))}"
        raise Stopped(stop.number, f"after {pipeline.done} of {len(missing)} images; {resume}")
    return failures


def predict_scenes(
    missing: list[tuple[str, Path]], writer: SceneWriter, stop: StopSignals, console: Terminal
) -> list[InputError | SaveError]:
    """Predicts scenes by name and path. As `predict_images`."""
    failures: list[InputError | SaveError] = []
    for name, path in missing:
        try:
            writer.write(name, path, stop, console)
        except (InputError, SaveError) as error:
            if isinstance(error, SaveError) and error.full:
                raise
            failures.append(error)
    return failures
