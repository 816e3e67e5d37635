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
from segtrain.commands.paths import checkpoint_paths, relative, write_yaml
from segtrain.commands.prediction import Classes, ImagePredictor, draw_overlay, image_reader
from segtrain.contracts import IGNORE_INDEX
from segtrain.data.io.images import ImageReader, band_paths
from segtrain.distributed.signals import Stopped, StopSignals
from segtrain.engine.checkpoint import Checkpoint
from segtrain.engine.device import choose
from segtrain.errors import InputError, SaveError
from segtrain.files import as_argument, inside, write_atomically
from segtrain.progress import Terminal, progress_bar
from segtrain.viz.crf_steps import Steps
from segtrain.viz.drawing import save_labels, write_image

# What an image gets, below the output's folder; the labels last: where they are whole, all is.
KINDS = {"overlays": ".jpg", "steps": ".png", "probabilities": ".npy", "labels": ".png"}
STACK = ".npz"  # of labels where a pixel may have several


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
    source = Path(config["input"]).expanduser()
    check_wanted(config, video=is_video(source))
    found = [] if is_video(source) else find_images(source, folder, config["data"].get("bands") or ())
    claimed = claim_folder(folder, configs, saved)
    predictor, _ = build_predictor(configs, saved, compute)
    spec = saved_input(saved[0])
    classes, crf, read = Classes.of(saved[0]), build_crf(config), image_reader(config["data"], spec)
    steps = None
    if config["steps"] and crf is not None:
        steps = Steps(crf, folder, *classes, predictor.task.image_labels)
    predict_image = ImagePredictor(
        predictor, crf, spec=spec, probabilities=config["probabilities"], on_probabilities=steps
    )
    if is_video(source):
        from segtrain.commands.predict_video import predict_video  # OpenCV's video is needed for nothing else

        path = predict_video(source, folder, predict_image, classes, config, console)
        console.print(f"overlays: {relative(path)}", markup=False)
        return
    made_from = MadeFrom(folder, output_settings(claimed, config, classes, compute.precision))
    writer = Writer(folder, predict_image, read, classes, config, made_from)
    missing = writer.missing(found)
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
        "ckpt": [str(Path(path).expanduser().resolve()) for path in paths],
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
    """Writes the outputs of images: labels, and on request overlays, steps and probabilities.

    Args:
        folder: for the outputs.
        predict_image, read: predicts and reads an image.
        config: says which outputs are wanted.
        made_from: the folder's record.
    """

    def __init__(
        self,
        folder: Path,
        predict_image: ImagePredictor,
        read: ImageReader,
        classes: Classes,
        config: dict[str, Any],
        made_from: MadeFrom,
    ):
        self.folder, self.predict_image, self.read = folder, predict_image, read
        self.classes, self.config, self.made_from = classes, config, made_from
        wanted = {"overlays": config["overlay"], "steps": config["steps"]}
        wanted |= {"probabilities": config["probabilities"], "labels": True}
        self.kinds = [kind for kind, is_wanted in wanted.items() if is_wanted]

    def output(self, name: str, kind: str) -> Path:
        """The file of an image's output of a kind."""
        several = kind == "labels" and self.config["task"] == "multilabel"
        return inside(self.folder / kind, f"{name}{STACK if several else KINDS[kind]}")

    def missing(self, found: list[tuple[str, Path]]) -> list[tuple[str, Path]]:
        """The images whose outputs are not there as these inputs would make them.

        Raises:
            InputError: a file that would be replaced was not written by `segpredict`.
        """
        missing = []
        for name, path in found:
            there = [kind for kind in self.kinds if _exists(self.output(name, kind))]
            for kind in there:
                if not self.made_from.is_own(name, kind):
                    raise InputError(
                        f"output={relative(self.folder)}: {kind}/{self.output(name, kind).name} is there, and"
                        f" is none of segpredict's",
                        do="choose another output=",
                    )
            if there != self.kinds or not self._is_current(name, path):
                missing.append((name, path))
        return missing

    def write(self, name: str, path: Path) -> None:
        """Predicts an image and writes its outputs, each file whole or not at all."""
        digests = self._digests(path)  # before it is read: if it changes now, the next run sees it
        image, invalid = self.read.with_invalid(path)
        self.made_from.begin(name, self.kinds)
        labels, probabilities = self.predict_image(image, name)
        if invalid is not None:
            labels[invalid] = IGNORE_INDEX
        if self.config["probabilities"] and probabilities is not None:
            half = probabilities.astype(np.float16)
            write_atomically(self.output(name, "probabilities"), lambda file: np.save(file, half))
        if self.config["overlay"]:
            share, legend = self.config["overlay"], self.config["legend"]
            shown = self.predict_image.spec.to_rgb(image)
            drawn = Image.fromarray(draw_overlay(shown, labels, self.classes, share, legend=legend))
            write_image(drawn, self.output(name, "overlays"), quality=92)
        if labels.ndim == 3:  # as data=multilabel_folder reads them
            stack = labels.transpose(2, 0, 1)
            write_atomically(self.output(name, "labels"), lambda file: np.savez_compressed(file, stack))
        else:
            save_labels(labels, self.output(name, "labels"), self.classes.palette)
        self.made_from.finish(name, self.kinds, digests)

    def _digests(self, path: Path) -> dict[str, str]:
        bands = self.read.bands
        return self.made_from.digests(*(band_paths(path, bands) if bands else [path]))

    def _is_current(self, name: str, path: Path) -> bool:
        try:
            return self.made_from.is_current(name, self.kinds, self._digests(path))
        except InputError:  # it is said when it is its turn
            return False


def predict_images(
    missing: list[tuple[str, Path]], writer: Writer, console: Terminal
) -> list[InputError | SaveError]:
    """Predicts images by name and path.

    Returns:
        The errors of images that cannot be read, or whose outputs cannot be written.

    Raises:
        SaveError: the disk is full.
        Stopped: SIGTERM or Ctrl-C came, and the image in hand is done.
    """
    failures: list[InputError | SaveError] = []
    bar = progress_bar("predicting", len(missing), console=console, quiet=not console.is_terminal)
    with StopSignals() as stop, bar as advance:
        for done, (name, path) in enumerate(missing):
            if stop.requested:
                resume = f"to continue, run it again with {as_argument('output', relative(writer.folder))}"
                raise Stopped(stop.number, f"after {done} of {len(missing)} images; {resume}")
            try:
                writer.write(name, path)
            except (InputError, SaveError) as error:
                if isinstance(error, SaveError) and error.full:
                    raise
                failures.append(error)
            advance(1)
    return failures


def _exists(path: Path) -> bool:
    """Whether a file is there with something in it: a power cut leaves empty ones."""
    try:
        return path.is_file() and path.stat().st_size > 0
    except OSError:  # a name that is too long
        return False
