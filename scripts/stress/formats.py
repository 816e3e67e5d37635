"""Spoilt files of every kind that segtrain reads, in processes with a limit of memory and of time."""

import json
import os
import random
import resource
import signal
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml

from scripts.stress._command import context

PROMISE = "A spoilt image, mask, annotation file, list or checkpoint is read, or refused in a line"
FULL, SAMPLE = 50_000, 200
BATCH = 1000  # files a process
MEMORY, SECONDS = 3 << 30, 10  # bytes beyond a process's own, and of processor time
WALL = 1800  # seconds of a process, however busy the machine is


class Kind(NamedTuple):
    """A file to spoil: its bytes, the path to write them to, and what reads it."""

    name: str
    content: bytes
    path: Path
    read: Callable[[Path], Any]


class TooSlow(BaseException):
    pass


def run(count: int, seed: int, folder: Path) -> str:
    totals = {"read": 0, "refused": 0}
    starts = list(range(0, count, BATCH))
    width = os.cpu_count() or 1
    for at in range(0, len(starts), width):
        running = [(start, try_batch(start, count, seed, folder)) for start in starts[at : at + width]]
        try:
            for start, process in running:
                process.join(WALL)
                found = end(process, start, seed, folder)
                for key in totals:
                    totals[key] += found[key]
        finally:  # where one is broken, the others write no more
            for _, process in running:
                process.kill()
                process.join()
    return f"{count} files: {totals['read']} read, {totals['refused']} refused, no traceback, no crash"


def try_batch(start: int, count: int, seed: int, folder: Path) -> Any:
    numbers = range(start, min(start + BATCH, count))
    process = context.Process(target=work, args=(numbers, seed, folder / str(start)))
    process.start()
    return process


def end(process: Any, start: int, seed: int, folder: Path) -> dict[str, int]:
    """What a process has counted. Raises AssertionError where it crashed, hangs or found a traceback."""
    own = folder / str(start)
    last = (own / "at.txt").read_text() if (own / "at.txt").exists() else "its beginning"
    if process.exitcode is None:
        process.kill()
        process.join()
        raise AssertionError(f"hangs at {last}, seed {seed}")
    assert process.exitcode == 0, f"the process left with {process.exitcode} at {last}, seed {seed}"
    found = json.loads((own / "found.json").read_text())
    assert not found["broken"], f"{len(found['broken'])}, the first: {found['broken'][0]}, seed {seed}"
    return found


def work(numbers: range, seed: int, folder: Path) -> None:
    """Spoils and reads the files of these numbers; `found.json` gets what came of it."""
    folder.mkdir(parents=True)
    warnings.simplefilter("ignore")  # of Pillow and NumPy, about a file that is read or refused
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # libtiff writes there
    every = kinds(folder)
    others = [kind.content for kind in every]
    limit_memory()
    signal.signal(signal.SIGPROF, _too_slow)
    found: dict[str, Any] = {"read": 0, "refused": 0, "broken": []}
    for number in numbers:
        rng = random.Random(f"{seed} {number}")
        kind = rng.choice(every)
        (folder / "at.txt").write_text(f"file {number}, {kind.name}")
        try:
            outcome = one(kind, rng, others)
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"[:300]
            found["broken"].append(f"file {number}, {kind.name}: {said}")
        else:
            found[outcome] += 1
    (folder / "found.json").write_text(json.dumps(found))


def one(kind: Kind, rng: random.Random, others: list[bytes]) -> str:
    """Spoils a file and reads it: `read` or `refused`. Raises whatever else the reader raises."""
    from scripts.stress._files import spoilt, with_digest
    from segtrain.config.wording import CONFIG_ERRORS
    from segtrain.errors import SegtrainError

    content = spoilt(kind.content, rng, others, kind.path.suffix)
    if kind.path.suffix == ".ckpt" and rng.random() < 0.7:
        content = with_digest(content)
    kind.path.write_bytes(content)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        kind.read(kind.path)
        return "read"
    except SegtrainError as error:
        said = str(error)
        assert "\n" not in said, f"no line: {said}"
        assert len(said) < 1500, f"{len(said)} characters: {said}"
        assert ";" in said, f"does not say what to do: {said}"
        return "refused"
    except CONFIG_ERRORS:
        return "refused"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        kind.path.write_bytes(kind.content)


