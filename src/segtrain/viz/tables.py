"""Tables for the terminal."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from rich.table import Table

METRIC_LABELS = {
    "pixel_accuracy": "pixel accuracy",
    "mean_accuracy": "mean accuracy",
    "mean_iou": "mean IoU",
    "frequency_weighted_iou": "f.w. IoU",
}
EXTRA_LABELS = {  # of metric= and of data sets that have metrics of their own; others keep their names
    "boundary_iou": "Boundary IoU",
    "bf_score": "BF score",
    "calibration_error": "calibration error",
    "average_precision": "average precision",
    "cldice": "clDice",
    "iou": "IoU of the object",
    "dice": "Dice of the object",
    "precision": "precision of the object",
    "recall": "recall of the object",
    "hd95": "HD95, pixels",
    "hd95_undefined": "HD95 undefined, cases",
    "v_rand": "V_rand",
    "v_info": "V_info",
}
CURVES = ("calibration_bins",)  # which no table shows
NUMBERS = ("hd95", "hd95_undefined", "threshold")  # shown as they are, not in percent


class ScoresLike(Protocol):
    """The part of an evaluation's scores that is shown."""

    @property
    def per_class(self) -> Mapping[str, Mapping[str, float | None]]: ...

    @property
    def extra(self) -> Mapping[str, object]: ...

    @property
    def mean_iou_interval(self) -> tuple[float, float] | None: ...


def table(title: str, *columns: str) -> Table:
    """An empty table; the first column is text, the others are numbers."""
    result = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for i, column in enumerate(columns):
        result.add_column(column, justify="left" if i == 0 else "right")
    return result


def percent(value: object, sign: str = "") -> str:
    """A fraction in percent: `61.9`; `-` for None."""
    return f"{100 * value:{sign}.1f}" if isinstance(value, float | int) else "-"


def interval_text(values: Sequence[float] | None, sign: str = "") -> str:
    """`[60.3, 63.8]` of fractions."""
    return "" if values is None else "[" + ", ".join(f"{100 * v:{sign}.1f}" for v in values) + "]"


def number(value: object, sign: str = "") -> str:
    """A number as it is, to three digits: `3.21`; larger ones whole: `1,840`; `-` for None."""
    if not isinstance(value, float | int):
        return "-"
    return f"{value:{sign},.0f}" if 999.5 <= abs(value) < 1e9 else f"{value:{sign}.3g}"


def gain(before: object, after: object, text: Callable[[object, str], str] = percent) -> str:
    """The difference, in percent or as `text` shows it, with its sign."""
    if not isinstance(before, float | int) or not isinstance(after, float | int):
        return ""
    return text(after - before, "+")


def evaluation_table(
    title: str, network: ScoresLike, crf: ScoresLike | None, crf_gain: Sequence[float] | None
) -> Table:
    """Each class's IoU and accuracy and the other metrics, before and after the CRF side by side.

    Args:
        network: the network's scores; `crf`: those after the CRF, None without one.
        crf_gain: the interval of the CRF's gain.
    """
    columns = ["", "IoU %", "accuracy %"] if crf is None else ["", "IoU %", "with CRF", "gain"]
    result = table(title, *columns)

    def add(label: str, before: object, after: object, text: Callable[..., str] = percent) -> None:
        cells = [text(before)] if crf is None else [text(before), text(after), gain(before, after, text)]
        result.add_row(label, *cells)

    for name, values in network.per_class.items():
        if crf is None:
            result.add_row(name, percent(values["iou"]), percent(values["accuracy"]))
        else:
            add(name, values["iou"], crf.per_class[name]["iou"])
    result.add_section()
    for key, label in METRIC_LABELS.items():
        add(label, getattr(network, key), getattr(crf, key, None))
        if key == "mean_iou" and network.mean_iou_interval:
            intervals = [interval_text(network.mean_iou_interval)]
            if crf is not None:
                intervals += [interval_text(crf.mean_iou_interval), interval_text(crf_gain, "+")]
            result.add_row("  95 % interval", *intervals)
    for key, value in network.extra.items():
        if key in CURVES:
            continue
        after = crf.extra[key] if crf is not None else None
        text = number if key in NUMBERS else percent
        if isinstance(value, Mapping):
            for name in value:
                add(_label(key, name), value[name], after[name] if isinstance(after, Mapping) else None, text)
        else:
            add(EXTRA_LABELS.get(key, key), value, after, text)
    return result


def _label(key: str, name: str) -> str:
    known = key == "trimap_mean_iou" and name.isdigit()
    return f"mean IoU within {name} px of a border" if known else f"{EXTRA_LABELS.get(key, key)} {name}"
