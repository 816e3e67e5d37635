"""What `segpredict` does: labels and overlays of images that have no labels yet."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml
from PIL import Image
from rich.console import Console
from rich.progress import track

from segtrain.commands.build import build_crf
from segtrain.commands.evaluate import build_predictor
from segtrain.commands.inputs import find_images, is_video
from segtrain.commands.paths import relative, write_yaml
from segtrain.contracts import IGNORE_INDEX, Sample
from segtrain.data.io.files import read_image
from segtrain.distributed.signals import Stopped, StopSignals
from segtrain.engine.checkpoint import Checkpoint
from segtrain.engine.device import choose
from segtrain.errors import InputError
from segtrain.files import write_atomically
from segtrain.viz.crf_steps import Steps
from segtrain.viz.drawing import overlay, save_labels, with_legend


class Classes(NamedTuple):
    """What a checkpoint says of its classes."""

    names: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]


class Labeller:
    """Images to labels, uint8 H×W, by a model and, where it is on, the CRF.

    Also gives the class probabilities, float32 C×H×W, if they or the CRF are wanted. Otherwise they
    never are in memory together: those of a large image take gigabytes.

    Args:
        watch: gets each image, its name and the probabilities before the CRF.
    """

    def __init__(
        self, predictor, crf: Callable | None, *, probabilities: bool, watch: Callable | None = None
    ):
        self.predictor, self.crf, self.probabilities, self.watch = predictor, crf, probabilities, watch

    def __call__(self, image: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray | None]:
        samples = [Sample(image, np.broadcast_to(np.uint8(IGNORE_INDEX), image.shape[:2]), name)]
        if self.crf is None and not self.probabilities:
            return self.predictor.labels(samples)[0].cpu().numpy(), None
        probabilities = self.predictor(samples)[0].cpu().numpy()
        if self.watch is not None:
            self.watch(image, name, probabilities)
        if self.crf is not None:
            probabilities = self.crf(image, probabilities)
        return probabilities.argmax(0).astype(np.uint8), probabilities


def predict(configs: list[dict[str, Any]], saved: list[Checkpoint], folder: Path) -> None:
    """Labels everything that `input` names, below `folder`.

    Raises:
        InputError: nothing to label; after all else is done, images that could not be read.
        Stopped: SIGTERM or Ctrl-C came; what is there already is whole.
    """
    config, meta, console = configs[0], saved[0].meta, Console(soft_wrap=True, highlight=False)
    compute = choose(config["device"], str(config["precision"]))
    source = Path(config["input"]).expanduser()
    check_wanted(config, video=is_video(source))
    found = [] if is_video(source) else find_images(source, folder)
    claim(folder, configs, saved)
    predictor, _ = build_predictor(configs, saved, compute)
    classes = Classes(tuple(meta["class_names"]), tuple(map(tuple, meta["palette"])))
    crf = build_crf(config)
    steps = Steps(crf, folder, *classes) if config["steps"] else None
    label = Labeller(predictor, crf, probabilities=config["probabilities"], watch=steps)
    if is_video(source):
        from segtrain.commands.predict_video import label_video  # OpenCV's video is needed for nothing else

        path = label_video(source, folder, label, classes, config, console)
        console.print(f"overlays: {relative(path)}")
        return
    todo = [(name, path) for name, path in found if not all(map(Path.is_file, outputs(folder, name, config)))]
    unreadable = label_images(todo, folder, label, classes, config, console)
    there = len(found) - len(todo)
    already = f", {there} of them were there" if there else ""
    console.print(f"{len(found) - len(unreadable)} images{already}: {relative(folder)}")
    if unreadable:
        more = f"; and {len(unreadable) - 1} more" if len(unreadable) > 1 else ""
        raise InputError(f"{unreadable[0]}{more}", do="the others are done; run again when it is mended")


def check_wanted(config: dict[str, Any], *, video: bool) -> None:
    """Raises InputError where what is wanted makes no sense."""
    if not 0 <= config["overlay"] <= 1:
        raise InputError(f"overlay={config['overlay']}", do="give a share from 0 to 1")
    if video and not config["overlay"]:
        raise InputError("overlay=0: a video's overlays are all that is made of it", do="give another share")
    if config["steps"] and not config["crf"]:
        raise InputError("steps=true without a CRF", do="add crf=true")
    if video and config["steps"]:
        raise InputError("steps=true: a video's are not drawn", do="give its frames as images")
    if video and config["probabilities"]:
        raise InputError("probabilities=true: a video's are not kept", do="give its frames as images")


def claim(folder: Path, configs: list[dict[str, Any]], saved: list[Checkpoint]) -> None:
    """Notes in the folder's config.yaml what its labels come of.

    Raises:
        InputError: those that are there come of something else.
    """
    config, path = configs[0], folder / "config.yaml"
    paths = config["ckpt"] if isinstance(config["ckpt"], list) else [config["ckpt"]]
    made = {
        "ckpt": [str(Path(path).expanduser().resolve()) for path in paths],
        "step": [checkpoint.meta["step"] for checkpoint in saved],
        "model": [each["model"] for each in configs],
        "inference": [each["inference"] for each in configs],
        "ensemble": config["ensemble"],
        "dense_crf": config["dense_crf"] if config["crf"] else None,
    }
    before = yaml.safe_load(path.read_text()) if path.is_file() else made
    for key, value in made.items():
        if before.get(key) != value:
            raise InputError(
                f"output={relative(folder)}: the labels there come of another {key}",
                do="choose another output=, or remove that one",
            )
    write_yaml(made, path)


def outputs(folder: Path, name: str, config: dict[str, Any]) -> list[Path]:
    """The files that are wanted of an image: labels, and on request more."""
    wanted = [folder / "labels" / f"{name}.png"]
    wanted += [folder / "overlays" / f"{name}.jpg"] if config["overlay"] else []
    wanted += [folder / "steps" / f"{name}.png"] if config["steps"] else []
    return wanted + ([folder / "probabilities" / f"{name}.npy"] if config["probabilities"] else [])


def label_images(
    todo: list[tuple[str, Path]],
    folder: Path,
    label: Labeller,
    classes: Classes,
    config: dict[str, Any],
    console: Console,
) -> list[str]:
    """Labels images by name and path; gives what is wrong with those that cannot be read.

    Raises:
        Stopped: SIGTERM or Ctrl-C came, and the image in hand is done.
    """
    unreadable, quiet = [], not console.is_terminal
    bar = track(todo, "predicting", console=console, transient=True, disable=quiet)
    with StopSignals() as stop:
        for done, (name, path) in enumerate(bar):
            if stop.requested:
                go_on = f"to go on, run it again with output={relative(folder)}"
                how = f"after {done} of {len(todo)} images; {go_on}"
                raise Stopped(stop.number, how)
            try:
                label_image(read_image(path), name, folder, label, classes, config)
            except InputError as error:
                unreadable.append(str(error))
    return unreadable


def label_image(
    image: np.ndarray, name: str, folder: Path, label: Labeller, classes: Classes, config: dict[str, Any]
) -> None:
    """Writes what is wanted of an image, each file whole or not at all."""
    labels, probabilities = label(image, name)
    if config["probabilities"]:
        half = probabilities.astype(np.float16)
        write_atomically(folder / "probabilities" / f"{name}.npy", lambda file: np.save(file, half))
    if config["overlay"]:
        overlaid = Image.fromarray(drawn(image, labels, classes, config))
        write_atomically(
            folder / "overlays" / f"{name}.jpg", lambda file: overlaid.save(file, "JPEG", quality=92)
        )
    save_labels(labels, folder / "labels" / f"{name}.png", classes.palette)


def drawn(image: np.ndarray, labels: np.ndarray, classes: Classes, config: dict[str, Any]) -> np.ndarray:
    """The overlay that the config asks for, uint8 H×W×3, wider by the legend."""
    overlaid = overlay(image, labels, classes.palette, config["overlay"])
    return with_legend(overlaid, classes.names, classes.palette) if config["legend"] else overlaid