def _too_slow(*_: object) -> None:
    raise TooSlow(f"{SECONDS} s of processor time")


def limit_memory() -> None:
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def kinds(folder: Path) -> list[Kind]:
    """Every file, with its readers."""
    from scripts.stress._files import a_config, checkpoint_of, images, texts, write_exports

    made = []
    for name, content in images(np.random.default_rng(0)).items():
        for reader_name, read in readers(name).items():
            made.append(Kind(f"{name} by {reader_name}", content, folder / name, read))
    for name, content in texts().items():
        made.append(Kind(name, content, folder / name, text_reader(name)))
    for name, files in write_exports(folder / "exports").items():
        of_one = sorted(files, key=str)
        read = export_reader(name, folder / "exports" / name)
        made += [Kind(f"{name}, {path.name}", path.read_bytes(), path, read) for path in of_one] * 3
    path = folder / "good.ckpt"
    made += [Kind("a checkpoint", checkpoint_of(folder, a_config()), path, read_checkpoint)] * 8
    for kind in made:
        kind.path.write_bytes(kind.content)
        if kind.name not in ("cmyk.jpg by the image's reader",):
            kind.read(kind.path)  # is good
    return made


def readers(name: str) -> dict[str, Callable[[Path], Any]]:
    """What reads files of a name, whether or not a good one is refused."""
    from segtrain.data.io.images import read_image
    from segtrain.data.io.masks import read_colours, read_mask
    from segtrain.data.io.mat import read_mat
    from segtrain.data.io.opening import orientation
    from segtrain.data.io.rasters import read_raster
    from segtrain.data.io.stacks import read_stack

    if name.endswith(".mat"):
        return {"MATLAB's reader": partial(read_mat, names=("GTcls", "Segmentation"))}
    if name == "stack.npz":
        return {"the stacks' reader": partial(read_stack, class_names=("a", "b"))}
    found: dict[str, Callable[[Path], Any]] = {"the image's reader": read_raster}
    if name.split(".")[0] in ("grey", "palette", "bits", "deep"):
        found["the mask's reader"] = read_mask
    if name.split(".")[0] in ("rgb", "palette", "grey"):
        found["the image's reader in RGB"] = read_image
        every = {(r, g, b): 1 for r in range(0, 256, 255) for g in (0, 9) for b in (0,)}
        found["the colours' reader"] = partial(read_snapped, labels=every, read=read_colours)
        found["the orientation's reader"] = orientation
    return found


def read_snapped(path: Path, labels: dict, read: Callable) -> np.ndarray:
    return read(path, labels, snap=True)


def text_reader(name: str) -> Callable[[Path], Any]:
    from segtrain.config.data_file import adopt_data_files
    from segtrain.data.datasets.classes import find_classes
    from segtrain.data.io.files import read_list
    from segtrain.data.io.label_map import parse_label_map

    if name == "train.list":
        return read_list
    if name == "data.yaml":
        return lambda path: adopt_data_files([f"data={path}"])
    if name == "classes.yaml":
        return lambda path: find_classes(path.parent, None, None, None, None)
    return lambda path: parse_label_map(str(path), 255)


def export_reader(name: str, root: Path) -> Callable[[Path], Any]:
    """Reads an annotation tool's data set, each sample of it."""
    from segtrain.config.compose import CONFIG_DIR
    from segtrain.config.instantiate import instantiate

    node = yaml.safe_load((CONFIG_DIR / f"data/{name.removesuffix('_masks')}.yaml").read_text())
    node["root"] = str(root)

    def read(_: Path) -> None:
        data = instantiate(node, "data")
        for split in (data.train, data.val):
            for i in range(len(split)):
                split[i]

    return read


def read_checkpoint(path: Path) -> None:
    from segtrain.commands.build import read_checkpoint as read
    from segtrain.engine.checkpoint import read_meta

    read_meta(path)
    read(path)
