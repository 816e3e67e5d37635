"""`segpredict` on a video: its frames with overlays, as a video again."""

from pathlib import Path
from typing import Any

import cv2
from rich.console import Console
from rich.progress import Progress

from segtrain.cli.prediction import Classes, Labeller, drawn
from segtrain.errors import InputError


def label_video(
    source: Path, target: Path, label: Labeller, classes: Classes, config: dict[str, Any], console: Console
) -> Path:
    """Writes target/NAME.mp4 and gives its path. Raises InputError where the video cannot be read."""
    reader = cv2.VideoCapture(str(source))
    frames, rate = reader.get(cv2.CAP_PROP_FRAME_COUNT), reader.get(cv2.CAP_PROP_FPS) or 25.0
    if not reader.isOpened():
        raise InputError(f"input={source}: cannot be read as a video", do="give another file")
    path = target / f"{source.stem}.mp4"
    partial = path.with_name(f".{path.name}.part.mp4")
    target.mkdir(parents=True, exist_ok=True)
    writer, done = None, 0
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("predicting", total=frames or None)
        while (frame := reader.read()[1]) is not None:
            image = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
            labels = label(image, f"{source.stem}_{done:06d}").argmax(0).astype("uint8")
            picture = drawn(image, labels, classes, config)
            if writer is None:
                size = (picture.shape[1], picture.shape[0])
                writer = cv2.VideoWriter(str(partial), cv2.VideoWriter.fourcc(*"mp4v"), rate, size)
            writer.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
            done += 1
            progress.update(task, advance=1)
    if writer is None:
        raise InputError(f"input={source}: no frame in it", do="give another file")
    writer.release()
    partial.replace(path)
    return path
