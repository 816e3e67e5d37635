"""The result of an evaluation, and its form in `metrics.json`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from html import escape
from typing import Any

from segtrain.evaluation.bootstrap import Difference
from segtrain.metrics.regions import Scores
from segtrain.viz.tables import METRIC_LABELS, percent
from segtrain.wording import how_many

STORED = "stored"  # instead of a precision, where no network was run


@dataclass(frozen=True)
class EvaluationResult:
    """What an evaluation found.

    Attributes:
        network: the network's scores, before a CRF.
        crf: the scores after the CRF; None without one.
        images: how many were evaluated.
        seconds: wall time.
        crf_gain: of the mean IoU by the CRF, with its interval; None where it was not computed.
        precision: of the network: 32, bf16 or 16; stored where predictions came from files.
        split: that was evaluated: train, val or test.
        cost: of an image and of the run, see `commands.cost.cost_of`; None where it was not measured.
    """

    network: Scores
    crf: Scores | None
    images: int
    seconds: float
    crf_gain: Difference | None = None
    precision: str = "32"
    split: str = "val"
    cost: dict[str, Any] | None = None

    @property
    def final(self) -> Scores:
        """The scores of what would be saved as predictions: after the CRF where there is one."""
        return self.crf or self.network

    def with_intervals(
        self, network: tuple[float, float] | None, crf: tuple[float, float] | None, gain: Difference | None
    ) -> EvaluationResult:
        """The result with the 95 % intervals of the mean IoU, and of the CRF's gain."""
        return replace(
            self,
            network=replace(self.network, mean_iou_interval=network),
            crf=self.crf and replace(self.crf, mean_iou_interval=crf),
            crf_gain=gain,
        )

    def as_json(self) -> dict[str, Any]:
        """The dict that `metrics.json` holds: the final scores, and with a CRF `without_crf`."""
        values = scores_as_json(self.final) | {"split": self.split, "images": self.images}
        values["seconds"] = self.seconds
        values["conventions"] = values["conventions"] | {"precision": self.precision}
        values["confusion_matrix"] = self.final.confusion_matrix
        if self.cost is not None:
            values["cost"] = self.cost
        if self.crf is not None:
            values["without_crf"] = scores_as_json(self.network)
        if self.crf_gain is not None:
            values["crf_gain"] = self.crf_gain._asdict() | {"significant": self.crf_gain.is_significant}
        return values

    def _repr_html_(self) -> str:
        """A table for notebooks: every class's IoU and the four metrics, in percent."""
        columns = {"network": self.network} | ({"with CRF": self.crf} if self.crf else {})
        rows = [["", *columns]]
        for name in self.network.per_class:
            rows.append([name, *(percent(s.per_class[name]["iou"]) for s in columns.values())])
        for key, label in METRIC_LABELS.items():
            rows.append([f"<b>{label}</b>", *(percent(getattr(s, key)) for s in columns.values())])
        body = "".join("<tr>" + "".join(f"<td>{_cell(c)}</td>" for c in row) + "</tr>" for row in rows)
        return f"<table><caption>IoU %, {how_many(self.images, 'image')}</caption>{body}</table>"


def scores_as_json(scores: Scores) -> dict[str, Any]:
    """The dict of one set of scores, without the confusion matrix."""
    values: dict[str, Any] = {key: getattr(scores, key) for key in METRIC_LABELS}
    values |= {"conventions": scores.conventions, "per_class": scores.per_class} | scores.extra
    return values | {"mean_iou_interval": scores.mean_iou_interval}


def _cell(text: str) -> str:
    return text if text.startswith("<b>") else escape(text)
