"""`segpredict` on a video: its frames with overlays, as a video again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rich.console import Console

from segtrain.commands.prediction import Classes, ImagePredictor, draw_overlay
from segtrain.distributed.signals import Stopped, StopSignals
from segtrain.errors import InputError, SaveError
from segtrain.progress import progress_bar


def predict_video(
    source: Path,
    folder: Path,
    predict_image: ImagePredictor,
    classes: Classes,
    config: dict[str, Any],
    console: Console,
) -> Path:
    """Writes folder/NAME.mp4, whole or not at all.

    Returns:
        Its path.

    Raises:
        InputError: the video cannot be read, or ends before its last frame.
        SaveError: OpenCV cannot write one.
        Stopped: SIGTERM or Ctrl-C came.
    """
    reader = cv2.VideoCapture(str(source))
    frames, rate = round(reader.get(cv2.CAP_PROP_FRAME_COUNT)), reader.get(cv2.CAP_PROP_FPS) or 25.0
    path = folder / f"{source.stem}.mp4"
    if path.is_file() and path.samefile(source):
        raise InputError(f"output={folder}: the video would replace itself", do="choose another output=")
    partial = path.with_name(".part.mp4")  # OpenCV goes by the suffix
    folder.mkdir(parents=True, exist_ok=True)
    writer, done = None, 0
    bar = progress_bar(
        "predicting", frames if frames > 0 else None, console=console, quiet=not console.is_terminal
    )
    try:
        with bar as advance, StopSignals() as stop:
            while (frame := reader.read()[1]) is not None:
                if stop.requested:
                    raise Stopped(stop.number, f"at frame {done}; a video is made as a whole: start it again")
                image: np.ndarray = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
                labels, _ = predict_image(image, f"{source.stem}_{done:06d}")
                overlaid = draw_overlay(image, labels, classes, config["overlay"], legend=config["legend"])
                writer = writer or _writer(partial, rate, overlaid.shape)
                writer.write(cv2.cvtColor(overlaid, cv2.COLOR_RGB2BGR))
                done += 1
                advance(1)
        if writer is None:
            raise InputError(
                f"input={source}: not a video, or none that OpenCV reads", do="give another file"
            )
        writer.release()
        if round(cv2.VideoCapture(str(partial)).get(cv2.CAP_PROP_FRAME_COUNT)) != done:
            # OpenCV says nothing of a full disk.
            raise SaveError(f"{path}: could not be written whole", do="free some space, run again")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    if done < frames:
        raise InputError(
            f"input={source}: {done} of {frames} frames can be read, they are in {path}",
            do="get the file again if it was cut short",
        )
    return path


def _writer(path: Path, rate: float, shape: tuple[int, ...]) -> cv2.VideoWriter:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), rate, (shape[1], shape[0]))
    if not writer.isOpened():
        raise SaveError(f"{path}: OpenCV writes no such video", do="give the frames as images")
    return writer
