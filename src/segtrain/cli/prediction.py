"""What `segpredict` does: labels and overlays of pictures that have no labels yet."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image
from rich.console import Console
from rich.progress import track

from segtrain.cli.build import build_crf
from segtrain.cli.crf_steps import Steps
from segtrain.cli.evaluation import build_predictor
from segtrain.cli.paths import relative
from segtrain.data.files import read_image, read_list
from segtrain.data.sample import VOID, Sample
from segtrain.engine.checkpoint import Checkpoint
from segtrain.engine.device import choose
from segtrain.engine.evaluate import Predict
from segtrain.engine.pictures import overlay, save_labels, with_legend
from segtrain.errors import InputError

PICTURES = {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"}
VIDEOS = {".mp4", ".avi", ".mov", ".mkv", ".webm"}


class Classes(NamedTuple):
    """What a checkpoint says of its classes."""

    names: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]


class Labeller:
    """Pictures to class probabilities, float32 C×H×W, by a model and, where it is on, the CRF.

    Args:
        watch: gets each image, its name and the probabilities before the CRF.
    """

    def __init__(self, predict: Predict, crf: Callable | None, watch: Callable = lambda *_: None):
        self.predict, self.crf, self.watch = predict, crf, watch

    def __call__(self, image: np.ndarray, name: str) -> np.ndarray:
        unlabelled = np.full(image.shape[:2], VOID, np.uint8)
        probabilities = self.predict([Sample(image, unlabelled, name)])[0].cpu().numpy()
        self.watch(image, name, probabilities)
        return self.crf(image, probabilities) if self.crf else probabilities


def predict(configs: list[dict[str, Any]], saved: list[Checkpoint], folder: Path) -> None:
    """Labels everything that `input` names, below `folder`.

    Raises:
        InputError: nothing to label; after all else is done, pictures that could not be read.
    """
    config, meta = configs[0], saved[0].meta
    compute = choose(config["device"], str(config["precision"]))
    if not 0 <= config["overlay"] <= 1:
        raise InputError(f"overlay={config['overlay']}", do="give a share from 0 to 1")
    source = Path(config["input"]).expanduser()
    found = find_pictures(source)
    predictor, _ = build_predictor(configs, saved, compute)
    classes = Classes(tuple(meta["class_names"]), tuple(map(tuple, meta["palette"])))
    crf = build_crf(config)
    if config["steps"] and crf is None:
        raise InputError("steps=true without a CRF", do="add crf=true")
    label = Labeller(predictor, crf, *([Steps(crf, folder, *classes)] if config["steps"] else []))
    console = Console()
    if source.suffix.lower() in VIDEOS:
        from segtrain.cli.video import label_video  # OpenCV's video is needed for nothing else

        path = label_video(source, folder, label, classes, config, console)
        console.print(f"overlays: {relative(path)}", highlight=False)
        return
    unreadable = []
    for name, path in track(found, "predicting", console=console, transient=True):
        try:
            label_picture(name, path, folder, label, classes, config)
        except InputError as error:
            unreadable.append(str(error))
    done = len(found) - len(unreadable)
    console.print(f"{done} pictures: {relative(folder)}", highlight=False)
    if unreadable:
        more = f"; and {len(unreadable) - 1} more" if len(unreadable) > 1 else ""
        raise InputError(f"{unreadable[0]}{more}", do="the others are done; run again when it is mended")


def label_picture(
    name: str, path: Path, target: Path, label: Labeller, classes: Classes, config: dict[str, Any]
) -> None:
    """Writes labels/NAME.png, and what else is wanted before it: with it the picture is done.

    Raises:
        InputError: the picture cannot be read.
    """
    labels_path = target / "labels" / f"{name}.png"
    if labels_path.is_file():
        return
    image = read_image(path)
    probabilities = label(image, name)
    labels = probabilities.argmax(0).astype(np.uint8)
    if config["probabilities"]:
        where = target / "probabilities" / f"{name}.npy"
        where.parent.mkdir(parents=True, exist_ok=True)
        np.save(where, probabilities.astype(np.float16))
    if config["overlay"]:
        where = target / "overlays" / f"{name}.jpg"
        where.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(drawn(image, labels, classes, config)).save(where, quality=92)
    save_labels(labels, labels_path, classes.palette)


def drawn(image: np.ndarray, labels: np.ndarray, classes: Classes, config: dict[str, Any]) -> np.ndarray:
    """The overlay that the config asks for, uint8 H×W×3, wider by the legend."""
    picture = overlay(image, labels, classes.palette, config["overlay"])
    return with_legend(picture, classes.names, classes.palette) if config["legend"] else picture


def find_pictures(source: Path) -> list[tuple[str, Path]]:
    """Names (paths without suffix, below a folder) and paths of what `input` means; none of a video.

    Raises:
        InputError: it is not there, of another kind, without pictures, or two have one name.
    """
    if source.is_dir():
        paths = [(path, path.relative_to(source)) for path in _pictures_below(source)]
    elif source.suffix.lower() == ".txt":
        lines = [Path(line) for line in read_list(source)]
        paths = [(line if line.is_absolute() else source.parent / line, line) for line in lines]
        paths = [(path, Path(name.name) if name.is_absolute() else name) for path, name in paths]
    elif not source.is_file():
        raise InputError(f"input={source}: no such file or folder", do="give a picture, a folder or a video")
    elif source.suffix.lower() in VIDEOS:
        return []
    else:
        paths = [(source, Path(source.name))]
    if not paths:
        raise InputError(f"input={source}: no picture in it", do=f"give {', '.join(sorted(PICTURES))}")
    named: dict[str, Path] = {}
    for path, name in paths:
        key = str(name.with_suffix(""))
        if ".." in name.parts:
            key = name.stem
        if key in named:
            raise InputError(
                f"input={source}: {named[key]} and {path} have one name", do="rename one of them"
            )
        named[key] = path
    return list(named.items())


def _pictures_below(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.suffix.lower() in PICTURES and path.is_file())
