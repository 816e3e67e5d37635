"""What `segexport` does: a checkpoint's network in another format, with how far it is from ours."""

from pathlib import Path
from typing import Any

from segtrain.commands.build import restore_model, saved_input, task_of
from segtrain.commands.paths import relative
from segtrain.engine.checkpoint import Checkpoint
from segtrain.errors import InputError
from segtrain.export.formats import SMALLEST, SUFFIX, export_model
from segtrain.progress import Terminal
from segtrain.viz.tables import table


def export_checkpoint(config: dict[str, Any], saved: Checkpoint, folder: Path) -> None:
    """Writes `out`, or a file below `folder`, reads it back and prints the largest differences.

    Args:
        config: the checkpoint's, with the user's keys on top.

    Raises:
        InputError: an unknown format, a size too small, or a network that cannot be exported.
    """
    form, size = config["format"], config["size"]
    if form == "hub":
        from segtrain.commands.export_hub import export_hub

        export_hub(config, saved, folder)
        return
    if form not in SUFFIX:
        raise InputError(f"format={form}: no such format", do=f"there are {', '.join([*SUFFIX, 'hub'])}")
    if len(size) != 2 or not all(isinstance(side, int) and side >= SMALLEST for side in size):
        raise InputError(f"size={size}", do=f"give height and width, at least [{SMALLEST},{SMALLEST}]")
    path = Path(config["out"]).expanduser() if config["out"] else folder / f"model{SUFFIX[form]}"
    about = {key: saved.meta[key] for key in ("class_names", "palette")}
    about |= {key: config[key] for key in ("model", "task", "threshold")}
    spec = saved_input(saved)
    about["input"] = spec.as_json()
    task = task_of(config)
    model = restore_model(config["model"], saved)
    console = Terminal(soft_wrap=True, highlight=False)
    if form != "safetensors" and config["dynamic"]:
        console.print("following the network for images of any size: a deep one takes a minute or more")
    differences = export_model(model, form, path, tuple(size), about, dynamic=config["dynamic"], task=task)

    result = table("read back", "image", "largest difference", "logits up to", "other labels")
    for size, largest, limit, labels in differences:
        result.add_row(f"{size[0]}×{size[1]}", f"{largest:.2e}", f"{limit:.3g}", f"{labels:.4%}")
    console.print(result)
    if form != "safetensors":
        kind = "uint8" if spec.dtype == "uint8" else "float32"
        takes_numbers = f"{kind} {'RGB ' * spec.is_rgb8}1×{spec.channels}×H×W"
        takes = "of any size" if config["dynamic"] else f"of {'×'.join(map(str, config['size']))} alone"
        channels = task.channels(len(about["class_names"]))
        console.print(f"takes images {takes}: {takes_numbers} to logits 1×{channels}×H×W")
        if task.name != "softmax":
            console.print(f"task={task.name}: of the class where a logit's sigmoid is above {task.threshold}")
    console.print(f"{form}: {relative(path)} ({path.stat().st_size / 1e6:.1f} MB)", markup=False)
