"""`task=`: what it asks of the other groups, checked before anything is built."""

from typing import Any

from segtrain.errors import InputError

ONE_IMAGE_ONE_MAP = ("DeconvNetWindows", "Watershed")  # inferences that take one map of classes an image


def with_task(config: dict[str, Any]) -> dict[str, Any]:
    """The config with as many logits as its task has.

    Args:
        config: resolved; checkpoints from before there were tasks are `softmax`.

    Raises:
        InputError: a group or a threshold that does not fit the task.
    """
    task, threshold = config.get("task", "softmax"), config.get("threshold")
    _check_threshold(task, threshold)
    if task == "softmax":
        return config
    classes = config["data"]["num_classes"]
    if task == "binary" and classes != 2:
        raise InputError(
            f"task=binary: data must have 2 classes, background and object, got {classes}",
            do="use task=softmax, or name the two in data.label_map",
        )
    if "mean_field" in config["model"]:
        raise InputError(
            f"task={task}: the model's CRF works on the logits of classes", do="use task=softmax"
        )
    if task == "multilabel":
        _check_multilabel(config)
        return config
    return config | {"model": _with_one_logit(config["model"], classes)}


def _check_threshold(task: str, threshold: Any) -> None:
    if threshold == "auto" and task != "binary":
        raise InputError(f"threshold=auto: task={task} chooses none", do="add task=binary, or give a number")
    if threshold is None or threshold == "auto":
        return
    if not 0 < threshold < 1:
        raise InputError(f"threshold must be between 0 and 1, got {threshold}", do="0.5 is usual")
    if task == "softmax" and threshold != 0.5:
        raise InputError(
            f"threshold={threshold}: task=softmax takes the most probable class",
            do="add task=binary for data of two classes",
        )


def _check_multilabel(config: dict[str, Any]) -> None:
    """Raises InputError for what has no meaning where a pixel has several labels."""
    if config.get("crf"):
        raise InputError(
            "crf=true: the CRF gives every pixel one class, but task=multilabel several",
            do="leave it out, or use task=softmax",
        )
    if config.get("crops"):
        raise InputError("crops=: task=multilabel takes whole images", do="leave it out, or use augment=crop")
    if config.get("submission"):
        raise InputError("submission=true: servers take one class a pixel", do="leave it out")
    target = str((config.get("inference") or {}).get("_target_", ""))
    if target.endswith(ONE_IMAGE_ONE_MAP):
        raise InputError(
            f"inference: {target.rpartition('.')[2]} gives a pixel one class, task=multilabel several",
            do="use inference=whole or inference=sliding",
        )
    for name, node in (config.get("loss") or {}).items():
        if isinstance(node, dict) and node.get("class_weights") is not None:
            raise InputError(
                f"loss.{name}.class_weights: task=multilabel has a yes or no a class, not one class a pixel",
                do="use loss=bce with loss.bce.positive_weight",
            )


def _with_one_logit(node: Any, classes: int) -> Any:
    """A model's config whose `num_classes`, where it is the data's, is 1."""
    if not isinstance(node, dict):
        return node
    ours = {key: _with_one_logit(value, classes) for key, value in node.items()}
    return ours | ({"num_classes": 1} if node.get("num_classes") == classes else {})
