"""`segpredict` on scenes: images of any size, tile by tile, and those with a place on the ground."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from segtrain.commands.outputs import Outputs
from segtrain.commands.paths import relative
from segtrain.commands.prediction import Classes, ImagePredictor, draw_overlay
from segtrain.contracts import IGNORE_INDEX
from segtrain.data.crops.boxes import Box
from segtrain.data.io.geotiff import TiffContent, write_geotiff
from segtrain.data.io.scenes import Scene, mean_filled, read_window, scene_of
from segtrain.data.io.vectors import write_polygons
from segtrain.distributed.signals import Stopped, StopSignals
from segtrain.errors import InputError
from segtrain.evaluation.tiling import Blender, spans
from segtrain.files import as_argument, inside, write_atomically
from segtrain.progress import Terminal, progress_bar
from segtrain.viz.drawing import write_image

UNFINISHED = "unfinished"  # folder of the rows of scenes that are not done
OVERVIEW = 2048  # the longer side of an overlay
STEPS = 10_000  # of a probability in a GeoTIFF: it is stored in ten-thousandths
WITHOUT = 65535  # a probability's pixel without data


class SceneWriter:
    """Writes the outputs of scenes: labels, and on request an overlay, probabilities and polygons.

    The scene is read, predicted and written a row of tiles at a time. Each finished row is a file below
    `unfinished`: a run that was killed continues behind the last one, and its outputs are made of them at
    the end, so that they have the same bytes whatever happened in between.

    Args:
        outputs: which ones, and where.
        predict_image: predicts the tiles.
        config: of the command.
    """

    def __init__(
        self, outputs: Outputs, predict_image: ImagePredictor, classes: Classes, config: dict[str, Any]
    ):
        self.outputs, self.predict_image, self.classes, self.config = outputs, predict_image, classes, config
        self.multilabel = predict_image.predict.task.multilabel

    def write(self, name: str, path: Path, stop: StopSignals, console: Terminal) -> None:
        """Predicts a scene and writes its outputs, each file whole or not at all.

        Raises:
            InputError: it cannot be read.
            SaveError: an output cannot be written.
            Stopped: SIGTERM or Ctrl-C came, and the row of tiles in hand is kept.
        """
        digests = self.outputs.digests(path)
        scene = scene_of(path)
        work = self._work(name, digests)
        self.outputs.made_from.begin(name, self.outputs.kinds)
        rows = SceneRows(work, self, name, path, scene)
        rows.predict(stop, console)
        self._write_outputs(name, rows)
        self.outputs.made_from.finish(name, self.outputs.kinds, digests)
        shutil.rmtree(work.parent, ignore_errors=True)
        with suppress(OSError):  # another scene is not done
            work.parents[1].rmdir()

    def _work(self, name: str, digests: dict[str, str]) -> Path:
        """The folder of a scene's finished rows; those that other inputs made are removed."""
        wanted = ",".join(f"{kind}:{digests[kind]}" for kind in self.outputs.kinds)
        above = inside(self.outputs.folder / UNFINISHED, hashlib.sha256(name.encode()).hexdigest()[:16])
        work = above / hashlib.sha256(wanted.encode()).hexdigest()[:16]
        for other in above.glob("*"):
            if other != work:
                shutil.rmtree(other, ignore_errors=True)
        return work

    def _write_outputs(self, name: str, rows: SceneRows) -> None:
        """The outputs of a scene whose rows are all there."""
        names, palette, scene, outputs = self.classes.names, self.classes.palette, rows.scene, self.outputs
        several = len(names) if self.multilabel else 1
        labels = TiffContent("uint8", several, IGNORE_INDEX, names, None if self.multilabel else palette)
        kept = rows.work / "labels.tif"
        write_geotiff(kept, partial(rows.all, "labels"), scene, labels, rows.work)
        if "overlays" in outputs.kinds:
            shown, small = (np.concatenate([*rows.all(kind)], 1) for kind in ("shown", "small"))
            image, drawn = (np.ascontiguousarray(one.transpose(1, 2, 0)) for one in (shown, small))
            overlaid = draw_overlay(
                image,
                drawn if self.multilabel else drawn[..., 0],
                self.classes,
                self.config["overlay"],
                legend=self.config["legend"],
            )
            write_image(Image.fromarray(overlaid), outputs.path(name, "overlays"), quality=92)
        if "probabilities" in outputs.kinds:
            values = TiffContent("uint16", len(names), WITHOUT, names, scale=1 / STEPS, resampling="average")
            path = outputs.path(name, "probabilities")
            write_geotiff(path, partial(rows.all, "probabilities"), scene, values, rows.work)
        if "polygons" in outputs.kinds:
            write_polygons(outputs.path(name, "polygons"), kept, names, rows.work)
        path = outputs.path(name, "labels")
        path.parent.mkdir(parents=True, exist_ok=True)
        if not self.multilabel:
            side = kept.with_name(f"{kept.name}.aux.xml")
            side.replace(path.with_name(f"{path.name}.aux.xml"))
        kept.replace(path)


