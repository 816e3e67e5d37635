"""What `segpredict` does: predictions and overlays for images that have no masks."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image
from rich.console import Console

from segtrain.commands.build import build_crf
from segtrain.commands.evaluate import build_predictor
from segtrain.commands.inputs import find_images, is_video
from segtrain.commands.paths import relative, write_yaml
from segtrain.commands.prediction import Classes, ImagePredictor, draw_overlay, image_reader
from segtrain.distributed.signals import Stopped, StopSignals
from segtrain.engine.checkpoint import Checkpoint
from segtrain.engine.device import choose
from segtrain.errors import InputError, SaveError
from segtrain.files import write_atomically
from segtrain.progress import progress_bar
from segtrain.viz.crf_steps import Steps
from segtrain.viz.drawing import save_labels

MADE_FROM = "made_from.json"  # of each image's outputs: the digest of its file and of the settings


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
    config, console = configs[0], Console(soft_wrap=True, highlight=False)
    compute = choose(config["device"], str(config["precision"]))
    source = Path(config["input"]).expanduser()
    check_wanted(config, video=is_video(source))
    found = [] if is_video(source) else find_images(source, folder)
    claim_folder(folder, configs, saved)
    predictor, _ = build_predictor(configs, saved, compute)
    classes, crf, read = Classes.of(saved[0]), build_crf(config), image_reader(config["data"])
    steps = Steps(crf, folder, *classes) if config["steps"] and crf is not None else None
    predict_image = ImagePredictor(
        predictor, crf, probabilities=config["probabilities"], on_probabilities=steps
    )
    if is_video(source):
        from segtrain.commands.predict_video import predict_video  # OpenCV's video is needed for nothing else

        path = predict_video(source, folder, predict_image, classes, config, console)
        console.print(f"overlays: {relative(path)}", markup=False)
        return
    writer = Writer(folder, predict_image, read, classes, config)
    missing = [(name, path) for name, path in found if not writer.is_current(name, path)]
    failures = predict_images(missing, writer, console)
    existing = len(found) - len(missing)
    skipped = f", {existing} existing ones were skipped" if existing else ""
    console.print(f"{len(found) - len(failures)} images{skipped}: {relative(folder)}", markup=False)
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


def claim_folder(folder: Path, configs: list[dict[str, Any]], saved: list[Checkpoint]) -> None:
    """Writes into the folder's config.yaml which checkpoints and settings its labels come from.

    Raises:
        InputError: the labels that are there come from others.
    """
    config, path = configs[0], folder / "config.yaml"
    paths = config["ckpt"] if isinstance(config["ckpt"], list) else [config["ckpt"]]
    settings = {
        "ckpt": [str(Path(path).expanduser().resolve()) for path in paths],
        "step": [checkpoint.meta["step"] for checkpoint in saved],
        "weights": [checkpoint.digest for checkpoint in saved],
        "model": [each["model"] for each in configs],
        "inference": [each["inference"] for each in configs],
        "ensemble": config["ensemble"],
        "dense_crf": config["dense_crf"] if config["crf"] else None,
    }
    before = yaml.safe_load(path.read_text()) if path.is_file() else settings
    for key, value in settings.items():
        if before.get(key) != value:
            raise InputError(
                f"output={relative(folder)}: the labels there come from another {key}",
                do="choose another output=, or remove that one",
            )
    write_yaml(settings, path)


class Writer:
    """Writes the outputs of images: labels, and on request overlays and probabilities.

    Args:
        folder: for the outputs.
        predict_image, read: predicts and reads an image.
        config: says which outputs are wanted.
    """

    def __init__(
        self,
        folder: Path,
        predict_image: ImagePredictor,
        read: Callable[[Path], np.ndarray],
        classes: Classes,
        config: dict[str, Any],
    ):
        self.folder, self.predict_image, self.read = folder, predict_image, read
        self.classes, self.config = classes, config
        self.settings = {key: config[key] for key in ("overlay", "legend", "crf")}
        self.settings |= {"white": config["data"].get("white"), "palette": [list(c) for c in classes.palette]}
        path = folder / MADE_FROM
        self.made_from: dict[str, str] = json.loads(path.read_text()) if path.is_file() else {}

    def outputs(self, name: str) -> list[Path]:
        """The files that are wanted for an image."""
        wanted = [self.folder / "labels" / f"{name}.png"]
        wanted += [self.folder / "overlays" / f"{name}.jpg"] if self.config["overlay"] else []
        wanted += [self.folder / "steps" / f"{name}.png"] if self.config["steps"] else []
        return wanted + (
            [self.folder / "probabilities" / f"{name}.npy"] if self.config["probabilities"] else []
        )

    def is_current(self, name: str, path: Path) -> bool:
        """Whether the outputs exist and come from this content with these settings."""
        return all(map(_is_file, self.outputs(name))) and self.made_from.get(name) == self._digest(path)

    def write(self, name: str, path: Path) -> None:
        """Predicts an image and writes its outputs, each file whole or not at all."""
        image = self.read(path)
        labels, probabilities = self.predict_image(image, name)
        if self.config["probabilities"] and probabilities is not None:
            half = probabilities.astype(np.float16)
            write_atomically(self.folder / "probabilities" / f"{name}.npy", lambda file: np.save(file, half))
        if self.config["overlay"]:
            share, legend = self.config["overlay"], self.config["legend"]
            drawn = Image.fromarray(draw_overlay(image, labels, self.classes, share, legend=legend))
            path_of_overlay = self.folder / "overlays" / f"{name}.jpg"
            write_atomically(path_of_overlay, lambda file: drawn.save(file, "JPEG", quality=92))
        save_labels(labels, self.folder / "labels" / f"{name}.png", self.classes.palette)
        self.made_from[name] = self._digest(path)

    def close(self) -> None:
        """Writes from what the outputs were made, by which the next run knows which to skip."""
        if not self.made_from:
            return
        text = json.dumps(self.made_from, indent=0)
        write_atomically(self.folder / MADE_FROM, lambda file: file.write(text.encode()))

    def _digest(self, path: Path) -> str:
        digest = hashlib.sha256(json.dumps(self.settings, sort_keys=True).encode())
        try:
            digest.update(path.read_bytes())
        except OSError:
            return ""
        return digest.hexdigest()


def predict_images(
    missing: list[tuple[str, Path]], writer: Writer, console: Console
) -> list[InputError | SaveError]:
    """Predicts images by name and path.

    Returns:
        The errors of images that cannot be read, or whose outputs cannot be written.

    Raises:
        Stopped: SIGTERM or Ctrl-C came, and the image in hand is done.
    """
    failures: list[InputError | SaveError] = []
    bar = progress_bar("predicting", len(missing), console=console, quiet=not console.is_terminal)
    with StopSignals() as stop, bar as advance:
        try:
            for done, (name, path) in enumerate(missing):
                if stop.requested:
                    resume = f"to continue, run it again with output={relative(writer.folder)}"
                    raise Stopped(stop.number, f"after {done} of {len(missing)} images; {resume}")
                try:
                    writer.write(name, path)
                except (InputError, SaveError) as error:
                    failures.append(error)
                advance(1)
        finally:
            writer.close()
    return failures


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long
        return False
