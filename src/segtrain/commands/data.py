"""What `segdata` does: checks a data set, counts it, or shows it as training sees it."""

import json
from collections.abc import Mapping
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from PIL import Image
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from segtrain.commands.convert_data import DATA, convert_data
from segtrain.commands.paths import relative, write_yaml
from segtrain.commands.propose_data import propose_data
from segtrain.commands.titles import data_title, formats_of
from segtrain.config.data_node import make_data
from segtrain.config.instantiate import describe_type, fits, instantiate
from segtrain.contracts import IGNORE_INDEX, Split
from segtrain.data.checks.check import DataReport, check_data, shared_groups
from segtrain.data.checks.frequencies import median_frequency_weights
from segtrain.data.checks.input import measure_input
from segtrain.data.checks.sample_check import KINDS, Fault
from segtrain.data.checks.stats import split_stats, stats_figure, to_json
from segtrain.data.datasets.folds import Folded
from segtrain.data.datasets.splits import split_of, splits_of
from segtrain.engine.loader import Augmented, TrainingStream
from segtrain.errors import InputError, SegtrainError
from segtrain.files import user_path
from segtrain.loggers.run_log import WIDTH
from segtrain.progress import Terminal
from segtrain.viz.drawing import write_figure, write_image
from segtrain.viz.preview import draw_samples
from segtrain.viz.tables import table
from segtrain.wording import how_many

SHOWN = 6  # faults of a kind that the terminal shows; the report has all
TYPES = {
    "action": Literal["check", "stats", "preview", "convert"],
    "to": str | None,
    "accept": list[str],
    "images": int,
    "split": Literal["train", "val", "test"],
    "seed": int,
    "plots": bool | Literal["svg", "pdf"] | list[Literal["svg", "pdf"]],
}


def look_at_data(config: dict[str, Any], option: str, folder: Path) -> None:
    """Does what `action` says and leaves its results in `folder`.

    Args:
        option: the option that `data=` chose.

    Raises:
        InputError: a wrong value; after the report, a data set with faults.
    """
    for key, annotation in TYPES.items():
        if not fits(config[key], annotation):
            raise InputError(f"{key}={config[key]}", do=f"give {describe_type(annotation)}")
    if config["images"] < 1 or config["seed"] < 0:
        raise InputError("images and seed", do="give at least 1 and 0")
    unknown = [kind for kind in config["accept"] if kind not in KINDS]
    if unknown:
        raise InputError(f"accept={unknown[0]}: no such kind", do=f"there are {', '.join(KINDS)}")
    console = Terminal(soft_wrap=True, width=None if Terminal().is_terminal else WIDTH)
    write_yaml(config, folder / "config.yaml")
    actions = {"check": check, "stats": stats, "preview": preview, "convert": convert}
    actions[config["action"]](config, option, folder, console)


def check(config: dict[str, Any], option: str, folder: Path, console: Terminal) -> None:
    """Reports all that is wrong, and proposes a label map where the masks need one."""
    report = check_data(partial(make_data, config["data"]), partial(_progress, console))
    _show(report.faults, config["accept"], console)
    _show_alike(report, console)
    _show_own_groups(report, console)
    _write_json(_report_json(report, config["accept"]), folder / "check.json")
    propose_data(report, config["data"], folder, console, partial(_progress, console))
    counted = [fault for fault in report.faults if fault.kind not in config["accept"]]
    read = sizes_of(report.splits) or "none made"
    if counted:
        faults = "1 fault" if len(counted) == 1 else f"{len(counted)} faults"
        raise InputError(f"data={option}: {faults}; images: {read}; report: {relative(folder)}/check.json")
    console.print(f"data={option}: no fault; images: {read}; report: {relative(folder)}/check.json")


def _show(faults: list[Fault], accepted: list[str], console: Terminal) -> None:
    """The faults by kind, the first few of each."""
    for kind, title in KINDS.items():
        own = [fault for fault in faults if fault.kind == kind]
        if own:
            note = ", accepted" if kind in accepted else ""
            console.print(f"{title}: {len(own)} ({kind}{note})", style="bold", highlight=False)
        for fault in own[:SHOWN]:
            console.print(f"  {fault.where}: {fault.what}", highlight=False)
        if len(own) > SHOWN:
            console.print(f"  and {len(own) - SHOWN} more, in the report", highlight=False)


def _show_alike(report: DataReport, console: Terminal) -> None:
    """How many images look like one of another split, and the first pairs."""
    for pair in dict.fromkeys((one.other_split, one.split) for one in report.alike):
        own = [one for one in report.alike if (one.other_split, one.split) == pair]
        title = f"{len(own)} of {len(report.splits[pair[1]])} images in {pair[1]} look like one in {pair[0]}"
        console.print(f"{title} (no fault: so do neighbours in a video)", style="bold", highlight=False)
        for one in own[:SHOWN]:
            console.print(f"  {one.where} like {one.other}, {one.bits} of 64 bits differ", highlight=False)
        if len(own) > SHOWN:
            console.print(f"  and {len(own) - SHOWN} more, in the report", highlight=False)


def _show_own_groups(report: DataReport, console: Terminal) -> None:
    """Which groups the data set's own splits have torn apart, that `data.group` brings together again."""
    if isinstance(report.data, Folded):
        own = {name: split for name, split in splits_of(report.data.data).items() if name != "test"}
        torn = shared_groups(report.data, own)
        if torn:
            named = "; ".join(f"{fault.where}: {fault.what}" for fault in torn[:SHOWN])
            what = f"{len(torn)} groups are in both of the data set's own splits, not in these ({named})"
            console.print(what, highlight=False, markup=False)


