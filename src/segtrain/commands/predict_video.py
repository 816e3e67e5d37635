"""`segpredict` on a video: its frames with overlays, as a video again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rich.console import Console

from segtrain.commands.prediction import Classes, ImagePredictor, draw_overlay
from segtrain.commands.video_file import VideoFile, open_video
from segtrain.distributed.signals import Stopped, StopSignals
from segtrain.errors import InputError, SaveError
from segtrain.files import inside
from segtrain.progress import progress_bar
from segtrain.viz.drawing import save_labels


def predict_video(
    source: Path,
    folder: Path,
    predict_image: ImagePredictor,
    classes: Classes,
    config: dict[str, Any],
    console: Console,
) -> Path:
    """Writes folder/NAME.mp4, whole or not at all, and with `frame_labels` labels/NAME_000000.png and on.

    Returns:
        Its path.

    Raises:
        InputError: the video cannot be read, or ends before its last frame.
        SaveError: it cannot be written.
        Stopped: SIGTERM or Ctrl-C came.
    """
    reader = cv2.VideoCapture(str(source))
    frames, rate = round(reader.get(cv2.CAP_PROP_FRAME_COUNT)), reader.get(cv2.CAP_PROP_FPS) or 25.0
    path = folder / f"{source.stem}.mp4"
    if path.is_file() and path.samefile(source):
        raise InputError(f"output={folder}: the video would replace itself", do="choose another output=")
    partial = path.with_name(".part.mp4")  # OpenCV goes by the suffix
    folder.mkdir(parents=True, exist_ok=True)
    writer: VideoFile | None = None
    done, only = 0, {"legend": config["legend"], "every": True}  # a legend of one width for all frames
    bar = progress_bar(
        "predicting", frames if frames > 0 else None, console=console, quiet=not console.is_terminal
    )
    try:
        with bar as advance, StopSignals() as stop:
            while (frame := reader.read()[1]) is not None:
                if stop.requested:
                    raise Stopped(stop.number, f"at frame {done}; a video is made as a whole: start it again")
                image: np.ndarray = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
                name = f"{source.stem}_{done:06d}"
                labels, _ = predict_image(image, name)
                overlaid = draw_overlay(image, labels, classes, config["overlay"], **only)
                writer = writer or open_video(partial, rate, overlaid.shape)
                writer.write(overlaid)
                if config["frame_labels"] and labels.ndim == 2:
                    save_labels(labels, inside(folder / "labels", f"{name}.png"), classes.palette)
                done += 1
                advance(1)
        if writer is None:
            raise InputError(
                f"input={source}: not a video, or none that OpenCV reads", do="give another file"
            )
        writer.close()
        if writer.note:
            console.print(writer.note, markup=False)
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
