"""`segpredict` on a video: its frames with overlays, as a video again."""

from pathlib import Path
from typing import Any

import cv2
from rich.console import Console
from rich.progress import Progress

from segtrain.commands.predict import Classes, Labeller, drawn
from segtrain.distributed.signals import Stopped, StopSignals
from segtrain.errors import InputError, SaveError


def label_video(
    source: Path, folder: Path, label: Labeller, classes: Classes, config: dict[str, Any], console: Console
) -> Path:
    """Writes folder/NAME.mp4, whole or not at all, and gives its path.

    Raises:
        InputError: the video cannot be read.
        SaveError: OpenCV cannot write one.
        Stopped: SIGTERM or Ctrl-C came.
    """
    reader = cv2.VideoCapture(str(source))
    frames, rate = reader.get(cv2.CAP_PROP_FRAME_COUNT), reader.get(cv2.CAP_PROP_FPS) or 25.0
    path = folder / f"{source.stem}.mp4"
    if path.is_file() and path.samefile(source):
        raise InputError(f"output={folder}: the video would replace itself", do="choose another output=")
    partial = path.with_name(f".{path.name}.part.mp4")
    folder.mkdir(parents=True, exist_ok=True)
    writer, done = None, 0
    try:
        bar = Progress(console=console, transient=True, disable=not console.is_terminal)
        with bar as progress, StopSignals() as stop:
            task = progress.add_task("predicting", total=frames if frames > 0 else None)
            while (frame := reader.read()[1]) is not None:
                if stop.requested:
                    how = f"at frame {done}; a video is made whole: start it again"
                    raise Stopped(stop.number, how)
                image = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
                labels, _ = label(image, f"{source.stem}_{done:06d}")
                overlaid = drawn(image, labels, classes, config)
                writer = writer or _writer(partial, rate, overlaid.shape)
                writer.write(cv2.cvtColor(overlaid, cv2.COLOR_RGB2BGR))
                done += 1
                progress.update(task, advance=1)
        if writer is None:
            raise InputError(
                f"input={source}: not a video, or none that OpenCV reads", do="give another file"
            )
        writer.release()
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path


def _writer(path: Path, rate: float, shape: tuple[int, ...]) -> cv2.VideoWriter:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), rate, (shape[1], shape[0]))
    if not writer.isOpened():
        raise SaveError(f"{path}: OpenCV writes no such video", do="give the frames as images")
    return writer
