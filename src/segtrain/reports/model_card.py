"""A model's card: what a network is, what it scored, how it was trained and how it is used, as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from segtrain.wording import how_many

SHOWN_CLASSES = 200  # rows of the table of classes, at most
TRAINING = ("max_steps", "batch_size", "accumulate", "seed", "precision")


class Card(NamedTuple):
    """What a card is made of.

    Attributes:
        name: of the model, `unet on camvid`. repository: USER/NAME, or None where it has none yet.
        license: as the Hub names them, `mit`; None where nobody said one.
        model, data: the options. parameters: of the network. images: the kind of images that it takes.
        class_names: of the checkpoint.
        metrics: what `metrics.json` holds; empty without one.
        config: of the run, resolved; empty without one.
        departures: from the paper's recipe, a line each.
        files: images beside the card -> what they show.
    """

    name: str
    repository: str | None
    license: str | None
    model: str
    data: str
    parameters: int
    images: str
    class_names: Sequence[str]
    metrics: Mapping[str, Any]
    config: Mapping[str, Any]
    departures: Sequence[str]
    files: Mapping[str, str]


def model_card(card: Card) -> str:
    """Writes the card.

    Args:
        card: what is known of the model.

    Returns:
        Markdown with the Hub's head in YAML. The same card gives the same text.

    Example:
        >>> model_card(card).splitlines()[0]
        '---'
    """
    parts = [_head(card), f"# {card.name}\n", _about(card), _scores(card), _use(card), _training(card)]
    return "\n".join(part for part in parts if part)


def _head(card: Card) -> str:
    lines = ["library_name: segtrain", "pipeline_tag: image-segmentation"]
    if card.license:
        lines.append(f"license: {card.license}")
    lines += ["tags:", "- segtrain", "- semantic-segmentation", f"- {card.model}"]
    return "\n".join(["---", *lines, "---", ""])


def _about(card: Card) -> str:
    text = (
        f"`model={card.model}` of segtrain, {card.parameters:,} parameters, trained on `data={card.data}`."
        f" It takes {card.images} and gives one of {len(card.class_names)} classes a pixel:"
        f" {', '.join(card.class_names)}.\n"
    )
    licensed = "" if card.license else "No license was given: ask the author before you use it.\n"
    return f"{text}\n{licensed}"


def _scores(card: Card) -> str:
    metrics = card.metrics
    if "mean_iou" not in metrics:
        return "## Scores\n\nNo evaluation lies beside the checkpoint.\n"
    interval = metrics.get("mean_iou_interval")
    between = f" (95 % over images: {_percent(interval[0])} to {_percent(interval[1])})" if interval else ""
    precision = metrics.get("conventions", {}).get("precision")
    lines = [
        "## Scores\n",
        f"Mean IoU **{_percent(metrics['mean_iou'])} %**{between}, pixel accuracy"
        f" {_percent(metrics['pixel_accuracy'])} %, on {how_many(metrics['images'], 'image')} of the split"
        f" {metrics.get('split', 'val')}" + (f", precision {precision}.\n" if precision else ".\n"),
        "| class | IoU, % | accuracy, % |",
        "| --- | ---: | ---: |",
    ]
    for name, values in list(metrics.get("per_class", {}).items())[:SHOWN_CLASSES]:
        lines.append(f"| {name} | {_percent(values['iou'])} | {_percent(values['accuracy'])} |")
    shown = [f"![{text}]({file})" for file, text in card.files.items()]
    return "\n".join([*lines, "", *shown, ""])


def _use(card: Card) -> str:
    address = f"hf://{card.repository or 'USER/NAME'}"
    return "\n".join(
        [
            "## Use\n",
            "```python",
            "import segtrain",
            "",
            f'model = segtrain.load_model("{address}")',
            'labels = segtrain.predict(model, "image.png").labels',
            "```\n",
            "```sh",
            f"segpredict ckpt={address} input=images",
            f"segeval ckpt={address} data.root=FOLDER",
            "```\n",
            "`model.safetensors` holds tensors and JSON; nothing in it is executed.\n",
        ]
    )


def _training(card: Card) -> str:
    if not card.config:
        return ""
    config = card.config
    lines = ["## Training\n", "| key | value |", "| --- | --- |"]
    lines += [f"| {key} | {config[key]} |" for key in TRAINING if key in config]
    for group in ("optimizer", "schedule", "augment", "loss", "inference"):
        if config.get(group):
            lines.append(f"| {group} | {_short(config[group])} |")
    if card.departures:
        lines += ["", "Departures from the paper:\n", *(f"- {line}" for line in card.departures)]
    return "\n".join([*lines, ""])


def _short(node: Any) -> str:
    """A group in a cell: its class and its numbers."""
    if not isinstance(node, Mapping):
        return str(node).replace("|", "/")
    target = str(node.get("_target_", "")).rpartition(".")[2]
    numbers = ", ".join(f"{k}={_short(v)}" for k, v in node.items() if k != "_target_" and v is not None)
    return f"{target}({numbers})" if target else f"{{{numbers}}}"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}"
