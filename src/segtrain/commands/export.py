"""What `segexport` does: a checkpoint's network in another format, with how far it is from ours."""

from pathlib import Path
from typing import Any, get_args

from torch import nn

from segtrain.commands.build import restore_model, saved_input, task_of
from segtrain.commands.export_scores import Written, calibration_samples, score
from segtrain.commands.paths import relative
from segtrain.engine.checkpoint import Checkpoint
from segtrain.errors import InputError
from segtrain.export.formats import SMALLEST, SUFFIX, export_model
from segtrain.export.network import LogitDifference, Output
from segtrain.files import user_path
from segtrain.input_spec import InputSpec
from segtrain.layers.normalize import Normalize
from segtrain.progress import Terminal
from segtrain.viz.tables import table


def export_checkpoint(config: dict[str, Any], saved: Checkpoint, folder: Path) -> None:
    """Writes `out`, or a file below `folder`, reads it back and prints the largest differences.

    Args:
        config: the checkpoint's, with the user's keys on top.

    Raises:
        InputError: an unknown format, a size too small, or a network that cannot be exported.
    """
    form = config["format"]
    if form == "hub":
        from segtrain.commands.export_hub import export_hub

        export_hub(config, saved, folder)
        return
    check_export(config)
    path = user_path(config["out"]) if config["out"] else folder / f"model{SUFFIX[form]}"
    spec, task, model = saved_input(saved), task_of(config), restore_model(config["model"], saved)
    console = Terminal(soft_wrap=True, highlight=False)
    if form != "safetensors" and config["dynamic"]:
        console.print("following the network for images of any size: a deep one takes a minute or more")
    differences = export_model(
        model,
        form,
        path,
        tuple(config["size"]),
        about_model(config, saved, model),
        dynamic=config["dynamic"],
        output=config["output"],
        task=task,
    )
    console.print(differences_table(differences))
    if form != "safetensors":
        console.print(takes_and_gives(config, spec, task.channels(len(saved.meta["class_names"]))))
    if form != "safetensors" and task.name != "softmax" and config["output"] == "logits":
        console.print(f"task={task.name}: of the class where a logit's sigmoid is above {task.threshold}")
    files = [Written(form, path)]
    if config["quantize"]:
        from segtrain.export.quantize import quantize

        files.append(Written("int8", path.with_suffix(f".int8{SUFFIX[form]}")))
        quantize(path, files[-1].path, calibration_samples(config, spec))
    for name, file in files:
        console.print(f"{name}: {relative(file)} ({size_of(file) / 1e6:.1f} MB)", markup=False)
    if config["evaluate"] or config["quantize"]:
        score(config, model, spec, files, console)


def check_export(config: dict[str, Any]) -> None:
    """Raises InputError for keys that do not fit each other."""
    form, size = config["format"], config["size"]
    if form not in SUFFIX:
        raise InputError(f"format={form}: no such format", do=f"there are {', '.join([*SUFFIX, 'hub'])}")
    if len(size) != 2 or not all(isinstance(side, int) and side >= SMALLEST for side in size):
        raise InputError(f"size={size}", do=f"give height and width, at least [{SMALLEST},{SMALLEST}]")
    if config["output"] not in get_args(Output):
        raise InputError(f"output={config['output']}: no such output", do="give logits or labels")
    if config["quantize"] and form != "onnx":
        raise InputError(f"quantize=int8 format={form}: only ONNX is quantised", do="use format=onnx")
    if form == "openvino" and config["out"] and not config["out"].endswith(".xml"):
        do = "give a name that ends in .xml; its weights lie beside it as .bin"
        raise InputError(f"format=openvino out={config['out']}", do=do)
    if form == "safetensors" and (config["evaluate"] or config["output"] != "logits"):
        raise InputError("format=safetensors holds tensors, and no network to run", do="use format=onnx")


def about_model(config: dict[str, Any], saved: Checkpoint, model: nn.Module) -> dict[str, Any]:
    """What the file says of the model: classes, palette, its images, what it gives, its config.

    `normalization` is what the network itself does with an image's numbers, (image - mean) / std: the
    reader of the file gives them as they are, in `range`.
    """
    spec = saved_input(saved)
    own = next((module for module in model.modules() if isinstance(module, Normalize)), None)
    numbers = {name: own.get_buffer(name).flatten().tolist() for name in ("mean", "std")} if own else None
    about = {key: saved.meta[key] for key in ("class_names", "palette")}
    about |= {key: config[key] for key in ("model", "task", "threshold", "output")}
    return about | {"input": spec.as_json(), "normalization": numbers, "range": spec.range}


def differences_table(differences: list[LogitDifference]):
    """A line an image that was compared."""
    result = table("read back", "image", "largest difference", "logits up to", "other labels")
    for (height, width), largest, limit, labels in differences:
        numbers = ("-", "-") if largest is None else (f"{largest:.2e}", f"{limit:.3g}")
        result.add_row(f"{height}×{width}", *numbers, f"{labels:.4%}")
    return result


def takes_and_gives(config: dict[str, Any], spec: InputSpec, channels: int) -> str:
    """The line that says what the file's network takes and gives."""
    kind = "uint8" if spec.dtype == "uint8" else "float32"
    numbers = f"{kind} {'RGB ' * spec.is_rgb8}1×{spec.channels}×H×W"
    sizes = "of any size" if config["dynamic"] else f"of {'×'.join(map(str, config['size']))} alone"
    gives = f"logits 1×{channels}×H×W"
    if config["output"] == "labels":
        gives = "labels uint8 1×H×W" + f"×{channels} of 0 and 1" * (config["task"] == "multilabel")
    return f"takes images {sizes}: {numbers} to {gives}"


def size_of(file: Path) -> int:
    """Bytes of a file, with OpenVINO's numbers beside it."""
    beside = file.with_suffix(".bin") if file.suffix == ".xml" else None
    return file.stat().st_size + (beside.stat().st_size if beside else 0)