class SceneRows:
    """The rows of tiles of a scene, each predicted once.

    Args:
        work: folder of the finished ones.
        writer: whose scene it is.
        name, path, scene: of the scene.
    """

    def __init__(self, work: Path, writer: SceneWriter, name: str, path: Path, scene: Scene):
        config, predict_image = writer.config, writer.predict_image
        self.work, self.name, self.path, self.scene = work, name, path, scene
        self.read, self.kinds = writer.outputs.read, writer.outputs.kinds
        self.predict_image, self.multilabel = predict_image, writer.multilabel
        limit, pixels = config["large_above"], scene.height * scene.width
        large = limit is not None and pixels > limit
        self.blender = Blender(
            (scene.height, scene.width),
            tile=config["tile"] if large else max(scene.height, scene.width, 32),
            overlap=config["overlap"] if large else 0,
            classes=len(writer.classes.names),
            predict=self._predict,
            batch_size=config["batch_size"],
        )
        self.every = -(-max(scene.height, scene.width) // OVERVIEW)  # pixels to one of the overlay
        self._held = (0, np.zeros(0), np.zeros(0))  # the last rows of the image that were read
        self._invalid = np.zeros(0)  # of the row of tiles that is predicted

    def file(self, number: int) -> Path:
        """What a finished row is kept in."""
        return self.work / f"{number:06d}.npz"

    def all(self, kind: str) -> Iterator[np.ndarray]:
        """An array of every row, from the top down."""
        for number in range(len(self.blender.rows)):
            with np.load(self.file(number), allow_pickle=False) as arrays:
                yield arrays[kind]

    def predict(self, stop: StopSignals, console: Terminal) -> None:
        """Predicts the rows that are not there; the next one is read, and the last one kept, meanwhile.

        Raises:
            InputError, SaveError, Stopped: as `SceneWriter.write`.
        """
        total = len(self.blender.rows)
        done = next((i for i in range(total) if not self.file(i).is_file()), total)
        if done == total:
            return
        first = self.blender.first_needed(done)
        bar = progress_bar(f"predicting {self.name}", total, console=console, done=done)
        with bar as advance, ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as keeper:
            coming: Future = reader.submit(self._read, first)
            keeping: Future | None = None
            for number in range(first, total):
                image, invalid = coming.result()
                if number + 1 < total:
                    coming = reader.submit(self._read, number + 1)
                arrays = self._row(number, image, invalid)
                if keeping is not None:
                    keeping.result()
                    advance(1)
                if number >= done:
                    keeping = keeper.submit(self._keep, number, arrays)
                if stop.requested:
                    break
            if keeping is not None:
                keeping.result()
                advance(1)
        if not self.file(total - 1).is_file():
            kept = next(i for i in range(total) if not self.file(i).is_file())
            folder = relative(self.work.parents[2])
            resume = f"to continue, run it again with {as_argument('output', folder)}"
            raise Stopped(stop.number, f"after {kept} of {total} rows of tiles of {self.name}; {resume}")

    def _keep(self, number: int, arrays: dict[str, np.ndarray]) -> None:
        write = partial(np.savez_compressed, **arrays)  # type: ignore[arg-type]
        write_atomically(self.file(number), write)

    def _read(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """The image's rows under a row of tiles, h×W×C, and where they have no data; those that the row
        before read are not read again."""
        row = self.blender.rows[number]
        stop, image, invalid = self._held
        known = max(stop - row.start, 0)
        box = Box(0, row.start + known, self.scene.width, row.stop - row.start - known)
        new, without = self.read.with_invalid(self.path, lambda path: read_window(path, box))
        without = np.zeros(new.shape[:2], bool) if without is None else without
        if known:
            new, without = np.concatenate([image[-known:], new]), np.concatenate([invalid[-known:], without])
        self._held = row.stop, new, without
        return new, without

    def _row(self, number: int, image: np.ndarray, invalid: np.ndarray) -> dict[str, np.ndarray]:
        """What is kept of a row of tiles."""
        row, width, classes = self.blender.rows[number], self.scene.width, self.blender.classes
        height, task = row.end - row.begin, self.predict_image.predict.task
        labels = np.full((classes if self.multilabel else 1, height, width), IGNORE_INDEX, np.uint8)
        arrays: dict[str, np.ndarray] = {"labels": labels}
        if "probabilities" in self.kinds:
            arrays["probabilities"] = np.full((classes, height, width), WITHOUT, np.uint16)
        self._invalid = invalid
        for piece in self.blender.pieces(number, image):
            columns = slice(piece.left, piece.left + piece.probabilities.shape[2])
            found = task.image_labels(np.ascontiguousarray(piece.probabilities))
            labels[:, :, columns] = found.transpose(2, 0, 1) if self.multilabel else found
            if "probabilities" in arrays:
                arrays["probabilities"][:, :, columns] = np.round(piece.probabilities * STEPS)
        here = np.s_[row.begin - row.start : row.end - row.start]
        for kind, array in arrays.items():
            array[:, invalid[here]] = IGNORE_INDEX if kind == "labels" else WITHOUT
        if "overlays" in self.kinds:
            chosen = np.s_[-row.begin % self.every :: self.every, :: self.every]
            shown = self.predict_image.spec.to_rgb(mean_filled(image[here][chosen], invalid[here][chosen]))
            arrays |= {"shown": shown.transpose(2, 0, 1), "small": labels[:, chosen[0], chosen[1]]}
        return arrays

    def _predict(self, tiles: list[tuple[int, int, np.ndarray]]) -> list[np.ndarray | None]:
        """The class probabilities of tiles of one row; a tile without data is not predicted."""
        images: list[np.ndarray] = []
        names: list[str] = []
        result: list[int | None] = []
        for top, left, tile in tiles:
            invalid = self._invalid[:, left : left + tile.shape[1]]
            if invalid.all():
                result.append(None)
                continue
            result.append(len(images))
            images.append(mean_filled(tile, invalid if invalid.any() else None))
            names.append(f"{self.name}_{left}_{top}")
        found = self.predict_image.probabilities_of(images, names) if images else None
        return [None if found is None or i is None else found[i] for i in result]


def check_scenes_wanted(config: dict[str, Any], scenes: list[tuple[str, Path]]) -> None:
    """Raises InputError where what is wanted does not fit to the scenes among the images."""
    if scenes:
        spans(1, config["tile"], config["overlap"])  # says what does not fit
    if config["polygons"] and not scenes:
        raise InputError(
            f"polygons={config['polygons']}: no image has a place on the ground, or is large",
            do="add large_above=0, which makes scenes of all images",
        )
    if config["polygons"] and config["task"] == "multilabel":
        raise InputError("polygons of several classes a pixel are not written", do="leave polygons= out")
    if config["steps"] and scenes:
        raise InputError(
            f"steps=true: {scenes[0][1]} is a scene, whose steps are not drawn", do="leave it out"
        )