def _report_json(report: DataReport, accepted: list[str]) -> dict[str, Any]:
    labels = dict(enumerate(report.data.class_names if report.data is not None else ())) | {
        IGNORE_INDEX: "ignored"
    }
    return {
        "faults": [fault._asdict() for fault in report.faults],
        "alike": [one._asdict() for one in report.alike],
        "accepted": accepted,
        "images": {name: len(split) for name, split in report.splits.items()},
        "pixels": {
            split: {name: int(pixels[label]) for label, name in labels.items()}
            for split, pixels in report.pixels.items()
        },
    }


def stats(config: dict[str, Any], option: str, folder: Path, console: Terminal) -> None:
    """Mean, std, sizes, class frequencies and the weights that balance them."""
    data = make_data(config["data"])
    names, found = data.class_names, {}
    for split, images_of in splits_of(data).items():
        with _progress(console, f"reading {split}", len(images_of)) as advance:
            found[split] = split_stats(images_of, advance)
    weights = median_frequency_weights(found["train"].frequencies(len(names)))
    shares = {split: one.shares(len(names)) for split, one in found.items()}
    images = {split: one.images(len(names)) for split, one in found.items()}
    columns = [f"{split} {what}" for split in found for what in ("%", "images")]
    title = f"data={option}: % of pixels, and images with the class"
    classes = table(title, "class", *columns, "median-frequency weight")
    for i, name in enumerate(names):
        cells = [(f"{100 * shares[split][i]:.3f}", str(images[split][i])) for split in found]
        classes.add_row(name, *(text for pair in cells for text in pair), f"{weights[i]:.3f}")
    console.print(classes)
    for split, one in found.items():
        colours = "RGB" if len(one.mean) == 3 else f"{len(one.mean)} channels,"
        mean, std = (", ".join(f"{v:.2f}" for v in values) for values in (one.mean, one.std))
        sizes = ", ".join(f"{w}×{h}: {n}" for (w, h), n in list(one.sizes.items())[:4])
        more = f" and {len(one.sizes) - 4} more sizes" if len(one.sizes) > 4 else ""
        console.print(
            f"{split}: {how_many(len(one.counts), 'image')}; {colours} mean {mean}, std {std}; {sizes}{more}",
            highlight=False,
        )
    _write_json(to_json(found, names, weights), folder / "stats.json")
    figure = stats_figure(found, names, data.palette, data_title(config["data"]))
    write_figure(figure, folder / "stats.png", 100, formats_of(config["plots"]))
    console.print(f"plot: {relative(folder)}/stats.png\nnumbers: {relative(folder)}/stats.json")


def preview(config: dict[str, Any], option: str, folder: Path, console: Terminal) -> None:
    """The first samples that a training with this `augment`, `crops` and `seed` would take, or of another
    split, as they are."""
    data = make_data(config["data"])
    images, training = split_of(data, config["split"]), config["split"] == "train"
    if config.get("crops") and training:
        images = instantiate(config["crops"], "crops", partial=True)(images)
    transforms = instantiate(config["augment"], "augment").values() if training else ()
    spec = measure_input(data, lambda _: None)
    augmented = Augmented(images, transforms, seed=config["seed"], spec=spec)
    stream = TrainingStream(len(images), 1, seed=config["seed"])
    samples = []
    for (key,) in islice(stream, config["images"]):
        sample = augmented[key]
        if isinstance(sample, SegtrainError):
            raise sample
        samples.append(sample)
    path, kind = folder / "preview.png", "augmented" if training else config["split"]
    title = f"{data_title(config['data'])}, {config['split']} split{', augmented' if training else ''}"
    write_image(Image.fromarray(draw_samples(samples, data.class_names, data.palette, title)), path)
    console.print(f"data={option}: {len(samples)} {kind} samples: {relative(path)}", highlight=False)


def convert(config: dict[str, Any], option: str, folder: Path, console: Terminal) -> None:
    """Writes the data set as folders of images and index masks to `to`."""
    if config["to"] is None:
        raise InputError("to= is missing", do="add to=DIR, a folder for the converted data set")
    to = user_path(config["to"])
    data = make_data(config["data"])
    written = convert_data(data, f"data={option}", to, partial(_progress, console))
    sizes = sizes_of({split: getattr(data, split) for split in written})
    changed = f"{sum(written.values())} files written" if any(written.values()) else "nothing changed"
    console.print(
        f"data={option}: {sizes}; {changed}; train on it: segtrain data={to}/{DATA}", highlight=False
    )


def sizes_of(splits: Mapping[str, Split]) -> str:
    """How many images the splits have: `4 in train, 2 in val and 1 in test`."""
    *most, last = [f"{len(split)} in {name}" for name, split in splits.items()] or [""]
    return f"{', '.join(most)} and {last}" if most else last


@contextmanager
def _progress(console: Terminal, what: str, total: int):
    """A bar, where there is a terminal; yields what advances it."""
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        yield partial(bar.advance, bar.add_task(what, total=total))


def _write_json(value: dict[str, Any], path: Path) -> None:
    path.write_text(json.dumps(value, indent=1), encoding="utf-8")
